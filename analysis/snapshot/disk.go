package snapshot

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"go/build"
	"io"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// Disk reads snapshots from the file system. It remembers what each file looked like when it was last read, so that a
// rescan costs one stat for each file and directory. It may be used from several goroutines.
type Disk struct {
	context build.Context

	mu    sync.Mutex // guards the maps
	files map[string]seenFile
	dirs  map[string]seenDir
}

// racy is how old a modification must be, at the time of a read, for its stamp to be trusted: a later write within one
// tick of the file system's clock leaves the same stamp. Two seconds is the coarsest tick in use (FAT).
const racy = 2 * time.Second

// Trusted reports whether a stamp suffices that was taken at a moment.
func (s Stamp) Trusted(at time.Time) bool { return at.UnixNano()-s.Mtime > int64(racy) }

type seenFile struct {
	stamp   Stamp
	trusted bool // the stamp suffices
	hash    Hash
	match   bool // the build constraints of name and content hold
}

type seenDir struct {
	stamp   Stamp
	trusted bool
	names   []string // of regular files and links that may take part in a build, sorted
}

// NewDisk returns a reader of files for builds under that context: GOOS, GOARCH, build, tool and release tags and cgo
// count. Its own file functions are not used.
func NewDisk(context build.Context) *Disk {
	return &Disk{context: context, files: make(map[string]seenFile), dirs: make(map[string]seenDir)}
}

// A Stamp tells, without reading it, that a file or directory is as it was: its size, when it was modified, when it or its
// attributes were changed, both in nanoseconds, and its inode. Anybody may set the first time (cp -p, rsync, touch), nobody the
// second. Stamps are compared, never put in order: no clock needs to go forward.
type Stamp struct {
	Size, Mtime, Ctime int64
	Inode              uint64
}

// Know tells what a file was at a moment, so that it need not be read while its stamp is the same.
func (d *Disk) Know(path string, stamp Stamp, hash Hash, at time.Time) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.files[path] = seenFile{stamp: stamp, trusted: stamp.Trusted(at), hash: hash, match: true}
}

// KnowDir tells which files were in a directory at a moment, of those that took part in the build.
func (d *Disk) KnowDir(path string, stamp Stamp, names []string, at time.Time) {
	names = slices.DeleteFunc(slices.Clone(names), func(name string) bool { return !buildName(name) })
	slices.Sort(names)
	d.mu.Lock()
	defer d.mu.Unlock()
	d.dirs[path] = seenDir{stamp: stamp, trusted: stamp.Trusted(at), names: names}
}

// Rescan returns prev as it is on disk now: content that changed, Go files that were added to or removed from the
// directories of Local packages and whose build constraints hold, and the other files of the build. Test files are no part
// of a program. overlay holds unsaved buffers by absolute path: they come before the file on disk, and may have none. If
// nothing changed, the result is prev itself.
func (d *Disk) Rescan(ctx context.Context, prev *Snapshot, overlay map[string][]byte) (*Snapshot, error) {
	next, err := d.rescan(ctx, prev, prev.packages, overlay)
	if err != nil {
		return nil, err
	}
	modules, err := d.rescanOther(prev.modules, overlay)
	if err != nil {
		return nil, err
	}
	if !slices.EqualFunc(modules, prev.modules, sameOther) {
		next = next.must(next.packages, modules)
	}
	return next, nil
}

// Overlay returns prev, which must be as the files are, with unsaved buffers in place of files: what Rescan would say,
// but it looks at no package in which there are no buffers. Files that choose module versions are not replaced.
func (d *Disk) Overlay(ctx context.Context, prev *Snapshot, overlay map[string][]byte) (*Snapshot, error) {
	dirs := make(map[string]bool)
	for path := range overlay {
		dirs[filepath.Dir(path)] = true
	}
	var packages []*Package
	for dir := range dirs {
		if p := prev.byDir[dir]; p != nil {
			packages = append(packages, p)
		}
	}
	if len(packages) == 0 {
		return prev, nil
	}
	return d.rescan(ctx, prev, packages, overlay)
}

