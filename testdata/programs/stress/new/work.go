// Package work is what the stress program does all the time. Its functions are swapped, to and fro, with those of the
// same names in folder new: each answers in its own version's way, from a frame of its own shape.
package work

import (
	"fmt"
	"iter"
	"os"
	"runtime"
	"strconv"
	"syscall"

	"limeade.test/stress/mark"
)

// Leaf is a loop without a call and without a stack check: only a signal can stop it.
//
//go:noinline
func Leaf(n int, x uint64) uint64 {
	for ; n > 0; n-- {
		x ^= x << 13
		x ^= x >> 7
		x ^= x << 17
	}
	return x
}

// Trap is small enough for the head of its loop to lie in its first bytes.
//
//go:noinline
func Trap(p *uint64, n uint64) {
	for *p < n {
		*p += 5
	}
}

// Deep recurses n times; each frame fills memory of its own, and links itself to its caller's.
//
//go:noinline
func Deep(n int, up *mark.Frame) uint64 {
	own := mark.Frame{Up: up, Mark: up.Mark + 1}
	note := &mark.Node{Mark: own.Mark}
	var pad [40]uint64
	for i := range pad {
		pad[i] = own.Mark*31 + uint64(i)
	}
	sum := uint64(mark.NewFrame)
	if n > 0 {
		sum += Deep(n-1, &own)
	}
	for i := range pad {
		if pad[i] != own.Mark*31+uint64(i) {
			return mark.Broken
		}
	}
	if own.Up != up || up.Mark+1 != own.Mark || note.Mark != own.Mark || note.Left != nil {
		return mark.Broken
	}
	return sum
}

// Guard catches what Climb throws.
//
//go:noinline
func Guard(depth, mode int, frames *uint64) (caught int, by mark.Version) {
	by = mark.New
	var pad [12]int
	for i := range pad {
		pad[i] = depth + i
	}
	defer func() {
		r := recover()
		caught = mark.Caught(r)
	}()
	Climb(pad[0], mode, frames)
	return -2 * len(pad), by
}

// Climb fails at its end, in the way that mode says. Every frame on the way counts itself while it is torn down.
//
//go:noinline
func Climb(depth, mode int, frames *uint64) {
	defer func() { *frames += mark.NewFrame }()
	var (
		list  []string
		table map[string]int
		node  *mark.Node
		box   any = &depth
	)
	if depth == 0 && mode < mark.Modes {
		switch mode {
		case 0:
			panic(mark.Value{Mode: mode})
		case 1:
			node.Mark++
		case 2:
			list[mode] += "x"
		case 3:
			table["x"] = depth
		case 4:
			mode %= depth
		case 5:
			mode += box.(interface{ Len() int }).Len()
		}
	}
	if depth == 0 {
		runtime.Goexit()
	}
	if depth%8 == 3 {
		defer func() {
			if r := recover(); r != nil {
				panic(r)
			}
		}()
	}
	Climb(depth-1, mode, frames)
}

// Adder makes a closure that is kept and called for long.
//
//go:noinline
func Adder(k uint64) func(x uint64) uint64 {
	return func(x uint64) uint64 { return x*k + mark.NewFrame }
}

// Counter makes a closure with a state of its own.
//
//go:noinline
func Counter() func() uint64 {
	var n uint64
	return func() uint64 {
		n += mark.NewFrame
		return n
	}
}

// Produce sends n messages.
//
//go:noinline
func Produce(out chan<- mark.Message, n int, seed uint64) {
	var last uint64
	for i := range n {
		m := mark.Message{By: mark.New, Seq: i}
		m.Sum = seed*5 ^ uint64(i)*13 ^ 0x5eed
		select {
		case out <- m:
			last++
		}
	}
	if last != uint64(n) {
		panic("produce: messages lost")
	}
}

// Park waits for one value with memory of its own in the frame.
//
//go:noinline
func Park(wake <-chan uint64, id uint64) (mark.Version, uint64) {
	pad := make([]uint64, 9)
	for i := range pad {
		pad[i] = id ^ uint64(i)
	}
	var fixed [5]uint64
	for i := range fixed {
		fixed[i] = id
	}
	v, ok := <-wake
	for i := range pad {
		if pad[i] != id^uint64(i) || fixed[i%5] != id {
			ok = false
		}
	}
	if !ok {
		return mark.New, mark.Broken
	}
	return mark.New, id*5 ^ v*13 ^ 0x5eed
}

