package analysis

import (
	"fmt"
	"go/token"
	"maps"
	"path/filepath"
	"slices"

	"github.com/limeade-go/limeade/analysis/decl"
	"github.com/limeade-go/limeade/analysis/edit"
	"github.com/limeade-go/limeade/analysis/facts"
	"github.com/limeade-go/limeade/analysis/snapshot"
)

// A type that changed can begin anew, as one that was deleted and another one that was added under its name, where no value
// of the old one is met by new code. What keeps values from each other is that old and new code share no place of which the
// type is written with one that begins anew:
//
//   - package variables are none: a type that one is written with does not begin anew;
//   - types that are made of it begin anew with it: so do fields, elements, channels, and methods of interfaces;
//   - functions that take or return it get addresses of their own: old code calls old bodies;
//   - closures that capture it die with the call that makes them;
//   - interfaces hold none, and nothing sees them as something else.
//
// So values of the old type are in frames of old code only. That there are none either, the agent makes sure of in the stop.

// Anew is what begins anew, and what the swap has to do for it.
type Anew struct {
	Types  []string // link names, sorted
	Vacant []string // functions that have values of them: no goroutine may be in one
	Passed []string // of these, the ones that put such values into interfaces for the time of a call
}

// anewKinds are the kinds of edits of types that values which are alive stand in the way of.
var anewKinds = map[edit.Kind]bool{
	edit.FieldAdded: true, edit.FieldChanged: true, edit.EmbeddedField: true, edit.TypeReplaced: true, edit.Underlying: true,
	edit.InterfaceMethods: true, edit.TypeTypeParams: true,
}

// unheld finds the types that changed and can begin anew, and says of the others what holds a value.
func (c *comparison) unheld(before, after *program) (map[string]bool, error) {
	all := make(map[string]bool)
	changed := make(map[string]int) // types, and which edit they are; -1 for those that are not edited
	for i, e := range c.report.Edits {
		if !anewKinds[e.Kind] {
			continue
		}
		name := e.Decl
		if e.Kind == edit.TypeReplaced {
			name = c.wentAs[name]
		}
		changed[name] = i
	}
	for _, now := range after.order {
		was := before.packages[now.Path]
		if was == nil || was == now {
			continue
		}
		for i := range now.Decls {
			d := &now.Decls[i]
			o := was.Decl(d.Name)
			_, edited := changed[d.Name]
			if edited || d.Kind != decl.Type || o == nil || o.Kind != decl.Type || o.Type == d.Type || isBlank(d) || c.tagged(d.Name) {
				continue
			}
			if source := declOf(c.new, now.Path, d.Name); source != nil && !source.IsAlias() {
				changed[d.Name] = -1
			}
		}
	}
	vacant, passed := make(map[string]bool), make(map[string]bool)
	for _, name := range slices.Sorted(maps.Keys(changed)) {
		if before.decl(name) == nil {
			continue
		}
		types := closure(name, before, after)
		proof, err := c.prove(before, name, types)
		if err != nil {
			return nil, err
		}
		if proof.held == "" && c.env.Stray != nil {
			if fn := c.env.Stray(slices.Sorted(maps.Keys(types)), slices.Sorted(maps.Keys(proof.users))); fn != "" {
				proof.held = fn + " may have kept one, of which the source has not the code any more"
			}
		}
		i := changed[name]
		switch {
		case proof.held == "":
			maps.Copy(all, types)
			maps.Copy(vacant, proof.users)
			maps.Copy(passed, proof.passed)
			if i >= 0 {
				c.report.Edits[i].Kind = edit.Unheld
			} else {
				c.add(edit.Unheld, name, c.placeIn(after, name), "it is made of what changed")
			}
		case i >= 0:
			e := &c.report.Edits[i]
			if e.Detail != "" {
				e.Detail += "; "
			}
			e.Detail += proof.held
		default:
			c.add(edit.Underlying, name, c.placeIn(after, name), "it is made of what changed; "+proof.held)
		}
	}
	c.report.Anew = Anew{
		slices.Concat(slices.Sorted(maps.Keys(all)), c.renumbered), slices.Sorted(maps.Keys(vacant)), slices.Sorted(maps.Keys(passed)),
	}
	return all, nil
}

// unheldInDraft does so for types that are edited.
func (c *comparison) unheldInDraft() error {
	if !slices.ContainsFunc(c.report.Edits, func(e edit.Edit) bool { return anewKinds[e.Kind] }) {
		return nil
	}
	before, err := c.program(c.before)
	if err == nil {
		_, err = c.unheld(before, before)
	}
	return err
}

// closure returns a type and all that are made of it, before or after the edit.
func closure(name string, before, after *program) map[string]bool {
	set := map[string]bool{name: true}
	for again := true; again; {
		again = false
		for _, prog := range []*program{before, after} {
			for _, pkg := range prog.order {
				for i := range pkg.Decls {
					if d := &pkg.Decls[i]; d.Kind == decl.Type && !set[d.Name] && !isBlank(d) && pkg.IsMadeOf(d, set) {
						set[d.Name], again = true, true
					}
				}
			}
		}
	}
	return set
}

