package link

import (
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/limeade-go/limeade/reload/internal/object"
)

// A function literal has several forms in a process: its own, and one in each function that its
// function was inlined into, init functions and initialisers among them. All forms find the captured
// variables in the same places. Its own form knows nothing of them; the others may have been compiled for
// the values that they have there. So all closures that exist go on with the new code of its own form. Forms of
// generic code serve one shape each, and hold a dictionary.

// literal matches the names of function literals, and those of what is made in them. From Go 1.27 on the body of a
// range-over-func loop numbers its own.
var literal = regexp.MustCompile(`(\.func\d+|-range\d+\.\d+)(\..*)?$`)

// rangeLiteral matches the end of the name of one that the body of a range-over-func loop numbers.
var rangeLiteral = regexp.MustCompile(`-range\d+(\.\d+)+$`)

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

func (p Literal) spot() spot { return spot{p.File, p.Line} }

func (b Body) spot() spot { return spot{b.File, b.StartLine} }

func (p Literal) none() bool { return p.Line == 0 }

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
	return spot{declFile(spans), int(fi.StartLine)}, nil
}

// adoptLiterals gives new code to every live form of the function literals that the refresh is about, and takes note of
// those that do not go on. A form that is left behind would be a wrong answer later on. sameDicts says that the new code
// can serve closures that hold a dictionary.
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
	from := map[spot][]ClosurePair{}
	for _, p := range l.req.Pairs {
		if at := p.Old.spot(); !p.Old.none() {
			from[at] = append(from[at], p)
		}
	}
	if err := l.checkPlaces(from); err != nil {
		return err
	}
	for _, p := range l.req.Pairs {
		at := p.Old.spot()
		pairs := from[at]
		if len(pairs) == 0 {
			continue // nothing goes on, or all literals of the line have
		}
		delete(from, at)
		live, err := l.liveLiterals(at.file)
		if err != nil {
			return err
		}
		live = slices.DeleteFunc(slices.Clone(live), func(f form) bool { return f.body.StartLine != at.line })
		fates := fatesOf(live, pairs)
		for i, f := range live {
			p := fates[i]
			switch {
			case replaced[f.entry]:
			case p == nil && len(pairs) == pairs[0].Old.Of && !slices.ContainsFunc(pairs, func(p ClosurePair) bool { return !l.isBrief(p) }):
				l.orphan(f) // whichever it is
			case p == nil:
				return refuse(f.body.Name, "is a function literal of the edit that cannot be told from others of its line")
			case p.Apart:
				l.orphan(f)
			case *p == other:
			case p.New.none():
				l.orphan(f)
			default:
				r := l.codeFor(f, p.New, made[p.New.spot()], sameDicts)
				if r == nil && l.isBrief(*p) {
					l.orphan(f) // the new code has it inlined
					break
				}
				if r == nil {
					return refuse(f.body.Name, "is a function literal of the edit, made where it cannot be compiled again")
				}
				l.roots = append(l.roots, &root{node: r.node, entry: f.entry, old: f.body, adopted: true})
			}
		}
	}
	return nil
}

// isBrief reports whether closures of an old literal never outlive the code that makes them: what comes to it then is only
// old code that is under way. One that the source has no more counts as such, since it is left alone anyway.
func (l *linker) isBrief(p ClosurePair) bool {
	return p.New.none() || p.Called || p.Told && l.req.Brief != nil && l.req.Brief(p.Old.Name)
}

