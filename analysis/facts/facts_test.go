package facts

import (
	"bytes"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"go/types"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/limeade-go/limeade/analysis/decl"
	"github.com/limeade-go/limeade/analysis/snapshot"
)

// collected returns the facts of a package without imports.
func collected(t testing.TB, text string) (*Package, Input) {
	t.Helper()
	p := &snapshot.Package{Path: "m/p", Name: "p", Dir: "/m/p", Local: true, Files: []*snapshot.File{snapshot.NewFile("/m/p/p.go", []byte(text))}}
	s, err := snapshot.New("/m", []*snapshot.Package{p}, nil)
	if err != nil {
		t.Fatal(err)
	}
	in := Input{Source: decl.Load(s, "m/p"), Sizes: types.SizesFor("gc", "amd64"), Release: 26, Keep: func(path string) bool { return path == "m/p" }}
	in.Info = &types.Info{
		Types: make(map[ast.Expr]types.TypeAndValue), Instances: make(map[*ast.Ident]types.Instance),
		Defs: make(map[*ast.Ident]types.Object), Uses: make(map[*ast.Ident]types.Object), Implicits: make(map[ast.Node]types.Object),
		Selections: make(map[*ast.SelectorExpr]*types.Selection), FileVersions: make(map[*ast.File]string),
	}
	config := types.Config{Sizes: in.Sizes}
	if in.Types, err = config.Check("m/p", s.Fset(), []*ast.File{in.Source.Files[0].Parsed.Syntax}, in.Info); err != nil {
		t.Fatal(err)
	}
	return Collect(in), in
}

const sample = `package p

type I interface{ Do(int) string }

type T struct{ n int }

func (t T) Do(n int) string { return helper(n) }

type Outer struct{ *T }

func helper(n int) string { return "" }

func calls(i I, f func(int) string) any {
	_ = func() int { return limit }()
	later := func() { _ = helper(2) }
	later()
	return []any{i.Do(1), helper, T{}.Do, max[int](1, 2), f}
}

func table() []func(int) string { return []func(int) string{helper} }

func max[E int | string](a, b E) E {
	if a > b {
		return a
	}
	return b
}

var limit = len(helper(3))

var later = func() string { return helper(4) }

var _ I = T{}

var _ = helper(5)

func forever() {
	for {
	}
}

func deferred() { defer helper(6) }

func local() any {
	type L struct{ Outer }
	return L{}
}
`

// TestCollect checks each kind of fact.
func TestCollect(t *testing.T) {
	p, _ := collected(t, sample)
	describe := func(d *Decl) string {
		var list []string
		for _, r := range d.Refs {
			s := p.Names[r.Target()]
			if r.Runs() {
				s += " runs"
			}
			if r.InLiteral() {
				s += " in a literal"
			}
			list = append(list, fmt.Sprintf("%s x%d", s, r.Count()))
		}
		for name, numbers := range map[string][]uint32{"calls": d.Dynamic, "holds": d.Holds, "binds": d.Values, "makes": d.Instances} {
			for _, n := range numbers {
				list = append(list, name+" "+p.Names[n])
			}
		}
		for i, name := range []string{"generic", "never inlined", "endless", "inert"} {
			if d.Flags&(1<<i) != 0 {
				list = append(list, name)
			}
		}
		for _, c := range d.Closures {
			list = append(list, "closure "+c.Name)
		}
		return strings.Join(list, "; ")
	}
	for name, wants := range map[string][]string{
		"m/p.T.Do":       {"m/p.helper runs x1", "holds m/p.T"},
		"m/p.calls":      {"m/p.helper in a literal x1", "m/p.limit runs x1", "m/p.max runs x1", "calls Do func(int,)(string,)", "makes m/p.max[int]", "binds m/p.T.Do", "closure .func1", "closure .func2"},
		"m/p.table":      {"m/p.helper x0"},
		"m/p.max":        {"generic"},
		"m/p.limit":      {"m/p.helper runs x1"},
		"m/p.later":      {"m/p.helper in a literal x1"},
		"m/p._#0":        {"inert", "holds m/p.T"},
		"m/p._#1":        {"m/p.helper runs x1"},
		"m/p.forever":    {"endless"},
		"m/p.deferred":   {"never inlined"},
		"m/p.Outer":      {"m/p.T x1"},
		"m/p.nobody":     nil,
		"m/p.(*T).Do":    nil,
		"m/p.local":      {"m/p.Outer x1"},
		"m/p.helper":     {},
		"m/p.Outer.None": nil,
	} {
		d := p.Decl(name)
		if (d == nil) != (wants == nil) {
			t.Errorf("%s: declared %t", name, d != nil)
			continue
		}
		for _, want := range wants {
			if got := describe(d); !strings.Contains("; "+got+";", "; "+want+";") {
				t.Errorf("%s: no %q in %q", name, want, got)
			}
		}
	}
	if d := p.Decl("m/p._#1"); d.Flags&Inert != 0 {
		t.Error("a call is inert")
	}
	if got := fmt.Sprint(p.Locals); !strings.HasPrefix(got, "[{m/p.local L ") || len(p.Locals) != 1 {
		t.Errorf("local types %s", got)
	}
	if got := fmt.Sprint(p.Promotions); got != "[{m/p.L·1 Do m/p.T.Do} {m/p.Outer Do m/p.T.Do}]" {
		t.Errorf("promotions %s", got)
	}
	users := 0
	p.Users("m/p.helper", func(*Decl, Ref) { users++ })
	if users != 7 {
		t.Errorf("%d declarations use helper", users)
	}
}

