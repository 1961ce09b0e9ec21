package link

import (
	"strings"

	"github.com/limeade-go/limeade/reload/internal/object"
)

// join arranges for packages to be initialised that the process has not yet: their init functions run
// before the swap, imported packages first. The runtime is not told of them by their inittask, which
// would be run at the start of a program only (cmd/link/internal/ld/inittask.go).
func (l *linker) join() error {
	for _, pkg := range l.host.Joined {
		if l.state.Joined[pkg.Path] {
			continue
		}
		l.state.Joined[pkg.Path] = true
		l.joining[pkg] = true
		task := l.host.Library.Lookup(object.PathToPrefix(pkg.Path)+"..inittask", 0)
		if task.IsZero() {
			continue // there is nothing to initialise
		}
		for r := range task.Relocs() {
			if r.Type != object.Addr {
				continue // the order among packages
			}
			t, err := l.target(r.Sym)
			if err != nil {
				return err
			}
			l.calls = append(l.calls, t)
		}
	}
	if len(l.roots)+len(l.req.Moves)+len(l.calls)+len(l.inits)+len(l.req.Methods) == 0 && len(l.joining) == 0 && !l.req.Renames {
		return ErrNothing
	}
	return nil
}

// noMapInit is what init functions call in place of the outlined initialiser of a map that nobody uses
// (cmd/link/internal/ld/deadcode.go, mapinitcleanup).
func (l *linker) noMapInit() (target, error) {
	return l.target(l.host.Library.Lookup("runtime.mapinitnoop", object.ABIInternal))
}

// isMapInit reports whether a function is the outlined initialiser of a map variable.
func isMapInit(name string) bool { return strings.Contains(name, ".map.init.") }
