package object

import "fmt"

// Sym is a handle of a symbol as one object file sees it: a definition, a reference by
// name, or a reference by number to another package or a builtin. Handles are
// comparable, but two handles may mean one symbol: see [Library.Resolve]. The zero Sym
// means none; all its attributes are zero.
//
// Strings and bytes that a Sym returns alias the library's files: they are read-only,
// and valid until [Library.Close].
type Sym struct {
	Obj   *Object
	pkg   uint32 // 0: Index counts Obj's own symbols; else an index of Obj's packages, or the builtins'
	Index int32
}

// IsZero reports whether s is no symbol.
func (s Sym) IsZero() bool { return s.Obj == nil }

// IsDef reports whether s is a definition.
func (s Sym) IsDef() bool { return s.Obj != nil && s.pkg == 0 && int(s.Index) < s.Obj.ref }

// IsBuiltin reports whether s is a reference to a symbol of the toolchain's list of
// builtins.
func (s Sym) IsBuiltin() bool { return s.Obj != nil && s.pkg == s.Obj.tables.pkg.builtin }

// IsImported reports whether s is a reference by number to another package's symbol.
func (s Sym) IsImported() bool { return s.Obj != nil && s.pkg != 0 && !s.IsBuiltin() }

// ImportedFrom returns the escaped path of the package that an imported symbol is
// defined in.
func (s Sym) ImportedFrom() string {
	if !s.IsImported() {
		return ""
	}
	return s.Obj.pkgName(s.pkg)
}

// local reports whether s has a record in its object.
func (s Sym) local() bool { return s.Obj != nil && s.pkg == 0 }

// Name returns the symbol's link name; "" for content-hashed and unnamed auxiliary
// symbols, and for an imported symbol that no relocation of the object refers to.
func (s Sym) Name() string {
	switch {
	case s.local():
		r := s.Obj.record(s.Index)
		return s.Obj.string(le.Uint32(r), le.Uint32(r[4:]))
	case s.IsBuiltin():
		name, _, _ := s.Obj.tables.Builtin(int(s.Index))
		return name
	case s.IsImported():
		return s.Obj.refInfo(symRef{s.pkg, uint32(s.Index)}).name
	}
	return ""
}

// ABI returns the symbol's ABI: ABI0 (as data have), ABIInternal or StaticABI. That of
// an imported symbol is known only once it is resolved; ABI0 is returned.
func (s Sym) ABI() uint16 {
	switch {
	case s.local():
		return le.Uint16(s.Obj.record(s.Index)[8:])
	case s.IsBuiltin():
		_, abi, _ := s.Obj.tables.Builtin(int(s.Index))
		return abi
	}
	return 0
}

// Kind returns what the symbol's memory holds, Unknown for a reference.
func (s Sym) Kind() Kind {
	if !s.local() {
		return Unknown
	}
	return s.Obj.tables.kinds[s.Obj.record(s.Index)[10]]
}

// Size returns the symbol's size in memory, in bytes.
func (s Sym) Size() uint32 {
	if !s.local() {
		return 0
	}
	return le.Uint32(s.Obj.record(s.Index)[13:])
}

// Align returns the symbol's alignment in bytes, 0 for the kind's usual one.
func (s Sym) Align() uint32 {
	if !s.local() {
		return 0
	}
	return le.Uint32(s.Obj.record(s.Index)[17:])
}

func (s Sym) flag(bit func(*symFlags) uint8) bool {
	return s.local() && s.Obj.record(s.Index)[11]&bit(&s.Obj.tables.flags) != 0
}

func (s Sym) flag2(bit func(*symFlags) uint8) bool {
	switch {
	case s.local():
		return s.Obj.record(s.Index)[12]&bit(&s.Obj.tables.flags) != 0
	case s.IsImported():
		return s.Obj.refInfo(symRef{s.pkg, uint32(s.Index)}).flag2&bit(&s.Obj.tables.flags) != 0
	}
	return false
}

// Dupok reports whether several packages may define the symbol; one is taken.
func (s Sym) Dupok() bool { return s.flag(func(f *symFlags) uint8 { return f.dupok }) }

