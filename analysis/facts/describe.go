package facts

import (
	"cmp"
	"fmt"
	"go/constant"
	"go/types"
	"maps"
	"slices"
	"strconv"
	"strings"
)

// A printer writes types so that two of them are identical exactly if their texts are equal, in whatever type-checker
// run they were made: names have full paths, type parameters are numbered, aliases are looked through, parameter names
// are left out. go/types has no identity across two loads of a package.
type printer struct {
	b       []byte
	tparams []*types.TypeParam // in the order in which they are met
	open    []*types.Interface // being written
	whole   bool               // of types in functions, all is written
	locals  []*types.Named     // of those, the ones that were
}

// Fingerprint is a 64-bit FNV-1a hash of a description.
type Fingerprint uint64

func fingerprint(b []byte) Fingerprint {
	sum := uint64(14695981039346656037)
	for _, c := range b {
		sum = (sum ^ uint64(c)) * 1099511628211
	}
	return Fingerprint(sum)
}

func (p *printer) str(s string)                 { p.b = append(p.b, s...) }
func (p *printer) f(format string, args ...any) { p.b = fmt.Appendf(p.b, format, args...) }

func (p *printer) pkg(pkg *types.Package) {
	if pkg != nil {
		p.str(LinkPath(pkg.Path(), pkg.Name()))
	}
	p.str(".")
}

// describe returns the text of a type.
func describe(t types.Type) string {
	var p printer
	p.typ(t)
	return string(p.b)
}

// describeWhole is describe where types that are declared in functions are written with what they are made of: their
// names say too little.
func describeWhole(t types.Type) string {
	p := printer{whole: true}
	p.typ(t)
	return string(p.b)
}

func (p *printer) typ(t types.Type) {
	switch t := types.Unalias(t).(type) {
	case nil:
		p.str("nil")
	case *types.Basic:
		p.str(t.Name())
	case *types.Pointer:
		p.str("*")
		p.typ(t.Elem())
	case *types.Slice:
		p.str("[]")
		p.typ(t.Elem())
	case *types.Array:
		p.f("[%d]", t.Len())
		p.typ(t.Elem())
	case *types.Map:
		p.str("map[")
		p.typ(t.Key())
		p.str("]")
		p.typ(t.Elem())
	case *types.Chan:
		p.f("chan%d ", t.Dir())
		p.typ(t.Elem())
	case *types.Named:
		p.named(t)
	case *types.TypeParam:
		p.tparam(t)
	case *types.Struct:
		p.structure(t)
	case *types.Interface:
		p.iface(t)
	case *types.Signature:
		p.str("func")
		p.signature(t)
	case *types.Tuple:
		p.tuple(t)
	case *types.Union:
		for i := range t.Len() {
			if i > 0 {
				p.str("|")
			}
			if t.Term(i).Tilde() {
				p.str("~")
			}
			p.typ(t.Term(i).Type())
		}
	default:
		p.f("%T", t)
	}
}

func (p *printer) named(t *types.Named) {
	obj := t.Obj()
	p.pkg(obj.Pkg())
	p.str(obj.Name())
	if obj.Pkg() != nil && obj.Parent() != obj.Pkg().Scope() {
		p.str("·") // a local type
		if p.whole {
			p.local(t.Origin())
		}
	}
	p.args(t.TypeArgs())
}

// local writes what a type in a function is made of where it is met first, and after that only which one it is.
func (p *printer) local(t *types.Named) {
	if i := slices.Index(p.locals, t); i >= 0 {
		p.f("%d", i)
		return
	}
	p.locals = append(p.locals, t)
	p.str("{")
	p.typ(t.Underlying())
	p.str("}")
}

func (p *printer) args(list *types.TypeList) {
	if list.Len() == 0 {
		return
	}
	p.str("[")
	for i := range list.Len() {
		if i > 0 {
			p.str(",")
		}
		p.typ(list.At(i))
	}
	p.str("]")
}

func (p *printer) tparam(t *types.TypeParam) {
	i := slices.Index(p.tparams, t)
	if i < 0 {
		i = len(p.tparams)
		p.tparams = append(p.tparams, t)
	}
	p.f("$%d", i)
}

// declare numbers type parameters and writes their constraints.
func (p *printer) declare(list *types.TypeParamList) {
	if list.Len() == 0 {
		return
	}
	for t := range list.TypeParams() {
		p.tparam(t)
	}
	p.str("[")
	for t := range list.TypeParams() {
		p.tparam(t)
		p.str(" ")
		p.typ(t.Constraint())
		p.str(",")
	}
	p.str("]")
}

