package link

import (
	"encoding/binary"

	"github.com/limeade-go/limeade/reload/internal/object"
)

// ptrMask computes which words of the patch's data hold pointers, one bit a word: what the garbage
// collector reads for a module's roots (runtime/mbitmap.go). A symbol's Go type tells it.
func (l *linker) ptrMask() ([]byte, error) {
	mask := make([]byte, (l.ptrs/8+7)/8)
	for _, n := range l.nodes {
		if n.seg != segData {
			continue
		}
		typ := n.sym.Gotype()
		if typ.IsZero() {
			return nil, refuse(n.key.Name, "holds pointers but has no Go type")
		}
		def, err := l.typeDef(typ)
		if err != nil {
			return nil, err
		}
		set := func(word uint64) {
			w := (n.addr-l.data.base)/8 + word
			mask[w/8] |= 1 << (w % 8)
		}
		if err := l.pointers(def, 0, set); err != nil {
			return nil, err
		}
	}
	return mask, nil
}

// abiType reads the head of a type's definition (internal/abi/type.go, Type).
type abiType struct {
	size, ptrBytes uint64
	kind           byte
	onDemand       bool
	data           []byte
}

const (
	kindMask            = 1<<5 - 1
	tflagGCMaskOnDemand = 1 << 4
)

// Kinds of composite types (internal/abi/type.go, Kind).
const (
	kindArray  = 17
	kindStruct = 25
)

func (l *linker) readType(t object.Sym) (abiType, error) {
	layout, ok := l.host.Layout.Struct("abi.Type")
	data := t.Data()
	if !ok || int64(len(data)) < layout.Size {
		return abiType{}, refuse(t.Name(), "is a type of unknown layout")
	}
	at := func(field string) []byte { return data[layout.Fields[field].Offset:] }
	return abiType{
		size:     binary.LittleEndian.Uint64(at("Size_")),
		ptrBytes: binary.LittleEndian.Uint64(at("PtrBytes")),
		kind:     at("Kind_")[0] & kindMask,
		onDemand: at("TFlag")[0]&tflagGCMaskOnDemand != 0,
		data:     data,
	}, nil
}

// pointers calls set for each pointer word of a value of a type, words counted from base.
func (l *linker) pointers(t object.Sym, base uint64, set func(uint64)) error {
	typ, err := l.readType(t)
	if err != nil {
		return err
	}
	if typ.ptrBytes == 0 {
		return nil
	}
	layout, _ := l.host.Layout.Struct("abi.Type")
	lib := l.libOf(t)
	if !typ.onDemand {
		gc := lib.Resolve(relocAt(t, layout.Fields["GCData"].Offset)).Data()
		for w := range typ.ptrBytes / 8 {
			if w/8 >= uint64(len(gc)) {
				return refuse(t.Name(), "has a pointer mask that is too short")
			}
			if gc[w/8]&(1<<(w%8)) != 0 {
				set(base + w)
			}
		}
		return nil
	}
	// Masks of large types are made by the runtime when it first needs them: go by the parts.
	switch typ.kind {
	case kindArray:
		array, ok := l.host.Layout.Struct("abi.ArrayType")
		elem := lib.Resolve(relocAt(t, array.Fields["Elem"].Offset))
		if !ok || elem.IsZero() {
			return refuse(t.Name(), "is an array type of unknown layout")
		}
		e, err := l.readType(elem)
		if err != nil {
			return err
		}
		n := binary.LittleEndian.Uint64(typ.data[array.Fields["Len"].Offset:])
		for i := range n {
			if err := l.pointers(elem, base+i*e.size/8, set); err != nil {
				return err
			}
		}
		return nil
	case kindStruct:
		st, ok := l.host.Layout.Struct("abi.StructType")
		field, ok2 := l.host.Layout.Struct("abi.StructField")
		if !ok || !ok2 {
			return refuse(t.Name(), "is a struct type of unknown layout")
		}
		n := int64(binary.LittleEndian.Uint64(typ.data[st.Fields["Fields"].Offset+8:]))
		fields := relocTo(t, st.Fields["Fields"].Offset)
		for i := range n {
			at := fields + i*field.Size
			ft := lib.Resolve(relocAt(t, at+field.Fields["Typ"].Offset))
			if ft.IsZero() || at+field.Size > int64(len(typ.data)) {
				return refuse(t.Name(), "is a struct type of unknown layout")
			}
			off := binary.LittleEndian.Uint64(typ.data[at+field.Fields["Offset"].Offset:])
			if off%8 != 0 {
				continue // no pointer in it
			}
			if err := l.pointers(ft, base+off/8, set); err != nil {
				return err
			}
		}
		return nil
	}
	return refuse(t.Name(), "has no pointer mask")
}

// relocAt returns what the relocation at an offset of a symbol refers to.
func relocAt(s object.Sym, off int64) object.Sym {
	for r := range s.Relocs() {
		if int64(r.Off) == off {
			return r.Sym
		}
	}
	return object.Sym{}
}

// relocTo returns the addend of the relocation at an offset: where in its own symbol a slice begins.
func relocTo(s object.Sym, off int64) int64 {
	for r := range s.Relocs() {
		if int64(r.Off) == off {
			return r.Add
		}
	}
	return 0
}
