// Package work is what the stress program does all the time. Its functions are swapped, to and fro, with those of the
// same names in folder new: each answers in its own version's way, from a frame of its own shape.
package work

import (
	"fmt"
	"iter"
	"os"
	"runtime"
	"syscall"

	"limeade.test/stress/mark"
)

// Leaf is a loop without a call and without a stack check: only a signal can stop it.
//
//go:noinline
func Leaf(n int, x uint64) uint64 {
	for i := 0; i < n; i++ {
		x = x*6364136223846793005 + 1442695040888963407
	}
	return x
}

// Trap is small enough for the head of its loop to lie in its first bytes.
//
//go:noinline
func Trap(p *uint64, n uint64) {
	for *p < n {
		*p += 3
	}
}

// Deep recurses n times; each frame fills memory of its own, and links itself to its caller's.
//
//go:noinline
func Deep(n int, up *mark.Frame) uint64 {
	var pad [24]uint64
	own := mark.Frame{Up: up, Mark: up.Mark + 1}
	for i := range pad {
		pad[i] = own.Mark ^ uint64(i)
	}
	var below uint64
	if n > 0 {
		below = Deep(n-1, &own)
	}
	for i := range pad {
		if pad[i] != own.Mark^uint64(i) {
			return mark.Broken
		}
	}
	if own.Up != up || up.Mark+1 != own.Mark {
		return mark.Broken
	}
	return below + mark.OldFrame
}

// Guard catches what Climb throws.
//
//go:noinline
func Guard(depth, mode int, frames *uint64) (caught int, by mark.Version) {
	by = mark.Old
	defer func() {
		caught = mark.Caught(recover())
	}()
	Climb(depth, mode, frames)
	return -2, by
}

// Climb fails at its end, in the way that mode says. Every frame on the way counts itself while it is torn down.
//
//go:noinline
func Climb(depth, mode int, frames *uint64) {
	defer func() { *frames += mark.OldFrame }()
	if depth == 0 {
		var (
			list  []int
			table map[int]int
			pair  *[2]int
			box   any = depth
		)
		switch mode {
		case 0:
			panic(mark.Value{Mode: mode})
		case 1:
			pair[1]++
		case 2:
			list[mode]++
		case 3:
			table[mode] = depth
		case 4:
			mode /= depth
		case 5:
			mode += len(box.(string))
		default:
			runtime.Goexit()
		}
	}
	if depth%8 == 7 {
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
	return func(x uint64) uint64 { return mark.OldFrame + x*k }
}

// Counter makes a closure with a state of its own.
//
//go:noinline
func Counter() func() uint64 {
	var n uint64
	return func() uint64 {
		n += mark.OldFrame
		return n
	}
}

// Produce sends n messages.
//
//go:noinline
func Produce(out chan<- mark.Message, n int, seed uint64) {
	for i := range n {
		out <- mark.Message{By: mark.Old, Seq: i, Sum: seed*3 + uint64(i)*7 + 11}
	}
}

// Park waits for one value with memory of its own in the frame.
//
//go:noinline
func Park(wake <-chan uint64, id uint64) (mark.Version, uint64) {
	var pad [16]uint64
	for i := range pad {
		pad[i] = id + uint64(i)
	}
	v := <-wake
	for i := range pad {
		if pad[i] != id+uint64(i) {
			return mark.Old, mark.Broken
		}
	}
	return mark.Old, id*3 + v*7 + 11
}

// Tree makes a tree on the heap.
//
//go:noinline
func Tree(depth int, seed uint64) *mark.Node {
	n := &mark.Node{By: mark.Old, Mark: seed*3 + uint64(depth)*7 + 11}
	for i := range n.Fill {
		n.Fill[i] = n.Mark + uint64(i)
	}
	if depth > 0 {
		n.Left = Tree(depth-1, seed*2)
		n.Right = Tree(depth-1, seed*2+1)
	}
	return n
}

// Table makes a map and looks all of it up again.
//
//go:noinline
func Table(n int, seed uint64) (mark.Version, uint64) {
	m := map[string]uint64{}
	for i := range n {
		m[fmt.Sprintf("old %d", i)] = seed + uint64(i)
	}
	var sum uint64
	for _, v := range m {
		sum += v
	}
	if m["old 1"] != seed+1 {
		return mark.Old, mark.Broken
	}
	return mark.Old, sum*3 + 11
}

// Name builds a text from data of its own.
//
//go:noinline
func Name(i int) string {
	words := []string{"nought", "one", "two", "three"}
	return fmt.Sprintf("old %s %d", words[i%len(words)], i)
}

// Defers runs n deferred calls. Each counts itself, in the right order or not at all.
//
//go:noinline
func Defers(n int) (frames uint64, by mark.Version) {
	next := n - 1
	for i := range n {
		defer func() {
			if next == i {
				next--
				frames += mark.OldFrame
			}
		}()
	}
	return 0, mark.Old
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
func (s Square) Area() uint64 { return s.Side*s.Side + 1 }

// Area of a strip.
//
//go:noinline
func (s *Strip) Area() uint64 { return s.Long*s.Wide + 1 }

// Fold is generic; its instances are made by package main.
//
//go:noinline
func Fold[T ~uint32 | ~uint64](list []T) T {
	var sum T
	for _, v := range list {
		sum = sum*3 + v
	}
	return sum
}

// Count is ranged over.
func Count(n int) iter.Seq[uint64] {
	return func(yield func(uint64) bool) {
		for i := range n {
			if !yield(mark.OldFrame + uint64(i)<<1) {
				return
			}
		}
	}
}

// Read waits for bytes of a pipe.
//
//go:noinline
func Read(r *os.File) (mark.Version, uint64, error) {
	var buf [8]byte
	n, err := r.Read(buf[:])
	sum := uint64(11)
	for _, b := range buf[:n] {
		sum += uint64(b) * 3
	}
	return mark.Old, sum, err
}

// Nap is within a system call.
//
//go:noinline
func Nap(ns int64) (mark.Version, uint64) {
	t := syscall.NsecToTimespec(ns)
	left := uint64(ns) * 3
	_ = syscall.Nanosleep(&t, nil)
	return mark.Old, left
}

// Fire is called by a timer.
//
//go:noinline
func Fire(t *mark.Tick) {
	t.By = mark.Old
	t.Mark = t.Mark*3 + 11
	close(t.Done)
}

// Release is called by a finalizer; it says whether the memory is as it was.
//
//go:noinline
func Release(r *mark.Resource, seed uint64) bool {
	for i := range r.Fill {
		if r.Fill[i] != seed+uint64(i) {
			return false
		}
	}
	return r.Tail.Mark == seed
}

// Where gives its own call chain.
//
//go:noinline
func Where() []uintptr {
	pcs := make([]uintptr, 4)
	return pcs[:runtime.Callers(1, pcs)]
}
