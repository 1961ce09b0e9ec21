package analysis

import (
	"fmt"
	"go/ast"
	"go/types"
	"slices"
	"strings"

	"github.com/limeade-go/limeade/analysis/decl"
	"github.com/limeade-go/limeade/analysis/edit"
	"github.com/limeade-go/limeade/analysis/facts"
)

// A closure that exists holds variables, where the code that it began with expects them. It may go on with the code of
// a literal of the new body only if that has the same parameters and results, and captures the same variables in the same
// way; and it should only if that is what its own literal has become. Nobody says which one that is: literals have no
// names but numbers. So those of both bodies are aligned as lines of two texts are. One that goes on with none is no
// harm: its closures keep the code and the variables that they have, and new closures get code of an address of its own.

// An alignment says which closures of a function's old body go on as which of its new one. Those that live no longer
// than a statement are part of it, but not bodies of range-over-func loops, which keep the code that they began with.
type alignment struct {
	old, new []*facts.Closure
	from     []int // by the new ones: which old one goes on as it, -1 for none
	lost     []loss
}

// A loss is a closure of an old body that does not go on.
type loss struct {
	kind     edit.Kind
	old, new *facts.Closure // the one that stands in its place, nil if there is none
	why      string
}

// lasting leaves out the closures that nobody can keep.
func lasting(list []*facts.Closure) []*facts.Closure {
	return slices.DeleteFunc(slices.Clone(list), func(c *facts.Closure) bool { return c.Kind == facts.RangeBody })
}

// alignClosures matches the closures of two bodies of one function.
func alignClosures(old, new []*facts.Closure) *alignment {
	a := &alignment{old: lasting(old), new: lasting(new)}
	a.from = slices.Repeat([]int{-1}, len(a.new))
	a.within("", "")
	return a
}

// inside returns which closures of a list stand in one of a name, bodies of range-over-func loops looked through.
func inside(list []*facts.Closure, outer string) []int {
	var found []int
	for i, c := range list {
		of := facts.Parent(c.Name)
		for of != "" && !slices.ContainsFunc(list, func(c *facts.Closure) bool { return c.Name == of }) {
			of = facts.Parent(of)
		}
		if of == outer {
			found = append(found, i)
		}
	}
	return found
}

// within aligns what stands in an old closure and in the new one that it goes on as; "" is the function itself. In one
// that does not go on nothing does: its old code makes what it made.
func (a *alignment) within(outerOld, outerNew string) {
	old, new := inside(a.old, outerOld), inside(a.new, outerNew)
	equal := func(o, n int) bool { return a.old[o].Body == a.new[n].Body && misfit(a.old[o], a.new[n]) == nil }
	type gap struct{ old, new []int }
	var gaps []gap
	o, n := 0, 0
	for _, m := range append(common(old, new, equal), [2]int{len(old), len(new)}) {
		gaps = append(gaps, gap{old[o:m[0]], new[n:m[1]]})
		if m[0] < len(old) {
			a.from[new[m[1]]] = old[m[0]]
		}
		o, n = m[0]+1, m[1]+1
	}
	isMatched := func(o int) bool { return slices.Contains(a.from, o) }
	// What changed places is the same still.
	for _, o := range old {
		i := slices.IndexFunc(new, func(n int) bool { return a.from[n] < 0 && equal(o, n) })
		if i >= 0 && !isMatched(o) {
			a.from[new[i]] = o
		}
	}
	for _, g := range gaps {
		g.old = slices.DeleteFunc(slices.Clone(g.old), isMatched)
		g.new = slices.DeleteFunc(slices.Clone(g.new), func(n int) bool { return a.from[n] >= 0 })
		a.between(g.old, g.new)
		g.old = slices.DeleteFunc(g.old, isMatched)
		g.new = slices.DeleteFunc(g.new, func(n int) bool { return a.from[n] >= 0 })
		for i, o := range g.old {
			l := loss{kind: edit.ClosureSet, old: a.old[o]}
			if len(g.old) == len(g.new) {
				if l.new = a.new[g.new[i]]; a.old[o].Kind == l.new.Kind {
					if m := misfit(a.old[o], l.new); m != nil {
						l.kind, l.why = m.kind, m.why
					}
				}
			}
			a.lost = append(a.lost, l)
		}
	}
	for _, n := range new {
		if o := a.from[n]; o >= 0 {
			a.within(a.old[o].Name, a.new[n].Name)
		}
	}
}

// likeness is from where on bodies tell by themselves that one has become the other.
const likeness = 0.5

