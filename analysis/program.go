package analysis

import (
	"go/token"
	"slices"
	"strings"

	"github.com/limeade-go/limeade/analysis/decl"
	"github.com/limeade-go/limeade/analysis/facts"
	"github.com/limeade-go/limeade/analysis/snapshot"
)

// inlineBudget is what a function may cost to be inlined, and so the most that a call of one adds to the cost of another
// (cmd/compile/internal/inline/inl.go, inlineMaxBudget and hairyVisitor.doNode).
const inlineBudget = 80

// A program is the new state of the Local packages that can be touched by an edit: those that changed, and those that
// import them, directly or not; and the same of those that are not as they were built, because new code cannot go by what
// the build left of them. Packages that are not Local need no look: none of them imports a Local one but through
// a replace directive or a workspace, and then it is Local too.
type program struct {
	env      Env
	snapshot *snapshot.Snapshot
	order    []*facts.Package // dependencies first
	names
	packages map[string]*facts.Package // by path
	locals   func(*facts.Package) *LocalNumbers
}

// program loads the facts of a snapshot that the changed packages touch.
func (c *comparison) program(v *view) (*program, error) {
	touched := make(map[string]bool)
	for _, p := range c.changed {
		touched[p.path()] = true
	}
	for _, name := range c.wishes.Reset {
		for _, p := range v.snapshot.Packages() {
			if rest, ok := strings.CutPrefix(name, facts.LinkPath(p.Path, p.Name)+"."); ok && p.Local && !strings.Contains(rest, ".") {
				touched[p.Path] = true
			}
		}
	}
	var cone []*snapshot.Package
	for _, p := range v.snapshot.InOrder() {
		built := c.built.Package(p.Path)
		if touched[p.Path] || built == nil || !built.SameSource(p) || slices.ContainsFunc(p.Imports, func(imp string) bool { return touched[imp] }) {
			touched[p.Path] = true
			cone = append(cone, p)
		}
	}
	known, err := v.factsOf(c.ctx, cone)
	if err != nil {
		return nil, err
	}
	prog := &program{env: c.env, snapshot: v.snapshot, names: make(names), packages: known}
	for _, p := range cone {
		f := known[p.Path]
		if f == nil {
			continue // its source has errors that the build did not see: it is no part of the program
		}
		prog.order = append(prog.order, f)
		prog.names.add(f)
	}
	return prog, nil
}

// names finds declarations by their link names: it has the packages by what these begin with.
type names map[string][]*facts.Package

func (n names) add(pkg *facts.Package) {
	if len(pkg.Decls) > 0 {
		part := packagePart(pkg.Decls[0].Name)
		n[part] = append(n[part], pkg)
	}
}

// find returns a declaration and its package, nil if there is none.
func (n names) find(name string) (*facts.Package, *facts.Decl) {
	for _, pkg := range n[packagePart(name)] {
		if d := pkg.Decl(name); d != nil {
			return pkg, d
		}
	}
	return nil, nil
}

func (n names) decl(name string) *facts.Decl {
	_, d := n.find(name)
	return d
}

func (n names) owner(name string) *facts.Package {
	pkg, _ := n.find(name)
	return pkg
}

// A member is a function of the recompile set.
type member struct {
	reason  Reason
	spread  bool // those that refer to it have been added
	inlined bool // the compiler says that it can be
	saved   int  // by how much its own cost for inlining may have dropped
}

// A set grows from the functions that changed to all whose machine code may differ.
type set struct {
	*program
	members   map[string]*member
	before    *program               // the old one
	old       map[string]*facts.Decl // of functions that changed
	generic   map[string]bool        // generic code whose instantiations are made anew
	wrappers  map[string]map[Wrapper]bool
	instances map[string]map[Instance]bool
	// initializers has the variables whose initialisers have function literals of which the code may differ.
	initializers map[string]bool
	tables       map[string]bool // types whose method tables change
	renewed      map[string]bool // what the compiler makes of methods for these, where it begins anew
	gone         map[string]bool // methods that went, by link name
	initialised  map[string]bool // variables that were added or begin anew, with an initialiser
	defined      map[string]bool // variables that begin anew without one
	rerun        map[string]bool // init functions that are run
	work         []string
}

func (p *program) newSet() *set {
	return &set{
		program: p, members: make(map[string]*member), old: make(map[string]*facts.Decl), generic: make(map[string]bool),
		wrappers: make(map[string]map[Wrapper]bool), instances: make(map[string]map[Instance]bool), initializers: make(map[string]bool),
		tables: make(map[string]bool), renewed: make(map[string]bool),
	}
}

func isFunc(d *facts.Decl) bool {
	return (d.Kind == decl.Func || d.Kind == decl.Method) && !isBlank(d)
}

