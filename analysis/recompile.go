package analysis

import (
	"cmp"
	"go/ast"
	"go/types"
	"maps"
	"slices"
	"strings"

	"github.com/limeade-go/limeade/analysis/decl"
	"github.com/limeade-go/limeade/analysis/edit"
	"github.com/limeade-go/limeade/analysis/facts"
	"github.com/limeade-go/limeade/analysis/snapshot"
)

// inlineBudget is what a function may cost to be inlined, and callCost the most that a call of one function costs in
// another (cmd/compile/internal/inline/inl.go, inlineMaxBudget and inlineExtraCallCost and one for the node).
const (
	inlineBudget = 80
	callCost     = 58
)

// A program is the new state of the Local packages that can be touched by an edit: those that changed, and those that
// import them, directly or not. Packages that are not Local need no look: none of them imports a Local one but through
// a replace directive or a workspace, and then it is Local too.
type program struct {
	env      Env
	snapshot *snapshot.Snapshot
	order    []*facts.Package // dependencies first
	owner    map[string]*facts.Package
}

// program loads the facts of a snapshot that the changed packages touch.
func (c *comparison) program(snap *snapshot.Snapshot, k *keys) (*program, error) {
	touched := make(map[string]bool)
	for _, p := range c.changed {
		touched[p.path()] = true
	}
	var cone []*snapshot.Package
	for _, p := range importOrder(snap) {
		if touched[p.Path] || slices.ContainsFunc(p.Imports, func(imp string) bool { return touched[imp] }) {
			touched[p.Path] = true
			cone = append(cone, p)
		}
	}
	known, err := c.factsOf(c.ctx, snap, k, cone)
	if err != nil {
		return nil, err
	}
	prog := &program{env: c.env, snapshot: snap, owner: make(map[string]*facts.Package)}
	for _, p := range cone {
		f := known[p.Path]
		if f == nil {
			continue // its source has errors that the build did not see: it is no part of the program
		}
		prog.order = append(prog.order, f)
		for i := range f.Decls {
			prog.owner[f.Decls[i].Name] = f
		}
	}
	return prog, nil
}

func (p *program) decl(name string) *facts.Decl {
	if f := p.owner[name]; f != nil {
		return f.Decl(name)
	}
	return nil
}

// A member is a function of the recompile set.
type member struct {
	reason Reason
	spread bool // those that refer to it have been added
	saved  int  // by how much its own cost for inlining may have dropped
}

// A set grows from the functions that changed to all whose machine code may differ.
type set struct {
	*program
	members   map[string]*member
	old       map[string]*facts.Decl // of functions that changed
	generic   map[string]bool        // generic code whose instantiations are made anew
	wrappers  map[string]map[Wrapper]bool
	instances map[string]map[Instance]bool
	// closures has variables with function literals in their initialisers in which code of the set may be inlined.
	closures map[string]string
	work     []string
}

func (p *program) newSet() *set {
	return &set{
		program: p, members: make(map[string]*member), old: make(map[string]*facts.Decl), generic: make(map[string]bool),
		wrappers: make(map[string]map[Wrapper]bool), instances: make(map[string]map[Instance]bool), closures: make(map[string]string),
	}
}

func isFunc(d *facts.Decl) bool {
	return (d.Kind == decl.Func || d.Kind == decl.Method) && !isBlank(d)
}

func isBlank(d *facts.Decl) bool { return strings.Contains(d.Name, "._#") }

// add puts a function into the set and works off what follows from it.
func (s *set) add(name string, reason Reason) {
	s.push(name, reason)
	for len(s.work) > 0 {
		name := s.work[0]
		s.work = s.work[1:]
		d := s.decl(name)
		if m := s.members[name]; !m.spread && s.mayInline(d, m) {
			m.spread = true
			s.spread(d)
		}
		if d.Flags&facts.Generic != 0 && !s.generic[name] {
			s.instantiate(d)
		}
	}
}

func (s *set) push(name string, reason Reason) {
	if m := s.members[name]; m != nil {
		m.reason = min(m.reason, reason)
		return
	}
	s.members[name] = &member{reason: reason}
	s.work = append(s.work, name)
}