// between matches closures of the text between two that are matched. Where those that fit the same ones are as many
// before as after, each goes on as its counterpart if it is at least as much like that as like any other; else only what
// is clearly most alike does.
func (a *alignment) between(old, new []int) {
	fits := func(o, n int) bool { return misfit(a.old[o], a.new[n]) == nil }
	for _, first := range old {
		if slices.Contains(a.from, first) {
			continue
		}
		after := slices.DeleteFunc(slices.Clone(new), func(n int) bool { return a.from[n] >= 0 || !fits(first, n) })
		if len(after) == 0 {
			continue
		}
		before := slices.DeleteFunc(slices.Clone(old), func(o int) bool { return slices.Contains(a.from, o) || !fits(o, after[0]) })
		alike := func(i, j int) float64 { return a.old[before[i]].Alike(a.new[after[j]]) }
		// best reports whether two are as alike as either is to another one; strict: and more.
		best := func(i, j int, strict bool) bool {
			own := alike(i, j)
			for k := range before {
				if other := alike(k, j); k != i && (other > own || strict && other == own) {
					return false
				}
			}
			for k := range after {
				if other := alike(i, k); k != j && (other > own || strict && other == own) {
					return false
				}
			}
			return true
		}
		inOrder := len(before) == len(after)
		for i := range before {
			inOrder = inOrder && best(i, i, false)
		}
		for i := range before {
			for j := range after {
				if inOrder && i == j || !inOrder && alike(i, j) >= likeness && best(i, j, true) {
					a.from[after[j]] = before[i]
				}
			}
		}
	}
}

// common returns a longest common subsequence of two lists, as pairs of indices.
func common(old, new []int, equal func(o, n int) bool) [][2]int {
	length := make([][]int, len(old)+1) // of that of the rests
	for i := range length {
		length[i] = make([]int, len(new)+1)
	}
	for i := len(old) - 1; i >= 0; i-- {
		for j := len(new) - 1; j >= 0; j-- {
			if length[i][j] = max(length[i+1][j], length[i][j+1]); equal(old[i], new[j]) {
				length[i][j] = max(length[i][j], length[i+1][j+1]+1)
			}
		}
	}
	var pairs [][2]int
	for i, j := 0, 0; i < len(old) && j < len(new); {
		switch {
		case equal(old[i], new[j]) && length[i][j] == length[i+1][j+1]+1:
			pairs = append(pairs, [2]int{i, j})
			i, j = i+1, j+1
		case length[i+1][j] >= length[i][j+1]:
			i++
		default:
			j++
		}
	}
	return pairs
}

// misfit says why closures of one literal cannot go on with the code of another, nil if they can.
func misfit(old, new *facts.Closure) *loss {
	if old.Kind != new.Kind || old.Kind == facts.Synthetic && old.Sig != new.Sig || new.Brief && !old.Brief { // it may leave no code
		return &loss{kind: edit.ClosureSet}
	}
	if old.Sig != new.Sig {
		return &loss{kind: edit.ClosureSignature}
	}
	for i := range max(len(old.Captures), len(new.Captures)) {
		switch {
		case i >= len(new.Captures):
			return &loss{kind: edit.Captures, why: captureName(old.Captures[i]) + " is not captured any more"}
		case i >= len(old.Captures):
			return &loss{kind: edit.Captures, why: captureName(new.Captures[i]) + " is captured"}
		}
		o, n := old.Captures[i], new.Captures[i]
		switch {
		case o.Name != n.Name || o.Type != n.Type:
			return &loss{kind: edit.Captures, why: fmt.Sprintf("%s %s in place of %s %s", captureName(n), n.Type, captureName(o), o.Type)}
		case o.Mode == facts.Unproven || n.Mode == facts.Unproven || strings.Contains(n.Type, types.Typ[types.Invalid].String()): // of C
			return &loss{kind: edit.CapturesUnproven, why: captureName(n)}
		case o.Mode != n.Mode:
			return &loss{kind: edit.Captures, why: fmt.Sprintf("%s %s, it was %s", captureName(n), n.Mode, o.Mode)}
		}
	}
	return nil
}

// captureName names a captured variable for people.
func captureName(c facts.Capture) string {
	switch n, isPlace := strings.CutPrefix(c.Name, "#"); {
	case !isPlace:
		return c.Name
	case n == "0":
		return "the receiver"
	default:
		return "parameter or result " + n
	}
}

