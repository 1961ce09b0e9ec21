package analysis

import (
	"go/ast"
	"maps"
	"slices"
	"strings"

	"github.com/limeade-go/limeade/analysis/decl"
	"github.com/limeade-go/limeade/analysis/edit"
	"github.com/limeade-go/limeade/analysis/facts"
	"github.com/limeade-go/limeade/analysis/snapshot"
)

// A variable that keeps the value which its initialiser gave it, such as a lookup table, is initialised anew when the
// initialiser would give another one: its name begins anew, with new memory, and all code that refers to it is compiled
// again, so that it sees the new value from the swap on. Old code that is still running goes on with the old memory. For
// this to be as if the program had been built so, three things must be proven of all Local packages:
//
//   - nothing but the initialiser writes to the variable or to what can be reached from it, in no version of the source
//     that the program ran, and nobody else has a part of it (facts.Decl.Exposes and Parts);
//   - to run the initialiser again does nothing that can be seen, and what it gives follows from the source alone
//     (facts.Unrepeatable), through all functions that it may call;
//   - of these functions, those that mean something else now are called by name: the initialiser runs before the swap, and
//     through a func value or a method table it would still reach the old code.
//
// Otherwise the variable keeps its value, and the edit says so.

// Wishes are what a person may ask of a refresh beyond making the source live.
type Wishes struct {
	// Reset has the link names of variables that are initialised anew although they may have been written.
	Reset []string
	// RerunInit asks to run the init functions that were added or changed.
	RerunInit bool
}

// Variables returns the link names of the package variables of a program that a name may mean: a link name, the path of a
// package and a variable's name, or the end of one.
func Variables(s *snapshot.Snapshot, name string) []string {
	var found []string
	for _, p := range s.Packages() {
		if !p.Local {
			continue
		}
		for _, d := range decl.Load(s, p.Path).Decls() {
			link := facts.DeclName(p, d)
			if d.Kind != decl.Var || d.Name == "_" {
				continue
			}
			if long := p.Path + "." + d.Name; link == name || long == name {
				return []string{link}
			} else if d.Name == name || strings.HasSuffix(link, "/"+name) || strings.HasSuffix(long, "/"+name) || p.Name+"."+d.Name == name {
				found = append(found, link)
			}
		}
	}
	return found
}

// A renewal decides which variables are initialised anew.
type renewal struct {
	*comparison
	before, after *program
	ripple        *ripple

	known    map[*program]*known
	affected map[string]string // functions that do something else when they are called, and why
	dirty    map[string]string // variables of which the initialiser gives something else, and why
	anew     map[string]bool
	reset    map[string]bool // of these, the ones that somebody asked for
}

// renew finds the variables that are initialised anew, and tells the ripple. names are the functions that changed.
func (c *comparison) renew(before, after *program, r *ripple, changed map[string]bool, names []string) error {
	n := &renewal{
		comparison: c, before: before, after: after, ripple: r,
		known: make(map[*program]*known), anew: make(map[string]bool), reset: make(map[string]bool),
	}
	for _, name := range c.wishes.Reset {
		if r.added[name] {
			continue // it is new: it is initialised anyway
		}
		if hidden, err := n.isHidden(name); err != nil {
			return err
		} else if hidden {
			c.add(edit.Linkname, name, c.placeIn(after, name), "assembly or a //go:linkname directive may refer to the variable: it cannot be reset")
			continue
		}
		for _, group := range c.declaredWith(name) {
			n.anew[group], n.reset[group] = true, true
		}
	}
	refused := make(map[string]bool)
	for again := true; again; {
		again = false
		n.spread(changed, names)
		if err := n.throughInterfaces(); err != nil {
			return err
		}
		for _, name := range slices.Sorted(maps.Keys(n.dirty)) {
			if n.anew[name] || refused[name] {
				continue
			}
			ok, err := n.provableTogether(name)
			if err != nil {
				return err
			}
			if again = again || ok; ok {
				n.anew[name] = true
			} else {
				refused[name] = true
			}
		}
		if again {
			continue
		}
		// Each that came may have made more functions do something else.
		for _, name := range slices.Sorted(maps.Keys(n.anew)) {
			ok, err := n.provable(name)
			if err != nil {
				return err
			}
			if !ok && !n.reset[name] {
				delete(n.anew, name)
				refused[name], again = true, true
			}
		}
	}
	for _, name := range slices.Sorted(maps.Keys(n.anew)) {
		n.take(name, changed)
	}
	r.anew, r.dirty = n.anew, n.dirty
	n.early()
	return nil
}

