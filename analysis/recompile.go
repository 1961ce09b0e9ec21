package analysis

import (
	"cmp"
	"context"
	"go/ast"
	"go/types"
	"maps"
	"slices"

	"github.com/limeade-go/limeade/analysis/decl"
	"github.com/limeade-go/limeade/analysis/edit"
	"github.com/limeade-go/limeade/analysis/facts"
	"github.com/limeade-go/limeade/analysis/snapshot"
)

// recompile finds what has to be compiled anew, and which package variables have a value that follows from code that
// changed.
func (c *comparison) recompile() error {
	if len(c.report.Errors) > 0 {
		return nil
	}
	if c.partial {
		return c.unheldInDraft()
	}
	edited := func(p *changedPackage) bool {
		return p.delta != nil && len(p.delta.Decls) > 0 || len(c.changedEmbeds(p)) > 0
	}
	if !slices.ContainsFunc(c.changed, edited) && len(c.new.Packages()) == len(c.old.Packages()) && len(c.wishes.Reset) == 0 {
		return nil // nor did any package join
	}
	if err := c.settle(); err != nil {
		return err
	}
	before, err := c.program(c.before)
	if err != nil {
		return err
	}
	after, err := c.program(c.after)
	if err != nil {
		return err
	}
	after.locals = c.localsNow
	if err := c.localFollowers(before, after); err != nil {
		return err
	}
	anew, err := c.unheld(before, after)
	if err != nil {
		return err
	}
	names := slices.DeleteFunc(c.changedFuncs(), func(name string) bool { return after.decl(name) == nil })
	r, err := c.ripple(before, after, anew, names)
	if err != nil {
		return err
	}
	vars := slices.DeleteFunc(c.changedInitializers(), func(name string) bool { return after.decl(name) == nil })
	s := after.newSet()
	s.before = before
	for _, name := range slices.Concat(names, vars) {
		was := name
		if old := c.names[name]; old != "" {
			was = old
		}
		if d := before.decl(was); d != nil {
			s.old[name] = d
		}
	}
	for _, name := range names {
		s.add(name, Changed)
	}
	for _, name := range vars {
		s.initializers[name] = true
	}
	for _, d := range r.users {
		switch {
		case d.ref.InLiteral() && (d.Kind == decl.Var || isInit(d.Decl)):
			s.pushMaker(d.Decl, Refers)
		case isFunc(d.Decl) && !isInit(d.Decl):
			s.add(d.Name, Refers)
		}
		if isInit(d.Decl) && r.anew[d.of] && !r.edited[d.Name] && d.ref.Runs() {
			c.add(edit.Init, d.Name, c.placeIn(after, d.Name), "it uses "+d.of+", which is initialised anew")
		}
	}
	c.report.Embedded = c.liveEmbeds(r.anew)
	c.report.Written = c.written(before, after)
	for name := range r.runEarly {
		s.add(name, Initialises)
	}
	s.initialised, s.defined, s.rerun = r.initialised, r.defined, r.rerun
	maps.Copy(s.tables, c.methodTables(before, after, r))
	s.gone = make(map[string]bool)
	for name := range r.methods {
		if d := after.decl(name); d != nil && before.decl(name) == nil {
			s.wrap(d) // what the compiler made under the names may have been the method itself
		} else if d == nil {
			s.gone[name] = true
		}
	}
	c.dependents(s, r)
	c.report.New, c.report.Renamed = r.new, c.names
	if err := c.interleaved(s); err != nil {
		return err
	}
	if edit.Worst(c.report.Edits) == edit.Restart {
		return nil
	}
	c.report.set = s
	if s.makesCode() || len(c.new.Packages()) != len(c.old.Packages()) {
		c.report.Recompile, err = c.sets(s)
	}
	return err
}

// changedFuncs returns the link names of the functions with bodies that changed or were added.
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
			if change.New.Kind == decl.Func && change.New.Name == "init" && (change.Old == nil || !onlyLiterals(change)) && !c.wishes.RerunInit {
				continue // it does not run
			}
			if change.Old == nil || change.Parts&(decl.Body|decl.Pragma|decl.Names|decl.Signature|decl.TypeParams) != 0 {
				names = append(names, facts.DeclName(p.new.Package, change.New))
			}
		}
	}
	return names
}

// changedInitializers returns the link names of the variables of which function literals changed, and nothing else.
func (c *comparison) changedInitializers() []string {
	var names []string
	for _, p := range c.changed {
		if p.delta == nil {
			continue
		}
		for _, change := range p.delta.Decls {
			if change.New != nil && change.New.Kind == decl.Var && change.Literals {
				names = append(names, facts.DeclName(p.new.Package, change.New))
			}
		}
	}
	return names
}

// dependents reports the variables that keep their values though their initialisers would give others now, and those that
// are initialised by older code.
func (c *comparison) dependents(s *set, r *ripple) {
	for name, cause := range r.dirty {
		if cause != "" && !r.anew[name] {
			c.add(edit.InitializerDependency, name, c.placeIn(s.program, name), cause)
		}
	}
	for name, function := range r.early {
		c.add(edit.InitializedEarly, name, c.placeIn(s.program, name), "it calls "+function)
	}
}

