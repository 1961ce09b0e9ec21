package reload

import (
	"context"
	"go/types"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/limeade-go/limeade/reload/internal/build"
	"github.com/limeade-go/limeade/reload/internal/link"
	"github.com/limeade-go/limeade/reload/internal/object"
)

// Callers hand out pointers into their stacks, and share the bytes of strings, on the strength of what
// the compiler found out about the parameters of the function that they call. A new body that lets
// more escape than the body they were compiled against would leave pointers to dead stack memory
// behind. So the escape tags that live callers rely on are kept per function ([assumptions]), each new
// body's tags are compared with them, and where it leaks more all callers are compiled again.

// assumptions are the tightest escape tags that code in the process may rely on, by link name of the
// function: for each parameter, the receiver first, the ways in which it leaves, as build.FuncFacts
// has them. A function that is not there is as the build compiled it.
type assumptions map[string][][]string

// A leaks says which recompiled functions let more escape than live code relies on.
type leaks struct {
	callers []string // whose callers rely on less
	// generic functions all do: the compiler does not say what they leak.
	generic []string
	// makers have function literals that let more escape of their parameters or captured variables than the code
	// relies on that makes them.
	makers map[string]bool
	// apart are where such literals begin whose closures live only as long as that code: they keep their own.
	apart map[place]bool
}

// A place is a line of a file.
type place struct {
	file string
	line int
}

// leaks compares what the new bodies let escape with what live code relies on: of the uncalled, nothing.
func (p *Program) leaks(ctx context.Context, from *Generation, c *compiled, pairs []ClosurePair, uncalled map[string]bool) (found leaks, err error) {
	for _, decl := range c.decls {
		f := c.facts[decl]
		switch {
		case f == nil:
			continue // made by the compiler: it leaks what the method leaks that it calls
		case f.Generic:
			found.generic = append(found.generic, decl)
			continue
		case uncalled[decl] || !leaksAny(f.Params):
			continue
		}
		relied, known := from.assumed[decl]
		if !known {
			if relied, known, err = p.built(ctx, decl); err != nil {
				return found, err
			}
		}
		if known && !coversAll(relied, f.Params) {
			found.callers = append(found.callers, decl)
		}
	}
	return found, p.literalLeaks(ctx, from, c, pairs, &found)
}

// literalLeaks finds function literals that let more escape than before. A literal is called directly, and what it
// captures lies in the stack, only where it is made: all of that code is compiled anew with it, but a goroutine may be
// inside of older code.
func (p *Program) literalLeaks(ctx context.Context, from *Generation, c *compiled, pairs []ClosurePair, found *leaks) error {
	recompiled := setOf(c.decls)
	old := map[string]map[string][][]string{} // by function: what is relied on of its literals
	found.makers, found.apart = map[string]bool{}, map[place]bool{}
	kept := map[place]string{}
	goesOn := continued(pairs)
	letsEscape := map[place]bool{}
	for _, f := range c.facts {
		if f.Line != 0 && (f.Generic || leaksAny(unkept(f.Params))) {
			letsEscape[place{f.File, f.Line}] = true
		}
	}
	for _, name := range sortedKeys(c.facts) {
		f := c.facts[name]
		at := place{f.File, f.Line}
		decl, ok := madeBy(name)
		atStart := ok && link.RunsAtStart(decl)
		if !ok || !recompiled[decl] || atStart && !strings.Contains(name[len(decl)+len(".func"):], ".") {
			continue // or made when the program started, by code that has ended
		}
		if !letsEscape[at] {
			continue
		}
		was, isKnown := goesOn[name]
		older, told := false, true
		for _, pair := range pairs {
			if pair.Old.Line != 0 && (place{pair.New.File, pair.New.Line}) == at {
				older, told = true, told && pair.Told
			}
		}
		if isKnown && was == "" || !older {
			continue // no older code makes it
		}
		if f.Generic {
			found.makers[decl] = true // of which the compiler says nothing
			continue
		}
		before := decl
		if of, ok := madeBy(was); ok {
			before = of // it may have been renamed
		}
		if old[before] == nil {
			var err error
			if old[before], err = p.literals(ctx, from.assumed, before); err != nil {
				return err
			}
		}
		relied := old[before]
		if tags, ok := relied[was]; ok {
			relied = map[string][][]string{was: tags}
		} // else it may be any of them
		leaks := false
		for _, tags := range relied {
			now := unkept(f.Params)
			if atStart || !told {
				kept[at] = decl // of what is made in inlined code the compiler does not say that it is kept
			}
			if isKept(tags) {
				kept[at] = decl
				if inlined, err := p.mayBeInlined(ctx, decl, c); err != nil {
					return err
				} else if !inlined && len(tags) == len(now) { // what it captures is on the heap
					tags, now = tags[:len(tags)-1], now[:len(now)-1]
				}
			}
			leaks = leaks || !coversAll(tags, now)
		}
		if leaks {
			found.apart[at] = true
		}
	}
	for at, decl := range kept {
		if found.apart[at] {
			delete(found.apart, at)
			found.makers[decl] = true
		}
	}
	return nil
}

