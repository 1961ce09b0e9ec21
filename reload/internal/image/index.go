package image

import (
	"bytes"
	"cmp"
	"fmt"
	"hash/crc32"
	"iter"
	"sort"
	"strings"
	"sync"
	"unsafe"

	"github.com/limeade-go/limeade/reload/internal/object"
)

// Index tells the address in the executable of each symbol that has one and that can be
// named. It is immutable, and safe for concurrent use; it must not outlive its image and
// library.
type Index struct {
	Stats Stats // of BuildIndex; zero after Decode

	im  *Image
	lib *object.Library
	tls int64

	data    []byte // the encoded form, which the others are parts of
	names   []byte
	slots   []byte
	hashes  []byte
	objects []byte
	locals  []byte
	blob    []byte

	localsOnce sync.Once
	localsOf   map[*object.Object][]byte
}

// BuildIndex finds the address of every symbol of a library that is in an executable. The
// library must hold the archives that the executable was linked from: what differs is
// left out.
func BuildIndex(im *Image, lib *object.Library) (*Index, error) {
	version, _, _ := strings.Cut(im.GoVersion, " ")
	if v := lib.Tables().Version(); v != "" && v != version {
		return nil, fmt.Errorf("index: executable was made by %s, archives by %s", version, v)
	}
	v := invert(im, lib, !im.Stripped)
	ix, err := Decode(encode(v), im, lib)
	if err != nil {
		return nil, err
	}
	ix.Stats = v.summary()
	return ix, nil
}

// TLSOffset returns the offset of runtime.tlsg, where a thread has its g, from the thread
// pointer.
func (ix *Index) TLSOffset() int64 { return ix.tls }

// Len returns how many symbols can be found by name, and how many in all ways together.
func (ix *Index) Len() (named, all int) {
	named = len(ix.names) / nameSize
	return named, named + len(ix.hashes)/hashSize + len(ix.locals)/localSize
}

// Addr returns the address of a symbol by its name and ABI (of data: ABI0). Its content
// need not be the library's. Where several symbols have the name, it is false: see Addrs.
func (ix *Index) Addr(name string, abi uint16) (uint64, bool) {
	i, n := ix.find(name, abi)
	if n != 1 {
		return 0, false
	}
	return ix.entry(i).Addr, true
}

// Addrs returns the addresses of all symbols of a name and ABI, in ascending order. Only
// closures may have more than one: from Go 1.27 on they are content-hashed, and a closure
// of an inlined function may exist in several forms.
func (ix *Index) Addrs(name string, abi uint16) []uint64 {
	i, n := ix.find(name, abi)
	list := make([]uint64, n)
	for k := range list {
		list[k] = ix.entry(i + k).Addr
	}
	return list
}

// find returns the first entry of a name and ABI, and how many there are.
func (ix *Index) find(name string, abi uint16) (first, n int) {
	mask, entries := uint32(len(ix.slots)/slotSize-1), len(ix.names)/nameSize
	for s := nameHash(name, abi) & mask; ; s = (s + 1) & mask {
		i := int(le.Uint32(ix.slots[slotSize*s:])) - 1
		if i < 0 || i >= entries {
			return 0, 0
		}
		if e := ix.entry(i); e.Name != name || e.ABI != abi {
			continue
		}
		for first = i; i < entries; i++ {
			if e := ix.entry(i); e.Name != name || e.ABI != abi {
				break
			}
		}
		return first, i - first
	}
}

// AddrOf returns the address of a definition: by its name and ABI, by its content when it
// is content-hashed, and by itself when it is static, for which it must be the index's
// library's own. It is false when the executable does not have the symbol, or has other
// bytes than the definition. Where relocations are, bytes are not compared.
func (ix *Index) AddrOf(s object.Sym) (uint64, bool) {
	if !s.IsDef() {
		return 0, false
	}
	var addr uint64
	var ok bool
	switch name := s.Name(); {
	case s.IsContentHashed():
		addr, ok = ix.hashed(s.ContentHash())
	case s.IsStatic() || name == "":
		addr, ok = ix.local(s)
	default:
		addr, ok = ix.Addr(name, s.ABI())
	}
	if !ok {
		return 0, false
	}
	m := matcher{im: ix.im}
	return addr, m.matches(s, addr)
}

