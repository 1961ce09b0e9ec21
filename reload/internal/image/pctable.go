package image

import (
	"fmt"
	"iter"
)

// PCRange says that a table has a value for the instructions from Start up to End, both
// from the function's entry.
type PCRange struct {
	Start, End uint32
	Value      int32
}

// PCTable decodes the table at an offset in Module.PCTab; offset 0 means none.
func (im *Image) PCTable(off uint32) ([]PCRange, error) {
	if off == 0 {
		return nil, nil
	}
	var list []PCRange
	for r, err := range im.pcRanges(off) {
		if err != nil {
			return nil, err
		}
		list = append(list, r)
	}
	return list, nil
}

// pcRanges iterates over a table (runtime/symtab.go, step).
func (im *Image) pcRanges(off uint32) iter.Seq2[PCRange, error] {
	return func(yield func(PCRange, error) bool) {
		truncated := func() { yield(PCRange{}, fmt.Errorf("instruction table at offset %#x is truncated", off)) }
		tab := im.funcs.pctab
		if uint64(off) >= uint64(len(tab)) {
			truncated()
			return
		}
		tab = tab[off:]
		value, pc := int32(-1), uint32(0)
		for first := true; ; first = false {
			delta, n := uvarint(tab)
			if n == 0 {
				truncated()
				return
			}
			if delta == 0 && !first {
				return
			}
			tab = tab[n:]
			value += int32(-(delta & 1) ^ delta>>1)
			step, n := uvarint(tab)
			if n == 0 {
				truncated()
				return
			}
			tab = tab[n:]
			if !yield(PCRange{pc, pc + step, value}, nil) {
				return
			}
			pc += step
		}
	}
}

// uvarint decodes a number of at most 32 bits; n is 0 when it is truncated.
func uvarint(b []byte) (v uint32, n int) {
	for shift := uint(0); n < len(b) && shift < 35; shift += 7 {
		c := b[n]
		n++
		v |= uint32(c&0x7f) << shift
		if c < 0x80 {
			return v, n
		}
	}
	return 0, 0
}

// PCValue returns a table's value at an address of the function, -1 when it has none.
func (f Func) PCValue(off uint32, addr uint64) int32 {
	if off == 0 || addr < f.Entry {
		return -1
	}
	for r, err := range f.t.im.pcRanges(off) {
		if err != nil {
			return -1
		}
		if addr-f.Entry < uint64(r.End) {
			return r.Value
		}
	}
	return -1
}

// Position returns the file and line of an instruction: the innermost, of inlined calls.
func (f Func) Position(addr uint64) (file string, line int32, ok bool) {
	idx := f.PCValue(f.Field(FieldPCFile), addr)
	line = f.PCValue(f.Field(FieldPCLine), addr)
	if idx < 0 || line < 0 {
		return "", 0, false
	}
	return f.File(idx), line, true
}

// InlinedCall is a node of a function's inline tree.
type InlinedCall struct {
	FuncID    uint8
	Name      string // of the inlined function
	ParentPC  int32  // of an instruction that stands for the call, from the function's entry
	StartLine int32  // of the inlined function
}

// Numbers of the inline tree's tables (internal/abi/symtab.go, Go 1.25–1.27).
const (
	pcdataInlTreeIndex = 2
	funcdataInlTree    = 3
)

// inlineLayout is where the runtime's inlinedCall has its fields (runtime/symtabinl.go).
type inlineLayout struct{ funcID, nameOff, parentPC, startLine int64 }

func (l *inlineLayout) read(fields map[string]int64) error {
	for name, p := range map[string]*int64{
		"funcID": &l.funcID, "nameOff": &l.nameOff, "parentPc": &l.parentPC, "startLine": &l.startLine,
	} {
		var ok bool
		if *p, ok = fields[name]; !ok {
			return fmt.Errorf("layout has no inlinedCall.%s", name)
		}
	}
	return nil
}

// size returns the size of an inlinedCall: its last field is an int32.
func (l *inlineLayout) size() int64 { return max(l.funcID+1, l.nameOff+4, l.parentPC+4, l.startLine+4) }

// InlineIndexes returns the offset of the table that gives for each instruction the node
// of the inline tree that it belongs to (-1: the function), 0 when nothing is inlined.
func (f Func) InlineIndexes() uint32 { return f.PCData(pcdataInlTreeIndex) }

// InlineTree decodes the function's inline tree: the nodes that some instruction belongs
// to, or a parent of one, up to the highest.
func (f Func) InlineTree() ([]InlinedCall, error) {
	addr, ok := f.FuncData(funcdataInlTree)
	if !ok || f.InlineIndexes() == 0 {
		return nil, nil
	}
	ranges, err := f.t.im.PCTable(f.InlineIndexes())
	if err != nil {
		return nil, fmt.Errorf("%s: inline tree: %w", f.Name(), err)
	}
	n := int32(0)
	for _, r := range ranges {
		n = max(n, r.Value+1)
	}
	l := &f.t.inline
	b, err := f.t.im.Bytes(addr, int(int64(n)*l.size()))
	if err != nil {
		return nil, fmt.Errorf("%s: inline tree: %w", f.Name(), err)
	}
	tree := make([]InlinedCall, n)
	for i := range tree {
		tree[i] = InlinedCall{
			FuncID:    b[l.funcID],
			Name:      cstring(f.t.names, uint64(le.Uint32(b[l.nameOff:]))),
			ParentPC:  int32(le.Uint32(b[l.parentPC:])),
			StartLine: int32(le.Uint32(b[l.startLine:])),
		}
		b = b[l.size():]
	}
	return tree, nil
}
