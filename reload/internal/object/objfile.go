package object

import (
	"encoding/binary"
	"errors"
	"fmt"
	"sync"
	"unsafe"
)

// The layout of the object file; LoadTables checks it against the toolchain's source.
const (
	magic = "\x00go120ld"

	stringSize   = 8
	symSize      = 21
	relocSize    = 23
	auxSize      = 9
	refNameSize  = 16
	refFlagsSize = 10
	hash64Size   = 8
	hashSize     = 16

	headerSize = len(magic) + 8 + 4 + 4*nBlocks
)

// The blocks, in the file's order.
const (
	blkAutolib = iota
	blkPkgIdx
	blkFile
	blkSymdef
	blkHashed64def
	blkHasheddef
	blkNonpkgdef
	blkNonpkgref
	blkRefFlags
	blkHash64
	blkHash
	blkRelocIdx
	blkAuxIdx
	blkDataIdx
	blkReloc
	blkAux
	blkData
	blkRefName
	blkEnd
	nBlocks
)

var le = binary.LittleEndian

// Object is one Go object file of a package: the compiler's, or one of the assembler's.
// It is immutable, and read lazily: only its header is looked at when it is opened.
type Object struct {
	Package      *Package
	Name         string // of the archive's member, such as "_go_.o"
	Header       string // the line "go object linux amd64 go1.26.8 …"
	FromAssembly bool
	Shared       bool // compiled for position-independent code

	lib    *Library
	tables *Tables
	index  uint32 // in lib.objects

	file   []byte // the whole object file: strings are relative to it
	blocks [nBlocks]uint32

	// Numbers of the first symbol of each block, and of the last one's end.
	hashed64, hashed, nonpkg, ref, end int

	refsOnce sync.Once
	refs     map[symRef]refInfo
	confused []Confusion
}

// symRef is a reference as it is encoded.
type symRef struct{ pkg, index uint32 }

// refInfo is what an object says of another package's symbol.
type refInfo struct {
	name  string
	flag2 uint8
}

// openObject checks the header of an object file, whose bytes it keeps.
func openObject(t *Tables, file []byte) (*Object, error) {
	if len(file) < headerSize {
		return nil, errors.New("object file is truncated")
	}
	if string(file[:len(magic)]) != magic {
		return nil, fmt.Errorf("object file has the unknown magic %q", file[:len(magic)])
	}
	o := &Object{tables: t, file: file}
	flags := le.Uint32(file[len(magic)+8:])
	if flags&t.obj.unlinkable != 0 {
		return nil, errors.New("object file was compiled without -p and cannot be linked")
	}
	o.FromAssembly = flags&t.obj.fromAssembly != 0
	o.Shared = flags&t.obj.shared != 0

	last := uint32(headerSize)
	for i := range o.blocks {
		off := le.Uint32(file[len(magic)+12+4*i:])
		if off < last || uint64(off) > uint64(len(file)) {
			return nil, fmt.Errorf("object file's block %d lies outside it", i)
		}
		o.blocks[i], last = off, off
	}
	for _, b := range [...]struct{ block, unit uint32 }{
		{blkPkgIdx, stringSize}, {blkFile, stringSize},
		{blkSymdef, symSize}, {blkHashed64def, symSize}, {blkHasheddef, symSize}, {blkNonpkgdef, symSize}, {blkNonpkgref, symSize},
		{blkRefFlags, refFlagsSize}, {blkHash64, hash64Size}, {blkHash, hashSize},
		{blkRelocIdx, 4}, {blkAuxIdx, 4}, {blkDataIdx, 4}, {blkReloc, relocSize}, {blkAux, auxSize}, {blkRefName, refNameSize},
	} {
		if (o.blocks[b.block+1]-o.blocks[b.block])%b.unit != 0 {
			return nil, fmt.Errorf("object file's block %d has no whole number of elements", b.block)
		}
	}
	o.hashed64 = o.count(blkSymdef, symSize)
	o.hashed = o.hashed64 + o.count(blkHashed64def, symSize)
	o.nonpkg = o.hashed + o.count(blkHasheddef, symSize)
	o.ref = o.nonpkg + o.count(blkNonpkgdef, symSize)
	o.end = o.ref + o.count(blkNonpkgref, symSize)
	for _, block := range [...]int{blkRelocIdx, blkAuxIdx, blkDataIdx} {
		if n := o.count(block, 4); n != o.ref+1 {
			return nil, fmt.Errorf("object file's block %d has %d elements for %d definitions", block, n, o.ref)
		}
	}
	if o.count(blkHash64, hash64Size) != o.hashed-o.hashed64 || o.count(blkHash, hashSize) != o.nonpkg-o.hashed {
		return nil, errors.New("object file's hashes do not match its symbols")
	}
	return o, nil
}

// Library returns the library that the object was added to.
func (o *Object) Library() *Library { return o.lib }

// Ordinal returns the object's place among the library's Objects.
func (o *Object) Ordinal() int { return int(o.index) }

// FileSize returns the size of the object file in bytes.
func (o *Object) FileSize() int { return len(o.file) }

// NumDefs returns the number of definitions: Sym(0) … Sym(NumDefs()-1).
func (o *Object) NumDefs() int { return o.ref }

// NumSyms returns the number of definitions and of references by name, which follow
// the definitions.
func (o *Object) NumSyms() int { return o.end }

