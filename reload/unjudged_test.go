package reload_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/limeade-go/limeade/reload"
)

// unjudged is the program that TestUnjudged edits. Values of all its types are alive.
var unjudged = source{
	"main.go": `package main

import (
	"bufio"
	"fmt"
	"os"

	"example.com/app/bank"
)

type Pair[T any] struct{ first, second T }

type Side int

type Square struct {
	side Side
	at   struct{ x, y int32 }
}

func (s Square) Area() int { return int(s.side * s.side) }

func (s *Square) Grow(by int) int { s.side += Side(by); return int(s.side) }

func (s *Square) Name() string { return "square" }

type Shape interface {
	Area() int
	Name() string
}

type Prices map[string]int

type Steps []int

type Ring [2]int32

type Feed chan int

type Rule func(int) int

type Link *int

type Node struct {
	next *Node
	val  int
	list []int
	of   map[string]int
	call func(int) int
	ref  *int
	any  any
	pair [2]int32
}

var (
	one    = 1
	square = &Square{side: 3, at: struct{ x, y int32 }{1, 2}}
	shape  Shape = square
	held   any   = square
	prices = Prices{"a": 1, "b": 2}
	steps  = Steps{1, 2, 3}
	ring   = Ring{4, 5}
	feed   = make(Feed, 1)
	rule   Rule = double
	link   Link = &one
	node   = &Node{next: &Node{val: 2}, val: 1, list: []int{1, 2}, of: map[string]int{"k": 5}, call: double, ref: &one, any: 7, pair: [2]int32{8, 9}}
	nodes  = []Node{{val: 5}, {val: 6}}
	pair   = Pair[int]{1, 2}
	total  = 10
	saved  any = scaled
	kept   any = wrap()
)

func wrap() any {
	type point struct{ x int }
	return point{1}
}

//go:noinline
func double(x int) int { return 2 * x }

//go:noinline
func scaled(x int) int { return 3 * x }

//go:noinline
func half(x int) int { return x / 2 }

//go:noinline
func label(n *Node) int { return n.val }

//go:noinline
func nodeSum() int { return node.val + node.next.val }

//go:noinline
func nodeParts() string { return fmt.Sprint(node.list, node.of, node.call(4), *node.ref, node.any, node.pair) }

//go:noinline
func nodeCopy() int { n := *node; nodes[0] = n; nodes = append(nodes[:1], Node{val: 6}); return len(nodes) }

//go:noinline
func typed() string { return fmt.Sprint(prices["a"], steps[1], ring[1], len(feed), rule(6), *link, square.side, square.at.y) }

//go:noinline
func shapes() string { return fmt.Sprint(shape.Area(), shape.Name()) }

//go:noinline
func asserted() string { _, ok := held.(interface{ Perimeter() int }); _, has := held.(interface{ Grow(int) int }); return fmt.Sprint(ok, has) }

//go:noinline
func pairSum() int { return pair.first + pair.second }

//go:noinline
func totals() int { return total + 1 }

//go:noinline
func calls() string { return fmt.Sprint(double(2), half(8), label(node), saved.(func(int) int)(2)) }

//go:noinline
func banks() string { return fmt.Sprint(bank.Main.Balance(), bank.Fee(100), bank.Main.Owner) }

func answer() string {
	return fmt.Sprint(nodeSum(), nodeParts(), nodeCopy(), typed(), shapes(), asserted(), pairSum(), wrap() == kept, totals(), calls(), banks(), square.Grow(0))
}

func main() {
	in := bufio.NewScanner(os.Stdin)
	for in.Scan() {
		fmt.Println(answer())
	}
}
`,
	"bank/bank.go": `package bank

type Account struct {
	Owner   string
	balance int
}

var Main = &Account{Owner: "me", balance: 70}

//go:noinline
func (a *Account) Balance() int { return a.balance }

//go:noinline
func Fee(x int) int { return x / 10 }
`,
}