// rescan returns prev with some of its packages as they are now.
func (d *Disk) rescan(ctx context.Context, prev *Snapshot, packages []*Package, overlay map[string][]byte) (*Snapshot, error) {
	added := make(map[string][]string) // directory → names of overlay files
	for path := range overlay {
		added[filepath.Dir(path)] = append(added[filepath.Dir(path)], filepath.Base(path))
	}
	return prev.each(ctx, packages, hurried, func(old *Package) (*Package, error) {
		if !old.Local {
			return old, nil
		}
		return d.rescanPackage(old, overlay, added[old.Dir])
	})
}

// RescanForeign is Rescan for the packages that are not Local and have files. There may be thousands of these, so it is for
// doing beside other work, and keeps to one processor until hurry is closed.
func (d *Disk) RescanForeign(ctx context.Context, prev *Snapshot, hurry <-chan struct{}) (*Snapshot, error) {
	return prev.each(ctx, prev.packages, hurry, func(old *Package) (*Package, error) {
		if old.Local || len(old.Files) == 0 || d.untouched(old) {
			return old, nil
		}
		return d.rescanPackage(old, nil, nil)
	})
}

// hurried is closed.
var hurried = func() <-chan struct{} {
	c := make(chan struct{})
	close(c)
	return c
}()

// each returns s with some of its packages as scan has them, which returns the package itself where nothing changed. It is
// called by one goroutine, and once hurry is closed by as many as there are processors.
func (s *Snapshot) each(ctx context.Context, packages []*Package, hurry <-chan struct{}, scan func(*Package) (*Package, error)) (*Snapshot, error) {
	var (
		mu     sync.Mutex
		edited = make(map[string]*Package)
		errs   []error
		next   atomic.Int64
	)
	work := func() {
		for ctx.Err() == nil {
			i := int(next.Add(1)) - 1
			if i >= len(packages) {
				return
			}
			old := packages[i]
			p, err := scan(old)
			if p == old && err == nil {
				continue
			}
			mu.Lock()
			if err != nil {
				errs = append(errs, fmt.Errorf("package %s: %w", old.Path, err))
			} else {
				edited[old.Path] = p
			}
			mu.Unlock()
		}
	}
	var others sync.WaitGroup
	done := make(chan struct{})
	for range runtime.GOMAXPROCS(0) - 1 {
		others.Go(func() {
			select {
			case <-hurry:
				work()
			case <-done:
			}
		})
	}
	work()
	close(done)
	others.Wait()
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if len(errs) != 0 {
		slices.SortFunc(errs, func(a, b error) int { return cmp.Compare(a.Error(), b.Error()) })
		return nil, errors.Join(errs...)
	}
	return s.replace(edited), nil
}

// rescanPackage returns old itself if nothing changed.
func (d *Disk) rescanPackage(old *Package, overlay map[string][]byte, added []string) (*Package, error) {
	p := new(Package)
	*p = *old
	names, err := d.readDir(old.Dir)
	if err != nil {
		return nil, err
	}
	for _, name := range added {
		if i, found := slices.BinarySearch(names, name); !found && buildName(name) {
			names = slices.Insert(slices.Clip(names), i, name)
		}
	}
	known := make(map[string]*File, len(old.Files))
	for _, f := range old.Files {
		known[f.Path] = f
	}
	knownOther := make(map[string]OtherFile, len(old.Other))
	for _, o := range old.Other {
		knownOther[o.Path] = o
	}
	cgo := slices.ContainsFunc(old.Other, func(o OtherFile) bool { return o.Kind == C })
	p.Files, p.Other = nil, nil
	for _, name := range names {
		path := filepath.Join(old.Dir, name)
		if filepath.Ext(name) == ".go" {
			file, err := d.goFile(path, known[path], overlay)
			if err != nil {
				return nil, err
			}
			if file != nil {
				p.Files = append(p.Files, file)
				cgo = cgo || slices.Contains(file.Imports(), "C")
			}
			continue
		}
		seen, _, ok, err := d.read(path, overlay)
		if err != nil {
			return nil, err
		}
		if ok && seen.match {
			p.Other = append(p.Other, OtherFile{Path: path, Hash: seen.hash, Kind: otherKind(name)})
		}
	}
	// What the C compiler reads counts only beside a file that imports "C" (go/build).
	p.Other = slices.DeleteFunc(p.Other, func(o OtherFile) bool { return !cgo && o.Kind == C })

	embedded := make(map[string]bool)
	for _, o := range old.Other {
		if o.Kind == Embedded {
			embedded[o.Path] = true
		}
	}
	if len(old.EmbedPatterns) != 0 {
		paths, err := embedFiles(old.Dir, old.EmbedPatterns)
		if err != nil {
			return nil, err
		}
		embedded = make(map[string]bool)
		for _, path := range paths {
			embedded[path] = true
		}
	}
	for path := range embedded {
		seen, _, ok, err := d.read(path, overlay)
		if err != nil {
			return nil, err
		}
		if ok {
			p.Other = append(p.Other, OtherFile{Path: path, Hash: seen.hash, Kind: Embedded})
		}
	}
	return unlessSame(old, p), nil
}

