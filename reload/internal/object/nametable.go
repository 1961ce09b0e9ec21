package object

import (
	"hash/maphash"
	"iter"
	"math/bits"
)

// nameTable finds definitions by name and ABI. It is an open-addressed hash table of
// chains; it holds no strings, the names stay in the objects.
type nameTable struct {
	seed    maphash.Seed
	objects []*Object
	slots   []int32 // index of the chain's first entry, plus one
	mask    uint32
	entries []nameEntry
}

type nameEntry struct {
	hash   uint32
	object uint32
	index  int32
	next   int32 // index of the next entry of the same name, plus one
	last   int32 // of the chain, in its first entry
}

// newNameTable collects the named definitions of all objects that are not static.
func newNameTable(objects []*Object) *nameTable {
	n := 0
	for _, o := range objects {
		n += o.hashed64 + o.ref - o.nonpkg
	}
	t := &nameTable{seed: maphash.MakeSeed(), objects: objects, entries: make([]nameEntry, 0, n)}
	t.slots, t.mask = makeSlots(n)
	for _, o := range objects {
		for i := range o.hashed64 {
			t.add(o, int32(i))
		}
		for i := o.nonpkg; i < o.ref; i++ {
			t.add(o, int32(i))
		}
	}
	return t
}

// makeSlots makes a table for n elements that is at most half full.
func makeSlots(n int) ([]int32, uint32) {
	size := uint32(1) << bits.Len(uint(2*n))
	return make([]int32, size), size - 1
}

func (t *nameTable) add(o *Object, i int32) {
	s := Sym{Obj: o, Index: i}
	name, abi := s.Name(), s.ABI()
	if name == "" || abi == o.tables.abi {
		return
	}
	h := t.hash(name, abi)
	t.entries = append(t.entries, nameEntry{hash: h, object: o.index, index: i})
	n := int32(len(t.entries))
	slot := t.slot(h, name, abi)
	head := t.slots[slot]
	if head == 0 {
		t.slots[slot] = n
		t.entries[n-1].last = n
		return
	}
	first := &t.entries[head-1]
	t.entries[first.last-1].next = n
	first.last = n
}

// all iterates over the definitions of a name, in the order in which they were added.
func (t *nameTable) all(name string, abi uint16) iter.Seq[Sym] {
	return func(yield func(Sym) bool) {
		if name == "" {
			return
		}
		n := t.slots[t.slot(t.hash(name, abi), name, abi)]
		for ; n != 0; n = t.entries[n-1].next {
			if !yield(t.sym(&t.entries[n-1])) {
				return
			}
		}
	}
}

// slot returns the number of the slot that a name's chain starts in, or would.
func (t *nameTable) slot(h uint32, name string, abi uint16) uint32 {
	for i := h & t.mask; ; i = (i + 1) & t.mask {
		if t.slots[i] == 0 {
			return i
		}
		e := &t.entries[t.slots[i]-1]
		if e.hash != h {
			continue
		}
		if s := t.sym(e); s.ABI() == abi && s.Name() == name {
			return i
		}
	}
}

func (t *nameTable) sym(e *nameEntry) Sym { return Sym{Obj: t.objects[e.object], Index: e.index} }

func (t *nameTable) hash(name string, abi uint16) uint32 {
	h := maphash.String(t.seed, name)
	return uint32(h>>32) ^ uint32(h) ^ uint32(abi)*0x9e3779b9
}

// hashTable finds the canonical definition of content-hashed symbols: the largest, and
// of those the first.
type hashTable struct {
	objects []*Object
	slots   []int32
	mask    uint32
	entries []hashEntry
}

type hashEntry struct {
	object uint32
	index  int32
}

func newHashTable(objects []*Object) *hashTable {
	n := 0
	for _, o := range objects {
		n += o.nonpkg - o.hashed64
	}
	t := &hashTable{objects: objects}
	t.slots, t.mask = makeSlots(n)
	for _, o := range objects {
		for i := o.hashed64; i < o.nonpkg; i++ {
			s := Sym{Obj: o, Index: int32(i)}
			slot := t.slot(s.ContentHash())
			switch n := t.slots[slot]; {
			case n == 0:
				t.entries = append(t.entries, hashEntry{o.index, int32(i)})
				t.slots[slot] = int32(len(t.entries))
			case s.Size() > t.sym(n).Size():
				t.entries[n-1] = hashEntry{o.index, int32(i)}
			}
		}
	}
	return t
}

// find returns the canonical symbol, zero when the table has none.
func (t *hashTable) find(s Sym) Sym {
	if n := t.slots[t.slot(s.ContentHash())]; n != 0 {
		return t.sym(n)
	}
	return Sym{}
}

func (t *hashTable) sym(n int32) Sym {
	e := &t.entries[n-1]
	return Sym{Obj: t.objects[e.object], Index: e.index}
}

func (t *hashTable) slot(h ContentHash) uint32 {
	// Digests are uniform already; short content is not.
	start := uint32(le.Uint64(h.Sum[:8])*0x9e3779b97f4a7c15>>32) ^ uint32(le.Uint64(h.Sum[8:]))
	for i := start & t.mask; ; i = (i + 1) & t.mask {
		if t.slots[i] == 0 || t.sym(t.slots[i]).ContentHash() == h {
			return i
		}
	}
}
