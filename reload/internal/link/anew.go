package link

import (
	"errors"
	"maps"
	"slices"

	"github.com/limeade-go/limeade/reload/internal/object"
)

// Whoever made the request has judged that the process can have no value of the types that begin anew. The linker looks
// for itself, at what the compiler knew: which types variables have, and which values functions put into interfaces.

// checkAnew looks at the functions of the build that are live until now, and at code that closures may have and the source
// has no more. Variables are looked at where new code refers to them: see checkVariable.
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
	for fn, types := range l.state.Puts { // what is left of these is older ones
		kept := slices.DeleteFunc(slices.Clone(types), func(t string) bool { _, anew := l.mentionsAnew(t); return anew })
		if l.state.Puts[fn] = kept; len(kept) == 0 {
			delete(l.state.Puts, fn)
		}
	}
	return nil
}

// eachLocal calls f with the functions of the build of which the source may change.
func (l *linker) eachLocal(f func(object.Sym) error) error {
	for _, path := range l.host.Locals {
		pkg := l.host.Library.Package(path)
		if pkg == nil {
			continue
		}
		for _, o := range pkg.Objects {
			for i := range o.NumDefs() {
				if s := o.Sym(i); s.Kind() == object.Text && hasUses(s) {
					if err := f(s); err != nil {
						return err
					}
				}
			}
		}
	}
	return nil
}

// checkFunction makes sure that a function keeps no value of what begins anew in an interface.
func (l *linker) checkFunction(s object.Sym) error {
	entry, live := l.req.State.address(l.host, keyOf(s))
	if _, replaced := l.req.State.Bodies[entry]; !live || replaced || l.isPassing(s) {
		return nil
	}
	for _, t := range l.puts(s) {
		if of, ok := l.mentionsAnew(t); ok {
			return refuse(of, "is another type now, and %s puts a value into an interface", s.Name())
		}
	}
	return nil
}

// Stray returns a function that closures may have code of though the source has it no more, and that puts a value of one of
// some types into an interface; "" if there is none.
func (s *State) Stray(h *Host, types []string) string {
	if len(s.Strays) == 0 && !slices.ContainsFunc(slices.Collect(maps.Values(s.Lines)), isStray) {
		return ""
	}
	l, err := newLinker(&Request{Host: h, State: s, Anew: Anew{Types: types}})
	if err == nil {
		err = l.checkStrays()
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
		for _, t := range l.req.State.Puts[work[0]] {
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