// checkPlaces makes sure that the live forms of the literals stand where they are looked for. What the process has in the
// files must begin where the source that it runs has a literal, and what is called as one of the refresh is, where that
// does. So a literal of which no form is found is one that the program has no code of: where its function was dropped, or
// all of it was inlined.
func (l *linker) checkPlaces(from map[spot][]ClosurePair) error {
	known, files := map[spot]bool{}, map[string]bool{}
	for _, lit := range l.req.Literals {
		known[lit.spot()], files[lit.File] = true, true
	}
	named := map[string]map[spot]bool{} // where the literals of a name begin; init functions may share one
	for at, pairs := range from {
		for _, p := range pairs {
			if p.Old.Name != "" {
				named[p.Old.Name] = orNew(named[p.Old.Name])
				named[p.Old.Name][at] = true
			}
		}
	}
	const why = "is a function literal that the process has from where its source has none, or another one"
	for _, file := range sortedKeys(files) {
		live, err := l.liveLiterals(file)
		if err != nil {
			return err
		}
		for _, f := range live {
			if !known[f.body.spot()] {
				return refuse(f.body.Name, why)
			}
		}
	}
	for name, at := range named {
		for _, name := range append(l.host.instances(name), name) {
			entry, ok := l.req.State.address(l.host, Key{name, object.ABIInternal})
			_, born := l.req.State.Born[Key{name, object.ABIInternal}]
			if !ok || !born && l.host.Library.Lookup(name, object.ABIInternal).IsZero() {
				continue // it is called as all forms of the literal are: see isOwn
			}
			b, err := l.body(name, entry)
			if err != nil {
				return err
			}
			gone := b.StartLine == 0
			renumbered := slices.ContainsFunc(owners(name), RunsAtStart) && known[b.spot()] // as the order of files is another one
			if !gone && !b.Wrapper && !at[b.spot()] && !renumbered {
				return refuse(name, why)
			}
		}
	}
	return nil
}

// other stands for a literal that begins in a line of the edit and is no part of it.
var other = ClosurePair{}

// fatesOf finds out which of the literals that begin in a line each live form is of; nil where that cannot be told. Those
// of the function that they stand in are known by their names. A function that they were inlined into numbers them
// as all that it makes, in their order.
func fatesOf(live []form, pairs []ClosurePair) []*ClosurePair {
	fates := make([]*ClosurePair, len(live))
	nth := make([]*ClosurePair, pairs[0].Old.Of)
	for i := range nth {
		nth[i] = &other
	}
	allGone := len(pairs) == len(nth)
	for i, p := range pairs {
		nth[p.Old.Nth] = &pairs[i]
		allGone = allGone && p.New.none()
	}
	// Each time that a function was compiled it numbered them anew; the tables tell these times apart.
	type making struct {
		of     string
		tables FileTables
	}
	forms := map[making][]int{}
	for i, f := range live {
		if len(nth) == 1 || allGone {
			fates[i] = nth[0]
			continue
		}
		name := withoutInstance(f.body.Name)
		if k := slices.IndexFunc(pairs, func(p ClosurePair) bool { return p.Old.Name == name }); k >= 0 {
			fates[i] = &pairs[k]
			continue
		}
		var nested []int
		for k, p := range pairs {
			if madeInlined(name, p.Old.Name) {
				nested = append(nested, k)
			}
		}
		if len(nested) == 1 {
			fates[i] = &pairs[nested[0]]
			continue
		}
		of, _ := numbers(f.body.Name)
		by := making{of, f.body.Tables}
		forms[by] = append(forms[by], i)
	}
	for _, list := range forms {
		if len(list) != len(nth) {
			continue
		}
		slices.SortFunc(list, func(a, b int) int { return compareNumbers(live[a].body.Name, live[b].body.Name) })
		for i, at := range list {
			fates[at] = nth[i]
		}
	}
	return fates
}

// codeFor finds the new code of a live form of a literal among what the stubs have for the line of its new one: that of
// its own form; nil if there is none. What initialises variables has no other.
func (l *linker) codeFor(f form, to Literal, made []*root, sameDicts bool) *root {
	of, _ := numbers(f.body.Name)
	generic := isInstance(of)
	if generic && !sameDicts {
		return nil
	}
	var initialisers []*root
	for _, r := range made {
		name := r.node.key.Name
		by, _ := numbers(name)
		switch {
		case isInitialiserLiteral(name):
			initialisers = append(initialisers, r)
		case withoutInstance(name) == to.Name && instanceOf(by) == instanceOf(of) && l.isOwn(r.node.sym):
			return r
		}
	}
	slices.SortFunc(initialisers, func(a, b *root) int { return compareNumbers(a.node.key.Name, b.node.key.Name) })
	switch {
	case to.Name != "" || generic || len(initialisers) == 0:
		return nil
	case to.Of == 1:
		return initialisers[0]
	case len(initialisers) == to.Of:
		return initialisers[to.Nth]
	}
	return nil
}

