// Package closures makes closures of every kind that the compiler numbers. It is compiled by a test, never run.
package closures

import (
	"iter"
	"sync"
)

var sink []any

func keep(v any) { sink = append(sink, v) }

// Loops of both kinds, with closures in the statement itself and in a return.
func loops(n int) func() int {
	for i := 0; i < n; i++ {
		keep(func() int { return i })
	}
	for i := 0; i < n; i++ {
		keep(func() int { i++; return i })
	}
	for i := 0; ; i++ {
		if i > n {
			return func() int { return i }
		}
	}
}

func ranges(list []string, m map[string]int) func() string {
	for i, s := range list {
		keep(func() (int, string) { return i, s })
	}
	var k string
	for k = range m {
		keep(func() string { return k })
	}
	for _, s := range list {
		return func() string { return s }
	}
	return nil
}

// Assignments before and after the first capture, in loops and behind labels.
func assigns(n int) {
	before := n
	before++
	keep(func() int { return before })
	after := n
	keep(func() int { return after })
	after++
	inLoop := 0
	for range n {
		inLoop++
		keep(func() int { return inLoop })
	}
	two := 1
	two = 2
	keep(func() int { return two })
	keep(func() int { return two + 1 })
	var zero int
	keep(func() int { return zero })
	var big [20]int
	keep(func() int { return big[n] })
	part := struct{ a, b int }{}
	part.a = 1
	keep(func() int { return part.b })
	arr := [3]int{}
	keep(func() int { return len(arr[:]) })
	x, y := 1, 2
	x, y = y, x
	keep(func() int { return x + y })
again:
	back := n
	if back++; back < 10 {
		keep(func() int { return back })
		goto again
	}
}

func results(n int) (err error, count int) {
	defer func() {
		if err != nil {
			count++
		}
	}()
	if n > 0 {
		return nil, n
	}
	return
}

type T struct {
	n  int
	mu sync.Mutex
}

func (t T) Value() int      { return t.n }
func (t *T) Pointer() int   { return t.n }
func (t *T) run(n int) bool { return n > t.n }

type Outer struct{ T }

// Method values and expressions: only some of them are literals for the compiler.
func methods(t T, p *T, o Outer) {
	keep(t.Value)
	keep(p.Pointer)
	keep(T.Value)
	keep((*T).Value)
	keep((*Outer).Pointer)
	keep(func() int { return t.Value() })
	keep(func() int { return o.Pointer() })
	keep(func() { p = nil })
}

// Statements with operands have wrappers, the others have not.
func statements(t *T, ch chan int, f func(), g func(int) int, i interface{ run(int) bool }) {
	t.mu.Lock()
	defer t.mu.Unlock()
	defer close(ch)
	defer f()
	defer func() { recover() }()
	go g(1)
	go t.run(2)
	defer i.run(3)
	go func(n int) { keep(func() int { return n }) }(4)
	go func() {
		defer t.mu.Unlock()
		go g(5)
		keep(func() {})
	}()
	defer println(len(ch))
	defer panic(t)
}

// The bodies of range-over-func loops are closures.
func overFunc(seq iter.Seq2[int, string], n int) (sum int) {
	total := 0
outer:
	for i, s := range seq {
		total += i
		keep(func() string { return s })
		for j := range seq {
			if j > n {
				continue outer
			}
			keep(func() int { return i + j })
			defer g(j)
			go g(i)
			if j < 0 {
				return total
			}
		}
		defer func() { sum++ }()
	}
	var a int
	for a = range seq {
		keep(func() int { return a })
	}
	keep(func() int { return total })
	return
}

//go:noinline
func g(n int) int { return n }

// What the compiler leaves out has no number.
func dead(n int) {
	const never = false
	if never {
		keep(func() int { return 1 })
	}
	if n > 0 && never {
		keep(func() int { return 2 })
	}
	if never || n > 1 {
		keep(func() int { return 3 + n })
	}
	switch 1 {
	case 2:
		keep(func() int { return 4 })
	case 1:
		keep(func() int { return 5 + n })
	}
	for never {
		keep(func() int { return 6 })
	}
	keep(func() int {
		if never {
			return n
		}
		return 7
	})
	if n > 5 {
		panic(func() int { return 8 + n })
		keep(func() int { return 9 })
	}
	switch v := any(n).(type) {
	case int:
		keep(func() int { return v })
	case string:
		keep(func() string { return v })
	}
	select {
	case <-make(chan int):
		keep(func() int { return 10 + n })
	default:
	}
	return
	keep(func() int { return 11 })
}

type List[E any] struct{ items []E }

func (l *List[E]) Each(f func(E)) {
	for _, v := range l.items {
		keep(func() { f(v) })
	}
}

func (l List[E]) Len() int { return len(l.items) }

func apply[E any](l *List[E], f func(E)) { l.Each(f); keep(f) }

func ident[E any](e E) E { return e }

// Generic code: literals of its own, and those that the compiler makes of values that need a dictionary.
func generic[E any, S interface{ Do(E) }](l *List[E], s S, f func(E)) {
	keep(func() int { return len(l.items) })
	keep(l.Each)
	keep(ident[E])
	keep(s.Do)
	keep((*List[E]).Each)
	keep(func() { f(*new(E)) })
	go ident(l)
	defer apply(l, f)
}

type doer struct{}

func (doer) Do(int) {}

func instances(l *List[int]) {
	keep(l.Each)
	keep(ident[int])
	keep((*List[int]).Len)
	generic(l, doer{}, func(int) {})
	keep(func() { apply(l, nil) })
}

var table = map[string]func(int) int{"loops": func(n int) int { return n }}

// Use keeps all of it alive.
func Use() {
	keep(loops)
	keep(ranges)
	keep(assigns)
	keep(results)
	keep(methods)
	keep(statements)
	keep(overFunc)
	keep(dead)
	keep(instances)
	keep(table)
}
