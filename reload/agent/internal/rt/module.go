//go:build linux && amd64 && go1.25

package rt

import (
	"errors"
	"runtime"
	"unsafe"

	"github.com/limeade-go/limeade/reload/patch"
)

// A Runtime is a patch's description of the runtime that has been found true of this process.
type Runtime struct {
	patch.Runtime
	image *Image
	// The functions that are called by address. They are made once: making one allocates.
	stop            func(reason uint8) worldStop // waits for a garbage collection to end before it stops the world
	start           func(worldStop)
	modulesinit     func()
	moduleTypelinks func(md uintptr) []unsafe.Pointer
}

// function makes the func value of type F of the code at entry.
//
//go:nocheckptr
func function[F any](entry uint64) F {
	word := uintptr(entry)
	value := unsafe.Pointer(&word)
	return *(*F)(unsafe.Pointer(&value))
}

// worldStop is runtime.worldStop (runtime/proc.go), which is passed on unread; the linker compares it with the toolchain's
// source.
type worldStop struct {
	Reason                                             uint8
	StartedStopping, FinishedStopping, StoppingCPUTime int64
}

// maxOffset bounds what can be an offset in g or moduledata.
const maxOffset = 1 << 12

// Check compares what p says with the process: names and entries of functions with the function table, variables
// and offsets with what is known to be in them. A wrong description is refused here and not found out by a crash.
//
//go:norace
//go:nocheckptr
func Check(p *patch.Runtime, im *Image) (*Runtime, error) {
	// stopTheWorldGC and startTheWorldGC are in this program because GOMAXPROCS calls them.
	runtime.GOMAXPROCS(0)

	for _, f := range [...]struct {
		entry uint64
		name  string
	}{
		{p.StopTheWorldGC, "runtime.stopTheWorldGC"},
		{p.StartTheWorldGC, "runtime.startTheWorldGC"},
		{p.ModulesInit, "runtime.modulesinit"},
		{p.AsyncPreemptLo, "runtime.asyncPreempt"},
		{p.AsyncPreempt2Lo, "runtime.asyncPreempt2"},
		{p.ItabInit, "runtime.itabInit"},
		{p.UnreachableMethod, "runtime.unreachableMethod"},
		{p.MCall, "runtime.mcall"},
		{p.NextDeferLo, "runtime.(*_panic).nextDefer"},
		{p.SigpanicLo, "runtime.sigpanic"},
		{p.ModuleTypelinks, "runtime.moduleTypelinks"},
	} {
		if f.entry == 0 && f.name == "runtime.moduleTypelinks" {
			continue
		}
		if name, entry := FuncAt(f.entry); name != f.name || entry != f.entry {
			return nil, errors.New(f.name + " is not at " + Hex(f.entry))
		}
	}
	for _, r := range [...]Range{{p.AsyncPreemptLo, p.AsyncPreemptHi}, {p.AsyncPreempt2Lo, p.AsyncPreempt2Hi}, {p.NextDeferLo, p.NextDeferHi}, {p.SigpanicLo, p.SigpanicHi}} {
		if _, entry := FuncAt(r.Hi - 1); r.Hi <= r.Lo || entry != r.Lo {
			return nil, errors.New("the function at " + Hex(r.Lo) + " does not end at " + Hex(r.Hi))
		}
	}
	if (p.ModuleTypelinks == 0) != (p.ModuleToTypelinks == 0) {
		return nil, errors.New("runtime.moduleTypelinks and its map are not both given")
	}
	for _, v := range [...]struct{ addr, size uint64 }{
		{p.FirstModuleData, p.ModuleDataSize}, {p.AllGLen, 8}, {p.AllGPtr, 8}, {p.ModuleToTypelinks, 8}, {p.ItabTable, 8},
	} {
		if v.addr != 0 && (v.addr%8 != 0 || !im.Contains(v.addr, v.size)) {
			return nil, errors.New("the variable at " + Hex(v.addr) + " is not in the program's data")
		}
	}
	if p.WorldStopSize != uint64(unsafe.Sizeof(worldStop{})) || p.StopReason > 0xff {
		return nil, errors.New("runtime.worldStop is not what the agent knows")
	}
	for _, o := range [...]uint64{
		p.ModTextOffset, p.ModMinPCOffset, p.ModMaxPCOffset, p.ModFtabOffset, p.ModPctabOffset,
		p.ModGCDataMaskOffset, p.ModGCBSSMaskOffset, p.ModBadOffset, p.ModNextOffset,
	} {
		if o >= p.ModuleDataSize || p.ModuleDataSize > maxOffset {
			return nil, errors.New("runtime.moduledata has no offset " + Hex(o))
		}
	}
	extent := uint64(0) // how much of g is read
	for _, o := range [...]uint64{
		p.GStackLoOffset, p.GStackHiOffset, p.GSchedSPOffset, p.GSchedPCOffset, p.GSchedBPOffset, p.GSyscallSPOffset,
		p.GSyscallPCOffset, p.GSyscallBPOffset, p.GAtomicStatusOffset, p.GGoidOffset, p.GAsyncSafePointOffset, p.GPanicOffset,
	} {
		if o >= maxOffset {
			return nil, errors.New("runtime.g has no offset " + Hex(o))
		}
		extent = max(extent, o+8)
	}
	for _, o := range [...]uint64{
		p.FuncPcspOffset, p.ItabTableSizeOffset, p.ItabTableEntriesOffset, p.ItabInterOffset, p.ItabTypeOffset,
		p.ItabFunOffset, p.ItabHashOffset, p.TypeHashOffset, p.InterfaceMethodsLenOffset,
		p.PanicArgOffset, p.PanicSPOffset, p.TypeKindOffset,
	} {
		if o >= maxOffset {
			return nil, errors.New("a structure of the runtime has no offset " + Hex(o))
		}
	}
	maps, err := Maps()
	if err != nil {
		return nil, err
	}
	r := &Runtime{
		Runtime:         *p,
		image:           im,
		stop:            function[func(uint8) worldStop](p.StopTheWorldGC),
		start:           function[func(worldStop)](p.StartTheWorldGC),
		modulesinit:     function[func()](p.ModulesInit),
		moduleTypelinks: function[func(uintptr) []unsafe.Pointer](p.ModuleTypelinks),
	}
	if err := r.checkModule(im, maps); err != nil {
		return nil, err
	}
	for range 3 { // the stack may be moved just while it is compared
		if err = r.findSelf(extent); err == nil {
			return r, nil
		}
	}
	return nil, err
}

