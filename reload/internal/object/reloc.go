package object

import "iter"

// Reloc is one relocation of a definition.
type Reloc struct {
	Off  int32     // of the field, from the symbol's beginning
	Size uint8     // of the field in bytes; 0: a marker, which changes no bytes
	Type RelocType // without its weakness
	Weak bool      // does not keep the target alive: without it the field stays as it is
	Add  int64
	Sym  Sym // as the object refers to it; zero when it names none
}

// IsMarker reports whether the relocation changes no bytes.
func (r Reloc) IsMarker() bool { return r.Size == 0 }

// NumRelocs returns the number of relocations of a definition.
func (s Sym) NumRelocs() int {
	if !s.IsDef() {
		return 0
	}
	_, n := s.Obj.part(blkRelocIdx, int(s.Index), blkReloc, relocSize)
	return n
}

// Reloc returns the i-th relocation, and the zero Reloc when there is none.
func (s Sym) Reloc(i int) Reloc {
	if !s.IsDef() {
		return Reloc{}
	}
	off, n := s.Obj.part(blkRelocIdx, int(s.Index), blkReloc, relocSize)
	if i < 0 || i >= n {
		return Reloc{}
	}
	return s.Obj.relocAt(off + i*relocSize)
}

// Relocs iterates over the relocations of a definition, in the object's order, which is
// not always that of their offsets.
func (s Sym) Relocs() iter.Seq[Reloc] {
	return func(yield func(Reloc) bool) {
		if !s.IsDef() {
			return
		}
		off, n := s.Obj.part(blkRelocIdx, int(s.Index), blkReloc, relocSize)
		for ; n > 0; n, off = n-1, off+relocSize {
			if !yield(s.Obj.relocAt(off)) {
				return
			}
		}
	}
}

// relocAt decodes the relocation at an offset of the file, which must lie in it.
func (o *Object) relocAt(off int) Reloc {
	b := o.file[off : off+relocSize]
	typ, kind := le.Uint16(b[5:]), UnknownReloc
	if n := typ &^ o.tables.weakBit; int(n) < len(o.tables.relocs) {
		kind = o.tables.relocs[n]
	}
	return Reloc{
		Off:  int32(le.Uint32(b)),
		Size: b[4],
		Type: kind,
		Weak: typ&o.tables.weakBit != 0,
		Add:  int64(le.Uint64(b[7:])),
		Sym:  o.handle(le.Uint32(b[15:]), le.Uint32(b[19:])),
	}
}

// aux returns the n-th auxiliary symbol of a type, zero when there is none.
func (s Sym) aux(typ func(*auxTypes) uint8) Sym {
	for sym := range s.auxs(typ) {
		return sym
	}
	return Sym{}
}

// auxs iterates over the auxiliary symbols of a type.
func (s Sym) auxs(typ func(*auxTypes) uint8) iter.Seq[Sym] {
	return func(yield func(Sym) bool) {
		if !s.IsDef() {
			return
		}
		o, want := s.Obj, typ(&s.Obj.tables.aux)
		off, n := o.part(blkAuxIdx, int(s.Index), blkAux, auxSize)
		for ; n > 0; n, off = n-1, off+auxSize {
			if o.file[off] != want {
				continue
			}
			if !yield(o.handle(le.Uint32(o.file[off+1:]), le.Uint32(o.file[off+5:]))) {
				return
			}
		}
	}
}

// auxList collects the auxiliary symbols of a type; a slot may be the zero Sym.
func (s Sym) auxList(typ func(*auxTypes) uint8) []Sym {
	var list []Sym
	for sym := range s.auxs(typ) {
		list = append(list, sym)
	}
	return list
}

// Gotype returns the type descriptor of a variable.
func (s Sym) Gotype() Sym { return s.aux(func(a *auxTypes) uint8 { return a.gotype }) }

// FuncInfo returns the symbol that holds a function's FuncInfo: see DecodeFuncInfo.
func (s Sym) FuncInfo() Sym { return s.aux(func(a *auxTypes) uint8 { return a.funcInfo }) }

// Pcsp returns the function's table of stack depths.
func (s Sym) Pcsp() Sym { return s.aux(func(a *auxTypes) uint8 { return a.pcsp }) }

// Pcfile returns the function's table of file indexes.
func (s Sym) Pcfile() Sym { return s.aux(func(a *auxTypes) uint8 { return a.pcfile }) }

// Pcline returns the function's table of lines.
func (s Sym) Pcline() Sym { return s.aux(func(a *auxTypes) uint8 { return a.pcline }) }

// Pcinline returns the function's table of inline tree indexes.
func (s Sym) Pcinline() Sym { return s.aux(func(a *auxTypes) uint8 { return a.pcinline }) }

// Funcdata returns the function's FUNCDATA symbols by their number; zero for a gap.
func (s Sym) Funcdata() []Sym { return s.auxList(func(a *auxTypes) uint8 { return a.funcdata }) }

// Pcdata returns the function's PCDATA tables by their number; zero for a gap.
func (s Sym) Pcdata() []Sym { return s.auxList(func(a *auxTypes) uint8 { return a.pcdata }) }