// A proof says what holds a value of a type, or that nothing does.
type proof struct {
	held   string          // "" if nothing does
	users  map[string]bool // functions that have values of it
	passed map[string]bool // of these, the ones that put them into interfaces for the time of a call
}

// prove looks, in the source that the program runs, for what may hold a value of one of the types that begin anew with a
// type.
func (c *comparison) prove(before *program, name string, set map[string]bool) (proof, error) {
	if c.proofsOf != c.old {
		c.proofs, c.proofsOf = make(map[string]proof), c.old
	}
	key := fmt.Sprint(name, slices.Sorted(maps.Keys(set)))
	if r, ok := c.proofs[key]; ok {
		return r, nil
	}
	r := proof{users: make(map[string]bool), passed: make(map[string]bool)}
	hold := func(pos token.Position, of, format string, args ...any) {
		if r.held != "" {
			return
		}
		r.held = fmt.Sprintf(format, args...)
		if of != "" && of != name {
			r.held += ", by way of " + of
		}
		if pos.IsValid() {
			r.held += fmt.Sprintf(", %s:%d", filepath.ToSlash(c.old.Rel(pos.Filename)), pos.Line)
		}
	}
	c.variables(before, set, hold)
	if r.held == "" {
		if err := c.functions(before, set, hold, &r); err != nil {
			return r, err
		}
	}
	c.proofs[key] = r
	return r, nil
}

// A holder is told of what holds a value: where it stands, and the type that begins anew by way of which it does.
type holder func(pos token.Position, of, format string, args ...any)

// variables looks at how package variables are declared.
func (c *comparison) variables(before *program, set map[string]bool, hold holder) {
	for _, pkg := range before.order {
		for i := range pkg.Decls {
			d := &pkg.Decls[i]
			if d.Kind == decl.Var && !isBlank(d) && pkg.IsMadeOf(d, set) {
				hold(c.position(pkg.Path, d.Name), pkg.MadeOf(d, set), "variable %s holds it", d.Name)
			}
		}
	}
}

// functions looks into all code that may have values of the types.
func (c *comparison) functions(before *program, set map[string]bool, hold holder, r *proof) error {
	users := before.users(set)
	for _, pkg := range before.order {
		bodies := users[pkg.Path]
		if len(bodies) == 0 {
			continue
		}
		atStart := false
		for _, name := range slices.Sorted(maps.Keys(bodies)) {
			d := pkg.Decl(name)
			if d.Flags&facts.Endless != 0 || name == "main.main" {
				hold(c.position(pkg.Path, name), "", "%s may have a value of it for as long as the program runs", name)
			}
			if isFunc(d) && !isInit(d) {
				r.users[name] = true
			} else {
				atStart = true
			}
		}
		foreign := func(o snapshot.OtherFile) bool { return o.Kind <= snapshot.Object }
		if p := c.old.Package(pkg.Path); usesC(p) || slices.ContainsFunc(p.Other, foreign) {
			hold(token.Position{}, "", "package %s uses it and has files that are not Go", pkg.Path)
		}
		if r.held != "" {
			return nil
		}
		checked, list, err := c.before.check(c.old.Package(pkg.Path), bodies, false)
		if err != nil {
			return err
		}
		if len(list) > 0 {
			return list[0]
		}
		c.lookFor(set, checked, atStart, hold, func(fn string) { r.passed[fn] = true })
	}
	return nil
}

// users returns, by package, the functions and variables that may have values of types of a set.
func (p *program) users(set map[string]bool) map[string]map[string]bool {
	of := maps.Clone(set)
	for _, pkg := range p.order {
		for i := range pkg.Decls {
			if d := &pkg.Decls[i]; d.Kind != decl.Type && (pkg.IsMadeOf(d, set) || d.Kind == decl.Method && set[receiver(d.Name)]) {
				of[d.Name] = true
			}
		}
	}
	users := make(map[string]map[string]bool)
	for _, pkg := range p.order {
		users[pkg.Path] = make(map[string]bool)
		for name := range of {
			pkg.Users(name, func(d *facts.Decl, _ facts.Ref) {
				if isFunc(d) || d.Kind == decl.Var {
					users[pkg.Path][d.Name] = true
				}
			})
		}
	}
	return users
}

// declOf returns a declaration of a snapshot by its link name, nil if it has none.
func declOf(snap *snapshot.Snapshot, path, name string) *decl.Decl {
	source := decl.Load(snap, path)
	for _, d := range source.Decls() {
		if facts.DeclName(source.Package, d) == name {
			return d
		}
	}
	return nil
}

// position returns where a declaration stands in the source that the program runs.
func (c *comparison) position(path, name string) token.Position {
	if d := declOf(c.old, path, name); d != nil {
		return d.Position()
	}
	return token.Position{}
}