// continued says under which names function literals were known that go on, by their names now; "" for those that are
// new. Literals that initialise variables have no names.
func continued(pairs []ClosurePair) map[string]string {
	names := map[string]string{}
	for _, p := range pairs {
		if p.New.Name != "" {
			names[p.New.Name] = p.Old.Name
		}
	}
	return names
}

// refused fails if orphans rely on less: code of function literals that no source has any more, which closures may keep
// alive.
func (found *leaks) refused(orphans []string) error {
	const why = "lets more of its parameters escape than before, and closures that may exist rely on that: the source does not have their function literal any more"
	for _, decl := range found.callers {
		if link.Calls(orphans, decl) {
			return &RefusedError{Symbol: decl, Reason: why}
		}
	}
	for _, decl := range found.generic {
		if link.CallsInstance(orphans, decl) {
			return &RefusedError{Symbol: decl, Reason: why}
		}
	}
	for _, decl := range sortedKeys(found.makers) {
		if link.Makes(orphans, decl) {
			return &RefusedError{Symbol: decl, Reason: "has a function literal that " + why}
		}
	}
	return nil
}

// factsFor returns what the compiler says of the Local package that a declaration belongs to; nil if there is none.
func (p *Program) factsFor(ctx context.Context, decl string) (*build.Facts, error) {
	pkg := p.packageOf(decl)
	if pkg == nil {
		return nil, nil
	}
	return p.Facts(ctx, pkg.Path)
}

// mayBeInlined reports whether other functions may have the code of a function, and so make its literals.
func (p *Program) mayBeInlined(ctx context.Context, decl string, c *compiled) (bool, error) {
	if f := c.facts[decl]; f == nil || f.CanInline {
		return true, nil
	}
	facts, err := p.factsFor(ctx, decl)
	if facts == nil {
		return true, err
	}
	f := facts.Funcs[decl]
	return f != nil && f.CanInline, nil
}

// isKept reports whether closures of a literal may outlive the code that makes them.
func isKept(literal [][]string) bool {
	return len(literal) > 0 && slices.Contains(literal[len(literal)-1], build.Kept)
}

// isBrief reports whether closures of a function literal, by its name until now, never outlive the code that makes them. Not
// to know is a no.
func (p *Program) isBrief(ctx context.Context, from *Generation, literal string) bool {
	decl, ok := madeBy(literal)
	if !ok || link.RunsAtStart(decl) {
		return false
	}
	facts, err := p.factsFor(ctx, decl)
	if err != nil || facts == nil || facts.Funcs[decl] == nil || facts.Funcs[decl].Generic {
		return false
	}
	tags, err := p.literals(ctx, from.assumed, decl)
	return err == nil && len(tags[literal]) > 0 && !isKept(tags[literal])
}

