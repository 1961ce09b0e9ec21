//go:build linux && amd64 && go1.25

package rt

import (
	"errors"
	"runtime"
	"strconv"
	"sync/atomic"
	"unsafe"

	"github.com/limeade-go/limeade/reload/patch"
)

// How a panic is seen that passes through new code and is recovered above it, as net/http does. All functions that it has
// passed are still on the stack when a deferred function that recovered it has returned to (*_panic).nextDefer, which
// then calls mcall(recovery), once and for all of them (runtime/panic.go, Go 1.25 to 1.27). While somebody watches, that
// call leads to atRecovery, which follows the frame pointers up to the frame that recovers, notes them if new code
// is among them, and goes on to mcall. It touches neither the stack nor AX and R14, calls nothing, and is never interrupted.

// What atRecovery reads, and what it leaves. panicState is changed by atRecovery alone while it is watching or claimed.
var (
	panicState                           uint32
	newLo, newHi, sigpanicLo, sigpanicHi uintptr
	//lint:ignore U1000 panics_amd64.s reads them
	gPanicOffset, panicArgOffset, panicSPOffset uintptr
	//lint:ignore U1000 panics_amd64.s reads them
	mcallEntry, typeKindOffset, kindString uintptr
	panicSure, panicDepth, panicSP         uintptr
	panicType, panicTextSize               uintptr                    // panicTextSize is beyond maxPanicText if it is no string
	panicFrames                            [maxPanicFrames][3]uintptr // return address, the word above it, its address
	panicText                              [maxPanicText]byte
)

const (
	panicsIgnored = 0
	panicsWatched = 1
	panicClaimed  = 2
	panicNoted    = 3

	maxPanicFrames = 64
	maxPanicText   = 256
)

//lint:ignore U1000 panics_amd64.s takes its address
func atRecovery()

// atRecoveryEntry is the address of atRecovery itself: a func value has that of a wrapper.
func atRecoveryEntry() uintptr

// WatchPanics begins to look out for panics that pass through code, as soon as the write is made. The call is at the one
// place in nextDefer that looks like a call of mcall: as there is one, it is that.
//
//go:norace
//go:nocheckptr
func (r *Runtime) WatchPanics(code Range) (patch.Write, error) {
	const call = 0xe8 // CALL rel32
	site := uintptr(0)
	for at := uintptr(r.NextDeferLo); at+5 <= uintptr(r.NextDeferHi); at++ {
		if load8(at) == call && at+5+uintptr(int32(load32(at+1))) == uintptr(r.MCall) {
			if site != 0 {
				return patch.Write{}, errors.New("runtime.(*_panic).nextDefer calls mcall in two places")
			}
			site = at
		}
	}
	if site == 0 {
		return patch.Write{}, errors.New("runtime.(*_panic).nextDefer does not call mcall")
	}
	newLo, newHi = uintptr(code.Lo), uintptr(code.Hi)
	sigpanicLo, sigpanicHi = uintptr(r.SigpanicLo), uintptr(r.SigpanicHi)
	gPanicOffset, panicArgOffset, panicSPOffset = uintptr(r.GPanicOffset), uintptr(r.PanicArgOffset), uintptr(r.PanicSPOffset)
	mcallEntry = uintptr(r.MCall)
	typeKindOffset, kindString = uintptr(r.TypeKindOffset), uintptr(r.KindString)
	atomic.StoreUint32(&panicState, panicsWatched)
	d := atRecoveryEntry() - (site + 5)
	return patch.Write{
		Addr:   uint64(site) + 1,
		Expect: append([]byte(nil), bytesAt(site+1, 4)...),
		New:    []byte{byte(d), byte(d >> 8), byte(d >> 16), byte(d >> 24)},
	}, nil
}

// IgnorePanics ends it.
func IgnorePanics() { atomic.StoreUint32(&panicState, panicsIgnored) }

// A Panic is one that has passed through the code.
type Panic struct {
	Value string
	Trace []string // innermost first, to the function that recovered it
}

// NotedPanic returns the first one, nil if there was none yet.
//
//go:norace
func (r *Runtime) NotedPanic() *Panic {
	if atomic.LoadUint32(&panicState) != panicNoted {
		return nil
	}
	pcs := make([]uintptr, 0, 2*maxPanicFrames)
	passed, faulted := panicSure != 0, false
	for _, f := range panicFrames[:panicDepth] {
		pc, above, sp := f[0], f[1], f[2]
		if faulted {
			pc++ // it is that of the instruction, and not of the one after a call
		}
		pcs = append(pcs, pc)
		// A function without a frame has left no frame pointer; what it would return to is what it faulted under.
		if faulted {
			if delta, ok := r.spDelta(pc - 1); ok && delta == 0 {
				pcs = append(pcs, above)
				passed = passed || sp < panicSP && newLo < above && above <= newHi
			}
		}
		faulted = sigpanicLo < pc && pc <= sigpanicHi
	}
	if !passed {
		atomic.StoreUint32(&panicState, panicsWatched) // a word that only looked like a return address
		return nil
	}
	p := &Panic{Value: panicValue()}
	for frames := runtime.CallersFrames(pcs); ; {
		f, more := frames.Next()
		p.Trace = append(p.Trace, f.Function+" ("+f.File+":"+strconv.Itoa(f.Line)+")")
		if f.Function == "runtime.gopanic" {
			p.Trace = nil // what is below it is the runtime's way to recover
		}
		if !more {
			return p
		}
	}
}

// panicValue puts the value into words: it is gone by now, unless it was a string, as most of the runtime's own are.
//
//go:norace
//go:nocheckptr
func panicValue() (words string) {
	if panicTextSize <= maxPanicText {
		return string(panicText[:panicTextSize])
	}
	// The runtime says what type it is when it is not another.
	defer func() {
		if e, ok := recover().(error); ok {
			words = "a value of type " + between(e.Error(), "interface conversion: ", " is not ")
		}
	}()
	none := uintptr(0)
	eface := [2]unsafe.Pointer{pointer(panicType), unsafe.Pointer(&none)}
	_ = (*(*any)(unsafe.Pointer(&eface))).(interface{ noTypeHasThis() })
	return "a value"
}

// between returns what of s is between two others, or s.
func between(s, before, after string) string {
	for i := range s {
		if len(s)-i >= len(after) && s[i:i+len(after)] == after && i >= len(before) && s[:len(before)] == before {
			return s[len(before):i]
		}
	}
	return s
}
