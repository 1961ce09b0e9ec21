package stub

import (
	"cmp"
	"fmt"
	"go/token"
	"go/types"
	"iter"
	"maps"
	"slices"
	"strings"
)

// Whoever mentions an imported type has the compiler read all that the type is made of, through packages and
// packages, and compile every method of every instance of a generic type that it meets there, needed or not
// (cmd/compile/internal/noder/reader.go, objIdx and todoBodies, Go 1.26): a second for a function of three lines
// whose receiver points to a program's one central struct.
//
// So such types can be thin: declared anew for the stub, under their own names in a source of their own package, with
// stand-ins for all fields that the stub's code does not name. Of several definitions of a type, the compiler's type
// checker keeps the first one that it imports, and its back end one that was read before, else the last
// (noder/unified.go, readPackage; importer/ureader.go, objIdx). Therefore the stub's first file imports a package
// that mentions all thin types, and its last file imports its twin.
//
// Everything else of their packages is the real thing, inlinable bodies among it, which may look at fields that a thin
// type does not have. That must not go unnoticed: stand-ins have names that nobody knows, and those of interfaces
// cannot be compared. The compiler fails then, and the stub is made without thin types.

// Thin is what a stub needs to be compiled against thin types.
type Thin struct {
	Packages []ThinPackage // imported ones first
	Front    []ThinPackage // the two packages that mention their types: the first and the last one that the stub imports
}

// A ThinPackage is the source of types of one package.
type ThinPackage struct {
	Path    string
	Content []byte
	Imports []string // sorted

	shaped []string // link names of the types
}

// ThinField begins the names of stand-ins in thin types. A symbol with it in its name is of no use to anybody.
const ThinField = "limeadeThin"

const (
	thinFirst = "limeade/first"
	thinLast  = "limeade/last"
)

const (
	manyMethods = 100   // methods of instances; to compile them takes longer than to compile thin types
	manyTypes   = 20000 // types to look at
)

// A thinner finds out which types can be thin.
type thinner struct {
	b    *builder
	real map[*types.Package]bool                    // packages of which no type can be thin
	args map[*types.TypeName]bool                   // what type arguments are made of, and what structs embed: their methods matter
	decl map[*types.TypeName]bool                   // to be declared
	by   map[*types.Package][]*types.TypeName       // the same
	deps map[*types.Package]map[*types.Package]bool // which packages mention types of which others

	methods map[*types.TypeName][]*types.Func // that are declared
}

// thin returns the thin types that spare the compiler much, or nil.
func (b *builder) thin() *Thin {
	if b.in.CanThin == nil {
		return nil
	}
	roots := b.thinRoots()
	t := &thinner{b: b, real: map[*types.Package]bool{}, args: map[*types.TypeName]bool{}}
	weight := t.weight(roots)
	if weight < manyMethods {
		return nil
	}
	t.findArgs()
	for before := -1; before != len(t.real); {
		before = len(t.real)
		t.decl = map[*types.TypeName]bool{}
		t.by = map[*types.Package][]*types.TypeName{}
		t.deps = map[*types.Package]map[*types.Package]bool{}
		t.methods = map[*types.TypeName][]*types.Func{}
		for _, root := range roots {
			t.mention(nil, root)
		}
	}
	if len(t.decl) == 0 || t.weight(roots) > weight/2 || !t.sameLayouts() {
		return nil
	}
	for obj := range t.decl {
		s, ok := obj.Type().Underlying().(*types.Struct)
		b.thinned[obj] = ok && slices.ContainsFunc(slices.Collect(s.Fields()), func(v *types.Var) bool { return !t.whole(obj, v) })
	}
	return t.write()
}

