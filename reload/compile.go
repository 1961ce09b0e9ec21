package reload

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"go/types"
	"maps"
	"slices"
	"strings"

	"github.com/limeade-go/limeade/reload/internal/build"
	"github.com/limeade-go/limeade/reload/internal/link"
	"github.com/limeade-go/limeade/reload/internal/object"
	"github.com/limeade-go/limeade/reload/internal/stub"
)

// compiled is the outcome of compiling a request's stubs.
type compiled struct {
	stubs   []link.Stub
	decls   []string                    // the recompile set, by link name
	facts   map[string]*build.FuncFacts // of every function with a body in a stub
	results []*build.Result
}

func (c *compiled) remove() {
	for _, r := range c.results {
		_ = r.Remove() // it lies in a temporary directory that is removed in the end
	}
}

// compile makes the stubs of a request, importers first since they say what they need of what they
// import, and compiles them, imported ones first.
func (p *Program) compile(ctx context.Context, host *link.Host, from *Generation, req *Request, whole map[string]bool, thin func(path string) bool) (_ *compiled, err error) {
	compiler, err := p.compiler()
	if err != nil {
		return nil, err
	}
	hasType := func(name string) bool {
		if whole[strings.TrimPrefix(name, "type:")] || from.state.Hides(name, req.New) {
			return false
		}
		if _, ok := host.Index.Addr(name, 0); ok {
			return true
		}
		return !host.Library.Lookup(name, 0).IsZero()
	}
	changed := setOf(from.Recompiled)
	known := func(name string) (stub.Fact, bool) {
		if changed[name] {
			params, ok := from.tags[name]
			inlining := from.inlining[name]
			return stub.Fact{CanInline: inlining.Can, Params: params}, ok && inlining.Known
		}
		f, ok := p.FunctionFacts(name)
		if !ok || f == nil || f.Generic {
			return stub.Fact{}, false
		}
		return stub.Fact{CanInline: f.CanInline, Params: f.Params}, true
	}
	packages := slices.Clone(req.Packages)
	inputs := make([]stub.Input, len(packages))
	stubs := make([]*stub.Stub, len(packages))
	needs := map[string]map[string]bool{}
	imported := map[string]bool{} // archives that others import must have no thin types in them
	for i := len(packages) - 1; i >= 0; i-- {
		pkg := &packages[i]
		if context := pkg.Context; context != nil {
			if !p.matters(pkg, needs[pkg.Path], req.Stale) {
				continue
			}
			if *pkg, err = context.Load(); err != nil {
				return nil, err
			}
		}
		export, err := pkg.objects(needs[pkg.Path])
		if err != nil {
			return nil, err
		}
		inputs[i] = stub.Input{
			Fset: pkg.Fset, Files: pkg.Files, Src: pkg.Src, Pkg: pkg.Pkg, Info: pkg.Info,
			Keep: pkg.Keep, Wrappers: pkg.Wrappers, Bound: pkg.Bound, Init: pkg.Init, Types: pkg.Types, Methods: pkg.Methods, Added: pkg.Added, Defined: pkg.Defined, Locals: pkg.Locals, Export: export,
			ImportFirst: importedOf(pkg, packages[:i]), HostHasType: hasType, Facts: known,
		}
		if !imported[pkg.Path] && len(pkg.Defined) == 0 { // they are made here, whole
			inputs[i].CanThin = thin
		}
		for _, path := range inputs[i].ImportFirst {
			imported[path] = true
		}
		stubs[i], err = stub.Build(inputs[i])
		var unfit *stub.UnfitError
		if errors.As(err, &unfit) {
			return nil, &RefusedError{Symbol: linkPrefix(pkg.Pkg) + "." + unfit.Name, Reason: unfit.Reason}
		} else if err != nil {
			return nil, fmt.Errorf("%s: %w", pkg.Path, err)
		}
		for path, names := range stubs[i].Needs {
			if needs[path] == nil {
				needs[path] = map[string]bool{}
			}
			for _, n := range names {
				needs[path][n] = true
			}
		}
	}
	c := &compiled{facts: map[string]*build.FuncFacts{}}
	defer func() {
		if err != nil {
			c.remove()
		}
	}()
	deps := map[string]string{}
	for i := range packages {
		pkg := &packages[i]
		if stubs[i] == nil {
			continue
		}
		res, err := compileStub(ctx, compiler, pkg, stubs[i], deps)
		if err != nil && stubs[i].Thin != nil && ctx.Err() == nil {
			inputs[i].CanThin = nil
			if stubs[i], err = stub.Build(inputs[i]); err == nil {
				res, err = compileStub(ctx, compiler, pkg, stubs[i], deps)
			}
		}
		if err != nil {
			return nil, err
		}
		files := stubs[i].Sources()
		c.results = append(c.results, res)
		deps[pkg.Path] = res.Archive
		c.stubs = append(c.stubs, link.Stub{Package: p.objectPath(pkg.Path), Archive: res.Archive, Shaped: stubs[i].Shaped, Hollow: names(stubs[i].Hollow), Layouts: layouts(stubs[i].Layouts), Signatures: signatures(pkg.Keep), Inits: append(initNames(pkg, stubs[i].Inits), pkg.Rerun...)})
		inits := stub.InitFuncs(pkg.Files, pkg.Info)
		for _, fn := range pkg.Keep {
			if n, ok := inits[fn]; ok {
				c.decls = append(c.decls, fmt.Sprintf("%s.init.%d", linkPrefix(pkg.Pkg), n))
			} else {
				c.decls = append(c.decls, LinkName(fn))
			}
		}
		for _, w := range pkg.Wrappers {
			c.decls = append(c.decls, wrapperNames(w)...)
		}
		if len(pkg.Init) > 0 {
			c.decls = append(c.decls, linkPrefix(pkg.Pkg)+".init")
		}
		for _, b := range pkg.Bound {
			c.decls = append(c.decls, b.LinkName(linkPrefix(b.Type.Pkg())))
		}
		c.decls = append(c.decls, pkg.Made...)
		facts, err := build.ParseFacts(p.Packages[pkg.Path], files, res.Diagnostics)
		if err != nil {
			return nil, err
		}
		maps.Copy(c.facts, facts.Funcs)
	}
	slices.Sort(c.decls)
	c.decls = slices.Compact(c.decls)
	return c, nil
}

