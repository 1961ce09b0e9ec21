//go:build go1.25

// Package patch knows the bytes of a patch and of the conversation with the agent: grammar, reader, writer. It must
// never know how a patch is made, what its code does, or how a process is reached.
//
// It joins the user's program together with the agent, so it imports hash/crc32, math/bits and strconv alone.
//
// # Grammar
//
// All numbers are little endian and of fixed width. A patch is one block:
//
//	patch   = magic[8] version:u32 body crc:u32
//	body    = buildID:string goVersion:string base:u32 next:u32 source:string changed:list(string)
//	          origin:u64 text:bytes rodata:bytes data:bytes bss:u64
//	          module:u64 typelinks:u64 typelinkCount:u32
//	          writes:list(write) early:list(write) revived:list(u64)
//	          tables:list(write) types:list(u64) caches:list(cache) itabs:list(itab) calls:list(u64)
//	          funcs:list(func) windows:list(window) vacant:list(string) reliant:list(reliant) runtime
//	write   = addr:u64 expect:bytes new:bytes          (equal lengths, not 0)
//	cache   = addr:u64 empty:u64
//	itab    = inter:u64 type:u64 slot:u64
//	func    = name:string oldLo:u64 oldHi:u64 newLo:u64 newHi:u64
//	window  = lo:u64 hi:u64
//	reliant = lo:u64 hi:u64 depth:u32
//	runtime = count:u32 count*u64                      (the fields of Runtime in their order)
//	string  = n:u32 n*byte
//	bytes   = n:u32 n*byte
//	list(x) = n:u32 n*x
//
// crc is CRC-32C (Castagnoli) of everything before it. It finds damage, not malice: who may open the agent's socket may
// change the process anyway.
//
// Every length is compared with what is left of the input before anything is allocated for it.
package patch

import (
	"hash/crc32"
	"math/bits"
)

// Limits of one patch. Decode refuses what lies beyond them.
const (
	// MaxSize bounds an encoded patch and the address range that it fills.
	MaxSize = 256 << 20
	// MaxSource bounds Patch.Source, in bytes.
	MaxSource = 128
	// PageSize is the unit that segments are aligned to (linux/amd64).
	PageSize = 4096
)

const (
	magic   = "LIMEPTCH"
	version = 3
)

// castagnoli is the table of the CRC that ends each patch.
var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// A Patch is one refresh of one process: final bytes at fixed addresses, and what to do with them. All addresses are
// absolute addresses of the target process (load bias included).
type Patch struct {
	// BuildID is the Go build ID of the executable, GoVersion its runtime.Version().
	BuildID, GoVersion string
	// Base is the generation that the patch was made against, Next = Base+1 the one that it makes.
	Base, Next uint32
	// Source names what the process runs after the patch; opaque to the agent, at most MaxSource bytes.
	Source string
	// Changed names the edited declarations, for the program's own hooks; opaque to the agent.
	Changed []string

	// Origin is the address of Text, page aligned. ROData follows at the next page boundary, Data at the one after
	// ROData; BSS is the number of zero bytes directly after Data. Text ends up R-X, ROData R--, Data and BSS RW-.
	Origin             uint64
	Text, ROData, Data []byte
	BSS                uint64

	// Module is the address of a ready runtime.moduledata inside Data, or 0 for none.
	Module uint64
	// Typelinks is the address, inside ROData or Data, of TypelinkCount *_type words sorted by the type's string. It is
	// for runtimes that keep them outside moduledata (Go 1.27, Runtime.ModuleToTypelinks); 0 otherwise.
	Typelinks     uint64
	TypelinkCount uint32

	// Writes are applied in one stop of the world. Expect is compared before anything is changed and again in the stop.
	Writes []Write
	// Early are applied before the module is registered, without a stop, and taken back if the patch fails. Each should
	// be one aligned word of 4 or 8 bytes: such a write is atomic.
	Early []Write
	// Revived are addresses of *_type whose method tables Early filled: itabs that the runtime made of them before are
	// made complete after registration.
	Revived []uint64
	// Methods are changes of what types of the process can do. What the tables refer to must be within the types of a
	// module, the image's or this patch's.
	Methods Methods
	// Itabs are filled in after registration, and after Methods.
	Itabs []Itab
	// Calls are entry addresses of func() to call, in order, after registration and before the swap. A panic in one of
	// them refuses the patch.
	Calls []uint64

	// Funcs says what is replaced by what.
	Funcs []Func
	// Windows are where no goroutine may be stopped while Writes are applied.
	Windows []Window
	// Vacant names functions of which no goroutine may have an older body on its stack: those bodies may call what the
	// patch replaces, and rely on what is no longer so.
	Vacant []string
	// Reliant is code of the patch that must be vacant when a rollback leaves fewer than Depth refreshes to undo: it
	// relies on what is no longer so then.
	Reliant []Reliant

	// Runtime says where the toolchain's runtime keeps what the agent needs.
	Runtime Runtime
}

