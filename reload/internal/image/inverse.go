package image

import (
	"fmt"
	"strings"

	"github.com/limeade-go/limeade/reload/internal/object"
)

// Stats tells how an index was made.
type Stats struct {
	Seeds     int // symbols named by the symbol table or by pclntab
	Symbols   int // all symbols that were found
	Functions int // of them, functions
	Types     int // of them, type descriptors
	Verified  int // of them, with a definition that equals the executable's bytes
	Refused   int // operands that could not be what their relocation says
	Conflicts []Conflict
}

// Conflict is a symbol that two places in the executable gave different addresses, both
// with the right bytes. There should be none; the symbol is not in the index.
type Conflict struct {
	Sym         string
	Addr, Other uint64
	By          string // whose relocation gave Other; "no symbol" for a seed
}

func (c Conflict) String() string {
	return fmt.Sprintf("%s at %#x, but at %#x by %s", c.Sym, c.Addr, c.Other, c.By)
}

// place is what is known of one symbol of the library.
type place struct {
	sym  object.Sym // canonical: one for each (name, ABI), content, or static definition
	addr uint64     // 0: not known
	def  object.Sym // the definition that equals the executable's bytes, if any

	disputed bool // there is a Conflict about it
}

// inversion names the symbols of an executable.
type inversion struct {
	im  *Image
	lib *object.Library
	matcher

	ids    [][]int32 // by object and symbol: 0 not resolved yet, -1 no definition, else 1 + index in places
	places []place
	// foreign are functions that are not in the library, since C's compiler made them.
	foreign []Entry
	work    []int32 // places whose relocations are to be read

	symtab bool      // what the symbol table should have has its address
	pruned [2]uint64 // what weak references to unreachable functions lead to instead
	tls    int64
	stats  Stats
}

// defaultTLS is the offset of runtime.tlsg from the thread pointer in an executable
// without other thread-local variables (cmd/link/internal/ld/sym.go, Go 1.26).
const defaultTLS = -8

// invert finds the address of every symbol that it can, seeded from the symbol table if
// that is asked for, and from pclntab.
func invert(im *Image, lib *object.Library, useSymtab bool) *inversion {
	v := &inversion{im: im, lib: lib, ids: make([][]int32, len(lib.Objects())), tls: defaultTLS}
	v.matcher.im = im
	for i, name := range [...]string{"runtime.unreachableMethod", "runtime.mapinitnoop"} {
		if f, ok := im.FuncByName(name); ok {
			v.pruned[i] = f.Entry
		}
	}
	if useSymtab {
		v.seedSymtab()
		v.symtab = true
		v.run()
	}
	for _, seed := range [...]func(){v.seedFuncs, v.seedInitTasks, v.seedTypes} {
		seed()
		v.run()
	}
	return v
}

// id returns the number of the place of a symbol plus one, -1 when the library does not
// define it.
func (v *inversion) id(s object.Sym) int32 {
	if s.IsZero() {
		return -1
	}
	own := !s.IsImported() && !s.IsBuiltin()
	if own {
		if id := *v.slot(s); id != 0 {
			return id
		}
	}
	id := int32(-1)
	if c := v.lib.Resolve(s); !c.IsZero() {
		slot := v.slot(c)
		if *slot == 0 {
			v.places = append(v.places, place{sym: c})
			*slot = int32(len(v.places))
		}
		id = *slot
	}
	if own {
		*v.slot(s) = id
	}
	return id
}

func (v *inversion) slot(s object.Sym) *int32 {
	ids := &v.ids[s.Obj.Ordinal()]
	if *ids == nil {
		*ids = make([]int32, s.Obj.NumSyms())
	}
	return &(*ids)[s.Index]
}

// verify returns the definition of a canonical symbol that equals the executable's bytes
// at an address, the zero Sym when none does. via is the handle that led to it.
func (v *inversion) verify(c, via object.Sym, addr uint64) object.Sym {
	if v.matches(c, addr) {
		return c
	}
	if via != c && via.IsDef() && v.matches(via, addr) {
		return via
	}
	if c.Dupok() && !c.IsContentHashed() {
		for d := range v.lib.Definitions(c.Name(), c.ABI()) {
			if d != c && d != via && v.matches(d, addr) {
				return d
			}
		}
	}
	return object.Sym{}
}

// assign gives a place its address. certain says that the address is the symbol's even
// if its bytes are others: the linker writes into some variables itself.
func (v *inversion) assign(id int32, via object.Sym, addr uint64, certain bool, by object.Sym) {
	if id < 0 {
		return
	}
	p := &v.places[id-1]
	if p.addr == addr {
		return
	}
	def := v.verify(p.sym, via, addr)
	switch {
	case def.IsZero() && (!certain || p.addr != 0):
		v.stats.Refused++
		return
	case p.addr != 0:
		p.disputed = true
		v.stats.Conflicts = append(v.stats.Conflicts, Conflict{p.sym.String(), p.addr, addr, by.String()})
		return
	}
	p.addr, p.def = addr, def
	if !def.IsZero() {
		v.work = append(v.work, id-1)
	}
}

// run reads relocations until nothing new is named.
func (v *inversion) run() {
	for len(v.work) > 0 {
		i := v.work[len(v.work)-1]
		v.work = v.work[:len(v.work)-1]
		def, addr := v.places[i].def, v.places[i].addr
		if def.Dupok() {
			def = v.likeliest(def, addr)
			v.places[i].def = def
		}
		for r := range def.Relocs() {
			if id, target, ok := v.read(addr, r); ok {
				v.assign(id, r.Sym, target, v.certain(id, r), def)
			}
		}
		if def.Kind() == object.Text {
			v.funcdata(def, addr)
		}
	}
}

