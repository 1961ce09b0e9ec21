package analysis

import (
	"fmt"
	"go/token"
	"go/types"
	"maps"
	"path/filepath"
	"slices"
	"strings"

	"github.com/limeade-go/limeade/analysis/edit"
	"github.com/limeade-go/limeade/analysis/facts"
)

// The compiler numbers the types that are declared in functions of a package as they stand in its files. The number is a part
// of a type's name, and so of the hash by which compiled type switches know it. A process keeps the numbers that it has: a
// function whose types are the same has the same ones wherever it stands later. A type that came or changed gets one that no
// type of the package ever had.
//
// So a type that changed is another one, and what is left to prove is that no value of the old one can be taken for one of the
// new. Nothing but the code of its own function is written with such a type: a value leaves it in an interface, or by way of
// generic code, or not at all. Function literals that have one go on only where it is the same (facts.Closure), and calls that
// are under way end with the code that they began with. So nobody has to leave the function.

// LocalNumbers are the numbers of the types that are declared in functions of a package.
type LocalNumbers struct {
	// Of has them by the link name of the declaration that they are in, in the order of its text; nil stands for the order of
	// the source, from 1.
	Of map[string][]int
	// Next is larger than any that the process ever had.
	Next int
}

// in returns them by their places in pkg.Locals.
func (n *LocalNumbers) in(pkg *facts.Package) ([]int, error) {
	list := make([]int, len(pkg.Locals))
	seen := make(map[string]int)
	for i, l := range pkg.Locals {
		switch at := seen[l.Owner]; {
		case n.Of == nil:
			list[i] = i + 1
		case at < len(n.Of[l.Owner]):
			list[i] = n.Of[l.Owner][at]
		default:
			return nil, fmt.Errorf("package %s: type %s in %s has no number in the record of what the process runs", pkg.Path, l.Name, l.Owner)
		}
		seen[l.Owner]++
	}
	return list, nil
}

// localName returns the link name of the type in a function with that name in Promotions.
func (p *program) localName(pkg *facts.Package, name string, i int) string {
	name, _, _ = strings.Cut(name, "·")
	if p.locals == nil {
		return name // nothing is compiled of it: what is likely to be is looked for
	}
	numbers, err := p.locals(pkg).in(pkg)
	if err != nil {
		return name // which was looked at before
	}
	return fmt.Sprintf("%s·%d", name, numbers[i])
}

// localsBefore returns the numbers that a package has in the process.
func (c *comparison) localsBefore(pkg *facts.Package) *LocalNumbers {
	n := &LocalNumbers{}
	if c.env.Locals != nil {
		if recorded := c.env.Locals(pkg.Path); recorded != nil {
			*n = *recorded
		}
	}
	n.Next = max(n.Next, len(pkg.Locals)+1)
	return n
}

// localsNow returns the numbers that a package gets.
func (c *comparison) localsNow(pkg *facts.Package) *LocalNumbers {
	if n := c.report.Locals[pkg.Path]; n != nil {
		return n
	}
	return c.localsBefore(pkg)
}

// localTypes numbers the types in functions of the packages that were edited.
func (c *comparison) localTypes() error {
	for _, p := range c.changed {
		if p.oldFacts == nil || p.newFacts == nil || p.broken {
			continue
		}
		if err := c.number(p.oldFacts, p.newFacts); err != nil {
			return err
		}
	}
	return nil
}

// localFollowers numbers those of packages that were not: what they are made of may have changed.
func (c *comparison) localFollowers(before, after *program) error {
	for _, now := range after.order {
		if was := before.packages[now.Path]; was != nil && was != now && c.byPath[now.Path] == nil {
			if err := c.number(was, now); err != nil {
				return err
			}
		}
	}
	return nil
}

// A numbering is what becomes of the types in functions of a package.
type numbering struct {
	*comparison
	was, now     *facts.Package
	wasOf, nowOf map[string][]int // by the declaration that they are in: places in Locals
	had, gets    []int            // numbers, parallel to Locals; 0: a new one
	kept         []bool           // parallel to was.Locals
}