// unkept returns a literal's tags without that.
func unkept(literal [][]string) [][]string {
	if !isKept(literal) {
		return literal
	}
	literal = slices.Clone(literal)
	last := &literal[len(literal)-1]
	*last = slices.DeleteFunc(slices.Clone(*last), func(s string) bool { return s == build.Kept })
	return literal
}

// literals returns the tags of a function's literals: as the build compiled them, or newer.
func (p *Program) literals(ctx context.Context, newer assumptions, decl string) (map[string][][]string, error) {
	tags := map[string][][]string{}
	facts, err := p.factsFor(ctx, decl)
	if err != nil {
		return nil, err
	} else if facts == nil {
		return tags, nil
	}
	for name, f := range facts.Funcs {
		if of, ok := madeBy(name); ok && of == decl {
			tags[name] = f.Params
		}
	}
	for name, now := range newer {
		if of, ok := madeBy(name); ok && of == decl {
			tags[name] = now
		}
	}
	return tags, nil
}

// inRange matches what ends the names of function literals in the bodies of range-over-func loops, from Go 1.27 on.
var inRange = regexp.MustCompile(`-range\d+(-range\d+)*\.\d.*$`)

// madeBy returns the declared function that a function literal stands in: "p.F" for "p.F.func1.2".
func madeBy(name string) (string, bool) {
	if at := inRange.FindStringIndex(name); at != nil {
		if of, ok := madeBy(name[:at[0]]); ok {
			return of, true
		}
		return name[:at[0]], true
	}
	for i := 0; ; i++ {
		j := strings.Index(name[i:], ".func")
		if j < 0 {
			return "", false
		}
		i += j
		if rest := name[i+len(".func"):]; i > 0 && rest != "" && '0' <= rest[0] && rest[0] <= '9' && strings.Contains(name[strings.LastIndexByte(name[:i], '/')+1:i], ".") {
			return name[:i], true
		}
	}
}

// renamed returns a generation in which all that is known of functions is known of them under their new names too.
func (p *Program) renamed(ctx context.Context, from *Generation, renamed map[string]string) (*Generation, error) {
	if len(renamed) == 0 {
		return from, nil
	}
	g := *from
	for _, known := range []*assumptions{&g.assumed, &g.tags} {
		tags := maps.Clone(*known)
		if tags == nil {
			tags = assumptions{}
		}
		for new, old := range renamed {
			literals, err := p.literals(ctx, *known, old)
			if err != nil {
				return nil, err
			}
			for name, t := range literals {
				tags[new+strings.TrimPrefix(name, old)] = t
			}
			own, ok := (*known)[old]
			if !ok {
				if own, ok, err = p.built(ctx, old); err != nil {
					return nil, err
				}
			}
			if ok {
				tags[new] = own
			}
		}
		*known = tags
	}
	return &g, nil
}

// built returns the tags of a function as the build compiled it; false if the build has none, and so
// no callers of it. They come from one compile of the whole package, whose outcome is kept in the
// store, and which is started in the background where a process is going to be refreshed.
func (p *Program) built(ctx context.Context, decl string) ([][]string, bool, error) {
	facts, err := p.factsFor(ctx, decl)
	if facts == nil {
		return nil, false, err
	}
	f := facts.Funcs[decl]
	if f == nil {
		return nil, false, nil
	}
	return f.Params, true, nil
}