// checkModule compares the first moduledata with what the linker and findfunc say.
//
//go:norace
//go:nocheckptr
func (r *Runtime) checkModule(im *Image, maps []Mapping) error {
	first := uintptr(r.FirstModuleData)
	if load(first+uintptr(r.ModTextOffset)) != uintptr(unsafe.Pointer(&text)) {
		return errors.New("runtime.firstmoduledata is not at " + Hex(r.FirstModuleData))
	}
	entry := uintptr(r.StopTheWorldGC)
	if findfunc(entry).datap != first ||
		load(first+uintptr(r.ModMinPCOffset)) > entry || load(first+uintptr(r.ModMaxPCOffset)) <= entry ||
		load(first+uintptr(r.ModGCDataMaskOffset)) == 0 || load(first+uintptr(r.ModGCBSSMaskOffset)) == 0 ||
		load8(first+uintptr(r.ModBadOffset)) != 0 {
		return errors.New("runtime.moduledata has other offsets")
	}
	const most = 1 << 20
	for md, n := first, 0; md != lastmoduledatap; n++ {
		md = load(md + uintptr(r.ModNextOffset))
		if n == most || !readable(maps, uint64(md), r.ModuleDataSize) {
			return errors.New("runtime.moduledata is not linked at the given offset")
		}
	}
	if load(lastmoduledatap+uintptr(r.ModNextOffset)) != 0 {
		return errors.New("runtime.moduledata is not linked at the given offset")
	}
	pctab := first + uintptr(r.ModPctabOffset)
	if !im.Contains(uint64(load(pctab)), uint64(load(pctab+8))) {
		return errors.New("runtime.moduledata has other offsets")
	}
	// asyncPreempt begins with PUSHQ BP, one byte.
	const push = 0x55
	lo := uintptr(r.AsyncPreemptLo)
	before, ok1 := r.spDelta(lo)
	after, ok2 := r.spDelta(lo + 1)
	if load8(lo) != push || !ok1 || !ok2 || before != 0 || after != 8 {
		return errors.New("runtime._func has other offsets")
	}
	return nil
}

