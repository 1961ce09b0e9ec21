package image

import (
	"bytes"
	"errors"
	"fmt"
	"iter"
)

// Offsets are the byte offsets of the fields of the runtime's structures, as in
// offsets["moduledata"]["text"]. Needed are those of moduledata, pcHeader, _func and
// inlinedCall, and from Go 1.27 on abi.ITab and abi.InterfaceType.
type Offsets map[string]map[string]int64

// Slice is a slice in the executable's data.
type Slice struct {
	Addr uint64
	Len  uint64 // in elements
}

// ModuleData is the runtime's description of the executable, runtime.firstmoduledata
// (runtime/symtab.go). All but Addr, lengths and sizes are addresses.
type ModuleData struct {
	Addr     uint64 // of the moduledata itself
	PCHeader uint64

	FuncNameTab, CUTab, FileTab, PCTab, PCLNTable, FTab Slice // CUTab.Len: bytes in Go 1.25, then elements

	FindFuncTab, MinPC, MaxPC uint64

	Text, EText           uint64
	NoPtrData, ENoPtrData uint64
	Data, EData           uint64
	BSS, EBSS             uint64
	NoPtrBSS, ENoPtrBSS   uint64
	CovCtrs, ECovCtrs     uint64
	End, GCData, GCBSS    uint64
	Types, ETypes         uint64
	ROData                uint64
	GoFunc                uint64
	EPCLNTab              uint64 // 0 in Go 1.25

	TextSectMap, InitTasks            Slice
	Typelinks, Itablinks              Slice  // none from Go 1.27 on
	TypeDescLen, ItabOffset, ItabSize uint64 // bytes; 0 up to Go 1.26
}

// pclntabHead is how the tables begin on amd64: the magic, two zeroes, the size of the
// smallest instruction, that of a pointer (internal/abi/symtab.go, Go 1.26).
var pclntabHead = []byte{0xf1, 0xff, 0xff, 0xff, 0, 0, 1, 8}

// structReader reads the fields of a structure in the executable. What goes wrong it
// only remembers.
type structReader struct {
	im      *Image
	fields  map[string]int64
	addr    uint64
	missing string // a field that the layout does not have
	bad     bool   // an address that the executable does not have
}

func (r *structReader) has(field string) bool { _, ok := r.fields[field]; return ok }

// at returns the i-th word of a field.
func (r *structReader) at(field string, i int64) uint64 {
	off, ok := r.fields[field]
	if !ok {
		r.missing = field
		return 0
	}
	v, err := r.im.Word(r.addr + uint64(off+8*i))
	r.bad = r.bad || err != nil
	return v
}

func (r *structReader) word(field string) uint64 { return r.at(field, 0) }

func (r *structReader) slice(field string) Slice { return Slice{r.at(field, 0), r.at(field, 1)} }

func (r *structReader) wordIfAny(field string) uint64 {
	if !r.has(field) {
		return 0
	}
	return r.word(field)
}

func (r *structReader) sliceIfAny(field string) Slice {
	if !r.has(field) {
		return Slice{}
	}
	return r.slice(field)
}

// readModule finds the function tables and the moduledata that points to them, and reads
// both. It needs neither symbols nor names of sections: strip removes the ones, linkers
// merge the others.
func (im *Image) readModule(off Offsets) error {
	for pclntab := range im.occurrences(pclntabHead) {
		for addr := range im.wordsEqual(pclntab) {
			md, ok, err := im.readModuleData(addr, off["moduledata"])
			if err != nil {
				return err
			}
			if !ok {
				continue
			}
			if ok, err = im.isModule(md, off["pcHeader"]); err != nil {
				return err
			}
			if !ok {
				continue
			}
			im.Module = md
			if md.ItabSize != 0 {
				if err := im.itabs.read(off); err != nil {
					return err
				}
			}
			return im.readFuncTable(off)
		}
	}
	return errors.New("function tables not found: not a Go executable, or of an unknown version")
}

