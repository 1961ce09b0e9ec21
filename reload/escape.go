package reload

import (
	"context"
	"go/types"
	"slices"
	"strconv"
	"strings"

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

// leaks lists the recompiled functions whose new bodies leak more than live callers rely on. The
// compiler does not say what generic functions leak, so all of those are taken to: generic tells.
func (p *Program) leaks(ctx context.Context, from *Generation, c *compiled) (more, generic []string, err error) {
	for _, decl := range c.decls {
		f := c.facts[decl]
		switch {
		case f == nil:
			continue // made by the compiler: it leaks what the method leaks that it calls
		case f.Generic:
			generic = append(generic, decl)
			continue
		case !leaksAny(f.Params):
			continue
		}
		relied, known := from.assumed[decl]
		if !known {
			if relied, known, err = p.built(ctx, decl); err != nil {
				return nil, nil, err
			}
		}
		if known && !coversAll(relied, f.Params) {
			more = append(more, decl)
		}
	}
	return more, generic, nil
}

// built returns the tags of a function as the build compiled it; false if the build has none, and so
// no callers of it. They come from one compile of the whole package, whose outcome is kept in the
// store, and which is started in the background where a process is going to be refreshed.
func (p *Program) built(ctx context.Context, decl string) ([][]string, bool, error) {
	pkg := p.packageOf(decl)
	if pkg == nil {
		return nil, false, nil
	}
	facts, err := p.Facts(ctx, pkg.Path)
	if err != nil {
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
func (a assumptions) tighten(c *compiled, leaky, fresh map[string]bool, built func(decl string) ([][]string, bool)) {
	for decl, f := range c.facts {
		if f.Generic {
			continue
		}
		old, ok := a[decl]
		if !ok && !fresh[decl] {
			old, ok = built(decl)
		}
		if leaky[decl] || fresh[decl] || !ok || len(old) != len(f.Params) {
			a[decl] = f.Params
			continue
		}
		tight := make([][]string, len(old))
		for i := range old {
			tight[i] = tighter(old[i], f.Params[i])
		}
		a[decl] = tight
	}
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

// covers reports whether callers that rely on one parameter's ways may call a function with others.
func covers(relied, now []string) bool {
	have := map[string]int{}
	for _, s := range relied {
		kind, n := way(s)
		have[kind] = n
	}
	onHeap, isOnHeap := have["heap"]
	for _, s := range now {
		kind, n := way(s)
		if isOnHeap && onHeap == 0 && (kind == "heap" || strings.HasPrefix(kind, "result ")) {
			continue // callers put it on the heap anyway
		}
		if old, ok := have[kind]; !ok || old > n {
			return false
		}
	}
	return true
}

// tighter returns ways that promise as much as a and b each do.
func tighter(a, b []string) []string {
	have := map[string]int{}
	for _, s := range a {
		kind, n := way(s)
		have[kind] = n
	}
	var both []string
	for _, s := range b {
		kind, n := way(s)
		if old, ok := have[kind]; ok {
			if old > n {
				s = a[slices.IndexFunc(a, func(s string) bool { k, _ := way(s); return k == kind })]
			}
			both = append(both, s)
		}
	}
	return both
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
