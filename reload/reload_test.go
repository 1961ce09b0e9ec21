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
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/tools/go/gcexportdata"

	"github.com/limeade-go/limeade/reload"
)

func TestMain(m *testing.M) {
	if len(os.Args) > 1 && os.Args[1] == "toolexec" {
		os.Exit(reload.Toolexec(os.Args[2:]))
	}
	os.Exit(m.Run())
}

// imports reads the export data of the archives that a program was linked from.
type imports struct {
	program *reload.Program
	fset    *token.FileSet
	loaded  map[string]*types.Package
}

func (im *imports) Import(path string) (*types.Package, error) {
	if p := im.loaded[path]; p != nil && p.Complete() {
		return p, nil
	}
	if path == "unsafe" {
		return types.Unsafe, nil
	}
	pkg := im.program.Packages[path]
	if pkg == nil {
		return nil, fmt.Errorf("%s is not in the program", path)
	}
	f, err := os.Open(im.program.ArchivePath(pkg))
	if err != nil {
		return nil, err
	}
	defer f.Close()
	//lint:ignore SA1019 an archive of Go 1.25 to 1.27 is what is at hand
	r, err := gcexportdata.NewReader(f)
	if err != nil {
		return nil, err
	}
	return gcexportdata.Read(r, im.fset, im.loaded, path)
}

func TestSwap(t *testing.T) {
	cache, err := exec.Command("go", "env", "GOCACHE").Output()
	if err != nil {
		t.Fatal(err)
	}
	t.Setenv("GOCACHE", strings.TrimSpace(string(cache))) // it depends on the next one
	t.Setenv("XDG_CACHE_HOME", t.TempDir())
	t.Setenv("XDG_RUNTIME_DIR", t.TempDir())
	dir := t.TempDir()
	const before = `package main

import (
	"bufio"
	"fmt"
	"os"
	"sort"
	"strings"
)

var counter int

type T struct {
	a int
	s string
}

func (t *T) Inc() int { t.a++; return t.a }

//go:noinline
func f(x int) string { counter++; return fmt.Sprint("old ", x, " ", counter) }

func main() {
	t := &T{}
	in := bufio.NewScanner(os.Stdin)
	for in.Scan() {
		fmt.Println(f(3), t.Inc())
	}
	_ = sort.Ints
	_ = strings.ToUpper
}
`
	after := strings.Replace(before, `counter++; return fmt.Sprint("old ", x, " ", counter) }`, `
	counter++
	m := map[string]any{"x": x, "t": &T{a: x}, "b": strings.NewReplacer("a", "b").Replace("aaa")}
	var keys []string
	for k := range m {
		keys = append(keys, k)
	}
	sort.Sort(sort.Reverse(sort.StringSlice(keys)))
	msg := ""
	func() {
		defer func() { msg = fmt.Sprint(recover()) }()
		panic("x")
	}()
	return fmt.Sprintf("new %v %v %d %s", keys, m["b"], counter, msg)
}`, 1)
	write := func(name, text string) {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	write("go.mod", "module example.com/app\n\ngo 1.25\n")
	write("main.go", before)
	ctx := context.Background()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	prog, err := reload.NewBuild(ctx, self, reload.BuildOptions{Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	defer prog.Close()
	cmd := exec.Command(prog.Binary)
	in, _ := cmd.StdinPipe()
	outp, _ := cmd.StdoutPipe()
	cmd.Stderr = os.Stderr
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer cmd.Process.Kill()
	out := bufio.NewReader(outp)
	call := func() string {
		io.WriteString(in, "\n")
		line, err := out.ReadString('\n')
		if err != nil {
			t.Fatal(err)
		}
		return strings.TrimSpace(line)
	}
	t.Log(call())

	fset := token.NewFileSet()
	path := filepath.Join(dir, "main.go")
	file, err := parser.ParseFile(fset, path, after, parser.ParseComments|parser.SkipObjectResolution)
	if err != nil {
		t.Fatal(err)
	}
	info := &types.Info{Types: map[ast.Expr]types.TypeAndValue{}, Defs: map[*ast.Ident]types.Object{}, Uses: map[*ast.Ident]types.Object{},
		Selections: map[*ast.SelectorExpr]*types.Selection{}, Instances: map[*ast.Ident]types.Instance{}, Implicits: map[ast.Node]types.Object{}, Scopes: map[ast.Node]*types.Scope{}}
	conf := types.Config{Importer: &imports{prog, fset, map[string]*types.Package{}}, Sizes: types.SizesFor("gc", "amd64")}
	pkg, err := conf.Check("example.com/app", fset, []*ast.File{file}, info)
	if err != nil {
		t.Fatal(err)
	}
	proc, err := reload.Attach(ctx, cmd.Process.Pid)
	if err != nil {
		t.Fatal(err)
	}
	defer proc.Close()
	gen, err := prog.Generation(proc)
	if err != nil {
		t.Fatal(err)
	}
	req := &reload.Request{
		Packages: []reload.Package{{
			Path: "example.com/app", Fset: fset, Files: []*ast.File{file}, Src: func(string) []byte { return []byte(after) },
			Pkg: pkg, Info: info, Keep: []*types.Func{pkg.Scope().Lookup("f").(*types.Func)},
		}},
		Extend: func([]string, bool) (*reload.Request, error) { return nil, fmt.Errorf("no more") },
	}
	prepared, err := prog.Prepare(ctx, proc, gen, req)
	if err != nil {
		t.Fatal(err)
	}
	o, err := prepared.Commit(ctx, false)
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("%+v", o)
	t.Log(call())
	t.Log(call())
}
