package image

import (
	"bytes"
	"debug/elf"
	"encoding/binary"
	"runtime"
	"slices"
	"testing"

	"github.com/limeade-go/limeade/reload/internal/object"
)

// tinyELF is the smallest executable that this package reads: two functions, the second
// with an inlined call, a symbol table, and no code worth running.
func tinyELF(t testing.TB, off Offsets) []byte {
	t.Helper()
	const base = 0x400000
	type section struct {
		name string
		typ  elf.SectionType
		flag elf.SectionFlag
		data []byte
		link uint32
	}
	var (
		u32   = binary.LittleEndian.AppendUint32
		addrs = map[string]uint64{}
		file  = make([]byte, 128) // for the headers
	)
	place := func(name string, data []byte) []byte { // at the next 16 bytes
		for len(file)%16 != 0 {
			file = append(file, 0)
		}
		addrs[name] = base + uint64(len(file))
		file = append(file, data...)
		return data
	}
	word := func(b []byte, at int64, v uint64) { binary.LittleEndian.PutUint64(b[at:], v) }

	text := place(".text", bytes.Repeat([]byte{0x90}, 96))
	names := []byte("\x00main.one\x00main.two\x00main.in\x00")
	files := []byte("main.go\x00")
	pctab := []byte{0,
		2, 96, 0, // at 1: 0 throughout
		20, 10, 4, 22, 0, // at 4: lines 9, then 11
		0, 8, 2, 8, 0} // at 9: inline index -1, then 0
	fields := off["_func"]
	fn := func(entry, name, npcdata, nfuncdata uint32, extra ...uint32) []byte {
		b := make([]byte, fields["nfuncdata"]+1)
		for field, v := range map[string]uint32{"entryOff": entry, "nameOff": name, "pcsp": 1, "pcfile": 1, "pcln": 4, "npcdata": npcdata, "startLine": 9} {
			binary.LittleEndian.PutUint32(b[fields[field]:], v)
		}
		b[fields["nfuncdata"]] = byte(nfuncdata)
		for _, v := range extra {
			b = u32(b, v)
		}
		return b
	}
	one := fn(0, 1, 0, 0)
	two := fn(32, 10, 3, 4, 0, 0, 9, ^uint32(0), ^uint32(0), ^uint32(0), 0)
	var ftab []byte
	for _, v := range []uint32{0, 24, 32, 24 + uint32(len(one)), 64, 0} {
		ftab = u32(ftab, v)
	}
	ftab = slices.Concat(ftab, one, two)

	header := make([]byte, 72)
	copy(header, pclntabHead)
	at := uint64(len(header))
	tab := header
	part := func(field string, data []byte) {
		for len(tab)%8 != 0 {
			tab = append(tab, 0)
		}
		at = uint64(len(tab))
		word(tab, off["pcHeader"][field], at)
		tab = append(tab, data...)
		addrs[field] = at
	}
	word(tab, off["pcHeader"]["nfunc"], 2)
	part("funcnameOffset", names)
	part("cuOffset", []byte{0, 0, 0, 0})
	part("filetabOffset", files)
	part("pctabOffset", pctab)
	part("pclnOffset", ftab)
	pcln := place(".gopclntab", tab)
	inl := off["inlinedCall"]
	tree := make([]byte, 16)
	binary.LittleEndian.PutUint32(tree[inl["nameOff"]:], 19)
	binary.LittleEndian.PutUint32(tree[inl["startLine"]:], 3)
	place(".rodata", tree)

	md := make([]byte, 640)
	f := off["moduledata"]
	set := func(field string, v ...uint64) {
		o, ok := f[field]
		if !ok {
			t.Fatalf("no moduledata.%s", field)
		}
		for i := range v {
			word(md, o+8*int64(i), v[i])
		}
	}
	pc := addrs[".gopclntab"]
	set("pcHeader", pc)
	set("funcnametab", pc+addrs["funcnameOffset"], uint64(len(names)))
	set("cutab", pc+addrs["cuOffset"], 1)
	set("filetab", pc+addrs["filetabOffset"], uint64(len(files)))
	set("pctab", pc+addrs["pctabOffset"], uint64(len(pctab)))
	set("pclntable", pc+addrs["pclnOffset"], uint64(len(ftab)))
	set("ftab", pc+addrs["pclnOffset"], 3)
	set("text", addrs[".text"])
	set("etext", addrs[".text"]+uint64(len(text)))
	set("gofunc", addrs[".rodata"])
	set("types", addrs[".rodata"])
	set("rodata", addrs[".rodata"])
	place(".data", md)

	info := append([]byte("\xff Go buildinf:\x08\x02"), make([]byte, 16)...)
	info = append(info, byte(len(runtime.Version())))
	info = append(info, runtime.Version()...)
	info = append(info, 0)
	place(".go.buildinfo", info)
	note := []byte("\x04\x00\x00\x00\x07\x00\x00\x00\x04\x00\x00\x00Go\x00\x00a/b/c/d\x00")
	place(".note.go.buildid", note)
	strtab := []byte("\x00main.one\x00main.v\x00")
	place(".strtab", strtab)
	sym := make([]byte, 24, 72)
	for _, s := range []elf.Sym64{
		{Name: 1, Info: byte(elf.STT_FUNC), Shndx: 1, Value: addrs[".text"], Size: 32},
		{Name: 10, Info: byte(elf.STT_OBJECT), Shndx: 4, Value: addrs[".data"], Size: 8},
	} {
		var err error
		if sym, err = binary.Append(sym, binary.LittleEndian, s); err != nil {
			t.Fatal(err)
		}
	}
	place(".symtab", sym)

	sections := []section{
		{}, {".text", elf.SHT_PROGBITS, elf.SHF_ALLOC | elf.SHF_EXECINSTR, text, 0},
		{".gopclntab", elf.SHT_PROGBITS, elf.SHF_ALLOC, pcln, 0}, {".rodata", elf.SHT_PROGBITS, elf.SHF_ALLOC, tree, 0},
		{".data", elf.SHT_PROGBITS, elf.SHF_ALLOC | elf.SHF_WRITE, md, 0}, {".go.buildinfo", elf.SHT_PROGBITS, elf.SHF_ALLOC, info, 0},
		{".note.go.buildid", elf.SHT_NOTE, elf.SHF_ALLOC, note, 0}, {".strtab", elf.SHT_STRTAB, 0, strtab, 0},
		{".symtab", elf.SHT_SYMTAB, 0, sym, 7},
	}
	var shstr []byte
	var table []elf.Section64
	for _, s := range sections {
		h := elf.Section64{Name: uint32(len(shstr)), Type: uint32(s.typ), Flags: uint64(s.flag), Size: uint64(len(s.data)), Link: s.link, Addralign: 1}
		if s.name != "" {
			h.Addr, h.Off = addrs[s.name], addrs[s.name]-base
		}
		shstr = append(append(shstr, s.name...), 0)
		table = append(table, h)
	}
	table = append(table, elf.Section64{Name: uint32(len(shstr)), Type: uint32(elf.SHT_STRTAB), Off: uint64(len(file)), Size: uint64(len(shstr) + 10), Addralign: 1})
	file = append(append(file, shstr...), ".shstrtab\x00"...)
	head := elf.Header64{
		Ident: [16]byte{0x7f, 'E', 'L', 'F', 2, 1, 1}, Type: uint16(elf.ET_EXEC), Machine: uint16(elf.EM_X86_64), Version: 1,
		Phoff: 64, Shoff: uint64(len(file)), Ehsize: 64, Phentsize: 56, Phnum: 1, Shentsize: 64, Shnum: uint16(len(table)), Shstrndx: uint16(len(table) - 1),
	}
	prog := elf.Prog64{Type: uint32(elf.PT_LOAD), Flags: 7, Vaddr: base, Filesz: uint64(len(file)), Memsz: uint64(len(file)) + 64, Align: 0x1000}
	var start bytes.Buffer
	for _, v := range []any{head, prog} {
		if err := binary.Write(&start, binary.LittleEndian, v); err != nil {
			t.Fatal(err)
		}
	}
	copy(file, start.Bytes())
	file, err := binary.Append(file, binary.LittleEndian, table)
	if err != nil {
		t.Fatal(err)
	}
	return file
}

