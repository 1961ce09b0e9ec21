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
// is not compiled again goes on with the new code of another one. Forms of generic code serve one shape
// each, and hold a dictionary.

// literal matches the names of function literals, and those of what is made in them.
var literal = regexp.MustCompile(`\.func\d+(\..*)?$`)

func isLiteral(name string) bool {
	return literal.MatchString(name) && !transient.MatchString(name) && !strings.HasSuffix(name, "-fm")
}

// RunsAtStart reports whether a function is an init function, or the one that initialises a package's
// variables. They ran; what they are compiled again for is the closures that they made.
func RunsAtStart(name string) bool {
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

// initName begins the names of the functions that a stub has to initialise new variables. They are numbered anew in
// each stub.
const initName = "limeadeInit"

// isNewInit reports whether a symbol is such a function, or made in one.
func isNewInit(name string) bool {
	rest, ok := withoutPackage(name)
	return ok && strings.HasPrefix(rest, initName)
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
// One that is left behind would be a wrong answer later on. sameDicts says that the new code can serve
// closures that hold a dictionary.
func (l *linker) adoptLiterals(sameDicts bool) error {
	replaced := map[uint64]bool{}
	made := map[spot][]*root{}
	for _, r := range l.roots {
		if r.entry != 0 {
			replaced[r.entry] = true
		}
		if isLiteral(r.node.key.Name) && !l.isWrapper(r.node.sym) {
			at, err := l.spotOf(r.node.sym)
			if err != nil {
				return err
			}
			made[at] = append(made[at], r)
		}
	}
	began, begin, went := map[spot]int{}, map[spot]int{}, map[[2]spot]int{} // how many literals
	for _, p := range l.req.Pairs {
		began[p.from()]++
		begin[p.to()]++
		went[[2]spot{p.from(), p.to()}]++
	}
	done := map[spot]bool{}
	for _, p := range l.req.Pairs {
		from, to := p.from(), p.to()
		if p.OldLine == 0 || p.NewLine == 0 || p.Apart || done[from] {
			continue // nothing goes on, or all literals of the line have
		}
		done[from] = true
		count := began[from]
		if begin[to] != count || went[[2]spot{from, to}] != count {
			count = 0 // some came, went, or moved to other lines
		}
		live, err := l.liveLiterals(from)
		if err != nil {
			return err
		}
		if !slices.ContainsFunc(live, func(f form) bool { return !replaced[f.entry] }) {
			continue
		}
		for i, r := range match(live, made[to], count, sameDicts) {
			switch f := live[i]; {
			case replaced[f.entry]:
			case r == nil:
				return refuse(f.body.Name, "is a function literal of the edit, made where it cannot be compiled again")
			default:
				l.roots = append(l.roots, &root{node: r.node, entry: f.entry, old: f.body, adopted: true})
			}
		}
	}
	return l.forgetLiterals(began, went)
}

// forgetLiterals takes note that the source has no such literals any more as begin in some lines: others may begin
// there one day.
func (l *linker) forgetLiterals(began map[spot]int, went map[[2]spot]int) error {
	for from, count := range began {
		if from.line == 0 || went[[2]spot{from, {}}] != count {
			continue
		}
		live, err := l.liveLiterals(from)
		if err != nil {
			return err
		}
		for _, f := range live {
			if b, ok := l.state.Bodies[f.entry]; ok {
				b.File = ""
				l.state.Bodies[f.entry] = b
			}
			l.state.Lines[f.body.Func] = Lines{}
		}
	}
	return nil
}

// remade returns the new code of a function literal of an initialiser that the process lacks, and which the refresh is
// about: a variable that only new code refers to starts with it. Its own code is that of the build if it is about others.
func (l *linker) remade(base object.Sym) (object.Sym, error) {
	from, err := l.spotOf(base)
	if err != nil {
		return base, err
	}
	var to []spot
	for _, p := range l.req.Pairs {
		if p.from() == from {
			to = append(to, p.to())
		}
	}
	if len(to) == 0 {
		return base, nil
	}
	var was, is []object.Sym
	for i := range base.Obj.NumDefs() {
		if s := base.Obj.Sym(i); s.Kind() == object.Text && s.Size() > 0 {
			if was, err = l.appendMade(was, s, from); err != nil {
				return base, err
			}
		}
	}
	for _, r := range l.roots {
		if is, err = l.appendMade(is, r.node.sym, to[0]); err != nil {
			return base, err
		}
	}
	i := slices.Index(was, base)
	if i < 0 || len(was) != len(is) || slices.ContainsFunc(to, func(at spot) bool { return at != to[0] }) {
		return base, refuse(base.Name(), "is a function literal of the edit that the process lacks, and cannot be told from others of its line")
	}
	return is[i], nil
}

// appendMade appends a function literal of an initialiser to those that begin in a line, in the order of their numbers.
func (l *linker) appendMade(list []object.Sym, s object.Sym, at spot) ([]object.Sym, error) {
	if !isInitialiserLiteral(s.Name()) || strings.HasSuffix(s.Name(), "·f") {
		return list, nil
	}
	begins, err := l.spotOf(s)
	if err != nil || begins != at {
		return list, err
	}
	list = append(list, s)
	slices.SortFunc(list, func(a, b object.Sym) int { return compareNumbers(a.Name(), b.Name()) })
	return list, nil
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
		if b.File == at.file && b.StartLine == at.line && isLiteral(b.Name) && !b.Wrapper {
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
		if b.File == at.file && !b.Wrapper {
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
// where it cannot be told. count says how many literals begin there, 0 if that is not what it was: a
// function numbers all that it makes.
func match(live []form, made []*root, count int, sameDicts bool) []*root {
	code := map[string][]*root{} // by the function that makes the literals
	for _, r := range made {
		of, _ := numbers(r.node.key.Name)
		code[of] = append(code[of], r)
	}
	found := make([]*root, len(live))
	if count == 0 {
		return found
	}
	plain := "" // one of them that is not generic
	for of, list := range code {
		slices.SortFunc(list, func(a, b *root) int { return compareNumbers(a.node.key.Name, b.node.key.Name) })
		if (count == 1 || len(list) == count) && !isInstance(of) && (plain == "" || of < plain) {
			plain = of
		}
	}
	// Each time that a function was compiled it numbered them anew; the tables tell these times apart.
	type making struct {
		of     string
		tables FileTables
	}
	forms := map[making][]int{}
	for i, f := range live {
		of, _ := numbers(f.body.Name)
		by := making{of, f.body.Tables}
		forms[by] = append(forms[by], i)
	}
	for by, list := range forms {
		from := code[plain]
		if isInstance(by.of) {
			if from = code[by.of]; !sameDicts {
				continue
			}
		}
		slices.SortFunc(list, func(a, b int) int { return compareNumbers(live[a].body.Name, live[b].body.Name) })
		for i, at := range list {
			switch {
			case count == 1 && len(from) > 0:
				found[at] = from[0]
			case len(list) == count && len(from) == count:
				found[at] = from[i]
			}
		}
	}
	return found
}

func isInstance(name string) bool { return strings.Contains(name, "[") }

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