// early finds the functions that initialisers call, directly or not, and that do something else now: they are compiled
// anew, so that the initialisers, which run before the swap, call the new code. Where they would reach it otherwise than by
// name, they reach the old one.
func (n *renewal) early() {
	r := n.ripple
	r.runEarly, r.early = make(map[string]bool), make(map[string]string)
	for name := range r.initialised {
		seen := map[string]bool{name: true}
		for work := []string{name}; len(work) > 0; work = work[1:] {
			pkg := n.after.owner(work[0])
			if pkg == nil {
				continue
			}
			d := pkg.Decl(work[0])
			for _, ref := range d.Refs {
				to := n.after.decl(pkg.Names[ref.Target()])
				if to == nil || !isFunc(to) || seen[to.Name] {
					continue
				}
				_, affected := n.affected[to.Name]
				taken := slices.Contains(d.Taken, ref.Target()) && ref.Count() > 0
				if !affected || !ref.Runs() && !taken {
					continue
				}
				seen[to.Name] = true
				if taken || to.Flags&facts.Generic != 0 || len(lasting(to.Closures)) > 0 {
					r.early[name] = to.Name
				}
				if to.Flags&facts.Generic == 0 {
					r.runEarly[to.Name] = true
				}
				work = append(work, to.Name)
			}
		}
	}
}

// declaredWith returns a variable and those that the same call initialises.
func (c *comparison) declaredWith(name string) []string {
	d := c.declOf(c.new, name)
	if d == nil || !sharesInitialiser(d) {
		return []string{name}
	}
	pkg := name[:len(name)-len(d.Name)]
	var list []string
	for _, id := range specOf(d).Names {
		if id.Name != "_" {
			list = append(list, pkg+id.Name)
		}
	}
	return list
}

// spread finds what follows from the changed functions and names, and from the variables that are initialised anew.
func (n *renewal) spread(changed map[string]bool, names []string) {
	n.affected, n.dirty = make(map[string]string), make(map[string]string)
	maps.Copy(n.dirty, n.edited())
	var work []string
	reach := func(d *facts.Decl, cause string) {
		switch {
		case isFunc(d):
			if _, ok := n.affected[d.Name]; !ok {
				n.affected[d.Name] = cause
				work = append(work, d.Name)
			}
		case d.Kind == decl.Var && !isBlank(d) && !n.ripple.added[d.Name]:
			if _, ok := n.dirty[d.Name]; !ok {
				n.dirty[d.Name] = cause
			}
		}
	}
	for _, name := range names {
		if d := n.after.decl(name); d != nil && !n.ripple.added[name] && !n.sameCode[name] {
			reach(d, "it calls "+name)
		}
	}
	values := maps.Clone(n.anew)
	renamed := slices.Collect(maps.Values(n.names))
	for name := range changed {
		d := n.after.decl(name)
		if d == nil {
			d = n.before.decl(name)
		}
		if d != nil && d.Kind != decl.Type && n.names[name] == "" && !slices.Contains(renamed, name) {
			values[name] = true
		}
	}
	for _, name := range slices.Sorted(maps.Keys(values)) {
		for _, prog := range []*program{n.before, n.after} {
			for _, pkg := range prog.order {
				pkg.Users(name, func(user *facts.Decl, ref facts.Ref) {
					if now := n.after.decl(user.Name); now != nil && (isFunc(now) || runs(now, ref) || takes(user, ref)) {
						reach(now, "it uses "+name)
					}
				})
			}
		}
	}
	for len(work) > 0 {
		name := work[0]
		work = work[1:]
		for _, pkg := range n.after.order {
			pkg.Users(name, func(user *facts.Decl, ref facts.Ref) {
				if runs(user, ref) {
					reach(user, n.affected[name])
				}
			})
		}
	}
}

// runs reports whether what a reference is to runs with the declaration that has it.
func runs(d *facts.Decl, ref facts.Ref) bool {
	return ref.Runs() || ref.InLiteral() && d.Flags&facts.HandsLiteral != 0
}

// takes reports whether a reference is to a function that the declaration takes the value of: one that begins anew is
// another value then. What a function literal takes is not taken yet.
func takes(d *facts.Decl, ref facts.Ref) bool {
	return !ref.InLiteral() && slices.Contains(d.Taken, ref.Target())
}

