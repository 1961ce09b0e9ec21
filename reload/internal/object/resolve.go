package object

import "iter"

// Lookup returns the definition that the linker would choose for a name and ABI, and
// the zero Sym when no package defines it. Static symbols cannot be looked up.
func (l *Library) Lookup(name string, abi uint16) Sym {
	for ; l != nil; l = l.base {
		if s := l.choose(name, abi); !s.IsZero() {
			return s
		}
	}
	return Sym{}
}

// Definitions iterates over all definitions of a name and ABI, in an overlay its own
// before those of its base, otherwise in the order of Add.
func (l *Library) Definitions(name string, abi uint16) iter.Seq[Sym] {
	return func(yield func(Sym) bool) {
		for l := l; l != nil; l = l.base {
			for s := range l.nameTable().all(name, abi) {
				if !yield(s) {
					return
				}
			}
		}
	}
}

// choose applies the loader's rules between several definitions of one library
// (loader.go, addSym, Go 1.27): of symbols that may be duplicated the largest, but any
// other before them; of others, which are a variable in Go and its content in assembly,
// content before zeroes and code before zeroed data. Symbols that can be referred to by
// number come first.
func (l *Library) choose(name string, abi uint16) Sym {
	var best Sym
	for s := range l.nameTable().all(name, abi) {
		switch {
		case best.IsZero(),
			s.Dupok() && best.Dupok() && s.Size() > best.Size(),
			!s.Dupok() && best.Dupok(),
			!s.Dupok() && best.isZeroed() && (s.Kind() == Text || !s.isZeroed() || s.Size() > best.Size()):
			best = s
		}
	}
	return best
}

// isPackageDef reports whether the symbol belongs to its package alone, and can be
// referred to by number.
func (s Sym) isPackageDef() bool { return s.local() && int(s.Index) < s.Obj.hashed64 }

// isZeroed reports whether the symbol is data without content.
func (s Sym) isZeroed() bool { return s.Kind().IsData() && len(s.Data()) == 0 }

// Resolve returns the canonical definition of a symbol: of a reference the definition
// it means, of a definition with duplicates the one that the linker chooses, of
// content-hashed ones the largest of the first. The zero Sym means that the library has
// none.
func (l *Library) Resolve(s Sym) Sym {
	switch {
	case s.IsZero():
		return Sym{}
	case s.IsContentHashed():
		return l.canonicalHashed(s)
	case s.IsDef() && (s.IsStatic() || s.isPackageDef() && !s.isZeroed()):
		return s
	case s.IsImported():
		return l.resolveImported(s)
	default:
		name := s.Name()
		if d := l.Lookup(name, s.ABI()); !d.IsZero() || !s.IsDef() {
			return d
		}
		return s // unnamed
	}
}

// resolveImported finds another package's symbol by its number. An object of the
// library below is bound to the packages there. One of an overlay may have been compiled
// against either: the names that objects record decide, and the overlay comes first.
func (l *Library) resolveImported(s Sym) Sym {
	prefix := s.ImportedFrom()
	if s.Obj.lib.base == nil {
		return s.Obj.lib.numbered(prefix, s.Index)
	}
	name := s.Name()
	for lib := s.Obj.lib; lib != nil; lib = lib.base {
		if d := lib.numbered(prefix, s.Index); !d.IsZero() && (name == "" || d.Name() == name) {
			return d
		}
		if name == "" {
			continue
		}
		for _, abi := range [...]uint16{ABIInternal, ABI0} {
			if d := lib.choose(name, abi); !d.IsZero() {
				return d
			}
		}
	}
	return Sym{}
}

// numbered returns the i-th symbol of the compiler's object of a package.
func (l *Library) numbered(prefix string, i int32) Sym {
	p := l.byPrefix[prefix]
	if p == nil || len(p.Objects) == 0 || int(i) >= p.Objects[0].hashed64 {
		return Sym{}
	}
	d := Sym{Obj: p.Objects[0], Index: i}
	if d.isZeroed() && !d.IsStatic() {
		if content := l.choose(d.Name(), d.ABI()); !content.IsZero() {
			return content
		}
	}
	return d
}

// canonicalHashed returns the definition that stands for all of equal content: the
// base's, if that is not too short, before the overlay's.
func (l *Library) canonicalHashed(s Sym) Sym {
	if l.base != nil {
		if d := l.base.canonicalHashed(s); d != s && d.Size() >= s.Size() {
			return d
		}
	}
	if d := l.hashTable().find(s); !d.IsZero() {
		return d
	}
	return s
}

// nameTable returns the table of names, made at the first call.
func (l *Library) nameTable() *nameTable {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.names == nil {
		l.names = newNameTable(l.objects)
	}
	return l.names
}

// hashTable returns the table of content hashes, made at the first call.
func (l *Library) hashTable() *hashTable {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.hashes == nil {
		l.hashes = newHashTable(l.objects)
	}
	return l.hashes
}
