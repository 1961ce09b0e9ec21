package link

import (
	"slices"
	"strings"

	"github.com/limeade-go/limeade/reload/internal/object"
)

// orphan takes note that closures of a live form of a literal keep its code: others may begin in its line one day. They go
// on with it on the strength of what it knows of the functions it calls.
func (l *linker) orphan(f form) {
	if b, ok := l.state.Bodies[f.entry]; ok {
		b.File, b.StartLine = "", 0
		l.state.Bodies[f.entry] = b
		l.state.Strays[b.Name] = true
	}
	l.state.Lines[f.body.Func] = Lines{}
	for _, r := range l.roots {
		if r.entry == 0 && r.old.Hi == 0 && r.node.key.Name == f.body.Name {
			r.old = f.body // whoever is in that code is in old code
			break
		}
	}
	seen := map[string]bool{}
	var visit func(name string, def object.Sym)
	visit = func(name string, def object.Sym) {
		if seen[name] {
			return
		}
		seen[name] = true
		calls, born := l.req.State.Calls[name]
		if def.IsZero() && !born {
			l.orphans[anything] = true // its code is not known
			return
		}
		for _, fn := range calls {
			l.orphans[fn] = true
			// It may be called at its own address, whatever became of its name.
			if _, ok := l.req.State.Born[Key{fn, object.ABIInternal}]; ok || isLiteral(fn) {
				visit(fn, l.host.Library.Lookup(fn, object.ABIInternal))
			}
		}
		if def.IsZero() {
			return
		}
		for r := range def.Relocs() {
			if r.Sym.IsZero() {
				continue
			}
			callee := codeOf(r.Sym)
			if r.Type == object.Call || isLiteral(callee.Name()) {
				l.orphans[callee.Name()] = true
			}
			if isLiteral(callee.Name()) {
				visit(callee.Name(), l.host.Library.Resolve(callee))
			}
		}
	}
	visit(f.body.Name, l.host.textAt(f))
}

// codeOf returns the function of a func value that has a symbol of its own, and any other symbol as it is.
func codeOf(s object.Sym) object.Sym {
	if !s.IsZero() && s.IsDef() && strings.HasSuffix(s.Name(), "·f") && s.NumRelocs() > 0 {
		return s.Reloc(0).Sym
	}
	return s
}

// textAt returns the build's object code of a form, the zero Sym if it has newer code.
func (h *Host) textAt(f form) object.Sym {
	if s := h.Library.Lookup(f.body.Name, object.ABIInternal); !s.IsZero() {
		return s
	}
	h.onceHashed.Do(func() {
		h.hashedText = map[uint64]object.Sym{}
		for s := range h.localText() {
			if !s.IsContentHashed() {
				continue
			}
			if addr, ok := h.Index.AddrOf(s); ok {
				h.hashedText[addr] = s
			}
		}
	})
	return h.hashedText[f.image]
}

// anything is what an orphan calls of which nothing is known.
const anything = "*"

// Calls reports whether orphans may call a declaration where it has its newest code.
func Calls(orphans []string, decl string) bool {
	return slices.ContainsFunc(orphans, func(fn string) bool { return fn == anything || !isLiteral(fn) && slices.Contains(owners(fn), decl) })
}

// CallsInstance reports whether orphans may call generic code without its dictionary.
func CallsInstance(orphans []string, decl string) bool {
	return slices.ContainsFunc(orphans, func(fn string) bool { return isPlainInstance(fn) && slices.Contains(owners(fn), decl) })
}

// Makes reports whether orphans may make or call function literals of a declaration.
func Makes(orphans []string, decl string) bool {
	return slices.ContainsFunc(orphans, func(fn string) bool { return fn == anything || isLiteral(fn) && isMadeBy(fn, decl) })
}

// isOrphan reports whether the code at an entry is of a literal that the source does not have any more.
func (l *linker) isOrphan(entry uint64) bool {
	f, ok := l.host.Image.FuncAt(entry - l.state.Bias)
	if !ok {
		return false
	}
	lines, moved := l.state.Lines[f.Addr()+l.state.Bias]
	return moved && isStray(lines)
}

// isStray reports whether lines are those of a literal that the source has no more.
func isStray(lines Lines) bool { return lines.File == "" && lines.StartLine == 0 }