func (p *printer) structure(t *types.Struct) {
	p.str("struct{")
	for i := range t.NumFields() {
		f := t.Field(i)
		if f.Embedded() {
			p.str("@")
		}
		if !f.Exported() {
			p.pkg(f.Pkg())
		}
		p.str(f.Name())
		p.str(" ")
		p.typ(f.Type())
		if tag := t.Tag(i); tag != "" {
			p.str(strconv.Quote(tag))
		}
		p.str(";")
	}
	p.str("}")
}

func (p *printer) iface(t *types.Interface) {
	if slices.Contains(p.open, t) { // type T interface{ m() interface{ T } }
		p.str("^")
		return
	}
	p.open = append(p.open, t)
	defer func() { p.open = p.open[:len(p.open)-1] }()
	p.str("interface{")
	methods := make([]*types.Func, t.NumMethods())
	for i := range methods {
		methods[i] = t.Method(i)
	}
	slices.SortFunc(methods, compareIDs)
	for _, m := range methods {
		if !m.Exported() {
			p.pkg(m.Pkg())
		}
		p.str(m.Name())
		p.signature(m.Signature())
		p.str(";")
	}
	if t.IsComparable() {
		p.str("comparable;")
	}
	if !t.IsMethodSet() {
		for i := range t.NumEmbeddeds() {
			if !types.IsInterface(t.EmbeddedType(i)) || !types.Unalias(t.EmbeddedType(i)).Underlying().(*types.Interface).IsMethodSet() {
				p.str("|")
				p.typ(t.EmbeddedType(i))
				p.str(";")
			}
		}
	}
	p.str("}")
}

func compareIDs(a, b *types.Func) int { return cmp.Compare(a.Id(), b.Id()) }

// signature writes parameters and results, not the receiver.
func (p *printer) signature(t *types.Signature) {
	if recv := t.RecvTypeParams(); recv.Len() != 0 {
		for tp := range recv.TypeParams() {
			p.tparam(tp)
		}
	}
	p.declare(t.TypeParams())
	p.tuple(t.Params())
	if t.Variadic() {
		p.str("...")
	}
	p.tuple(t.Results())
}

func (p *printer) tuple(t *types.Tuple) {
	p.str("(")
	for v := range t.Variables() {
		p.typ(v.Type())
		p.str(",")
	}
	p.str(")")
}

// object writes what others can know of a package-level object: its type, a constant's value, what a type is made of.
func (p *printer) object(obj types.Object) {
	switch obj := obj.(type) {
	case *types.Const:
		p.str("const ")
		p.typ(obj.Type())
		p.str(" ")
		p.value(obj.Val())
	case *types.TypeName:
		p.typeName(obj)
	case *types.Func:
		p.str("func ")
		if recv := obj.Signature().Recv(); recv != nil {
			_, pointer := baseType(recv.Type())
			p.f("%t ", pointer)
		}
		p.signature(obj.Signature())
	default:
		p.str("var ")
		p.typ(obj.Type())
	}
}

func (p *printer) value(v constant.Value) {
	if v.Kind() == constant.String {
		p.str(strconv.Quote(constant.StringVal(v)))
		return
	}
	p.str(v.ExactString())
}

func (p *printer) typeName(obj *types.TypeName) {
	if obj.IsAlias() {
		p.str("alias ")
		if a, ok := obj.Type().(*types.Alias); ok {
			p.declare(a.TypeParams())
		}
		p.typ(obj.Type())
		return
	}
	p.str("type ")
	if named, ok := obj.Type().(*types.Named); ok {
		p.declare(named.TypeParams())
	}
	p.typ(obj.Type().Underlying())
}

// API returns the fingerprint of all that importers of pkg can see: its exported objects, and what can be reached from
// them, with all methods. Names of parameters, positions and bodies do not count.
func API(pkg *types.Package) Fingerprint {
	lines := api(pkg)
	var b []byte
	for _, name := range slices.Sorted(maps.Keys(lines)) {
		b = append(b, name+" "+lines[name].text+"\n"...)
	}
	return fingerprint(b)
}

// An apiLine is one object that importers can see.
type apiLine struct {
	text   string
	isType bool // a type or a method
}