// number gives the types in functions of a package their numbers.
func (c *comparison) number(was, now *facts.Package) error {
	if len(was.Locals)+len(now.Locals) == 0 {
		return nil
	}
	if usesC(c.old.Package(was.Path)) || usesC(c.new.Package(now.Path)) {
		c.numberTranslated(was, now)
		return nil
	}
	numbers := c.localsBefore(was)
	had, err := numbers.in(was)
	if err != nil {
		return err
	}
	n := numbering{
		comparison: c, was: was, now: now, wasOf: byOwner(was), nowOf: byOwner(now),
		had: had, gets: make([]int, len(now.Locals)), kept: make([]bool, len(was.Locals)),
	}
	if err := n.keep(); err != nil {
		return err
	}
	if err := n.release(); err != nil {
		return err
	}
	to := &LocalNumbers{Of: make(map[string][]int), Next: numbers.Next}
	for i, l := range now.Locals {
		if n.gets[i] == 0 {
			n.gets[i] = to.Next
			to.Next++
		}
		to.Of[l.Owner] = append(to.Of[l.Owner], n.gets[i])
	}
	if c.report.Locals == nil {
		c.report.Locals = make(map[string]*LocalNumbers)
	}
	c.report.Locals[now.Path] = to
	return nil
}

// numberTranslated does so where cgo makes other files of those of a package, with types of its own: they stay in the order of
// the source.
func (c *comparison) numberTranslated(was, now *facts.Package) {
	for i, l := range now.Locals {
		switch {
		case i >= len(was.Locals) || was.Locals[i].Owner != l.Owner || was.Locals[i].Name != l.Name:
			c.addLocal(edit.LocalTypeNumber, now, l, "the package uses cgo")
			return
		case was.Locals[i] != l:
			c.addLocal(edit.LocalType, now, l, "the package uses cgo")
		}
	}
}

func byOwner(pkg *facts.Package) map[string][]int {
	m := make(map[string][]int)
	for i, l := range pkg.Locals {
		m[l.Owner] = append(m[l.Owner], i)
	}
	return m
}

// before returns the name that a declaration had; "" if it is a new one.
func (n *numbering) before(owner string) string {
	if old := n.names[owner]; old != "" {
		return old
	}
	for _, old := range n.names {
		if old == owner {
			return ""
		}
	}
	return owner
}

// keep finds the types that go on. Numbers rise within a function, so what follows a new type there is new too; and where it
// may be, all others are: then no other function's numbers lie between those of one.
func (n *numbering) keep() error {
	for _, owner := range slices.Sorted(maps.Keys(n.nowOf)) {
		list := n.nowOf[owner]
		old := n.wasOf[n.before(owner)]
		kept := 0
		for rest := old; kept < len(list); kept++ {
			k := slices.IndexFunc(rest, func(k int) bool { return n.same(n.was.Locals[k], n.now.Locals[list[kept]]) })
			if k < 0 {
				break
			}
			n.gets[list[kept]], n.kept[rest[k]] = n.had[rest[k]], true
			rest = rest[k+1:]
		}
		if kept == 0 || kept == len(list) {
			continue
		}
		proof, err := n.proveLocal(n.was, n.before(owner), old)
		if err != nil {
			return err
		}
		if proof.held == "" {
			for _, k := range old {
				n.kept[k] = false
			}
			for _, i := range list {
				n.gets[i] = 0
			}
		}
	}
	return nil
}

// same reports whether two types differ in nothing but the names of their functions.
func (n *numbering) same(a, b facts.LocalType) bool { return a.Name == b.Name && a.Shape == b.Shape }

// release makes sure of the types that do not go on: where new ones could be meant by values that somebody holds, nobody may
// hold any.
func (n *numbering) release() error {
	for _, owner := range slices.Sorted(maps.Keys(n.wasOf)) {
		var gone []int
		for _, k := range n.wasOf[owner] {
			if !n.kept[k] && n.heir(k) >= 0 {
				gone = append(gone, k)
			}
		}
		if len(gone) == 0 {
			continue
		}
		proof, err := n.proveLocal(n.was, owner, gone)
		if err != nil {
			return err
		}
		for _, k := range gone {
			old, heir := n.was.Locals[k], n.now.Locals[n.heir(k)]
			switch {
			case proof.held == "" && old.Name == heir.Name && old.Shape != heir.Shape:
				n.addLocal(edit.Unheld, n.now, heir, "")
			case proof.held == "":
			case n.same(old, heir):
				n.addLocal(edit.LocalTypeNumber, n.now, heir, proof.held)
			default:
				n.addLocal(edit.LocalType, n.now, heir, proof.held)
			}
		}
		if proof.held != "" || len(proof.passed) > 0 {
			continue // what the linker would see in code is what the proof is about
		}
		p := n.old.Package(n.was.Path)
		for _, k := range gone {
			n.renumbered = append(n.renumbered, fmt.Sprintf("%s.%s·%d", facts.LinkPath(p.Path, p.Name), n.was.Locals[k].Name, n.had[k]))
		}
	}
	slices.Sort(n.renumbered)
	return nil
}