// Methods are types whose method tables change. Tables are the writes that do it, in a stop of the world of their own, after
// registration and before Calls: from then on the types have the new methods. Types are the addresses of these *_type, of
// which all itabs are made anew that the runtime has, also where it found that there can be none. Caches are emptied.
type Methods struct {
	Tables []Write
	Types  []uint64
	Caches []Cache
}

// A Cache is what one type assertion or type switch remembers of the types that it met (internal/abi/switch.go): a word
// at Addr that points to a cache; Empty is the address of the runtime's own one without entries.
type Cache struct{ Addr, Empty uint64 }

// A Write replaces the bytes Expect at Addr by New, which has the same length. It may cross pages; it must lie in the
// image or in an earlier patch, and must not overlap another write of its list.
type Write struct {
	Addr        uint64
	Expect, New []byte
}

// An Itab asks for runtime.getitab(Inter, Type) to be stored in the word at Slot. Inter and Type are addresses of an
// *interfacetype and a *_type, Slot lies in this patch's ROData or Data.
type Itab struct {
	Inter, Type, Slot uint64
}

// A Func is a function that gets a new body. [OldLo, OldHi) is the body that was live until now and is retired by the
// patch, [NewLo, NewHi) the one that is live after it. Name is the link name.
type Func struct {
	Name         string
	OldLo, OldHi uint64
	NewLo, NewHi uint64
}

// A Window is code in which no goroutine may have been stopped asynchronously: Lo < pc < Hi. It is bytes 1 to 4 of an
// entry (Hi = Lo+5), or a whole body where a jump leads back into those bytes.
type Window struct {
	Lo, Hi uint64
}

// A Reliant is a function [Lo, Hi) of the patch. Depth is the number of refreshes, 1 or more, of which the last must not
// be taken back while a goroutine has the function on its stack.
type Reliant struct {
	Lo, Hi uint64
	Depth  uint32
}

// ROAddr is the address of ROData.
func (p *Patch) ROAddr() uint64 { return alignPage(p.Origin + uint64(len(p.Text))) }

// DataAddr is the address of Data.
func (p *Patch) DataAddr() uint64 { return alignPage(p.ROAddr() + uint64(len(p.ROData))) }

// BSSAddr is the address of the first zero byte after Data.
func (p *Patch) BSSAddr() uint64 { return p.DataAddr() + uint64(len(p.Data)) }

// End is the first page-aligned address after the patch: the earliest Origin of the next one.
func (p *Patch) End() uint64 { return alignPage(p.BSSAddr() + p.BSS) }

func alignPage(a uint64) uint64 { return (a + PageSize - 1) &^ (PageSize - 1) }

// Encode returns the bytes of p. The same patch gives the same bytes. It does not judge p: Decode does.
func (p *Patch) Encode() []byte {
	var w writer
	w.buf = make([]byte, 0, len(p.Text)+len(p.ROData)+len(p.Data)+64*(len(p.Writes)+len(p.Early)+len(p.Funcs))+4096)
	w.raw(magic)
	w.u32(version)
	w.str(p.BuildID)
	w.str(p.GoVersion)
	w.u32(p.Base)
	w.u32(p.Next)
	w.str(p.Source)
	w.strs(p.Changed)
	w.u64(p.Origin)
	w.bytes(p.Text)
	w.bytes(p.ROData)
	w.bytes(p.Data)
	w.u64(p.BSS)
	w.u64(p.Module)
	w.u64(p.Typelinks)
	w.u32(p.TypelinkCount)
	w.writes(p.Writes)
	w.writes(p.Early)
	w.u32(uint32(len(p.Revived)))
	for _, x := range p.Revived {
		w.u64(x)
	}
	w.writes(p.Methods.Tables)
	w.u32(uint32(len(p.Methods.Types)))
	for _, x := range p.Methods.Types {
		w.u64(x)
	}
	w.u32(uint32(len(p.Methods.Caches)))
	for _, x := range p.Methods.Caches {
		w.u64(x.Addr)
		w.u64(x.Empty)
	}
	w.u32(uint32(len(p.Itabs)))
	for _, x := range p.Itabs {
		w.u64(x.Inter)
		w.u64(x.Type)
		w.u64(x.Slot)
	}
	w.u32(uint32(len(p.Calls)))
	for _, x := range p.Calls {
		w.u64(x)
	}
	w.u32(uint32(len(p.Funcs)))
	for _, x := range p.Funcs {
		w.str(x.Name)
		w.u64(x.OldLo)
		w.u64(x.OldHi)
		w.u64(x.NewLo)
		w.u64(x.NewHi)
	}
	w.u32(uint32(len(p.Windows)))
	for _, x := range p.Windows {
		w.u64(x.Lo)
		w.u64(x.Hi)
	}
	w.strs(p.Vacant)
	w.u32(uint32(len(p.Reliant)))
	for _, x := range p.Reliant {
		w.u64(x.Lo)
		w.u64(x.Hi)
		w.u32(x.Depth)
	}
	fields := p.Runtime.fields()
	w.u32(uint32(len(fields)))
	for _, f := range fields {
		w.u64(*f)
	}
	w.u32(crc32.Checksum(w.buf, castagnoli))
	return w.buf
}

