//go:build linux && amd64 && go1.25 && race

package rt

import (
	"runtime"
	"unsafe"
)

// The race detector knows nothing of a stop of the world. To it, what initialisers wrote and what the program reads after
// the swap would be a race, so each goroutine is told in the stop that the writes happened before. The runtime has a
// function for that (runtime/race.go, raceacquireg, Go 1.25 to 1.27), which is not open to linknames.

// raceacquireg is that function, nil if it is not known. It neither allocates nor splits the stack.
var raceacquireg func(gp uintptr, addr unsafe.Pointer)

// made is what the detector takes for a lock that the agent releases and all others acquire.
var made uint64

func findRace() {
	if !readRelease(runtime.Version()) {
		return
	}
	functionsAround(func(f *runtime.Func) (found bool) {
		if f.Name() == "runtime.raceacquireg" {
			raceacquireg = function[func(gp uintptr, addr unsafe.Pointer)](uint64(f.Entry()))
		}
		return raceacquireg != nil
	})
}

// release tells the detector that what the caller knows of is to be known to all who acquire.
func release() { runtime.RaceReleaseMerge(unsafe.Pointer(&made)) }

// acquireAll tells it that all goroutines have acquired. The world is stopped.
//
//go:norace
//go:nocheckptr
func acquireAll(r *Runtime) {
	if raceacquireg == nil {
		return
	}
	n, list := r.goroutines()
	for i := uintptr(0); i < n; i++ {
		g := load(list + 8*i)
		switch uint64(r.status(g)) {
		case r.Gidle, r.Gdead, r.GdeadExtra:
		default:
			raceacquireg(g, unsafe.Pointer(&made))
		}
	}
}
