//go:build linux && amd64 && go1.25

package agent

import (
	"sync/atomic"

	"github.com/limeade-go/limeade/reload/agent/internal/rt"
	"github.com/limeade-go/limeade/reload/patch"
)

// A Stage is when the program is told of a swap.
type Stage uint8

// The stages, in the order of package limeade's.
const (
	Before Stage = iota
	After
	Dropped
)

// A Swap is what the program is told.
type Swap struct {
	Stage      Stage
	Generation uint32 // that begins with it
	Rollback   bool
	Changed    []string
}

// hooksPatience is how long the program may take for one stage, in nanoseconds.
const hooksPatience = 5e9

var (
	// self is the one agent of the program.
	self atomic.Pointer[agent]
	// program calls its hooks. It is nil until somebody attaches.
	program atomic.Pointer[func(Swap) (veto string, failures []string)]
	// hooksDeadline is when nobody waits any more for the hooks of the stage under way.
	hooksDeadline atomic.Int64
)

// Attach makes the program hear of swaps. Its hooks must be called through [Guard].
func Attach(tell func(Swap) (veto string, failures []string)) { program.Store(&tell) }

// Generation is what the program runs.
func Generation() uint32 {
	a := self.Load()
	if a == nil {
		return 0
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.generation
}

// Guard calls a function of the program's in a goroutine of its own: it may panic, exit or block. It says what went wrong,
// "" if the function returned.
func Guard(fn func()) string {
	left := hooksDeadline.Load() - rt.Nanotime()
	if left <= 0 {
		return "was not called: those before it took 5 s"
	}
	return guard(fn, left, "did not return within 5 s")
}

// guard is Guard with a time limit, in nanoseconds, and the words for one who takes longer.
func guard(fn func(), patience int64, late string) string {
	var failure string
	var ended atomic.Bool
	go func() {
		returned := false
		defer func() {
			if !returned {
				if v := recover(); v != nil {
					failure = "panicked: " + describe(v)
				} else {
					failure = "ended its goroutine"
				}
			}
			ended.Store(true)
		}()
		fn()
		returned = true
	}()
	if !wait(patience, ended.Load) {
		return late
	}
	return failure
}

// tell tells the program of a swap, adds what went wrong in its hooks, and how long they took, to the reply, and returns the
// program's veto. writer is held.
func tell(s Swap, reply *patch.ApplyReply) (veto string) {
	call := program.Load()
	if call == nil {
		return ""
	}
	begin := rt.Nanotime()
	hooksDeadline.Store(begin + hooksPatience)
	veto, failures := (*call)(s)
	reply.Failures = append(reply.Failures, failures...)
	reply.Hooks += uint64(rt.Nanotime() - begin)
	return veto
}

// drop tells the program that what it was told of was refused, and adds to the refusal what went wrong in hooks.
func drop(s Swap, refused *patch.Error, reply *patch.ApplyReply) *patch.Error {
	s.Stage = Dropped
	tell(s, reply)
	for _, why := range reply.Failures {
		refused.Message += "; " + why
	}
	return refused
}
