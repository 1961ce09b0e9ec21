package image

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"hash/crc32"
	"math/bits"
	"slices"
	"strings"

	"github.com/limeade-go/limeade/reload/internal/object"
)

// The encoded index is what an Index reads at run time, so that a later process only has
// to map it. All numbers are little endian, and the same symbols give the same bytes:
//
//	index   = head name{} slot{} hash{} object{} local{} blob crc32c:u32
//	head    = "lmdindx1" length:u64 tlsoffset:i64 buildid:str
//	          names:u32 slots:u32 hashes:u32 objects:u32 locals:u32 blob:u32
//	name    = name:str addr:u64 abi:u16 0:u48           sorted by name, then abi, then addr
//	slot    = number of a name plus one:u32, or 0       open-addressed by nameHash
//	hash    = short:u8 sum[16] 0:u56 addr:u64           sorted
//	object  = pkg:str member:u32 defs:u32 first:u32 n:u32 size:u64
//	local   = symbol:u32 0:u32 addr:u64                 n of each object, sorted
//	str     = offset:u32 length:u32                     in blob
const (
	indexMagic = "lmdindx1"

	headSize    = 56
	nameSize    = 24
	slotSize    = 4
	hashKeySize = 24
	hashSize    = hashKeySize + 8
	objectSize  = 32
	localSize   = 16
	crcSize     = 4
)

// hashKey is the sortable form of a content hash.
func hashKey(h object.ContentHash) (key [hashKeySize]byte) {
	if h.Short {
		key[0] = 1
	}
	copy(key[1:], h.Sum[:])
	return key
}

// Encode returns the index as bytes, for Decode; they must not be changed.
func (ix *Index) Encode() []byte { return ix.data }

// Decode makes an Index of what Encode returned, which it keeps, for the same executable
// and the same archives. Bytes of another executable, or damaged ones, are an error.
func Decode(data []byte, im *Image, lib *object.Library) (*Index, error) {
	if len(data) < headSize+crcSize || string(data[:8]) != indexMagic || le.Uint64(data[8:]) != uint64(len(data)) {
		return nil, errors.New("index: not an index of this version, or truncated")
	}
	body, sum := data[:len(data)-crcSize], le.Uint32(data[len(data)-crcSize:])
	if crc32.Checksum(body, castagnoli) != sum {
		return nil, errors.New("index: damaged")
	}
	ix := &Index{im: im, lib: lib, data: data, tls: int64(le.Uint64(body[16:]))}
	rest := body[headSize:]
	for i, s := range [...]struct {
		part *[]byte
		size int
	}{
		{&ix.names, nameSize}, {&ix.slots, slotSize}, {&ix.hashes, hashSize},
		{&ix.objects, objectSize}, {&ix.locals, localSize}, {&ix.blob, 1},
	} {
		n := uint64(le.Uint32(body[32+4*i:])) * uint64(s.size)
		if n > uint64(len(rest)) {
			return nil, errors.New("index: damaged")
		}
		*s.part, rest = rest[:n:n], rest[n:]
	}
	slots := uint(len(ix.slots) / slotSize)
	if bits.OnesCount(slots) != 1 || slots <= uint(len(ix.names)/nameSize) {
		return nil, errors.New("index: damaged")
	}
	if id := ix.string(le.Uint32(body[24:]), le.Uint32(body[28:])); id != im.BuildID {
		return nil, fmt.Errorf("index: made for the executable with build ID %q, not %q", id, im.BuildID)
	}
	return ix, nil
}

// encoder collects the parts of an index.
type encoder struct {
	blob  []byte
	parts [6][]byte // names, slots, hashes, objects, locals, blob
}

func (e *encoder) str(s string) (ref [8]byte) {
	le.PutUint32(ref[:], uint32(len(e.blob)))
	le.PutUint32(ref[4:], uint32(len(s)))
	e.blob = append(e.blob, s...)
	return ref
}

// encode writes the places that have an address.
func encode(v *inversion) []byte {
	names := slices.Clone(v.foreign)
	var hashes, locals, itabs []*place
	for i := range v.places {
		switch p := &v.places[i]; {
		case p.addr == 0 || p.disputed:
		case p.sym.IsContentHashed():
			hashes = append(hashes, p)
			switch {
			case p.sym.IsItab():
				itabs = append(itabs, p)
			case p.sym.Kind() == object.Text: // closures, from Go 1.27 on
				names = append(names, p.named())
			}
		case p.sym.IsStatic() || p.sym.Name() == "":
			locals = append(locals, p)
		default:
			names = append(names, p.named())
		}
	}
	for _, p := range v.registered(itabs) {
		names = append(names, p.named())
	}
	e := new(encoder)
	id := e.str(v.im.BuildID)
	e.names(names)
	e.hashes(hashes)
	e.locals(locals)
	e.parts[5] = e.blob

	data := append([]byte(indexMagic), make([]byte, headSize-len(indexMagic))...)
	le.PutUint64(data[16:], uint64(v.tls))
	copy(data[24:], id[:])
	for i, size := range [...]int{nameSize, slotSize, hashSize, objectSize, localSize, 1} {
		le.PutUint32(data[32+4*i:], uint32(len(e.parts[i])/size))
	}
	data = append(data, slices.Concat(e.parts[:]...)...)
	return sealed(append(data, make([]byte, crcSize)...))
}

