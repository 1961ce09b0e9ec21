package image

import (
	"errors"
	"fmt"
	"iter"
	"sort"
	"sync"
)

// funcTable is what the functions are read from.
type funcTable struct {
	im     *Image
	ftab   []byte // pairs of entryoff and funcoff, and endoff
	n      int    // functions
	table  []byte // what funcoff counts in
	names  []byte
	files  []byte
	cutab  []byte
	pctab  []byte
	fields [numFuncFields]int64 // offsets in _func
	size   int64                // of _func, where its tables begin
	inline inlineLayout

	once   sync.Once
	byName map[string][]int32
}

// FuncField is a field of the runtime's _func (runtime/runtime2.go).
type FuncField int

const (
	FieldEntryOff    FuncField = iota // uint32, from Module.Text
	FieldNameOff                      // int32, in Module.FuncNameTab
	FieldArgs                         // int32
	FieldDeferReturn                  // uint32
	FieldPCSP                         // uint32, in Module.PCTab
	FieldPCFile                       // uint32, in Module.PCTab
	FieldPCLine                       // uint32, in Module.PCTab
	FieldNPCData                      // uint32
	FieldCUOffset                     // uint32, elements in Module.CUTab
	FieldStartLine                    // int32
	FieldFuncID                       // uint8
	FieldFlag                         // uint8
	FieldNFuncData                    // uint8, the last
	numFuncFields
)

var funcFieldNames = [numFuncFields]string{
	"entryOff", "nameOff", "args", "deferreturn", "pcsp", "pcfile", "pcln", "npcdata", "cuOffset", "startLine",
	"funcID", "flag", "nfuncdata",
}

// Func is a function of the executable's function table. Entry and End are addresses; up
// to End, where the next function begins, there may be padding.
type Func struct {
	Entry, End uint64

	t   *funcTable
	off int64 // of _func in the table
}

// readFuncTable takes the tables' bytes, and checks that all functions are sound.
func (im *Image) readFuncTable(off Offsets) error {
	md := &im.Module
	if md.TextSectMap.Len > 1 {
		return fmt.Errorf("text lies in %d sections; only one is supported", md.TextSectMap.Len)
	}
	t := &im.funcs
	t.im = im
	for i, name := range funcFieldNames {
		var ok bool
		if t.fields[i], ok = off["_func"][name]; !ok {
			return fmt.Errorf("layout has no _func.%s", name)
		}
	}
	t.size = t.fields[FieldNFuncData] + 1
	if err := t.inline.read(off["inlinedCall"]); err != nil {
		return err
	}
	var errs []error
	get := func(name string, addr, n uint64) []byte {
		if n > uint64(len(im.file)) {
			errs = append(errs, fmt.Errorf("%s is larger than the file", name))
			return nil
		}
		b, err := im.Bytes(addr, int(n))
		if err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", name, err))
		}
		return b
	}
	t.table = get("function table", md.PCLNTable.Addr, md.PCLNTable.Len)
	t.names = get("function names", md.FuncNameTab.Addr, md.FuncNameTab.Len)
	t.files = get("file names", md.FileTab.Addr, md.FileTab.Len)
	t.cutab = get("file indexes", md.CUTab.Addr, md.FileTab.Addr-md.CUTab.Addr)
	t.pctab = get("instruction tables", md.PCTab.Addr, md.PCTab.Len)
	if n := uint64(len(t.table)); md.FTab.Len > n || md.FTab.Len*8-4 > n {
		errs = append(errs, errors.New("function table is truncated"))
	}
	if err := errors.Join(errs...); err != nil {
		return err
	}
	t.n = int(md.FTab.Len - 1)
	t.ftab = t.table[:8*t.n+4]
	last := uint32(0)
	for i := range t.n {
		entry, fn := le.Uint32(t.ftab[8*i:]), int64(le.Uint32(t.ftab[8*i+4:]))
		if entry < last {
			return fmt.Errorf("function %d is out of order", i)
		}
		last = entry
		if fn+t.size > int64(len(t.table)) {
			return fmt.Errorf("function %d lies outside the table", i)
		}
		f := Func{t: t, off: fn}
		if fn+t.size+4*int64(f.NumPCData())+4*int64(f.NumFuncData()) > int64(len(t.table)) {
			return fmt.Errorf("function %d's tables lie outside the table", i)
		}
	}
	if le.Uint32(t.ftab[8*t.n:]) < last {
		return errors.New("function table's end is out of order")
	}
	return nil
}

// at returns the i-th function.
func (t *funcTable) at(i int) Func {
	text := t.im.Module.Text
	return Func{
		Entry: text + uint64(le.Uint32(t.ftab[8*i:])),
		End:   text + uint64(le.Uint32(t.ftab[8*i+8:])),
		t:     t,
		off:   int64(le.Uint32(t.ftab[8*i+4:])),
	}
}

