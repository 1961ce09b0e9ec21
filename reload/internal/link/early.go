package link

import "github.com/limeade-go/limeade/reload/internal/object"

// What initialises new variables runs before the swap, when the functions that the patch replaces still lead to their
// old code. So it calls the new code at its own address; and where that would call other replaced functions, it calls a
// copy of it that does the same. The copies are of no use after the initialisers have run.

// twin makes the copies that the initialisers need.
func (l *linker) twin() {
	replaced := map[*node]bool{}
	for _, r := range l.roots {
		if r.entry != 0 {
			replaced[r.node] = true
		}
	}
	leads := map[*node]bool{} // functions of the patch that call replaced ones, directly or not
	for again := true; again; {
		again = false
		for _, n := range l.nodes {
			if n.seg != segText || leads[n] {
				continue
			}
			for r := range n.sym.Relocs() {
				if c := l.callee(r); c != nil && (replaced[c] || leads[c]) {
					leads[n], again = true, true
					break
				}
			}
		}
	}
	l.early = map[*node]*node{}
	for work := l.inits; len(work) > 0; {
		n := work[0]
		work = work[1:]
		for r := range n.sym.Relocs() {
			c := l.callee(r)
			if c == nil || l.early[c] != nil {
				continue
			}
			l.early[c] = c
			if leads[c] {
				t := &node{sym: c.sym, key: c.key, seg: segText, base: c.base, early: true}
				l.early[c] = t
				l.nodes = append(l.nodes, t)
				work = append(work, t)
			}
		}
	}
}

// callee returns the function of the patch that a relocation calls, nil if it calls none.
func (l *linker) callee(r object.Reloc) *node {
	if r.Type != object.Call || r.Sym.Obj == nil {
		return nil
	}
	if def := l.definition(r.Sym); def.Kind() == object.Text {
		if def.IsContentHashed() {
			t, err := l.existing(r.Sym)
			if err != nil {
				return nil
			}
			return t.node
		}
		if n := l.byKey[keyOf(def)]; n != nil {
			return n
		}
		return l.bySym[def]
	}
	return nil
}
