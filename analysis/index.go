package analysis

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"runtime"
	"slices"
	"sync"

	"github.com/limeade-go/limeade/analysis/decl"
	"github.com/limeade-go/limeade/analysis/facts"
	"github.com/limeade-go/limeade/analysis/snapshot"
)

// A factKey names what the facts of a package follow from: its source, what it can see of the Local packages that it
// relies on, the toolchain. Packages that are not Local do not change while a program runs.
type factKey [sha256.Size]byte

// versions is how many versions of one package an Index keeps: what runs, what is on disk, what is being typed, and one
// more to go back to.
const versions = 4

// Index holds the facts of the Local packages of a program: who refers to whom. It grows as packages are looked at,
// forgets old versions, and may be shared and kept across processes.
type Index struct {
	mu      sync.Mutex
	entries map[string][]indexEntry // by package path, the latest use first
}

type indexEntry struct {
	key   factKey
	facts *facts.Package
}

// NewIndex returns an empty index.
func NewIndex() *Index { return &Index{entries: make(map[string][]indexEntry)} }

func (x *Index) get(path string, key factKey) *facts.Package {
	x.mu.Lock()
	defer x.mu.Unlock()
	list := x.entries[path]
	i := slices.IndexFunc(list, func(e indexEntry) bool { return e.key == key })
	if i < 0 {
		return nil
	}
	e := list[i]
	copy(list[1:], list[:i])
	list[0] = e
	return e.facts
}

func (x *Index) put(path string, key factKey, f *facts.Package) {
	x.mu.Lock()
	defer x.mu.Unlock()
	list := slices.DeleteFunc(x.entries[path], func(e indexEntry) bool { return e.key == key })
	list = slices.Insert(list, 0, indexEntry{key, f})
	x.entries[path] = list[:min(len(list), versions)]
}

// Len returns the number of packages of which there are facts.
func (x *Index) Len() int {
	x.mu.Lock()
	defer x.mu.Unlock()
	return len(x.entries)
}

// The kept form of an index: the magic, the number of packages as a varint, then for each the key and the facts of its
// latest version, and last the CRC-32C of all before, little endian.
const indexMagic = "limeade index 1\n"

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// WriteTo writes the latest version of each package in a form that ReadIndex reads.
func (x *Index) WriteTo(w io.Writer) (int64, error) {
	x.mu.Lock()
	paths := make([]string, 0, len(x.entries))
	for path := range x.entries {
		paths = append(paths, path)
	}
	slices.Sort(paths)
	b := binary.AppendUvarint([]byte(indexMagic), uint64(len(paths)))
	for _, path := range paths {
		e := x.entries[path][0]
		b = append(b, e.key[:]...)
		b = e.facts.Append(b)
	}
	x.mu.Unlock()
	b = binary.LittleEndian.AppendUint32(b, crc32.Checksum(b, castagnoli))
	n, err := w.Write(b)
	return int64(n), err
}

// ReadIndex reads what WriteTo wrote. A form that is of another version or broken is an error: the caller starts with
// NewIndex.
func ReadIndex(r io.Reader) (*Index, error) {
	b, err := io.ReadAll(r)
	if err != nil {
		return nil, fmt.Errorf("index: %w", err)
	}
	if len(b) < len(indexMagic)+4 || string(b[:len(indexMagic)]) != indexMagic {
		return nil, errors.New("index: not one of this version")
	}
	body, sum := b[:len(b)-4], binary.LittleEndian.Uint32(b[len(b)-4:])
	if crc32.Checksum(body, castagnoli) != sum {
		return nil, errors.New("index: checksum does not match")
	}
	body = body[len(indexMagic):]
	n, used := binary.Uvarint(body)
	if used <= 0 {
		return nil, errors.New("index: ends too early")
	}
	body = body[used:]
	x := NewIndex()
	for range n {
		var key factKey
		if len(body) < len(key) {
			return nil, errors.New("index: ends too early")
		}
		copy(key[:], body)
		f, rest, err := facts.Decode(body[len(key):])
		if err != nil {
			return nil, fmt.Errorf("index: %w", err)
		}
		x.entries[f.Path] = []indexEntry{{key, f}}
		body = rest
	}
	return x, nil
}

// BuildIndex makes sure that index holds the facts of all Local packages of a snapshot, type-checking those that it
// lacks. Packages whose source has errors are left out.
func BuildIndex(ctx context.Context, snap *snapshot.Snapshot, env Env, index *Index) error {
	return NewSession(env, index).BuildIndex(ctx, snap)
}

// BuildIndex makes sure that the session's index holds the facts of all Local packages of a snapshot.
func (s *Session) BuildIndex(ctx context.Context, snap *snapshot.Snapshot) error {
	s.mu.Lock()
	s.bound()
	v := s.view(snap)
	err := v.settle(ctx, snap.Packages())
	s.mu.Unlock()
	if err == nil {
		_, err = v.factsOf(ctx, snap.InOrder())
	}
	return err
}

// factsOf returns the facts of Local packages that type-check, by path.
func (v *view) factsOf(ctx context.Context, packages []*snapshot.Package) (map[string]*facts.Package, error) {
	type job struct {
		pkg *snapshot.Package
		key factKey
	}
	var (
		mu     sync.Mutex // guards result and failed
		result = make(map[string]*facts.Package, len(packages))
		failed error
		wg     sync.WaitGroup
		work   = make(chan job)
	)
	for range runtime.GOMAXPROCS(0) {
		wg.Go(func() {
			for j := range work {
				f, err := v.collect(j.pkg, j.key)
				mu.Lock()
				if err != nil && failed == nil {
					failed = err
				}
				if f != nil {
					result[j.pkg.Path] = f
				}
				mu.Unlock()
			}
		})
	}
	for _, p := range packages {
		key := v.key(p)
		if f := v.index.get(p.Path, key); f != nil {
			mu.Lock()
			result[p.Path] = f
			mu.Unlock()
			continue
		}
		if ctx.Err() != nil {
			break
		}
		work <- job{p, key}
	}
	close(work)
	wg.Wait()
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	return result, failed
}

// collect type-checks a package of which the index has no facts; nil if it has errors.
func (v *view) collect(p *snapshot.Package, key factKey) (*facts.Package, error) {
	if len(syntaxErrors(decl.Load(v.snapshot, p.Path), v.snapshot.Rel)) > 0 {
		return nil, nil
	}
	checked, list, err := v.check(p, nil, false)
	if err != nil || len(list) > 0 {
		return nil, err
	}
	f := facts.Collect(v.factsInput(v.snapshot, checked))
	v.index.put(p.Path, key, f)
	return f, nil
}

func (s *Session) factsInput(snap *snapshot.Snapshot, checked *Checked) facts.Input {
	return facts.Input{
		Source:   checked.source,
		Types:    checked.Types,
		Info:     checked.Info,
		Sizes:    sizes,
		Release:  release(s.env.Toolchain),
		Profiled: s.env.Profiled,
		Keep: func(path string) bool {
			p := snap.Package(path)
			return p != nil && p.Local
		},
	}
}
