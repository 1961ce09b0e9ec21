// Package snapshot knows what the source of one program is at one moment: its packages, their files and the bytes of
// each. It must never know what an edit means, what a process runs, or how source is compiled.
package snapshot

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"go/token"
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"sync"
)

// Hash is the SHA-256 of a file's content.
type Hash [sha256.Size]byte

// HashOf returns the hash of content.
func HashOf(content []byte) Hash { return sha256.Sum256(content) }

// String returns h in lower-case hexadecimal.
func (h Hash) String() string { return hex.EncodeToString(h[:]) }

// MarshalText writes h as String does.
func (h Hash) MarshalText() ([]byte, error) { return []byte(h.String()), nil }

// UnmarshalText reads what MarshalText writes.
func (h *Hash) UnmarshalText(text []byte) error {
	if n, err := hex.Decode(h[:], text); err != nil || n != len(h) {
		return fmt.Errorf("hash %q: want %d hexadecimal digits", text, 2*len(h))
	}
	return nil
}

// OtherKind says what a file that is not Go source is to its package.
type OtherKind uint8

// The kinds of other files.
const (
	Assembly OtherKind = iota // .s, .S, .sx
	C                         // what the C compiler reads: .c, .cc, .m, .f, .swig and the like
	Header                    // .h and the like: read by C and by assembly
	Object                    // .syso
	Embedded                  // matched by a //go:embed pattern
	Module                    // go.mod
	Work                      // go.work
	Vendor                    // vendor/modules.txt
)

var otherKindNames = [...]string{"asm", "c", "header", "syso", "embed", "go.mod", "go.work", "vendor"}

func (k OtherKind) String() string { return otherKindNames[k] }

// OtherFile is a file that takes part in a build but is not Go source.
type OtherFile struct {
	Path    string // absolute
	Hash    Hash
	Kind    OtherKind
	Content []byte // of a file that chooses module versions; nil for the others
}

func sameOther(a, b OtherFile) bool { return a.Path == b.Path && a.Hash == b.Hash && a.Kind == b.Kind }

// Package is one package of the program. It is immutable once it is part of a Snapshot.
type Package struct {
	Path          string            // import path; package main has its own here, not "main"
	Name          string            // from the package clause
	Dir           string            // absolute
	GoVersion     string            // language version, as "go1.24"; "" is the newest that the reader knows
	Files         []*File           // the Go files of the build, sorted by base name; none for a package known by name only
	Other         []OtherFile       // all that go list names beside Go files, and what is embedded; sorted by path
	EmbedPatterns []string          // as go list reports them
	ImportMap     map[string]string // import string → package path, where they differ (vendoring)
	Imports       []string          // package paths, sorted
	Local         bool              // the source may change: neither GOROOT nor the module cache
	Standard      bool              // part of GOROOT
}

// ImportPath returns the package path that an import string of this package stands for.
func (p *Package) ImportPath(imp string) string {
	if path, ok := p.ImportMap[imp]; ok {
		return path
	}
	return imp
}

// File returns the file at path, or nil.
func (p *Package) File(path string) *File {
	for _, f := range p.Files {
		if f.Path == path {
			return f
		}
	}
	return nil
}

// SameSource reports whether p and q are the same text: files, other files, import resolution and language version.
func (p *Package) SameSource(q *Package) bool {
	return p == q || p.Name == q.Name && p.Dir == q.Dir && p.GoVersion == q.GoVersion &&
		slices.EqualFunc(p.Files, q.Files, func(a, b *File) bool { return a.Path == b.Path && a.Hash == b.Hash }) &&
		slices.EqualFunc(p.Other, q.Other, sameOther) && maps.Equal(p.ImportMap, q.ImportMap)
}

// Snapshot is the source of one program at one moment. It is immutable, and shares with the snapshot that it was made
// from all that is equal.
type Snapshot struct {
	root     string
	packages []*Package // sorted by path
	byPath   map[string]*Package
	byDir    map[string]*Package
	modules  []OtherFile
	fset     *token.FileSet // of every snapshot of this lineage, so that syntax trees can be shared
	inOrder  func() []*Package
}

// New returns a snapshot of packages. root is the directory of the main module; modules are the files that choose
// module versions (go.mod, go.work, vendor/modules.txt).
func New(root string, packages []*Package, modules []OtherFile) (*Snapshot, error) {
	for _, p := range packages {
		sortFiles(p)
	}
	return assemble(root, packages, modules, token.NewFileSet())
}