// findSelf looks for the calling goroutine in the list of all: the one that runs on this stack. It trusts no pointer
// that it finds on the way.
//
//go:norace
//go:nocheckptr
func (r *Runtime) findSelf(extent uint64) error {
	missing := errors.New("runtime.allgs does not list the goroutine that looks for itself")
	const most = 1 << 24
	n, list := r.goroutines()
	maps, err := Maps() // after the list: what it points to is mapped by now
	if err != nil {
		return err
	}
	if n == 0 || n > most || !readable(maps, uint64(list), 8*uint64(n)) {
		return missing
	}
	for i := uintptr(0); i < n; i++ {
		g := load(list + 8*i)
		if !readable(maps, uint64(g), extent) {
			return missing
		}
		lo, hi := load(g+uintptr(r.GStackLoOffset)), load(g+uintptr(r.GStackHiOffset))
		var here byte // asked for each time: a collection or a deep call, as of Maps, moves the stack
		if sp := uintptr(unsafe.Pointer(&here)); lo <= sp && sp < hi {
			if r.status(g) != uint32(r.Grunning) || load8(g+uintptr(r.GAsyncSafePointOffset)) != 0 {
				return errors.New("runtime.g has other offsets")
			}
			return nil
		}
	}
	return missing
}

// A Module is what a patch wants to be registered.
type Module struct {
	// Addr is the address of its moduledata. [TextLo, TextHi) is its code, [Lo, Hi) all of the patch.
	Addr           uint64
	TextLo, TextHi uint64
	Lo, Hi         uint64
	// Typelinks is the address of TypelinkCount *_type, sorted.
	Typelinks     uint64
	TypelinkCount uint32
}

// CheckModule looks for what would make the runtime throw or read beyond the patch. The module must be mapped.
//
//go:norace
//go:nocheckptr
func (r *Runtime) CheckModule(m *Module) error {
	if m.Addr%8 != 0 || m.Addr < m.Lo || m.Addr > m.Hi || m.Hi-m.Addr < r.ModuleDataSize {
		return errors.New("module data does not fit into the patch")
	}
	md, first := uintptr(m.Addr), uintptr(r.FirstModuleData)
	field := func(md uintptr, offset uint64) uint64 { return uint64(load(md + uintptr(offset))) }
	minpc, maxpc := field(md, r.ModMinPCOffset), field(md, r.ModMaxPCOffset)
	switch {
	case field(md, r.ModTextOffset) != field(first, r.ModTextOffset):
		return errors.New("module text is not based at the program's")
	case minpc < m.TextLo || maxpc > m.TextHi || minpc >= maxpc:
		return errors.New("module code lies outside the patch's text")
	case field(md, r.ModNextOffset) != 0 || load8(md+uintptr(r.ModBadOffset)) != 0:
		return errors.New("module data is not fresh")
	case field(md, r.ModGCDataMaskOffset) == 0 || field(md, r.ModGCBSSMaskOffset) == 0:
		return errors.New("module has no pointer masks")
	}
	// ftab is a []functab{entryoff, funcoff uint32}, offsets from text, in order, the last one a sentinel (symtab.go).
	ftab, n := field(md, r.ModFtabOffset), field(md, r.ModFtabOffset+8)
	if ftab < m.Lo || ftab >= m.Hi || n < 2 || n > (m.Hi-ftab)/8 {
		return errors.New("module function table lies outside the patch")
	}
	base := field(first, r.ModTextOffset)
	last := minpc
	for i := uint64(0); i < n; i++ {
		pc := base + uint64(load32(uintptr(ftab+8*i)))
		if pc < last || i == 0 && pc != minpc || i == n-1 && pc != maxpc {
			return errors.New("module function table is not in order")
		}
		last = pc
	}
	return nil
}

// Register makes the module known to the runtime. From then on it must stay mapped. It becomes the second of the list, in
// which the runtime looks for the module of a pc from first to last (findmoduledatap, runtime/symtab.go): the code that
// has been edited last runs most.
//
//go:norace
//go:nocheckptr
func (r *Runtime) Register(m *Module) {
	first, next := uintptr(r.FirstModuleData), uintptr(r.ModNextOffset)
	if lastmoduledatap == first {
		lastmoduledatap = uintptr(m.Addr)
	}
	store(uintptr(m.Addr)+next, load(first+next))
	store(first+next, uintptr(m.Addr)) // others walk along the list meanwhile
	r.modulesinit()
	if m.TypelinkCount > 0 && r.ModuleToTypelinks != 0 {
		r.addTypelinks(m)
	}
}

