package build

import (
	"encoding/json"
	"fmt"
	"maps"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
)

const factsProgram = `
-- go.mod --
module example.com/v.1/app.x

go 1.24
-- main.go --
package main

import "example.com/v.1/app.x/q.z"

func main() { q.Use() }

func local(p *int) *int { return p }
-- q.z/q.go --
package q

type T struct {
	next *T
	deep **T
}

var (
	sink  *int
	gt    *T
	fsink func()
)

func Heap(p *int)                       { sink = p }
func Moved(a int, p *int) **int         { return &p }
func Content(t *T)                      { gt = t.next }
func Deeper(t ***T)                     { gt = **t }
func Result(a, b *int) (x *int, y *int) { x, y = a, b; return }
func Unnamed(a *T) (int, *T)            { return 0, a.next }
func Stays(a *int) int                  { return *a }
func Mutates(b []byte)                  { b[0] = 1 }
func Blank(_ *int, _ int)               {}
func (t *T) Method(u *T) *T             { t.next = u; return t }
func (t T) Value(u *T) (err error)      { return nil }
func Variadic(a ...*int) {
	for _, x := range a {
		sink = x
	}
}

//go:noinline
func NoInline(p *int) {}

func Complex(p *int) { NoInline(p); NoInline(p) }

func init() {}

func Closures(n int, p *int) func(q *int) int {
	k := n
	f := func(q *int) int { k++; return k + *q + n }
	fsink = func() { sink = p }
	func(inner *int) { sink = inner }(p)
	return f
}

var Literal = func(p *int) { sink = p }

type G[X any] struct{ x X }

func (g *G[X]) Set(x X) { g.x = x }

func Map[A, B any](a []A, f func(A) B) (r []B) {
	for _, v := range a {
		r = append(r, f(v))
	}
	return
}

func Use() {
	g := &G[struct{ A, B *int }]{}
	g.Set(struct{ A, B *int }{})
	Map([]int{1}, func(i int) string { return "" })
}

func VeryLongParameterListThatGoesBeyondWhatTheCompilerKnowsOfColumnsaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa(first *int, second *int) { sink = second }

//line q.y:100
func Lines(p *int) { sink = p }
`