// heir returns the place of the new type that values of an old one could be meant by: one of the same name or made of the same,
// in the same function if there is one; -1 if there is none.
func (n *numbering) heir(k int) int {
	old, best, rank := n.was.Locals[k], -1, 0
	for i, l := range n.now.Locals {
		if n.gets[i] != 0 || l.Name != old.Name && l.Shape != old.Shape {
			continue
		}
		at := 1
		if l.Name == old.Name {
			at += 2
		}
		if n.before(l.Owner) == old.Owner {
			at++
		}
		if at > rank {
			best, rank = i, at
		}
	}
	return best
}

// interleaved reports functions of the set that have numbers with those of others between them: the compiler counts through one
// function after the other.
func (c *comparison) interleaved(s *set) error {
	for _, pkg := range s.order {
		numbers, err := c.localsNow(pkg).in(pkg)
		if err != nil {
			return err
		}
		var order []int
		for i, l := range pkg.Locals {
			if s.members[l.Owner] != nil || s.initializers[l.Owner] {
				order = append(order, i)
			}
		}
		slices.SortFunc(order, func(a, b int) int { return numbers[a] - numbers[b] })
		left := make(map[string]bool)
		for k, i := range order {
			l := pkg.Locals[i]
			if left[l.Owner] {
				other := pkg.Locals[order[k-1]]
				c.addLocal(edit.LocalTypeNumber, pkg, l, fmt.Sprintf("the process has type %s of %s between it and others of %s, and both are compiled anew", other.Name, other.Owner, l.Owner))
				break
			}
			if k > 0 && pkg.Locals[order[k-1]].Owner != l.Owner {
				left[pkg.Locals[order[k-1]].Owner] = true
			}
		}
	}
	return nil
}

// addLocal reports an edit of a type in a function, in front of which it is shown.
func (c *comparison) addLocal(kind edit.Kind, pkg *facts.Package, l facts.LocalType, why string) {
	detail := "type " + l.Name
	if why != "" {
		detail += ": " + why
	}
	at := place{c.new.Package(pkg.Path).Dir, 1, 1}
	if d := declOf(c.new, pkg.Path, l.Owner); d != nil {
		at = placeOf(d)
	}
	c.add(kind, l.Owner, at, detail)
}

// proveLocal looks, in the source that the program runs, for what may hold a value of one of some types in a function.
func (c *comparison) proveLocal(pkg *facts.Package, owner string, locals []int) (proof, error) {
	if c.proofsOf != c.old {
		c.proofs, c.proofsOf = make(map[string]proof), c.old
	}
	key := fmt.Sprint(owner, locals)
	if r, ok := c.proofs[key]; ok {
		return r, nil
	}
	r := proof{passed: make(map[string]bool)}
	if d := pkg.Decl(owner); d == nil || d.Flags&facts.Generic != 0 {
		r.held = "it is declared in generic code"
		return r, nil
	}
	checked, list, err := c.before.check(c.old.Package(pkg.Path), map[string]bool{owner: true}, false)
	if err != nil {
		return r, err
	}
	if len(list) > 0 {
		return r, list[0]
	}
	set := make(map[*types.TypeName]bool)
	at := 0
	facts.EachLocal(checked.source, checked.Info, func(_ string, obj *types.TypeName) {
		if slices.Contains(locals, at) {
			set[obj] = true
		}
		at++
	})
	c.lookForLocal(set, checked, func(pos token.Position, _, format string, args ...any) {
		if r.held == "" {
			r.held = fmt.Sprintf(format, args...)
			if pos.IsValid() {
				r.held += fmt.Sprintf(", %s:%d", filepath.ToSlash(c.old.Rel(pos.Filename)), pos.Line)
			}
		}
	}, func(string) { r.passed[owner] = true })
	c.proofs[key] = r
	return r, nil
}

// LocalNumbers returns the numbers that the types in functions of a package get, by their objects; nil if they are numbered in
// the order of the source.
func (r *Report) LocalNumbers(checked *Checked) map[*types.TypeName]int {
	c := r.comparison
	n := r.Locals[checked.Package.Path]
	if n == nil && c.env.Locals != nil {
		n = c.env.Locals(checked.Package.Path)
	}
	if n == nil || n.Of == nil {
		return nil
	}
	numbers := make(map[*types.TypeName]int)
	seen := make(map[string]int)
	facts.EachLocal(checked.source, checked.Info, func(owner string, obj *types.TypeName) {
		if at := seen[owner]; at < len(n.Of[owner]) {
			numbers[obj] = n.Of[owner][at]
		}
		seen[owner]++
	})
	return numbers
}