// untouched reports whether all files of a package, and its directory, have the stamps that they are known by.
func (d *Disk) untouched(p *Package) bool {
	same := func(path string) bool {
		now, isDir, err := StampOf(path)
		if err != nil {
			return false
		}
		d.mu.Lock()
		defer d.mu.Unlock()
		if isDir {
			seen := d.dirs[path]
			return seen.trusted && seen.stamp == now
		}
		seen := d.files[path]
		return seen.trusted && seen.stamp == now
	}
	for _, f := range p.Files {
		if !same(f.Path) {
			return false
		}
	}
	for _, o := range p.Other {
		if !same(o.Path) {
			return false
		}
	}
	return same(p.Dir)
}

func unlessSame(old, p *Package) *Package {
	sortFiles(p)
	if p.SameSource(old) {
		return old
	}
	return p
}

// goFile returns the Go file at path as it is now, old itself if it did not change, nil if it is no part of the build.
func (d *Disk) goFile(path string, old *File, overlay map[string][]byte) (*File, error) {
	seen, content, ok, err := d.read(path, overlay)
	if err != nil || !ok {
		return nil, err
	}
	if old != nil && old.Hash == seen.hash {
		// It is in the build by the word of the go command.
		return old, nil
	}
	if !seen.match {
		return nil, nil
	}
	if content == nil {
		if content, err = os.ReadFile(path); err != nil {
			return nil, err
		}
	}
	return NewFile(path, content), nil
}

func (d *Disk) rescanOther(files []OtherFile, overlay map[string][]byte) ([]OtherFile, error) {
	var now []OtherFile
	for _, o := range files {
		seen, content, ok, err := d.read(o.Path, overlay)
		if err != nil {
			return nil, err
		}
		if !ok {
			continue
		}
		if seen.hash != o.Hash {
			o.Hash = seen.hash
			switch o.Kind {
			case Module, Work, Vendor:
				if content == nil {
					if content, err = os.ReadFile(o.Path); err != nil {
						return nil, err
					}
				}
				o.Content = content
			}
		}
		now = append(now, o)
	}
	return now, nil
}

// read returns what is known of the file at path, false if there is none. It reads the file only if its stamp changed:
// content is nil otherwise.
func (d *Disk) read(path string, overlay map[string][]byte) (seen seenFile, content []byte, ok bool, err error) {
	if content, ok := overlay[path]; ok {
		return seenFile{hash: HashOf(content), match: d.matches(path, content)}, content, true, nil
	}
	now, isDir, err := StampOf(path)
	if errors.Is(err, fs.ErrNotExist) || err == nil && isDir {
		return seenFile{}, nil, false, nil
	}
	if err != nil {
		return seenFile{}, nil, false, err
	}
	d.mu.Lock()
	seen, ok = d.files[path]
	d.mu.Unlock()
	if ok && seen.trusted && seen.stamp == now {
		return seen, nil, true, nil
	}
	before := time.Now()
	content, err = os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return seenFile{}, nil, false, nil
	}
	if err != nil {
		return seenFile{}, nil, false, err
	}
	if hash := HashOf(content); !ok || seen.hash != hash {
		seen.hash, seen.match = hash, d.matches(path, content)
	}
	seen.stamp = now
	seen.trusted = now.Trusted(before)
	d.mu.Lock()
	d.files[path] = seen
	d.mu.Unlock()
	return seen, content, true, nil
}