// parts calls f for the types that a type is spelled with.
func parts(t types.Type, f func(types.Type)) {
	list := func(l *types.TypeList) {
		for arg := range l.Types() {
			f(arg)
		}
	}
	switch t := t.(type) {
	case *types.Alias:
		list(t.TypeArgs())
	case *types.Named:
		list(t.TypeArgs())
	case *types.Pointer:
		f(t.Elem())
	case *types.Slice:
		f(t.Elem())
	case *types.Array:
		f(t.Elem())
	case *types.Chan:
		f(t.Elem())
	case *types.Map:
		f(t.Key())
		f(t.Elem())
	case *types.Tuple:
		for v := range t.Variables() {
			f(v.Type())
		}
	case *types.Signature:
		f(t.Params())
		f(t.Results())
	case *types.Struct:
		for v := range t.Fields() {
			f(v.Type())
		}
	case *types.Interface:
		for m := range t.ExplicitMethods() {
			f(m.Type())
		}
		for e := range t.EmbeddedTypes() {
			f(e)
		}
	}
}

// weight counts the methods of instances that the compiler compiles because of some types, as far as it matters.
func (t *thinner) weight(roots []types.Type) (methods int) {
	seen := map[types.Type]bool{}
	var visit func(typ types.Type)
	visit = func(typ types.Type) {
		if seen[typ] || len(seen) > manyTypes {
			return
		}
		seen[typ] = true
		parts(typ, visit)
		switch typ := typ.(type) {
		case *types.Alias:
			visit(types.Unalias(typ))
		case *types.Named:
			obj := typ.Obj()
			if typ.TypeArgs().Len() > 0 {
				methods += typ.NumMethods()
			}
			if obj.Pkg() == nil || !t.b.in.CanThin(obj.Pkg().Path()) {
				return
			}
			if t.decl[obj] {
				for _, fn := range t.methods[obj] {
					visit(fn.Type())
				}
			}
			if s, ok := typ.Underlying().(*types.Struct); ok && t.decl[obj] {
				for v := range s.Fields() {
					if t.whole(obj, v) {
						visit(v.Type())
					}
				}
				return
			}
			for m := range typ.Methods() {
				visit(m.Type())
			}
			visit(typ.Underlying())
		}
	}
	for _, root := range roots {
		visit(root)
	}
	return methods
}

// sameLayouts reports whether all thin structs are laid out as the real ones.
func (t *thinner) sameLayouts() bool {
	for obj := range t.decl {
		s, ok := obj.Type().Underlying().(*types.Struct)
		if !ok || obj.IsAlias() {
			continue
		}
		var fields []*types.Var
		for v := range s.Fields() {
			fields = append(fields, v)
		}
		if t.b.sameLayout(fields, t.fields(obj, s)) != nil {
			return false
		}
	}
	return true
}

// thinRoots are the types of other packages that the stub's code mentions, sorted.
func (b *builder) thinRoots() []types.Type {
	var list []*types.Named
	for t := range b.seen {
		if named, ok := t.(*types.Named); ok && named.Obj().Pkg() != nil && named.Obj().Pkg() != b.in.Pkg {
			list = append(list, named)
		}
	}
	slices.SortFunc(list, func(x, y *types.Named) int { return cmp.Compare(types.TypeString(x, nil), types.TypeString(y, nil)) })
	roots := make([]types.Type, len(list))
	for i, t := range list {
		roots[i] = t
	}
	return roots
}

// findArgs finds type arguments and embedded types.
func (t *thinner) findArgs() {
	mark := func(typ types.Type) {
		if named := namedOf(typ); named != nil {
			t.args[named.Obj()] = true
		}
	}
	embedded := func(typ types.Type) {
		if s, ok := typ.Underlying().(*types.Struct); ok {
			for v := range s.Fields() {
				if v.Embedded() {
					mark(v.Type())
				}
			}
		}
	}
	for typ := range t.b.whole { // its method table has those of what it embeds
		embedded(typ)
	}
	for typ := range t.b.seen {
		switch typ := typ.(type) {
		case *types.Struct:
			embedded(typ)
		case *types.Named:
			if typ.TypeParams().Len() > 0 {
				embedded(typ)
			}
			for arg := range typ.TypeArgs().Types() {
				inside(arg, func(obj *types.TypeName) { t.args[obj] = true })
			}
		}
	}
	for _, arg := range t.b.typeArgs {
		inside(arg, func(obj *types.TypeName) { t.args[obj] = true })
	}
}