func assemble(root string, packages []*Package, modules []OtherFile, fset *token.FileSet) (*Snapshot, error) {
	s := &Snapshot{
		root:     root,
		packages: slices.SortedFunc(slices.Values(packages), func(a, b *Package) int { return cmp.Compare(a.Path, b.Path) }),
		byPath:   make(map[string]*Package, len(packages)),
		byDir:    make(map[string]*Package, len(packages)),
		modules:  slices.SortedFunc(slices.Values(modules), func(a, b OtherFile) int { return cmp.Compare(a.Path, b.Path) }),
		fset:     fset,
	}
	for _, p := range s.packages {
		if s.byPath[p.Path] != nil {
			return nil, fmt.Errorf("package %s: listed twice", p.Path)
		}
		s.byPath[p.Path] = p
		if p.Dir != "" {
			s.byDir[p.Dir] = p
		}
	}
	s.inOrder = sync.OnceValue(func() []*Package { return s.ImportsFirst(s.packages) })
	return s, nil
}

// InOrder returns the Local packages, each after those that it imports. The caller must not change the list.
func (s *Snapshot) InOrder() []*Package { return s.inOrder() }

// ImportsFirst returns those of some packages that are Local, and the Local ones that they import, directly or not: each after
// those that it imports.
func (s *Snapshot) ImportsFirst(packages []*Package) []*Package {
	var order []*Package
	visited := make(map[*Package]bool)
	var visit func(p *Package)
	visit = func(p *Package) {
		if p == nil || !p.Local || visited[p] {
			return
		}
		visited[p] = true
		for _, imp := range p.Imports {
			visit(s.byPath[imp])
		}
		order = append(order, p)
	}
	for _, p := range packages {
		visit(p)
	}
	return order
}

// Sharing returns s with the files of another snapshot of its lineage in place of its own where they are the same, so that
// what was found out about these need not be found out again.
func (s *Snapshot) Sharing(other *Snapshot) *Snapshot {
	if s == other || s.fset != other.fset {
		return s
	}
	files := make(map[*File]*File)
	for _, p := range s.packages {
		o := other.byPath[p.Path]
		if o == nil || o == p || !p.Local || !o.Local {
			continue
		}
		for _, f := range p.Files {
			if same := o.File(f.Path); same != nil && same != f && same.Hash == f.Hash && same.content != nil {
				files[f] = same
			}
		}
	}
	return s.Replacing(files)
}

func sortFiles(p *Package) {
	slices.SortFunc(p.Files, func(a, b *File) int { return cmp.Compare(filepath.Base(a.Path), filepath.Base(b.Path)) })
	slices.SortFunc(p.Other, func(a, b OtherFile) int { return cmp.Compare(a.Path, b.Path) })
	slices.Sort(p.Imports)
}

// Root returns the directory of the main module.
func (s *Snapshot) Root() string { return s.root }

// Packages returns all packages, sorted by path. The caller must not change the slice.
func (s *Snapshot) Packages() []*Package { return s.packages }

// Package returns the package with that path, or nil.
func (s *Snapshot) Package(path string) *Package { return s.byPath[path] }

// Modules returns the files that choose module versions, sorted by path. The caller must not change the slice.
func (s *Snapshot) Modules() []OtherFile { return s.modules }

// Fset returns the file set of all syntax trees of this snapshot and of those that it shares files with.
func (s *Snapshot) Fset() *token.FileSet { return s.fset }

// Rel returns path relative to the main module's directory, with slashes. Outside of it, it begins with "../".
func (s *Snapshot) Rel(path string) string {
	if rel, ok := strings.CutPrefix(path, s.root+string(filepath.Separator)); ok {
		return filepath.ToSlash(rel)
	}
	if rel, err := filepath.Rel(s.root, path); err == nil {
		return filepath.ToSlash(rel)
	}
	return filepath.ToSlash(path)
}

// Change is new content for one file, or its removal.
type Change struct {
	Path    string // absolute
	Content []byte
	Deleted bool
}

// With returns s with some files changed, added or removed; all else is shared. A Go file belongs to the package of its
// directory; one in the directory of no package is ignored, and so are other files but those that choose modules. Build constraints are not looked at: Disk.Rescan does.
func (s *Snapshot) With(changes ...Change) *Snapshot {
	edited := make(map[string]*Package)
	modules := slices.Clone(s.modules)
	for _, c := range changes {
		if i := slices.IndexFunc(modules, func(m OtherFile) bool { return m.Path == c.Path }); i >= 0 && !c.Deleted {
			modules[i].Hash, modules[i].Content = HashOf(c.Content), c.Content
			continue
		}
		dir := filepath.Dir(c.Path)
		old := s.byDir[dir]
		if old == nil || filepath.Ext(c.Path) != ".go" {
			continue
		}
		p := edited[old.Path]
		if p == nil {
			p = new(Package)
			*p = *old
			p.Files = slices.Clone(old.Files)
			edited[old.Path] = p
		}
		i := slices.IndexFunc(p.Files, func(f *File) bool { return f.Path == c.Path })
		switch {
		case c.Deleted && i >= 0:
			p.Files = slices.Delete(p.Files, i, i+1)
		case c.Deleted:
		case i >= 0 && p.Files[i].Hash == HashOf(c.Content):
		case i >= 0:
			p.Files[i] = NewFile(c.Path, c.Content)
		default:
			p.Files = append(p.Files, NewFile(c.Path, c.Content))
		}
	}
	if !slices.EqualFunc(modules, s.modules, sameOther) {
		s = s.must(s.packages, modules)
	}
	return s.replace(edited)
}