// Tree makes a tree on the heap.
//
//go:noinline
func Tree(depth int, seed uint64) *mark.Node {
	var left, right *mark.Node
	if depth > 0 {
		right = Tree(depth-1, seed*2+1)
		left = Tree(depth-1, seed*2)
	}
	n := &mark.Node{By: mark.New, Left: left, Right: right}
	n.Mark = seed*5 ^ uint64(depth)*13 ^ 0x5eed
	for i := range n.Fill {
		n.Fill[i] = n.Mark ^ uint64(i)
	}
	return n
}

// Table makes a map and looks all of it up again.
//
//go:noinline
func Table(n int, seed uint64) (mark.Version, uint64) {
	type key struct {
		word string
		n    int
	}
	m := map[key]*uint64{}
	for i := range n {
		v := seed + uint64(i)
		m[key{"new", i}] = &v
	}
	var sum uint64
	for k, v := range m {
		if *v != seed+uint64(k.n) {
			return mark.New, mark.Broken
		}
		sum += *v
	}
	return mark.New, sum*5 ^ 0x5eed
}

// Name builds a text from data of its own.
//
//go:noinline
func Name(i int) string {
	type pair struct {
		Word string
		N    int
	}
	words := map[int]string{0: "zero", 1: "uno", 2: "due", 3: "tre"}
	return "new " + fmt.Sprint(pair{words[i%4], i}) + " " + strconv.Itoa(i)
}

// Defers runs n deferred calls. Each counts itself, in the right order or not at all.
//
//go:noinline
func Defers(n int) (frames uint64, by mark.Version) {
	by = mark.New
	next := n - 1
	for i := range n {
		if n > i {
			defer func() {
				if next == i {
					next, frames = next-1, frames+mark.NewFrame
				}
			}()
		}
	}
	return 0, by
}

// A Shape is called through an interface.
type Shape interface{ Area() uint64 }

// Square and Strip are shapes.
type (
	Square struct{ Side uint64 }
	Strip  struct{ Long, Wide uint64 }
)

// Area of a square.
//
//go:noinline
func (s Square) Area() uint64 { return s.Side*s.Side + 2 }

// Area of a strip.
//
//go:noinline
func (s *Strip) Area() uint64 { return s.Wide*s.Long + 2 }

// Fold is generic; its instances are made by package main.
//
//go:noinline
func Fold[T ~uint32 | ~uint64](list []T) T {
	var sum T
	for i := range list {
		sum = sum*5 + list[len(list)-1-i]
	}
	return sum
}

// Count is ranged over.
func Count(n int) iter.Seq[uint64] {
	return func(yield func(uint64) bool) {
		for i := range n {
			if !yield(uint64(i)<<1 + mark.NewFrame) {
				return
			}
		}
	}
}

// Read waits for bytes of a pipe.
//
//go:noinline
func Read(r *os.File) (mark.Version, uint64, error) {
	buf := make([]byte, 8)
	sum := uint64(0x5eed)
	n, err := r.Read(buf)
	for _, b := range buf[:n] {
		sum += uint64(b) * 5
	}
	return mark.New, sum, err
}

// Nap is within a system call.
//
//go:noinline
func Nap(ns int64) (mark.Version, uint64) {
	var pad [6]uint64
	for i := range pad {
		pad[i] = uint64(ns)
	}
	t := syscall.NsecToTimespec(ns)
	_ = syscall.Nanosleep(&t, nil)
	return mark.New, pad[0] + pad[1] + pad[2] + pad[3] + pad[5]
}

// Fire is called by a timer.
//
//go:noinline
func Fire(t *mark.Tick) {
	t.Mark = t.Mark*5 ^ 0x5eed
	t.By = mark.New
	close(t.Done)
}

// Release is called by a finalizer; it says whether the memory is as it was.
//
//go:noinline
func Release(r *mark.Resource, seed uint64) bool {
	ok := r.Tail != nil && r.Tail.Mark == seed
	for i := len(r.Fill) - 1; i >= 0; i-- {
		ok = ok && r.Fill[i]-uint64(i) == seed
	}
	return ok
}

// Where gives its own call chain.
//
//go:noinline
func Where() []uintptr {
	var pcs [6]uintptr
	n := runtime.Callers(1, pcs[:])
	return append([]uintptr(nil), pcs[:n]...)
}
