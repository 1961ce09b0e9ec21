package stub

import (
	"go/types"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"golang.org/x/tools/txtar"

	"github.com/limeade-go/limeade/reload/internal/build"
)

// trapModule is the module that the packages of testdata are written into.
const trapModule = "example.com/trap"

// loadTraps writes the archives of testdata into a module and lists what they import. A package is named as
// its archive.
func loadTraps(t testing.TB, tc *toolchain) (names []string, archives map[string]*txtar.Archive, dir string) {
	t.Helper()
	dir = t.TempDir()
	write(t, filepath.Join(dir, "go.mod"), []byte("module "+trapModule+"\n\ngo 1.25\n"))
	files, err := filepath.Glob("testdata/*.txtar")
	if err != nil {
		t.Fatal(err)
	}
	archives = make(map[string]*txtar.Archive)
	patterns := []string{"bytes", "cmp", "embed", "errors", "fmt", "iter", "io", "maps", "math", "net/http", "os",
		"runtime", "runtime/cgo", "slices", "sort", "strconv", "strings", "sync", "syscall", "text/template", "time"}
	for _, file := range files {
		a, err := txtar.ParseFile(file)
		if err != nil {
			t.Fatal(err)
		}
		name := strings.TrimSuffix(filepath.Base(file), ".txtar")
		names = append(names, name)
		archives[name] = a
		for _, f := range a.Files {
			if strings.HasSuffix(f.Name, ".stub") {
				continue
			}
			write(t, filepath.Join(dir, name, f.Name), f.Data)
			if d := filepath.Dir(f.Name); d != "." && !slices.Contains(patterns, "./"+name+"/"+d) {
				patterns = append(patterns, "./"+name+"/"+d)
			}
		}
	}
	tc.list(t, dir, patterns...)
	return names, archives, dir
}

func write(t testing.TB, name string, data []byte) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(name), 0o777); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(name, data, 0o666); err != nil {
		t.Fatal(err)
	}
}

// trap returns one package of testdata, checked.
func trap(t testing.TB, tc *toolchain, dir, name string, a *txtar.Archive) *checked {
	t.Helper()
	p := &listed{ImportPath: trapModule + "/" + name, Name: name, Dir: filepath.Join(dir, name)}
	p.Module = &struct{ GoVersion string }{"1.25"}
	for _, f := range a.Files {
		switch {
		case strings.Contains(f.Name, "/"):
		case strings.HasSuffix(f.Name, ".go"):
			p.CompiledGoFiles = append(p.CompiledGoFiles, f.Name)
		case strings.HasSuffix(f.Name, ".s"):
			p.SFiles = append(p.SFiles, f.Name)
		}
	}
	return tc.checkFiles(t, p)
}

// TestTraps compiles every function of the packages of testdata alone, and all at once, and wants the code
// and the tables of a build of the whole. Without facts, it wants them only to compile. Sections F.stub say
// what the stub of F has and lacks.
func TestTraps(t *testing.T) {
	tc := newToolchain(t, "")
	names, archives, dir := loadTraps(t, tc)
	for _, name := range names {
		t.Run(name, func(t *testing.T) {
			c := trap(t, tc, dir, name, archives[name])
			c.compileFull(t, append(embedFlags(t, c), build.FactFlags...)...)
			for _, p := range append(c.proveAll(t, c.funcs()), c.proveTogether(t, c.funcs())...) {
				p.want(t)
			}
			c.facts = nil
			for _, p := range c.proveAll(t, c.funcs()) {
				if p.err != nil {
					t.Errorf("without facts: %s: %v", linkFunc(p.fn), p.err)
				}
			}
			for _, f := range archives[name].Files {
				if fn, ok := strings.CutSuffix(f.Name, ".stub"); ok {
					checkText(t, c, fn, string(f.Data))
				}
			}
		})
	}
}

// want asks for identical code and tables.
func (p proof) want(t testing.TB) {
	t.Helper()
	switch {
	case p.err != nil:
		t.Errorf("%s: %v", linkFunc(p.fn), p.err)
	case p.code != "":
		t.Errorf("code differs: %s", p.code)
	case p.tables != "":
		t.Errorf("tables differ: %s", p.tables)
	}
}

// checkText compares the text of one function's stub with what a section says.
func checkText(t *testing.T, c *checked, name, section string) {
	t.Helper()
	in := c.input()
	in.Keep = []*types.Func{c.lookup(t, name)}
	s, err := Build(in)
	if err != nil {
		t.Fatal(err)
	}
	var text strings.Builder
	for _, f := range s.Files {
		text.Write(f.Content)
	}
	for line := range strings.Lines(section) {
		verb, arg, _ := strings.Cut(strings.TrimSuffix(line, "\n"), " ")
		switch verb {
		case "has":
			if !strings.Contains(text.String(), arg) {
				t.Errorf("stub of %s has no %q:\n%s", name, arg, text.String())
			}
		case "lacks":
			if strings.Contains(text.String(), arg) {
				t.Errorf("stub of %s has %q:\n%s", name, arg, text.String())
			}
		case "shaped":
			if !s.Shaped[linkPath(c.pkg)+"."+arg] {
				t.Errorf("stub of %s: %s is not shaped", name, arg)
			}
		default:
			t.Errorf("unknown expectation %q", line)
		}
	}
}

// lookup finds a function by its name within the package.
func (c *checked) lookup(t testing.TB, name string) *types.Func {
	t.Helper()
	for _, fn := range c.funcs() {
		if linkFunc(fn) == linkPath(fn.Pkg())+"."+name {
			return fn
		}
	}
	t.Fatalf("no function %s in %s", name, c.ImportPath)
	return nil
}

// embedFlags lets the compiler embed the text files of a package.
func embedFlags(t testing.TB, c *checked) []string {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(c.Dir, "*.txt"))
	if err != nil {
		t.Fatal(err)
	}
	if len(files) == 0 {
		return nil
	}
	cfg := filepath.Join(c.dir, "embedcfg")
	write(t, cfg, []byte(`{"Patterns":{"text.txt":["text.txt"]},"Files":{"text.txt":"`+files[0]+`"}}`))
	return []string{"-embedcfg", cfg}
}