// edited returns the variables that are edited themselves, in their initialiser, type or embedded files, and those of which
// it only runs a function literal that is.
func (n *renewal) edited() map[string]string {
	set := make(map[string]string)
	for name, embedded := range n.embeds() {
		if len(embedded) > 0 {
			set[name] = ""
		}
	}
	for _, e := range n.report.Edits {
		d := n.after.decl(e.Decl)
		if d == nil || d.Kind != decl.Var || isBlank(d) {
			continue
		}
		switch e.Kind {
		case edit.Initializer, edit.VarType:
			set[e.Decl] = ""
		case edit.ClosureBody:
			if d.Flags&facts.RunsLiteral != 0 {
				set[e.Decl] = "it calls the function literal"
			}
		case edit.EmbedPattern:
			delete(set, e.Decl) // it is refused as it is
		}
	}
	return set
}

// isHidden reports whether something else than Go code may refer to a variable by its name.
func (n *renewal) isHidden(name string) (bool, error) {
	after, err := n.all(n.after, n.comparison.after)
	return err == nil && after.hidden[name], err
}

// provable reports whether a variable may be initialised anew without anybody seeing more of it than its new value.
func (n *renewal) provable(name string) (bool, error) {
	d, was := n.after.decl(name), n.before.decl(name)
	if d == nil || was == nil || was.Kind != decl.Var || d.Flags&facts.Unrepeatable != 0 || n.after.wrote(name) || n.before.wrote(name) {
		return false, nil // which is known without a look at all packages
	}
	before, err := n.all(n.before, n.comparison.before)
	if err != nil {
		return false, err
	}
	after, err := n.all(n.after, n.comparison.after)
	if err != nil {
		return false, err
	}
	here := n.declOf(n.new, name)
	if here == nil || sharesInitialiser(here) || decl.Of(here.Parsed).ImportsC() || after.hidden[name] || before.hidden[name] {
		return false, nil
	}
	constant := func(name string) bool {
		return !before.isExposed(name, nil) && !after.isExposed(name, nil) && (n.env.Written == nil || !n.env.Written(name))
	}
	if !constant(name) {
		return false, nil
	}
	return n.repeatable(after, d, constant), nil
}

// provableTogether reports whether a variable may be initialised anew, and with it all that embed the same changed files:
// the program has one content of a file.
func (n *renewal) provableTogether(name string) (bool, error) {
	group := []string{name}
	for i := 0; i < len(group); i++ {
		for other, files := range n.embeds() {
			shares := slices.ContainsFunc(files, func(f string) bool { return slices.Contains(n.embeds()[group[i]], f) })
			if shares && n.after.owner(other) == n.after.owner(group[i]) && !slices.Contains(group, other) {
				group = append(group, other)
			}
		}
	}
	for _, name := range group {
		if n.anew[name] {
			continue
		}
		if ok, err := n.provable(name); err != nil || !ok {
			return false, err
		}
	}
	return true, nil
}

// repeatable reports whether an initialiser can be run again, before the swap.
func (n *renewal) repeatable(all *known, d *facts.Decl, constant func(string) bool) bool {
	reached := map[string]bool{d.Name: true}
	byTable := make(map[string]bool) // functions that may be called otherwise than by name
	callsBack := false
	work := []*facts.Decl{d}
	var order []*facts.Decl
	for len(work) > 0 || callsBack {
		if len(work) == 0 {
			callsBack = false
			for _, d := range order {
				pkg := all.owner(d.Name)
				for _, t := range d.Holds {
					for _, m := range all.methods(pkg.Names[t]) {
						byTable[m.Name] = true
						if !reached[m.Name] {
							reached[m.Name] = true
							work, callsBack = append(work, m), true
						}
					}
				}
			}
			continue
		}
		at := work[0]
		work = work[1:]
		order = append(order, at)
		pkg := all.owner(at.Name)
		if pkg == nil || at.Flags&(facts.Unrepeatable|facts.UsesCgo) != 0 || len(at.Exposes) > 0 && at != d {
			return false
		}
		callsBack = callsBack || at.Flags&facts.CallsBack != 0
		if at == d && d.Flags&facts.Calls == 0 {
			for _, ref := range at.Refs {
				if v := all.decl(pkg.Names[ref.Target()]); v != nil && v.Kind == decl.Var && v.Name != d.Name && !constant(v.Name) {
					return false
				}
			}
			break
		}
		for _, t := range at.Taken {
			byTable[pkg.Names[t]] = true
		}
		for _, ref := range at.Refs {
			u := all.decl(pkg.Names[ref.Target()])
			switch {
			case u == nil || reached[u.Name]:
			case u.Kind == decl.Var:
				if !constant(u.Name) {
					return false
				}
			case isFunc(u):
				reached[u.Name] = true
				work = append(work, u)
			}
		}
	}
	for name := range reached {
		if _, ok := n.affected[name]; !ok || name == d.Name {
			continue
		}
		g := all.decl(name)
		if byTable[name] || g.Flags&facts.Generic != 0 || len(lasting(g.Closures)) > 0 {
			return false
		}
	}
	return true
}