// edits reports what does not go on and somebody may notice, one edit of each kind: closures that are called where they
// stand cannot be kept. The declarations may be nil.
func (a *alignment) edits(before, after *decl.Decl, report func(kind edit.Kind, detail string)) {
	for _, kind := range []edit.Kind{edit.Captures, edit.CapturesUnproven, edit.ClosureSignature, edit.ClosureSet} {
		var details []string
		for _, l := range a.lost {
			if l.kind == kind && !l.old.Brief {
				details = append(details, l.detail(before, after))
			}
		}
		if len(details) > 0 {
			report(kind, strings.Join(details, "; "))
		}
	}
}

// literalsOf returns the function literals of a function or of a variable's initialiser, as facts.Closure numbers them.
func literalsOf(d *decl.Decl) []*ast.FuncLit {
	switch {
	case d == nil:
		return nil
	case d.Kind == decl.Var:
		return decl.Literals(d.Value())
	}
	return decl.Literals(d.Node)
}

// detail names the literal, in the new declaration where another stands in its place, and says why it does not go on.
func (l loss) detail(before, after *decl.Decl) string {
	c, d, where := l.old, before, "that was in line"
	if l.new != nil && l.kind != edit.ClosureSet {
		c, d, where = l.new, after, "in line"
	}
	text := "the " + c.Kind.String()
	if literals := literalsOf(d); c.Literal > 0 && c.Literal <= len(literals) {
		text += fmt.Sprintf(" %s %d", where, d.Parsed.Fset.Position(literals[c.Literal-1].Pos()).Line)
	}
	if l.why != "" {
		text += ": " + l.why
	}
	return text
}

// isTold reports whether the compiler says of a literal itself that closures of it are kept: of one in a literal or in the
// body of a range-over-func loop it may say so of the place where that was inlined.
func isTold(c *facts.Closure) bool { return c.Brief || !c.Deep }

// matches puts an alignment into the words of a report.
func (a *alignment) matches(old, new string) []ClosureMatch {
	var list []ClosureMatch
	for i, n := range a.new {
		m := ClosureMatch{New: new + n.Name, NewLiteral: n.Literal}
		if o := a.from[i]; o >= 0 {
			m.Old, m.OldLiteral, m.Told = old+a.old[o].Name, a.old[o].Literal, isTold(n) && isTold(a.old[o])
			m.Called = a.old[o].Brief
		}
		list = append(list, m)
	}
	for i, o := range a.old {
		if !slices.Contains(a.from, i) {
			list = append(list, ClosureMatch{Old: old + o.Name, OldLiteral: o.Literal})
		}
	}
	return list
}

// was returns what a declaration of the set was before. An init function that did not change may have had another
// number: then it is one that makes the same closures.
func (s *set) was(d *facts.Decl) *facts.Decl {
	if old := s.old[d.Name]; old != nil {
		return old
	}
	if old := s.before.decl(d.Name); old != nil && old.Kind != d.Kind {
		return nil
	} else if !isInit(d) {
		return old
	} else if old != nil && len(alignClosures(old.Closures, d.Closures).lost) == 0 {
		return old
	}
	if pkg := s.before.owner(d.Name); pkg != nil {
		for i := range pkg.Decls {
			if old := &pkg.Decls[i]; isInit(old) && len(alignClosures(old.Closures, d.Closures).lost) == 0 {
				return old
			}
		}
	}
	return nil
}

// closuresOf says what goes on as the closures of a declaration of the set.
func (c *comparison) closuresOf(s *set, d *facts.Decl) []ClosureMatch {
	old := s.was(d)
	if old == nil {
		old = &facts.Decl{Name: d.Name}
	}
	a := alignClosures(old.Closures, d.Closures)
	list := a.matches(old.Name, d.Name)
	for i, n := range a.new {
		list[i].Apart = slices.ContainsFunc(c.report.Anew.Types, func(name string) bool {
			return strings.Contains(n.Sig, name) || slices.ContainsFunc(n.Captures, func(v facts.Capture) bool { return strings.Contains(v.Type, name) })
		})
	}
	return list
}

// followClosures reports closures that do not go on though the declaration that makes them was not edited: what they
// capture is of another type now.
func (c *comparison) followClosures(s *set, d *facts.Decl) {
	old := s.was(d)
	if old == nil || s.old[d.Name] != nil {
		return
	}
	alignClosures(old.Closures, d.Closures).edits(nil, nil, func(kind edit.Kind, detail string) {
		if slices.ContainsFunc(c.report.Edits, func(e edit.Edit) bool { return e.Kind == kind && e.Decl == d.Name }) {
			return // the set grew, and is looked at again
		}
		c.add(kind, d.Name, c.placeIn(s.program, d.Name), detail)
	})
}