// The compiler's words are the same from the oldest to the newest toolchain.
func TestFacts(t *testing.T) {
	none := []string(nil)
	want := map[string]FuncFacts{
		"Heap":           {CanInline: true, Params: [][]string{{"heap"}}},
		"Moved":          {CanInline: true, Params: [][]string{none, {"heap"}}},
		"Content":        {CanInline: true, Params: [][]string{{"content level=1"}}},
		"Deeper":         {CanInline: true, Params: [][]string{{"content level=2"}}},
		"Result":         {CanInline: true, Params: [][]string{{"result 0 level=0"}, {"result 1 level=0"}}},
		"Unnamed":        {CanInline: true, Params: [][]string{{"result 1 level=1"}}},
		"Stays":          {CanInline: true, Params: [][]string{none}},
		"Mutates":        {CanInline: true, Params: [][]string{{"mutates derefs=0"}}},
		"Blank":          {CanInline: true, Params: [][]string{none, none}},
		"(*T).Method":    {CanInline: true, Params: [][]string{{"mutates derefs=0", "result 0 level=0"}, {"heap"}}},
		"T.Value":        {CanInline: true, Params: [][]string{none, none}},
		"Variadic":       {CanInline: true, Params: [][]string{{"content level=1"}}},
		"NoInline":       {Params: [][]string{none}},
		"Complex":        {Params: [][]string{none}},
		"Closures":       {CanInline: true, Params: [][]string{none, {"heap"}}},
		"Closures.func1": {CanInline: true, Params: [][]string{none, {"captured k", "captured n", Kept}}},
		"Closures.func2": {CanInline: true, Params: [][]string{{"captured p", Kept}}},
		"Closures.func3": {CanInline: true, Params: [][]string{{"heap"}, none}},
		"init.func1":     {CanInline: true, Params: [][]string{{"heap"}, none}},
		"init.0":         {CanInline: true},
		"(*G).Set":       {CanInline: true, Generic: true},
		"Map":            {CanInline: true, Generic: true},
		"Use":            {CanInline: true, Params: [][]string{}},
		"Use.func1":      {CanInline: true, Params: [][]string{none, none}},
		"Lines":          {CanInline: true, Params: [][]string{{"heap"}}},
	}
	captures := []string{"k by ref", "n by value", "p by value"}
	for _, toolchain := range []string{"go1.25.14", "", "go1.27.3"} {
		t.Run(toolchain, func(t *testing.T) {
			t.Parallel()
			o := testOptions(t, unpack(t, factsProgram))
			o.Env, o.Flags = goEnv(toolchain), []string{"-trimpath"}
			b := mustBuild(t, o)
			c, err := NewCompiler(b)
			if err != nil {
				t.Fatal(err)
			}
			defer c.Close()
			f, err := c.Facts(t.Context(), "example.com/v.1/app.x/q.z", false)
			if err != nil {
				t.Fatal(err)
			}
			got := map[string]FuncFacts{}
			for name, ff := range f.Funcs {
				short, ok := strings.CutPrefix(name, "example.com/v.1/app.x/q%2ez.")
				if !ok {
					t.Errorf("%s is not the link name of a function of the package", name)
				}
				ff := *ff
				if ff.CanInline && ff.Cost == 0 && short != "Blank" && short != "init.0" {
					t.Errorf("%s: no cost", name)
				}
				if short == "Complex" && ff.Cost <= 80 {
					t.Errorf("%s: cost %d", name, ff.Cost)
				}
				ff.Cost = 0
				if strings.Contains(short, ".func") != (ff.Line > 0 && ff.File == filepath.Join(o.Dir, "q.z/q.go")) {
					t.Errorf("%s begins in %s:%d", name, ff.File, ff.Line)
				}
				ff.File, ff.Line = "", 0
				if strings.HasPrefix(short, "VeryLong") {
					if !reflect.DeepEqual(ff.Params, [][]string{none, {"heap"}}) {
						t.Errorf("far columns: %q", ff.Params)
					}
					continue
				}
				got[short] = ff
			}
			for _, name := range slices.Sorted(maps.Keys(want)) {
				if g := got[name]; fmt.Sprint(g) != fmt.Sprint(want[name]) {
					t.Errorf("%s: %+v, want %+v", name, g, want[name])
				}
				delete(got, name)
			}
			for name := range got {
				t.Errorf("%s: not a function of the package", name)
			}
			var have []string
			for _, capture := range f.Captures {
				how := " by value"
				if capture.ByRef {
					how = " by ref"
				}
				if capture.File != filepath.Join(o.Dir, "q.z/q.go") || capture.Line == 0 || capture.Column == 0 {
					t.Errorf("capture %+v has no place", capture)
				}
				have = append(have, capture.Name+how)
			}
			slices.Sort(have)
			if !slices.Equal(have, captures) {
				t.Errorf("captures %q, want %q", have, captures)
			}
			mainFacts, err := c.Facts(t.Context(), b.Package, false)
			if err != nil || mainFacts.Funcs["main.local"] == nil {
				t.Errorf("facts of the main package: %v, %v", mainFacts, err)
			}
			again, err := c.Facts(t.Context(), "example.com/v.1/app.x/q.z", false)
			if err != nil {
				t.Fatal(err)
			}
			fresh, err1 := json.Marshal(f)
			kept, err2 := json.Marshal(again)
			if err1 != nil || err2 != nil || string(fresh) != string(kept) {
				t.Errorf("kept facts differ at byte %d from those that were kept", firstDifference(kept, fresh))
			}
		})
	}
}

// TestFactLine splits lines of which the place has more, or less, than usual.
func TestFactLine(t *testing.T) {
	for text, want := range map[string]string{
		"/a/b.go:3:4: can inline f":                     "/a/b.go 3 4 can inline f",
		"/a/b.go:3: can inline f":                       "/a/b.go 3 0 can inline f",
		"/a: 7/b:9.go:3:4:     from x: y at /a/b.go:1":  "/a: 7/b:9.go 3 4     from x: y at /a/b.go:1",
		"b.go:3:4: parameter p leaks to {heap} with 1:": "b.go 3 4 parameter p leaks to {heap} with 1:",
		"<autogenerated>:1: inlining call to T.M":       "<autogenerated> 1 0 inlining call to T.M",
		" /a/b.go:3:4: indented":                        "",
		":3:4: no file":                                 "",
		"# package: says nothing of a place":            "",
	} {
		got := ""
		if at, rest, ok := factLine(text); ok {
			got = fmt.Sprintf("%s %d %d %s", at.file, at.line, at.column, rest)
		}
		if got != want {
			t.Errorf("%q splits into %q, want %q", text, got, want)
		}
	}
}