// NumFuncs returns the number of functions.
func (im *Image) NumFuncs() int { return im.funcs.n }

// Funcs iterates over all functions by address.
func (im *Image) Funcs() iter.Seq[Func] {
	return func(yield func(Func) bool) {
		for i := range im.funcs.n {
			if !yield(im.funcs.at(i)) {
				return
			}
		}
	}
}

// FuncAt returns the function that an address lies in.
func (im *Image) FuncAt(addr uint64) (Func, bool) {
	t := &im.funcs
	off := addr - im.Module.Text
	if addr < im.Module.Text || t.n == 0 || off >= uint64(le.Uint32(t.ftab[8*t.n:])) {
		return Func{}, false
	}
	i := sort.Search(t.n, func(i int) bool { return uint64(le.Uint32(t.ftab[8*i:])) > off })
	if i == 0 {
		return Func{}, false
	}
	return t.at(i - 1), true
}

// FuncsByName returns the functions of a name, by address: usually one, and two when a
// function has versions for both ABIs.
func (im *Image) FuncsByName(name string) []Func {
	t := &im.funcs
	t.once.Do(func() {
		t.byName = make(map[string][]int32, t.n)
		all := make([]int32, t.n)
		for i := range t.n {
			all[i] = int32(i)
			name := t.at(i).Name()
			if same := t.byName[name]; same != nil {
				t.byName[name] = append(same, int32(i))
			} else {
				t.byName[name] = all[i : i+1 : i+1]
			}
		}
	})
	var list []Func
	for _, i := range t.byName[name] {
		list = append(list, t.at(int(i)))
	}
	return list
}

// FuncByName returns the function of a name if there is exactly one.
func (im *Image) FuncByName(name string) (Func, bool) {
	list := im.FuncsByName(name)
	if len(list) != 1 {
		return Func{}, false
	}
	return list[0], true
}

// Addr returns the address of the function's _func.
func (f Func) Addr() uint64 { return f.t.im.Module.PCLNTable.Addr + uint64(f.off) }

// FieldAddr returns the address of a field of the function's _func.
func (f Func) FieldAddr(field FuncField) uint64 { return f.Addr() + uint64(f.t.fields[field]) }

func (f Func) uint32(off int64) uint32 { return le.Uint32(f.t.table[f.off+off:]) }

// Field returns the value of a field of the function's _func, of any width.
func (f Func) Field(field FuncField) uint32 {
	off := f.t.fields[field]
	switch field {
	case FieldFuncID, FieldFlag, FieldNFuncData:
		return uint32(f.t.table[f.off+off])
	}
	return f.uint32(off)
}

// Name returns the function's name as in object files. Generated and inlined functions
// have names too; the two versions of a function for two ABIs have the same. The string
// aliases the file.
func (f Func) Name() string { return cstring(f.t.names, uint64(f.Field(FieldNameOff))) }

// StartLine returns the line of the func keyword.
func (f Func) StartLine() int32 { return int32(f.Field(FieldStartLine)) }

// NumPCData returns the number of the function's PCDATA tables.
func (f Func) NumPCData() int { return int(f.Field(FieldNPCData)) }

// NumFuncData returns the number of the function's FUNCDATA slots.
func (f Func) NumFuncData() int { return int(f.Field(FieldNFuncData)) }

// PCData returns the offset in Module.PCTab of the i-th PCDATA table, 0 for none.
func (f Func) PCData(i int) uint32 {
	if i < 0 || i >= f.NumPCData() {
		return 0
	}
	return f.uint32(f.t.size + 4*int64(i))
}

// PCDataAddr returns the address of the word that PCData returns.
func (f Func) PCDataAddr(i int) uint64 { return f.Addr() + uint64(f.t.size+4*int64(i)) }

// FuncData returns the address of the i-th FUNCDATA, and false when there is none.
func (f Func) FuncData(i int) (uint64, bool) {
	if i < 0 || i >= f.NumFuncData() {
		return 0, false
	}
	off := f.uint32(f.t.size + 4*int64(f.NumPCData()+i))
	return f.t.im.Module.GoFunc + uint64(off), off != ^uint32(0)
}

// FuncDataAddr returns the address of the word that FuncData is read from.
func (f Func) FuncDataAddr(i int) uint64 {
	return f.Addr() + uint64(f.t.size+4*int64(f.NumPCData()+i))
}

// File returns the name of a file by its index in the tables of the function's
// compilation unit (what PCFile holds), "" when there is none.
func (f Func) File(idx int32) string {
	off := 4 * (uint64(f.Field(FieldCUOffset)) + uint64(uint32(idx)))
	if f.Field(FieldCUOffset) == ^uint32(0) || off+4 > uint64(len(f.t.cutab)) {
		return ""
	}
	return cstring(f.t.files, uint64(le.Uint32(f.t.cutab[off:])))
}