// api describes what importers of pkg can see, by name; methods are named "T.M".
func api(pkg *types.Package) map[string]apiLine {
	var (
		lines = make(map[string]apiLine)
		work  []*types.TypeName
		seen  = make(map[*types.TypeName]bool)
	)
	add := func(name string, obj types.Object, isType bool) {
		var p printer
		p.object(obj)
		lines[name] = apiLine{string(p.b), isType}
	}
	visit := func(t *types.TypeName) {
		if t.Pkg() == pkg && t.Parent() == pkg.Scope() && !seen[t] {
			seen[t] = true
			work = append(work, t)
		}
	}
	visited := make(map[types.Type]bool)
	scope := pkg.Scope()
	for _, name := range scope.Names() {
		obj := scope.Lookup(name)
		if !obj.Exported() {
			continue
		}
		if t, ok := obj.(*types.TypeName); ok {
			visit(t)
			continue
		}
		add(name, obj, false)
		reach(obj.Type(), visit, visited)
	}
	for len(work) > 0 {
		t := work[0]
		work = work[1:]
		add(t.Name(), t, true)
		if t.IsAlias() {
			reach(t.Type(), visit, visited)
			continue
		}
		reach(t.Type().Underlying(), visit, visited)
		if named, ok := t.Type().(*types.Named); ok {
			constraints(named.TypeParams(), visit, visited)
			for m := range named.Methods() {
				add(t.Name()+"."+m.Name(), m, true)
				reach(m.Type(), visit, visited)
			}
		}
	}
	return lines
}

// An APIDiff says in what two versions of a package differ for its importers.
type APIDiff struct {
	Same  bool
	Names []string // link names of functions, variables and constants that changed or went
	Types bool     // types or methods changed, came to existing types, or went
}

// CompareAPI compares what importers see of two versions of a package.
func CompareAPI(old, new *types.Package) APIDiff {
	before, after := api(old), api(new)
	diff := APIDiff{Same: maps.Equal(before, after)}
	prefix := LinkPath(new.Path(), new.Name()) + "."
	for name, line := range before {
		switch {
		case line == after[name]:
		case line.isType || after[name].isType:
			diff.Types = true
		default:
			diff.Names = append(diff.Names, prefix+name)
		}
	}
	for name := range after {
		recv, _, isMethod := strings.Cut(name, ".")
		if _, had := before[name]; !had && isMethod && before[recv].isType {
			diff.Types = true
		}
	}
	slices.Sort(diff.Names)
	return diff
}

// Mentioned calls visit with each declared type that t is written with, type arguments included: of a generic one, with that
// which was declared. What those are made of is not looked at, nor what type parameters stand for.
func Mentioned(t types.Type, visit func(*types.TypeName)) { reach(t, visit, make(map[types.Type]bool)) }

// made calls visit with each declared type that an object is declared with.
func made(obj types.Object, visit func(*types.TypeName)) {
	t := obj.Type()
	if name, ok := obj.(*types.TypeName); ok && !name.IsAlias() {
		if named, ok := t.(*types.Named); ok {
			constraints(named.TypeParams(), visit, make(map[types.Type]bool))
		}
		t = t.Underlying()
	}
	Mentioned(t, visit)
}

// reach calls visit with every named type that t is written with.
func reach(t types.Type, visit func(*types.TypeName), seen map[types.Type]bool) {
	if t == nil || seen[t] {
		return
	}
	seen[t] = true
	switch t := t.(type) {
	case *types.Alias:
		reach(t.Rhs(), visit, seen)
	case *types.Named:
		visit(t.Origin().Obj())
		for a := range t.TypeArgs().Types() {
			reach(a, visit, seen)
		}
	case *types.Pointer:
		reach(t.Elem(), visit, seen)
	case *types.Slice:
		reach(t.Elem(), visit, seen)
	case *types.Array:
		reach(t.Elem(), visit, seen)
	case *types.Chan:
		reach(t.Elem(), visit, seen)
	case *types.Map:
		reach(t.Key(), visit, seen)
		reach(t.Elem(), visit, seen)
	case *types.Struct:
		for f := range t.Fields() {
			reach(f.Type(), visit, seen)
		}
	case *types.Interface:
		for m := range t.ExplicitMethods() {
			reach(m.Type(), visit, seen)
		}
		for e := range t.EmbeddedTypes() {
			reach(e, visit, seen)
		}
	case *types.Union:
		for term := range t.Terms() {
			reach(term.Type(), visit, seen)
		}
	case *types.Signature:
		constraints(t.TypeParams(), visit, seen)
		for v := range t.Params().Variables() {
			reach(v.Type(), visit, seen)
		}
		for v := range t.Results().Variables() {
			reach(v.Type(), visit, seen)
		}
	}
}

func constraints(list *types.TypeParamList, visit func(*types.TypeName), seen map[types.Type]bool) {
	for p := range list.TypeParams() {
		reach(p.Constraint(), visit, seen)
	}
}
