package analysis

import (
	"cmp"
	"maps"
	"slices"

	"github.com/limeade-go/limeade/analysis/decl"
	"github.com/limeade-go/limeade/analysis/edit"
	"github.com/limeade-go/limeade/analysis/facts"
	"github.com/limeade-go/limeade/analysis/snapshot"
)

// split takes changes of what is declared under a name apart: one declaration went, and another one came.
func split(changes []decl.Change) []decl.Change {
	var list []decl.Change
	for _, c := range changes {
		if c.Old != nil && c.New != nil && (c.Parts&(decl.KindOf|decl.Receiver) != 0 || c.Old.IsAlias() != c.New.IsAlias()) {
			list = append(list, decl.Change{Old: c.Old}, decl.Change{New: c.New})
			continue
		}
		list = append(list, c)
	}
	return list
}

// A ripple is what an edit means beyond the text that it changes: names that came or went hide others or uncover them,
// and what is made of constants and aliases changes with these.
type ripple struct {
	new    []string        // as Report.New
	added  map[string]bool // declarations that came
	edited map[string]bool // declarations that came, went, or of which the text differs

	methods     map[string]bool // that came, went or have another type
	retyped     map[string]bool // types that came or went: what has the name before is not what has it after
	tagged      map[string]bool // types of which struct tags changed
	initialised map[string]bool // variables that came or are initialised anew, with an initialiser
	defined     map[string]bool // variables that are initialised anew without one
	users       []user          // of names that mean something else now

	rerun    map[string]bool   // init functions that are run
	anew     map[string]bool   // variables that are initialised anew
	dirty    map[string]string // variables of which the initialiser gives something else, and why if it is not edited
	runEarly map[string]bool   // functions that do something else now and that initialisers call
	early    map[string]string // variables of which the initialiser may reach the old code of a function, and the function
}

// A user is a declaration that refers to a name.
type user struct {
	*facts.Decl // as it is now
	ref         facts.Ref
	of          string
	value       bool // it uses a value, and not what it is declared with
}

// ripple compares what declarations are, and reports those that are not edited and have another type or value. What begins
// anew is another type, and so is all that is declared with it.
func (c *comparison) ripple(before, after *program, anew map[string]bool, funcs []string) (*ripple, error) {
	r := &ripple{defined: make(map[string]bool), rerun: make(map[string]bool), added: make(map[string]bool), edited: make(map[string]bool), initialised: make(map[string]bool), methods: make(map[string]bool), retyped: make(map[string]bool), tagged: make(map[string]bool)}
	changed := make(map[string]bool) // names that mean something else now
	went := make(map[string]bool)    // under another name
	for _, old := range c.names {
		went[old] = true
	}
	for _, p := range c.changed {
		if p.delta == nil {
			continue
		}
		for _, d := range p.delta.Decls {
			one := d.New
			if one == nil {
				one = d.Old
			}
			name := facts.DeclName(p.new.Package, one)
			r.edited[name] = true
			if d.Old != nil && d.Old.HasLiterals() && ranOtherwise(d) {
				c.report.Deleted = append(c.report.Deleted, d.Old) // what it made goes on with the code that it has
			}
			if d.Old != nil && d.New != nil && d.New.Kind == decl.Type && d.New.Name != "_" && c.tagged(name) {
				r.tagged[name] = true
			}
			if c.wishes.RerunInit && d.New != nil && d.New.Kind == decl.Func && d.New.Name == "init" && (d.Old == nil || d.Parts != 0) {
				c.rerun(r, d, name)
			}
			if d.Old != nil && d.New != nil || one.Name == "_" || one.Kind == decl.Func && one.Name == "init" {
				continue
			}
			changed[name] = true
			r.methods[name] = r.methods[name] || one.Kind == decl.Method
			r.retyped[name] = r.retyped[name] || one.Kind == decl.Type
			if d.New == nil && d.Old.HasLiterals() && !went[name] {
				c.report.Deleted = append(c.report.Deleted, d.Old)
			}
			if d.New != nil && c.names[name] == "" {
				r.added[name] = true
				if d.New.Kind == decl.Var && d.New.Value() != nil {
					r.initialised[name] = true
				}
				if !d.New.IsAlias() && d.New.Kind != decl.Const {
					r.new = append(r.new, name)
				}
			}
		}
	}
	for _, now := range after.order {
		was := before.packages[now.Path]
		if was == nil || was == now && len(anew) == 0 {
			continue
		}
		for i := range now.Decls {
			d := &now.Decls[i]
			o := was.Decl(d.Name)
			if o == nil || isBlank(d) || r.added[d.Name] {
				continue
			}
			ofAnew := d.Kind == decl.Method && anew[receiver(d.Name)]
			if ofAnew || anew[d.Name] || d.Kind != decl.Type && now.IsMadeOf(d, anew) {
				changed[d.Name] = true
				r.retyped[d.Name] = r.retyped[d.Name] || anew[d.Name]
				r.methods[d.Name] = r.methods[d.Name] || d.Kind == decl.Method && !ofAnew
				if d.Kind == decl.Func || d.Kind == decl.Method || anew[d.Name] {
					r.new = append(r.new, d.Name)
				}
			}
			if o.Type == d.Type || anew[d.Name] {
				continue
			}
			changed[d.Name] = true
			r.methods[d.Name] = r.methods[d.Name] || d.Kind == decl.Method && !ofAnew
			if d.Kind == decl.Func || d.Kind == decl.Method {
				r.new = append(r.new, d.Name)
			}
			if d.Kind == decl.Const && c.hasAssembly(now.Path) {
				c.add(edit.Assembly, d.Name, c.placeIn(after, d.Name), "it may use the constant, through go_asm.h")
			}
			if kind, ok := followerKinds[d.Kind]; ok && !r.edited[d.Name] {
				c.add(kind, d.Name, c.placeIn(after, d.Name), "it is made of what changed")
			}
		}
	}
	if err := c.renew(before, after, r, changed, funcs); err != nil {
		return nil, err
	}
	maps.DeleteFunc(r.methods, func(_ string, is bool) bool { return !is })
	for name := range r.methods {
		if after.decl(name) != nil {
			r.new = append(r.new, made(after, name)...)
		}
	}
	slices.Sort(r.new)
	r.new = slices.Compact(r.new)
	seen := make(map[string]bool)
	for _, prog := range []*program{before, after} {
		for _, pkg := range prog.order {
			for name := range changed {
				pkg.Users(name, func(d *facts.Decl, ref facts.Ref) {
					now := after.decl(d.Name)
					if now == nil || isBlank(now) && now.Kind != decl.Var || seen[d.Name+" "+name] {
						return
					}
					seen[d.Name+" "+name] = true
					of := prog.decl(name)
					r.users = append(r.users, user{now, ref, name, of != nil && of.Kind != decl.Type && !changed[d.Name]})
				})
			}
		}
	}
	slices.SortFunc(r.users, func(a, b user) int {
		return cmp.Or(cmp.Compare(a.Name, b.Name), cmp.Compare(a.of, b.of))
	})
	return r, nil
}

