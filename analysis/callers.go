package analysis

import (
	"context"
	"maps"
	"slices"

	"github.com/limeade-go/limeade/analysis/decl"
	"github.com/limeade-go/limeade/analysis/facts"
	"github.com/limeade-go/limeade/analysis/snapshot"
)

// Callers returns the link names of all functions whose machine code may have a direct call of a declared function or
// method: those that refer to it, those that may have one of them inlined, and those in which the compiler may see that a
// call through an interface is one of it. Package variables and init functions of which a function literal is such a
// caller are among them. They are sorted. It serves the engine, which learns from the compiler that a
// parameter escapes where it did not; it may be called for any function of the packages that the edit can touch.
func (r *Report) Callers(name string) []string {
	if r.set == nil {
		return nil
	}
	s := r.set
	found := make(map[string]bool)
	work := []string{name}
	add := func(user string) {
		if !found[user] {
			found[user] = true
			if s.inlinable(s.decl(user)) {
				work = append(work, user)
			}
		}
	}
	for first := true; len(work) > 0; first = false {
		callee := work[0]
		work = work[1:]
		d := s.decl(callee)
		if d == nil {
			return nil
		}
		for _, pkg := range s.order {
			pkg.Users(callee, func(user *facts.Decl, r facts.Ref) {
				switch {
				case r.Count() == 0:
				case user.Kind == decl.Var || isInit(user):
					if r.InLiteral() {
						found[user.Name] = true
					}
				case isFunc(user):
					add(user.Name)
				}
			})
		}
		if first && d.Call != 0 {
			for _, user := range s.seesThrough(d) {
				if d := s.decl(user); d.Kind != decl.Var && !isInit(d) {
					add(user)
				} else if len(d.Closures) > 0 {
					found[user] = true
				}
			}
		}
	}
	return slices.Sorted(maps.Keys(found))
}

// Outdated returns what the object code of a package that joined the program may have inlined of functions that
// are not what the program was built from, nor what that package was compiled against: the functions that have to be
// compiled anew, and the variables and init functions that such code initialises. They are sorted.
func (r *Report) Outdated(path string, changed []string) (funcs, initialised []string) {
	if r.set == nil {
		return nil, nil
	}
	s := r.set
	seen := make(map[string]bool)
	work := slices.Clone(changed)
	for len(work) > 0 {
		callee := work[0]
		work = work[1:]
		if d := s.decl(callee); seen[callee] || d == nil || d.Flags&facts.NeverInlined != 0 {
			continue
		}
		seen[callee] = true
		for _, pkg := range s.order {
			pkg.Users(callee, func(user *facts.Decl, r facts.Ref) {
				switch {
				case r.Count() == 0:
				case user.Kind == decl.Var || isInit(user):
					if pkg.Path == path {
						initialised = append(initialised, user.Name)
					}
				case isFunc(user):
					if pkg.Path == path {
						funcs = append(funcs, user.Name)
					}
					work = append(work, user.Name)
				}
			})
		}
	}
	slices.Sort(funcs)
	slices.Sort(initialised)
	return slices.Compact(funcs), slices.Compact(initialised)
}

// Inlined takes in what the compiler says of the new code: the functions of the recompile set, by link name, that can be
// inlined. It reports whether the set grew by those in which they may be, and updates r.Recompile. Env.Compiled asks for it.
func (r *Report) Inlined(ctx context.Context, names ...string) (grew bool, err error) {
	if r.set == nil {
		return false, nil
	}
	c := r.comparison
	c.mu.Lock()
	defer c.mu.Unlock()
	c.ctx = ctx
	for _, name := range names {
		if m := r.set.members[name]; m != nil && !m.spread {
			grew, m.inlined = true, true
			r.set.work = append(r.set.work, name)
			r.set.add(name, m.reason)
		}
	}
	if !grew {
		return false, nil
	}
	r.Recompile, err = c.sets(r.set)
	return true, err
}

// Include adds what Callers returned to the recompile set, with all that follows, and updates r.Recompile.
func (r *Report) Include(ctx context.Context, names ...string) error {
	if r.set == nil {
		return nil
	}
	c := r.comparison
	c.mu.Lock()
	defer c.mu.Unlock()
	c.ctx = ctx
	for _, name := range names {
		switch d := r.set.decl(name); {
		case d == nil:
		case d.Kind == decl.Var:
			r.set.initializers[name] = true
		case isFunc(d):
			r.set.add(name, Escapes)
		}
	}
	sets, err := c.sets(r.set)
	if err != nil {
		return err
	}
	r.Recompile = sets
	return nil
}

// Gone reports whether a function or method, by link name, is in the source of the build and not in the new one.
func (r *Report) Gone(name string) bool {
	c := r.comparison
	for _, p := range c.built.Packages() {
		if !p.Local || facts.LinkPath(p.Path, p.Name) != packagePart(name) || c.new.Package(p.Path) == nil {
			continue
		}
		had := func(snap *snapshot.Snapshot) bool {
			d := declOf(snap, p.Path, name)
			return d != nil && d.Func() != nil
		}
		return had(c.built) && !had(c.new)
	}
	return false
}