// take has a variable begin anew and says so.
func (n *renewal) take(name string, changed map[string]bool) {
	changed[name] = true
	n.ripple.new = append(n.ripple.new, name)
	d := n.declOf(n.new, name)
	if d.Value() != nil {
		n.ripple.initialised[name] = true
	} else {
		n.ripple.defined[name] = true
	}
	was := name
	if old := n.names[name]; old != "" {
		was = old
	}
	if old := n.declOf(n.old, was); old != nil && old.HasLiterals() && !slices.Contains(n.report.Deleted, old) {
		n.report.Deleted = append(n.report.Deleted, old) // what its initialiser made goes on with the code that it has
	}
	detail := n.dirty[name]
	if files := n.embeds()[name]; len(files) > 0 {
		detail = "it embeds " + strings.Join(files, ", ")
	}
	retyped := false
	n.report.Edits = slices.DeleteFunc(n.report.Edits, func(e edit.Edit) bool {
		mine := e.Decl == name && (e.Kind == edit.Initializer || e.Kind == edit.VarType || e.Kind == edit.Respelled || e.Kind == edit.ClosureBody)
		retyped = retyped || mine && e.Kind == edit.VarType
		return mine
	})
	if retyped {
		detail = "it has another type"
	}
	kind := edit.InitializedAnew
	if n.reset[name] {
		kind = edit.VarReset
	}
	n.add(kind, name, placeOf(d), detail)
}

// written returns the variables that changed code wrote to or let out, or does now: whatever becomes of the code later, the
// value may be more than its initialiser gives.
func (c *comparison) written(before, after *program) []string {
	set := make(map[string]bool)
	note := func(p *program, f *facts.Package, name string) {
		if f == nil || f.Decl(name) == nil {
			return
		}
		d := f.Decl(name)
		for _, n := range d.Exposes {
			set[f.Names[n]] = true
		}
		for _, n := range d.Parts {
			if p.exposes(d.Name) {
				set[f.Names[n]] = true
			}
		}
	}
	for _, p := range c.changed {
		if p.delta == nil {
			continue
		}
		for _, change := range p.delta.Decls {
			if change.Old != nil {
				note(before, before.packages[p.path()], facts.DeclName(p.old.Package, change.Old))
			}
			if change.New != nil {
				note(after, after.packages[p.path()], facts.DeclName(p.new.Package, change.New))
			}
		}
	}
	return slices.Sorted(maps.Keys(set))
}

// exposes reports whether a declaration lets out a variable of an edited package, writes to it, or puts parts of it into another.
func (p *program) exposes(name string) bool {
	return p.wrote(name) || p.some(name, func(d *facts.Decl) []uint32 { return d.Parts })
}

// wrote reports whether a declaration lets out a variable of an edited package, or writes to it.
func (p *program) wrote(name string) bool {
	return p.some(name, func(d *facts.Decl) []uint32 { return d.Exposes })
}

func (p *program) some(name string, list func(*facts.Decl) []uint32) bool {
	for _, pkg := range p.order {
		n, ok := pkg.Number(name)
		found := false
		if ok {
			pkg.Users(name, func(d *facts.Decl, _ facts.Ref) { found = found || slices.Contains(list(d), n) })
		}
		if found {
			return true
		}
	}
	return false
}

// declOf returns the declaration with a link name in a snapshot, nil if it has none.
func (c *comparison) declOf(s *snapshot.Snapshot, name string) *decl.Decl {
	for _, p := range s.Packages() {
		if !p.Local || !strings.HasPrefix(name, facts.LinkPath(p.Path, p.Name)+".") {
			continue
		}
		for _, d := range decl.Load(s, p.Path).Decls() {
			if facts.DeclName(p, d) == name {
				return d
			}
		}
	}
	return nil
}

// specOf returns the specification that declares a variable.
func specOf(d *decl.Decl) *ast.ValueSpec { return d.Node.(*ast.ValueSpec) }

// sharesInitialiser reports whether one call initialises a variable and others.
func sharesInitialiser(d *decl.Decl) bool {
	spec := specOf(d)
	return len(spec.Values) == 1 && len(spec.Names) > 1
}