// TestEncode checks that the kept form says the same, and that it is refused when it is cut short.
func TestEncode(t *testing.T) {
	p, _ := collected(t, sample)
	b := p.Append([]byte("before"))[len("before"):]
	back, rest, err := Decode(append(bytes.Clone(b), "after"...))
	if err != nil {
		t.Fatal(err)
	}
	if string(rest) != "after" {
		t.Errorf("rest %q", rest)
	}
	if !reflect.DeepEqual(p, back) {
		t.Errorf("got  %+v\nwant %+v", back, p)
	}
	for i := range b {
		if _, _, err := Decode(b[:i]); err == nil {
			t.Fatalf("cut to %d of %d bytes: no error", i, len(b))
		}
	}
}

func FuzzDecode(f *testing.F) {
	p, _ := collected(f, sample)
	b := p.Append(nil)
	f.Add(b)
	f.Add(b[:len(b)/2])
	f.Add([]byte{encoding, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f})
	f.Fuzz(func(t *testing.T, b []byte) {
		p, _, err := Decode(b)
		if err != nil {
			return
		}
		again, _, err := Decode(p.Append(nil))
		if err != nil || !reflect.DeepEqual(p, again) {
			t.Errorf("%v: what was read cannot be kept", err)
		}
	})
}

// TestUpdate checks that taking over what did not change gives what looking at all of it gives.
func TestUpdate(t *testing.T) {
	old, _ := collected(t, sample)
	want, in := collected(t, strings.Replace(sample, `{ return helper(n) }`, `{ return helper(n) + later() }`, 1))
	got := Update(old, in, map[string]bool{"m/p.T.Do": true})
	if text(got) != text(want) {
		t.Errorf("got:\n%s\nwant:\n%s", text(got), text(want))
	}
}

// text writes facts with names in place of numbers.
func text(p *Package) string {
	var b strings.Builder
	fmt.Fprintln(&b, p.Path, p.API, p.Locals, p.Promotions)
	for i := range p.Decls {
		d := &p.Decls[i]
		var refs []string
		for _, r := range d.Refs {
			refs = append(refs, fmt.Sprint(p.Names[r.Target()], r.Runs(), r.InLiteral(), r.Count()))
		}
		slices.Sort(refs)
		fmt.Fprintln(&b, d.Name, d.Kind, d.Flags, d.Type, p.Names[d.Call], d.Size, refs)
		for _, list := range [][]uint32{d.Dynamic, d.Holds, d.Values, d.Instances, d.Imports} {
			var names []string
			for _, n := range list {
				names = append(names, p.Names[n])
			}
			slices.Sort(names)
			fmt.Fprintln(&b, names)
		}
		for _, c := range d.Closures {
			fmt.Fprintln(&b, *c)
		}
	}
	return b.String()
}

// TestAPI checks that a package looks the same from source and from export data.
func TestAPI(t *testing.T) {
	all := list(t, "local", "net/http", "go/types", "slices", "sync/atomic", "encoding/json", "text/template")
	packages := make(map[string]*types.Package)
	for _, path := range []string{"net/http", "go/types", "slices", "encoding/json", "text/template"} {
		source := load(t, all, packages, path)
		export, err := exportImporter{all, token.NewFileSet(), packages, all[path]}.Import(path)
		if err != nil {
			t.Fatal(err)
		}
		if diff := CompareAPI(export, source.Types); !diff.Same {
			t.Errorf("%s: %+v", path, diff)
		}
		if API(export) != API(source.Types) {
			t.Errorf("%s: fingerprints differ", path)
		}
	}
}

