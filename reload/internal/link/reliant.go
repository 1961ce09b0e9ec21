package link

import (
	"maps"
	"slices"
	"strings"

	"github.com/limeade-go/limeade/reload/internal/object"
	"github.com/limeade-go/limeade/reload/patch"
)

// Tight has the functions that let less of their parameters escape than the bodies which a rollback brings back, by
// link name, and the functions whose literals do. Callers, and makers, keep on their stacks what they hand to them, so
// none may be under way, or begin, once the older body is live. The number is that of the refresh whose rollback
// brings it back, counting from 1 those that can be rolled back.
type Tight struct {
	Funcs, Makers map[string]uint32
}

// depth returns the number for a function that is called, or a literal that is made; 0 for none.
func (t Tight) depth(fn string) uint32 {
	var depth uint32
	if isLiteral(fn) {
		for maker, n := range t.Makers {
			if isMadeBy(fn, maker) {
				depth = max(depth, n)
			}
		}
	}
	if strings.Contains(fn, "[") && !isPlainInstance(fn) {
		return depth // it has an address of its own
	}
	for _, decl := range owners(fn) {
		depth = max(depth, t.Funcs[decl])
	}
	return depth
}

// Reliance is what code of a patch has to do with that.
type Reliance struct {
	// On is the request's Tight, with the patch's own functions that rely on it and keep their address.
	On Tight
	// Held are the functions, by link name, that may be called by code which func values keep alive.
	Held []string
}

// reliant finds the code of the stubs that a rollback must find vacant.
func (l *linker) reliant() ([]patch.Reliant, Reliance, error) {
	own := map[*node]bool{} // reached at their own address, not over a detour that a rollback takes away
	for _, n := range l.nodes {
		own[n] = true
	}
	for _, r := range l.roots {
		if r.entry != 0 {
			delete(own, r.node)
		}
	}
	refs := map[*node][]*node{}
	calls := map[*node][]string{}
	taken := map[*node]bool{} // functions whose address is a value
	depth := map[*node]uint32{}
	for _, n := range l.nodes {
		if n.base {
			continue // compiled against the build's own
		}
		if n.seg == segText {
			calls[n] = callees(n.sym)
			for _, fn := range calls[n] {
				depth[n] = max(depth[n], l.req.Tight.depth(fn))
			}
		}
		for r := range n.sym.Relocs() {
			if r.IsMarker() || r.Sym.IsZero() || r.Weak || r.Type == object.MethodOff || r.Type == object.TLSLE || r.Type == object.TLSIE {
				continue
			}
			t, err := l.target(r.Sym)
			if err != nil {
				return nil, Reliance{}, err
			}
			if t.node != nil && own[t.node] && !t.node.base {
				refs[n] = append(refs[n], t.node)
				if r.Type != object.Call && t.node.seg == segText && !transient.MatchString(t.node.key.Name) {
					taken[t.node] = true
				}
			}
		}
	}
	for changed := true; changed; {
		changed = false
		for n, list := range refs {
			for _, m := range list {
				if depth[m] > depth[n] {
					depth[n], changed = depth[m], true
				}
			}
		}
	}
	out := Reliance{On: Tight{orNew(maps.Clone(l.req.Tight.Funcs)), l.req.Tight.Makers}}
	var list []patch.Reliant
	for _, n := range l.nodes {
		if depth[n] == 0 || n.seg != segText {
			continue
		}
		list = append(list, patch.Reliant{Lo: n.addr, Hi: n.addr + uint64(n.sym.Size()), Depth: depth[n]})
		if own[n] {
			name := withoutInstance(n.key.Name)
			out.On.Funcs[name] = max(out.On.Funcs[name], depth[n])
		}
	}
	out.Held = heldCalls(taken, refs, calls)
	return list, out, nil
}

// heldCalls lists what functions call whose address is a value, directly or through others of the patch.
func heldCalls(taken map[*node]bool, refs map[*node][]*node, calls map[*node][]string) []string {
	names := map[string]bool{}
	seen := map[*node]bool{}
	var visit func(n *node)
	visit = func(n *node) {
		if seen[n] {
			return
		}
		seen[n] = true
		for _, fn := range calls[n] {
			for _, decl := range owners(fn) {
				names[decl] = true
			}
		}
		for _, m := range refs[n] {
			visit(m)
		}
	}
	for n := range taken {
		visit(n)
	}
	return slices.Sorted(maps.Keys(names))
}
