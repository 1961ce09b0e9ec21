package reload

import (
	"cmp"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"go/types"
	"maps"
	"os"
	"path/filepath"
	"slices"

	"golang.org/x/tools/go/gcexportdata"

	"github.com/limeade-go/limeade/reload/internal/stub"
)

// Code that is not compiled again calls a function as it was, whatever its new body takes and returns. An object file
// does not tell the types of parameters, so they are read from the source that the build recorded.

// signature returns the parameters and results of a function as the build compiled it; "" if the build has none, or none
// whose source may change.
func (p *Program) signature(decl string) (string, error) {
	pkg := p.packageOf(decl)
	if pkg == nil {
		return "", nil
	}
	all, err := p.signaturesOf(pkg.Path).get(func() (map[string]string, error) { return p.readSignatures(pkg) })
	return all[decl], err
}

func (p *Program) signaturesOf(path string) *lazy[map[string]string] {
	p.factsMu.Lock()
	defer p.factsMu.Unlock()
	if p.called == nil {
		p.called = map[string]*lazy[map[string]string]{}
	}
	if p.called[path] == nil {
		p.called[path] = &lazy[map[string]string]{}
	}
	return p.called[path]
}

// learnSignatures looks up how the functions of a request's packages are called, while these are compiled.
func (p *Program) learnSignatures(req *Request) {
	for i := range req.Packages {
		if pkg := p.Packages[req.Packages[i].Path]; pkg != nil && pkg.Local && req.Packages[i].Context == nil {
			go func() {
				_, _ = p.signaturesOf(pkg.Path).get(func() (map[string]string, error) { return p.readSignatures(pkg) }) // who needs them will hear of it
			}()
		}
	}
}

// readSignatures type-checks the declarations of a package as it was built.
func (p *Program) readSignatures(pkg *BuildPackage) (map[string]string, error) {
	sources, err := p.Sources(pkg)
	if err != nil {
		return nil, err
	}
	fset := token.NewFileSet()
	var files []*ast.File
	for _, name := range slices.Sorted(maps.Keys(sources)) {
		f, err := parser.ParseFile(fset, filepath.Join(pkg.Dir, name), sources[name], parser.SkipObjectResolution)
		if err != nil {
			return nil, err
		}
		files = append(files, f)
	}
	info := &types.Info{Defs: map[*ast.Ident]types.Object{}}
	im := &archives{p, pkg, fset, map[string]*types.Package{}, nil}
	conf := types.Config{
		GoVersion: pkg.GoVersion, IgnoreFuncBodies: true, FakeImportC: true, Sizes: types.SizesFor("gc", "amd64"),
		Importer: im, Error: func(error) {}, // imports that only bodies use
	}
	checked, err := conf.Check(pkg.Path, fset, files, info)
	if im.err != nil || checked == nil {
		return nil, fmt.Errorf("package %s: %w", pkg.Path, cmp.Or(im.err, err))
	}
	all := map[string]string{}
	for _, obj := range info.Defs {
		if fn, ok := obj.(*types.Func); ok && fn.Name() != "_" && fn.Name() != "init" {
			all[LinkName(fn)] = stub.Signature(fn)
		}
	}
	return all, nil
}

// archives imports what a package was compiled with.
type archives struct {
	program *Program
	pkg     *BuildPackage
	fset    *token.FileSet
	loaded  map[string]*types.Package
	err     error // the first
}

// Import implements [types.Importer].
func (a *archives) Import(path string) (*types.Package, error) {
	p, err := a.load(path)
	a.err = cmp.Or(a.err, err)
	return p, err
}

func (a *archives) load(path string) (*types.Package, error) {
	if path == "unsafe" {
		return types.Unsafe, nil
	}
	if to, ok := a.pkg.ImportMap[path]; ok {
		path = to
	}
	if p := a.loaded[path]; p != nil && p.Complete() {
		return p, nil
	}
	pkg := a.program.Packages[path]
	if pkg == nil {
		return nil, fmt.Errorf("%s is not in the program", path)
	}
	f, err := os.Open(a.program.ArchivePath(pkg))
	if err != nil {
		return nil, err
	}
	defer f.Close()
	//lint:ignore SA1019 the archives are of Go 1.25 to 1.27
	r, err := gcexportdata.NewReader(f)
	if err != nil {
		return nil, err
	}
	return gcexportdata.Read(r, a.fset, a.loaded, path)
}
