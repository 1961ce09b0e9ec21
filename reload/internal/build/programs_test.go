package build

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

const plainProgram = `
-- go.mod --
module example.com/app

go 1.24
-- main.go --
package main

import (
	"fmt"

	"example.com/app/p"
)

var list = p.New("a", "b")

func main() { fmt.Println(list.Join(), p.Map(list, size)) }

func size(s string) int { return len(s) }
-- p/p.go --
package p

import "strings"

type List []string

func New(s ...string) *List { l := List(s); return &l }

func (l *List) Join() string { return strings.Join(*l, "+") }
-- p/generic.go --
package p

func Map[T any](l *List, f func(string) T) (r []T) {
	for _, s := range *l {
		r = append(r, f(s))
	}
	return r
}
-- p/p_test.go --
package p

not compiled
-- p/other_windows.go --
package p

not compiled
`

const (
	plainSays = "a+b [1 1]\n"
	coverSays = "warning: GOCOVERDIR not set, no coverage data emitted\n"
)

func TestBuild(t *testing.T) {
	cgo := `
-- go.mod --
module example.com/app

go 1.16
-- main.go --
package main

import "example.com/app/c"

func main() { println(c.Add(1, 2), c.Plain()) }
-- c/c.go --
package c

// #cgo CFLAGS: -DBASE=100
// #include "local.h"
// static int add(int a, int b) { return a + b + BASE + LOCAL; }
import "C"

func Add(a, b int) int { return int(C.add(C.int(a), C.int(b))) }
-- c/b.go --
package c

// #include <stdlib.h>
import "C"

func Number(s string) int {
	c := C.CString(s)
	n := int(C.atoi(c))
	return n
}
-- c/plain.go --
package c

func Plain() int { return Number("7") }
-- c/local.h --
#define LOCAL 1000
`
	assembly := `
-- go.mod --
module example.com/app

go 1.24
-- main.go --
package main

import (
	"fmt"

	"example.com/app/a"
)

func main() { fmt.Println(a.Sum(a.Pair{A: 2, B: 3}), a.Twice(4)) }
-- a/a.go --
package a

type Pair struct{ A, B int }

func Add(a, b int) int

func Sum(p Pair) int { return Add(p.A, p.B) }

func Twice(n int) int { return Add(n, n) }
-- a/a_amd64.s --
#include "textflag.h"
#include "go_asm.h"
#include "add_amd64.h"

TEXT ·Add(SB), NOSPLIT, $0-24
	MOVQ a+0(FP), AX
	ADDQ b+Pair_B(FP), AX
	MOVQ AX, ret+16(FP)
	RET
-- a/add_amd64.h --
#define UNUSED 1
`
	embed := `
-- go.mod --
module example.com/app

go 1.24
-- main.go --
package main

import (
	"embed"
	"fmt"
)

//go:embed greeting.txt
var greeting string

//go:embed files
var files embed.FS

func main() {
	text, err := files.ReadFile("files/a b.txt")
	fmt.Print(greeting, string(text), err, "\n")
}
-- greeting.txt --
hello
-- files/a b.txt --
there
`
	tests := []struct {
		name    string
		program string
		says    string
		flags   []string
		env     []string
		target  []string
		dir     string
	}{
		{name: "exe", program: plainProgram, says: plainSays},
		{name: "pie", program: plainProgram, says: plainSays, flags: []string{"-buildmode", "pie"}},
		{name: "race", program: plainProgram, says: plainSays, flags: []string{"-race"}},
		{name: "cover", program: plainProgram, says: coverSays + plainSays, flags: []string{"-cover"}},
		{name: "trimpath", program: plainProgram, says: plainSays, flags: []string{"-trimpath"}},
		{name: "no optimisation", program: plainProgram, says: plainSays, flags: []string{"-gcflags=all=-N -l"}},
		{name: "stripped", program: plainProgram, says: plainSays, flags: []string{"-ldflags=-s -w"}},
		{name: "goflags", program: plainProgram, says: plainSays, env: []string{`GOFLAGS=-buildvcs=false -trimpath '-gcflags=-d=checkptr=1 -l'`}},
		{name: "experiment", program: plainProgram, says: plainSays, env: []string{"GOEXPERIMENT=fieldtrack", "GOAMD64=v3"}},
		{name: "files", program: `
-- go.mod --
module example.com/app

go 1.21
-- cmd/z.go --
package main

import "example.com/app/internal/x"

func main() { println(a, x.X) }
-- cmd/a.go --
package main

var a = b + 1
-- cmd/b.go --
package main

var b = 1
-- cmd/unused.go --
package main

not compiled
-- internal/x/x.go --
package x

const X = "x"
`, says: "2 x\n", target: []string{"cmd/z.go", "cmd/a.go", "cmd/b.go"}},
		{name: "directory below", program: plainProgram, says: plainSays, dir: "p", target: []string{".."}},
		{name: "import path", program: plainProgram, says: plainSays, dir: "p", target: []string{"example.com/app"}},
		{name: "cgo", program: cgo, says: "1103 7\n"},
		{name: "cgo cover", program: cgo, says: coverSays + "1103 7\n", flags: []string{"-cover", "-coverpkg=./..."}},
		{name: "cgo trimpath pie", program: cgo, says: "1103 7\n", flags: []string{"-trimpath", "-buildmode=pie"}},
		{name: "assembly", program: assembly, says: "5 8\n"},
		{name: "assembly cover", program: assembly, says: coverSays + "5 8\n", flags: []string{"-covermode=atomic"}},
		{name: "embed", program: embed, says: "hello\nthere\n<nil>\n"},
		{name: "tags", program: `
-- go.mod --
module example.com/app
-- main.go --
package main

func main() { println(text) }
-- off.go --
//go:build !special

package main

const text = "ordinary"
-- on.go --
//go:build special

package main

const text = "special"
`, says: "special\n", flags: []string{"--tags", "special"}},
		{name: "vendor", program: `
-- go.mod --
module example.com/app

go 1.24

require example.com/dep v1.0.0
-- main.go --
package main

import "example.com/dep/d"

func main() { println(d.D) }
-- vendor/modules.txt --
# example.com/dep v1.0.0
## explicit; go 1.20
example.com/dep/d
-- vendor/example.com/dep/d/d.go --
package d

var D = "vendored"
`, says: "vendored\n"},
		{name: "replace", program: `
-- app/go.mod --
module example.com/app

go 1.24

require example.com/dep v1.0.0

replace example.com/dep => ../dep
-- app/main.go --
package main

import "example.com/dep"

func main() { println(dep.D) }
-- dep/go.mod --
module example.com/dep

go 1.20
-- dep/d.go --
package dep

var D = "replaced"
`, says: "replaced\n", dir: "app"},
		{name: "strange directories", program: `
-- it's a café/app/go.mod --
module example.com/app

go 1.24

require (
	example.com/dep v1.0.0
	example.com/spaced v1.0.0
)

replace (
	example.com/dep => ../app2
	example.com/spaced => "../app 3"
)
-- it's a café/app/main.go --
package main

import (
	"example.com/dep"
	"example.com/spaced"
)

func main() { println(dep.D + spaced.D) }
-- it's a café/app2/go.mod --
module example.com/dep

go 1.20
-- it's a café/app2/d.go --
package dep

var D = "dep"
-- it's a café/app 3/go.mod --
module example.com/spaced

go 1.20
-- it's a café/app 3/d.go --
package spaced

var D = "spaced"
`, says: "depspaced\n", dir: "it's a café/app"},
		{name: "prefix of another directory", program: `
-- app/go.mod --
module example.com/app

go 1.24

require example.com/dep v1.0.0

replace example.com/dep => ../app2
-- app/main.go --
package main

import "example.com/dep"

func main() { println(dep.D) }
-- app2/go.mod --
module example.com/dep

go 1.20
-- app2/d.go --
package dep

var D = "dep"
`, says: "dep\n", dir: "app"},
		{name: "line directives", program: `
-- go.mod --
module example.com/app

go 1.24
-- main.go --
package main

//line grammar.y:100
func main() { println(other()) }

//line /elsewhere/other.y:7:3
func other() string { return "lines" }
-- generated.go --
//line gen/x.tmpl:1
package main

func unused() {}
`, says: "lines\n"},
		{name: "workspace", program: `
-- go.work --
go 1.25

use (
	./app
	./lib
)
-- app/go.mod --
module example.com/app

go 1.24
-- app/cmd/tool/main.go --
package main

import "example.com/lib"

func main() { println(lib.L) }
-- lib/go.mod --
module example.com/lib

go 1.22
-- lib/lib.go --
package lib

var L = "workspace"
`, says: "workspace\n", target: []string{"./app/cmd/tool"}},
		{name: "old module with names that are taken", program: `
-- go.mod --
module example.com/v.2/app

go 1.16
-- zz_limeade.go --
package main

const text = "taken"
-- _limeade/file --
-- main.go --
package main

func main() { println(text) }
`, says: "taken\n"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			root := unpack(t, tt.program)
			o := testOptions(t, filepath.Join(root, tt.dir))
			o.Flags, o.Target = tt.flags, tt.target
			o.Env = append(o.Env, tt.env...)
			b := check(t, o, tt.says)
			for path, p := range b.Packages {
				if p.Covered && strings.Contains(path, "_limeade") {
					t.Errorf("%s is counted by -cover", path)
				}
			}
		})
	}
}

