package analysis

import (
	"fmt"
	"go/ast"
	"maps"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/limeade-go/limeade/analysis/decl"
	"github.com/limeade-go/limeade/analysis/facts"
	"github.com/limeade-go/limeade/analysis/snapshot"
)

// recompiled are the programs that TestRecompileSet mutates, and how many mutations each gets: in every run, and in the long
// one.
var recompiled = []struct {
	modules     []string // none: the standard library
	packages    []string // and all that they import of the modules
	quick, long int
}{
	{nil, []string{"text/template/parse", "text/template"}, 5, 20},
	{nil, []string{"go/token", "go/scanner"}, 5, 20},
	{[]string{"github.com/google/uuid@v1.6.0"}, []string{"github.com/google/uuid"}, 5, 80},
	{[]string{"github.com/gobwas/glob@v0.2.3"}, []string{"github.com/gobwas/glob"}, 5, 180},
	{[]string{"github.com/gorilla/mux@v1.8.1"}, []string{"github.com/gorilla/mux"}, 0, 90},
	{[]string{"github.com/spf13/cobra@v1.10.2", "github.com/spf13/pflag@v1.0.10"}, []string{"github.com/spf13/cobra"}, 5, 100},
	{[]string{"github.com/BurntSushi/toml@v1.6.0"}, []string{"github.com/BurntSushi/toml"}, 0, 60},
	{[]string{"github.com/yuin/goldmark@v1.8.5"}, []string{"github.com/yuin/goldmark/extension"}, 0, 40},
}

// TestRecompileSet mutates declarations of real packages one by one, compiles the packages that may differ whole before and after,
// and checks that each function whose object code differs is in the recompile set. It reports how much larger the sets are
// than they had to be. LIMEADE_CORPUS=all makes it a long run.
func TestRecompileSet(t *testing.T) {
	sum := make(tally)
	t.Run("of", func(t *testing.T) {
		for _, of := range recompiled {
			n := of.quick
			if os.Getenv("LIMEADE_CORPUS") == "all" {
				n = of.long
			}
			if n == 0 {
				continue
			}
			t.Run(strings.ReplaceAll(of.packages[len(of.packages)-1], "/", "_"), func(t *testing.T) {
				w := newWorld
				if of.modules != nil {
					w = func(t testing.TB, packages ...string) *world { return moduleWorld(t, of.modules, packages) }
				}
				own := make(tally)
				newOracle(t, w(t, of.packages...)).run(t, n, own)
				t.Logf("\n%s", own)
				sum.add(own)
			})
		}
	})
	t.Logf("all\n%s", sum)
}

// A count is what became of the mutations of one kind.
type count struct {
	mutations int
	invalid   int // that did not compile, and were replaced
	restart   int // that nothing is compiled for, and were replaced
	differ    int // functions whose code differs
	escapes   int // of these, the ones that differ by what a callee lets escape alone: the engine asks for them
	sets      [len(ways)]int
}

// ways are what analysis may know of the running code: all that the compiler said of inlining, and what it says of the new
// code, as in a refresh; what it said of the running code; nothing.
var ways = [...]string{"refresh", "informed", "blind"}

type tally map[string]*count

func (t tally) of(kind string) *count {
	if t[kind] == nil {
		t[kind] = new(count)
	}
	return t[kind]
}

func (t tally) add(o tally) {
	for kind, n := range o {
		c := t.of(kind)
		c.mutations, c.invalid, c.restart = c.mutations+n.mutations, c.invalid+n.invalid, c.restart+n.restart
		c.differ, c.escapes = c.differ+n.differ, c.escapes+n.escapes
		for i := range ways {
			c.sets[i] += n.sets[i]
		}
	}
}

func (t tally) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%-20s %9s %7s %7s %7s %7s", "kind", "mutations", "invalid", "restart", "differ", "escapes")
	for _, way := range ways {
		fmt.Fprintf(&b, " %15s", way)
	}
	for _, kind := range slices.Sorted(maps.Keys(t)) {
		c := t[kind]
		fmt.Fprintf(&b, "\n%-20s %9d %7d %7d %7d %7d", kind, c.mutations, c.invalid, c.restart, c.differ, c.escapes)
		for i := range ways {
			fmt.Fprintf(&b, " %7d (%5.2f)", c.sets[i], float64(c.sets[i])/float64(max(1, c.differ)))
		}
	}
	return b.String()
}

