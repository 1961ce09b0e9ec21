package stub

import (
	"cmp"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"go/types"
	"maps"
	"slices"
	"strconv"
)

// Names of the files that import stubs and thin types ahead of everything else, and behind it: the compiler is given
// files in the order of their names.
const (
	firstFile = "!limeade.go"
	lastFile  = "~limeade.go"

	// Of functions that have a file of their own, see locals.go.
	aheadFile  = "!limeade%04d.go"
	behindFile = "}limeade%04d.go"
)

// emit writes the files and says what is in them.
func (b *builder) emit() *Stub {
	s := &Stub{Thin: b.thin(), Needs: make(map[string][]string)}
	s.Shaped = b.shapedTypes()
	paths := make(map[string]bool)
	if s.Thin != nil || len(b.in.ImportFirst) > 0 {
		head := fmt.Appendf(nil, "package %s\n", b.in.Pkg.Name())
		if s.Thin != nil {
			head = fmt.Appendf(head, "import first %q\n", thinFirst)
			paths[thinFirst], paths[thinLast] = true, true
			for _, pkg := range s.Thin.Packages {
				for _, name := range pkg.shaped {
					s.Shaped[name] = true
				}
			}
		}
		for _, path := range b.in.ImportFirst {
			head = fmt.Appendf(head, "import _ %q\n", path)
			paths[path] = true
			s.Needs[path] = slices.Sorted(maps.Keys(b.needs[path]))
		}
		if s.Thin != nil {
			head = append(head, "type limeadeThin *first.Types\n"...)
		}
		s.Files = append(s.Files, File{firstFile, head})
	}
	pages := b.pages()
	silent := b.silentImports()
	heap := false
	for _, p := range pages {
		if len(p.text) == 0 {
			continue
		}
		if p.file.hollow && !heap {
			heap = true
			p.write("var %s %s.Pointer\n", hollowHeap, hollowUnsafe)
		}
		var named map[string]bool
		if len(b.locals.moved) > 0 {
			named = qualifiers(p.text)
		}
		s.Files = append(s.Files, File{p.name, append(b.head(p.file, silent, named, paths), p.text...)})
		silent = nil
	}
	if len(b.in.Bound) > 0 {
		s.Files = append(s.Files, File{bindFile, b.bindings()})
	}
	if s.Thin != nil {
		s.Files = append(s.Files, File{lastFile, fmt.Appendf(nil, "package %s\nimport _ %q\n", b.in.Pkg.Name(), thinLast)})
	}
	s.Imports = slices.Sorted(maps.Keys(paths))
	b.report(s)
	s.Layouts = b.layouts()
	for i, init := range b.in.Added {
		name := b.initName(i)
		if b.decls[init.Lhs[0]].body {
			name = "init" // of the package: it initialises all that have kept their initialisers
		}
		if !slices.Contains(s.Inits, name) {
			s.Inits = append(s.Inits, name)
		}
	}
	return s
}

// pages writes the declarations, in the order in which the compiler is to read them.
func (b *builder) pages() []*page {
	locals := b.locals
	var list []*page
	for i, d := range locals.moved[:locals.ahead] {
		list = append(list, b.emitAlone(fmt.Sprintf(aheadFile, i), d, locals))
	}
	for _, f := range b.files {
		list = append(list, b.emitDecls(f, locals))
	}
	for i, d := range locals.moved[locals.ahead:] {
		list = append(list, b.emitAlone(fmt.Sprintf(behindFile, i), d, locals))
	}
	return list
}

// qualifiers returns the names before dots in declarations.
func qualifiers(text []byte) map[string]bool {
	names := make(map[string]bool)
	f, err := parser.ParseFile(token.NewFileSet(), "", append([]byte("package p\n"), text...), parser.SkipObjectResolution)
	if err != nil {
		return nil // the compiler will say so
	}
	ast.Inspect(f, func(n ast.Node) bool {
		if sel, ok := n.(*ast.SelectorExpr); ok {
			if id, ok := sel.X.(*ast.Ident); ok {
				names[id.Name] = true
			}
		}
		return true
	})
	return names
}

// bindFile is the name of the file with the functions that bind methods. It comes last.
const bindFile = "zz_limeade_bind.go"

// bindings writes functions whose only use is the method value in each, which makes the compiler emit the
// function of that value.
func (b *builder) bindings() []byte {
	out := fmt.Appendf(nil, "package %s\n", b.in.Pkg.Name())
	for i, w := range b.in.Bound {
		star := ""
		if w.Pointer {
			star = "*"
		}
		out = fmt.Appendf(out, "func limeadeBind%d(x %s%s) interface{} { return x.%s }\n", i, star, w.Type.Name(), w.Method.Name())
	}
	return out
}

// headLines is the number of lines that head writes.
func headLines(f *file) int {
	if f.ast.GoVersion != "" {
		return 3
	}
	return 1
}

