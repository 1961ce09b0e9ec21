package image

import (
	"errors"
	"fmt"
)

// Typelinks returns the addresses of the type descriptors that the module lists for
// reflection. From Go 1.27 on there is no such list, and the result is empty: the
// descriptors follow each other from Module.Types.
func (im *Image) Typelinks() ([]uint64, error) {
	l := im.Module.Typelinks
	if l.Len > uint64(len(im.file)) {
		return nil, fmt.Errorf("type links: %d do not fit in the file", l.Len)
	}
	b, err := im.Bytes(l.Addr, int(4*l.Len))
	if l.Len == 0 {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("type links: %w", err)
	}
	list := make([]uint64, l.Len)
	for i := range list {
		list[i] = im.Module.Types + uint64(int64(int32(le.Uint32(b[4*i:]))))
	}
	return list, nil
}

// Itabs returns the addresses of the method tables that the module registers at its
// start: up to Go 1.26 from moduledata's list of pointers, then from the area that holds
// them (runtime/iface.go, addModuleItabs, Go 1.27).
func (im *Image) Itabs() ([]uint64, error) {
	md := &im.Module
	if md.ItabSize != 0 {
		return im.itabArea(md.Types+md.ItabOffset, md.ItabSize)
	}
	if md.Itablinks.Len > uint64(len(im.file)) {
		return nil, fmt.Errorf("itab links: %d do not fit in the file", md.Itablinks.Len)
	}
	list := make([]uint64, md.Itablinks.Len)
	for i := range list {
		var err error
		if list[i], err = im.Word(md.Itablinks.Addr + 8*uint64(i)); err != nil {
			return nil, fmt.Errorf("itab links: %w", err)
		}
	}
	return list, nil
}

// itabLayout is where the runtime has the fields that give a method table its size
// (internal/abi/iface.go, ITab.Size, Go 1.27).
type itabLayout struct{ inter, fun, methods int64 }

func (l *itabLayout) read(off Offsets) error {
	var ok [3]bool
	l.inter, ok[0] = off["abi.ITab"]["Inter"]
	l.fun, ok[1] = off["abi.ITab"]["Fun"]
	l.methods, ok[2] = off["abi.InterfaceType"]["Methods"]
	if ok != [3]bool{true, true, true} {
		return fmt.Errorf("layout lacks fields of abi.ITab or abi.InterfaceType")
	}
	return nil
}

// itabArea walks method tables that follow each other. One with an empty first slot has
// no more slots, others as many as the interface has methods.
func (im *Image) itabArea(addr, size uint64) ([]uint64, error) {
	var list []uint64
	l := &im.itabs
	for end := addr + size; addr < end; {
		list = append(list, addr)
		inter, err1 := im.Word(addr + uint64(l.inter))
		fun, err2 := im.Word(addr + uint64(l.fun))
		methods, err3 := im.Word(inter + uint64(l.methods) + 8) // the slice's length
		if err := errors.Join(err1, err2, err3); err != nil {
			return nil, fmt.Errorf("itab %d: %w", len(list), err)
		}
		if fun == 0 || methods == 0 {
			methods = 1
		}
		if methods > size {
			return nil, fmt.Errorf("itab %d has %d methods", len(list), methods)
		}
		addr += uint64(l.fun) + 8*methods
	}
	return list, nil
}
