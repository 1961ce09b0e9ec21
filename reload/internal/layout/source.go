package layout

import (
	"errors"
	"fmt"
	"go/ast"
	"go/build"
	"go/constant"
	"go/parser"
	"go/token"
	"go/types"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
)

// needed are structs without which the source was not understood, whatever the toolchain.
var needed = []string{"moduledata", "g", "gobuf", "stack", "_func", "itab", "worldStop", "abi.Type", "abi.UncommonType"}

// source type-checks packages of a GOROOT from source without function bodies.
type source struct {
	ctxt   build.Context
	goroot string
	fset   *token.FileSet
	conf   types.Config
	files  map[string]func() ([]*ast.File, error) // parsing in the background, by import path
	loaded map[string]*types.Package
	first  error // of type checking; reported only if something needed is missing
}

// parse reads the layout from the toolchain's source.
func (t *toolchain) parse() (*Layout, error) {
	s := &source{
		ctxt: build.Context{
			GOARCH: "amd64", GOOS: "linux", GOROOT: t.goroot, Compiler: "gc",
			ToolTags: t.toolTags, ReleaseTags: t.releaseTags,
		},
		goroot: t.goroot,
		fset:   token.NewFileSet(),
		files:  make(map[string]func() ([]*ast.File, error)),
		loaded: map[string]*types.Package{"unsafe": types.Unsafe},
	}
	s.conf = types.Config{
		Importer:         s,
		Sizes:            types.SizesFor("gc", "amd64"),
		IgnoreFuncBodies: true,
		FakeImportC:      true,
		// Source of a newer Go than this program's may hold what go/types does not know: it goes on, and what matters is
		// whether the layouts were found.
		Error: func(err error) {
			if s.first == nil {
				s.first = err
			}
		},
	}
	l := &Layout{
		GoVersion: t.version,
		Structs:   make(map[string]Struct),
		Consts:    make(map[string]int64),
		Funcs:     make(map[string]string),
	}
	for _, root := range roots {
		pkg, err := s.Import(root.path)
		if err != nil {
			return nil, err
		}
		s.collect(l, pkg, root.prefix)
	}
	for _, name := range needed {
		if _, ok := l.Structs[name]; !ok {
			return nil, errors.Join(fmt.Errorf("its source has no struct %s", name), s.first)
		}
	}
	return l, nil
}

// collect adds the package-level declarations of pkg to l.
func (s *source) collect(l *Layout, pkg *types.Package, prefix string) {
	qualifier := func(p *types.Package) string {
		if p.Path() == "runtime" {
			return ""
		}
		return p.Name()
	}
	scope := pkg.Scope()
	for _, name := range scope.Names() {
		switch obj := scope.Lookup(name).(type) {
		case *types.Const:
			if v := obj.Val(); v.Kind() == constant.Bool {
				l.Consts[prefix+name] = 0
				if constant.BoolVal(v) {
					l.Consts[prefix+name] = 1
				}
			} else if v := constant.ToInt(v); v.Kind() == constant.Int {
				if i, exact := constant.Int64Val(v); exact {
					l.Consts[prefix+name] = i
				} else if u, exact := constant.Uint64Val(v); exact {
					l.Consts[prefix+name] = int64(u)
				}
			}
		case *types.Func:
			l.Funcs[prefix+name] = types.TypeString(obj.Type(), qualifier)
		case *types.TypeName:
			if st, ok := obj.Type().Underlying().(*types.Struct); ok && sized(obj.Type()) {
				l.Structs[prefix+name] = s.layout(obj.Type(), st, qualifier)
			}
		}
	}
}

// sized reports whether the size of t is known: t has no type parameters, and nothing that it holds by value was not
// understood by go/types.
func sized(t types.Type) bool {
	switch t := types.Unalias(t).(type) {
	case *types.Basic:
		return t.Kind() != types.Invalid
	case *types.Named:
		return t.TypeParams().Len() == t.TypeArgs().Len() && sized(t.Underlying())
	case *types.TypeParam:
		return false
	case *types.Array:
		return t.Len() >= 0 && sized(t.Elem())
	case *types.Struct:
		for i := range t.NumFields() {
			if !sized(t.Field(i).Type()) {
				return false
			}
		}
	}
	return true
}