// matches reports whether the name and the constraints of a file let it take part in the build. A Go file that imports
// "C" takes part only with cgo on (go/build, Context.Import).
func (d *Disk) matches(path string, content []byte) bool {
	if !buildName(filepath.Base(path)) {
		return true // an embedded file or one that chooses versions
	}
	context := d.context
	context.OpenFile = func(string) (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(content)), nil }
	match, err := context.MatchFile(filepath.Dir(path), filepath.Base(path))
	if err != nil {
		// A file that cannot be read as Go is in the build, and its errors are reported.
		return true
	}
	if match && !context.CgoEnabled && filepath.Ext(path) == ".go" && bytes.Contains(content, []byte(`"C"`)) {
		return !slices.Contains(importStrings(content), "C")
	}
	return match
}

// readDir returns the names of the files in dir that may take part in a build; none if there is no such directory.
func (d *Disk) readDir(dir string) ([]string, error) {
	now, _, err := StampOf(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	d.mu.Lock()
	seen, ok := d.dirs[dir]
	d.mu.Unlock()
	if ok && seen.trusted && seen.stamp == now {
		return seen.names, nil
	}
	before := time.Now()
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, err
	}
	seen = seenDir{stamp: now, trusted: now.Trusted(before)}
	for _, e := range entries {
		if !e.IsDir() && buildName(e.Name()) {
			seen.names = append(seen.names, e.Name())
		}
	}
	d.mu.Lock()
	d.dirs[dir] = seen
	d.mu.Unlock()
	return seen.names, nil
}

// otherKinds are the files beside Go ones that the go command hands to a tool (go/build, Context.Import).
var otherKinds = map[string]OtherKind{
	".s": Assembly, ".S": Assembly, ".sx": Assembly,
	".c": C, ".cc": C, ".cpp": C, ".cxx": C, ".m": C, ".f": C, ".F": C, ".for": C, ".f90": C, ".swig": C, ".swigcxx": C,
	".h": Header, ".hh": Header, ".hpp": Header, ".hxx": Header,
	".syso": Object,
}

func otherKind(name string) OtherKind { return otherKinds[filepath.Ext(name)] }

// KindOf says what a file beside the Go ones is to its package: by its name, and embedded if that says nothing.
func KindOf(path string) OtherKind {
	if kind, ok := otherKinds[filepath.Ext(path)]; ok {
		return kind
	}
	return Embedded
}

// buildName reports whether a file of that name may take part in the build of a program.
func buildName(name string) bool {
	if strings.HasPrefix(name, "_") || strings.HasPrefix(name, ".") {
		return false
	}
	ext := filepath.Ext(name)
	if ext == ".go" {
		return !strings.HasSuffix(name, "_test.go")
	}
	_, ok := otherKinds[ext]
	return ok
}

// embedFiles returns the files that //go:embed patterns of a package in dir match: a directory stands for all files
// below it but those whose name begins with "." or "_", unless the pattern begins with "all:", and no other module's
// (cmd/go/internal/load, resolveEmbed).
func embedFiles(dir string, patterns []string) ([]string, error) {
	found := make(map[string]bool)
	for _, pattern := range patterns {
		glob, all := strings.CutPrefix(pattern, "all:")
		matches, err := filepath.Glob(filepath.Join(escapeGlob(dir), filepath.FromSlash(glob)))
		if err != nil {
			return nil, fmt.Errorf("embed pattern %s: %w", pattern, err)
		}
		for _, top := range matches {
			err := filepath.WalkDir(top, func(path string, e fs.DirEntry, err error) error {
				if err != nil {
					return err
				}
				name := e.Name()
				if path != top && !all && (name[0] == '.' || name[0] == '_') {
					if e.IsDir() {
						return filepath.SkipDir
					}
					return nil
				}
				if e.IsDir() {
					if _, err := os.Stat(filepath.Join(path, "go.mod")); err == nil {
						return filepath.SkipDir
					}
					return nil
				}
				if e.Type().IsRegular() {
					found[path] = true
				}
				return nil
			})
			if err != nil {
				return nil, fmt.Errorf("embed pattern %s: %w", pattern, err)
			}
		}
	}
	return slices.Sorted(maps.Keys(found)), nil
}

var globEscaper = strings.NewReplacer(`\`, `\\`, `*`, `\*`, `?`, `\?`, `[`, `\[`)

func escapeGlob(path string) string { return globEscaper.Replace(path) }