// An oracle knows what a world's functions compile to.
type oracle struct {
	*world
	known    map[string]Inlining // of the running code
	tags     map[string]string
	sessions [len(ways)]*Session
}

func newOracle(t testing.TB, w *world) *oracle {
	w.before = w.compile(t, w.old, w.local)
	o := &oracle{world: w, known: inlining(w.before)}
	o.tags = o.escapes(w.old, w.before)
	env := w.env
	o.sessions[2] = NewSession(env, nil)
	env.Inlining = func(name string) Inlining { return o.known[name] }
	o.sessions[1] = NewSession(env, nil)
	env.Compiled = true
	o.sessions[0] = NewSession(env, nil)
	return o
}

// run tries n mutations, evenly spread.
func (o *oracle) run(t *testing.T, n int, sum tally) {
	all := make(map[string][]mutation)
	for _, path := range o.local {
		for kind, list := range o.mutations(t, path) {
			all[kind] = append(all[kind], list...)
		}
	}
	for _, k := range mutationKinds {
		list, c := all[k.kind], sum.of(k.kind)
		want := max(1, n*k.share/100)
		for _, i := range spread(len(list), want) {
			if c.mutations == want {
				break
			}
			o.try(t, list[i], c)
		}
	}
}

// spread returns all numbers below n, beginning with ones that lie apart.
func spread(n, apart int) []int {
	step := max(1, n/apart)
	var list []int
	for from := range step {
		for i := (from + step/2) % step; i < n; i += step {
			list = append(list, i)
		}
	}
	return list
}

// try compares what a mutation changes with what analysis says it may.
func (o *oracle) try(t *testing.T, m mutation, c *count) {
	new := o.apply(m)
	var reports [len(ways)]*Report
	for i, session := range o.sessions {
		var err error
		if reports[i], err = session.Compare(t.Context(), o.old, new); err != nil {
			t.Fatal(err)
		}
	}
	switch r := reports[0]; {
	case len(r.Errors) > 0:
		c.invalid++
		return
	case !r.Applicable():
		c.restart++
		return
	}
	c.mutations++
	after := o.compile(t, new, o.affected(m.path))
	tags := o.escapes(new, after)
	told := func(r *Report) {
		now := inlining(after)
		for grew := true; grew; {
			var names []string
			for name := range functionsOf(r) {
				if now[name].State == Inlinable {
					names = append(names, name)
				}
			}
			var err error
			if grew, err = r.Inlined(t.Context(), names...); err != nil {
				t.Fatal(err)
			}
		}
	}
	told(reports[0])
	for i, r := range reports {
		set, decls := members(r)
		c.sets[i] += len(set)
		differing := make(map[string]string) // a symbol of each function
		for path := range after {
			for symbol, code := range after[path].code {
				// Comparisons of types are none of ours; what literals were inlined from is in the set.
				if o.before[path].code[symbol] != code && !strings.HasPrefix(symbol, "type:.") && !ranAtStart(path, symbol) {
					differing[declared(symbol, decls)] = symbol
				}
			}
		}
		missing := maps.Clone(differing)
		maps.DeleteFunc(missing, func(name, _ string) bool { return set[name] })
		if len(missing) > 0 {
			o.followEscapes(t, r, tags, i == 0, told)
			whole, _ := members(r)
			for name, symbol := range missing {
				if !whole[name] {
					t.Errorf("%s: %s of %s changed: %s differs and is not in the set", ways[i], m.kind, m.name, symbol)
				}
			}
		}
		if i == 0 {
			c.differ += len(differing)
			c.escapes += len(missing)
		}
	}
}

// followEscapes adds to a report the callers of the functions in its set of which the compiler says that they let something
// else escape, as the engine has it.
func (o *oracle) followEscapes(t *testing.T, r *Report, tags map[string]string, told bool, tell func(*Report)) {
	done := make(map[string]bool)
	for again := true; again; {
		again = false
		for name := range functionsOf(r) {
			if done[name] || o.tags[name] == tags[name] {
				continue
			}
			done[name], again = true, true
			if err := r.Include(t.Context(), r.Callers(name)...); err != nil {
				t.Fatal(err)
			}
			if told {
				tell(r)
			}
		}
	}
}

