package build

import (
	"errors"
	"path/filepath"
	"strings"
	"testing"
)

const cgoProgram = `
-- go.mod --
module example.com/app

go 1.24
-- main.go --
package main

import "example.com/app/c"

func main() { println(c.Sum(1, 2), c.Length("four")) }
-- c/sum.go --
package c

/*
#cgo CFLAGS: -DTEN=10
#include "sum.h"
static int sum(int a, int b) { return a + b + TEN; }
static int unused(int a) { return a; }
*/
import "C"

func Sum(a, b int) int { return int(C.sum(C.int(a), C.int(b))) }

//export limeadeCallback
func limeadeCallback(n C.int) C.int { return n + 1 }
-- c/length.go --
package c

// #include <stdlib.h>
// #include <string.h>
import "C"
import "unsafe"

func Length(s string) int {
	p := C.CString(s)
	defer C.free(unsafe.Pointer(p))
	return int(C.strlen(p))
}
-- c/sum.h --
#define LIMIT 77
struct pair { int a, b; };
-- c/plain.go --
package c
`

func TestCgoEdit(t *testing.T) {
	for _, flags := range [][]string{nil, {"-cover"}, {"-trimpath"}} {
		t.Run(strings.Join(flags, " "), func(t *testing.T) {
			t.Parallel()
			o := testOptions(t, unpack(t, cgoProgram))
			o.Flags = flags
			b := check(t, o, map[bool]string{true: coverSays}[len(flags) > 0 && flags[0] == "-cover"]+"13 4\n")
			testCgoEdits(t, b)
		})
	}
}

func testCgoEdits(t *testing.T, b *Baseline) {
	p := b.Packages["example.com/app/c"]
	recorded, err := b.Sources(p)
	if err != nil {
		t.Fatal(err)
	}
	original := map[string]string{}
	for _, f := range p.Files {
		text, err := b.Store().Blob(f.Hash)
		if err != nil {
			t.Fatal(err)
		}
		original[filepath.Base(f.Path)] = string(text)
	}
	c, err := NewCompiler(b)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()

	// Unchanged files give what the build had.
	same, err := b.Cgo(t.Context(), p, map[string][]byte{"sum.go": []byte(original["sum.go"]), "length.go": []byte(original["length.go"])})
	if err != nil {
		t.Fatal(err)
	}
	if len(same) != 3 {
		t.Errorf("cgo gives %d files, want 3", len(same))
	}
	for name, text := range same {
		if string(text) != string(recorded[name]) {
			t.Errorf("%s of unchanged sources is not the one of the build:\n%s\nwant\n%s", name, text, recorded[name])
		}
	}

	tests := []struct {
		name, file, old, new string
		refused              string
	}{
		{name: "body", file: "sum.go", old: "return int(C.sum(", new: "return 1 + int(C.sum("},
		{name: "no longer used", file: "length.go", old: "return int(C.strlen(p))", new: "return 4"},
		{name: "type and constant of a header", file: "sum.go", old: "return int(C.sum(", new: "x := C.struct_pair{a: C.LIMIT}; return int(x.a) + int(C.sum("},
		{name: "preamble", file: "sum.go", old: "a + b + TEN", new: "a - b + TEN", refused: "sum.go: the C preamble above import \"C\" changed"},
		{name: "export", file: "sum.go", old: "//export", new: "// export", refused: "sum.go: the //export lines changed"},
		{name: "function that was not used", file: "length.go", old: "return int(C.strlen(p))", new: "return int(C.strlen(p)) + int(C.atoi(p))",
			refused: "C.atoi is not among the C functions and variables that the program was built with"},
		{name: "error result", file: "length.go", old: "return int(C.strlen(p))", new: "n, _ := C.strlen(p); return int(n)",
			refused: "C.strlen is not among the C functions"},
		{name: "new file", file: "plain.go", old: "package c", new: "package c\n\nimport \"C\"", refused: "plain.go: a new import \"C\""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			text := strings.Replace(original[tt.file], tt.old, tt.new, 1)
			if text == original[tt.file] {
				t.Fatalf("%s has no %q", tt.file, tt.old)
			}
			files, err := b.Cgo(t.Context(), p, map[string][]byte{tt.file: []byte(text)})
			if tt.refused != "" {
				wantError(t, err, tt.refused)
				wantIs(t, err, ErrC)
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			sources, err := b.Sources(p)
			if err != nil {
				t.Fatal(err)
			}
			for name, text := range files {
				sources[name] = text
			}
			r, err := c.Compile(t.Context(), Request{Package: p.Path, Files: sources})
			if err != nil {
				t.Fatal(err)
			}
			goObjects(t, r.Archive)
		})
	}

	var compile *CompileError
	text := strings.Replace(original["sum.go"], "C.sum(", "C.summ(", 1)
	_, err = b.Cgo(t.Context(), p, map[string][]byte{"sum.go": []byte(text)})
	if !errors.As(err, &compile) || len(compile.Errors) == 0 {
		t.Fatalf("unknown C function: %v, want the place in the source", err)
	}
	if e := compile.Errors[0]; e.File != filepath.Join(p.Dir, "sum.go") || e.Line != 11 || !strings.Contains(e.Message, "C.summ") {
		t.Errorf("unknown C function: %v, want line 11 of sum.go", e)
	}
	_, err = b.Cgo(t.Context(), p, map[string][]byte{"sum.go": []byte("package c\n\nfunc {")})
	if !errors.As(err, &compile) || len(compile.Errors) == 0 || compile.Errors[0].Line != 3 {
		t.Errorf("syntax error: %v", err)
	}
}
