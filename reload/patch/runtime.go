//go:build go1.25

package patch

// Runtime is what the agent must know about the runtime of the process and cannot ask for: the linker fills it in from
// reload/internal/layout (offsets, sizes, constants) and from the index of the running image (addresses, load bias
// included). A field named …Offset names its base in its comment. All must be set unless the comment says otherwise.
//
// The order of the fields is the order of the format.
type Runtime struct {
	// Entry addresses, ABIInternal.

	// StopTheWorldGC is runtime.stopTheWorldGC, func(reason stwReason) worldStop.
	StopTheWorldGC uint64
	// StartTheWorldGC is runtime.startTheWorldGC, func(w worldStop).
	StartTheWorldGC uint64
	// ModulesInit is runtime.modulesinit, func().
	ModulesInit uint64
	// ModuleTypelinks is runtime.moduleTypelinks, func(md *moduledata) []*_type (Go 1.27); 0 where there is none.
	ModuleTypelinks uint64

	// ItabInit is runtime.itabInit, func(m *itab, firstTime bool) string.
	ItabInit uint64
	// UnreachableMethod is runtime.unreachableMethod, what itabs hold in place of methods that the linker pruned.
	UnreachableMethod uint64

	// MCall is runtime.mcall, func(fn func(*g)).
	MCall uint64

	// Text ranges [Lo, Hi).

	// AsyncPreempt is runtime.asyncPreempt (ABI0), the frame that a signal pushes onto an interrupted goroutine.
	AsyncPreemptLo, AsyncPreemptHi uint64
	// AsyncPreempt2 is runtime.asyncPreempt2, called by asyncPreempt alone; it gives up the processor.
	AsyncPreempt2Lo, AsyncPreempt2Hi uint64

	// NextDefer is runtime.(*_panic).nextDefer, which calls mcall in one place: when a panic was recovered.
	NextDeferLo, NextDeferHi uint64
	// Sigpanic is runtime.sigpanic, which a faulting instruction is made to call.
	SigpanicLo, SigpanicHi uint64

	// Addresses of variables.

	// FirstModuleData is runtime.firstmoduledata, a moduledata.
	FirstModuleData uint64
	// AllGLen and AllGPtr are runtime.allglen, a uintptr, and runtime.allgptr, a **g: the list of all goroutines.
	AllGLen, AllGPtr uint64
	// ModuleToTypelinks is runtime.moduleToTypelinks, a map[*moduledata][]*_type (Go 1.27); 0 where there is none.
	ModuleToTypelinks uint64

	// ItabTable is runtime.itabTable, an *itabTableType: the itabs of all modules, and those that the runtime made.
	ItabTable uint64

	// Sizes and constants.

	// ModuleDataSize is the size of moduledata, WorldStopSize the size of worldStop, in bytes.
	ModuleDataSize, WorldStopSize uint64
	// StopReason is the stwReason that the stop carries in execution traces: stwGOMAXPROCS.
	StopReason uint64
	// Goroutine states, runtime2.go: _Gidle, _Grunning, _Gsyscall, _Gdead, and the bit _Gscan.
	Gidle, Grunning, Gsyscall, Gdead, Gscan uint64
	// GdeadExtra is _Gdeadextra (Go 1.26 and later); equal to Gdead where there is none.
	GdeadExtra uint64
	// KindString is abi.String, what the lower five bits of _type.Kind_ are of a type whose values are strings.
	KindString uint64

	// Offsets in moduledata.

	ModTextOffset                           uint64
	ModMinPCOffset, ModMaxPCOffset          uint64
	ModFtabOffset, ModPctabOffset           uint64
	ModGCDataMaskOffset, ModGCBSSMaskOffset uint64
	ModBadOffset, ModNextOffset             uint64

	// Offset in _func.

	FuncPcspOffset uint64

	// Offsets in itabTableType, in itab, in _type, and of the length of InterfaceType.Methods.
	ItabTableSizeOffset, ItabTableEntriesOffset    uint64
	ItabInterOffset, ItabTypeOffset, ItabFunOffset uint64
	ItabHashOffset, TypeHashOffset, TypeKindOffset uint64
	InterfaceMethodsLenOffset                      uint64

	// Offsets in g. Sched ones are those of g.sched plus those in gobuf; stack ones are those of g.stack plus those in
	// stack.

	GStackLoOffset, GStackHiOffset   uint64
	GSchedSPOffset, GSchedPCOffset   uint64
	GSchedBPOffset                   uint64
	GSyscallSPOffset                 uint64
	GSyscallPCOffset                 uint64
	GSyscallBPOffset                 uint64
	GAtomicStatusOffset, GGoidOffset uint64
	GAsyncSafePointOffset            uint64
	GPanicOffset                     uint64

	// Offsets in _panic: the value, and the stack pointer of the frame whose deferred functions run.

	PanicArgOffset, PanicSPOffset uint64
}

// fields lists the words of r in the order of the format.
func (r *Runtime) fields() []*uint64 {
	return []*uint64{
		&r.StopTheWorldGC, &r.StartTheWorldGC, &r.ModulesInit, &r.ModuleTypelinks, &r.ItabInit, &r.UnreachableMethod, &r.MCall,
		&r.AsyncPreemptLo, &r.AsyncPreemptHi, &r.AsyncPreempt2Lo, &r.AsyncPreempt2Hi,
		&r.NextDeferLo, &r.NextDeferHi, &r.SigpanicLo, &r.SigpanicHi,
		&r.FirstModuleData, &r.AllGLen, &r.AllGPtr, &r.ModuleToTypelinks, &r.ItabTable,
		&r.ModuleDataSize, &r.WorldStopSize, &r.StopReason,
		&r.Gidle, &r.Grunning, &r.Gsyscall, &r.Gdead, &r.Gscan, &r.GdeadExtra, &r.KindString,
		&r.ModTextOffset, &r.ModMinPCOffset, &r.ModMaxPCOffset, &r.ModFtabOffset, &r.ModPctabOffset,
		&r.ModGCDataMaskOffset, &r.ModGCBSSMaskOffset, &r.ModBadOffset, &r.ModNextOffset, &r.FuncPcspOffset,
		&r.ItabTableSizeOffset, &r.ItabTableEntriesOffset,
		&r.ItabInterOffset, &r.ItabTypeOffset, &r.ItabFunOffset,
		&r.ItabHashOffset, &r.TypeHashOffset, &r.TypeKindOffset, &r.InterfaceMethodsLenOffset,
		&r.GStackLoOffset, &r.GStackHiOffset, &r.GSchedSPOffset, &r.GSchedPCOffset, &r.GSchedBPOffset,
		&r.GSyscallSPOffset, &r.GSyscallPCOffset, &r.GSyscallBPOffset,
		&r.GAtomicStatusOffset, &r.GGoidOffset, &r.GAsyncSafePointOffset, &r.GPanicOffset,
		&r.PanicArgOffset, &r.PanicSPOffset,
	}
}