// mayInline reports whether a function of the set is or becomes inlinable, or was.
func (s *set) mayInline(d *facts.Decl, m *member) bool {
	in := s.inlining(d.Name)
	if m.reason == Changed {
		if in.State == Inlinable || d.Flags&facts.NeverInlined == 0 {
			return true
		}
		old := s.old[d.Name]
		return in.State == InlineUnknown && old != nil && old.Flags&facts.NeverInlined == 0
	}
	switch in.State {
	case Inlinable:
		return true
	case NotInlinable:
		// What it calls may be cheaper now.
		return d.Flags&facts.NeverInlined == 0 && (in.Cost == 0 || in.Cost-m.saved <= inlineBudget)
	}
	return d.Flags&facts.NeverInlined == 0
}

func (p *program) inlining(name string) Inlining {
	if p.env.Inlining == nil {
		return Inlining{}
	}
	return p.env.Inlining(name)
}

// inlinable reports whether a function that is not in the set may be inlined.
func (p *program) inlinable(d *facts.Decl) bool {
	switch p.inlining(d.Name).State {
	case Inlinable:
		return true
	case NotInlinable:
		return false
	}
	return d.Flags&facts.NeverInlined == 0
}

// spread adds all in whose code d may be inlined.
func (s *set) spread(d *facts.Decl) {
	for _, pkg := range s.order {
		pkg.Users(d.Name, func(user *facts.Decl, r facts.Ref) {
			switch {
			case r.Count() == 0:
			case isFunc(user):
				s.push(user.Name, Inlines)
				m := s.members[user.Name]
				m.saved += callCost * r.Count()
				if r.Count() == facts.MaxCount {
					m.saved = 1 << 30
				}
				if !m.spread {
					s.work = append(s.work, user.Name) // look again
				}
			case user.Kind == decl.Var && r.InLiteral():
				s.closures[user.Name] = d.Name
			}
		})
	}
	if d.Kind == decl.Method {
		s.wrap(d)
		s.devirtualize(d)
	}
}

// receivers returns the link names of the types that have method d: its receiver's, and those that embed it.
func (p *program) receivers(d *facts.Decl) map[string]bool {
	set := map[string]bool{receiver(d.Name): true}
	for _, pkg := range p.order {
		for _, promoted := range pkg.Promotions {
			if promoted.Target == d.Name {
				set[promoted.Type] = true
			}
		}
	}
	return set
}

// receiver returns the link name of the type of a method: "p.T" for "p.(*T).M" and "p.T.M".
func receiver(method string) string {
	recv := method[:strings.LastIndexByte(method, '.')]
	if i := strings.LastIndex(recv, ".(*"); i >= 0 {
		recv = recv[:i+1] + strings.TrimSuffix(recv[i+3:], ")")
	}
	return recv
}

// pointerTo returns the prefix of methods of pointers to a type: "p.(*T)" for "p.T".
func pointerTo(typ string) string {
	i := strings.LastIndexByte(typ, '/')
	i += 1 + strings.IndexByte(typ[i+1:], '.')
	return typ[:i+1] + "(*" + typ[i+1:] + ")"
}

// wrap lists the methods that the compiler makes around d: for pointers if d takes a value, for types that embed d's, and
// for method values. They are made where the type is declared, and the last ones where they are used.
func (s *set) wrap(d *facts.Decl) {
	method := facts.Method(d.Name)
	add := func(pkg, symbol string) {
		if symbol == d.Name {
			return
		}
		if s.wrappers[pkg] == nil {
			s.wrappers[pkg] = make(map[Wrapper]bool)
		}
		s.wrappers[pkg][Wrapper{Symbol: symbol, Method: d.Name}] = true
	}
	home := s.owner[d.Name]
	add(home.Path, pointerTo(receiver(d.Name))+"."+method)
	for _, pkg := range s.order {
		for _, promoted := range pkg.Promotions {
			if promoted.Target == d.Name {
				add(pkg.Path, promoted.Type+"."+method)
				add(pkg.Path, pointerTo(promoted.Type)+"."+method)
			}
		}
	}
	for recv := range s.receivers(d) {
		for _, pkg := range s.order {
			for _, value := range []string{recv + "." + method, pointerTo(recv) + "." + method} {
				n, ok := pkg.Number(value)
				if ok && slices.ContainsFunc(pkg.Decls, func(u facts.Decl) bool { return slices.Contains(u.Values, n) }) {
					add(pkg.Path, value+"-fm")
				}
			}
		}
	}
}