// tighten takes in what the code of a compile may rely on: the tighter of that and what was relied on
// before. Of a function that leaks more now only new callers are left.
func (a assumptions) tighten(c *compiled, leaky, fresh map[string]bool, leaks *leaks, goesOn map[string]string, built func(decl string) ([][]string, bool)) {
	before := maps.Clone(a)
	for decl, f := range c.facts {
		if f.Generic {
			continue
		}
		was, isLiteral := goesOn[decl]
		if !isLiteral {
			was = decl
		}
		old, ok := before[was]
		if !ok && !fresh[decl] && was != "" {
			old, ok = built(was)
		}
		maker, _ := madeBy(decl)
		tags := f.Params
		if !leaky[decl] && !fresh[decl] && !leaks.makers[maker] && !leaks.apart[place{f.File, f.Line}] && ok && len(old) == len(tags) {
			tags = make([][]string, len(old))
			for i := range old {
				tags[i] = tighter(old[i], f.Params[i])
			}
		}
		if isKept(old) && !isKept(tags) {
			tags = slices.Clone(tags)
			last := len(tags) - 1
			tags[last] = append(slices.Clip(tags[last]), build.Kept)
		}
		a[decl] = tags
	}
}

// since returns what a has that old has not, or has otherwise.
func (a assumptions) since(old assumptions) assumptions {
	diff := assumptions{}
	for decl, tags := range a {
		if was, ok := old[decl]; !ok || !slices.EqualFunc(was, tags, slices.Equal[[]string]) {
			diff[decl] = tags
		}
	}
	return diff
}

// A rollback is the same the other way round: code that was compiled in the refresh, or later, relies on what
// the functions let escape that the refresh made, and the older bodies may let escape more. The agent finds out
// whether a goroutine is still inside of such code ([patch.Patch.Reliant]); code that func values keep
// alive may begin at any time, so a rollback under it is refused, as is a refresh that makes a function leak
// more which such code of a refresh calls that was taken back: no source has it any more.

// tightened returns what leaks less now than what a rollback brings back: in this compile, and since earlier ones. What
// the compiler says nothing of is taken to.
func (p *Program) tightened(ctx context.Context, from *Generation, c *compiled, fresh map[string]bool, pairs []ClosurePair) link.Tight {
	goesOn := continued(pairs)
	tight := link.Tight{Funcs: maps.Clone(from.tight.Funcs), Makers: maps.Clone(from.tight.Makers)}
	if tight.Funcs == nil {
		tight.Funcs = map[string]uint32{}
	}
	if tight.Makers == nil {
		tight.Makers = map[string]uint32{}
	}
	depth := uint32(from.depth + 1)
	old := map[string]map[string][][]string{} // by function: the tags of its literals
	for name, f := range c.facts {
		if maker, ok := madeBy(name); ok {
			was, isKnown := goesOn[name]
			if isKnown && was == "" {
				continue // it has an address of its own, and a rollback leaves who makes it with it
			}
			before, ok := madeBy(was)
			if !ok {
				before = maker
			}
			if _, ok := old[before]; !ok {
				old[before], _ = p.literals(ctx, from.tags, before) // of none it is taken to leak more
			}
			if f.Generic || loosened(old[before], was, f) {
				tight.Makers[maker] = depth
			}
			continue
		}
		if fresh[name] && !f.Generic {
			continue // it has an address of its own, and a rollback leaves who calls it with it
		}
		before, known := from.tags[name]
		var err error
		if !known {
			before, known, err = p.built(ctx, name)
		}
		if err != nil || f.Generic || known && leaksAny(before) && !coversAll(f.Params, before) {
			tight.Funcs[name] = depth
		}
	}
	return tight
}

// loosened reports whether a function literal leaks less than what it was before; where that is not known, than any that
// its function had.
func loosened(before map[string][][]string, was string, f *build.FuncFacts) bool {
	now := unkept(f.Params)
	if tags, ok := before[was]; ok {
		return !coversAll(now, unkept(tags))
	}
	for _, tags := range before {
		if leaksAny(unkept(tags)) && !coversAll(now, unkept(tags)) {
			return true
		}
	}
	return false
}

