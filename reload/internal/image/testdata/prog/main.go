// Command prog has one of everything that the linker treats in its own way: instances of
// generic code, closures, maps with outlined initialisers, interfaces whose methods are
// partly pruned, variables with content from assembly, embedded types' wrappers, types
// that only reflection sees.
package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"sort"
	"sync"

	deep "example.com/prog/deep.v2"
	"example.com/prog/low"
)

type Shape interface {
	Area() float64
	Name() string
}

type Named struct{ name string }

func (n Named) Name() string     { return n.name }
func (n Named) Unused() string   { return "never called " + n.name }
func (n *Named) Rename(s string) { n.name = s }

type Square struct {
	Named
	Side float64 `json:"side"`
}

func (s *Square) Area() float64 { return s.Side * s.Side }

type Circle struct {
	*Named
	R float64
}

func (c Circle) Area() float64 { return 3.14159 * c.R * c.R }

type List[T any] struct {
	items []T
	less  func(a, b T) bool
}

func (l *List[T]) Push(t T) *List[T] { l.items = append(l.items, t); return l }

func (l *List[T]) Sorted() []T {
	sort.Slice(l.items, func(i, j int) bool { return l.less(l.items[i], l.items[j]) })
	return l.items
}

func Map[K comparable, V, W any](m map[K]V, f func(K, V) W) map[K]W {
	out := make(map[K]W, len(m))
	for k, v := range m {
		out[k] = f(k, v)
	}
	return out
}

var table = map[string]Shape{
	"a": &Square{Named{"a"}, 2},
	"b": Circle{&Named{"b"}, 1},
	"c": &Square{Named{"c"}, 3},
}

var never = map[int]string{1: "one", 2: "two", 3: "three", 4: "four", 5: "five", 6: "six", 7: "seven", 8: "eight",
	9: "nine", 10: "ten", 11: "eleven", 12: "twelve", 13: "thirteen", 14: "fourteen", 15: "fifteen", 16: "sixteen",
	17: "seventeen", 18: "eighteen", 19: "nineteen", 20: "twenty", 21: "x", 22: "y", 23: "z", 24: "w", 25: "v", 26: "u"}

var errSmall = errors.New("small")

func inlined(x int) int {
	if x < 0 {
		panic(errSmall)
	}
	return x*3 + 1
}

//go:noinline
func caller(x int) int {
	if x > 100 {
		panic(errSmall)
	}
	return inlined(x) + inlined(x+1)
}

func describe(v any) string {
	switch v := v.(type) {
	case Shape:
		return v.Name()
	case fmt.Stringer:
		return v.String()
	case error:
		return v.Error()
	case int, int64:
		return fmt.Sprint("number ", v)
	}
	return "?"
}

func main() {
	type local struct{ A, B int }
	l := &List[Shape]{less: func(a, b Shape) bool { return a.Area() < b.Area() }}
	for _, s := range table {
		l.Push(s)
	}
	var mu sync.Mutex
	total := 0
	var wg sync.WaitGroup
	for i := range 3 {
		wg.Go(func() {
			mu.Lock()
			defer mu.Unlock()
			total += caller(i)
		})
	}
	wg.Wait()
	for _, s := range l.Sorted() {
		fmt.Fprintln(os.Stdout, s.Name(), s.Area(), describe(s))
	}
	ints := (&List[int]{less: func(a, b int) bool { return a > b }}).Push(total).Push(3)
	fmt.Println(ints.Sorted(), len(Map(table, func(k string, v Shape) local { return local{len(k), int(v.Area())} })))
	b, err := json.Marshal(table["a"])
	fmt.Println(string(b), err, low.Add(2, 3), low.Table[1], deep.Twice(21), extra())
}
