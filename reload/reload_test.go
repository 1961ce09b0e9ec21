package reload_test

import (
	"strings"
	"testing"
)

func TestSwap(t *testing.T) {
	before := source{"main.go": `package main

import (
	"bufio"
	"fmt"
	"os"
	"sort"
	"strings"
)

var counter int

type T struct {
	a int
	s string
}

func (t *T) Inc() int { t.a++; return t.a }

//go:noinline
func f(x int) string { counter++; return fmt.Sprint("old ", x, " ", counter) }

func main() {
	t := &T{}
	in := bufio.NewScanner(os.Stdin)
	for in.Scan() {
		fmt.Println(f(3), t.Inc())
	}
	_ = sort.Ints
	_ = strings.ToUpper
}
`}
	after := source{"main.go": strings.Replace(before["main.go"], `counter++; return fmt.Sprint("old ", x, " ", counter) }`, `
	counter++
	m := map[string]any{"x": x, "t": &T{a: x}, "b": strings.NewReplacer("a", "b").Replace("aaa")}
	var keys []string
	for k := range m {
		keys = append(keys, k)
	}
	sort.Sort(sort.Reverse(sort.StringSlice(keys)))
	msg := ""
	func() {
		defer func() { msg = fmt.Sprint(recover()) }()
		panic("x")
	}()
	return fmt.Sprintf("new %v %v %d %s", keys, m["b"], counter, msg)
}`, 1)}
	g := newTarget(t, before)
	g.start(t)
	check := func(want string) {
		t.Helper()
		if got, err := g.ask(); err != nil || got != want {
			t.Fatalf("answered %q, %v; want %q", got, err, want)
		}
	}
	check("old 3 1 1")
	if o, err := g.refresh(t.Context(), after); err != nil || o.Generation != 1 {
		t.Fatalf("%+v, %v", o, err)
	}
	check("new [x t b] bbb 2 x 2")
	check("new [x t b] bbb 3 x 3")
}
