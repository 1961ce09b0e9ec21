//go:build linux && amd64 && go1.25

package rt

import (
	"runtime"
	"sync"
	"syscall"
	"unsafe"
)

// The runtime ends a program whose goroutines all wait for ever ("all goroutines are asleep - deadlock!"). A thread of
// the agent that sleeps in poll(2) would hide that: checkdead (runtime/proc.go) counts threads that are not idle, and
// one in a system call is not. Two things keep the detection as it is without the agent:
//
//   - The agent's goroutines start in a function whose linker name begins with "runtime.", which makes them system
//     goroutines (isSystemGoroutine, runtime/traceback.go): checkdead, NumGoroutine, tracebacks and profiles leave them
//     out.
//   - While a thread of the agent sleeps it is counted as idle, in sched.nmidlelocked, through the runtime's own function
//     incidlelocked, which takes sched.lock and looks for a deadlock itself. It is not open to linknames; its address is
//     found by its name in the program's function table, which every binary has, stripped or not.

// incidlelockedEntry is the entry of runtime.incidlelocked; 0 if this runtime's is not known to be what is described
// above. Then a program that deadlocks hangs, as one that uses os/signal does.
var incidlelockedEntry uintptr

// known are the releases whose incidlelocked has been read: func(v int32), "sched.nmidlelocked += v; if v > 0
// checkdead()" under sched.lock.
var known = [...]string{"go1.25", "go1.26", "go1.27"}

// findIdle sets incidlelockedEntry. It looks for the name outwards from another function of package runtime: the linker
// keeps a package together, and functions begin at multiples of 32.
//
//go:nocheckptr
func findIdle() {
	if !readRelease(runtime.Version()) {
		return
	}
	const align, reach = 32, 4 << 20
	gc := runtime.GC
	start := **(**uintptr)(unsafe.Pointer(&gc)) &^ (align - 1)
	var last [2]*runtime.Func
	for d := uintptr(0); d < reach; d += align {
		for way, pc := range [2]uintptr{start + d, start - d} {
			f := findfunc(pc).fn
			if f == nil || f == last[way] {
				continue
			}
			last[way] = f
			if f.Name() == "runtime.incidlelocked" {
				incidlelockedEntry = f.Entry()
				return
			}
		}
	}
}

// readRelease reports whether version is one of a release in known, with or without experiments.
func readRelease(version string) bool {
	for _, k := range known {
		if len(version) >= len(k) && version[:len(k)] == k && (len(version) == len(k) || version[len(k)] < '0' || version[len(k)] > '9') {
			return true
		}
	}
	return false
}

// markIdle and markBusy count the calling thread as idle, and not. They run on the scheduler's stack.
func markIdle()
func markBusy()

// pollFD is struct pollfd of poll(2).
type pollFD struct {
	fd      int32
	events  int16
	revents int16
}

const (
	pollIn  = 1
	forever = ^uintptr(0) // timeout −1
)

// WaitReadable blocks until fd has something to read, a connection to accept, or an error, without keeping the program
// alive by it. The caller finds out which by reading.
func WaitReadable(fd int) error {
	for {
		p := &pollFD{fd: int32(fd), events: pollIn}
		var errno syscall.Errno
		if incidlelockedEntry != 0 {
			errno = pollIdle(p)
		} else {
			_, _, errno = syscall.Syscall(syscall.SYS_POLL, uintptr(unsafe.Pointer(p)), 1, forever)
		}
		if errno == syscall.EINTR {
			continue
		}
		if errno != 0 {
			return errno
		}
		if p.revents&pollIn == 0 {
			return syscall.EBADF
		}
		return nil
	}
}

// pollIdle is poll(p, 1, -1), counted as an idle thread. It is nosplit because the stack must not move between
// entersyscall and exitsyscall, and p is in the heap for the same reason. It has no branches, so that -cover puts no
// counter between the two.
//
//go:nosplit
//go:norace
//go:nocheckptr
func pollIdle(p *pollFD) syscall.Errno {
	entersyscall()
	systemstack(markIdle)
	_, _, errno := syscall.RawSyscall(syscall.SYS_POLL, uintptr(unsafe.Pointer(p)), 1, forever)
	systemstack(markBusy)
	exitsyscall()
	return errno
}

// starts holds what the goroutines begun by Go are to run.
var starts struct {
	sync.Mutex
	fns []func()
}

// Go runs fn in a goroutine that counts as one of the runtime's own.
func Go(fn func()) {
	starts.Lock()
	starts.fns = append(starts.fns, fn)
	starts.Unlock()
	go systemGoroutine()
}

// systemGoroutine is the start of such a goroutine. The rest is in run, because a failing index or assertion in a
// function of the runtime's is a throw.
//
//go:linkname systemGoroutine runtime.limeadeAgent
func systemGoroutine() { run() }

//go:noinline
func run() {
	starts.Lock()
	fn := starts.fns[0]
	starts.fns = starts.fns[1:]
	starts.Unlock()
	fn()
}

// Init finds what WaitReadable needs. It must be called once, first.
func Init() { findIdle() }