// TestCompareAPI checks what counts as a difference for importers.
func TestCompareAPI(t *testing.T) {
	const base = "package p\n\nfunc F(a int) {}\n\ntype T struct{ u }\n\nfunc (T) M() {}\n\ntype u struct{ n int }\n\nconst C = 1\n\nfunc hidden() {}\n\nvar V = F\n"
	check := func(text string) *types.Package {
		fset := token.NewFileSet()
		f, err := parser.ParseFile(fset, "p.go", text, 0)
		if err != nil {
			t.Fatal(err)
		}
		pkg, err := new(types.Config).Check("m/p", fset, []*ast.File{f}, nil)
		if err != nil {
			t.Fatal(err)
		}
		return pkg
	}
	for _, c := range []struct{ old, new, want string }{
		{"(a int) {}", "(b int) { hidden() }", "{true [] false}"},
		{"func hidden() {}", "", "{true [] false}"},
		{"var V", "func G() {}\n\nvar V", "{false [] false}"},
		{"(a int)", "(a string)", "{false [m/p.F m/p.V] false}"},
		{"const C = 1", "const C = 2", "{false [m/p.C] false}"},
		{"const C = 1", "", "{false [m/p.C] false}"},
		{"n int }", "n, m int }", "{false [] true}"},
		{"func (T) M() {}", "func (T) M() {}\nfunc (T) N() {}", "{false [] true}"},
		{"func (T) M() {}", "func (T) m() {}", "{false [] true}"},
		{"func (T) M() {}", "func (*T) M() {}", "{false [] true}"},
		{"const C = 1", "type C int", "{false [] true}"},
	} {
		got := CompareAPI(check(base), check(strings.Replace(base, c.old, c.new, 1)))
		if fmt.Sprint(got) != c.want {
			t.Errorf("%q for %q: %v, want %s", c.new, c.old, got, c.want)
		}
	}
}

func TestLinkPath(t *testing.T) {
	for _, c := range []struct{ path, name, want string }{
		{"example.com/app/p", "p", "example.com/app/p"},
		{"example.com/app/cmd", "main", "main"},
		{"gopkg.in/yaml.v3", "yaml", "gopkg.in/yaml%2ev3"},
		{"a.b/c d/é", "e", "a.b/c%20d/%c3%a9"},
	} {
		if got := LinkPath(c.path, c.name); got != c.want {
			t.Errorf("%s: %s, want %s", c.path, got, c.want)
		}
	}
}

// TestBrief finds the function literals of which closures may be kept, and those of which nobody can keep one.
func TestBrief(t *testing.T) {
	const source = `package p

type T struct{ f func() int }

var kept []func() int

func calls(f func() int) int { return f() }

func all(n int, param func() int) (result func() int) {
	brief := func() int { return n }
	var typed func() int = (func() int { return n + brief() })
	var itself func(int) int
	itself = func(k int) int {
		if k == 0 {
			return n
		}
		return itself(k - 1)
	}
	passed := func() int { return n + 1 }
	returned := func() int { return n + 2 }
	inner := func() int { return n + 3 }
	gone := func() int { return n + 4 }
	away := func() int { return n + 5 }
	compared := func() int { return n + 6 }
	twice, other := func() int { return n + 7 }, func() int { return n + 8 }
	deferred := func() int { return n + 9 }
	param = func() int { return n + 10 }
	result = func() int { return n + 11 }
	kept = append(kept, func() int { return inner() + n })
	defer deferred()
	go gone()
	to := &away
	if twice() == 0 {
		twice = other
	}
	n += typed() + itself(n) + calls(passed) + (*to)() + func() int { return n + 12 }()
	if compared != nil {
		n++
	}
	for range func(yield func() bool) { yield() } {
		n += brief()
	}
	t := T{f: func() int { return n + 13 }}
	t.f = func() int { return n + 14 }
	t.f()
	return returned
}
`
	p, in := collected(t, source)
	var brief []string
	literals := decl.Literals(in.Source.Decls()[len(in.Source.Decls())-1].Node)
	for _, c := range p.Decl("m/p.all").Closures {
		if c.Kind == Literal && c.Brief {
			pos := in.Source.Files[0].Parsed.Fset.Position(literals[c.Literal-1].Pos())
			line := strings.TrimSpace(strings.Split(source, "\n")[pos.Line-1])
			brief = append(brief, strings.Fields(line)[0])
		}
	}
	if got, want := strings.Join(brief, " "), "var itself twice, deferred n for"; got != want {
		t.Errorf("brief are those of %s, want %s", got, want)
	}
}