// rerun has an init function that was added or changed run, as asked. It begins anew: what it made when the program started
// goes on as it is.
func (c *comparison) rerun(r *ripple, d decl.Change, name string) {
	r.rerun[name] = true
	r.new = append(r.new, name)
	if d.Old != nil && d.Old.HasLiterals() && !ranOtherwise(d) {
		c.report.Deleted = append(c.report.Deleted, d.Old)
	}
	c.report.Edits = slices.DeleteFunc(c.report.Edits, func(e edit.Edit) bool {
		return e.Decl == name && (e.Kind == edit.Init || e.Kind == edit.ClosureBody)
	})
	c.add(edit.InitRerun, name, placeOf(d.New), "")
}

// ranOtherwise reports whether a declaration ran when the program started and has another text now, beyond that of its
// function literals.
func ranOtherwise(c decl.Change) bool {
	switch {
	case c.Old.Kind == decl.Var:
		return c.New != nil && c.Parts&decl.Value != 0 && !c.Literals
	case c.Old.Kind != decl.Func || c.Old.Name != "init":
		return false
	}
	return c.New == nil || c.Parts != 0 && !onlyLiterals(c)
}

// onlyLiterals reports whether nothing of an init function changed but function literals.
func onlyLiterals(c decl.Change) bool {
	return c.Literals && c.Parts == decl.Body && c.Old.N == c.New.N
}

// tagged reports whether the type of that name was edited and only struct tags are others.
func (c *comparison) tagged(name string) bool {
	return slices.ContainsFunc(c.report.Edits, func(e edit.Edit) bool { return e.Kind == edit.FieldTag && e.Decl == name })
}

// hasAssembly reports whether there is assembly in a package.
func (c *comparison) hasAssembly(path string) bool {
	return hasAssembly(c.new.Package(path))
}

func hasAssembly(p *snapshot.Package) bool {
	return slices.ContainsFunc(p.Other, func(o snapshot.OtherFile) bool { return o.Kind == snapshot.Assembly })
}

// followerKinds are the kinds of edits of declarations that are not edited, and of which the type or value is made of
// what changed. Of types, unheld says it.
var followerKinds = map[decl.Kind]edit.Kind{
	decl.Func: edit.Parameters, decl.Method: edit.MethodType, decl.Var: edit.VarType, decl.Const: edit.ConstChanged,
}
