package link

import (
	"maps"
	"slices"
	"strings"

	"github.com/limeade-go/limeade/reload/internal/object"
)

// holders lists the functions of the build that have code of a declaration inlined, by its link name. Only
// packages whose source may change are looked at: no other one imports them.
func (h *Host) holders(decl string) []object.Sym {
	h.onceHolders.Do(func() {
		h.byInlined = map[string][]object.Sym{}
		for s := range h.localText() {
			h.noteInlined(s)
		}
	})
	return h.byInlined[decl]
}

func (h *Host) noteInlined(s object.Sym) {
	if !s.FuncInfo().IsDef() {
		return
	}
	fi, err := s.DecodeFuncInfo()
	if err != nil {
		return // the linker reports it where the function is used
	}
	for _, c := range fi.InlTree {
		for _, decl := range owners(h.Library.Resolve(c.Func).Name()) {
			if list := h.byInlined[decl]; !slices.Contains(list[max(0, len(list)-1):], s) {
				h.byInlined[decl] = append(list, s)
			}
		}
	}
}

// checkInlined makes sure that no live code of the build has a function inlined that gets new code, whatever
// analysis said of who has. It sees only inlined calls that left instructions.
func (l *linker) checkInlined() error {
	for _, decl := range l.req.Funcs {
		for _, s := range l.host.holders(decl) {
			key := keyOf(s)
			entry, live := l.address(key)
			if s.IsContentHashed() {
				entry, live = l.host.Index.AddrOf(s)
				entry += l.state.Bias
			}
			if !live || l.byKey[key] != nil || l.rootAt(entry) != nil {
				continue
			}
			if _, replaced := l.state.Bodies[entry]; replaced || l.endsByItself(s.Name()) || l.isOrphan(entry) {
				continue
			}
			if l.isGone(s) {
				continue // whoever has it goes on with the code that it has, as was said when it was deleted
			}
			known := false
			for _, of := range owners(s.Name()) {
				if !strings.HasPrefix(of, "go:") && !l.funcs[of] {
					l.needBody[of], known = true, true
				}
			}
			if l.isWrapper(s) || !known {
				return refuse(s.Name(), "has code of %s in it, and was not compiled again", decl)
			}
		}
	}
	if len(l.needBody) > 0 {
		return &NeedBody{Decls: sortedKeys(l.needBody)}
	}
	return nil
}

// endsByItself reports whether a function is one that nobody calls after the refresh: it ran when the program
// started, lives as long as the statement that made it, or is bound to a method that is another one now.
func (l *linker) endsByItself(name string) bool {
	bound, isBound := strings.CutSuffix(name, "-fm")
	return RunsAtStart(name) || transient.MatchString(name) || isInitialiserLiteral(name) || isBound && l.req.New[bound]
}

// isGone reports whether a function of the build is of a declaration that the source does not have any more.
func (l *linker) isGone(s object.Sym) bool {
	if l.req.Gone == nil || l.isWrapper(s) {
		return false
	}
	for _, of := range owners(s.Name()) {
		if l.funcs[of] || slices.Contains(slices.Collect(maps.Values(l.req.Renamed)), of) {
			return false
		}
	}
	return slices.ContainsFunc(owners(s.Name()), l.req.Gone)
}
