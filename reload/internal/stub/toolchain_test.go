package stub

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"go/types"
	"go/version"
	"io"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/tools/go/gcexportdata"

	"github.com/limeade-go/limeade/reload/internal/build"
	"github.com/limeade-go/limeade/reload/internal/object"
)

// A toolchain is one Go, and the packages that it has built.
type toolchain struct {
	version string
	goroot  string
	tables  *object.Tables

	mu       sync.Mutex
	packages map[string]*listed // by import path
}

// A listed package is what "go list" says of it.
type listed struct {
	ImportPath, Name, Dir, Export string
	CompiledGoFiles, SFiles       []string
	ImportMap                     map[string]string
	Standard                      bool
	Module                        *struct{ GoVersion string }
	Error                         *struct{ Err string }
}

// goCommand returns a command of the toolchain.
func (tc *toolchain) goCommand(dir string, args ...string) *exec.Cmd {
	cmd := exec.Command("go", args...)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "GOTOOLCHAIN="+tc.version, "GOFLAGS=", "GOWORK=off")
	return cmd
}

func output(t testing.TB, cmd *exec.Cmd) []byte {
	t.Helper()
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%s: %v\n%s", strings.Join(cmd.Args, " "), err, stderr.Bytes())
	}
	return out
}

// newToolchain returns a toolchain, by default the one that runs the test.
func newToolchain(t testing.TB, name string) *toolchain {
	t.Helper()
	tc := &toolchain{version: name, packages: make(map[string]*listed)}
	if name == "" {
		tc.version = runtime.Version()
	}
	tc.goroot = strings.TrimSpace(string(output(t, tc.goCommand("", "env", "GOROOT"))))
	tables, err := object.LoadTables(tc.goroot)
	if err != nil {
		t.Fatal(err)
	}
	tc.tables = tables
	return tc
}

// list adds packages and their dependencies, built.
func (tc *toolchain) list(t testing.TB, dir string, patterns ...string) {
	t.Helper()
	args := []string{"list", "-export", "-deps", "-compiled",
		"-json=ImportPath,Name,Dir,Export,CompiledGoFiles,SFiles,ImportMap,Standard,Module,Error"}
	dec := json.NewDecoder(bytes.NewReader(output(t, tc.goCommand(dir, append(args, patterns...)...))))
	for {
		p := new(listed)
		if err := dec.Decode(p); err == io.EOF {
			return
		} else if err != nil {
			t.Fatal(err)
		}
		if p.Error != nil {
			t.Fatalf("%s: %s", p.ImportPath, p.Error.Err)
		}
		tc.packages[p.ImportPath] = p
	}
}

// A checked package is type-checked and compiled whole.
type checked struct {
	*listed
	tc    *toolchain
	dir   string // for temporary files
	fset  *token.FileSet
	files []*ast.File
	src   map[string][]byte
	pkg   *types.Package
	info  *types.Info

	trim               string // for -trimpath
	importcfg, symabis string
	overrides          map[string]string // import path → archive
	full               *object.Package
	fullTime           time.Duration
	compiles           int
	said               map[string][]byte           // messages of the compiler, by archive
	facts              map[string]*build.FuncFacts // nil: to be done without
}

// check parses and type-checks a listed package.
func (tc *toolchain) check(t testing.TB, path string) *checked {
	t.Helper()
	p := tc.packages[path]
	if p == nil {
		t.Fatalf("%s: not listed", path)
	}
	return tc.checkFiles(t, p)
}

// checkFiles parses and type-checks a package that need not be listed.
func (tc *toolchain) checkFiles(t testing.TB, p *listed) *checked {
	t.Helper()
	c := &checked{listed: p, tc: tc, dir: t.TempDir(), fset: token.NewFileSet(), src: make(map[string][]byte), said: make(map[string][]byte)}
	for _, name := range c.CompiledGoFiles {
		if !filepath.IsAbs(name) {
			name = filepath.Join(c.Dir, name)
		}
		data, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		c.parse(t, name, data)
	}
	c.typecheck(t)
	return c
}

func (c *checked) parse(t testing.TB, name string, data []byte) {
	t.Helper()
	f, err := parser.ParseFile(c.fset, name, data, parser.ParseComments|parser.SkipObjectResolution)
	if err != nil {
		t.Fatal(err)
	}
	c.src[name] = data
	c.files = append(c.files, f)
}

