package image

import (
	"bytes"
	"cmp"
	"debug/buildinfo"
	"debug/elf"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"slices"
	"sort"
	"syscall"
)

var le = binary.LittleEndian

// Image is an executable file. It is immutable, and safe for concurrent use.
type Image struct {
	Path      string
	BuildID   string // the Go build ID, from its ELF note
	GoVersion string // such as "go1.26.8"
	PIE       bool   // position-independent executable
	Race      bool   // built with -race
	Stripped  bool   // without an ELF symbol table
	Module    ModuleData

	file     []byte
	unmap    bool
	segments []segment
	sections []Section
	relative []relative // sorted by address
	symtab   []byte
	strtab   []byte
	funcs    funcTable
	itabs    itabLayout
}

// segment is a part of the address space that the file describes.
type segment struct {
	addr, size uint64 // in memory
	data       []byte // what the file has of it; the rest is zero
	write      bool
}

// Section is an ELF section that is in memory.
type Section struct {
	Name        string
	Addr, Size  uint64
	Data        []byte // nil when it is all zero
	Write, Exec bool
}

// relative is a dynamic relocation R_X86_64_RELATIVE: the word at addr becomes value plus
// the bias.
type relative struct{ addr, value uint64 }

// Open maps an executable and reads its headers and function tables. layout tells where
// the runtime of a Go version has its fields.
func Open(path string, layout func(goVersion string) (Offsets, error)) (*Image, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("executable: %w", err)
	}
	defer f.Close()
	st, err := f.Stat()
	if err != nil {
		return nil, fmt.Errorf("executable: %w", err)
	}
	if st.Size() == 0 {
		return nil, fmt.Errorf("%s: file is empty", path)
	}
	data, err := syscall.Mmap(int(f.Fd()), 0, int(st.Size()), syscall.PROT_READ, syscall.MAP_PRIVATE)
	if err != nil {
		return nil, fmt.Errorf("%s: map: %w", path, err)
	}
	im, err := read(data, layout)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("%s: %w", path, err), syscall.Munmap(data))
	}
	im.Path, im.unmap = path, true
	return im, nil
}

// Rest gives back the memory that the file takes. It stays mapped: what is used of it again is read again.
func (im *Image) Rest() error {
	if !im.unmap {
		return nil
	}
	return syscall.Madvise(im.file, syscall.MADV_DONTNEED)
}

// Close unmaps the file. Nothing that was read from it may be used afterwards.
func (im *Image) Close() error {
	if !im.unmap {
		return nil
	}
	im.unmap = false
	return syscall.Munmap(im.file)
}

// read makes an Image of an executable's bytes.
func read(data []byte, layout func(string) (Offsets, error)) (*Image, error) {
	f, err := elf.NewFile(bytes.NewReader(data))
	if err != nil {
		return nil, err
	}
	if f.Class != elf.ELFCLASS64 || f.Machine != elf.EM_X86_64 || f.Type != elf.ET_EXEC && f.Type != elf.ET_DYN {
		return nil, fmt.Errorf("not an executable for linux/amd64 but %s %s %s", f.Class, f.Machine, f.Type)
	}
	im := &Image{file: data, PIE: f.Type == elf.ET_DYN}
	if err := im.readSegments(f); err != nil {
		return nil, err
	}
	im.readSections(f)
	im.readSymtab(f)
	if err := im.readBuildID(f); err != nil {
		return nil, err
	}
	info, err := buildinfo.Read(bytes.NewReader(data))
	if err != nil {
		return nil, fmt.Errorf("version of Go: %w", err)
	}
	im.GoVersion = info.GoVersion
	off, err := layout(im.GoVersion)
	if err != nil {
		return nil, fmt.Errorf("layout of %s: %w", im.GoVersion, err)
	}
	if err := im.readModule(off); err != nil {
		return nil, err
	}
	for range im.FuncsByName("runtime.raceinit") {
		im.Race = true
	}
	return im, nil
}

// slice returns a part of the file, and false when it is not in it.
func (im *Image) slice(off, size uint64) ([]byte, bool) {
	if off > uint64(len(im.file)) || size > uint64(len(im.file))-off {
		return nil, false
	}
	return im.file[off : off+size : off+size], true
}

func (im *Image) readSegments(f *elf.File) error {
	for i, p := range f.Progs {
		if p.Type != elf.PT_LOAD {
			continue
		}
		data, ok := im.slice(p.Off, p.Filesz)
		if !ok || p.Filesz > p.Memsz || p.Vaddr+p.Memsz < p.Vaddr {
			return fmt.Errorf("segment %d is not sound", i)
		}
		im.segments = append(im.segments, segment{p.Vaddr, p.Memsz, data, p.Flags&elf.PF_W != 0})
	}
	slices.SortFunc(im.segments, func(a, b segment) int { return cmp.Compare(a.addr, b.addr) })
	return nil
}

func (im *Image) readSections(f *elf.File) {
	for _, s := range f.Sections {
		if s.Flags&elf.SHF_ALLOC == 0 || s.Flags&elf.SHF_TLS != 0 {
			continue
		}
		sec := Section{Name: s.Name, Addr: s.Addr, Size: s.Size,
			Write: s.Flags&elf.SHF_WRITE != 0, Exec: s.Flags&elf.SHF_EXECINSTR != 0}
		if s.Type != elf.SHT_NOBITS {
			sec.Data, _ = im.slice(s.Offset, s.FileSize)
		}
		im.sections = append(im.sections, sec)
		if s.Type == elf.SHT_RELA {
			im.readRelative(sec.Data)
		}
	}
	slices.SortFunc(im.relative, func(a, b relative) int { return cmp.Compare(a.addr, b.addr) })
}