// Decode reads a patch and checks it for everything that can be judged without the process. The byte slices of the
// result are parts of b; empty ones are nil. The error says what is wrong and carries the code Corrupt.
func Decode(b []byte) (*Patch, error) {
	if len(b) > MaxSize {
		return nil, corrupt("patch is larger than 256 MiB")
	}
	if len(b) < len(magic)+4+4 || string(b[:len(magic)]) != magic {
		return nil, corrupt("patch does not begin with its magic number")
	}
	body := b[:len(b)-4]
	sum := reader{buf: b[len(b)-4:]}
	if sum.u32() != crc32.Checksum(body, castagnoli) {
		return nil, corrupt("patch checksum does not match")
	}
	r := reader{buf: body[len(magic):]}
	if r.u32() != version {
		return nil, corrupt("patch format version is not the agent's")
	}
	p := new(Patch)
	p.BuildID = r.str()
	p.GoVersion = r.str()
	p.Base = r.u32()
	p.Next = r.u32()
	p.Source = r.str()
	p.Changed = r.strs()
	p.Origin = r.u64()
	p.Text = r.bytes()
	p.ROData = r.bytes()
	p.Data = r.bytes()
	p.BSS = r.u64()
	p.Module = r.u64()
	p.Typelinks = r.u64()
	p.TypelinkCount = r.u32()
	p.Writes = r.writes()
	p.Early = r.writes()
	if n := r.count(8); n > 0 {
		p.Revived = make([]uint64, n)
		for i := range p.Revived {
			p.Revived[i] = r.u64()
		}
	}
	p.Methods.Tables = r.writes()
	if n := r.count(8); n > 0 {
		p.Methods.Types = make([]uint64, n)
		for i := range p.Methods.Types {
			p.Methods.Types[i] = r.u64()
		}
	}
	if n := r.count(16); n > 0 {
		p.Methods.Caches = make([]Cache, n)
		for i := range p.Methods.Caches {
			p.Methods.Caches[i] = Cache{Addr: r.u64(), Empty: r.u64()}
		}
	}
	if n := r.count(24); n > 0 {
		p.Itabs = make([]Itab, n)
		for i := range p.Itabs {
			p.Itabs[i] = Itab{Inter: r.u64(), Type: r.u64(), Slot: r.u64()}
		}
	}
	if n := r.count(8); n > 0 {
		p.Calls = make([]uint64, n)
		for i := range p.Calls {
			p.Calls[i] = r.u64()
		}
	}
	if n := r.count(36); n > 0 {
		p.Funcs = make([]Func, n)
		for i := range p.Funcs {
			p.Funcs[i] = Func{Name: r.str(), OldLo: r.u64(), OldHi: r.u64(), NewLo: r.u64(), NewHi: r.u64()}
		}
	}
	if n := r.count(16); n > 0 {
		p.Windows = make([]Window, n)
		for i := range p.Windows {
			p.Windows[i] = Window{Lo: r.u64(), Hi: r.u64()}
		}
	}
	p.Vacant = r.strs()
	if n := r.count(20); n > 0 {
		p.Reliant = make([]Reliant, n)
		for i := range p.Reliant {
			p.Reliant[i] = Reliant{Lo: r.u64(), Hi: r.u64(), Depth: r.u32()}
		}
	}
	fields := p.Runtime.fields()
	if n := r.count(8); n != len(fields) && !r.failed {
		return nil, corrupt("patch runtime section has another number of fields than the agent's")
	}
	for _, f := range fields {
		*f = r.u64()
	}
	if r.failed || len(r.buf) != 0 {
		return nil, corrupt("patch is cut short or has bytes left over")
	}
	if why := p.check(); why != "" {
		return nil, corrupt(why)
	}
	return p, nil
}

