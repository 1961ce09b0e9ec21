package image

import (
	"debug/elf"
	"iter"
	"unsafe"
)

// Symbol is an entry of the ELF symbol table that is defined in the executable.
type Symbol struct {
	Name       string // functions of ABI0 that have an ABIInternal twin end in ".abi0"; '·' is '.'
	Addr, Size uint64
	Func       bool // else data
	Global     bool // its name is the only one of its kind in the executable
}

// Symbols iterates over the functions and data of the ELF symbol table. The names alias
// the file.
func (im *Image) Symbols() iter.Seq[Symbol] {
	return func(yield func(Symbol) bool) {
		for t := im.symtab; len(t) >= elf.Sym64Size; t = t[elf.Sym64Size:] {
			typ := elf.ST_TYPE(t[4])
			shndx := elf.SectionIndex(le.Uint16(t[6:]))
			if typ != elf.STT_FUNC && typ != elf.STT_OBJECT || shndx == elf.SHN_UNDEF || shndx >= elf.SHN_LORESERVE {
				continue
			}
			s := Symbol{
				Name:   cstring(im.strtab, uint64(le.Uint32(t))),
				Addr:   le.Uint64(t[8:]),
				Size:   le.Uint64(t[16:]),
				Func:   typ == elf.STT_FUNC,
				Global: elf.ST_BIND(t[4]) != elf.STB_LOCAL,
			}
			if s.Name != "" && !yield(s) {
				return
			}
		}
	}
}

// cstring returns the string up to a zero byte, without a copy; "" when there is none.
func cstring(b []byte, off uint64) string {
	if off >= uint64(len(b)) {
		return ""
	}
	b = b[off:]
	for i, c := range b {
		if c == 0 {
			if i == 0 {
				return ""
			}
			return unsafe.String(&b[0], i)
		}
	}
	return ""
}