func (c *checked) typecheck(t testing.TB) {
	t.Helper()
	lang := c.lang()
	if newest := version.Lang(runtime.Version()); version.Compare(lang, newest) > 0 {
		lang = newest // go/types knows no newer language
	}
	conf := types.Config{
		Importer:  &archiveImporter{c, make(map[string]*types.Package)},
		Sizes:     sizes,
		GoVersion: lang,
	}
	c.info = &types.Info{
		Types:      make(map[ast.Expr]types.TypeAndValue),
		Defs:       make(map[*ast.Ident]types.Object),
		Uses:       make(map[*ast.Ident]types.Object),
		Selections: make(map[*ast.SelectorExpr]*types.Selection),
		Instances:  make(map[*ast.Ident]types.Instance),
		Implicits:  make(map[ast.Node]types.Object),
	}
	pkg, err := conf.Check(c.ImportPath, c.fset, c.files, c.info)
	if err != nil {
		t.Fatal(err)
	}
	c.pkg = pkg
}

// An archiveImporter imports from the archives that the compiler reads.
type archiveImporter struct {
	c    *checked
	read map[string]*types.Package
}

func (im *archiveImporter) Import(path string) (*types.Package, error) {
	if p, ok := im.c.ImportMap[path]; ok {
		path = p
	}
	if path == "unsafe" {
		return types.Unsafe, nil
	}
	if p := im.read[path]; p != nil && p.Complete() {
		return p, nil
	}
	f, err := os.Open(im.c.archive(path))
	if err != nil {
		return nil, err
	}
	defer f.Close()
	//lint:ignore SA1019 an archive of Go 1.25 to 1.27 is what is at hand
	r, err := gcexportdata.NewReader(bufio.NewReader(f))
	if err != nil {
		return nil, err
	}
	return gcexportdata.Read(r, im.c.fset, im.read, path)
}

func (c *checked) lang() string {
	if c.Module != nil && c.Module.GoVersion != "" {
		return version.Lang("go" + c.Module.GoVersion)
	}
	return version.Lang(c.tc.version)
}

func (c *checked) archive(path string) string {
	if a, ok := c.overrides[path]; ok {
		return a
	}
	if p := c.tc.packages[path]; p != nil {
		return p.Export
	}
	return filepath.Join("missing archive", path)
}

// prepare writes the import configuration, and the ABIs of the assembly functions.
func (c *checked) prepare(t testing.TB) {
	t.Helper()
	if c.importcfg != "" {
		return
	}
	var cfg strings.Builder
	for from, to := range c.ImportMap {
		fmt.Fprintf(&cfg, "importmap %s=%s\n", from, to)
	}
	for path := range c.tc.packages {
		if a := c.archive(path); a != "" && path != c.ImportPath {
			fmt.Fprintf(&cfg, "packagefile %s=%s\n", path, a)
		}
	}
	c.importcfg = filepath.Join(c.dir, "importcfg")
	if err := os.WriteFile(c.importcfg, []byte(cfg.String()), 0o666); err != nil {
		t.Fatal(err)
	}
	if len(c.SFiles) == 0 {
		return
	}
	c.symabis = filepath.Join(c.dir, "symabis")
	if err := os.WriteFile(filepath.Join(c.dir, "go_asm.h"), nil, 0o666); err != nil {
		t.Fatal(err)
	}
	args := []string{"tool", "asm", "-p", c.ImportPath, "-I", c.dir, "-I", filepath.Join(c.tc.goroot, "pkg/include"),
		"-D", "GOOS_linux", "-D", "GOARCH_amd64", "-D", "GOAMD64_v1", "-gensymabis", "-o", c.symabis}
	for _, f := range c.SFiles {
		args = append(args, filepath.Join(c.Dir, f))
	}
	output(t, c.tc.goCommand(c.Dir, args...))
}