// occurrences iterates over the 8-aligned addresses in sections without code where the
// file has the given bytes.
func (im *Image) occurrences(pattern []byte) iter.Seq[uint64] {
	return func(yield func(uint64) bool) {
		for _, s := range im.sections {
			if s.Exec {
				continue
			}
			for start := 0; ; start++ {
				i := bytes.Index(s.Data[start:], pattern)
				if i < 0 {
					break
				}
				start += i
				if addr := s.Addr + uint64(start); addr%8 == 0 && !yield(addr) {
					return
				}
			}
		}
	}
}

// wordsEqual iterates over the places where a word has a value.
func (im *Image) wordsEqual(value uint64) iter.Seq[uint64] {
	return func(yield func(uint64) bool) {
		for _, r := range im.relative {
			if r.value == value && !yield(r.addr) {
				return
			}
		}
		for addr := range im.occurrences(le.AppendUint64(nil, value)) {
			if !yield(addr) {
				return
			}
		}
	}
}

// readModuleData reads a moduledata at an address. It reports false when the executable
// has none there, and an error when the layout lacks a field.
func (im *Image) readModuleData(addr uint64, fields map[string]int64) (ModuleData, bool, error) {
	r := &structReader{im: im, fields: fields, addr: addr}
	md := ModuleData{
		Addr:        addr,
		PCHeader:    r.word("pcHeader"),
		FuncNameTab: r.slice("funcnametab"),
		CUTab:       r.slice("cutab"),
		FileTab:     r.slice("filetab"),
		PCTab:       r.slice("pctab"),
		PCLNTable:   r.slice("pclntable"),
		FTab:        r.slice("ftab"),
		FindFuncTab: r.word("findfunctab"),
		MinPC:       r.word("minpc"),
		MaxPC:       r.word("maxpc"),
		Text:        r.word("text"),
		EText:       r.word("etext"),
		NoPtrData:   r.word("noptrdata"),
		ENoPtrData:  r.word("enoptrdata"),
		Data:        r.word("data"),
		EData:       r.word("edata"),
		BSS:         r.word("bss"),
		EBSS:        r.word("ebss"),
		NoPtrBSS:    r.word("noptrbss"),
		ENoPtrBSS:   r.word("enoptrbss"),
		CovCtrs:     r.word("covctrs"),
		ECovCtrs:    r.word("ecovctrs"),
		End:         r.word("end"),
		GCData:      r.word("gcdata"),
		GCBSS:       r.word("gcbss"),
		Types:       r.word("types"),
		ETypes:      r.word("etypes"),
		ROData:      r.word("rodata"),
		GoFunc:      r.word("gofunc"),
		EPCLNTab:    r.wordIfAny("epclntab"),
		TextSectMap: r.slice("textsectmap"),
		InitTasks:   r.slice("inittasks"),
		Typelinks:   r.sliceIfAny("typelinks"),
		Itablinks:   r.sliceIfAny("itablinks"),
		TypeDescLen: r.wordIfAny("typedesclen"),
		ItabOffset:  r.wordIfAny("itaboffset"),
		ItabSize:    r.wordIfAny("itabsize"),
	}
	if r.missing != "" {
		return md, false, fmt.Errorf("layout has no moduledata.%s", r.missing)
	}
	return md, !r.bad, nil
}

// isModule reports whether what was read as a moduledata agrees with the header of the
// function tables that it points to.
func (im *Image) isModule(md ModuleData, fields map[string]int64) (bool, error) {
	r := &structReader{im: im, fields: fields, addr: md.PCHeader}
	ok := md.FTab.Len == r.word("nfunc")+1 && md.FTab.Len > 1 &&
		md.FuncNameTab.Addr == md.PCHeader+r.word("funcnameOffset") &&
		md.CUTab.Addr == md.PCHeader+r.word("cuOffset") &&
		md.FileTab.Addr == md.PCHeader+r.word("filetabOffset") &&
		md.PCTab.Addr == md.PCHeader+r.word("pctabOffset") &&
		md.PCLNTable.Addr == md.PCHeader+r.word("pclnOffset") &&
		md.FTab.Addr == md.PCLNTable.Addr &&
		md.CUTab.Addr <= md.FileTab.Addr
	if r.missing != "" {
		return false, fmt.Errorf("layout has no pcHeader.%s", r.missing)
	}
	return ok && !r.bad, nil
}
