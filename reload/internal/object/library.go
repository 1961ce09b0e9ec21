package object

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"sync"
	"syscall"
)

// Library is a set of packages, and resolves references between them as cmd/link's
// loader does (cmd/link/internal/loader/loader.go, Go 1.25–1.27). Add packages in the
// order in which the linker would load them, main first, to make it choose the same
// definitions; the order matters only between equal candidates.
//
// Reading and Rest are safe for concurrent use; Add and Close are not.
type Library struct {
	tables   *Tables
	base     *Library // of an overlay
	packages []*Package
	byPath   map[string]*Package
	byPrefix map[string]*Package // by escaped path
	objects  []*Object
	mapped   [][]byte

	mu     sync.Mutex // guards making names and hashes
	names  *nameTable
	hashes *hashTable
}

// Package is one package of a library.
type Package struct {
	Path    string
	Objects []*Object // the compiler's first
	Foreign []string  // names of the archive's members that are no Go objects
}

// NewLibrary returns an empty library for objects of one toolchain.
func NewLibrary(t *Tables) *Library {
	return &Library{tables: t, byPath: make(map[string]*Package), byPrefix: make(map[string]*Package)}
}

// Tables returns the tables of the library's toolchain.
func (l *Library) Tables() *Tables { return l.tables }

// Overlay returns a new library over l. What is not found in it is looked for in l, and
// what is found in it hides what l has: by name, and by package for references from
// objects that are in the overlay. References from l's own objects by number stay in l.
// The overlay's archives are read into memory and need no Close.
func (l *Library) Overlay() *Library {
	over := NewLibrary(l.tables)
	over.base = l
	return over
}

// Base returns the library that an overlay lies over, nil for others.
func (l *Library) Base() *Library { return l.base }

// Add reads all Go objects of a package's archive. A path that the library has already
// is an error; one that only the library below an overlay has is not.
func (l *Library) Add(pkgPath, archivePath string) (*Package, error) {
	if l.byPath[pkgPath] != nil {
		return nil, fmt.Errorf("package %s: added twice", pkgPath)
	}
	data, err := l.readFile(archivePath)
	if err != nil {
		return nil, fmt.Errorf("package %s: %w", pkgPath, err)
	}
	pkg, err := l.addArchive(pkgPath, data)
	if err != nil {
		return nil, fmt.Errorf("package %s: %s: %w", pkgPath, archivePath, err)
	}
	return pkg, nil
}

// addArchive adds the package in the bytes of an archive, which it keeps.
func (l *Library) addArchive(pkgPath string, data []byte) (*Package, error) {
	list, err := members(data)
	if err != nil {
		return nil, err
	}
	pkg := &Package{Path: pkgPath}
	for _, m := range list {
		if !m.isGoObject() {
			if m.name != "__.PKGDEF" {
				pkg.Foreign = append(pkg.Foreign, m.name)
			}
			continue
		}
		line, file, err := m.goObject()
		if err != nil {
			return nil, fmt.Errorf("%s: %w", m.name, err)
		}
		if err := l.checkHeader(line); err != nil {
			return nil, fmt.Errorf("%s: %w", m.name, err)
		}
		o, err := openObject(l.tables, file)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", m.name, err)
		}
		o.Package, o.Name, o.Header, o.lib = pkg, m.name, line, l
		pkg.Objects = append(pkg.Objects, o)
	}
	// The loader takes a package's first object for references by number; the compiler's
	// is the first that the go command writes. Mind archives packed in another order.
	slices.SortStableFunc(pkg.Objects, func(a, b *Object) int { return boolCompare(a.FromAssembly, b.FromAssembly) })
	for _, o := range pkg.Objects {
		o.index = uint32(len(l.objects))
		l.objects = append(l.objects, o)
	}
	l.packages = append(l.packages, pkg)
	l.byPath[pkgPath] = pkg
	l.byPrefix[PathToPrefix(pkgPath)] = pkg
	l.mu.Lock()
	l.names, l.hashes = nil, nil // made again, with the new package, when needed
	l.mu.Unlock()
	return pkg, nil
}

// checkHeader refuses objects of another toolchain or target.
func (l *Library) checkHeader(line string) error {
	f := strings.Fields(line)
	if len(f) < 5 || f[2] != "linux" || f[3] != "amd64" {
		return fmt.Errorf("%q is not an object for linux/amd64", line)
	}
	if v := l.tables.version; v != "" && f[4] != v {
		return fmt.Errorf("object was made by %s, the toolchain is %s", f[4], v)
	}
	return nil
}

// readFile maps a file, or for an overlay reads it.
func (l *Library) readFile(path string) ([]byte, error) {
	if l.base != nil {
		return os.ReadFile(path)
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	st, err := f.Stat()
	if err != nil {
		return nil, err
	}
	if st.Size() == 0 {
		return nil, errors.New("archive is empty")
	}
	data, err := syscall.Mmap(int(f.Fd()), 0, int(st.Size()), syscall.PROT_READ, syscall.MAP_PRIVATE)
	if err != nil {
		return nil, fmt.Errorf("map: %w", err)
	}
	l.mapped = append(l.mapped, data)
	return data, nil
}

// Rest gives back the memory that the library's archives take. They stay mapped: what is used of them again is read
// again.
func (l *Library) Rest() error {
	var errs []error
	for _, m := range l.mapped {
		errs = append(errs, syscall.Madvise(m, syscall.MADV_DONTNEED))
	}
	return errors.Join(errs...)
}

// Close unmaps the library's archives. Nothing that was read from them, names included,
// may be used afterwards.
func (l *Library) Close() error {
	var errs []error
	for _, m := range l.mapped {
		errs = append(errs, syscall.Munmap(m))
	}
	*l = *NewLibrary(l.tables)
	return errors.Join(errs...)
}

// Package returns the package of a path, in an overlay the one that hides the base's;
// nil when there is none.
func (l *Library) Package(path string) *Package {
	for ; l != nil; l = l.base {
		if p := l.byPath[path]; p != nil {
			return p
		}
	}
	return nil
}

// Packages returns the library's own packages, without those of its base, in the order
// of Add.
func (l *Library) Packages() []*Package { return l.packages }

// Objects returns the library's own objects: the i-th has the ordinal i.
func (l *Library) Objects() []*Object { return l.objects }

func boolCompare(a, b bool) int {
	switch {
	case a == b:
		return 0
	case b:
		return -1
	}
	return 1
}

// PathToPrefix returns an import path as symbol names have it: dots after the last
// slash, blanks, control characters, '%', '"' and bytes from 0x7f on become %xx
// (cmd/internal/objabi/path.go, Go 1.26).
func PathToPrefix(path string) string {
	slash := strings.LastIndexByte(path, '/')
	escape := func(i int, c byte) bool {
		return c <= ' ' || c == '.' && i > slash || c == '%' || c == '"' || c >= 0x7f
	}
	var b strings.Builder
	for i := 0; i < len(path); i++ {
		if c := path[i]; escape(i, c) {
			fmt.Fprintf(&b, "%%%02x", c)
		} else {
			b.WriteByte(c)
		}
	}
	return b.String()
}