// inside calls f for the declared types that a type is made of.
func inside(t types.Type, f func(*types.TypeName)) {
	t = types.Unalias(t)
	if named, ok := t.(*types.Named); ok {
		f(named.Obj())
	}
	parts(t, func(part types.Type) { inside(part, f) })
}

// mention notes that the thin types of a package, or with nil the stub itself, mention a type.
func (t *thinner) mention(from *types.Package, typ types.Type) {
	switch typ := typ.(type) {
	case *types.Alias:
		if typ.TypeArgs().Len() > 0 {
			t.keep(typ.Obj().Pkg())
		} else {
			t.name(from, typ.Obj())
		}
	case *types.Named:
		t.name(from, typ.Obj())
	}
	parts(typ, func(part types.Type) { t.mention(from, part) })
}

// keep notes that a package must be the real one.
func (t *thinner) keep(pkg *types.Package) {
	if pkg != nil {
		t.real[pkg] = true
	}
}

// name notes the mention of a declared type.
func (t *thinner) name(from *types.Package, obj *types.TypeName) {
	pkg := obj.Pkg()
	if pkg == nil || pkg == t.b.in.Pkg {
		return
	}
	if from != nil && from != pkg {
		if t.deps[from] == nil {
			t.deps[from] = map[*types.Package]bool{}
		}
		t.deps[from][pkg] = true
	}
	if t.real[pkg] || t.decl[obj] {
		return
	}
	if !t.suitable(obj) {
		t.keep(pkg)
		return
	}
	t.decl[obj] = true
	t.by[pkg] = append(t.by[pkg], obj)
	for _, fn := range t.methods[obj] {
		t.mention(pkg, fn.Signature())
	}
	switch {
	case obj.IsAlias():
		t.mention(pkg, types.Unalias(obj.Type()))
	default:
		if s, ok := obj.Type().Underlying().(*types.Struct); ok {
			for v := range s.Fields() {
				if t.whole(obj, v) {
					t.mention(pkg, v.Type())
				}
			}
			return
		}
		t.mention(pkg, obj.Type().Underlying())
	}
}

// whole reports whether a thin struct has a field as it is.
func (t *thinner) whole(obj *types.TypeName, v *types.Var) bool {
	return t.b.touched[v] || inRegisters(obj.Type()) || !t.b.replaceable(v.Type())
}

// suitable reports whether a type can be thin, and finds the methods that it needs. These do not have their bodies, and
// are not inlined.
func (t *thinner) suitable(obj *types.TypeName) bool {
	pkg := obj.Pkg()
	if !t.b.in.CanThin(pkg.Path()) || slices.Contains(t.b.in.ImportFirst, pkg.Path()) || obj.Parent() != pkg.Scope() || t.args[obj] {
		return false
	}
	for _, name := range types.Universe.Names() {
		if _, ok := types.Universe.Lookup(name).(*types.TypeName); ok && pkg.Scope().Lookup(name) != nil {
			return false
		}
	}
	if obj.IsAlias() {
		alias, ok := obj.Type().(*types.Alias)
		return !ok || alias.TypeParams().Len() == 0
	}
	named, ok := obj.Type().(*types.Named)
	if !ok || named.TypeParams().Len() > 0 || !t.b.hostHas(named) {
		return false
	}
	if types.IsInterface(named) {
		return true
	}
	methods := slices.Clone(t.b.called[obj])
	for _, iface := range t.b.interfaces {
		if !types.Implements(named, iface) && !types.Implements(types.NewPointer(named), iface) {
			continue
		}
		for m := range iface.Methods() { // it may be converted to it
			found, path, _ := types.LookupFieldOrMethod(named, true, m.Pkg(), m.Name())
			fn, ok := found.(*types.Func)
			if !ok || len(path) > 1 {
				return false
			}
			if !slices.Contains(methods, fn) {
				methods = append(methods, fn)
			}
		}
	}
	for _, fn := range methods {
		if fact, ok := t.b.fact(fn); !ok || slices.ContainsFunc(fact.Params, func(ways []string) bool { return slices.Contains(ways, "uintptr") }) {
			return false
		}
	}
	slices.SortFunc(methods, func(x, y *types.Func) int { return cmp.Compare(x.Name(), y.Name()) })
	t.methods[obj] = methods
	return true
}