// likeliest chooses between definitions of several packages that equal the executable's
// bytes, as def does, but may refer to different symbols: each its own package's, or one
// the callee that another has inlined. It takes the first that nothing speaks against.
func (v *inversion) likeliest(def object.Sym, addr uint64) object.Sym {
	if !v.contradicted(def, addr) {
		return def
	}
	for d := range v.lib.Definitions(def.Name(), def.ABI()) {
		if d != def && v.matches(d, addr) && !v.contradicted(d, addr) {
			return d
		}
	}
	return def
}

// contradicted reports whether the executable has another definition's tables of files and
// lines for a function, which differ between packages, or a relocation leads to what its
// symbol cannot be.
func (v *inversion) contradicted(def object.Sym, addr uint64) bool {
	if f, ok := v.im.FuncAt(addr); ok && f.Entry == addr {
		if !f.hasTable(FieldPCFile, def.Pcfile()) || !f.hasTable(FieldPCLine, def.Pcline()) {
			return true
		}
	}
	for r := range def.Relocs() {
		id, target, ok := v.read(addr, r)
		if !ok {
			continue
		}
		p := &v.places[id-1]
		switch {
		case p.addr == target:
		case p.addr != 0, v.verify(p.sym, r.Sym, target).IsZero(), v.symtab && inSymtab(p.sym):
			return true
		}
	}
	return false
}

// inSymtab reports whether the linker puts a symbol that is in the executable into the
// symbol table (cmd/link/internal/ld/symtab.go, Go 1.25–1.27).
func inSymtab(s object.Sym) bool {
	return (s.Kind() == object.Data || s.Kind() == object.NoPtrData || s.Kind() == object.BSS) &&
		!s.IsStatic() && s.Name() != "" && !strings.Contains(s.Name(), "·")
}

// read reads one operand back: the place of the symbol that it refers to, and where that
// is. It reports false when the relocation tells nothing.
func (v *inversion) read(addr uint64, r object.Reloc) (id int32, target uint64, ok bool) {
	if r.IsMarker() {
		return 0, 0, false
	}
	if r.Type == object.TLSLE {
		if b, err := v.im.Bytes(addr+uint64(r.Off), 4); err == nil {
			v.tls = int64(int32(le.Uint32(b))) - r.Add
		}
	}
	if id = v.id(r.Sym); id < 0 {
		return 0, 0, false
	}
	target, ok = v.operand(v.places[id-1].sym, addr, r)
	if ok && conditional(r) && (target == v.pruned[0] || target == v.pruned[1]) {
		return 0, 0, false
	}
	return id, target, ok
}

// conditional reports whether the linker may leave out a relocation's target.
func conditional(r object.Reloc) bool { return r.Weak || r.Type == object.MethodOff }

// certain reports whether a relocation leads to its symbol even if the bytes there are
// others than the library's: no linker redirects a reference to a variable, and it is the
// linker that fills some in.
func (v *inversion) certain(id int32, r object.Reloc) bool {
	return !conditional(r) && v.places[id-1].sym.Kind().IsData()
}

// operand returns the address of the symbol that a relocation refers to, and false when
// its field tells none. c is the symbol that it should be.
func (v *inversion) operand(c object.Sym, addr uint64, r object.Reloc) (uint64, bool) {
	field := addr + uint64(r.Off)
	if r.Type == object.Addr && r.Size == 8 {
		w, err := v.im.Word(field)
		return w - uint64(r.Add), err == nil && w != 0
	}
	if r.Size != 4 {
		return 0, false
	}
	b, err := v.im.Bytes(field-2, 6)
	if err != nil {
		return 0, false
	}
	opcode, val := b[0], le.Uint32(b[2:])
	relative := field + 4 + uint64(int64(int32(val))) - uint64(r.Add)
	switch r.Type {
	case object.PCRel, object.Call:
		return relative, true
	case object.GOTPCRel:
		const movq = 0x8b
		if opcode != movq {
			return relative, true // relaxed to LEAQ
		}
		w, err := v.im.Word(relative)
		return w, err == nil && w != 0
	case object.Addr:
		return uint64(val) - uint64(r.Add), val != 0
	case object.AddrOff, object.MethodOff:
		if conditional(r) && (val == 0 || val == ^uint32(0)) {
			return 0, false
		}
		return v.base(c) + uint64(val) - uint64(r.Add), true
	}
	return 0, false
}

// base returns what offsets to a symbol count from: the start of its section, as
// cmd/link has them (ld/data.go, relocsym, Go 1.25–1.27). An external linker may merge
// that section with others, but keeps its content together.
func (v *inversion) base(c object.Sym) uint64 {
	switch md := &v.im.Module; {
	case c.Kind() == object.Text:
		return md.Text
	case strings.HasPrefix(c.Name(), "type:"):
		return md.Types
	default:
		return md.ROData
	}
}

// funcdata names the FUNCDATA symbols of a function.
func (v *inversion) funcdata(def object.Sym, addr uint64) {
	f, ok := v.im.FuncAt(addr)
	if !ok || f.Entry != addr {
		return
	}
	for i, s := range def.Funcdata() {
		if s.IsZero() {
			continue
		}
		if target, ok := f.FuncData(i); ok {
			v.assign(v.id(s), s, target, false, def)
		}
	}
}

// summary counts what was found.
func (v *inversion) summary() Stats {
	s := v.stats
	for i := range v.places {
		p := &v.places[i]
		if p.addr == 0 || p.disputed {
			continue
		}
		s.Symbols++
		if !p.def.IsZero() {
			s.Verified++
		}
		if p.sym.Kind() == object.Text {
			s.Functions++
		}
		if p.sym.IsGoType() {
			s.Types++
		}
	}
	return s
}
