package link

import (
	"slices"

	"github.com/limeade-go/limeade/reload/internal/object"
)

// Whoever made the request has judged that the process can have no value of the types that begin anew. The linker looks
// for itself, at what the compiler knew: which types variables have, and which values functions put into interfaces.

// checkAnew looks at the functions of the build that are live until now. Variables are looked at where new code refers
// to them: see checkVariable.
func (l *linker) checkAnew() error {
	if len(l.req.Anew.Types) == 0 {
		return nil
	}
	for _, path := range l.host.Locals {
		pkg := l.host.Library.Package(path)
		if pkg == nil {
			continue
		}
		for _, o := range pkg.Objects {
			for i := range o.NumDefs() {
				if err := l.checkFunction(o.Sym(i)); err != nil {
					return err
				}
			}
		}
	}
	return nil
}

// checkFunction makes sure that a function keeps no value of what begins anew in an interface.
func (l *linker) checkFunction(s object.Sym) error {
	if s.Kind() != object.Text || !hasUses(s) || l.isPassing(s) {
		return nil
	}
	entry, live := l.req.State.address(l.host, keyOf(s))
	if _, replaced := l.req.State.Bodies[entry]; !live || replaced {
		return nil
	}
	for r := range s.Relocs() {
		if r.Type != object.UseIface {
			continue
		}
		if of, ok := l.mentionsAnew(l.nameOf(r.Sym)); ok {
			return refuse(of, "is another type now, and %s puts a value into an interface", s.Name())
		}
	}
	return nil
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
