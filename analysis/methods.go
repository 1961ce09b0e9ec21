package analysis

import (
	"go/types"
	"maps"
	"slices"
	"strings"

	"github.com/limeade-go/limeade/analysis/decl"
	"github.com/limeade-go/limeade/analysis/edit"
	"github.com/limeade-go/limeade/analysis/facts"
)

// methodTables finds the types whose descriptions the edit changes: those with other struct tags, those those of methods that came, went or have another
// type, and those that embed them. It reports tables that a running program cannot get.
func (c *comparison) methodTables(before, after *program, r *ripple) map[string]bool {
	tables := make(map[string]bool)
	for _, name := range slices.Sorted(maps.Keys(r.tagged)) {
		tables[name] = true
		if after.decl(name).Flags&facts.Generic != 0 {
			c.add(edit.MethodTable, name, c.placeIn(after, name), name+" is generic")
		}
	}
	for _, name := range slices.Sorted(maps.Keys(r.methods)) {
		recv := receiver(name)
		if before.decl(recv) == nil || after.decl(recv) == nil || r.retyped[recv] {
			continue // no value of it is older, or none is newer
		}
		typs := map[string]bool{recv: true}
		why := ""
		for _, prog := range []*program{before, after} {
			for _, pkg := range prog.order {
				for _, p := range pkg.Promotions {
					if p.Target == name {
						typs[p.Type] = true
					}
				}
				if n, ok := pkg.Number(name); ok && slices.ContainsFunc(pkg.Decls, func(d facts.Decl) bool { return d.Kind != decl.Type && slices.Contains(d.Unnamed, n) }) {
					why = "an unnamed struct type embeds " + recv
				}
			}
		}
		for _, t := range slices.Sorted(maps.Keys(typs)) {
			d := after.decl(t)
			switch {
			case strings.Contains(t, "·"):
				why = t + ", which is declared in a function, embeds " + recv
			case d == nil:
			case r.retyped[t]:
				continue
			case d.Flags&facts.Generic != 0:
				why = t + " is generic"
			case after.decl(name) != nil && c.env.NoMethods != nil && c.env.NoMethods(t):
				c.add(edit.PointerMethods, name, c.placeIn(after, name), "*"+t)
			}
			tables[t] = tables[t] || d != nil
		}
		if why != "" {
			at := recv
			if after.decl(name) != nil {
				at = name
			}
			c.add(edit.MethodTable, name, c.placeIn(after, at), why)
		}
	}
	return tables
}

// otherReceiver returns the declaration of the same method for another kind of receiver that came, or went, in place of d.
func (k *classifier) otherReceiver(d *decl.Decl) bool {
	return d.Kind == decl.Method && slices.ContainsFunc(k.p.delta.Decls, func(c decl.Change) bool {
		o := c.Old
		if o == d || o == nil {
			o = c.New
		}
		return o != nil && o != d && (c.Old == nil || c.New == nil) && o.Kind == decl.Method && o.Recv == d.Recv && o.Name == d.Name
	})
}

// made returns the names of what the compiler makes of a method: for pointers, and for types that embed it.
func made(prog *program, method string) []string {
	var names []string
	add := func(recv string) {
		as := promotedAs(recv, method)
		for _, name := range []string{recv + "." + as, pointerTo(recv) + "." + as} {
			if name != method {
				names = append(names, name)
			}
		}
	}
	add(receiver(method))
	for _, pkg := range prog.order {
		for _, p := range pkg.Promotions {
			if p.Target == method && !strings.Contains(p.Type, "·") {
				add(p.Type)
			}
		}
	}
	return names
}

// uncovered returns the methods that types of a package have through embedding in place of ones that went.
func uncovered(checked *Checked, typs []string, gone map[string]bool) []Wrapper {
	var list []Wrapper
	for _, typ := range typs {
		obj := checked.Types.Scope().Lookup(typ[strings.LastIndexByte(typ, '.')+1:])
		if obj == nil {
			continue
		}
		for _, method := range slices.Sorted(maps.Keys(gone)) {
			m, path, _ := types.LookupFieldOrMethod(types.NewPointer(obj.Type()), true, checked.Types, facts.Method(method))
			fn, ok := m.(*types.Func)
			if !ok || len(path) < 2 || types.IsInterface(fn.Signature().Recv().Type()) {
				continue
			}
			target, _ := facts.LinkName(fn)
			if types.NewMethodSet(obj.Type()).Lookup(fn.Pkg(), fn.Name()) != nil {
				list = append(list, Wrapper{Symbol: typ + "." + fn.Name(), Method: target})
			}
			list = append(list, Wrapper{Symbol: pointerTo(typ) + "." + fn.Name(), Method: target})
		}
	}
	return list
}