// isInit reports whether d runs when the program starts and never again: then only the closures that it made matter.
func isInit(d *facts.Decl) bool {
	prefix := strings.TrimRight(d.Name, "0123456789")
	return d.Kind == decl.Func && prefix != d.Name && strings.HasSuffix(prefix, ".init.")
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

// makesCode reports whether there is anything to compile: generic code that nobody instantiates makes none.
func (s *set) makesCode() bool {
	for name := range s.members {
		if s.decl(name).Flags&facts.Generic == 0 {
			return true
		}
	}
	return len(s.initializers)+len(s.instances)+len(s.initialised)+len(s.defined)+len(s.tables) > 0
}

func (s *set) push(name string, reason Reason) {
	if m := s.members[name]; m != nil {
		if reason < m.reason {
			m.reason = reason
			s.work = append(s.work, name) // look again
		}
		return
	}
	s.members[name] = &member{reason: reason}
	s.work = append(s.work, name)
}

// mayInline reports whether a function of the set is or becomes inlinable, or was.
func (s *set) mayInline(d *facts.Decl, m *member) bool {
	in := s.inlining(d.Name)
	if m.inlined {
		return true
	}
	if s.env.Compiled && in.State == NotInlinable {
		return false // there is no copy of it, and the compiler will tell whether there can be one
	}
	if m.reason <= Refers {
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
			case user.Kind == decl.Var || isInit(user):
				// It ran. Literals that were inlined into it go on with the code of the functions that they are from.
				if r.InLiteral() {
					s.pushMaker(user, Inlines)
				}
			case isFunc(user):
				s.push(user.Name, Inlines)
				m := s.members[user.Name]
				m.saved += inlineBudget * r.Count()
				if r.Count() == facts.MaxCount {
					m.saved = 1 << 30
				}
				if !m.spread {
					s.work = append(s.work, user.Name) // look again
				}
			}
		})
	}
	if d.Kind == decl.Method {
		s.wrap(d)
	}
	if d.Call != 0 {
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

// promotedAs returns what ends the link name of a method of a type that has it through embedding: its name, behind its
// package's if it is not exported and the type is of another package (cmd/compile/internal/ir/expr.go, MethodSymSuffix).
func promotedAs(typ, target string) string {
	name, pkg := facts.Method(target), packagePart(target)
	if token.IsExported(name) || pkg == packagePart(typ) {
		return name
	}
	return pkg + "." + name
}

// packagePart returns the part of a link name that stands for the package.
func packagePart(name string) string {
	i := strings.LastIndexByte(name, '/') + 1
	return name[:i+max(0, strings.IndexByte(name[i:], '.'))]
}

// pointerTo returns the prefix of methods of pointers to a type: "p.(*T)" for "p.T".
func pointerTo(typ string) string {
	i := strings.LastIndexByte(typ, '/')
	i += 1 + strings.IndexByte(typ[i+1:], '.')
	return typ[:i+1] + "(*" + typ[i+1:] + ")"
}

// wrap lists the methods that the compiler makes around d: for pointers if d takes a value, for types that embed d's, and
// for method values. The last ones are made wherever they are used, all the same; the type's own package can make them, too.
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
	home := s.owner(d.Name)
	add(home.Path, pointerTo(receiver(d.Name))+"."+method)
	for _, pkg := range s.order {
		if n, ok := pkg.Number(d.Name); ok {
			for i := range pkg.Decls {
				if user := &pkg.Decls[i]; slices.Contains(user.Unnamed, n) && (isFunc(user) || user.Kind == decl.Var) {
					s.pushMaker(user, Inlines)
				}
			}
		}
		for _, promoted := range pkg.Promotions {
			if promoted.Target != d.Name {
				continue
			}
			t := pkg.Decl(promoted.Type)
			if name := promotedAs(promoted.Type, d.Name); name != method && t != nil && t.Flags&facts.Generic == 0 {
				// No source of this package can name it. But the whole method table can be made anew.
				s.tables[promoted.Type] = true
				s.renewed[promoted.Type+"."+name], s.renewed[pointerTo(promoted.Type)+"."+name] = true, true
				continue
			}
			typ, local := promoted.Type, pkg.Local(promoted.Type)
			if local >= 0 {
				typ = s.localName(pkg, promoted.Type, local)
			}
			add(pkg.Path, typ+"."+method)
			add(pkg.Path, pointerTo(typ)+"."+method)
			if local >= 0 {
				s.pushMaker(pkg.Decl(pkg.Locals[local].Owner), Inlines)
			} else if t != nil && t.Flags&facts.Generic != 0 {
				s.instantiate(t)
			}
		}
	}
	for recv := range s.receivers(d) {
		for _, pkg := range s.order {
			for _, value := range []string{recv + "." + method, pointerTo(recv) + "." + method} {
				n, ok := pkg.Number(value)
				if ok && slices.ContainsFunc(pkg.Decls, func(u facts.Decl) bool { return slices.Contains(u.Values, n) }) {
					if home := s.owner(recv); home != nil {
						add(home.Path, value+"-fm")
					}
				}
			}
		}
	}
}

