package link

import (
	"maps"
	"slices"
	"strings"

	"github.com/limeade-go/limeade/reload/internal/object"
)

// A declaration that is deleted leaves what it was in the process: func values, values of its type, memory that
// running code uses. When one of the same name is added later, or a function gets other parameters, the name begins
// anew: nothing that the image or earlier patches have under it, or under names made of it, is what the source means.
// Only a type that is the same in all its parts goes on, with the values of it that are alive.

// renew makes names begin anew.
func (l *linker) renew() {
	same := map[string]bool{} // types that go on
	for _, name := range sortedKeys(l.req.New) {
		if recv, ok := receiver(name); IsMethod(name) && ok && l.req.New[recv] {
			continue // as its type
		}
		if l.sameMethod(name) {
			continue // as another body
		}
		if l.sameType(name) && l.sameType("*"+name) && !slices.Contains(l.req.Anew.Types, name) {
			same[name] = true
		} else {
			l.forget(name)
		}
	}
	for again := true; again; {
		again = false
		for _, name := range sortedKeys(same) {
			if l.refersToHidden(name) {
				delete(same, name)
				l.forget(name)
				again = true
			}
		}
	}
	l.rename()
}

// checkReferrers makes sure that all code of the build which refers to a variable that begins anew is compiled again: what is
// left behind would go on with the old one. Code that is not as it was built is not looked at: analysis alone knows what it says.
func (l *linker) checkReferrers() error {
	anew := map[object.Sym]bool{}
	for name := range l.req.New {
		if s := l.host.Library.Lookup(name, 0); !s.IsZero() && s.Kind().IsData() {
			anew[s] = true
		}
	}
	if len(anew) == 0 {
		return nil
	}
	for s := range l.host.localText() {
		if RunsAtStart(s.Name()) || isMapInit(s.Name()) {
			continue
		}
		if _, replaced := l.owner(s.Name()); replaced || !l.refers(s, anew) {
			continue
		}
		if _, live := l.host.Index.Addr(s.Name(), s.ABI()); live && !l.isStale(s.Name()) {
			return refuse(s.Name(), "refers to a variable that is initialised anew, and was not compiled again")
		}
	}
	return nil
}

// refers reports whether the build's code of a function refers to one of some variables.
func (l *linker) refers(s object.Sym, to map[object.Sym]bool) bool {
	for r := range s.Relocs() {
		if !r.Sym.IsZero() && to[l.host.Library.Resolve(r.Sym)] {
			return true
		}
	}
	return false
}

// isStale reports whether the build's code of a function is not what the process runs.
func (l *linker) isStale(name string) bool {
	return l.req.Stale != nil && slices.ContainsFunc(owners(name), l.req.Stale)
}

// forget makes one name mean nothing.
func (l *linker) forget(name string) {
	for key := range l.state.Born {
		if declares(name, key.Name) {
			delete(l.state.Born, key)
			delete(l.state.Dicts, key.Name)
		}
	}
	if l.host.knows(name) {
		l.state.Renewed[name] = true
	}
}

// rename lets new names stand for what the process has under older ones: who refers to that is led to the new code, and
// variables keep their values.
func (l *linker) rename() {
	was := map[Key]uint64{} // by the new names
	for new, old := range l.req.Renamed {
		for _, key := range []Key{{old, object.ABIInternal}, {old, 0}, {old + "·f", 0}} {
			if addr, ok := l.req.State.address(l.host, key); ok {
				was[Key{new + strings.TrimPrefix(key.Name, old), key.ABI}] = addr
			}
		}
		l.forget(new)
		l.state.Was[old] = append(slices.Clip(l.state.Was[old]), new)
	}
	for key, addr := range was {
		l.state.Born[key] = Symbol{Addr: addr}
	}
}

// everName adds to functions the names that they had before.
func (l *linker) everName(funcs map[string]bool) map[string]bool {
	if len(funcs) == 0 {
		return funcs
	}
	all := maps.Clone(funcs)
	for again := true; again; {
		again = false
		for old, news := range l.state.Was {
			if !all[old] && slices.ContainsFunc(news, func(new string) bool { return all[new] }) {
				all[old], again = true, true
			}
		}
	}
	return all
}

