package link

import (
	"errors"
	"maps"
	"slices"

	"github.com/limeade-go/limeade/reload/internal/object"
)

// Whoever made the request has judged that the process can have no value of the types that begin anew. The linker looks
// for itself, at what the compiler knew: which types variables have, and which values functions put into interfaces.

// checkAnew looks at the functions of the build, at what earlier patches brought, and at code that closures may have and the
// source has no more. Variables are looked at where new code refers to them: see checkVariable.
func (l *linker) checkAnew() error {
	if len(l.req.Anew.Types) == 0 {
		return nil
	}
	if err := l.eachLocal(l.checkFunction); err != nil {
		return err
	}
	if err := l.checkStrays(); err != nil {
		return err
	}
	if err := l.checkPuts(); err != nil {
		return err
	}
	older := func(list []string) []string {
		return slices.DeleteFunc(slices.Clone(list), func(t string) bool { _, anew := l.mentionsAnew(t); return anew })
	}
	for fn, p := range l.state.Puts { // what is left of these is older ones
		l.state.Puts[fn] = Puts{older(p.Now), older(p.Then), p.Of}
	}
	return nil
}

// eachLocal calls f with the functions of the build of which the source may change.
func (l *linker) eachLocal(f func(object.Sym) error) error {
	for s := range l.host.localText() {
		if hasUses(s) {
			if err := f(s); err != nil {
				return err
			}
		}
	}
	return nil
}

// checkFunction makes sure that a function of the build keeps no value of what begins anew in an interface. The source
// that the request was judged by tells nothing of functions that were replaced: what they kept may be there still, but for
// types that have begun anew before.
func (l *linker) checkFunction(s object.Sym) error {
	key := keyOf(s)
	_, live := l.req.State.address(l.host, key)
	if !live || l.isReplaced(key.Name) {
		return l.checkReplaced(s)
	}
	if l.isPassing(s) {
		return nil
	}
	for _, t := range l.puts(s) {
		if of, ok := l.mentionsAnew(t); ok {
			return refuse(of, "is another type now, and %s puts a value into an interface", s.Name())
		}
	}
	return nil
}

// isReplaced reports whether patches brought other code of a function, or of the one that it stands in.
func (l *linker) isReplaced(name string) bool {
	return slices.ContainsFunc(owners(name), func(decl string) bool { _, ok := l.req.State.Calls[decl]; return ok })
}

// checkReplaced makes sure that a function of the build that is not live any more has kept no value.
func (l *linker) checkReplaced(s object.Sym) error {
	key := keyOf(s)
	_, live := l.req.State.address(l.host, key)
	_, was := l.host.Index.Addr(key.Name, key.ABI)
	if replaced := l.isReplaced(key.Name); live && !replaced || !was && !replaced {
		return nil
	}
	for _, t := range l.puts(s) {
		if of, ok := l.mentionsAnew(t); ok && !l.req.State.Renewed[of] {
			return boxed(s.Name(), of)
		}
	}
	return nil
}

func boxed(fn, typ string) error {
	return refuse(fn, "has put a value of %s into an interface, which is another type now, and the source has the code no more", typ)
}

// Stray returns a function of which the source has code no more that puts a value of one of some types into an interface, or
// has put one there; "" if there is none. The functions in vacant are those that have values of the types by the source.
func (s *State) Stray(h *Host, types, vacant []string) string {
	if len(s.Calls) == 0 && len(s.Strays) == 0 && !slices.ContainsFunc(slices.Collect(maps.Values(s.Lines)), isStray) {
		return ""
	}
	l, err := newLinker(&Request{Host: h, State: s, Anew: Anew{Types: types, Vacant: vacant}})
	for _, check := range []func() error{func() error { return l.eachLocal(l.checkReplaced) }, l.checkPuts, l.checkStrays} {
		if err == nil {
			err = check()
		}
	}
	if refusal := (*Refusal)(nil); errors.As(err, &refusal) {
		return refusal.Symbol
	}
	return "" // the linker reports what else there is
}

