package build

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

func TestExtend(t *testing.T) {
	for _, flags := range [][]string{nil, {"-race"}, {"-cover", "-trimpath"}, {"-buildmode=pie"}} {
		t.Run(strings.Join(flags, " "), func(t *testing.T) {
			t.Parallel()
			o := testOptions(t, unpack(t, plainProgram+`
-- more/more.go --
package more

import (
	"encoding/csv"
	_ "embed"
	"strings"

	"example.com/app/p"
	"example.com/app/more/deep"
)

//go:embed text
var text string

func Read() string { r, _ := csv.NewReader(strings.NewReader(text)).Read(); return p.New(r...).Join() + deep.Deep }
-- more/text --
a,b
-- more/deep/deep.go --
package deep

const Deep = "on disk"
-- c/c.go --
package c

import "C"
-- broken/broken.go --
package broken

var x int = "a"
`))
			o.Flags = flags
			b := mustBuild(t, o)
			pkgs, err := b.Extend(t.Context(), []string{"example.com/app/more"}, nil)
			if err != nil {
				t.Fatal(err)
			}
			var paths []string
			for _, p := range pkgs {
				paths = append(paths, p.Path)
				counted := len(flags) > 0 && flags[0] == "-cover" && p.Path == "example.com/app/more"
				if counted != (p.Archive == "") {
					t.Errorf("%s: archive %q", p.Path, p.Archive)
				}
				if !counted {
					goObjects(t, b.ArchivePath(p))
				}
			}
			if i, j := slices.Index(paths, "encoding/csv"), slices.Index(paths, "example.com/app/more"); i < 0 || j != len(paths)-1 || slices.Contains(paths, "strings") {
				t.Errorf("packages %q, want what the program lacks, imported ones first", paths)
			}
			extended := b.With(pkgs)
			if len(extended.Locals()) != len(b.Locals())+2 {
				t.Errorf("%d local packages, want 2 more than %d", len(extended.Locals()), len(b.Locals()))
			}
			checkExact(t, extended)

			// An unsaved buffer goes before the file on disk.
			deep := filepath.Join(o.Dir, "more/deep/deep.go")
			text := []byte("package deep\n\nconst Deep = \"unsaved\"\n")
			again, err := b.Extend(t.Context(), []string{"example.com/app/more/deep"}, map[string][]byte{deep: text})
			if err != nil {
				t.Fatal(err)
			}
			if len(again) != 1 || len(again[0].Files) != 1 || again[0].Files[0].Path != deep {
				t.Fatalf("packages %+v, want deep alone", again)
			}
			if recorded, err := o.Store.Blob(again[0].Files[0].Hash); err != nil || !bytes.Equal(recorded, text) {
				t.Errorf("recorded: %q, %v, want the buffer", recorded, err)
			}
			checkExact(t, b.With(again))

			// A package that was compiled against edited source does not fit.
			edited := map[string][]byte{filepath.Join(o.Dir, "p/generic.go"): []byte("package p\n\nfunc Map() {}\n")}
			stale, err := b.Extend(t.Context(), []string{"example.com/app/more"}, edited)
			if err != nil {
				t.Fatal(err)
			}
			if last := stale[len(stale)-1]; last.Archive != "" || last.Path != "example.com/app/more" {
				t.Errorf("%s: archive %q of other packages than the program's", last.Path, last.Archive)
			}
			c, err := NewCompiler(b.With(stale))
			if err != nil {
				t.Fatal(err)
			}
			defer c.Close()
			r, err := c.Compile(t.Context(), Request{Package: "example.com/app/more"})
			if err != nil {
				t.Fatal(err)
			}
			goObjects(t, r.Archive)

			_, err = b.Extend(t.Context(), []string{"example.com/app/c"}, nil)
			var unfit *UnfitError
			if !errors.As(err, &unfit) || unfit.Package != "example.com/app/c" && unfit.Package != "runtime/cgo" {
				t.Errorf("package with C: %v", err)
			}
			_, err = b.Extend(t.Context(), []string{"example.com/app/broken"}, nil)
			var compile *CompileError
			if !errors.As(err, &compile) || len(compile.Errors) != 1 || compile.Errors[0].File != filepath.Join(o.Dir, "broken/broken.go") || compile.Errors[0].Line != 3 {
				t.Errorf("broken package: %v", err)
			}
			_, err = b.Extend(t.Context(), []string{"example.com/app/p"}, nil)
			wantError(t, err, "has these packages already")
			if left, err := os.ReadDir(filepath.Join(o.Store.Dir(), "tmp")); err != nil || len(left) > 0 {
				t.Errorf("unfinished work is left: %v, %v", left, err)
			}
		})
	}
}