var (
	escapeRemark = regexp.MustCompile(`(?m)^(.*?):(\d+):\d+: ((?:leaking param(?: content)?|mutates param|calls param): (\S+).*)$`)
	movedRemark  = regexp.MustCompile(`(?m)^(.*?):(\d+):\d+: (moved to heap: (\S+))$`)
)

// escapes returns what the compiler says of the parameters of functions, by link name. Of generic ones it says nothing that
// holds of all instances.
func (o *oracle) escapes(s *snapshot.Snapshot, objects map[string]*object) map[string]string {
	type place struct{ file, line, name string }
	all := make(map[string]string)
	for path, obj := range objects {
		said := make(map[place][]string)
		for _, m := range slices.Concat(escapeRemark.FindAllStringSubmatch(obj.said, -1), movedRemark.FindAllStringSubmatch(obj.said, -1)) {
			p := place{m[1][strings.LastIndexByte(m[1], '/')+1:], m[2], m[4]}
			said[p] = append(said[p], m[3])
		}
		source := decl.Load(s, path)
		for _, d := range source.Decls() {
			fn := d.Func()
			if fn == nil {
				continue
			}
			var tags []string
			ast.Inspect(fn, func(n ast.Node) bool {
				if id, ok := n.(*ast.Ident); ok {
					at := d.Parsed.Fset.Position(id.Pos())
					tags = append(tags, said[place{at.Filename[strings.LastIndexByte(at.Filename, '/')+1:], fmt.Sprint(at.Line), id.Name}]...)
				}
				return n != fn.Body
			})
			slices.Sort(tags)
			all[facts.DeclName(source.Package, d)] = strings.Join(slices.Compact(tags), "\n")
		}
	}
	return all
}

// ranAtStart reports whether a symbol of a package is code of what initialises it, map variables apart from the others, but
// for the function literals there.
func ranAtStart(path, symbol string) bool {
	rest, ok := strings.CutPrefix(strings.Replace(symbol, path+".map.init", path+".init", 1), path+".init")
	rest = strings.TrimLeft(rest, ".0123456789")
	return ok && !strings.HasPrefix(rest, "func")
}

var closureNames = regexp.MustCompile(`(?:(?:\.func|\.|-range)\d+|\.(?:go|defer)wrap\d+)$`)

// declared returns the declared function of which a symbol is the code: without type arguments, closures and numbers.
func declared(symbol string, known map[string]bool) string {
	name := strings.TrimSuffix(typeArgs.ReplaceAllString(symbol, ""), ".abi0")
	for !known[name] {
		shorter := closureNames.ReplaceAllString(name, "")
		if shorter == name {
			// A closure that was inlined: main.f.g.func1.
			i := strings.LastIndexByte(name, '.')
			if i < 0 || strings.LastIndexByte(name, '/') > i {
				return typeArgs.ReplaceAllString(symbol, "")
			}
			shorter = name[:i]
		}
		name = shorter
	}
	return name
}

// functionsOf returns the link names of the declared functions in a report.
func functionsOf(r *Report) map[string]bool {
	names := make(map[string]bool)
	for _, p := range r.Recompile {
		for _, f := range p.Funcs {
			names[f.Decl] = true
		}
	}
	return names
}

// members returns the link names of functions and wrappers in a report, and all declared functions of the program. What
// is new under a name is never taken from the process.
func members(r *Report) (set, decls map[string]bool) {
	set, decls = functionsOf(r), make(map[string]bool)
	for _, name := range r.New {
		set[name] = true
	}
	for _, p := range r.Recompile {
		for _, w := range p.Wrappers {
			set[w.Symbol] = true
		}
		if len(p.Initializers) > 0 {
			set[facts.LinkPath(p.Path, p.Checked.Package.Name)+".init"] = true
		}
	}
	if r.set != nil {
		for _, f := range r.set.order {
			for i := range f.Decls {
				decls[f.Decls[i].Name] = true
			}
		}
	}
	maps.Copy(decls, set)
	return set, decls
}