// head writes what stands before the declarations of a file, the imports in the line of the package
// clause, of those with names only the ones in named if that is not nil. It adds the import paths to paths.
func (b *builder) head(f *file, silent []string, named, paths map[string]bool) []byte {
	var out []byte
	if f.ast.GoVersion != "" {
		out = fmt.Appendf(out, "//go:build %s\n\n", f.ast.GoVersion) // the language version of the file
	}
	out = fmt.Appendf(out, "package %s", b.in.Pkg.Name())
	add := func(name, quoted string) {
		if named != nil && name != "_" && !named[name] {
			return
		}
		out = fmt.Appendf(out, "; import %s %s", name, quoted)
		if path, err := strconv.Unquote(quoted); err == nil {
			paths[path] = true
		}
	}
	for _, spec := range f.ast.Imports {
		if name := b.importName(spec); name != nil && b.imports[name] {
			add(name.Name(), spec.Path.Value)
		}
	}
	for _, pkg := range slices.SortedFunc(maps.Keys(f.extra), func(x, y *types.Package) int {
		return cmp.Compare(f.extra[x], f.extra[y])
	}) {
		add(f.extra[pkg], b.quotedPath(pkg))
	}
	for _, quoted := range silent {
		add("_", quoted)
	}
	if f.unsafe {
		add("_", `"unsafe"`)
	}
	if f.embeds {
		add("_", `"embed"`)
	}
	if f.hollow {
		add(hollowUnsafe, `"unsafe"`)
	}
	return append(out, '\n')
}

// silentImports returns the quoted paths of packages whose methods are called, and which the whole
// package imports, but the stub does not. Their own export data is the only one sure to have the
// methods' bodies, to inline them.
func (b *builder) silentImports() []string {
	var list []string
	done := make(map[*types.Package]bool)
	for name := range b.imports {
		done[name.Imported()] = true
	}
	for _, f := range b.files {
		for pkg := range f.extra {
			done[pkg] = true
		}
	}
	for _, f := range b.files {
		for _, spec := range f.ast.Imports {
			if name := b.importName(spec); name != nil && b.foreign[name.Imported()] && !done[name.Imported()] {
				done[name.Imported()] = true
				list = append(list, spec.Path.Value)
			}
		}
	}
	return list
}

// quotedPath returns the quoted path by which some file imports a package, which an import map may
// change, else the package's own.
func (b *builder) quotedPath(pkg *types.Package) string {
	for _, f := range b.files {
		for _, spec := range f.ast.Imports {
			if name := b.importName(spec); name != nil && name.Imported() == pkg {
				return spec.Path.Value
			}
		}
	}
	return strconv.Quote(pkg.Path())
}

// report lists what is compiled beyond what was asked for.
func (b *builder) report(s *Stub) {
	asked := make(map[types.Object]bool)
	for _, fn := range b.in.Keep {
		asked[fn.Origin()] = true
	}
	for _, v := range b.in.Init {
		asked[v] = true
	}
	for _, init := range b.in.Added {
		for _, v := range init.Lhs {
			asked[v] = true
		}
	}
	for _, f := range b.files {
		for _, d := range f.decls {
			if d.hollow {
				s.Hollow = append(s.Hollow, d.obj.(*types.Func))
			}
			if !d.body || asked[d.obj] {
				continue
			}
			switch obj := d.obj.(type) {
			case *types.Func:
				s.Bodies = append(s.Bodies, obj)
			case *types.Var:
				s.Reinit = append(s.Reinit, obj)
			}
		}
	}
}

// shapedTypes returns the link names of the types that lack fields or methods.
func (b *builder) shapedTypes() map[string]bool {
	shaped := make(map[string]bool)
	for _, st := range b.typeList {
		named, ok := st.decl.obj.Type().(*types.Named)
		if ok && b.lacks(named, make(map[*types.Named]bool)) {
			shaped[linkPath(b.in.Pkg)+"."+named.Obj().Name()] = true
		}
	}
	return shaped
}

// lacks reports whether the stub leaves out what belongs to a type's descriptor, its equality function
// or its wrappers.
func (b *builder) lacks(t *types.Named, done map[*types.Named]bool) bool {
	t = t.Origin()
	if done[t] || t.Obj().Pkg() != b.in.Pkg {
		return false
	}
	done[t] = true
	for _, m := range b.methods[t.Obj()] {
		if !m.used {
			return true
		}
	}
	if b.lacksFields(t) {
		return true
	}
	s, ok := t.Underlying().(*types.Struct)
	if !ok {
		return false
	}
	for v := range s.Fields() { // it has the methods of what it embeds, and of nothing else that is in it
		named := namedOf(v.Type())
		if !v.Embedded() || named == nil {
			continue
		}
		if _, thin := b.thinned[named.Obj()]; thin || b.lacks(named, done) {
			return true
		}
	}
	return false
}

// lacksFields reports whether the stub leaves out fields of a type, or of what is in it.
func (b *builder) lacksFields(t types.Type) bool {
	if named, ok := types.Unalias(t).(*types.Named); ok && b.thinned[named.Obj()] {
		return true
	}
	switch u := t.Underlying().(type) {
	case *types.Array:
		return b.lacksFields(u.Elem())
	case *types.Struct:
		for v := range u.Fields() {
			if _, ok := b.fieldOf[v]; ok && !b.touched[v] || b.lacksFields(v.Type()) {
				return true
			}
		}
	}
	return false
}