func TestTinyELF(t *testing.T) {
	off := runtimeOffsets(t, goCommand(t, "local", "env", "GOROOT"))
	im, err := read(tinyELF(t, off), func(string) (Offsets, error) { return off, nil })
	if err != nil {
		t.Fatal(err)
	}
	if im.BuildID != "a/b/c/d" || im.GoVersion != runtime.Version() || im.NumFuncs() != 2 || im.Stripped {
		t.Errorf("%q, %q, %d functions", im.BuildID, im.GoVersion, im.NumFuncs())
	}
	two, ok := im.FuncByName("main.two")
	if !ok || two.Entry != im.Module.Text+32 || two.End != im.Module.Text+64 || two.StartLine() != 9 {
		t.Errorf("main.two: %+v", two)
	}
	lines, err := im.PCTable(two.Field(FieldPCLine))
	if want := []PCRange{{0, 10, 9}, {10, 32, 11}}; err != nil || !slices.Equal(lines, want) {
		t.Errorf("lines are %v, want %v (%v)", lines, want, err)
	}
	if file, line, ok := two.Position(two.Entry + 12); file != "main.go" || line != 11 || !ok {
		t.Errorf("position is %s:%d", file, line)
	}
	tree, err := two.InlineTree()
	if want := []InlinedCall{{Name: "main.in", StartLine: 3}}; err != nil || !slices.Equal(tree, want) {
		t.Errorf("inline tree is %v, want %v (%v)", tree, want, err)
	}
	if syms := slices.Collect(im.Symbols()); len(syms) != 2 || syms[0].Name != "main.one" || !syms[0].Func || syms[1].Name != "main.v" || syms[1].Func {
		t.Errorf("symbols are %v", syms)
	}
	if _, err := im.PCTable(1 << 20); err == nil {
		t.Error("table outside of all tables")
	}
	if w, err := im.Word(two.FieldAddr(FieldPCLine)); err != nil || uint32(w) != 4 {
		t.Errorf("field address leads to %d, %v", uint32(w), err)
	}
}