// sameType reports whether the process has a type that is the same in all its parts as that of the stubs.
func (l *linker) sameType(name string) bool {
	key := Key{Name: "type:" + name}
	s := l.lib.Lookup(key.Name, 0)
	if s.IsZero() || l.stubObjs[s.Obj] == nil {
		return false
	}
	if born, ok := l.state.Born[key]; ok {
		return born.Print == l.fingerprint(s)
	}
	base := l.built(key.Name, 0)
	return !base.IsZero() && l.fingerprint(base) == l.fingerprint(s)
}

// refersToHidden reports whether the description of a type that is the same in its parts has one in it that is another type
// under the same name.
func (l *linker) refersToHidden(name string) bool {
	for _, sym := range []string{"type:" + name, "type:*" + name} {
		for r := range l.lib.Lookup(sym, 0).Relocs() {
			if of := l.nameOf(r.Sym); isTypeSym(of) && l.state.hidden(of) && !declares(name, of) {
				return true
			}
		}
	}
	return false
}

// methodsOfTypes returns the functions in the method tables of the patch's types: they stay known as long as these.
func (l *linker) methodsOfTypes() map[*node]bool {
	set := map[*node]bool{}
	for _, n := range l.nodes {
		if n.base || !n.sym.IsGoType() {
			continue
		}
		for r := range n.sym.Relocs() {
			if r.Type != object.MethodOff {
				continue
			}
			if def := l.definition(r.Sym); def.Kind() == object.Text {
				if m := l.byKey[keyOf(def)]; m != nil {
					set[m] = true
				}
			}
		}
	}
	return set
}

// knows reports whether the image or the objects of the build have anything of a declaration.
func (h *Host) knows(name string) bool {
	for _, abi := range []uint16{0, object.ABIInternal} {
		if !h.Library.Lookup(name, abi).IsZero() {
			return true
		}
	}
	if !h.Library.Lookup("type:"+name, 0).IsZero() {
		return true
	}
	for e := range h.Index.All("") {
		if declares(name, e.Name) {
			return true
		}
	}
	return false
}

// built returns the build's definition of a symbol, unless the name means something else now.
func (l *linker) built(name string, abi uint16) object.Sym {
	if l.state.hidden(name) {
		return object.Sym{}
	}
	return l.host.Library.Lookup(name, abi)
}

// address of a symbol that a process has already.
func (s *State) address(h *Host, key Key) (uint64, bool) {
	if sym, ok := s.Born[key]; ok {
		return sym.Addr, true
	}
	if s.hidden(key.Name) {
		return 0, false
	}
	if addr, ok := h.Index.Addr(key.Name, key.ABI); ok {
		return addr + s.Bias, true
	}
	return 0, false
}

// hidden reports whether a symbol of the image or of the build's objects is not what its name means now.
func (s *State) hidden(symbol string) bool {
	for name := range s.Renewed {
		if declares(name, symbol) {
			return true
		}
	}
	return false
}

// Hides reports whether a type's descriptor in the image is not, or may not be, what its name means once some
// declarations are new.
func (s *State) Hides(symbol string, new []string) bool {
	for _, name := range new {
		if declares(name, symbol) {
			return true
		}
	}
	return s.hidden(symbol)
}

// declares reports whether a symbol is made of a declaration: it is that, or its name mentions it.
func declares(name, symbol string) bool {
	symbol = genericOf(strings.TrimSuffix(symbol, "·f")) // its func value, its dictionary
	if mentions(symbol, name) {
		return true
	}
	rest, ok := withoutPackage(name)
	return ok && !strings.ContainsRune(rest, '.') && mentions(symbol, name[:len(name)-len(rest)]+"(*"+rest)
}

// IsMethod reports whether a declaration, by link name, is a method.
func IsMethod(name string) bool {
	rest, ok := withoutPackage(name)
	return ok && strings.ContainsRune(rest, '.')
}
