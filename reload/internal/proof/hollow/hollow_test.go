package hollow

import (
	"go/ast"
	"go/importer"
	"go/parser"
	"go/token"
	"maps"
	"slices"
	"strings"
	"testing"
)

// Each case is one file; what is kept is listed with its reason, the rest must have been emptied.
var cases = []struct {
	name string
	src  string
	plan Plan
	kept string   // "name: why" of each, sorted, with "; " between
	has  []string // lines of the result
	not  []string
}{
	{
		name: "results",
		src: `package p
func none() { println() }
func one() int { return 1 }
func two(a int) (string, []byte) { return "", nil }
func named() (n int, err error) { return 1, nil }
func generic[T any, U map[string]T](u U) (T, U) { return u["x"], u }
type S[T any] struct{}
func (s *S[T]) Get() (t T) { return t }
`,
		has: []string{
			"func none() {}",
			"func one() int { return *new(int) }",
			"func two(a int) (string, []byte) { return *new(string), *new([]byte) }",
			"func named() (n int, err error) { return }",
			"func generic[T any, U map[string]T](u U) (T, U) { return *new(T), *new(U) }",
			"func (s *S[T]) Get() (t T) { return }",
		},
	},
	{
		name: "a parameter hides the result's type",
		src: `package p
type T struct{}
func f(T int) (T, error) { panic(T) }
func g(new int) string { panic(new) }
`,
		has: []string{
			"func f(T int) (_ T, _ error) { return }",
			"func g(new int) (_ string) { return }",
		},
	},
	{
		name: "imports",
		src: `package p
import "fmt"
import "os"
import str "strings"
import . "strconv"
import . "errors"
import _ "unsafe"
var E = New("x")
func f(*os.File) { fmt.Println(str.ToUpper("x"), Itoa(1)) }
`,
		has: []string{`import _ "fmt"`, `import "os"`, `import _ "strings"`, `import _ "strconv"`, `import . "errors"`, `import _ "unsafe"`},
	},
	{
		name: "what runs before main",
		src: `package p
var x = start()
func start() int { return deeper() }
func deeper() int { return 1 }
func init() { fromInit() }
func fromInit() { go spawned() }
func spawned() {}
func later() {}
func main() { later() }
`,
		kept: "deeper: may run before main; fromInit: may run before main; init: init; later: empty already; " +
			"spawned: may run before main; start: may run before main",
		has: []string{"func main() {}", "func deeper() int { return 1 }"},
	},
	{
		name: "a table of functions is no call",
		src: `package p
var table = map[string]func(){"a": a, "b": func() { b() }}
func a() { println() }
func b() { println() }
`,
		has: []string{"func a() {}", "func b() {}"},
	},
	{
		name: "a call of a function value makes every mention count",
		src: `package p
var table = map[string]func(){"a": a, "b": func() { b() }}
func a() { println() }
func b() { println() }
func c() { println() }
func init() { for _, f := range table { f() } }
`,
		kept: "a: may run before main; b: may run before main; init: init",
		has:  []string{"func c() {}"},
	},
	{
		name: "an operand may be called",
		src: `package p
import "sort"
type list []int
func (l list) Len() int { return len(l) }
func (l list) Less(i, j int) bool { return l[i] < l[j] }
func (l list) Swap(i, j int) { l[i], l[j] = l[j], l[i] }
type other int
func (o other) Len() int { return 1 }
var sorted = func() list { l := list{2, 1}; sort.Sort(l); return l }()
`,
		kept: "list.Len: may run before main; list.Less: may run before main; list.Swap: may run before main",
		has:  []string{"func (o other) Len() int { return *new(int) }"},
	},
	{
		name: "an interface's method may be any of that name",
		src: `package p
type I interface{ M() int }
type A int
func (a A) M() int { return int(a) }
func (a *A) N() int { return 1 }
var i I = A(1)
var m = i.M()
`,
		kept: "A.M: may run before main",
		has:  []string{"func (a *A) N() int { return *new(int) }"},
	},
	{
		name: "linkname and no body",
		src: `package p
import _ "unsafe"
//go:linkname pushed example.com/q.pushed
func pushed() int { return 1 }
//go:linkname nanotime runtime.nanotime
func nanotime() int64
func f() int64 { return nanotime() }
`,
		kept: "nanotime: no body; pushed: linkname",
		has:  []string{"func f() int64 { return *new(int64) }"},
	},
	{
		name: "asked for",
		src: `package p
func hook() { println() }
func main() { println() }
`,
		plan: Plan{Keep: map[string]bool{"hook": true}, Instead: map[string]string{"main": "{ hook() }"}},
		kept: "hook: asked for",
		has:  []string{"func main() { hook() }"},
	},
	{
		name: "without bodies",
		src: `package p
import "fmt"
import "os"
type T struct{}
func (t *T) F() error { _, err := fmt.Println(G()); return err }
func G() int { return os.Getpid() }
func H[X any](x X) X { return x }
var V = G()
`,
		plan: Plan{Form: Bodyless, Only: map[string]bool{"(*T).F": true}},
		kept: "(*T).F: asked for; H: must have a body",
		has:  []string{`import "fmt"`, `import _ "os"`, "func G() int ", "func H[X any](x X) X { return x }"},
		not:  []string{"os.Getpid"},
	},
}

func TestEmpty(t *testing.T) {
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			res, err := Empty([]Source{{Name: "p.go", Text: []byte(c.src)}}, importer.Default(), c.plan)
			if err != nil {
				t.Fatal(err)
			}
			var kept []string
			for _, name := range slices.Sorted(maps.Keys(res.Kept)) {
				kept = append(kept, name+": "+res.Kept[name])
			}
			if got := strings.Join(kept, "; "); got != c.kept {
				t.Errorf("kept %q, want %q", got, c.kept)
			}
			text := string(res.Files[0].Text)
			for _, line := range c.has {
				if !strings.Contains(text, line+"\n") {
					t.Errorf("no line %q in:\n%s", line, text)
				}
			}
			for _, s := range c.not {
				if strings.Contains(text, s) {
					t.Errorf("%q is still in:\n%s", s, text)
				}
			}
			if _, err := parser.ParseFile(token.NewFileSet(), "p.go", text, 0); err != nil {
				t.Error(err)
			}
		})
	}
}

func TestFuncName(t *testing.T) {
	const src = `package p
func F() {}
func (t T) F() {}
func (t *T) G() {}
func (l List[X]) F() {}
func (l *Map[K, V]) F() {}
func (*(T)) H() {}
`
	f, err := parser.ParseFile(token.NewFileSet(), "p.go", src, 0)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, d := range f.Decls {
		got = append(got, FuncName(d.(*ast.FuncDecl)))
	}
	if want := "F T.F (*T).G List.F (*Map).F (*T).H"; strings.Join(got, " ") != want {
		t.Errorf("names %q, want %q", got, want)
	}
}