// canThin reports whether types of a package may be thin: those of the standard library are small.
func (p *Program) canThin(path string) bool {
	pkg := p.Packages[path]
	return pkg != nil && !pkg.Standard
}

// compileStub compiles a stub, and before it what it needs of thin types.
func compileStub(ctx context.Context, compiler *build.Compiler, p *Package, s *stub.Stub, deps map[string]string) (*build.Result, error) {
	if s.Thin != nil {
		thin := maps.Clone(deps)
		for _, pkg := range s.Thin.Packages {
			archive, err := compiler.Types(ctx, pkg.Path, pkg.Content, only(thin, pkg.Imports))
			if err != nil {
				return nil, err
			}
			thin[pkg.Path] = archive
		}
		deps = maps.Clone(deps)
		for _, pkg := range s.Thin.Front {
			archive, err := compiler.Types(ctx, pkg.Path, pkg.Content, only(thin, pkg.Imports))
			if err != nil {
				return nil, err
			}
			deps[pkg.Path] = archive
		}
	}
	return compiler.Compile(ctx, build.Request{Package: p.Path, Files: s.Sources(), Deps: deps, Stub: true, Flags: slices.Concat(build.FactFlags, build.ClosureFlags), Embed: p.Embed})
}

// only returns the archives of some packages.
func only(archives map[string]string, paths []string) map[string]string {
	some := map[string]string{}
	for _, path := range paths {
		if archive := archives[path]; archive != "" {
			some[path] = archive
		}
	}
	return some
}

// matters reports whether what the build left of a package would mislead those that need some names of it.
func (p *Program) matters(pkg *Package, needs map[string]bool, stale func(string) bool) bool {
	prefix := object.PathToPrefix(p.objectPath(pkg.Path)) + "."
	for name := range needs {
		recv, method, isMethod := strings.Cut(name, ".")
		if pkg.Context.Looks || stale(prefix+name) || isMethod && stale(prefix+"(*"+recv+")."+method) {
			return true
		}
	}
	return false
}

// initNames are the link names of functions that the stub of a package names.
func initNames(pkg *Package, names []string) []string {
	var list []string
	for _, name := range names {
		list = append(list, linkPrefix(pkg.Pkg)+"."+name)
	}
	return list
}

func layouts(list []stub.Layout) []link.Layout {
	out := make([]link.Layout, len(list))
	for i, l := range list {
		out[i] = link.Layout{Type: l.Type, Size: l.Size, Kind: l.Kind, Partial: l.Partial}
		for _, f := range l.Fields {
			out[i].Fields = append(out[i].Fields, link.Field(f))
		}
		for _, m := range l.Methods {
			out[i].Methods = append(out[i].Methods, link.Method(m))
		}
	}
	return out
}

// signatures are those of functions, by link name.
func signatures(fns []*types.Func) map[string]string {
	list := map[string]string{}
	for _, fn := range fns {
		list[LinkName(fn)] = stub.Signature(fn)
	}
	return list
}

// names are the link names of functions.
func names(fns []*types.Func) map[string]bool {
	set := map[string]bool{}
	for _, fn := range fns {
		set[LinkName(fn)] = true
	}
	return set
}

// objects looks up what other stubs need of a package: "F", "T", "T.Method".
func (pkg *Package) objects(names map[string]bool) ([]types.Object, error) {
	var list []types.Object
	for _, name := range sortedKeys(names) {
		name, method, isMethod := strings.Cut(name, ".")
		obj := pkg.Pkg.Scope().Lookup(name)
		if obj == nil {
			return nil, fmt.Errorf("%s has no declaration %s, which other changed packages use", pkg.Path, name)
		}
		if isMethod {
			m, _, _ := types.LookupFieldOrMethod(types.NewPointer(obj.Type()), true, pkg.Pkg, method)
			if m == nil {
				return nil, fmt.Errorf("%s.%s has no method %s, which other changed packages use", pkg.Path, name, method)
			}
			obj = m
		}
		list = append(list, obj)
	}
	return list, nil
}

// importedOf lists the packages of a request that a package imports, directly or not.
func importedOf(pkg *Package, earlier []Package) []string {
	var list []string
	for _, e := range earlier {
		for _, imp := range pkg.Pkg.Imports() {
			if imp.Path() == e.Path {
				list = append(list, e.Path)
			}
		}
	}
	slices.SortFunc(list, cmp.Compare)
	return list
}