// The oldest and newest toolchains, with the variants in which they differ.
func TestToolchains(t *testing.T) {
	for _, toolchain := range []string{"go1.25.14", "go1.27.3"} {
		for _, flags := range [][]string{nil, {"-buildmode=pie", "-trimpath"}} {
			t.Run(toolchain+" "+filepath.Join(flags...), func(t *testing.T) {
				t.Parallel()
				o := testOptions(t, unpack(t, plainProgram))
				o.Env, o.Flags = goEnv(toolchain), flags
				if b := check(t, o, plainSays); b.GoVersion != toolchain {
					t.Errorf("built with %s, want %s", b.GoVersion, toolchain)
				}
			})
		}
	}
}

func TestUserOverlay(t *testing.T) {
	root := unpack(t, plainProgram+`
-- elsewhere/overlay.json --
{"Replace": {"p/generic.go": "elsewhere/other.go", "p/added.go": "elsewhere/added.go", "p/p_test.go": ""}}
-- elsewhere/other.go --
package p

func Map[T any](l *List, f func(string) T) string { return added }
-- elsewhere/added.go --
package p

const added = "laid over"
`)
	o := testOptions(t, root)
	o.Flags = []string{"-overlay", "elsewhere/overlay.json"}
	b := check(t, o, "a+b laid over\n")
	files := map[string]string{}
	for _, f := range b.Packages["example.com/app/p"].Files {
		text, err := o.Store.Blob(f.Hash)
		if err != nil {
			t.Fatal(err)
		}
		files[f.Path] = string(text)
	}
	want, err := os.ReadFile(filepath.Join(root, "elsewhere/added.go"))
	if err != nil {
		t.Fatal(err)
	}
	if got := files[filepath.Join(root, "p/added.go")]; got != string(want) {
		t.Errorf("p/added.go is recorded as %q, want what the overlay shows there", got)
	}
}