// undoable fails if code may be called later that relies on the refresh which a rollback takes back.
func (g *Generation) undoable() error {
	held := union(g.held[g.depth-1], g.orphans)
	for _, decl := range slices.Sorted(maps.Keys(g.tight.Funcs)) {
		if g.tight.Funcs[decl] >= uint32(g.depth) && link.Calls(held, decl) {
			return &RefusedError{Symbol: decl, Reason: "lets more of its parameters escape before the refresh, and a function literal that was made since relies on it"}
		}
	}
	return nil
}

func leaksAny(params [][]string) bool {
	return slices.ContainsFunc(params, func(ways []string) bool { return len(ways) > 0 })
}

func coversAll(relied, now [][]string) bool {
	if len(relied) != len(now) {
		return false
	}
	for i := range relied {
		if !covers(relied[i], now[i]) {
			return false
		}
	}
	return true
}

// way splits one way in which a parameter leaves: "result 0 level=1" gives "result 0" and 1. The fewer
// dereferences, the more leaves.
func way(s string) (kind string, derefs int) {
	kind, n, ok := strings.Cut(s, "=")
	if !ok {
		return s, 0
	}
	derefs, err := strconv.Atoi(n)
	if err != nil {
		return s, 0
	}
	switch kind = strings.TrimSuffix(strings.TrimSuffix(kind, " level"), " derefs"); kind {
	case "content":
		return "heap", derefs
	}
	return kind, derefs
}

// includes reports whether what leaves in one way includes what leaves in another. What gets to the heap may also be
// changed, called and returned: the compiler drops from its tags what is no more than that
// (cmd/compile/internal/escape/leaks.go, Optimize, Go 1.25–1.27).
func includes(a, b string) bool {
	kind, n := way(a)
	other, m := way(b)
	if kind == "heap" && (other == "mutates" || other == "calls" || strings.HasPrefix(other, "result ")) {
		kind = other
	}
	return kind == other && n <= m
}

// includedIn reports whether any of some ways includes one.
func includedIn(ways []string) func(string) bool {
	return func(s string) bool {
		return slices.ContainsFunc(ways, func(w string) bool { return includes(w, s) })
	}
}

// covers reports whether callers that rely on one parameter's ways may call a function with others.
func covers(relied, now []string) bool {
	included := includedIn(relied)
	return !slices.ContainsFunc(now, func(s string) bool { return !included(s) })
}

// tighter returns ways that promise as much as a and b each do: those of each that the other includes.
func tighter(a, b []string) []string {
	inA, inB := includedIn(a), includedIn(b)
	var both []string
	for _, s := range a {
		if inB(s) {
			both = append(both, s)
		}
	}
	for _, s := range b {
		if inA(s) {
			both = append(both, s)
		}
	}
	slices.Sort(both)
	return slices.Compact(both)
}

// LinkName returns the name of a function or method as object files have it, without type arguments:
// "example.com/app/p.(*Counter).Inc", "main.loop".
func LinkName(fn *types.Func) string {
	path := linkPrefix(fn.Pkg())
	sig := fn.Signature()
	if sig.Recv() == nil {
		return path + "." + fn.Name()
	}
	return path + "." + receiver(sig.Recv().Type()) + "." + fn.Name()
}

func receiver(t types.Type) string {
	if p, ok := types.Unalias(t).(*types.Pointer); ok {
		return "(*" + receiver(p.Elem()) + ")"
	}
	if n, ok := types.Unalias(t).(*types.Named); ok {
		return n.Obj().Name()
	}
	return t.String()
}

func linkPrefix(pkg *types.Package) string {
	if pkg.Name() == "main" {
		return "main"
	}
	return object.PathToPrefix(pkg.Path())
}

// wrapperNames are the link names of the methods that the compiler makes for a wrapper request.
func wrapperNames(w Wrapper) []string {
	path := linkPrefix(w.Type.Pkg()) + "."
	return []string{
		path + w.Type.Name() + "." + w.Method.Name(),
		path + "(*" + w.Type.Name() + ")." + w.Method.Name(),
	}
}