// write writes the sources.
func (t *thinner) write() *Thin {
	th := &Thin{}
	done := map[*types.Package]bool{}
	var add func(pkg *types.Package)
	add = func(pkg *types.Package) {
		if done[pkg] || t.by[pkg] == nil {
			return
		}
		done[pkg] = true
		for _, dep := range byPath(maps.Keys(t.deps[pkg])) {
			add(dep)
		}
		th.Packages = append(th.Packages, t.source(pkg))
	}
	pkgs := byPath(maps.Keys(t.by))
	for _, pkg := range pkgs {
		add(pkg)
	}
	for _, path := range []string{thinFirst, thinLast} {
		front := ThinPackage{Path: path}
		var types strings.Builder
		out := fmt.Appendf(nil, "package %s\n", path[strings.LastIndexByte(path, '/')+1:])
		for i, pkg := range pkgs {
			mentioned := false
			for _, obj := range byName(t.by[pkg]) {
				if obj.Exported() {
					fmt.Fprintf(&types, "\t_ *p%d.%s\n", i, obj.Name())
					mentioned = true
				}
			}
			if mentioned {
				front.Imports = append(front.Imports, pkg.Path())
				out = fmt.Appendf(out, "import p%d %q\n", i, pkg.Path())
			}
		}
		front.Content = fmt.Appendf(out, "type Types struct {\n%s}\n", types.String())
		th.Front = append(th.Front, front)
	}
	return th
}

// source declares the thin types of a package.
func (t *thinner) source(pkg *types.Package) ThinPackage {
	imports := map[*types.Package]string{}
	qualifier := func(p *types.Package) string {
		if p == pkg {
			return ""
		}
		if imports[p] == "" {
			imports[p] = fmt.Sprintf("limeade%d", len(imports))
		}
		return imports[p]
	}
	th := ThinPackage{Path: pkg.Path(), Content: fmt.Appendf(nil, "package %s\n", pkg.Name())}
	var decls, methods []byte
	for _, obj := range byName(t.by[pkg]) {
		if obj.IsAlias() {
			decls = fmt.Appendf(decls, "type %s = %s\n", obj.Name(), types.TypeString(types.Unalias(obj.Type()), qualifier))
			continue
		}
		if !types.IsInterface(obj.Type()) {
			th.shaped = append(th.shaped, linkPath(pkg)+"."+obj.Name())
		}
		for _, fn := range t.methods[obj] {
			methods = append(methods, t.method(fn, qualifier)...)
		}
		s, ok := obj.Type().Underlying().(*types.Struct)
		if !ok {
			decls = fmt.Appendf(decls, "type %s %s\n", obj.Name(), types.TypeString(obj.Type().Underlying(), qualifier))
			continue
		}
		decls = fmt.Appendf(decls, "type %s struct {\n", obj.Name())
		for _, v := range t.fields(obj, s) {
			name := v.Name() + " "
			if v.Embedded() {
				name = ""
			}
			decls = fmt.Appendf(decls, "\t%s%s\n", name, types.TypeString(v.Type(), qualifier))
		}
		decls = fmt.Appendf(decls, "}\n")
	}
	for _, p := range byPath(maps.Keys(imports)) {
		th.Imports = append(th.Imports, p.Path())
		th.Content = fmt.Appendf(th.Content, "import %s %q\n", imports[p], p.Path())
	}
	if len(methods) > 0 {
		th.Imports = append(th.Imports, "unsafe")
		th.Content = fmt.Appendf(th.Content, "import %s \"unsafe\"\n", hollowUnsafe)
		decls = fmt.Appendf(decls, "var %s %s.Pointer\n", hollowHeap, hollowUnsafe)
	}
	th.Content = slices.Concat(th.Content, decls, methods)
	return th
}

