package link

import (
	"encoding/binary"
	"fmt"
	"slices"
	"strings"

	"github.com/limeade-go/limeade/reload/internal/object"
)

// The function tables of the patch's module, as the runtime reads them (runtime/symtab.go,
// runtime/runtime2.go; cmd/link/internal/ld/pcln.go writes the image's). Go 1.25 to 1.27 agree:
//
//	funcnametab  NUL-terminated names; offset 0 is ""
//	cutab        per object file, a uint32 offset into filetab for each of its files
//	filetab      NUL-terminated file names
//	pctab        pc-value tables; offset 0 means none
//	functab      {entryOff, funcOff uint32} per function, entryOff at the end; then the _func structures:
//	             11 uint32, npcdata uint32 (offsets into pctab), nfuncdata uint32 (offsets from gofunc)
//	inline tree  per inlined call {funcID uint8, pad[3], nameOff, parentPC, startLine uint32}
//	findfunctab  per 4096 bytes of text {idx uint32, subbuckets [16]uint8}
type tables struct {
	header, names, cutab, filetab, pctab, functab, findfunctab region
	nfunc, nfiles                                              int
	funcs                                                      map[*node]uint64 // address of each function's _func
}

// A region is a table in the patch.
type region struct {
	addr uint64
	n    int // bytes
}

// Sizes and indexes of the format (internal/abi/symtab.go, runtime/symtab.go).
const (
	funcSize         = 11 * 4
	inlinedCallSize  = 16
	pcdataInlTree    = 2 // abi.PCDATA_InlTreeIndex
	funcdataInlTree  = 3 // abi.FUNCDATA_InlTree
	bucketSize       = 4096
	subBuckets       = 16
	bucketBytes      = 4 + subBuckets
	noFuncdata       = ^uint32(0)
	noCompilationIdx = ^uint32(0)
)

// A stringTable collects NUL-terminated strings.
type stringTable struct {
	buf []byte
	at  map[string]uint32
}

func newStringTable(reserved string) *stringTable {
	t := &stringTable{at: map[string]uint32{}}
	t.offset(reserved)
	return t
}

func (t *stringTable) offset(s string) uint32 {
	if off, ok := t.at[s]; ok {
		return off
	}
	off := uint32(len(t.buf))
	t.at[s] = off
	t.buf = append(append(t.buf, s...), 0)
	return off
}

