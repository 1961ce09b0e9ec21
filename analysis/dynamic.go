package analysis

import (
	"go/token"
	"maps"
	"slices"
	"strings"

	"github.com/limeade-go/limeade/analysis/decl"
	"github.com/limeade-go/limeade/analysis/facts"
)

// An initialiser may come to a method by way of an interface. Which one it calls there is not known, but which ones it can
// call: those of the interface's name and type, of the types of which it has values, or a function has that it calls.

// calledBack are the methods that packages of the standard library call of what they are given (facts.CallsBack). Templates
// call any.
var calledBack = []string{
	"As", "Error", "Format", "GoString", "Is", "IsZero", "Len", "Less", "MarshalJSON", "MarshalText", "Scan", "String", "Swap",
	"UnmarshalJSON", "UnmarshalText", "Unwrap",
}

// throughInterfaces adds to the variables of which the initialiser gives something else those that call a method so which
// does something else now. It needs to know all of the program, so who only types is not told.
func (n *renewal) throughInterfaces() error {
	if n.draft {
		return nil
	}
	affected := func(name string) bool { _, ok := n.affected[name]; return ok }
	if !slices.ContainsFunc(slices.Collect(maps.Keys(n.affected)), func(name string) bool { return n.after.decl(name).Kind == decl.Method }) {
		return nil
	}
	var all *known
	for _, pkg := range n.after.order {
		for i := range pkg.Decls {
			d := &pkg.Decls[i]
			if _, dirty := n.dirty[d.Name]; dirty || d.Kind != decl.Var || isBlank(d) || d.Flags&facts.Calls == 0 || n.ripple.added[d.Name] || !n.mayHold(d) {
				continue
			}
			if all == nil {
				var err error
				if all, err = n.all(n.after, n.comparison.after); err != nil {
					return err
				}
			}
			if m := all.comesTo(d, affected); m != "" {
				n.dirty[d.Name] = "it may call " + m + " through an interface"
			}
		}
	}
	return nil
}

// mayHold reports whether an initialiser, or a function of the edited packages that it calls, has values of a type of these.
func (n *renewal) mayHold(v *facts.Decl) bool {
	seen := map[string]bool{v.Name: true}
	for work := []*facts.Decl{v}; len(work) > 0; work = work[1:] {
		d := work[0]
		pkg := n.after.owner(d.Name)
		if slices.ContainsFunc(d.Holds, func(t uint32) bool { return n.after.decl(pkg.Names[t]) != nil }) {
			return true
		}
		for _, ref := range d.Refs {
			if to := n.after.decl(pkg.Names[ref.Target()]); to != nil && isFunc(to) && runs(d, ref) && !seen[to.Name] {
				seen[to.Name] = true
				work = append(work, to)
			}
		}
	}
	return false
}

// comesTo returns a function of some kind that an initialiser may come to, by name or through interfaces; "" if there is none.
func (k *known) comesTo(v *facts.Decl, is func(name string) bool) string {
	seen := map[string]bool{v.Name: true}
	held, called := make(map[string]bool), make(map[string]bool)
	callsBack, callsAny := false, false
	for work := []*facts.Decl{v}; len(work) > 0; {
		d := work[0]
		work = work[1:]
		pkg := k.owner(d.Name)
		for _, ref := range d.Refs {
			if to := k.decl(pkg.Names[ref.Target()]); to != nil && isFunc(to) && runs(d, ref) && !seen[to.Name] {
				seen[to.Name] = true
				work = append(work, to)
			}
		}
		for _, t := range d.Holds {
			held[pkg.Names[t]] = true
		}
		for _, m := range d.Dynamic {
			called[pkg.Names[m]] = true
		}
		callsBack = callsBack || d.Flags&facts.CallsBack != 0
		callsAny = callsAny || slices.ContainsFunc(d.Imports, func(p uint32) bool { return strings.HasSuffix(pkg.Names[p], "/template") })
		if len(work) > 0 {
			continue
		}
		for t := range held {
			for _, m := range k.methods(t) {
				name := m.Name[strings.LastIndexByte(m.Name, '.')+1:]
				isCalled := called[k.owner(m.Name).Names[m.Call]] || callsBack && (slices.Contains(calledBack, name) || callsAny && token.IsExported(name))
				if isCalled && !seen[m.Name] {
					seen[m.Name] = true
					work = append(work, m)
				}
			}
		}
	}
	for _, name := range slices.Sorted(maps.Keys(seen)) {
		if is(name) {
			return name
		}
	}
	return ""
}
