package link

import (
	"cmp"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/limeade-go/limeade/reload/internal/image"
	"github.com/limeade-go/limeade/reload/internal/object"
)

// A function literal has several forms in a process: its own, and one in each function that its
// function was inlined into, init functions and initialisers among them. All forms find the captured
// variables in the same places, and none knows more of them than the others. So a form whose function
// is not compiled again goes on with the new code of another one; only the forms of generic code
// differ, by their dictionaries.

// literal matches the names of function literals, and those of what is made in them.
var literal = regexp.MustCompile(`\.func\d+(\..*)?$`)

func isLiteral(name string) bool {
	return literal.MatchString(name) && !transient.MatchString(name) && !strings.HasSuffix(name, "-fm")
}

// runsAtStart reports whether a function is an init function, or the one that initialises a package's
// variables. They ran; what they are compiled again for is the closures that they made.
func runsAtStart(name string) bool {
	rest, ok := withoutPackage(name)
	return ok && (rest == "init" || isInitFunc(rest) && strings.LastIndexByte(rest, '.') == len("init"))
}

// isInitFunc reports whether a name without its package begins with that of an init function, "init.0".
func isInitFunc(rest string) bool {
	n, ok := strings.CutPrefix(rest, "init.")
	return ok && n != "" && '0' <= n[0] && n[0] <= '9'
}

// isInitialiserLiteral reports whether a symbol is a function literal, or the func value of one, that the
// initialisers of a package's variables make. The compiler numbers these in the order in which the
// whole package is initialised, so a stub's names of them mean nothing elsewhere.
func isInitialiserLiteral(name string) bool {
	rest, ok := withoutPackage(name)
	return ok && strings.HasPrefix(rest, "init.") && !isInitFunc(rest) && isLiteral(strings.TrimSuffix(name, "·f"))
}

// A spot is where a function literal begins.
type spot struct {
	file string
	line int
}

func (p ClosurePair) from() spot { return spot{p.OldFile, p.OldLine} }
func (p ClosurePair) to() spot   { return spot{p.NewFile, p.NewLine} }

// spotOf returns where the source of a function of a stub begins.
func (l *linker) spotOf(s object.Sym) (spot, error) {
	fi, err := s.DecodeFuncInfo()
	if err != nil {
		return spot{}, fmt.Errorf("%s: %w", s.Name(), err)
	}
	spans, err := l.objectSpans(s)
	if err != nil {
		return spot{}, err
	}
	line := int(fi.StartLine)
	return spot{declFile(spans, line), line}, nil
}

// adoptLiterals gives new code to every live form of the function literals that the refresh is about.
// One that is left behind would be a wrong answer later on.
func (l *linker) adoptLiterals() error {
	replaced := map[uint64]bool{}
	made := map[spot][]*root{}
	for _, r := range l.roots {
		if r.entry != 0 {
			replaced[r.entry] = true
		}
		if isLiteral(r.node.key.Name) {
			at, err := l.spotOf(r.node.sym)
			if err != nil {
				return err
			}
			made[at] = append(made[at], r)
		}
	}
	pairs := map[spot][]ClosurePair{} // by where they began
	for _, p := range l.req.Pairs {
		pairs[p.from()] = append(pairs[p.from()], p)
	}
	for _, p := range l.req.Pairs {
		from := p.from()
		if p.OldLine == 0 || p.NewLine == 0 {
			continue // nothing goes on
		}
		count := len(pairs[from])
		delete(pairs, from)
		if count == 0 {
			continue // done with the first one of its line
		}
		live, err := l.liveLiterals(from)
		if err != nil {
			return err
		}
		if !slices.ContainsFunc(live, func(f form) bool { return !replaced[f.entry] }) {
			continue
		}
		for i, r := range match(live, made[p.to()], count) {
			switch f := live[i]; {
			case replaced[f.entry]:
			case r == nil:
				return refuse(f.body.Name, "is a function literal of the edit, made where it cannot be compiled again")
			default:
				l.roots = append(l.roots, &root{node: r.node, entry: f.entry, old: f.body, adopted: true})
			}
		}
	}
	return nil
}