// devirtualize adds the functions in which a method of the set may be inlined though they call it through an interface.
func (s *set) devirtualize(d *facts.Decl) {
	for _, name := range s.seesThrough(d) {
		switch user := s.decl(name); {
		case user.Kind != decl.Var && !isInit(user):
			s.push(name, Devirtualizes)
		case len(user.Closures) > 0:
			s.pushMaker(user, Devirtualizes)
		}
	}
}

// pushMaker adds a function, or a variable for the sake of what its initialiser makes.
func (s *set) pushMaker(d *facts.Decl, reason Reason) {
	if d.Kind == decl.Var {
		s.initializers[d.Name] = true
	} else {
		s.push(d.Name, reason)
	}
}

// seesThrough returns the functions in which the compiler may see that a call through an interface is one of d: they
// call such a method, and a value of a type that has d is in their own code or in what is inlined there. With a profile
// it guesses, of func values too, and any such call may be one (cmd/compile/internal/devirtualize/pgo.go).
func (p *program) seesThrough(d *facts.Decl) []string {
	call, generic := p.owner(d.Name).Names[d.Call], d.Flags&facts.Generic != 0
	var names []string
	for _, pkg := range p.order {
		if _, ok := pkg.Number(call); !ok && !generic {
			continue
		}
		for i := range pkg.Decls {
			if user := &pkg.Decls[i]; user.Calls(pkg, call, generic) && (isFunc(user) || user.Kind == decl.Var) {
				names = append(names, user.Name)
			}
		}
	}
	if len(names) > 0 && !p.env.Profiled {
		holders := p.holders(p.receivers(d))
		names = slices.DeleteFunc(names, func(name string) bool { return !holders[name] })
	}
	slices.Sort(names)
	return names
}

// holders returns the functions and variables with a value of one of the types in their own code, or in what may be
// inlined there.
func (p *program) holders(typs map[string]bool) map[string]bool {
	found := make(map[string]bool)
	var work []string
	add := func(d *facts.Decl) {
		if found[d.Name] || !isFunc(d) && d.Kind != decl.Var {
			return
		}
		found[d.Name] = true
		if isFunc(d) {
			work = append(work, d.Name)
		}
	}
	for _, pkg := range p.order {
		var numbers []uint32
		for typ := range typs {
			if n, ok := pkg.Number(typ); ok {
				numbers = append(numbers, n)
			}
		}
		for i := range pkg.Decls {
			d := &pkg.Decls[i]
			if len(numbers) > 0 && slices.ContainsFunc(d.Holds, func(n uint32) bool { return slices.Contains(numbers, n) }) {
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
// all methods of the type, which share one (cmd/compile/internal/noder/writer.go, writerDict). Types that are made of
// a generic one instantiate it, too.
func (s *set) instantiate(d *facts.Decl) {
	s.generic[d.Name] = true
	home := s.owner(d.Name)
	names := []string{d.Name}
	if d.Kind == decl.Method {
		recv := receiver(d.Name)
		names = append(names, recv)
		s.generic[recv] = true
		for i := range home.Decls {
			if m := &home.Decls[i]; m.Kind == decl.Method && receiver(m.Name) == recv {
				s.push(m.Name, Instantiates)
			}
		}
		s.wrap(d)
		s.devirtualize(d)
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
				if user.Kind == decl.Var && len(user.Closures) > 0 {
					s.initializers[user.Name] = true // they may be what calls it
				}
				if user.Kind == decl.Type && user.Flags&facts.Generic != 0 && !s.generic[user.Name] {
					s.instantiate(user)
				}
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
		pkg := s.owner(name)
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
	mentions := func(name string) {
		pkg := s.owner(name)
		for _, r := range pkg.Decl(name).Refs {
			add(pkg.Names[r.Target()], 1)
		}
	}
	for name := range s.initializers {
		mentions(name)
	}
	for _, instances := range s.instances {
		for i := range instances {
			mentions(i.Decl)
		}
	}
	for len(work) > 0 {
		name := work[0]
		work = work[1:]
		pkg, at := s.owner(name), level[name]
		d := pkg.Decl(name)
		if at == 0 || s.inlinable(d) || at < nearBody && d.Size <= smallBody {
			for _, r := range d.Refs {
				add(pkg.Names[r.Target()], at+1)
			}
		}
	}
	return need
}