// EmbedChange is new content of one embedded file, or its removal. Content is known by its hash alone.
type EmbedChange struct {
	Package string
	Path    string // absolute
	Hash    Hash
	Deleted bool
}

// Embedding returns s with some embedded files of its packages changed, added or removed.
func (s *Snapshot) Embedding(changes ...EmbedChange) *Snapshot {
	edited := make(map[string]*Package)
	for _, c := range changes {
		old := s.byPath[c.Package]
		if old == nil {
			continue
		}
		p := edited[c.Package]
		if p == nil {
			p = new(Package)
			*p = *old
			p.Files, p.Other = slices.Clone(old.Files), slices.Clone(old.Other)
			edited[c.Package] = p
		}
		p.Other = slices.DeleteFunc(p.Other, func(o OtherFile) bool { return o.Path == c.Path && o.Kind == Embedded })
		if !c.Deleted {
			p.Other = append(p.Other, OtherFile{Path: c.Path, Hash: c.Hash, Kind: Embedded})
		}
	}
	return s.replace(edited)
}

// Join returns s with packages that it lacks; one that it has is left out.
func (s *Snapshot) Join(packages ...*Package) *Snapshot {
	packages = slices.DeleteFunc(slices.Clone(packages), func(p *Package) bool { return s.byPath[p.Path] != nil })
	if len(packages) == 0 {
		return s
	}
	for _, p := range packages {
		sortFiles(p)
	}
	return s.must(append(slices.Clone(s.packages), packages...), s.modules)
}

// replace returns s with the packages of edited (by path) in place of its own where their source differs.
func (s *Snapshot) replace(edited map[string]*Package) *Snapshot {
	packages := slices.Clone(s.packages)
	same := true
	for i, old := range packages {
		p := edited[old.Path]
		if p == nil {
			continue
		}
		sortFiles(p)
		if p.SameSource(old) {
			continue
		}
		if p.Local {
			p.Imports = imports(p) // of others, the contents are not known
		}
		packages[i] = p
		same = false
	}
	if same {
		return s
	}
	return s.must(packages, s.modules)
}

// must builds a snapshot of this lineage from packages whose paths are known to be distinct.
func (s *Snapshot) must(packages []*Package, modules []OtherFile) *Snapshot {
	t, err := assemble(s.root, packages, modules, s.fset)
	if err != nil {
		panic(err)
	}
	return t
}

// imports returns the packages that p's files import, sorted. Where a file cannot be read, its old imports stay.
func imports(p *Package) []string {
	set := make(map[string]bool)
	for _, f := range p.Files {
		for _, imp := range f.Imports() {
			if imp != "C" {
				set[p.ImportPath(imp)] = true
			}
		}
	}
	return slices.Sorted(maps.Keys(set))
}

// At returns s as it is when the main module's directory is root: every path below the old root moves with it.
func (s *Snapshot) At(root string) *Snapshot {
	if root == s.root {
		return s
	}
	prefix := s.root + string(filepath.Separator)
	move := func(path string) string {
		if rel, ok := strings.CutPrefix(path, prefix); ok {
			return filepath.Join(root, rel)
		}
		if path == s.root {
			return root
		}
		return path
	}
	moveOther := func(files []OtherFile) []OtherFile {
		files = slices.Clone(files)
		for i := range files {
			files[i].Path = move(files[i].Path)
		}
		return files
	}
	packages := make([]*Package, len(s.packages))
	for i, old := range s.packages {
		packages[i] = old
		if move(old.Dir) == old.Dir {
			continue
		}
		p := new(Package)
		*p = *old
		p.Dir = move(old.Dir)
		p.Other = moveOther(old.Other)
		p.Files = make([]*File, len(old.Files))
		for j, f := range old.Files {
			p.Files[j] = f.at(move(f.Path))
		}
		packages[i] = p
	}
	t := s.must(packages, moveOther(s.modules))
	t.root = root
	return t
}

// Digest names the source of the Local packages and the choice of module versions: equal digests, equal programs. File
// names count relative to the main module, so that a checkout elsewhere has the same digest.
func (s *Snapshot) Digest() string {
	h := sha256.New()
	for _, p := range s.packages {
		if !p.Local {
			continue
		}
		fmt.Fprintf(h, "package %q %q %q\n", p.Path, p.Name, p.GoVersion)
		for _, f := range p.Files {
			fmt.Fprintf(h, "%q %s\n", s.Rel(f.Path), f.Hash)
		}
		for _, o := range p.Other {
			fmt.Fprintf(h, "%q %s\n", s.Rel(o.Path), o.Hash)
		}
	}
	for _, m := range s.modules {
		fmt.Fprintf(h, "module %q %s\n", s.Rel(m.Path), m.Hash)
	}
	return hex.EncodeToString(h.Sum(nil))
}
