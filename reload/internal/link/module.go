package link

import (
	"cmp"
	"fmt"
	"slices"

	"github.com/limeade-go/limeade/reload/internal/object"
)

// tables makes the moduledata and what it points to beside the function tables.
func (l *linker) tables() error {
	if l.tab.nfunc == 0 {
		return nil
	}
	mask, err := l.ptrMask()
	if err != nil {
		return err
	}
	l.ro.write(l.mask, mask)
	md, ok := l.host.Layout.Struct("moduledata")
	if !ok {
		return fmt.Errorf("layout of moduledata is unknown")
	}
	set := func(field string, v uint64) {
		if f, ok := md.Fields[field]; ok {
			l.data.u64(l.module+uint64(f.Offset), v)
		}
	}
	slice := func(field string, addr uint64, n int) {
		if f, ok := md.Fields[field]; ok {
			at := l.module + uint64(f.Offset)
			l.data.u64(at, addr)
			l.data.u64(at+8, uint64(n))
			l.data.u64(at+16, uint64(n))
		}
	}
	t, m, bias := &l.tab, &l.host.Image.Module, l.state.Bias
	minpc, maxpc := l.textRange()
	set("pcHeader", t.header.addr)
	slice("funcnametab", t.names.addr, t.names.n)
	// Lines and files of these functions may stand in later patches.
	slice("cutab", t.cutab.addr, int(l.state.ArenaHi-t.cutab.addr)/4)
	slice("filetab", t.filetab.addr, int(l.state.ArenaHi-t.filetab.addr))
	slice("pctab", t.pctab.addr, int(l.state.ArenaHi-t.pctab.addr))
	slice("pclntable", t.functab.addr, t.functab.n)
	slice("ftab", t.functab.addr, t.nfunc+1)
	set("findfunctab", t.findfunctab.addr)
	set("minpc", minpc)
	set("maxpc", maxpc)
	// Offsets of text, types and read-only data count from the image's, so that they mean the same
	// wherever they are read.
	set("text", m.Text+bias)
	set("etext", maxpc)
	set("types", m.Types+bias)
	set("rodata", m.ROData+bias)
	set("etypes", l.ro.end())
	set("gofunc", l.ro.base)
	set("epclntab", l.ro.end())
	dataEnd := l.data.end()
	set("data", l.data.base)
	set("edata", l.data.base+l.ptrs)
	set("noptrdata", l.data.base+l.ptrs)
	set("enoptrdata", dataEnd)
	set("bss", dataEnd)
	set("ebss", dataEnd)
	set("noptrbss", dataEnd)
	set("enoptrbss", dataEnd+l.bss)
	set("end", dataEnd+l.bss)
	bits, ok := l.host.Layout.Struct("bitvector")
	if !ok {
		return fmt.Errorf("layout of bitvector is unknown")
	}
	for field, n := range map[string]uint64{"gcdatamask": l.ptrs / 8, "gcbssmask": 0} {
		at := l.module + uint64(md.Fields[field].Offset)
		l.data.u32(at+uint64(bits.Fields["n"].Offset), uint32(n))
		l.data.u64(at+uint64(bits.Fields["bytedata"].Offset), l.mask)
	}
	return l.sortTypes(slice)
}

func (l *linker) textRange() (lo, hi uint64) {
	for _, n := range l.nodes {
		if n.seg == segText {
			if lo == 0 {
				lo = n.addr
			}
			hi = n.addr + uint64(n.sym.Size())
		}
	}
	return lo, hi
}

// linkedTypes returns the patch's types that reflection must find by their string.
func (l *linker) linkedTypes() []*node {
	var types []*node
	for _, n := range l.nodes {
		if n.sym.IsGoType() && n.sym.Typelink() && !n.shadow {
			types = append(types, n)
		}
	}
	return types
}

// sortTypes writes their list, in the order of their strings, by which it is searched
// (reflect/type.go, typesByString).
func (l *linker) sortTypes(slice func(string, uint64, int)) error {
	types := l.linkedTypes()
	if len(types) == 0 {
		return nil
	}
	slices.SortStableFunc(types, func(a, b *node) int {
		return cmp.Compare(l.typeString(a.sym), l.typeString(b.sym))
	})
	base, _ := l.bases()
	md, _ := l.host.Layout.Struct("moduledata")
	if _, ok := md.Fields["typelinks"]; ok {
		for i, n := range types {
			l.ro.u32(l.typelinks+uint64(4*i), uint32(n.addr-base))
		}
		slice("typelinks", l.typelinks, len(types))
		return nil
	}
	for i, n := range types {
		l.ro.u64(l.typelinks+uint64(8*i), n.addr)
	}
	l.nTypelinks = len(types)
	return nil
}

// typeString returns what reflect calls a type: the Str of its head, without the star that a pointer
// type lends it (internal/abi/type.go, TFlagExtraStar).
func (l *linker) typeString(t object.Sym) string {
	layout, ok := l.host.Layout.Struct("abi.Type")
	if !ok {
		return t.Name()
	}
	s := typeName(l.libOf(t).Resolve(relocAt(t, layout.Fields["Str"].Offset)))
	const tflagExtraStar = 1 << 1
	if data := t.Data(); int64(len(data)) >= layout.Size && data[layout.Fields["TFlag"].Offset]&tflagExtraStar != 0 && s != "" {
		return s[1:]
	}
	return s
}