// compile runs the compiler and returns the archive and the CPU time that it took.
func (c *checked) compile(t testing.TB, files []string, flags ...string) (archive string, cpu time.Duration, err error) {
	t.Helper()
	c.prepare(t)
	c.tc.mu.Lock()
	c.compiles++
	archive = filepath.Join(c.dir, fmt.Sprintf("%d.a", c.compiles))
	c.tc.mu.Unlock()
	path := c.ImportPath
	if c.Name == "main" {
		path = "main"
	}
	args := []string{"-p", path, "-lang=" + c.lang(), "-goversion", c.tc.version, "-nolocalimports", "-pack",
		"-importcfg", c.importcfg, "-o", archive}
	if c.Standard {
		args = append(args, "-std")
	}
	if c.symabis != "" {
		args = append(args, "-symabis", c.symabis)
	}
	args = append(append(args, flags...), files...)
	cmd := exec.Command(filepath.Join(c.tc.goroot, "pkg/tool/linux_amd64/compile"), args...)
	cmd.Dir = c.dir
	cmd.Env = append(os.Environ(), "PWD="+c.dir)
	out, err := cmd.CombinedOutput()
	if err != nil {
		return "", 0, fmt.Errorf("%w\n%s", err, out)
	}
	if len(out) > 0 {
		c.tc.mu.Lock()
		c.said[archive] = out
		c.tc.mu.Unlock()
	}
	return archive, cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime(), nil
}

// compileFull compiles the whole package and reads the object.
func (c *checked) compileFull(t testing.TB, flags ...string) {
	t.Helper()
	var files []string
	for _, f := range c.files {
		files = append(files, c.fset.File(f.FileStart).Name())
	}
	if c.trim != "" {
		flags = append(flags, "-trimpath", c.trim)
	}
	archive, cpu, err := c.compile(t, files, flags...)
	if err != nil {
		t.Fatal(err)
	}
	c.fullTime = cpu
	c.facts = c.parseFacts(t, c.src, c.said[archive])
	c.full = c.read(t, archive)
}

// parseFacts reads the compiler's messages for some files.
func (c *checked) parseFacts(t testing.TB, files map[string][]byte, messages []byte) map[string]*build.FuncFacts {
	t.Helper()
	p := &build.Package{Path: c.ImportPath, Name: c.Name, Dir: c.Dir}
	named := make(map[string][]byte)
	for name, text := range files {
		if rel, err := filepath.Rel(c.Dir, name); err == nil && filepath.IsAbs(name) {
			name = rel
		}
		named[name] = text
	}
	facts, err := build.ParseFacts(p, named, string(messages))
	if err != nil {
		t.Fatal(err)
	}
	return facts.Funcs
}

// fact is an [Input.Facts].
func (c *checked) fact(name string) (Fact, bool) {
	f, ok := c.facts[name]
	if !ok || f.Generic {
		return Fact{}, false
	}
	return Fact{f.CanInline, f.Params}, true
}

// messages returns what the compiler said when it wrote an archive.
func (c *checked) messages(archive string) []byte {
	c.tc.mu.Lock()
	defer c.tc.mu.Unlock()
	return c.said[archive]
}

func (c *checked) read(t testing.TB, archive string) *object.Package {
	t.Helper()
	lib := object.NewLibrary(c.tc.tables)
	p, err := lib.Add(c.ImportPath, archive)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func (c *checked) input() Input {
	return Input{
		Fset: c.fset, Files: c.files, Pkg: c.pkg, Info: c.info,
		Src: func(name string) []byte { return c.src[name] },
	}
}

// compileStub writes a stub's files and compiles them.
func (c *checked) compileStub(t testing.TB, s *Stub, flags ...string) (archive string, cpu time.Duration, err error) {
	t.Helper()
	dir, err := os.MkdirTemp(c.dir, "stub")
	if err != nil {
		t.Fatal(err)
	}
	var files []string
	for _, f := range s.Files {
		name := filepath.Join(dir, f.Name)
		if err := os.WriteFile(name, f.Content, 0o666); err != nil {
			t.Fatal(err)
		}
		files = append(files, name)
	}
	trim := dir + "=>" + c.Dir
	if c.trim != "" {
		trim = dir + "=>" + strings.Replace(c.Dir, path.Dir(c.Dir), trapModule, 1) + ";" + c.trim
	}
	return c.compile(t, files, append([]string{"-dwarf=false", "-trimpath", trim}, flags...)...)
}

// funcs lists the functions and methods that have a body, in source order.
func (c *checked) funcs() []*types.Func {
	var list []*types.Func
	for _, f := range c.files {
		for _, d := range f.Decls {
			fd, ok := d.(*ast.FuncDecl)
			if !ok || fd.Body == nil || fd.Name.Name == "_" || fd.Recv == nil && fd.Name.Name == "init" {
				continue
			}
			list = append(list, c.info.Defs[fd.Name].(*types.Func))
		}
	}
	return list
}