// check says what is wrong with p on its own terms; "" if nothing is.
func (p *Patch) check() string {
	if p.Next != p.Base+1 || p.Next == 0 {
		return "patch generation does not follow its base"
	}
	if len(p.Source) > MaxSource {
		return "patch source digest is longer than 128 bytes"
	}
	if p.Origin%PageSize != 0 {
		return "patch origin is not page aligned"
	}
	size := uint64(len(p.Text)) + uint64(len(p.ROData)) + uint64(len(p.Data))
	if p.BSS > MaxSize || size+p.BSS > MaxSize-3*PageSize {
		return "patch needs more than 256 MiB"
	}
	if _, carry := bits.Add64(p.Origin, MaxSize, 0); carry != 0 {
		return "patch origin is not an address"
	}
	if p.Module != 0 && !within(p.Module, 8, p.DataAddr(), p.End()) {
		return "patch module lies outside its data"
	}
	if p.Module == 0 && (p.TypelinkCount != 0 || len(p.Itabs) != 0 || len(p.Calls) != 0) {
		return "patch has typelinks, itabs or calls but no module"
	}
	if p.TypelinkCount != 0 && !within(p.Typelinks, 8*uint64(p.TypelinkCount), p.ROAddr(), p.BSSAddr()) {
		return "patch typelinks lie outside its data"
	}
	for _, list := range [...][]Write{p.Writes, p.Early, p.Methods.Tables} {
		for _, w := range list {
			if len(w.Expect) != len(w.New) || len(w.New) == 0 {
				return "patch write has an empty or unequal old and new value"
			}
			if _, carry := bits.Add64(w.Addr, uint64(len(w.New)), 0); carry != 0 || w.Addr == 0 {
				return "patch write has no valid address"
			}
		}
	}
	for _, c := range p.Methods.Caches {
		if c.Addr%8 != 0 || c.Addr == 0 || c.Empty == 0 {
			return "patch cache is not at an aligned address"
		}
	}
	for _, t := range p.Itabs {
		if t.Inter == 0 || t.Type == 0 || t.Slot%8 != 0 || !within(t.Slot, 8, p.ROAddr(), p.BSSAddr()+p.BSS) {
			return "patch itab slot lies outside its data or is not aligned"
		}
	}
	for _, c := range p.Calls {
		if !within(c, 1, p.Origin, p.Origin+uint64(len(p.Text))) {
			return "patch call lies outside its text"
		}
	}
	for _, f := range p.Funcs {
		if f.OldLo >= f.OldHi || f.NewLo >= f.NewHi {
			return "patch function has an empty range"
		}
	}
	for _, w := range p.Windows {
		if w.Lo >= w.Hi {
			return "patch window has an empty range"
		}
	}
	for _, f := range p.Reliant {
		if f.Lo >= f.Hi || f.Lo < p.Origin || f.Hi > p.Origin+uint64(len(p.Text)) || f.Depth == 0 {
			return "patch reliant function lies outside its text, or has no depth"
		}
	}
	return ""
}

// within reports whether the n bytes at a lie in [lo, hi).
func within(a, n, lo, hi uint64) bool {
	return a >= lo && a < hi && n <= hi-a
}

func (w *writer) writes(list []Write) {
	w.u32(uint32(len(list)))
	for _, x := range list {
		w.u64(x.Addr)
		w.bytes(x.Expect)
		w.bytes(x.New)
	}
}

// writes reads a list of writes.
func (r *reader) writes() []Write {
	n := r.count(16)
	if n == 0 {
		return nil
	}
	list := make([]Write, n)
	for i := range list {
		list[i] = Write{Addr: r.u64(), Expect: r.bytes(), New: r.bytes()}
	}
	return list
}

func (w *writer) strs(list []string) {
	w.u32(uint32(len(list)))
	for _, x := range list {
		w.str(x)
	}
}

// strs reads a list of strings.
func (r *reader) strs() []string {
	n := r.count(4)
	if n == 0 {
		return nil
	}
	list := make([]string, n)
	for i := range list {
		list[i] = r.str()
	}
	return list
}