// addTypelinks gives the runtime the list of types that reflect searches, where moduledata has no room for it (Go 1.27,
// runtime/type.go): its own function makes the entry of the map, which is then overwritten in a stop, since its lock
// is out of reach. That function is called again for the race detector, which takes it for the lock.
//
//go:norace
//go:nocheckptr
func (r *Runtime) addTypelinks(m *Module) {
	r.moduleTypelinks(uintptr(m.Addr))
	// The map's own type is map[*moduledata][]*_type; moduledata is not in the heap, which makes the key a number.
	index := *(*map[uintptr][]unsafe.Pointer)(pointer(uintptr(r.ModuleToTypelinks)))
	list := unsafe.Slice((*unsafe.Pointer)(pointer(uintptr(m.Typelinks))), m.TypelinkCount)
	w := r.stop(uint8(r.StopReason))
	index[uintptr(m.Addr)] = list
	r.start(w)
	r.moduleTypelinks(uintptr(m.Addr))
}

// Itab returns the address of the runtime's itab for the interface type inter and the type typ; 0 if typ does not
// implement inter. Type switches compare hashes first. The compiler makes the itabs of all types that they name, so the
// runtime leaves the hash out of those that it makes (iface.go, getitab); this one is to stand for one of the compiler's.
//
//go:norace
//go:nocheckptr
func (r *Runtime) Itab(inter, typ uint64) uint64 {
	itab := uintptr(getitab(pointer(uintptr(inter)), pointer(uintptr(typ)), true))
	if itab != 0 {
		r.setHash(itab)
	}
	return uint64(itab)
}

//go:norace
//go:nocheckptr
func (r *Runtime) setHash(itab uintptr) {
	if load32(itab+uintptr(r.ItabHashOffset)) == 0 {
		typ := load(itab + uintptr(r.ItabTypeOffset))
		store32(itab+uintptr(r.ItabHashOffset), load32(typ+uintptr(r.TypeHashOffset)))
	}
}

// Revive makes complete the itabs that the runtime made of types whose method tables have been filled since. Those hold
// the address of unreachableMethod for a method that the linker had pruned. itabInit stores what is there already, and
// the method in place of that address, each in one word, so the itab may be in use meanwhile. The image's own itabs are
// read-only, and complete by Early; like the arena they lie within 2 GiB of the text, what the runtime allocates does not.
//
//go:norace
//go:nocheckptr
func (r *Runtime) Revive(types []uint64) {
	if len(types) == 0 {
		return
	}
	table := load(uintptr(r.ItabTable))
	text := load(uintptr(r.FirstModuleData) + uintptr(r.ModTextOffset))
	for i := range load(table + uintptr(r.ItabTableSizeOffset)) {
		itab := load(table + uintptr(r.ItabTableEntriesOffset) + 8*i)
		if itab-text > 2<<30 && itab != 0 && r.pruned(itab) && contains(types, uint64(load(itab+uintptr(r.ItabTypeOffset)))) {
			function[func(uintptr, bool) string](r.ItabInit)(itab, true)
		}
	}
}

// pruned reports whether an itab lacks a method.
//
//go:norace
//go:nocheckptr
func (r *Runtime) pruned(itab uintptr) bool {
	inter := load(itab + uintptr(r.ItabInterOffset))
	for i := range load(inter + uintptr(r.InterfaceMethodsLenOffset)) {
		if uint64(load(itab+uintptr(r.ItabFunOffset)+8*i)) == r.UnreachableMethod {
			return true
		}
	}
	return false
}

func contains(list []uint64, v uint64) bool {
	for _, x := range list {
		if x == v {
			return true
		}
	}
	return false
}

// StoreWord writes the word at addr.
func StoreWord(addr, v uint64) { store(uintptr(addr), uintptr(v)) }

// Call calls the func() whose entry is given.
func Call(entry uint64) { function[func()](entry)() }