// A form is a live function literal.
type form struct {
	entry uint64
	body  Body
}

// liveLiterals returns the function literals whose live code was compiled from source that begins in a line.
func (l *linker) liveLiterals(at spot) ([]form, error) {
	var list []form
	for entry, b := range l.state.Bodies {
		if b.File == at.file && b.StartLine == at.line && isLiteral(b.Name) {
			list = append(list, form{entry, b})
		}
	}
	bias := l.state.Bias
	var found []image.Func
	for _, f := range l.host.funcsIn(at.file) {
		if _, moved := l.state.Lines[f.Addr()+bias]; !moved && int(f.StartLine()) == at.line && isLiteral(f.Name()) {
			found = append(found, f)
		}
	}
	for fn, lines := range l.state.Lines {
		if lines.File == at.file && lines.StartLine == at.line {
			if f, ok := l.host.literal(fn - bias); ok {
				found = append(found, f)
			}
		}
	}
	for _, f := range found {
		entry := f.Entry + bias
		if _, ok := l.state.Bodies[entry]; ok {
			continue // it has newer code
		}
		b, err := l.body(f.Name(), entry)
		if err != nil {
			return nil, err
		}
		if b.File == at.file {
			list = append(list, form{entry, b})
		}
	}
	slices.SortFunc(list, func(a, b form) int { return cmp.Compare(a.entry, b.entry) })
	return list, nil
}

// literal returns the function literal of the image with a runtime._func at an address.
func (h *Host) literal(fn uint64) (image.Func, bool) {
	h.onceLiterals.Do(func() {
		h.literals = map[uint64]image.Func{}
		for f := range h.Image.Funcs() {
			if isLiteral(f.Name()) {
				h.literals[f.Addr()] = f
			}
		}
	})
	f, ok := h.literals[fn]
	return f, ok
}

// match finds the new code of each live literal of a line among what the stubs have for that line; nil
// where it cannot be told. count says how many literals began there.
func match(live []form, made []*root, count int) []*root {
	groups := map[string][]*root{} // by the function that they are made in
	for _, r := range made {
		if of, _ := numbers(r.node.key.Name); !strings.Contains(of, "[") {
			groups[of] = append(groups[of], r)
		}
	}
	var code []*root // of all literals of the line, in their order: a function numbers those that it makes
	for of, g := range groups {
		if (len(g) == count || count == 1) && (code == nil || of < code[0].of()) {
			code = g
		}
	}
	slices.SortFunc(code, func(a, b *root) int { return compareNumbers(a.node.key.Name, b.node.key.Name) })
	found := make([]*root, len(live))
	// Each time that a function was compiled it numbered them anew; the tables tell these times apart.
	type making struct {
		of     string
		tables FileTables
	}
	lines := map[making][]int{}
	for i, f := range live {
		of, _ := numbers(f.body.Name)
		switch {
		case strings.Contains(of, "["):
		case count == 1 && code != nil:
			found[i] = code[0]
		default:
			by := making{of, f.body.Tables}
			lines[by] = append(lines[by], i)
		}
	}
	for _, list := range lines {
		if len(list) != len(code) {
			continue
		}
		slices.SortFunc(list, func(a, b int) int { return compareNumbers(live[a].body.Name, live[b].body.Name) })
		for i, at := range list {
			found[at] = code[i]
		}
	}
	return found
}

// of returns the function that makes a function literal.
func (r *root) of() string {
	of, _ := numbers(r.node.key.Name)
	return of
}

// numbers splits the name of a function literal: "p.F.func2.1" gives "p.F" and 2, 1.
func numbers(name string) (of string, n []int) {
	i := strings.LastIndex(name, ".func")
	for part := range strings.SplitSeq(name[i+len(".func"):], ".") {
		if k, err := strconv.Atoi(part); err == nil {
			n = append(n, k)
		}
	}
	return name[:i], n
}

func compareNumbers(a, b string) int {
	_, x := numbers(a)
	_, y := numbers(b)
	return slices.Compare(x, y)
}