// sealed writes the length and the checksum of an index into it.
func sealed(data []byte) []byte {
	le.PutUint64(data[8:], uint64(len(data)))
	body := data[:len(data)-crcSize]
	le.PutUint32(data[len(body):], crc32.Checksum(body, castagnoli))
	return data
}

// registered returns of all content-hashed method tables of one interface and type only
// the one that the runtime finds: the first that it registers. They have names too.
func (v *inversion) registered(itabs []*place) []*place {
	order := make(map[uint64]int)
	list, err := v.im.Itabs()
	if err != nil {
		return nil
	}
	for i, addr := range list {
		order[addr] = i
	}
	itabs = slices.DeleteFunc(itabs, func(p *place) bool { _, ok := order[p.addr]; return !ok })
	slices.SortFunc(itabs, func(a, b *place) int {
		return cmp.Or(strings.Compare(a.sym.Name(), b.sym.Name()), cmp.Compare(order[a.addr], order[b.addr]))
	})
	return slices.CompactFunc(itabs, func(a, b *place) bool { return a.sym.Name() == b.sym.Name() })
}

func (p *place) named() Entry { return Entry{p.sym.Name(), p.sym.ABI(), p.addr} }

func (e *encoder) names(list []Entry) {
	slices.SortFunc(list, func(a, b Entry) int {
		return cmp.Or(strings.Compare(a.Name, b.Name), cmp.Compare(a.ABI, b.ABI), cmp.Compare(a.Addr, b.Addr))
	})
	slots := make([]byte, slotSize<<bits.Len(uint(2*len(list))))
	mask := uint32(len(slots)/slotSize - 1)
	part := make([]byte, 0, len(list)*nameSize)
	for i, p := range list {
		name, abi := p.Name, p.ABI
		ref := e.str(name)
		part = append(part, ref[:]...)
		part = le.AppendUint64(part, p.Addr)
		part = le.AppendUint64(part, uint64(abi))
		if i > 0 && name == list[i-1].Name && abi == list[i-1].ABI {
			continue // the slot has the first of them
		}
		s := nameHash(name, abi) & mask
		for le.Uint32(slots[slotSize*s:]) != 0 {
			s = (s + 1) & mask
		}
		le.PutUint32(slots[slotSize*s:], uint32(i+1))
	}
	e.parts[0], e.parts[1] = part, slots
}

func (e *encoder) hashes(list []*place) {
	type keyed struct {
		key  [hashKeySize]byte
		addr uint64
	}
	sorted := make([]keyed, len(list))
	for i, p := range list {
		sorted[i] = keyed{hashKey(p.sym.ContentHash()), p.addr}
	}
	slices.SortFunc(sorted, func(a, b keyed) int { return bytes.Compare(a.key[:], b.key[:]) })
	part := make([]byte, 0, len(list)*hashSize)
	for i := range sorted {
		part = append(part, sorted[i].key[:]...)
		part = le.AppendUint64(part, sorted[i].addr)
	}
	e.parts[2] = part
}

func (e *encoder) locals(list []*place) {
	slices.SortFunc(list, func(a, b *place) int {
		return cmp.Or(cmp.Compare(a.sym.Obj.Ordinal(), b.sym.Obj.Ordinal()), cmp.Compare(a.sym.Index, b.sym.Index))
	})
	var objects, part []byte
	for i := 0; i < len(list); {
		o, first := list[i].sym.Obj, i
		for ; i < len(list) && list[i].sym.Obj == o; i++ {
			part = le.AppendUint64(part, uint64(list[i].sym.Index))
			part = le.AppendUint64(part, list[i].addr)
		}
		path := e.str(o.Package.Path)
		objects = append(objects, path[:]...)
		objects = le.AppendUint32(objects, uint32(slices.Index(o.Package.Objects, o)))
		objects = le.AppendUint32(objects, uint32(o.NumDefs()))
		objects = le.AppendUint32(objects, uint32(first))
		objects = le.AppendUint32(objects, uint32(i-first))
		objects = le.AppendUint64(objects, uint64(o.FileSize()))
	}
	e.parts[3], e.parts[4] = objects, part
}