// Sym returns the handle of the i-th symbol, and the zero Sym when there is none.
func (o *Object) Sym(i int) Sym {
	if i < 0 || i >= o.end {
		return Sym{}
	}
	return Sym{Obj: o, Index: int32(i)}
}

// NumFiles returns the number of names in the object's table of source files.
func (o *Object) NumFiles() int { return o.count(blkFile, stringSize) }

// File returns the i-th name of the object's table of source files, as the compiler
// wrote it (absolute, or as -trimpath made it), and "" when there is none.
func (o *Object) File(i int) string {
	if i < 0 || i >= o.NumFiles() {
		return ""
	}
	return o.stringAt(int(o.blocks[blkFile]) + i*stringSize)
}

// Imports returns the paths of the packages that the object imports directly.
func (o *Object) Imports() []string {
	const unit = stringSize + 8
	var list []string
	for off := int(o.blocks[blkAutolib]); off+unit <= int(o.blocks[blkAutolib+1]); off += unit {
		list = append(list, o.stringAt(off))
	}
	return list
}

// count returns how many elements of a size a block has.
func (o *Object) count(block, unit int) int {
	return int(o.blocks[block+1]-o.blocks[block]) / unit
}

// stringAt reads the string reference at an offset that lies in the file with it.
func (o *Object) stringAt(off int) string {
	return o.string(le.Uint32(o.file[off:]), le.Uint32(o.file[off+4:]))
}

// string returns a part of the file as a string, without a copy, and "" when it does
// not lie in the file.
func (o *Object) string(length, off uint32) string {
	if length == 0 || uint64(off)+uint64(length) > uint64(len(o.file)) {
		return ""
	}
	return unsafe.String(&o.file[off], int(length))
}

// pkgName returns the escaped path of a package by its index, "" when there is none.
func (o *Object) pkgName(i uint32) string {
	if i == 0 || uint64(i) >= uint64(o.count(blkPkgIdx, stringSize)) {
		return ""
	}
	return o.stringAt(int(o.blocks[blkPkgIdx]) + int(i)*stringSize)
}

// record returns the encoded form of the i-th symbol, which must exist.
func (o *Object) record(i int32) []byte {
	off := int(o.blocks[blkSymdef]) + int(i)*symSize
	return o.file[off : off+symSize : off+symSize]
}

// part returns the half-open range of the i-th definition's elements in the block that
// an index block describes; an empty one when that is not sound.
func (o *Object) part(indexBlock, i, block, unit int) (start, n int) {
	off := int(o.blocks[indexBlock]) + 4*i
	a, b := le.Uint32(o.file[off:]), le.Uint32(o.file[off+4:])
	base := int(o.blocks[block])
	if b < a || base+int(b)*unit > int(o.blocks[block+1]) {
		return base, 0
	}
	return base + int(a)*unit, int(b - a)
}

// handle turns an encoded reference into a Sym; the zero Sym when it cannot be one.
func (o *Object) handle(pkg, index uint32) Sym {
	p := &o.tables.pkg
	var lo, hi int
	switch pkg {
	case 0:
		return Sym{}
	case p.self:
		lo, hi = 0, o.hashed64
	case p.hashed64:
		lo, hi = o.hashed64, o.hashed
	case p.hashed:
		lo, hi = o.hashed, o.nonpkg
	case p.none:
		lo, hi = o.nonpkg, o.end
	default:
		if index > 1<<31-1 || pkg != p.builtin && o.pkgName(pkg) == "" {
			return Sym{}
		}
		return Sym{Obj: o, pkg: pkg, Index: int32(index)}
	}
	if uint64(index) >= uint64(hi-lo) {
		return Sym{}
	}
	return Sym{Obj: o, Index: int32(lo) + int32(index)}
}

// A Confusion is two symbols of another package to which an object refers by one number.
type Confusion struct {
	Package string // as object files write it
	Names   [2]string
}

// Confused returns the symbols that the object does not tell apart. The compiler takes numbers from the archives that it
// imports, and what one archive says of a third package has the numbers of the archive that it was compiled against itself: where
// that is another one, two symbols may have the same number.
func (o *Object) Confused() []Confusion {
	o.refInfo(symRef{})
	return o.confused
}

// refInfo returns what the object says of another package's symbol. The compiler names
// only those that a relocation refers to.
func (o *Object) refInfo(r symRef) refInfo {
	o.refsOnce.Do(func() {
		o.refs = make(map[symRef]refInfo, o.count(blkRefName, refNameSize))
		for off := int(o.blocks[blkRefName]); off+refNameSize <= int(o.blocks[blkRefName+1]); off += refNameSize {
			ref := symRef{le.Uint32(o.file[off:]), le.Uint32(o.file[off+4:])}
			name := o.stringAt(off + 8)
			if other := o.refs[ref].name; other != "" && other != name {
				o.confused = append(o.confused, Confusion{o.pkgName(ref.pkg), [2]string{other, name}})
			}
			o.refs[ref] = refInfo{name: name}
		}
		for off := int(o.blocks[blkRefFlags]); off+refFlagsSize <= int(o.blocks[blkRefFlags+1]); off += refFlagsSize {
			ref := symRef{le.Uint32(o.file[off:]), le.Uint32(o.file[off+4:])}
			info := o.refs[ref]
			info.flag2 = o.file[off+9]
			o.refs[ref] = info
		}
	})
	return o.refs[r]
}