// readRelative collects the RELATIVE relocations of a table of Elf64_Rela. Those of the
// packed kind (DT_RELR) need no table: their words hold the value.
func (im *Image) readRelative(table []byte) {
	const size = 24
	for ; len(table) >= size; table = table[size:] {
		if elf.R_X86_64(le.Uint64(table[8:])) == elf.R_X86_64_RELATIVE {
			im.relative = append(im.relative, relative{le.Uint64(table), le.Uint64(table[16:])})
		}
	}
}

func (im *Image) readSymtab(f *elf.File) {
	im.Stripped = true
	for _, s := range f.Sections {
		if s.Type != elf.SHT_SYMTAB || int(s.Link) >= len(f.Sections) {
			continue
		}
		str := f.Sections[s.Link]
		symtab, ok1 := im.slice(s.Offset, s.FileSize)
		strtab, ok2 := im.slice(str.Offset, str.FileSize)
		if ok1 && ok2 {
			im.symtab, im.strtab, im.Stripped = symtab, strtab, false
		}
	}
}

// readBuildID finds the note "Go" of type 4 (cmd/internal/buildid/note.go, Go 1.26).
func (im *Image) readBuildID(f *elf.File) error {
	var notes [][]byte
	for _, s := range f.Sections {
		if s.Type == elf.SHT_NOTE {
			data, _ := im.slice(s.Offset, s.FileSize)
			notes = append(notes, data)
		}
	}
	for _, p := range f.Progs {
		if p.Type == elf.PT_NOTE {
			data, _ := im.slice(p.Off, p.Filesz)
			notes = append(notes, data)
		}
	}
	for _, n := range notes {
		for len(n) >= 12 {
			name, desc, typ := uint64(le.Uint32(n)), uint64(le.Uint32(n[4:])), le.Uint32(n[8:])
			n = n[12:]
			nameEnd, descEnd := (name+3)&^3, (name+3)&^3+(desc+3)&^3
			if nameEnd+desc > uint64(len(n)) {
				break
			}
			if typ == 4 && name == 4 && string(n[:4]) == "Go\x00\x00" {
				im.BuildID = string(n[nameEnd : nameEnd+desc])
				return nil
			}
			n = n[min(descEnd, uint64(len(n))):]
		}
	}
	return errors.New("no Go build ID")
}

// segmentAt returns the segment that an address lies in.
func (im *Image) segmentAt(addr uint64) *segment {
	i := sort.Search(len(im.segments), func(i int) bool { return im.segments[i].addr > addr })
	if i == 0 || addr-im.segments[i-1].addr >= im.segments[i-1].size {
		return nil
	}
	return &im.segments[i-1]
}

// Bytes returns the n bytes that the file has for an address: of a PIE before dynamic
// relocation. It fails where the file has none, as for zeroed data.
func (im *Image) Bytes(addr uint64, n int) ([]byte, error) {
	if s := im.segmentAt(addr); s != nil && n >= 0 {
		if off := addr - s.addr; off <= uint64(len(s.data)) && uint64(n) <= uint64(len(s.data))-off {
			return s.data[off : off+uint64(n) : off+uint64(n)], nil
		}
	}
	return nil, fmt.Errorf("address %#x: the executable has no %d bytes there", addr, n)
}

// InMemory reports whether n bytes from an address belong to the executable's memory,
// and whether they are zeroed: not in the file.
func (im *Image) InMemory(addr uint64, n uint64) (ok, zeroed bool) {
	s := im.segmentAt(addr)
	if s == nil || n > s.size-(addr-s.addr) {
		return false, false
	}
	return true, addr-s.addr >= uint64(len(s.data))
}

// Word returns the 8-byte word at an address as it is in memory, less the bias: a
// dynamic relocation without symbol is applied.
func (im *Image) Word(addr uint64) (uint64, error) {
	if i, ok := slices.BinarySearchFunc(im.relative, addr, func(r relative, a uint64) int { return cmp.Compare(r.addr, a) }); ok {
		return im.relative[i].value, nil
	}
	b, err := im.Bytes(addr, 8)
	if err != nil {
		if ok, zeroed := im.InMemory(addr, 8); ok && zeroed {
			return 0, nil
		}
		return 0, err
	}
	return le.Uint64(b), nil
}

// Section returns the section of a name that is in memory.
func (im *Image) Section(name string) (Section, bool) {
	for _, s := range im.sections {
		if s.Name == name {
			return s, true
		}
	}
	return Section{}, false
}

// Sections returns all sections that are in memory, in the file's order.
func (im *Image) Sections() []Section { return im.sections }

// Relocated reports whether the word at an address is a pointer that a dynamic relocation
// fills in, so that in memory the bias is part of it.
func (im *Image) Relocated(addr uint64) bool {
	_, ok := slices.BinarySearchFunc(im.relative, addr, func(r relative, a uint64) int { return cmp.Compare(r.addr, a) })
	return ok
}