// FuzzImage reads executables of any bytes, and asks all that needs no objects.
func FuzzImage(f *testing.F) {
	off := runtimeOffsets(f, goCommand(f, "local", "env", "GOROOT"))
	layout := func(string) (Offsets, error) { return off, nil }
	f.Add(tinyELF(f, off))
	f.Fuzz(func(t *testing.T, data []byte) {
		im, err := read(data, layout)
		if err != nil {
			return
		}
		for fn := range im.Funcs() {
			if fn.End < fn.Entry {
				t.Fatalf("function from %#x to %#x", fn.Entry, fn.End)
			}
			for field := range numFuncFields {
				if b, err := im.Bytes(fn.FieldAddr(field), 1); err == nil && b[0] != byte(fn.Field(field)) {
					t.Fatalf("field %d is not where it is said to be", field)
				}
			}
			for i := -1; i <= fn.NumPCData(); i++ {
				if _, err := im.PCTable(fn.PCData(i)); err != nil {
					fn.PCValue(fn.PCData(i), fn.Entry)
				}
			}
			for i := -1; i <= fn.NumFuncData(); i++ {
				fn.FuncData(i)
			}
			fn.Position(fn.Entry)
			fn.File(-1)
			if _, err := fn.InlineTree(); err != nil && len(im.FuncsByName(fn.Name())) == 0 {
				t.Fatalf("%s is not found by its name", fn.Name())
			}
			im.FuncAt(fn.Entry)
		}
		for s := range im.Symbols() {
			im.InMemory(s.Addr, s.Size)
			im.FuncAt(s.Addr)
		}
		links, err1 := im.Typelinks()
		itabs, err2 := im.Itabs()
		if err1 != nil && links != nil || err2 != nil && itabs != nil {
			t.Fatal("a list in spite of an error")
		}
		invert(im, object.NewLibrary(new(object.Tables)), true)
	})
}

// FuzzIndex decodes indexes of any bytes.
func FuzzIndex(f *testing.F) {
	off := runtimeOffsets(f, goCommand(f, "local", "env", "GOROOT"))
	im, err := read(tinyELF(f, off), func(string) (Offsets, error) { return off, nil })
	if err != nil {
		f.Fatal(err)
	}
	lib := object.NewLibrary(new(object.Tables))
	f.Add(encode(&inversion{im: im, lib: lib}))
	f.Fuzz(func(t *testing.T, data []byte) {
		ix, err := Decode(data, im, lib)
		if err != nil {
			// Most damage is found by the checksum; look behind it.
			if len(data) < headSize+crcSize {
				return
			}
			data = sealed(slices.Clone(data))
			if ix, err = Decode(data, im, lib); err != nil {
				return
			}
		}
		if !bytes.Equal(ix.Encode(), data) {
			t.Fatal("encoded form is another")
		}
		for e := range ix.All("") {
			ix.Addr(e.Name, e.ABI)
			ix.Addrs(e.Name, e.ABI)
		}
		ix.findLocals()
		ix.hashed(object.ContentHash{})
	})
}
