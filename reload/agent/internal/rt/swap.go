//go:build linux && amd64 && go1.25

package rt

import (
	"sort"

	"github.com/limeade-go/limeade/reload/patch"
)

// A Swap is a set of writes that become visible together, ready to be applied.
type Swap struct {
	r       *Runtime
	writes  []patch.Write
	windows []patch.Window // by address, without overlaps
	vacant  []Body         // bodies that no goroutine may have on its stack
	methods *Methods       // nil: no type changes
}

// An Outcome says what an attempt did.
type Outcome struct {
	State State
	// At is the address of the first unexpected byte range (Mismatch) or a pc in the window (InWindow).
	At uint64
	// Stopping and Pause are how long it took to stop the world and how long it stood, in nanoseconds.
	Stopping, Pause int64
}

// A State is how an attempt ended.
type State int

// Only Done has changed anything.
const (
	Done     State = iota // everything is written
	Mismatch              // memory is not as expected
	InWindow              // a goroutine was interrupted in a window
	Occupied              // a goroutine has a body on its stack that must be vacant; At is what Census.Found returns
)

// NewSwap prepares a swap. The writes must not overlap, and their pages must be writable when Attempt is called.
func NewSwap(r *Runtime, writes []patch.Write, windows []patch.Window, vacant []Body, methods *Methods) *Swap {
	s := &Swap{r: r, writes: writes, vacant: vacant, methods: methods}
	sorted := append([]patch.Window(nil), windows...)
	sort.Slice(sorted, func(i, j int) bool { return sorted[i].Lo < sorted[j].Lo })
	for _, w := range sorted {
		if n := len(s.windows); n > 0 && w.Lo < s.windows[n-1].Hi {
			s.windows[n-1].Hi = max(s.windows[n-1].Hi, w.Hi)
		} else {
			s.windows = append(s.windows, w)
		}
	}
	return s
}

// Attempt stops the world, looks whether everything is as it must be, applies all writes if so, and starts the world.
// Nothing between stop and start allocates or blocks.
//
//go:norace
func (s *Swap) Attempt() Outcome {
	begin := nanotime()
	var census *Census
	if names := len(s.vacant); names > 0 {
		census = NewCensus(s.r, append([]Body(nil), s.vacant...), names)
	}
	release()
	w := s.r.stop(uint8(s.r.StopReason))
	stopped := nanotime()
	state, at := s.inStop(census)
	pause := nanotime() - stopped
	s.r.start(w)
	return Outcome{State: state, At: at, Stopping: stopped - begin, Pause: pause}
}

//go:norace
func (s *Swap) inStop(census *Census) (State, uint64) {
	for i := range s.writes {
		if !Equal(s.writes[i].Addr, s.writes[i].Expect) {
			return Mismatch, s.writes[i].Addr
		}
	}
	if s.methods != nil && !s.methods.ready() {
		return InWindow, 0 // the runtime has just made very many itabs
	}
	if len(s.windows) > 0 {
		if pc, in := s.interrupted(); in {
			return InWindow, pc
		}
	}
	if census != nil {
		census.inStop(1<<63 - 1)
		if found := census.Found(); found >= 0 {
			return Occupied, uint64(found)
		}
	}
	for i := range s.writes {
		Copy(s.writes[i].Addr, s.writes[i].New)
	}
	if s.methods != nil {
		s.methods.inStop()
	}
	acquireAll(s.r)
	publishCode()
	return Done, 0
}

// interrupted looks for a goroutine that was interrupted in a window, and for one of which that cannot be told (pc 0).
// Only a goroutine that was preempted by a signal can be anywhere but at a call; the runtime marks it.
//
//go:norace
//go:nocheckptr
func (s *Swap) interrupted() (pc uint64, in bool) {
	mark := uintptr(s.r.GAsyncSafePointOffset)
	n, list := s.r.goroutines()
	for i := uintptr(0); i < n; i++ {
		g := load(list + 8*i)
		if load8(g+mark) == 0 {
			continue
		}
		at, ok := s.r.interruptedAt(g)
		if !ok {
			return 0, true
		}
		if s.inWindow(uint64(at.pc)) {
			return uint64(at.pc), true
		}
	}
	return 0, false
}

// inWindow reports whether Lo < pc < Hi for one of the windows.
//
//go:norace
func (s *Swap) inWindow(pc uint64) bool {
	lo, hi := 0, len(s.windows)
	for lo < hi {
		mid := int(uint(lo+hi) / 2)
		if s.windows[mid].Hi <= pc {
			lo = mid + 1
		} else {
			hi = mid
		}
	}
	return lo < len(s.windows) && s.windows[lo].Lo < pc
}