// Local reports whether the symbol is hidden from other modules.
func (s Sym) Local() bool { return s.flag(func(f *symFlags) uint8 { return f.local }) }

// Typelink reports whether the type is listed for reflect to find by its string.
func (s Sym) Typelink() bool { return s.flag(func(f *symFlags) uint8 { return f.typelink }) }

// NoSplit reports whether the function has no stack check.
func (s Sym) NoSplit() bool { return s.flag(func(f *symFlags) uint8 { return f.noSplit }) }

// ReflectMethod reports whether the function may look up methods by reflection.
func (s Sym) ReflectMethod() bool { return s.flag(func(f *symFlags) uint8 { return f.reflectMethod }) }

// IsGoType reports whether the symbol is a type descriptor.
func (s Sym) IsGoType() bool { return s.flag(func(f *symFlags) uint8 { return f.goType }) }

// UsedInIface reports whether the type is converted to an interface somewhere.
func (s Sym) UsedInIface() bool { return s.flag2(func(f *symFlags) uint8 { return f.usedInIface }) }

// IsItab reports whether the symbol is a method table of an interface and a type.
func (s Sym) IsItab() bool { return s.flag2(func(f *symFlags) uint8 { return f.itab }) }

// IsDict reports whether the symbol is a dictionary of an instantiation.
func (s Sym) IsDict() bool { return s.flag2(func(f *symFlags) uint8 { return f.dict }) }

// IsPkgInit reports whether the symbol is a package's init function.
func (s Sym) IsPkgInit() bool { return s.flag2(func(f *symFlags) uint8 { return f.pkgInit }) }

// IsLinkname reports whether the symbol is named by a go:linkname.
func (s Sym) IsLinkname() bool { return s.flag2(func(f *symFlags) uint8 { return f.linkname }) }

// IsABIWrapper reports whether the function only translates between two ABIs.
func (s Sym) IsABIWrapper() bool { return s.flag2(func(f *symFlags) uint8 { return f.abiWrapper }) }

// IsStatic reports whether the symbol can be referred to in its own object only.
func (s Sym) IsStatic() bool { return s.local() && s.ABI() == s.Obj.tables.abi }

// IsContentHashed reports whether the symbol is a definition without a name of its own,
// that equals each other one with the same ContentHash.
func (s Sym) IsContentHashed() bool {
	return s.local() && int(s.Index) >= s.Obj.hashed64 && int(s.Index) < s.Obj.nonpkg
}

// ContentHash identifies a content-hashed symbol: its bytes when it is short (up to 8
// bytes, zero-padded: symbols that differ only in trailing zeros are equal), else a
// digest of size, content and relocations.
type ContentHash struct {
	Short bool
	Sum   [hashSize]byte
}

// ContentHash returns the hash of a content-hashed symbol.
func (s Sym) ContentHash() (h ContentHash) {
	if !s.IsContentHashed() {
		return h
	}
	o, i := s.Obj, int(s.Index)
	if i < o.hashed {
		h.Short = true
		copy(h.Sum[:hash64Size], o.file[int(o.blocks[blkHash64])+(i-o.hashed64)*hash64Size:])
	} else {
		copy(h.Sum[:], o.file[int(o.blocks[blkHash])+(i-o.hashed)*hashSize:])
	}
	return h
}

// Data returns the definition's content, before relocation. It may be shorter than
// Size: what follows is zero.
func (s Sym) Data() []byte {
	if !s.IsDef() {
		return nil
	}
	o := s.Obj
	off, n := o.part(blkDataIdx, int(s.Index), blkData, 1)
	return o.file[off : off+n : off+n]
}

// String describes the symbol for messages.
func (s Sym) String() string {
	if s.Obj == nil {
		return "no symbol"
	}
	name := s.Name()
	if name == "" {
		name = fmt.Sprintf("%s#%d.%d", s.Obj.Name, s.pkg, s.Index)
		if s.Obj.Package != nil {
			name = s.Obj.Package.Path + ":" + name
		}
	}
	if s.ABI() == ABI0 && s.Kind() == Text {
		name += "<ABI0>"
	}
	return name
}
