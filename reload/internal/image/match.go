package image

import (
	"bytes"

	"github.com/limeade-go/limeade/reload/internal/object"
)

// matcher compares definitions with the executable's bytes.
type matcher struct {
	im  *Image
	buf []byte // reused
}

// matches reports whether a definition may be what the executable has at an address: in
// memory of the right sort, aligned, and equal but for what the linker writes into it.
func (m *matcher) matches(def object.Sym, addr uint64) bool {
	kind, size, data := def.Kind(), uint64(def.Size()), def.Data()
	md := &m.im.Module
	inText := md.Text <= addr && addr < md.EText
	if inText != (kind == object.Text) || uint64(len(data)) > size {
		return false
	}
	if align := uint64(def.Align()); align != 0 && addr%align != 0 {
		return false
	}
	switch kind {
	case object.Unknown, object.DWARF, object.TLSBSS, object.SEHUnwindInfo:
		return false
	}
	ok, zeroed := m.im.InMemory(addr, size)
	if !ok && size != 0 {
		return false
	}
	if size == 0 || zeroed {
		return len(data) == 0
	}
	host, err := m.im.Bytes(addr, int(size))
	if err != nil {
		return false
	}
	if def.NumRelocs() == 0 {
		return bytes.Equal(host[:len(data)], data) && allZero(host[len(data):])
	}
	m.buf = append(m.buf[:0], host...)
	for r := range def.Relocs() {
		if r.IsMarker() {
			continue
		}
		lo, hi := int(r.Off)-rewritten(r.Type), int(r.Off)+int(r.Size)
		if lo < 0 || hi > len(m.buf) {
			return false
		}
		n := 0
		if lo < len(data) {
			n = copy(m.buf[lo:hi], data[lo:])
		}
		clear(m.buf[lo+n : hi])
	}
	return bytes.Equal(m.buf[:len(data)], data) && allZero(m.buf[len(data):])
}

// rewritten returns how many bytes before a relocation's field linkers may change with
// it: prefix, opcode and operand of MOVQ off(IP), reg when the offset of a thread-local
// variable becomes constant (cmd/link/internal/amd64/asm.go, tlsIEtoLE), the opcode when
// a load from the GOT becomes a LEAQ.
func rewritten(t object.RelocType) int {
	switch t {
	case object.TLSIE:
		return 3
	case object.GOTPCRel:
		return 2
	}
	return 0
}

func allZero(b []byte) bool {
	for _, c := range b {
		if c != 0 {
			return false
		}
	}
	return true
}

// hasTable reports whether one of the function's tables is that of an object file.
func (f Func) hasTable(field FuncField, table object.Sym) bool {
	off := uint64(f.Field(field))
	if off == 0 || off > uint64(len(f.t.pctab)) {
		return off == 0 && len(table.Data()) == 0
	}
	return bytes.HasPrefix(f.t.pctab[off:], table.Data())
}
