package stub

import (
	"cmp"
	"go/types"
	"maps"
	"slices"
)

// A Layout is what code takes for granted of a declared type.
type Layout struct {
	Type    string // link name, as "example.com/p.T"
	Size    int64
	Kind    string // link name of the underlying type, "struct", "interface"; "" if it has no name here
	Fields  []Field
	Methods []Method // of an interface its own, in no order; of another type those of pointers to it
	Partial bool     // Methods are not known
}

// A Field is one of a struct.
type Field struct {
	Name   string
	Offset int64
	Type   string // link name, "" for types that have none here
}

// A Method is one of a type or interface.
type Method struct {
	Name  string
	Type  string // link name, "" for types that have none here
	Value bool   // values have it, too
}

// layouts lists those of all types of the package, of the instances that are made in it, and of what else the
// stub's code may look into.
func (b *builder) layouts() []Layout {
	known := make(map[string]Layout)
	add := func(t types.Type) {
		named, ok := types.Unalias(t).(*types.Named)
		if !ok || named.Obj().Pkg() == nil || named.TypeParams().Len() > named.TypeArgs().Len() || mentionsParam(named, map[types.Type]bool{}) {
			return
		}
		if name, ok := linkNamed(named); ok {
			if _, ok := known[name]; !ok {
				known[name] = b.layoutOf(name, named)
			}
		}
	}
	for t := range b.seen {
		add(t)
	}
	scope := b.in.Pkg.Scope()
	for _, name := range scope.Names() {
		if t, ok := scope.Lookup(name).(*types.TypeName); ok {
			add(t.Type())
		}
	}
	for _, inst := range b.in.Info.Instances {
		add(inst.Type)
	}
	return slices.SortedFunc(maps.Values(known), func(x, y Layout) int { return cmp.Compare(x.Type, y.Type) })
}

func (b *builder) layoutOf(name string, t *types.Named) Layout {
	l := Layout{Type: name, Size: sizes.Sizeof(t), Partial: t.Obj().Pkg() != b.in.Pkg}
	switch u := t.Underlying().(type) {
	case *types.Struct:
		l.Kind = "struct"
		fields := slices.Collect(u.Fields())
		offsets := sizes.Offsetsof(fields)
		for i, v := range fields {
			l.Fields = append(l.Fields, Field{v.Name(), offsets[i], knownName(v.Type())})
		}
	case *types.Interface:
		l.Kind, l.Partial = "interface", !u.IsMethodSet()
		for m := range u.Methods() {
			l.Methods = append(l.Methods, Method{m.Name(), knownName(m.Signature()), false})
		}
		return l
	default:
		l.Kind = knownName(u)
	}
	if l.Partial {
		return l
	}
	if embeds(t) {
		values := types.NewMethodSet(t)
		for sel := range types.NewMethodSet(types.NewPointer(t)).Methods() {
			m := sel.Obj()
			l.Methods = append(l.Methods, Method{m.Name(), knownName(sel.Type()), values.Lookup(m.Pkg(), m.Name()) != nil})
		}
		return l
	}
	for m := range t.Methods() {
		_, pointer := types.Unalias(m.Signature().Recv().Type()).(*types.Pointer)
		l.Methods = append(l.Methods, Method{m.Name(), knownName(m.Signature()), !pointer})
	}
	return l
}

// embeds reports whether a type may have methods of embedded fields.
func embeds(t *types.Named) bool {
	u, ok := t.Underlying().(*types.Struct)
	if !ok {
		return false
	}
	for v := range u.Fields() {
		if v.Embedded() {
			return true
		}
	}
	return false
}

// knownName returns the link name of a type, "" for one that has none here.
func knownName(t types.Type) string {
	if name, ok := linkName(t); ok {
		return name
	}
	return ""
}

// mentionsParam reports whether a type is made of type parameters: it has no layout of its own.
func mentionsParam(t types.Type, done map[types.Type]bool) bool {
	t = types.Unalias(t)
	if done[t] {
		return false
	}
	done[t] = true
	switch t := t.(type) {
	case *types.TypeParam:
		return true
	case *types.Named:
		for arg := range t.TypeArgs().Types() {
			if mentionsParam(arg, done) {
				return true
			}
		}
	case *types.Pointer:
		return mentionsParam(t.Elem(), done)
	case *types.Slice:
		return mentionsParam(t.Elem(), done)
	case *types.Array:
		return mentionsParam(t.Elem(), done)
	case *types.Chan:
		return mentionsParam(t.Elem(), done)
	case *types.Map:
		return mentionsParam(t.Key(), done) || mentionsParam(t.Elem(), done)
	case *types.Struct:
		for v := range t.Fields() {
			if mentionsParam(v.Type(), done) {
				return true
			}
		}
	case *types.Tuple:
		for v := range t.Variables() {
			if mentionsParam(v.Type(), done) {
				return true
			}
		}
	case *types.Signature:
		return mentionsParam(t.Params(), done) || mentionsParam(t.Results(), done)
	case *types.Interface:
		for m := range t.Methods() {
			if mentionsParam(m.Type(), done) {
				return true
			}
		}
	}
	return false
}
