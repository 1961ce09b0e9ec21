package link

import (
	"encoding/binary"
	"fmt"

	"github.com/limeade-go/limeade/reload/internal/object"
	"github.com/limeade-go/limeade/reload/patch"
)

// The patch's memory, from Origin up. Each of the three parts begins on a page boundary.
//
//	text    functions
//	rodata  read-only symbols; itab slots; pcheader, funcnametab, cutab, filetab, pctab, functab,
//	        inline trees, findfunctab; typelinks; moved line tables; GC mask
//	data    symbols with pointers; symbols without; moduledata; then the zeroed symbols, as BSS
type layoutState struct {
	text, ro, data section
	bss            uint64 // bytes behind data
	ptrs           uint64 // bytes of data that hold pointers: the GC's root
	module         uint64 // address of the moduledata
	mask           uint64 // address of the GC mask of the data
	typelinks      uint64 // address of the sorted type addresses
	nTypelinks     int
	out            *patch.Patch
	tab            tables
	moved          []movedLine
	fileEntries    map[fileKey]uint32 // of files that code moved to
}

// A section is a part of the patch while it grows.
type section struct {
	base uint64
	buf  []byte
	fill byte
}

func (s *section) end() uint64 { return s.base + uint64(len(s.buf)) }

func (s *section) align(n int) {
	for len(s.buf)%n != 0 {
		s.buf = append(s.buf, s.fill)
	}
}

// room appends n zero bytes at an alignment, and returns their address.
func (s *section) room(n, align int) uint64 {
	s.align(align)
	addr := s.end()
	s.buf = append(s.buf, make([]byte, n)...)
	return addr
}

func (s *section) write(addr uint64, b []byte) { copy(s.buf[addr-s.base:], b) }

func (s *section) u32(addr uint64, v uint32) {
	binary.LittleEndian.PutUint32(s.buf[addr-s.base:], v)
}

func (s *section) u64(addr uint64, v uint64) {
	binary.LittleEndian.PutUint64(s.buf[addr-s.base:], v)
}

func pageAlign(a uint64) uint64 { return (a + patch.PageSize - 1) &^ (patch.PageSize - 1) }

// funcAlign is the alignment of functions (cmd/link/internal/amd64/l.go).
const funcAlign = 32

// place gives every symbol of the patch its address.
func (l *linker) place() error {
	l.text = section{base: l.state.ArenaNext, fill: 0xcc} // INT3, as cmd/link pads
	for _, n := range l.nodes {
		if n.seg != segText {
			continue
		}
		align := max(funcAlign, int(n.sym.Align()))
		if align > patch.PageSize {
			return refuse(n.key.Name, "wants an alignment of %d bytes", align)
		}
		size := int(n.sym.Size())
		n.addr = l.text.room(size, align)
		l.text.write(n.addr, n.sym.Data())
	}
	l.text.align(funcAlign)

	l.ro = section{base: pageAlign(l.text.end())}
	for _, n := range l.nodes {
		if n.seg == segROData {
			n.addr = l.ro.room(int(n.sym.Size()), alignOf(n.sym))
			l.ro.write(n.addr, n.sym.Data())
		}
	}
	for _, it := range l.itabs {
		it.slot = l.ro.room(8, 8)
	}
	if err := l.buildTables(); err != nil {
		return err
	}

	// The size of the data decides that of its GC mask, which lies before it: lay it out from 0 first.
	var placed []*node
	for _, seg := range []segment{segData, segNoPtr} {
		for _, n := range l.nodes {
			if n.seg == seg {
				n.addr = l.data.room(int(n.sym.Size()), alignOf(n.sym))
				l.data.write(n.addr, n.sym.Data())
				placed = append(placed, n)
			}
		}
		if seg == segData {
			l.data.align(8)
			l.ptrs = l.data.end()
		}
	}
	md, ok := l.host.Layout.Struct("moduledata")
	if !ok {
		return fmt.Errorf("layout of moduledata is unknown")
	}
	l.module = l.data.room(int(md.Size), 16)
	l.data.align(16)
	end := l.data.end()
	for _, n := range l.nodes {
		if n.seg == segNoPtrZ {
			align := uint64(alignOf(n.sym))
			end = (end + align - 1) &^ (align - 1)
			n.addr = end
			end += uint64(n.sym.Size())
			placed = append(placed, n)
		}
	}
	l.bss = end - l.data.end()

	l.mask = l.ro.room(int(l.ptrs/64)+8, 8)
	l.typelinks = l.ro.room(8*len(l.linkedTypes()), 8)
	l.data.base = pageAlign(l.ro.end())
	for _, n := range placed {
		n.addr += l.data.base
	}
	l.module += l.data.base
	if top := pageAlign(end + l.data.base); top > l.state.ArenaHi {
		return refuse("patch", "needs %d KiB where %d KiB are left within reach of the program: restart it", (top-l.state.ArenaNext)>>10, (l.state.ArenaHi-l.state.ArenaNext)>>10)
	}
	return nil
}

// alignOf returns a data symbol's alignment: its own, else the largest power of two up to 32 that its
// size fills (cmd/link/internal/ld/data.go, symalign).
func alignOf(s object.Sym) int {
	if a := int(s.Align()); a > 0 {
		return a
	}
	align := 32
	for align > int(s.Size()) && align > 1 {
		align >>= 1
	}
	return align
}

// bases returns what type and text offsets in the process count from.
func (l *linker) bases() (types, text uint64) {
	m := &l.host.Image.Module
	return m.Types + l.state.Bias, m.Text + l.state.Bias
}

// current returns n bytes of the process as they are before this patch.
func (l *linker) current(addr uint64, n int) ([]byte, error) {
	if b, ok := l.state.Memory[addr]; ok && len(b) >= n {
		return b[:n], nil
	}
	if b, ok := l.state.chunk(addr, n); ok {
		return b, nil
	}
	if n == 8 {
		v, err := l.host.Image.Word(addr - l.state.Bias)
		if err != nil {
			return nil, fmt.Errorf("%#x: %w", addr, err)
		}
		if l.host.Image.Relocated(addr - l.state.Bias) {
			v += l.state.Bias
		}
		return binary.LittleEndian.AppendUint64(nil, v), nil
	}
	b, err := l.host.Image.Bytes(addr-l.state.Bias, n)
	if err != nil {
		return nil, fmt.Errorf("%#x: %w", addr, err)
	}
	return b, nil
}