// buildTables makes the function tables of everything in the patch's text.
func (l *linker) buildTables() error {
	t := &l.tab
	t.funcs = map[*node]uint64{}
	var funcs []*node
	for _, n := range l.nodes {
		if n.seg == segText {
			funcs = append(funcs, n)
		}
	}
	t.nfunc = len(funcs)
	if t.nfunc == 0 {
		return l.buildLines(nil)
	}

	names := newStringTable("")
	files := newStringTable("")
	pctab := []byte{0}
	pcAt := map[string]uint32{}
	addPC := func(s object.Sym) uint32 {
		data := s.Data()
		if len(data) == 0 {
			return 0
		}
		off, ok := pcAt[string(data)]
		if !ok {
			off = uint32(len(pctab))
			pcAt[string(data)] = off
			pctab = append(pctab, data...)
		}
		return off
	}
	cus := newFileTables()

	// The functab: heads first, then the _func structures, 8-byte aligned.
	functab := make([]byte, len(funcs)*8+4)
	_, text := l.bases()
	for i, n := range funcs {
		s := n.sym
		var fi object.FuncInfo
		hasInfo := s.FuncInfo().IsDef()
		if hasInfo {
			var err error
			if fi, err = s.DecodeFuncInfo(); err != nil {
				return err
			}
		}
		for len(functab)%8 != 0 {
			functab = append(functab, 0)
		}
		funcOff := uint32(len(functab))
		entryOff := uint32(n.addr - text)
		binary.LittleEndian.PutUint32(functab[i*8:], entryOff)
		binary.LittleEndian.PutUint32(functab[i*8+4:], funcOff)

		pcdata := s.Pcdata()
		funcdata := s.Funcdata()
		var inlTree uint64
		if len(fi.InlTree) > 0 {
			tree := make([]byte, 0, len(fi.InlTree)*inlinedCallSize)
			for _, c := range fi.InlTree {
				def := l.definition(c.Func)
				callee, _ := def.DecodeFuncInfo()
				name := c.Func.Name()
				if name == "" {
					name = def.Name() // no relocation of the object names it
				}
				tree = append(tree, callee.FuncID, 0, 0, 0)
				tree = binary.LittleEndian.AppendUint32(tree, names.offset(name))
				tree = binary.LittleEndian.AppendUint32(tree, uint32(c.ParentPC))
				tree = binary.LittleEndian.AppendUint32(tree, uint32(callee.StartLine))
			}
			inlTree = l.ro.room(len(tree), 4)
			l.ro.write(inlTree, tree)
		}
		npcdata, nfuncdata := len(pcdata), len(funcdata)
		if inlTree != 0 {
			npcdata = max(npcdata, pcdataInlTree+1)
			nfuncdata = max(nfuncdata, funcdataInlTree+1)
		}
		head := []uint32{
			entryOff,
			names.offset(s.Name()),
			fi.Args,
			l.deferReturn(s),
			addPC(s.Pcsp()), addPC(s.Pcfile()), addPC(s.Pcline()),
			uint32(npcdata),
			noCompilationIdx,
			uint32(fi.StartLine),
			uint32(fi.FuncID) | uint32(fi.FuncFlag)<<8 | uint32(nfuncdata)<<24,
		}
		if hasInfo {
			head[8] = cus.offset(s.Obj, fi)
		}
		for _, v := range head {
			functab = binary.LittleEndian.AppendUint32(functab, v)
		}
		for j := range npcdata {
			v := uint32(0)
			if j < len(pcdata) {
				v = addPC(pcdata[j])
			}
			if j == pcdataInlTree && inlTree != 0 {
				v = addPC(s.Pcinline())
			}
			functab = binary.LittleEndian.AppendUint32(functab, v)
		}
		for j := range nfuncdata {
			v := noFuncdata
			switch {
			case j == funcdataInlTree && inlTree != 0:
				v = uint32(inlTree - l.ro.base)
			case j < len(funcdata) && funcdata[j].Obj != nil && !l.missingFuncdata(s, funcdata[j]):
				fd, err := l.funcdata(funcdata[j])
				if err != nil {
					return err
				}
				v = uint32(fd.addr - l.ro.base) // the module's gofunc is where its rodata begins
			}
			functab = binary.LittleEndian.AppendUint32(functab, v)
		}
		t.funcs[n] = uint64(funcOff)
	}
	last := funcs[len(funcs)-1]
	endOff := uint32(last.addr + uint64(last.sym.Size()) - text)
	binary.LittleEndian.PutUint32(functab[len(funcs)*8:], endOff)

	cutab := cus.encode(files)
	t.nfiles = len(files.at) - 1
	pcHeader, ok := l.host.Layout.Struct("pcHeader")
	if !ok {
		return fmt.Errorf("layout of pcHeader is unknown")
	}
	put := func(b []byte, align int) region {
		r := region{l.ro.room(len(b), align), len(b)}
		l.ro.write(r.addr, b)
		return r
	}
	t.header = region{l.ro.room(int(pcHeader.Size), 8), int(pcHeader.Size)}
	t.names = put(names.buf, 1)
	t.cutab = put(cutab, 4)
	t.filetab = put(files.buf, 1)
	t.pctab = put(pctab, 1)
	t.functab = put(functab, 8)
	t.findfunctab = put(l.findFuncTab(funcs), 4)
	for n, off := range t.funcs {
		t.funcs[n] = t.functab.addr + off
	}
	if err := l.writeHeader(); err != nil {
		return err
	}
	return l.buildLines(funcs)
}

// writeHeader fills in the pcHeader: the image's own, with the patch's counts and offsets.
func (l *linker) writeHeader() error {
	t := &l.tab
	s, _ := l.host.Layout.Struct("pcHeader")
	head, err := l.host.Image.Bytes(l.host.Image.Module.PCHeader, 8)
	if err != nil {
		return err
	}
	l.ro.write(t.header.addr, head) // magic, pads, minLC, ptrSize
	set := func(field string, v uint64) error {
		f, ok := s.Fields[field]
		if !ok || f.Size != 8 {
			return fmt.Errorf("pcHeader has no field %s of 8 bytes", field)
		}
		l.ro.u64(t.header.addr+uint64(f.Offset), v)
		return nil
	}
	if _, ok := s.Fields["textStart"]; ok {
		if err := set("textStart", l.host.Image.Module.Text+l.state.Bias); err != nil {
			return err
		}
	}
	for _, f := range []struct {
		name string
		v    uint64
	}{
		{"nfunc", uint64(t.nfunc)},
		{"nfiles", uint64(t.nfiles)},
		{"funcnameOffset", t.names.addr - t.header.addr},
		{"cuOffset", t.cutab.addr - t.header.addr},
		{"filetabOffset", t.filetab.addr - t.header.addr},
		{"pctabOffset", t.pctab.addr - t.header.addr},
		{"pclnOffset", t.functab.addr - t.header.addr},
	} {
		if err := set(f.name, f.v); err != nil {
			return err
		}
	}
	return nil
}

