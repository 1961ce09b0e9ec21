// Package mark is what the two versions of package work and their checks agree on; it is never swapped.
package mark

import (
	"fmt"
	"runtime"
	"strings"
)

// A Version says which source a piece of work was done by.
type Version uint8

// Old is package work as the program is built, New is the source that takes its place.
const (
	Old Version = 1
	New Version = 2
)

// A recursion may have frames of both versions. Each adds its own unit, so that a sum tells how many there were.
const (
	OldFrame = 1
	NewFrame = 1 << 32
	Broken   = 1 << 63 // a frame found its memory changed
)

// Frames splits a sum of units.
func Frames(sum uint64) (old, new int, ok bool) {
	return int(sum % NewFrame), int(sum % Broken / NewFrame), sum < Broken
}

// A Frame is a link of a chain through the stack: each frame of a recursion points at its caller's.
type Frame struct {
	Up   *Frame
	Mark uint64
}

// A Message is sent through a channel. All that one call sends bears one version.
type Message struct {
	By  Version
	Seq int
	Sum uint64
}

// A Node is a piece of a tree on the heap. One call makes one node.
type Node struct {
	By          Version
	Mark        uint64
	Left, Right *Node
	Fill        [6]uint64
}

// A Resource is freed by a finalizer.
type Resource struct {
	Fill [16]uint64
	Tail *Node
}

// A Tick is marked by a timer.
type Tick struct {
	By   Version
	Mark uint64
	Done chan struct{}
}

// Sum is the answer that version v gives for a and b: both versions compute it by themselves.
func Sum(v Version, a, b uint64) uint64 {
	if v == Old {
		return a*3 + b*7 + 11
	}
	return a*5 ^ b*13 ^ 0x5eed
}

// Value is a panic of the work itself.
type Value struct{ Mode int }

// Caught names the way of failing that a recovered value shows: the mode, or -1.
func Caught(r any) int {
	if v, ok := r.(Value); ok {
		return v.Mode
	}
	err, ok := r.(runtime.Error)
	if !ok {
		return -1
	}
	for mode, text := range []string{1: "nil pointer", 2: "index out of range", 3: "nil map", 4: "divide by zero", 5: "interface conversion"} {
		if text != "" && strings.Contains(err.Error(), text) {
			return mode
		}
	}
	return -1
}

// Modes is how many ways of failing there are.
const Modes = 6

// Where checks that a call chain begins in the named function of work.go.
func Where(pcs []uintptr, function string) error {
	f, _ := runtime.CallersFrames(pcs).Next()
	if !strings.HasSuffix(f.Function, function) || !strings.HasSuffix(f.File, "work.go") || f.Line <= 0 {
		return fmt.Errorf("frame is %s at %s:%d", f.Function, f.File, f.Line)
	}
	return nil
}
