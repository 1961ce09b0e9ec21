package reload_test

import (
	"bufio"
	"context"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"go/types"
	"io"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/limeade-go/limeade/reload"
)

func TestMain(m *testing.M) {
	if len(os.Args) > 1 && os.Args[1] == "toolexec" {
		os.Exit(reload.Toolexec(os.Args[2:]))
	}
	os.Exit(m.Run())
}

// A source is the text of the Go files of a module, by their names; its main package is in main.go.
type source map[string]string

const module = "example.com/app"

// packageOf returns the import path of a file's package.
func packageOf(file string) string {
	if dir := filepath.Dir(file); dir != "." {
		return module + "/" + dir
	}
	return module
}

// A target is a program that answers each line of its input with a line, and a process that runs it. Package reload is
// driven here as nobody should: no analysis looks at the source first.
type target struct {
	dir     string
	built   source
	program *reload.Program
	process *os.Process
	in      io.Writer
	out     *bufio.Reader
}

func newTarget(t *testing.T, src source) *target {
	t.Helper()
	cache, err := exec.Command("go", "env", "GOCACHE").Output()
	if err != nil {
		t.Fatal(err)
	}
	t.Setenv("GOCACHE", strings.TrimSpace(string(cache))) // it depends on the next one
	t.Setenv("XDG_CACHE_HOME", t.TempDir())
	t.Setenv("XDG_RUNTIME_DIR", t.TempDir())
	g := &target{dir: t.TempDir(), built: src}
	files := maps.Clone(src)
	files["go.mod"] = "module " + module + "\n\ngo 1.25\n"
	for name, text := range files {
		if err := os.MkdirAll(filepath.Dir(filepath.Join(g.dir, name)), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(g.dir, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	if g.program, err = reload.NewBuild(t.Context(), self, reload.BuildOptions{Dir: g.dir}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { g.program.Close() })
	return g
}

// start starts a process of the program.
func (g *target) start(t *testing.T) {
	t.Helper()
	cmd := exec.Command(g.program.Binary)
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	cmd.Stderr = os.Stderr
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		cmd.Process.Kill()
		cmd.Wait()
	})
	g.process, g.in, g.out = cmd.Process, in, bufio.NewReader(out)
}

// ask returns the answer of the process.
func (g *target) ask() (string, error) {
	if _, err := io.WriteString(g.in, "\n"); err != nil {
		return "", err
	}
	line, err := g.out.ReadString('\n')
	return strings.TrimSpace(line), err
}

// refresh makes the process run some source, with no other functions compiled than those of which the text differs, those
// that the engine asks for, and for callers those that name a function.
func (g *target) refresh(ctx context.Context, src source) (reload.Outcome, error) {
	checked, err := g.check(src)
	if err != nil {
		return reload.Outcome{}, err
	}
	proc, err := reload.Attach(ctx, g.process.Pid)
	if err != nil {
		return reload.Outcome{}, err
	}
	defer proc.Close()
	gen, err := g.program.Generation(proc)
	if err != nil {
		return reload.Outcome{}, err
	}
	keep := map[*types.Func]bool{}
	request := func() *reload.Request {
		req := &reload.Request{}
		for _, c := range checked {
			for _, fn := range c.funcs() {
				if keep[fn] {
					c.pkg.Keep = append(c.pkg.Keep, fn)
				}
			}
			if len(c.pkg.Keep) > 0 {
				req.Packages = append(req.Packages, c.pkg)
			}
			c.pkg.Keep = nil
		}
		req.Stale = func(decl string) bool {
			return slices.ContainsFunc(slices.Collect(maps.Keys(keep)), func(fn *types.Func) bool { return reload.LinkName(fn) == decl })
		}
		return req
	}
	for _, c := range checked {
		for fn, decl := range c.decls {
			if text := c.text(decl); !strings.Contains(g.built[c.file], text) {
				keep[fn] = true
			}
		}
	}
	req := request()
	req.Extend = func(decls []string, callers bool) (*reload.Request, error) {
		n := len(keep)
		for _, c := range checked {
			for fn, decl := range c.decls {
				if slices.Contains(decls, reload.LinkName(fn)) || callers && c.names(decl, decls) {
					keep[fn] = true
				}
			}
		}
		if len(keep) == n {
			return nil, fmt.Errorf("the engine asks for %v, which are nowhere", decls)
		}
		more := request()
		more.Extend = req.Extend
		return more, nil
	}
	prepared, err := g.program.Prepare(ctx, proc, gen, req)
	if err != nil {
		return reload.Outcome{}, err
	}
	return prepared.Commit(ctx, false)
}

// A checkedFile is a package of one file, type-checked.
type checkedFile struct {
	file  string
	src   string
	pkg   reload.Package
	decls map[*types.Func]*ast.FuncDecl
}

func (c *checkedFile) funcs() []*types.Func {
	return slices.SortedFunc(maps.Keys(c.decls), func(a, b *types.Func) int { return int(a.Pos() - b.Pos()) })
}

func (c *checkedFile) text(n ast.Node) string {
	return c.src[c.pkg.Fset.Position(n.Pos()).Offset:c.pkg.Fset.Position(n.End()).Offset]
}

// names reports whether a function names one of some functions, by link name.
func (c *checkedFile) names(decl *ast.FuncDecl, funcs []string) bool {
	found := false
	ast.Inspect(decl, func(n ast.Node) bool {
		if id, ok := n.(*ast.Ident); ok {
			if fn, ok := c.pkg.Info.Uses[id].(*types.Func); ok && slices.Contains(funcs, reload.LinkName(fn)) {
				found = true
			}
		}
		return true
	})
	return found
}

// check type-checks a source: other packages than main first.
func (g *target) check(src source) ([]*checkedFile, error) {
	fset := token.NewFileSet()
	loaded := map[string]*types.Package{}
	var list []*checkedFile
	files := slices.SortedFunc(maps.Keys(src), func(a, b string) int { return strings.Count(b, "/") - strings.Count(a, "/") })
	for _, name := range files {
		path := filepath.Join(g.dir, name)
		file, err := parser.ParseFile(fset, path, src[name], parser.ParseComments|parser.SkipObjectResolution)
		if err != nil {
			return nil, err
		}
		info := &types.Info{
			Types: map[ast.Expr]types.TypeAndValue{}, Defs: map[*ast.Ident]types.Object{}, Uses: map[*ast.Ident]types.Object{},
			Selections: map[*ast.SelectorExpr]*types.Selection{}, Instances: map[*ast.Ident]types.Instance{},
			Implicits: map[ast.Node]types.Object{}, Scopes: map[ast.Node]*types.Scope{},
		}
		conf := types.Config{Importer: reload.Archives(g.program, fset, loaded), Sizes: types.SizesFor("gc", "amd64")}
		pkg, err := conf.Check(packageOf(name), fset, []*ast.File{file}, info)
		if err != nil {
			return nil, err
		}
		loaded[pkg.Path()] = pkg
		c := &checkedFile{
			file: name, src: src[name], decls: map[*types.Func]*ast.FuncDecl{},
			pkg: reload.Package{Path: pkg.Path(), Fset: fset, Files: []*ast.File{file}, Src: func(string) []byte { return []byte(src[name]) }, Pkg: pkg, Info: info},
		}
		for _, d := range file.Decls {
			if fn, ok := d.(*ast.FuncDecl); ok {
				c.decls[info.Defs[fn.Name].(*types.Func)] = fn
			}
		}
		list = append(list, c)
	}
	return list, nil
}