// devirtualize adds the functions in which a method of the set may be inlined though they call it through an interface.
func (s *set) devirtualize(d *facts.Decl) {
	for _, name := range s.seesThrough(d) {
		s.push(name, Devirtualizes)
	}
}

// seesThrough returns the functions in which the compiler may see that a call through an interface is one of d: they
// call such a method, and a value of a type that has d is in their own code or in what is inlined there.
func (p *program) seesThrough(d *facts.Decl) []string {
	call := p.owner[d.Name].Names[d.Call]
	var names []string
	for name := range p.holders(p.receivers(d)) {
		pkg := p.owner[name]
		if pkg.Decl(name).Calls(pkg, call, d.Flags&facts.Generic != 0) {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}

// holders returns the functions with a value of one of the types in their own code, or in what may be inlined there.
func (p *program) holders(typs map[string]bool) map[string]bool {
	found := make(map[string]bool)
	var work []string
	add := func(d *facts.Decl) {
		if isFunc(d) && !found[d.Name] {
			found[d.Name] = true
			work = append(work, d.Name)
		}
	}
	for _, pkg := range p.order {
		for i := range pkg.Decls {
			d := &pkg.Decls[i]
			if slices.ContainsFunc(d.Holds, func(n uint32) bool { return typs[pkg.Names[n]] }) {
				add(d)
			}
		}
	}
	for len(work) > 0 {
		name := work[0]
		work = work[1:]
		if !p.inlinable(p.decl(name)) {
			continue
		}
		for _, pkg := range p.order {
			pkg.Users(name, func(user *facts.Decl, _ facts.Ref) { add(user) })
		}
	}
	return found
}

// instantiate adds all that is compiled with the dictionaries of generic code: those that refer to it, and for a method
// all methods of the type, which share one (cmd/compile/internal/noder/writer.go, writerDict).
func (s *set) instantiate(d *facts.Decl) {
	s.generic[d.Name] = true
	home := s.owner[d.Name]
	names := []string{d.Name}
	if d.Kind == decl.Method {
		recv := receiver(d.Name)
		names = append(names, recv)
		for i := range home.Decls {
			if m := &home.Decls[i]; m.Kind == decl.Method && receiver(m.Name) == recv {
				s.push(m.Name, Instantiates)
			}
		}
	}
	for _, name := range names {
		for _, pkg := range s.order {
			pkg.Users(name, func(user *facts.Decl, _ facts.Ref) {
				if isFunc(user) {
					s.push(user.Name, Instantiates)
					return
				}
				if s.instances[pkg.Path] == nil {
					s.instances[pkg.Path] = make(map[Instance]bool)
				}
				s.instances[pkg.Path][Instance{Decl: user.Name, Generic: name}] = true
			})
		}
	}
}

// Bounds of what the writer of stubs keeps of functions that a function of the set refers to: it takes bodies that may
// be inlined, and as long as it does not know, small ones that are few calls away.
const (
	nearBody  = 5
	smallBody = 150
)

// bodies returns, by package, the functions whose bodies are looked at when the set is compiled.
func (s *set) bodies() map[string]map[string]bool {
	need := make(map[string]map[string]bool)
	level := make(map[string]int)
	var work []string
	add := func(name string, at int) {
		pkg := s.owner[name]
		if _, ok := level[name]; ok || pkg == nil || !isFunc(pkg.Decl(name)) {
			return
		}
		level[name] = at
		if need[pkg.Path] == nil {
			need[pkg.Path] = make(map[string]bool)
		}
		need[pkg.Path][name] = true
		work = append(work, name)
	}
	for name := range s.members {
		add(name, 0)
	}
	for _, wrappers := range s.wrappers {
		for w := range wrappers {
			add(w.Method, 0)
		}
	}
	for len(work) > 0 {
		name := work[0]
		work = work[1:]
		pkg, at := s.owner[name], level[name]
		d := pkg.Decl(name)
		if at == 0 || s.inlinable(d) || at < nearBody && d.Size <= smallBody {
			for _, r := range d.Refs {
				add(pkg.Names[r.Target()], at+1)
			}
		}
	}
	return need
}

// recompile finds what has to be compiled anew, and which package variables have a value that follows from code that
// changed.
func (c *comparison) recompile() error {
	if len(c.report.Errors) > 0 {
		return nil
	}
	if len(c.changedFuncs()) == 0 {
		return nil
	}
	prog, err := c.program(c.new, c.newKeys)
	if err != nil {
		return err
	}
	names := slices.DeleteFunc(c.changedFuncs(), func(name string) bool { return prog.decl(name) == nil })
	old := make(map[string]*facts.Decl)
	for _, p := range c.changed {
		for _, name := range names {
			if p.oldFacts != nil && p.oldFacts.Decl(name) != nil {
				old[name] = p.oldFacts.Decl(name)
			}
		}
	}
	c.dependents(prog, names)
	s := prog.newSet()
	s.old = old
	for _, name := range names {
		s.add(name, Changed)
	}
	c.initializers(s)
	if edit.Worst(c.report.Edits) == edit.Restart {
		return nil
	}
	c.report.comparison, c.report.set = c, s
	c.report.Recompile, err = c.sets(s)
	return err
}

// initializers reports the variables with function literals in their initialisers that would have to be compiled anew.
func (c *comparison) initializers(s *set) {
	for _, name := range slices.Sorted(maps.Keys(s.closures)) {
		detail := "a function literal in it calls what changed"
		if callee := s.closures[name]; callee != "" {
			detail = "a function literal in it may have " + callee + " inlined"
		}
		if !slices.ContainsFunc(c.report.Edits, func(e edit.Edit) bool { return e.Kind == edit.InitializerClosure && e.Decl == name }) {
			c.add(edit.InitializerClosure, name, c.placeIn(s.program, name), detail)
		}
	}
}

// changedFuncs returns the link names of the functions with bodies that were there before and changed.
func (c *comparison) changedFuncs() []string {
	var names []string
	for _, p := range c.changed {
		if p.delta == nil {
			continue
		}
		for _, change := range p.delta.Decls {
			if change.New == nil || change.New.Func() == nil || change.New.Func().Body == nil || change.New.Name == "_" {
				continue
			}
			if change.Parts&(decl.Body|decl.Pragma|decl.Names|decl.Signature|decl.TypeParams) != 0 {
				names = append(names, facts.DeclName(p.new.Package, change.New))
			}
		}
	}
	return names
}

// dependents reports the variables whose initialisers call a function that changed, directly or not.
func (c *comparison) dependents(prog *program, names []string) {
	seen := make(map[string]bool)
	cause := make(map[string]string)
	work := slices.Clone(names)
	for _, name := range names {
		seen[name], cause[name] = true, name
	}
	for len(work) > 0 {
		name := work[0]
		work = work[1:]
		for _, pkg := range prog.order {
			pkg.Users(name, func(user *facts.Decl, r facts.Ref) {
				if !r.Runs() || seen[user.Name] {
					return
				}
				seen[user.Name], cause[user.Name] = true, cause[name]
				if user.Kind == decl.Var && !isBlank(user) {
					c.add(edit.InitializerDependency, user.Name, c.placeIn(prog, user.Name), "it calls "+cause[name])
					return
				}
				if isFunc(user) {
					work = append(work, user.Name)
				}
			})
		}
	}
}

// placeIn returns where a declaration of the program stands.
func (c *comparison) placeIn(prog *program, name string) place {
	path := prog.owner[name].Path
	source := decl.Load(c.new, path)
	for _, d := range source.Decls() {
		if facts.DeclName(source.Package, d) == name {
			return placeOf(d)
		}
	}
	return place{source.Package.Dir, 1, 1}
}

// sets turns a set into what the report shows, with type-checked packages.
func (c *comparison) sets(s *set) ([]PackageSet, error) {
	var sets []PackageSet
	need := s.bodies()
	for _, pkg := range s.order {
		set := PackageSet{Path: pkg.Path}
		for _, w := range slices.SortedFunc(maps.Keys(s.wrappers[pkg.Path]), compareWrappers) {
			if w.exists(pkg) {
				set.Wrappers = append(set.Wrappers, w)
			}
		}
		set.Instances = slices.SortedFunc(maps.Keys(s.instances[pkg.Path]), func(a, b Instance) int {
			return cmp.Or(cmp.Compare(a.Decl, b.Decl), cmp.Compare(a.Generic, b.Generic))
		})
		var members []*facts.Decl
		for i := range pkg.Decls {
			if d := &pkg.Decls[i]; s.members[d.Name] != nil {
				members = append(members, d)
			}
		}
		if len(members)+len(set.Wrappers)+len(set.Instances) == 0 {
			continue
		}
		checked, err := c.checkedPackage(pkg.Path, need[pkg.Path])
		if err != nil {
			return nil, err
		}
		set.Checked = checked
		syntax := make(map[string]*ast.FuncDecl)
		for _, d := range checked.source.Decls() {
			syntax[facts.DeclName(checked.Package, d)] = d.Func()
		}
		for _, d := range members {
			f := Func{Decl: d.Name, Reason: s.members[d.Name].reason, Syntax: syntax[d.Name]}
			if f.Syntax == nil || f.Syntax.Body == nil {
				continue
			}
			f.Object, _ = checked.Info.Defs[f.Syntax.Name].(*types.Func)
			f.Closures = matchClosures(s.old[d.Name], d)
			set.Funcs = append(set.Funcs, f)
		}
		sets = append(sets, set)
	}
	return sets, nil
}

func compareWrappers(a, b Wrapper) int {
	return cmp.Or(cmp.Compare(a.Symbol, b.Symbol), cmp.Compare(a.Method, b.Method))
}

// exists reports whether the wrapper is none of the package's declared methods.
func (w Wrapper) exists(pkg *facts.Package) bool { return pkg.Decl(w.Symbol) == nil }

// matchClosures pairs the closures of a function by their names, which compareClosures has found to be safe; those of a
// function that did not change continue themselves.
func matchClosures(old, new *facts.Decl) []ClosureMatch {
	var list []ClosureMatch
	for _, n := range new.Closures {
		m := ClosureMatch{New: new.Name + n.Name}
		if old == nil || slices.ContainsFunc(old.Closures, func(o *facts.Closure) bool { return o.Name == n.Name }) {
			m.Old = m.New
		}
		list = append(list, m)
	}
	return list
}

// checkedPackage returns a type-checked package of the new snapshot with the bodies of those functions, from this
// comparison or one before.
func (c *comparison) checkedPackage(path string, bodies map[string]bool) (*Checked, error) {
	if p := c.byPath[path]; p != nil && p.checked != nil && p.checked.covers(bodies) {
		return p.checked, nil
	}
	p := c.new.Package(path)
	checked, had := c.recall(p, bodies)
	if checked != nil {
		return checked, nil
	}
	wanted := maps.Clone(bodies)
	if wanted == nil {
		wanted = make(map[string]bool)
	}
	maps.Copy(wanted, had)
	if c.fresh[path] != nil {
		wanted = nil
	}
	checked, list, err := c.checkNew(p, wanted)
	if err != nil {
		return nil, err
	}
	if len(list) > 0 {
		return nil, list[0]
	}
	if !c.stale[path] {
		c.keep(c.newKeys.of(p), checked)
	}
	return checked, nil
}

// covers reports whether the bodies of those functions were checked; nil stands for all.
func (c *Checked) covers(bodies map[string]bool) bool {
	if c.bodies == nil {
		return true
	}
	if bodies == nil {
		return false
	}
	for name := range bodies {
		if !c.bodies[name] {
			return false
		}
	}
	return true
}

// recall returns a package of the new snapshot that was type-checked before with those bodies, nil if it was not: against
// the export data that it relies on still, and in the same importer. In the second case it returns the bodies with which
// it was checked, if any.
func (c *comparison) recall(p *snapshot.Package, bodies map[string]bool) (*Checked, map[string]bool) {
	if slices.ContainsFunc(p.Imports, func(imp string) bool { return c.stale[imp] }) {
		return nil, nil
	}
	key := c.newKeys.of(p)
	for i, r := range c.recent {
		if r.key != key || r.importer != c.importer.generation {
			continue
		}
		if !r.checked.covers(bodies) {
			return nil, r.checked.bodies
		}
		c.recent = append(slices.Delete(c.recent, i, i+1), r)
		return r.checked, nil
	}
	return nil, nil
}

// keep remembers a type-checked package and forgets the oldest ones.
func (s *Session) keep(key factKey, checked *Checked) {
	size := 0
	for _, f := range checked.Package.Files {
		content, _ := f.Content()
		size += len(content)
	}
	s.recent = slices.DeleteFunc(s.recent, func(r recentCheck) bool { return r.key == key })
	s.recent = append(s.recent, recentCheck{key, s.importer.generation, size, checked})
	total := 0
	for i, r := range slices.Backward(s.recent) {
		if total += r.size; total > recentBytes && i < len(s.recent)-1 {
			s.recent = slices.Delete(s.recent, 0, i+1)
			return
		}
	}
}