// instanceOf returns the type arguments in the name of a function, of the innermost one that was inlined; "" if it has none.
func instanceOf(name string) string {
	if !strings.HasSuffix(name, "]") {
		return ""
	}
	depth := 0
	for i := len(name) - 1; i >= 0; i-- {
		switch name[i] {
		case ']':
			depth++
		case '[':
			if depth--; depth == 0 {
				return name[i:]
			}
		}
	}
	return ""
}

// isOwn reports whether the code of a literal in a stub is its own form. Where all forms are called the same, it is the
// one that the function makes which it stands in.
func (l *linker) isOwn(s object.Sym) bool {
	if !s.IsContentHashed() {
		return true
	}
	if l.own == nil {
		l.own = map[object.Sym]bool{}
		for o := range l.stubObjs {
			for i := range o.NumDefs() {
				if s := o.Sym(i); s.Kind() == object.Text && !s.IsContentHashed() {
					l.noteOwn(s, s.Name())
				}
			}
		}
	}
	return l.own[s]
}

// noteOwn notes the literals of a function that its code makes, or that of others of them.
func (l *linker) noteOwn(s object.Sym, fn string) {
	for r := range s.Relocs() {
		lit := codeOf(r.Sym)
		if lit.IsZero() || !lit.IsContentHashed() || lit.Kind() != object.Text || l.own[lit] {
			continue
		}
		if rest, ok := strings.CutPrefix(lit.Name(), fn); ok && ownLiteral.MatchString(rest) {
			l.own[lit] = true
			l.noteOwn(lit, fn)
		}
	}
}

// takeOver leaves what a function of some name was before to the one that goes on from there.
func (l *linker) takeOver() {
	went := map[uint64]bool{}
	for _, r := range l.roots {
		if r.entry != 0 {
			went[r.old.Func] = true
		}
	}
	for _, r := range l.roots {
		if r.entry == 0 && went[r.old.Func] {
			r.old = Body{}
		}
	}
}

// remade returns the new code of a function literal of an initialiser that the process lacks, and which the refresh is
// about: a variable that only new code refers to starts with it. Its own code is that of the build if it is about others.
func (l *linker) remade(base object.Sym) (object.Sym, error) {
	from, err := l.spotOf(base)
	if err != nil {
		return base, err
	}
	var pairs []ClosurePair
	for _, p := range l.req.Pairs {
		if p.Old.spot() == from {
			pairs = append(pairs, p)
		}
	}
	if len(pairs) == 0 {
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
		if is, err = l.appendMade(is, r.node.sym, pairs[0].New.spot()); err != nil {
			return base, err
		}
	}
	if pairs[0].Old.Of == 1 && pairs[0].New.Of == 1 && len(is) == 1 {
		return is[0], nil
	}
	own := func(s object.Sym) bool {
		_, rest, _ := strings.Cut(s.Name(), ".init")
		return ownLiteral.MatchString(rest)
	}
	if !own(base) { // its literal was made in one that was inlined: the only one there
		at := slices.DeleteFunc(slices.Clone(was), func(s object.Sym) bool { return !own(s) || !madeInlined(base.Name(), s.Name()) })
		if len(at) == 1 {
			base = at[0]
		}
	}
	was = slices.DeleteFunc(was, func(s object.Sym) bool { return !own(s) })
	i := slices.Index(was, base)
	if i < 0 || len(was) != len(is) || slices.ContainsFunc(pairs, func(p ClosurePair) bool { return p.New.spot() != pairs[0].New.spot() }) {
		return base, refuse(base.Name(), "is a function literal of the edit that the process lacks, and cannot be told from others of its line")
	}
	return is[i], nil
}

// madeInlined reports whether a form of a literal may be that of one in another literal, which was inlined where the form
// is made: "p.G.F.func1.func2" may be "p.F.func1.1".
func madeInlined(form, own string) bool {
	of, _ := numbers(form)
	outer, ok := withoutPackage(own)
	i := strings.LastIndexByte(outer, '.')
	return ok && i > 0 && isLiteral(own[:len(own)-len(outer)+i]) && strings.HasSuffix(of, "."+outer[:i])
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
