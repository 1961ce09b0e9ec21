package stub

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/tools/txtar"

	"github.com/limeade-go/limeade/reload/internal/build"
)

// heavyPackage has a generic type with so many methods that instances of it are not worth compiling.
func heavyPackage() []byte {
	out := []byte("package heavy\n\ntype Store[K comparable, V any] struct { m map[K]V; next *Store[K, V] }\n")
	for i := range 150 {
		out = fmt.Appendf(out, "func (s *Store[K, V]) M%d(k K, v V) V {\n\tif old, ok := s.m[k]; ok && len(s.m) > %d {\n\t\treturn old\n\t}\n\ts.m[k] = v\n\treturn v\n}\n", i, i)
	}
	return out
}

// TestThin compiles functions of a package, one by one, against thin types of what it imports: the code must be that
// of the whole. Functions with code inlined that looks at what a thin type does not have must not compile.
func TestThin(t *testing.T) {
	tc := newToolchain(t, "")
	dir := t.TempDir()
	a, err := txtar.ParseFile("testdata/thin/central.txtar")
	if err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(dir, "go.mod"), []byte("module "+trapModule+"\n\ngo 1.25\n"))
	write(t, filepath.Join(dir, "heavy/heavy.go"), heavyPackage())
	for _, f := range a.Files {
		write(t, filepath.Join(dir, f.Name), f.Data)
	}
	tc.list(t, dir, "./user")
	want := tc.check(t, trapModule+"/user")
	want.compileFull(t, build.FactFlags...)
	facts := want.fact
	for _, path := range []string{"central", "leaf"} {
		c := tc.check(t, trapModule+"/"+path)
		c.compileFull(t, build.FactFlags...)
		others := facts
		facts = func(name string) (Fact, bool) {
			if f, ok := c.fact(name); ok {
				return f, true
			}
			return others(name)
		}
	}
	unfit := map[string]bool{"Uses": true, "Peeks": true}
	for _, fn := range want.funcs() {
		t.Run(fn.Name(), func(t *testing.T) {
			in := want.input()
			in.Keep = append(in.Keep, fn)
			in.Facts = facts
			in.CanThin = func(path string) bool { return strings.HasPrefix(path, trapModule) }
			s, err := Build(in)
			if err != nil {
				t.Fatal(err)
			}
			if s.Thin == nil {
				t.Fatal("no type is thin")
			}
			c := &checked{listed: want.listed, tc: tc, dir: t.TempDir(), said: map[string][]byte{}, overrides: map[string]string{}}
			for _, pkgs := range [][]ThinPackage{s.Thin.Packages, s.Thin.Front} {
				archives := map[string]string{}
				for _, pkg := range pkgs {
					l := &listed{ImportPath: pkg.Path, Name: filepath.Base(pkg.Path), Dir: dir}
					thin := &checked{listed: l, tc: tc, dir: t.TempDir(), said: map[string][]byte{}, overrides: c.overrides}
					file := filepath.Join(thin.dir, "types.go")
					write(t, file, pkg.Content)
					archive, _, err := thin.compile(t, []string{file})
					if err != nil {
						t.Fatalf("%v\n%s", err, pkg.Content)
					}
					c.overrides[pkg.Path], archives[pkg.Path] = archive, archive
				}
				if pkgs[0].Path == thinFirst {
					c.overrides = archives // the real packages are there besides
				}
			}
			for path, archive := range c.overrides {
				tc.mu.Lock()
				tc.packages[path] = &listed{ImportPath: path, Export: archive}
				tc.mu.Unlock()
			}
			archive, cpu, err := c.compileStub(t, s, build.FactFlags...)
			if unfit[fn.Name()] {
				if err == nil {
					t.Error("compiles, though it has code inlined that looks at what the thin type lacks")
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			data, err := os.ReadFile(archive)
			if err != nil {
				t.Fatal(err)
			}
			p := proof{fn: fn}
			if want.compare(&p, want.read(t, archive)); p.code != "" {
				t.Errorf("code differs: %s", p.code)
			}
			t.Logf("%d KB, %v; whole %v", len(data)/1024, cpu, want.fullTime)
		})
	}
}