// TestUnjudged sends edits to the engine that analysis would not let pass, or not so: with only the edited functions to compile,
// and no word of what else changed. The engine sees for itself that the process is not made for them, says whose name it
// is about, and leaves the process as it was.
func TestUnjudged(t *testing.T) {
	g := newTarget(t, unjudged)
	g.start(t)
	before, err := g.ask()
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name  string
		about string   // a name in what the engine says
		edits []string // old, new, old, new
	}{
		// The layout of types.
		{"field added", "main.Node", []string{"next *Node\n", "next *Node\n\textra int\n", "return node.val + ", "return node.extra + "}},
		{"last field added", "main.Node", []string{"pair [2]int32\n}", "pair [2]int32\n\textra int\n}", "return node.val + ", "return node.extra + "}},
		{"field added that nothing uses", "main.Node", []string{"next *Node\n", "next *Node\n\textra int\n", "return node.val + ", "return 1 + node.val + "}},
		{"field added, values copied", "main.Node", []string{"pair [2]int32\n}", "pair [2]int32\n\textra int\n}", "n := *node; nodes[0] = n;", "n := *node; nodes[0], nodes[1] = n, n;"}},
		{"field removed", "main.Node", []string{"\tval  int\n", "", "return node.val + node.next.val", "return len(node.list)",
			"return n.val", "return 1", "val: 2", "", " val: 1,", "", "{{val: 5}, {val: 6}}", "{{}, {}}", "Node{val: 6}", "Node{}"}},
		{"fields reordered", "main.Node", []string{"next *Node\n\tval  int\n", "val  int\n\tnext *Node\n", "return node.val + ", "return 1 + node.val + "}},
		{"fields swapped names", "main.Square", []string{"struct{ x, y int32 }\n", "struct{ y, x int32 }\n", "struct{ x, y int32 }{1, 2}", "struct{ y, x int32 }{1, 2}", "square.at.y)", "square.at.y+0)"}},
		{"field of another size", "main.Node", []string{"\tval  int\n", "\tval  int32\n", "return node.val + node.next.val", "return int(node.val + node.next.val)", "return n.val", "return int(n.val)"}},
		{"field of another sign", "main.Node", []string{"\tval  int\n", "\tval  uint\n", "return node.val + node.next.val", "return int(node.val + node.next.val)", "return n.val", "return int(n.val)"}},
		{"field of another slice", "main.Node", []string{"\tlist []int\n", "\tlist []string\n", "list: []int{1, 2}", "list: nil", "Sprint(node.list,", "Sprint(node.list[0],"}},
		{"field of another map", "main.Node", []string{"of   map[string]int", "of   map[string]string", `of: map[string]int{"k": 5}`, "of: nil", "node.of,", `node.of["k"],`}},
		{"field of another function", "main.Node", []string{"\tcall func(int) int\n", "\tcall func(int) string\n", "call: double,", "", "node.call(4),", "node.call(4)+\"\","}},
		{"field of another pointer", "main.Node", []string{"ref  *int", "ref  *string", "ref: &one,", "", "*node.ref,", "*node.ref+\"\","}},
		{"field of another interface", "main.Node", []string{"any  any", "any  fmt.Stringer", "any: 7,", "", "node.any,", "node.any.String(),"}},
		{"field of another array", "main.Node", []string{"pair [2]int32", "pair [8]byte", "pair: [2]int32{8, 9}", "", "node.pair)", "node.pair[7])"}},
		{"field of another unnamed struct", "main.Square", []string{"at   struct{ x, y int32 }\n", "at   struct{ x, y uint32 }\n", "at: struct{ x, y int32 }{1, 2}", "", "square.at.y)", "square.at.y+0)"}},
		{"struct in another package", "example.com/app/bank.Account", []string{"\tOwner   string\n", "\tNumber  int\n\tOwner   string\n", "bank.Main.Owner)", "bank.Main.Number)"}},
		{"struct in another package, edited there too", "example.com/app/bank.Account", []string{"\tOwner   string\n", "\tNumber  int\n\tOwner   string\n", "bank.Main.Owner)", "bank.Main.Number)", "return a.balance", "return a.balance + a.Number"}},
		{"field of a generic type", "main.Pair[int]", []string{"struct{ first, second T }", "struct{ second, first T }", "pair.first + pair.second", "pair.first - pair.second"}},
		{"field added to a generic type", "main.Pair[int]", []string{"struct{ first, second T }", "struct{ first, second, third T }", "Pair[int]{1, 2}", "Pair[int]{1, 2, 3}", "pair.first + pair.second", "pair.first + pair.third"}},
		{"kind of a type", "main.Side", []string{"type Side int", "type Side float64", "square.side,", "square.side+1,"}},
		{"sign of a type", "main.Side", []string{"type Side int", "type Side uint", "square.side,", "square.side+1,"}},
		{"values of a map type", "main.Prices", []string{"type Prices map[string]int", "type Prices map[string]string", `Prices{"a": 1, "b": 2}`, "Prices{}", `prices["a"]`, `prices["a"]+""`}},
		{"elements of a slice type", "main.Steps", []string{"type Steps []int", "type Steps []string", "Steps{1, 2, 3}", "Steps{}", "steps[1]", `steps[1]+""`}},
		{"elements of an array type", "main.Ring", []string{"type Ring [2]int32", "type Ring [2]uint32", "ring[1]", "ring[1]+0"}},
		{"elements of a channel type", "main.Feed", []string{"type Feed chan int", "type Feed chan string", "len(feed)", "cap(feed)"}},
		{"results of a function type", "main.Rule", []string{"type Rule func(int) int", "type Rule func(int) string", "rule   Rule = double", "rule   Rule", "rule(6)", `rule(6)+""`}},
		{"what a pointer type points to", "main.Link", []string{"type Link *int", "type Link *string", "link   Link = &one", "link   Link", "*link,", `*link+"",`}},
		{"variable of another type", "main.total", []string{"total  = 10", "total  = 10.5", "return total + 1", "return int(total) + 1"}},
		{"variable of another type of the same size", "main.total", []string{"total  = 10", "total  = uint(10)", "return total + 1", "return int(total) + 1"}},
		{"type in a function", "main.point·1", []string{"type point struct{ x int }\n\treturn point{1}", "type point struct{ x, y int }\n\treturn point{1, 2}"}},
		{"type in a function, of another sign", "main.point·1", []string{"type point struct{ x int }", "type point struct{ x uint }"}},

		// The methods of types.
		{"method added", "main.Square", []string{"type Shape interface", "func (s *Square) Perimeter() int { return 12 }\n\ntype Shape interface", "Sprint(ok, has)", "Sprint(ok, has, 1)"}},
		{"method removed", "main.Square", []string{"func (s *Square) Grow(by int) int { s.side += Side(by); return int(s.side) }\n", "", "square.Grow(0)", "0", "Sprint(ok, has)", "Sprint(ok, has, 1)"}},
		{"method with other parameters", "main.Square", []string{"Grow(by int) int { s.side += Side(by)", "Grow(by float64) int { s.side += Side(by)"}},
		{"method with other results", "main.Square", []string{"Grow(by int) int { s.side += Side(by); return int(s.side) }", `Grow(by int) string { s.side += Side(by); return "big" }`}},
		{"method with another receiver", "main.Square", []string{"func (s Square) Area() int { return int", "func (s *Square) Area() int { return 1 + int"}},
		{"method of an interface added", "main.Shape", []string{"\tName() string\n}", "\tName() string\n\tGrow(int) int\n}", "shape.Name())", "shape.Name(), shape.Grow(1))"}},
		{"first method of an interface added", "main.Shape", []string{"interface {\n\tArea() int\n", "interface {\n\tAaa() int\n\tArea() int\n", "shape.Name())", "shape.Name(), 1)",
			"func (s *Square) Name()", "func (s *Square) Aaa() int { return 1 }\n\nfunc (s *Square) Name()"}},
		{"method of an interface removed", "main.Shape", []string{"\tArea() int\n\tName() string\n", "\tName() string\n", "shape.Area(), shape.Name()", "shape.Name()"}},
		{"method of an interface with other results", "main.Shape", []string{"\tArea() int\n", "\tArea() string\n", "Area() int { return int(s.side * s.side) }", `Area() string { return "big" }`}},
		{"method of an interface in its place", "main.Shape", []string{"\tName() string\n}", "\tGrow(int) int\n}", "shape.Name())", "shape.Grow(1))"}},

		// The parameters and results of functions.
		{"parameter added", "main.double", []string{"func double(x int) int { return 2 * x }", "func double(x int, more ...int) int { return 2 * x }", "rule   Rule = double", "rule   Rule", "call: double,", ""}},
		{"parameter added, callers edited", "main.half", []string{"func half(x int) int { return x / 2 }", "func half(x, by int) int { return x / by }", "half(8)", "half(8, 4)"}},
		{"parameter removed", "main.half", []string{"func half(x int) int { return x / 2 }", "func half() int { return 2 }", "half(8)", "half()"}},
		{"parameter in an interface", "main.half", []string{"func half(x int) int { return x / 2 }", "func half(x any) int { return x.(int) / 2 }"}},
		{"parameter in another register", "main.half", []string{"func half(x int) int { return x / 2 }", "func half(x float64) int { return int(x / 2) }"}},
		{"parameter that is a pointer", "main.half", []string{"func half(x int) int { return x / 2 }", "func half(x *Node) int { return x.val }", "half(8)", "half(node)"}},
		{"parameter of another sign", "main.half", []string{"func half(x int) int { return x / 2 }", "func half(x uint) int { return int(x / 2) }"}},
		{"parameter that points to something else", "main.label", []string{"func label(n *Node) int { return n.val }", "func label(n *Square) int { return int(n.side) }", "label(node)", "label(square)"}},
		{"result added", "main.half", []string{"func half(x int) int { return x / 2 }", "func half(x int) (int, int) { return x / 2, 1 }", "Sprint(double(2), half(8), label", "Sprint(double(2), label"}},
		{"result of another size", "main.half", []string{"func half(x int) int { return x / 2 }", "func half(x int) string { return \"half\" }"}},
		{"result in another register", "main.half", []string{"func half(x int) int { return x / 2 }", "func half(x int) float64 { return float64(x) / 2 }"}},
		{"result of another sign", "main.half", []string{"func half(x int) int { return x / 2 }", "func half(x int) uint { return uint(x) / 2 }"}},
		{"result that is a pointer", "main.half", []string{"func half(x int) int { return x / 2 }", "func half(x int) *int { return &x }"}},
		{"result that is an interface", "main.half", []string{"func half(x int) int { return x / 2 }", "func half(x int) any { return x }"}},
		{"parameter of a function value", "main.scaled", []string{"func scaled(x int) int { return 3 * x }", "func scaled(x string) int { return len(x) }"}},
		{"result of a function value", "main.scaled", []string{"func scaled(x int) int { return 3 * x }", "func scaled(x int) string { return \"scaled\" }"}},
		{"result of a function of another package", "example.com/app/bank.Fee", []string{"func Fee(x int) int { return x / 10 }", "func Fee(x int) string { return \"fee\" }"}},
		{"result of a method of another package", "example.com/app/bank.Account", []string{"Balance() int { return a.balance }", "Balance() float64 { return 1.5 }"}},
	} {
		broke := false
		t.Run(strings.ReplaceAll(c.name, " ", "_"), func(t *testing.T) {
			_, err := g.refresh(t.Context(), unjudged.edit(t, c.edits))
			var refused *reload.RefusedError
			var compile *reload.CompileError
			switch {
			case errors.As(err, &refused) && refused.Symbol == c.about:
			case errors.As(err, &compile):
			default:
				t.Errorf("refresh: %v; want a refusal of %s", err, c.about)
			}
			t.Log(err)
			after, broken := g.ask()
			if broken != nil || after != before {
				t.Errorf("answered %q, %v\nwant     %q", after, broken, before)
			}
			broke = err == nil || broken != nil
		})
		if broke {
			g.start(t)
		}
	}
	// What analysis would let pass goes the same way.
	edited := unjudged.edit(t, []string{"func half(x int) int { return x / 2 }", "func half(x int) int { return x / 4 }"})
	if _, err := g.refresh(t.Context(), edited); err != nil {
		t.Fatal(err)
	}
	if after, err := g.ask(); err != nil || after == before {
		t.Errorf("answered %q, %v after the edit of a body", after, err)
	}
}

// edit returns a source in which some texts, each in one place, are others: old, new, old, new.
func (s source) edit(t *testing.T, texts []string) source {
	t.Helper()
	edited := source{}
	for name, text := range s {
		edited[name] = text
	}
	for i := 0; i < len(texts); i += 2 {
		n := 0
		for name, text := range edited {
			n += strings.Count(text, texts[i])
			edited[name] = strings.Replace(text, texts[i], texts[i+1], 1)
		}
		if n != 1 {
			t.Fatalf("%q is in %d places", texts[i], n)
		}
	}
	return edited
}
