package stub

import (
	"go/ast"
	"go/parser"
	"go/token"
	"path/filepath"
	"slices"
	"testing"
)

const factSource = `package facts

import "unsafe"

type T struct{ a, b *int; next *T }

var sink *int
var sinks **int

func none(p *int) int                       { return *p }
func leak(p *int)                           { sink = p }
func content(p **int)                       { sink = *p }
func deeper(p ***int)                       { sink = **p }
func result(p *int) *int                    { return p }
func field(t *T, n int) (int, *int)         { return n, t.a }
func named(p *int, q **int) (r *int, _ int) { r = *q; return }
func writes(b []byte)                       { b[0] = 1 }
func writesInside(t *T)                     { *t.a = 1 }
func calls(f func(*int) *int) *int          { return f(nil) }
func moved(p *int)                          { sinks = &p }
func unnamed(_ *int, _ **int) {}
func integers(a, b int) int                 { return a + b }
func both(p **int) *int                     { sink = *p; return nil }
func variadic(list ...*int) []*int          { return list }
func pointer(p unsafe.Pointer) *T           { return (*T)(p) }
func (t *T) method(u *T) *T                 { t.next = u; return t }
func (t T) value() *int                     { return t.b }
func large(s string) (n int) {
	for range s {
		for range s {
			n += large(s[1:])
		}
	}
	return n * large(s)
}
`

// TestParseFacts compares what is read with what the functions obviously do.
func TestParseFacts(t *testing.T) {
	tc := newToolchain(t, "")
	dir := t.TempDir()
	write(t, filepath.Join(dir, "a.go"), []byte(factSource))
	c := tc.checkFiles(t, &listed{ImportPath: "facts", Name: "facts", Dir: dir, CompiledGoFiles: []string{"a.go"}})
	c.compileFull(t, FactFlags...)
	heap := func(param, derefs int) Flow { return Flow{Param: param, To: ToHeap, Derefs: derefs} }
	to := func(param, result, derefs int) Flow {
		return Flow{Param: param, To: ToResult, Result: result, Derefs: derefs}
	}
	for name, want := range map[string][]Flow{
		"none":         nil,
		"leak":         {heap(0, 0)},
		"content":      {heap(0, 1)},
		"deeper":       {heap(0, 2)},
		"result":       {to(0, 0, 0)},
		"field":        {to(0, 1, 1), heap(1, 0)}, // the compiler does not speak of integers
		"named":        {to(1, 0, 1)},
		"writes":       {{Param: 0, To: ToMutator}},
		"writesInside": {{Param: 0, To: ToMutator, Derefs: 1}},
		"calls":        {{Param: 0, To: ToCallee}},
		"moved":        {heap(0, 0)},
		"unnamed":      nil,
		"integers":     {heap(0, 0), heap(1, 0)},
		"both":         {heap(0, 1)},
		"variadic":     {to(0, 0, 0)},
		"pointer":      {to(0, 0, 0)},
		"(*T).method":  {to(0, 0, 0), {Param: 0, To: ToMutator}, heap(1, 0)},
		"T.value":      {to(0, 0, 0)},
		"large":        nil,
	} {
		fact, ok := c.facts[name]
		if !ok {
			t.Errorf("no fact for %s", name)
		}
		got := slices.DeleteFunc(slices.Clone(fact.Flows), func(f Flow) bool { return !slices.Contains(want, f) })
		if len(got) != len(want) || !(Fact{Flows: want}).Covers(fact) {
			t.Errorf("%s: got %v, want %v", name, fact.Flows, want)
		}
		if fact.Inlinable != (name != "large") {
			t.Errorf("%s: inlinable is %v", name, fact.Inlinable)
		}
	}
}

func TestCovers(t *testing.T) {
	fact := func(flows ...Flow) Fact { return Fact{Flows: flows} }
	for _, tt := range []struct {
		old, new Fact
		want     bool
	}{
		{fact(), fact(), true},
		{fact(Flow{To: ToHeap}), fact(), true},
		{fact(), fact(Flow{To: ToMutator}), false},
		{fact(Flow{To: ToHeap}), fact(Flow{To: ToMutator}, Flow{To: ToResult, Result: 1}), true},
		{fact(Flow{To: ToHeap, Derefs: 2}), fact(Flow{To: ToHeap, Derefs: 1}), false},
		{fact(Flow{To: ToHeap, Derefs: 1}), fact(Flow{To: ToHeap, Derefs: 2}), true},
		{fact(Flow{Param: 1, To: ToHeap}), fact(Flow{To: ToHeap}), false},
		{fact(Flow{To: ToResult}), fact(Flow{To: ToResult, Result: 1}), false},
	} {
		if got := tt.old.Covers(tt.new); got != tt.want {
			t.Errorf("%v covers %v: %v", tt.old, tt.new, got)
		}
	}
}

// TestHollow asks the compiler about hollow functions, and wants the facts that they were made of.
func TestHollow(t *testing.T) {
	tc := newToolchain(t, "")
	tc.list(t, "", "text/template")
	for _, path := range []string{"text/template", "fmt"} {
		c := tc.check(t, path)
		c.compileFull(t, FactFlags...)
		in := c.input()
		in.Keep = sample(c.funcs(), 12)
		in.Facts = c.facts
		s, err := Build(in)
		if err != nil {
			t.Fatal(err)
		}
		archive, _, err := c.compileStub(t, s, FactFlags...)
		if err != nil {
			t.Fatal(err)
		}
		fset := token.NewFileSet()
		var files []*ast.File
		for _, f := range s.Files {
			file, err := parser.ParseFile(fset, f.Name, f.Content, parser.ParseComments)
			if err != nil {
				t.Fatal(err)
			}
			files = append(files, file)
		}
		facts := ParseFacts(fset, files, c.messages(archive))
		if len(s.Hollow) == 0 {
			t.Errorf("%s: no hollow functions", path)
		}
		for _, fn := range s.Hollow {
			name := c.declName(fn)
			if want, got := c.facts[name], facts[name]; !want.Covers(got) || !got.Covers(want) || got.Inlinable {
				t.Errorf("%s.%s: hollow has %v, not %v", path, name, got, want)
			}
		}
		t.Logf("%s: %d hollow", path, len(s.Hollow))
	}
}