// checkStrays makes sure that no code keeps a value in an interface that closures may have though the source has it no more:
// of the build, and of patches with all that it calls of them.
func (l *linker) checkStrays() error {
	err := l.eachLocal(func(s object.Sym) error {
		if !isLiteral(s.Name()) {
			return nil
		}
		entry, ok := l.host.Index.AddrOf(s) // others may have taken its name over
		if _, replaced := l.req.State.Bodies[entry+l.state.Bias]; !ok || replaced || !l.isOrphan(entry+l.state.Bias) {
			return nil
		}
		for _, t := range l.puts(s) {
			if of, ok := l.mentionsAnew(t); ok && !l.req.State.Renewed[of] { // else what it has is an older one still
				return strayed(s.Name(), of)
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	seen := maps.Clone(l.req.State.Strays)
	for work := sortedKeys(seen); len(work) > 0; work = work[1:] {
		p := l.req.State.Puts[work[0]]
		for _, t := range slices.Concat(p.Now, p.Then) {
			if of, ok := l.mentionsAnew(t); ok {
				return strayed(work[0], of)
			}
		}
		for _, fn := range l.req.State.Calls[work[0]] {
			if !seen[fn] {
				seen[fn] = true
				work = append(work, fn)
			}
		}
	}
	return nil
}

func strayed(fn, typ string) error {
	return refuse(fn, "puts a value of %s into an interface, which is another type now, and closures may have its code though the source has it no more", typ)
}

// puts lists the types of which a function puts values into interfaces.
func (l *linker) puts(s object.Sym) []string {
	var list []string
	for r := range s.Relocs() {
		if r.Type == object.UseIface {
			list = append(list, l.nameOf(r.Sym))
		}
	}
	return list
}

// Puts are the types of which a function that patches brought puts values into interfaces, by the names of their
// descriptors.
type Puts struct {
	Now  []string // in its newest body
	Then []string // in older ones, and in those that a rollback took back; but for what has begun anew since
	Of   []string // functions that the newest body is made of
}

// checkPuts makes sure that no code of earlier patches keeps a value in an interface of which the source tells nothing.
func (l *linker) checkPuts() error {
	for _, name := range slices.Sorted(maps.Keys(l.req.State.Puts)) {
		p := l.req.State.Puts[name]
		left := p.Then
		if !slices.ContainsFunc(p.Of, l.hasAnew) {
			left = slices.Concat(left, p.Now) // the source has it no more
		}
		for _, t := range left {
			if of, ok := l.mentionsAnew(t); ok {
				return boxed(name, of)
			}
		}
	}
	return nil
}

// retirePuts notes that what the functions of the patch did before they did then, function literals that are gone among them.
func (l *linker) retirePuts() {
	for name, p := range l.state.Puts {
		if slices.ContainsFunc(owners(name), func(decl string) bool { return l.funcs[decl] }) {
			l.state.Puts[name] = Puts{Then: sortedSet(p.Then, p.Now)}
		}
	}
}

// recordPuts notes what a function of the patch does.
func (l *linker) recordPuts(name string, n *node) {
	p := l.state.Puts[name]
	p.Now = sortedSet(p.Now, l.puts(n.sym))
	if len(p.Now) == 0 && len(p.Then) == 0 {
		delete(l.state.Puts, name)
		return
	}
	p.Of = sortedSet(p.Of, owners(name))
	if fi, err := n.sym.DecodeFuncInfo(); err == nil {
		for _, c := range fi.InlTree {
			p.Of = sortedSet(p.Of, owners(l.host.Library.Resolve(c.Func).Name()))
		}
	}
	l.state.Puts[name] = p
}

func sortedSet(a, b []string) []string {
	list := slices.Concat(a, b)
	slices.Sort(list)
	return slices.Compact(list)
}

// undonePuts returns what is in interfaces when a refresh was taken back: what its code put there stays.
func undonePuts(before, after map[string]Puts) map[string]Puts {
	puts := orNew(maps.Clone(before))
	for name, p := range after {
		if was := before[name]; !samePuts(p, was) {
			puts[name] = Puts{Now: was.Now, Of: was.Of, Then: sortedSet(was.Then, slices.Concat(p.Then, p.Now))}
		}
	}
	return puts
}

func samePuts(a, b Puts) bool {
	return slices.Equal(a.Now, b.Now) && slices.Equal(a.Then, b.Then) && slices.Equal(a.Of, b.Of)
}

// isPassing reports whether a function is, or has inlined, one that puts values into interfaces for the time of a call.
func (l *linker) isPassing(s object.Sym) bool {
	passing := func(name string) bool {
		return slices.ContainsFunc(owners(name), func(decl string) bool { return slices.Contains(l.req.Anew.Passed, decl) })
	}
	if passing(s.Name()) {
		return true
	}
	fi, err := s.DecodeFuncInfo()
	return err == nil && slices.ContainsFunc(fi.InlTree, func(c object.InlinedCall) bool { return passing(l.host.Library.Resolve(c.Func).Name()) })
}

// mentionsAnew returns the type that begins anew and is mentioned in the name of another one.
func (l *linker) mentionsAnew(symbol string) (string, bool) {
	i := slices.IndexFunc(l.req.Anew.Types, func(name string) bool { return declares(name, symbol) })
	if i < 0 {
		return "", false
	}
	return l.req.Anew.Types[i], true
}

// hasAnew reports whether a function may have values of types that begin anew.
func (l *linker) hasAnew(fn string) bool {
	return slices.ContainsFunc(owners(fn), func(decl string) bool { return slices.Contains(l.req.Anew.Vacant, decl) })
}