// Entry is a symbol with a name. Name aliases the index.
type Entry struct {
	Name string
	ABI  uint16
	Addr uint64
}

// All iterates over the symbols whose name begins with a prefix, in the order of their
// names: "type:" gives all type descriptors (and what belongs to them, as "type:.eq."),
// "go:itab." all method tables.
func (ix *Index) All(prefix string) iter.Seq[Entry] {
	return func(yield func(Entry) bool) {
		n := len(ix.names) / nameSize
		for i := sort.Search(n, func(i int) bool { return ix.entry(i).Name >= prefix }); i < n; i++ {
			e := ix.entry(i)
			if !strings.HasPrefix(e.Name, prefix) || !yield(e) {
				return
			}
		}
	}
}

// entry decodes the i-th name.
func (ix *Index) entry(i int) Entry {
	b := ix.names[i*nameSize:]
	return Entry{ix.string(le.Uint32(b), le.Uint32(b[4:])), le.Uint16(b[16:]), le.Uint64(b[8:])}
}

// string returns a part of the blob, "" when it does not lie in it.
func (ix *Index) string(off, n uint32) string {
	if n == 0 || uint64(off)+uint64(n) > uint64(len(ix.blob)) {
		return ""
	}
	return unsafe.String(&ix.blob[off], int(n))
}

func (ix *Index) hashed(h object.ContentHash) (uint64, bool) {
	key := hashKey(h)
	i, ok := search(ix.hashes, hashSize, func(b []byte) int { return bytes.Compare(b[:hashKeySize], key[:]) })
	if !ok {
		return 0, false
	}
	return le.Uint64(ix.hashes[i*hashSize+hashKeySize:]), true
}

func (ix *Index) local(s object.Sym) (uint64, bool) {
	if s.Obj.Library() != ix.lib {
		return 0, false
	}
	ix.localsOnce.Do(ix.findLocals)
	list := ix.localsOf[s.Obj]
	i, ok := search(list, localSize, func(b []byte) int { return cmp.Compare(le.Uint32(b), uint32(s.Index)) })
	if !ok {
		return 0, false
	}
	return le.Uint64(list[i*localSize+8:]), true
}

// findLocals finds the library's objects that the index has static symbols of. One that
// is not the same as when the index was built has none.
func (ix *Index) findLocals() {
	ix.localsOf = make(map[*object.Object][]byte)
	for b := ix.objects; len(b) >= objectSize; b = b[objectSize:] {
		pkg := ix.lib.Package(ix.string(le.Uint32(b), le.Uint32(b[4:])))
		member, first, n := le.Uint32(b[8:]), uint64(le.Uint32(b[16:])), uint64(le.Uint32(b[20:]))
		if pkg == nil || uint64(member) >= uint64(len(pkg.Objects)) || (first+n)*localSize > uint64(len(ix.locals)) {
			continue
		}
		o := pkg.Objects[member]
		if uint32(o.NumDefs()) == le.Uint32(b[12:]) && uint64(o.FileSize()) == le.Uint64(b[24:]) {
			ix.localsOf[o] = ix.locals[first*localSize : (first+n)*localSize]
		}
	}
}

// search finds an element of a sorted table.
func search(table []byte, size int, compare func([]byte) int) (int, bool) {
	return sort.Find(len(table)/size, func(i int) int { return -compare(table[i*size : (i+1)*size]) })
}

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

func nameHash(name string, abi uint16) uint32 {
	h := crc32.Checksum(unsafe.Slice(unsafe.StringData(name), len(name)), castagnoli)
	return (h ^ uint32(abi)) * 0x9e3779b1
}
