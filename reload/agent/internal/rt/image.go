//go:build linux && amd64 && go1.25

package rt

import (
	"errors"
	"unsafe"
)

// An Image is the running executable, as it lies in memory.
type Image struct {
	// BuildID is the Go build ID.
	BuildID string
	// Bias is load address − link address; TextBase the address of runtime.text.
	Bias, TextBase uint64
	// [Lo, Hi) is from the first to the last byte of its segments, page aligned.
	Lo, Hi uint64
	// Segments are its PT_LOAD ones, page aligned, by address.
	Segments []Range
}

// A Range is the addresses [Lo, Hi).
type Range struct{ Lo, Hi uint64 }

// Contains reports whether the n bytes at addr lie in one segment of the image.
func (im *Image) Contains(addr, n uint64) bool {
	for _, s := range im.Segments {
		if addr >= s.Lo && addr < s.Hi && n <= s.Hi-addr {
			return true
		}
	}
	return false
}

// Numbers of ELF (elf(5)), for the 64-bit format that the kernel has accepted already.
const (
	atPhdr  = 3
	atPhnum = 5

	ehdrSize  = 64
	phdrSize  = 56
	ptLoad    = 1
	ptNote    = 4
	noteBuild = 4 // "Go", cmd/internal/buildid/note.go
)

// ReadImage reads the program's headers and its build ID from memory: the file may have been replaced since the start.
//
//go:norace
//go:nocheckptr
func ReadImage() (*Image, error) {
	var phdr, phnum uintptr
	auxv := getAuxv()
	for i := 0; i+1 < len(auxv); i += 2 {
		switch auxv[i] {
		case atPhdr:
			phdr = auxv[i+1]
		case atPhnum:
			phnum = auxv[i+1]
		}
	}
	if phdr == 0 || phnum == 0 || phnum > 1024 {
		return nil, errors.New("program headers: the kernel did not say where they are")
	}
	ehdr := phdr - ehdrSize
	if load32(ehdr) != 0x464c457f || load(ehdr+32) != ehdrSize {
		return nil, errors.New("program headers: they do not follow an ELF header (was the program started through ld.so?)")
	}
	im := &Image{TextBase: uint64(uintptr(unsafe.Pointer(&text)))}
	based := false
	for i := uintptr(0); i < phnum; i++ {
		p := phdr + i*phdrSize
		if load32(p) == ptLoad && load(p+8) == 0 {
			im.Bias = uint64(ehdr - load(p+16))
			based = true
		}
	}
	if !based {
		return nil, errors.New("program headers: no segment begins the file")
	}
	for i := uintptr(0); i < phnum; i++ {
		p := phdr + i*phdrSize
		lo := uint64(load(p+16)) + im.Bias
		size := load(p + 40)
		switch load32(p) {
		case ptLoad:
			s := Range{lo &^ (pageSize - 1), (lo + uint64(size) + pageSize - 1) &^ (pageSize - 1)}
			im.Segments = append(im.Segments, s)
			if im.Lo == 0 || s.Lo < im.Lo {
				im.Lo = s.Lo
			}
			if s.Hi > im.Hi {
				im.Hi = s.Hi
			}
		case ptNote:
			if id := buildID(bytesAt(uintptr(lo), size)); id != "" {
				im.BuildID = id
			}
		}
	}
	if im.BuildID == "" {
		return nil, errors.New("program headers: they hold no Go build ID")
	}
	return im, nil
}

// buildID returns the Go build ID of a segment of notes, "" if it has none.
func buildID(notes []byte) string {
	word := func(b []byte) int { return int(b[0]) | int(b[1])<<8 | int(b[2])<<16 | int(b[3])<<24 }
	for len(notes) >= 12 {
		name, desc, kind := word(notes), word(notes[4:]), word(notes[8:])
		notes = notes[12:]
		padded := (name+3)&^3 + (desc+3)&^3
		if name < 0 || desc < 0 || padded > len(notes) {
			return ""
		}
		if kind == noteBuild && name == 4 && string(notes[:4]) == "Go\x00\x00" {
			return string(notes[4 : 4+desc])
		}
		notes = notes[padded:]
	}
	return ""
}
