package stub

import (
	"cmp"
	"go/types"
	"slices"
)

// A Layout is what code compiled with a stub takes for granted of a declared type.
type Layout struct {
	Type   string // link name, as "example.com/p.T"
	Size   int64
	Struct bool
	Fields []struct {
		Name   string
		Offset int64
		Type   string // link name, "" for types that have no simple one
	}
}

// layouts lists those of all types that the stub's code may look into.
func (b *builder) layouts() []Layout {
	var list []Layout
	for t := range b.seen {
		named, ok := t.(*types.Named)
		if !ok || named.Obj().Pkg() == nil || named.TypeParams().Len() > 0 || types.IsInterface(named) {
			continue
		}
		name, ok := linkNamed(named)
		if !ok || mentionsParam(named, map[types.Type]bool{}) {
			continue
		}
		l := Layout{Type: name, Size: sizes.Sizeof(named)}
		if st, ok := named.Underlying().(*types.Struct); ok {
			l.Struct = true
			var fields []*types.Var
			for v := range st.Fields() {
				fields = append(fields, v)
			}
			offsets := sizes.Offsetsof(fields)
			for i, v := range fields {
				typ, ok := linkName(v.Type())
				if !ok {
					typ = ""
				}
				l.Fields = append(l.Fields, struct {
					Name   string
					Offset int64
					Type   string
				}{v.Name(), offsets[i], typ})
			}
		}
		list = append(list, l)
	}
	slices.SortFunc(list, func(x, y Layout) int { return cmp.Compare(x.Type, y.Type) })
	return slices.CompactFunc(list, func(x, y Layout) bool { return x.Type == y.Type })
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
	case *types.Struct, *types.Signature, *types.Interface:
		return true // not worth it
	}
	return false
}