// method writes a method that does with its parameters what the real one does, as far as callers can tell.
func (t *thinner) method(fn *types.Func, qualifier types.Qualifier) []byte {
	sig := fn.Signature()
	spell := func(name string, from int, list *types.Tuple, variadic bool) (text string, typeTexts []string) {
		var words []string
		for i := range list.Len() {
			typ := types.TypeString(list.At(i).Type(), qualifier)
			typeTexts = append(typeTexts, typ)
			if variadic && i == list.Len()-1 {
				typ = "..." + types.TypeString(list.At(i).Type().(*types.Slice).Elem(), qualifier)
			}
			words = append(words, fmt.Sprintf("%s%d %s", name, from+i, typ))
		}
		return strings.Join(words, ", "), typeTexts
	}
	params, _ := spell(hollowParam, 1, sig.Params(), sig.Variadic())
	results, resultTypes := spell(hollowResult, 0, sig.Results(), false)
	out := fmt.Appendf(nil, "//go:noinline\nfunc (%s0 %s) %s(%s) (%s) { ", hollowParam, types.TypeString(sig.Recv().Type(), qualifier), fn.Name(), params, results)
	fact, _ := t.b.fact(fn)
	all := paramTypes(fn)
	for _, flow := range fact.flows() {
		if flow.param < len(all) && hasPointers(all[flow.param]) {
			out = append(out, flowText(flow, resultTypes)...)
		}
	}
	return append(out, "return }\n"...)
}

// fields are those of a thin struct.
func (t *thinner) fields(obj *types.TypeName, s *types.Struct) []*types.Var {
	var list []*types.Var
	for i := range s.NumFields() {
		v := s.Field(i)
		if !t.whole(obj, v) {
			v = types.NewField(token.NoPos, v.Pkg(), fmt.Sprintf("%s%d", ThinField, i), incomparable(t.b.standIn(v.Type())), false)
		}
		list = append(list, v)
	}
	return list
}

// incomparable puts structs that cannot be compared in place of the interfaces in a stand-in.
func incomparable(t types.Type) types.Type {
	switch u := t.(type) {
	case *types.Interface:
		return types.NewStruct([]*types.Var{
			types.NewField(token.NoPos, nil, ThinField+"Type", types.NewSignatureType(nil, nil, nil, nil, nil, false), false),
			types.NewField(token.NoPos, nil, ThinField+"Data", bytePointer, false),
		}, nil)
	case *types.Array:
		return types.NewArray(incomparable(u.Elem()), u.Len())
	case *types.Struct:
		fields := make([]*types.Var, u.NumFields())
		for i := range fields {
			v := u.Field(i)
			fields[i] = types.NewField(token.NoPos, v.Pkg(), v.Name(), incomparable(v.Type()), false)
		}
		return types.NewStruct(fields, nil)
	}
	return t
}

func byPath(pkgs iter.Seq[*types.Package]) []*types.Package {
	return slices.SortedFunc(pkgs, func(x, y *types.Package) int { return cmp.Compare(x.Path(), y.Path()) })
}

func byName(objs []*types.TypeName) []*types.TypeName {
	return slices.SortedFunc(slices.Values(objs), func(x, y *types.TypeName) int { return cmp.Compare(x.Name(), y.Name()) })
}