// deferReturn is the offset of the first call of runtime.deferreturn, where a recovered panic goes on.
func (l *linker) deferReturn(s object.Sym) uint32 {
	for r := range s.Relocs() {
		if r.Type == object.Call && r.Sym.Obj != nil && r.Sym.Name() == "runtime.deferreturn" {
			return uint32(r.Off) - 1 // the CALL's opcode
		}
	}
	return 0
}

// findFuncTab is the two-level index from pc to function. Bucket i covers text from minpc+i*4096.
func (l *linker) findFuncTab(funcs []*node) []byte {
	min := funcs[0].addr
	last := funcs[len(funcs)-1]
	size := last.addr + uint64(last.sym.Size()) - min
	const sub = bucketSize / subBuckets
	n := int(size+bucketSize-1) / bucketSize
	tab := make([]byte, n*bucketBytes)
	f := 0
	for b := range n * subBuckets {
		pc := min + uint64(b)*sub
		for f+1 < len(funcs) && funcs[f+1].addr <= pc {
			f++
		}
		bucket := tab[b/subBuckets*bucketBytes:]
		if b%subBuckets == 0 {
			binary.LittleEndian.PutUint32(bucket, uint32(f))
		}
		bucket[4+b%subBuckets] = byte(f - int(binary.LittleEndian.Uint32(bucket)))
	}
	return tab
}

// fileTables numbers the files of each object, as its functions refer to them.
type fileTables struct {
	objs []*object.Object
	base map[*object.Object]uint32
	next uint32
}

func newFileTables() *fileTables { return &fileTables{base: map[*object.Object]uint32{}} }

// offset returns where an object's files begin in cutab. All of its files have an entry.
func (t *fileTables) offset(o *object.Object, _ object.FuncInfo) uint32 {
	base, ok := t.base[o]
	if !ok {
		base = t.next
		t.base[o] = base
		t.objs = append(t.objs, o)
		t.next += uint32(o.NumFiles())
	}
	return base
}

func (t *fileTables) encode(files *stringTable) []byte {
	var b []byte
	for _, o := range t.objs {
		for i := range o.NumFiles() {
			b = binary.LittleEndian.AppendUint32(b, files.offset(fileName(o, i)))
		}
	}
	return b
}

// fileName returns a file of an object as line tables show it (cmd/link/internal/ld/pcln.go, expandFile).
func fileName(o *object.Object, i int) string { return strings.TrimPrefix(o.File(i), "gofile..") }

// decodePC decodes a pc-value table: steps of the value, zigzag, and of the pc, both varints, ended by
// a zero step of the value (runtime/symtab.go, step). Spans end where the next one begins.
func decodePC(data []byte) ([]pcSpan, error) {
	var spans []pcSpan
	pc, val := uint32(0), int32(-1)
	for first := true; ; first = false {
		uv, n := binary.Uvarint(data)
		if n <= 0 {
			return nil, fmt.Errorf("pc-value table is cut short")
		}
		if uv == 0 && !first {
			return spans, nil
		}
		data = data[n:]
		val += int32(-(uint32(uv) & 1) ^ uint32(uv)>>1)
		dpc, n := binary.Uvarint(data)
		if n <= 0 {
			return nil, fmt.Errorf("pc-value table is cut short")
		}
		data = data[n:]
		pc += uint32(dpc)
		spans = append(spans, pcSpan{pc, val})
	}
}

// A pcSpan is a value that holds up to End, an offset from the function's entry.
type pcSpan struct {
	End   uint32
	Value int32
}

// encodePC is the inverse of decodePC; neighbours of equal value are joined.
func encodePC(spans []pcSpan) []byte {
	var b []byte
	pc, val := uint32(0), int32(-1)
	spans = slices.Clone(spans)
	for i := 0; i < len(spans); i++ {
		for i+1 < len(spans) && spans[i+1].Value == spans[i].Value {
			i++
		}
		d := spans[i].Value - val
		b = binary.AppendUvarint(b, uint64(uint32(d)<<1^uint32(d>>31)))
		b = binary.AppendUvarint(b, uint64(spans[i].End-pc))
		pc, val = spans[i].End, spans[i].Value
	}
	return append(b, 0)
}
