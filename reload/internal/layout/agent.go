package layout

import (
	"errors"
	"fmt"
	"maps"

	"github.com/limeade-go/limeade/reload/patch"
)

// The two ABIs of a function's symbol, as in object files.
const (
	abi0        = 0
	abiInternal = 1
)

// A Finder returns the address range [lo, hi) of a symbol of the running image, load bias included. Variables are asked
// for with ABI 0; their hi does not matter.
type Finder func(name string, abi uint16) (lo, hi uint64, ok bool)

// Runtime fills in what the agent must be told about the runtime, from l and the addresses of the image. It refuses a
// toolchain whose functions have other signatures, or whose structures lack fields that the agent reads.
func (l *Layout) Runtime(find Finder) (patch.Runtime, error) {
	f := filler{layout: l, find: find}
	r := patch.Runtime{
		StopTheWorldGC:  f.function("stopTheWorldGC", "func(reason stwReason) worldStop"),
		StartTheWorldGC: f.function("startTheWorldGC", "func(w worldStop)"),
		ModulesInit:     f.function("modulesinit", "func()"),

		ItabInit:  f.function("itabInit", "func(m *itab, firstTime bool) string"),
		ItabTable: f.variable("itabTable"),

		ItabTableSizeOffset:       f.offset("itabTableType", "size"),
		ItabTableEntriesOffset:    f.offset("itabTableType", "entries"),
		ItabInterOffset:           f.offset("abi.ITab", "Inter"),
		ItabTypeOffset:            f.offset("abi.ITab", "Type"),
		ItabFunOffset:             f.offset("abi.ITab", "Fun"),
		ItabHashOffset:            f.offset("abi.ITab", "Hash"),
		TypeHashOffset:            f.offset("abi.Type", "Hash"),
		TypeKindOffset:            f.offset("abi.Type", "Kind_"),
		InterfaceMethodsLenOffset: f.offset("abi.InterfaceType", "Methods") + 8,

		FirstModuleData: f.variable("firstmoduledata"),
		AllGLen:         f.variable("allglen"),
		AllGPtr:         f.variable("allgptr"),

		ModuleDataSize: f.size("moduledata"),
		WorldStopSize:  f.size("worldStop"),
		StopReason:     f.constant("stwGOMAXPROCS"),
		Gidle:          f.constant("_Gidle"),
		Grunning:       f.constant("_Grunning"),
		Gsyscall:       f.constant("_Gsyscall"),
		Gdead:          f.constant("_Gdead"),
		Gscan:          f.constant("_Gscan"),
		KindString:     f.constant("abi.String"),

		ModTextOffset:       f.offset("moduledata", "text"),
		ModMinPCOffset:      f.offset("moduledata", "minpc"),
		ModMaxPCOffset:      f.offset("moduledata", "maxpc"),
		ModFtabOffset:       f.offset("moduledata", "ftab"),
		ModBadOffset:        f.offset("moduledata", "bad"),
		ModGCDataMaskOffset: f.offset("moduledata", "gcdatamask", "bytedata"),
		ModGCBSSMaskOffset:  f.offset("moduledata", "gcbssmask", "bytedata"),
		ModNextOffset:       f.offset("moduledata", "next"),

		ModPctabOffset: f.offset("moduledata", "pctab"),
		FuncPcspOffset: f.offset("_func", "pcsp"),

		GStackLoOffset:        f.offset("g", "stack", "lo"),
		GStackHiOffset:        f.offset("g", "stack", "hi"),
		GSchedSPOffset:        f.offset("g", "sched", "sp"),
		GSchedPCOffset:        f.offset("g", "sched", "pc"),
		GSchedBPOffset:        f.offset("g", "sched", "bp"),
		GSyscallSPOffset:      f.offset("g", "syscallsp"),
		GSyscallPCOffset:      f.offset("g", "syscallpc"),
		GSyscallBPOffset:      f.offset("g", "syscallbp"),
		GAtomicStatusOffset:   f.offset("g", "atomicstatus"),
		GGoidOffset:           f.offset("g", "goid"),
		GAsyncSafePointOffset: f.offset("g", "asyncSafePoint"),
		GPanicOffset:          f.offset("g", "_panic"),

		PanicArgOffset: f.offset("_panic", "arg"),
		PanicSPOffset:  f.offset("_panic", "sp"),
	}
	f.worldStop()
	r.AsyncPreemptLo, r.AsyncPreemptHi = f.text("asyncPreempt", abi0)
	r.AsyncPreempt2Lo, r.AsyncPreempt2Hi = f.text("asyncPreempt2", abiInternal)
	r.NextDeferLo, r.NextDeferHi = f.text("(*_panic).nextDefer", abiInternal)
	r.SigpanicLo, r.SigpanicHi = f.text("sigpanic", abiInternal)
	r.MCall, _ = f.text("mcall", abiInternal)
	r.UnreachableMethod, _ = f.text("unreachableMethod", abiInternal)
	r.GdeadExtra = r.Gdead
	if _, ok := l.Consts["_Gdeadextra"]; ok { // runtime2.go, since Go 1.26
		r.GdeadExtra = f.constant("_Gdeadextra")
	}
	if _, ok := l.Funcs["moduleTypelinks"]; ok { // type.go, since Go 1.27
		r.ModuleTypelinks = f.function("moduleTypelinks", "func(md *moduledata) []*_type")
		r.ModuleToTypelinks = f.variable("moduleToTypelinks")
	}
	if err := errors.Join(f.errs...); err != nil {
		return patch.Runtime{}, err
	}
	return r, nil
}