// layout computes offsets and sizes of the fields of t, whose underlying type is st.
func (s *source) layout(t types.Type, st *types.Struct, qualifier types.Qualifier) Struct {
	fields := make([]*types.Var, st.NumFields())
	for i := range fields {
		fields[i] = st.Field(i)
	}
	offsets := s.conf.Sizes.Offsetsof(fields)
	out := Struct{Size: s.conf.Sizes.Sizeof(t), Fields: make(map[string]Field, len(fields))}
	for i, f := range fields {
		if f.Name() == "_" {
			continue
		}
		out.Fields[f.Name()] = Field{
			Offset: offsets[i],
			Size:   s.conf.Sizes.Sizeof(f.Type()),
			Type:   types.TypeString(f.Type(), qualifier),
		}
	}
	return out
}

// Import implements types.Importer from source.
func (s *source) Import(path string) (*types.Package, error) {
	if pkg, ok := s.loaded[path]; ok {
		if pkg == nil {
			return nil, fmt.Errorf("%s imports itself", path)
		}
		return pkg, nil
	}
	s.loaded[path] = nil
	s.start(path)
	files, err := s.files[path]()
	if err != nil {
		return nil, err
	}
	// Parse what it imports while it waits for the first of them.
	for _, f := range files {
		for _, spec := range f.Imports {
			if dep := strings.Trim(spec.Path.Value, `"`); dep != "unsafe" {
				s.start(dep)
			}
		}
	}
	pkg, err := s.conf.Check(path, s.fset, files, nil)
	if pkg == nil {
		return nil, err
	}
	pkg.MarkComplete()
	s.loaded[path] = pkg
	return pkg, nil
}

// start begins to parse a package.
func (s *source) start(path string) {
	if _, ok := s.files[path]; ok {
		return
	}
	type result struct {
		files []*ast.File
		err   error
	}
	ch := make(chan result, 1)
	go func() {
		files, err := s.parseDir(path)
		ch <- result{files, err}
	}()
	s.files[path] = sync.OnceValues(func() ([]*ast.File, error) {
		r := <-ch
		return r.files, r.err
	})
}

// parseDir parses the files of a standard package that a build for linux/amd64 would take, two at a time.
func (s *source) parseDir(path string) ([]*ast.File, error) {
	dir := filepath.Join(s.goroot, "src", filepath.FromSlash(path))
	entries, err := os.ReadDir(dir)
	if err != nil {
		dir = filepath.Join(s.goroot, "src", "vendor", filepath.FromSlash(path))
		if entries, err = os.ReadDir(dir); err != nil {
			return nil, fmt.Errorf("package %s: %w", path, err)
		}
	}
	files := make([]*ast.File, len(entries))
	errs := make([]error, len(entries))
	slots := make(chan struct{}, 4)
	var wg sync.WaitGroup
	for i, e := range entries {
		name := e.Name()
		if !strings.HasSuffix(name, ".go") || strings.HasSuffix(name, "_test.go") {
			continue
		}
		wg.Add(1)
		slots <- struct{}{}
		go func() {
			defer wg.Done()
			defer func() { <-slots }()
			match, err := s.ctxt.MatchFile(dir, name)
			if err != nil {
				errs[i] = fmt.Errorf("package %s: %w", path, err)
				return
			}
			if !match {
				return
			}
			// A syntax error is no reason to stop: the parser returns what it understood.
			f, err := parser.ParseFile(s.fset, filepath.Join(dir, name), nil, parser.SkipObjectResolution)
			if f == nil {
				errs[i] = fmt.Errorf("package %s: %w", path, err)
				return
			}
			files[i] = f
		}()
	}
	wg.Wait()
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	return slices.DeleteFunc(files, func(f *ast.File) bool { return f == nil }), nil
}