// placeIn returns where a declaration of the program stands.
func (c *comparison) placeIn(prog *program, name string) place {
	path := prog.owner(name).Path
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
	for name := range s.renewed {
		if !slices.Contains(c.report.New, name) {
			c.report.New = append(c.report.New, name)
		}
	}
	slices.Sort(c.report.New)
	var sets, named []PackageSet
	var need map[string]map[string]bool
	if !c.draft {
		need = s.bodies()
	}
	inOrder := make(map[string]*facts.Package)
	for _, pkg := range s.order {
		inOrder[pkg.Path] = pkg
	}
	differs := make(map[string]bool)
	for _, p := range c.new.InOrder() {
		pkg := inOrder[p.Path]
		set := PackageSet{Path: p.Path, Context: c.context(p, differs)}
		if pkg == nil {
			sets = append(sets, set)
			continue
		}
		initializers, added := make(map[string]bool), false
		defined := make(map[string]bool)
		for i := range pkg.Decls {
			name := pkg.Decls[i].Name
			if s.initializers[name] && !s.initialised[name] {
				initializers[name] = true
			}
			if s.defined[name] {
				defined[name] = true
			}
			added = added || s.initialised[name]
		}
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
			d := &pkg.Decls[i]
			if s.members[d.Name] != nil {
				members = append(members, d)
			}
			if s.members[d.Name] != nil || initializers[d.Name] {
				c.refuseCgo(s, d)
				c.followClosures(s, d)
			}
		}
		for i := range pkg.Decls {
			if name := pkg.Decls[i].Name; s.tables[name] {
				set.Methods = append(set.Methods, name)
			}
		}
		if len(members)+len(initializers)+len(set.Wrappers)+len(set.Instances)+len(set.Methods)+len(defined) == 0 && !added {
			sets = append(sets, set)
			continue
		}
		if c.draft {
			named = append(named, PackageSet{Path: pkg.Path})
			continue
		}
		bodies := need[pkg.Path]
		if added {
			bodies = nil // the order of initialisation follows from them
		}
		checked, err := c.checkedPackage(pkg.Path, bodies)
		if err != nil {
			return nil, err
		}
		for _, w := range uncovered(checked, set.Methods, s.gone) {
			if w.exists(pkg) && !slices.Contains(set.Wrappers, w) {
				set.Wrappers = append(set.Wrappers, w)
			}
		}
		for _, init := range checked.Info.InitOrder {
			if name, ok := facts.LinkName(init.Lhs[0]); ok && s.initialised[name] {
				set.Added = append(set.Added, init)
			}
		}
		set.Checked = checked
		syntax := make(map[string]*ast.FuncDecl)
		ids := make(map[string]decl.ID)
		for _, d := range checked.source.Decls() {
			name := facts.DeclName(checked.Package, d)
			syntax[name], ids[name] = d.Func(), d.ID
			if v, ok := checked.Types.Scope().Lookup(d.Name).(*types.Var); ok && defined[name] {
				set.Defined = append(set.Defined, Variable{v, d.Embeds, c.embeddedIn(p, d)})
			}
			if initializers[name] {
				set.Initializers = append(set.Initializers, Initializer{
					Decl: name, ID: d.ID, Syntax: d.Node.(*ast.ValueSpec), Value: d.Value(), Closures: c.closuresOf(s, pkg.Decl(name)),
				})
			}
		}
		for _, d := range members {
			f := Func{Decl: d.Name, ID: ids[d.Name], Reason: s.members[d.Name].reason, Syntax: syntax[d.Name]}
			if f.Syntax == nil || f.Syntax.Body == nil {
				continue
			}
			f.Object, _ = checked.Info.Defs[f.Syntax.Name].(*types.Func)
			f.Closures = c.closuresOf(s, d)
			set.Funcs = append(set.Funcs, f)
			if s.rerun[d.Name] {
				set.Rerun = append(set.Rerun, d.Name)
			}
		}
		sets = append(sets, set)
	}
	if edit.Worst(c.report.Edits) == edit.Restart {
		return nil, nil
	}
	if c.draft {
		return named, nil
	}
	return c.withContext(sets), nil
}

// context returns in what a package is not as it was built, nil if it is, and notes that in differs. One that imports a
// package that is not may have inlined what differs.
func (c *comparison) context(p *snapshot.Package, differs map[string]bool) *Context {
	built := c.built.Package(p.Path)
	differs[p.Path] = built == nil || !built.SameSource(p) || c.after.fresh[p.Path] != nil ||
		slices.ContainsFunc(p.Imports, func(imp string) bool { return differs[imp] })
	if p.Name == "main" || !differs[p.Path] {
		return nil
	}
	return &Context{Looks: c.after.fresh[p.Path] != nil}
}

// withContext leaves out the packages with nothing to compile anew, but for those that are not as they were built and
// that others import, directly or not.
func (c *comparison) withContext(sets []PackageSet) []PackageSet {
	imported := make(map[string]bool)
	order := c.new.InOrder()
	for _, p := range slices.Backward(order) {
		if imported[p.Path] || slices.ContainsFunc(sets, func(s PackageSet) bool { return s.Path == p.Path && s.Checked != nil }) {
			for _, imp := range p.Imports {
				imported[imp] = true
			}
		}
	}
	return slices.DeleteFunc(sets, func(s PackageSet) bool { return s.Checked == nil && (s.Context == nil || !imported[s.Path]) })
}

// Check returns a package of the new source, type-checked with all bodies.
func (r *Report) Check(ctx context.Context, path string) (*Checked, error) {
	c := r.comparison
	c.mu.Lock()
	defer c.mu.Unlock()
	c.ctx = ctx
	return c.checkedPackage(path, nil)
}

func compareWrappers(a, b Wrapper) int {
	return cmp.Or(cmp.Compare(a.Symbol, b.Symbol), cmp.Compare(a.Method, b.Method))
}

// exists reports whether the wrapper is none of the package's declared methods.
func (w Wrapper) exists(pkg *facts.Package) bool { return pkg.Decl(w.Symbol) == nil }