// A filler collects what is missing.
type filler struct {
	layout *Layout
	find   Finder
	errs   []error
}

// worldStop compares runtime.worldStop with what the agent passes from one function to the other in registers.
func (f *filler) worldStop() {
	want := map[string]Field{
		"reason":           {0, 1, "stwReason"},
		"startedStopping":  {8, 8, "int64"},
		"finishedStopping": {16, 8, "int64"},
		"stoppingCPUTime":  {24, 8, "int64"},
	}
	if have := f.layout.Structs["worldStop"].Fields; !maps.Equal(have, want) {
		f.errs = append(f.errs, fmt.Errorf("worldStop of %s: is %v, the agent knows %v", f.layout.GoVersion, have, want))
	}
}

func (f *filler) text(name string, abi uint16) (lo, hi uint64) {
	lo, hi, ok := f.find("runtime."+name, abi)
	if !ok || lo >= hi {
		f.errs = append(f.errs, fmt.Errorf("runtime.%s: not found in the running image", name))
	}
	return lo, hi
}

func (f *filler) function(name, want string) uint64 {
	if have := f.layout.Funcs[name]; have != want {
		f.errs = append(f.errs, fmt.Errorf("runtime.%s of %s: is %q, the agent calls %q", name, f.layout.GoVersion, have, want))
		return 0
	}
	lo, _ := f.text(name, abiInternal)
	return lo
}

func (f *filler) variable(name string) uint64 {
	addr, _, ok := f.find("runtime."+name, abi0)
	if !ok {
		f.errs = append(f.errs, fmt.Errorf("runtime.%s: not found in the running image", name))
	}
	return addr
}

func (f *filler) size(name string) uint64 {
	s, ok := f.layout.Structs[name]
	if !ok {
		f.errs = append(f.errs, fmt.Errorf("%s of %s: the runtime's source has no struct of that name", name, f.layout.GoVersion))
	}
	return uint64(s.Size)
}

func (f *filler) constant(name string) uint64 {
	c, ok := f.layout.Consts[name]
	if !ok {
		f.errs = append(f.errs, fmt.Errorf("%s of %s: the runtime's source has no constant of that name", name, f.layout.GoVersion))
	}
	return uint64(c)
}

func (f *filler) offset(name string, path ...string) uint64 {
	offset, err := f.layout.Offset(name, path...)
	if err != nil {
		f.errs = append(f.errs, err)
	}
	return uint64(offset)
}
