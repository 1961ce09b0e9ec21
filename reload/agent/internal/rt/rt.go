//go:build linux && amd64 && go1.25

// Package rt knows the runtime's insides: every linkname, offset, cast and raw memory access of the agent is here. It
// must never know a socket, a request, or why something is done.
//
// What it may call by name are the few symbols of package runtime that are open to linknames (Go 1.25 to 1.27). All
// else arrives as an address in a patch.Runtime and is checked against the program's own tables before it is used.
//
// The pragmas: code that runs in a stop of the world, or between entersyscallblock and exitsyscall, is norace, because
// the race detector must not be entered there and the memory is not its own; what turns numbers into pointers is
// nocheckptr, because checkptr knows Go's heap only. A nosplit says why where it stands.
package rt

import (
	"runtime"
	"syscall"
	"unsafe"
)

// Leaving and entering Go around a system call that blocks.
//
//go:linkname entersyscallblock runtime.entersyscallblock
func entersyscallblock()

//go:linkname exitsyscall runtime.exitsyscall
func exitsyscall()

//go:linkname nanotime runtime.nanotime
func nanotime() int64

//go:linkname getAuxv runtime.getAuxv
func getAuxv() []uintptr

// findfunc returns the function whose code contains pc, in any module. fn is what runtime.FuncForPC returns for code
// that is not inlined, without its allocation.
//
//go:linkname findfunc runtime.findfunc
func findfunc(pc uintptr) funcInfo

type funcInfo struct {
	fn    *runtime.Func
	datap uintptr
}

// getitab returns nil if canfail and typ does not implement inter (runtime/iface.go).
//
//go:linkname getitab runtime.getitab
func getitab(inter, typ unsafe.Pointer, canfail bool) unsafe.Pointer

// lastmoduledatap is a *moduledata: the last of the list that begins at firstmoduledata. It is declared as a number
// because moduledata is never in the Go heap.
//
//go:linkname lastmoduledatap runtime.lastmoduledatap
var lastmoduledatap uintptr

// text is the first byte of the program's code, a symbol of the linker.
//
//go:linkname text runtime.text
var text byte

// Nanotime returns a monotonic time in nanoseconds.
func Nanotime() int64 { return nanotime() }

// Sleep blocks the thread for at most ns nanoseconds.
func Sleep(ns int64) {
	t := syscall.NsecToTimespec(ns)
	// An interrupted sleep is a short one.
	_ = syscall.Nanosleep(&t, nil)
}

// FuncAt returns the name and the entry of the function that contains pc, "" and 0 if there is none.
func FuncAt(pc uint64) (name string, entry uint64) {
	f := findfunc(uintptr(pc))
	if f.fn == nil {
		return "", 0
	}
	return f.fn.Name(), uint64(f.fn.Entry())
}

// pointer turns an address into a pointer. The address is outside the Go heap, or in the stack of a stopped goroutine.
//
//go:nocheckptr
func pointer(addr uintptr) unsafe.Pointer {
	return *(*unsafe.Pointer)(unsafe.Pointer(&addr))
}

// funcAddr is the address of the function's _func.
//
//go:norace
func funcAddr(f *runtime.Func) uintptr { return uintptr(unsafe.Pointer(f)) }

// load reads the word at addr.
//
//go:norace
//go:nocheckptr
func load(addr uintptr) uintptr { return *(*uintptr)(pointer(addr)) }

//go:norace
//go:nocheckptr
func load32(addr uintptr) uint32 { return *(*uint32)(pointer(addr)) }

//go:norace
//go:nocheckptr
func load8(addr uintptr) uint8 { return *(*uint8)(pointer(addr)) }

//go:norace
//go:nocheckptr
func store(addr, v uintptr) { *(*uintptr)(pointer(addr)) = v }

//go:norace
//go:nocheckptr
func store32(addr uintptr, v uint32) { *(*uint32)(pointer(addr)) = v }

// bytesAt is the n bytes at addr as a slice.
//
//go:norace
//go:nocheckptr
func bytesAt(addr, n uintptr) []byte { return unsafe.Slice((*byte)(pointer(addr)), n) }
