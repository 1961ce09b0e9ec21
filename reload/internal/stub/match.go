package stub

import "go/types"

// matchInterfaces keeps the methods that a conversion may ask for: if a type that the bodies have
// values of has every method of an interface that they use, these methods stay, without bodies,
// and so do the embedded fields that they are promoted through.
func (b *builder) matchInterfaces() {
	values, interfaces := b.paired[0], b.paired[1]
	b.paired = [2]int{len(b.values), len(b.interfaces)}
	for i, v := range b.values[:b.paired[0]] {
		names := b.methodNames(v)
		if len(names) == 0 {
			continue
		}
		for j, iface := range b.interfaces[:b.paired[1]] {
			if i >= values || j >= interfaces {
				b.match(v, names, iface)
			}
		}
	}
}

func (b *builder) match(t types.Type, names map[string]bool, iface *types.Interface) {
	for m := range iface.Methods() {
		if !names[m.Name()] {
			return
		}
	}
	for m := range iface.Methods() {
		obj, path, _ := types.LookupFieldOrMethod(t, true, m.Pkg(), m.Name())
		if fn, ok := obj.(*types.Func); ok {
			b.touchPath(t, path[:len(path)-1])
			b.useMethod(fn, declared)
		}
	}
}

// methodNames returns a superset of the names of the methods of t and *t.
func (b *builder) methodNames(t types.Type) map[string]bool {
	names, ok := b.names[t]
	if !ok {
		names = make(map[string]bool)
		addMethodNames(t, names, make(map[types.Type]bool))
		b.names[t] = names
	}
	return names
}

func addMethodNames(t types.Type, names map[string]bool, done map[types.Type]bool) {
	t = types.Unalias(t)
	if p, ok := t.(*types.Pointer); ok {
		t = types.Unalias(p.Elem())
	}
	if done[t] {
		return
	}
	done[t] = true
	if named, ok := t.(*types.Named); ok {
		for m := range named.Origin().Methods() {
			names[m.Name()] = true
		}
	}
	switch u := t.Underlying().(type) {
	case *types.Interface:
		for m := range u.Methods() {
			names[m.Name()] = true
		}
	case *types.Struct:
		for v := range u.Fields() {
			if v.Embedded() {
				addMethodNames(v.Type(), names, done)
			}
		}
	}
}

// matchStructs keeps all fields of a struct type that an unnamed struct type of the bodies is
// identical to, for values of one may be assigned to the other.
func (b *builder) matchStructs() {
	if len(b.anonymous) == 0 {
		return
	}
	for _, st := range b.typeList {
		if !st.shapable {
			continue
		}
		u := st.decl.obj.Type().Underlying()
		for _, s := range b.anonymous {
			if types.IdenticalIgnoreTags(u, s) {
				b.allFields(st.decl.obj.Type())
				break
			}
		}
	}
}
