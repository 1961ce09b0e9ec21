package build

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// How much the store keeps of builds that nothing runs any more.
const (
	keepAge   = 14 * 24 * time.Hour
	keepBytes = 8 << 30
	graceAge  = time.Hour // of files that no build names: one may be about to
	tidyEvery = 24 * time.Hour
)

// Limits bound what Prune leaves of builds that are not in use.
type Limits struct {
	Age   time.Duration // builds that were made earlier go; 0 is two weeks
	Bytes int64         // the oldest builds go until the rest has no more; 0 is 8 GiB
}

// Prune removes builds that no running program of this machine needs and that
// are beyond the limits, and whatever only they named. It removes nothing while
// a build is under way.
func (s *Store) Prune(limits Limits) error { return s.prune(limits, "") }

// Tidy prunes the store if nobody has done so for a day. The build that it is
// given is about to be started.
func (s *Store) Tidy(buildID string) error {
	marker := filepath.Join(s.dir, "tidied")
	if fi, err := os.Stat(marker); err == nil && time.Since(fi.ModTime()) < tidyEvery {
		return nil
	}
	if err := s.WriteFile(marker, nil); err != nil {
		return err
	}
	return s.prune(Limits{}, buildID)
}

func (s *Store) prune(limits Limits, starting string) error {
	if limits.Age == 0 {
		limits.Age = keepAge
	}
	if limits.Bytes == 0 {
		limits.Bytes = keepBytes
	}
	unlock, err := s.lock(true)
	if errors.Is(err, unix.EWOULDBLOCK) {
		return nil
	} else if err != nil {
		return err
	}
	defer unlock()
	builds, err := s.kept()
	if err != nil {
		return err
	}
	running := runningBuilds()
	running[starting] = true
	slices.SortFunc(builds, func(x, y *keptBuild) int { // those in use first, then the newest
		if running[x.id] != running[y.id] {
			if running[x.id] {
				return -1
			}
			return 1
		}
		return y.made.Compare(x.made)
	})
	var total int64
	seen := map[string]bool{}
	keep := builds[:0:0]
	for _, b := range builds {
		size := b.size
		for hash, n := range b.blobs {
			if !seen[hash] {
				size += n
			}
		}
		if !running[b.id] && (time.Since(b.made) > limits.Age || total+size > limits.Bytes) {
			if err := os.RemoveAll(b.dir); err != nil {
				return s.explain(err)
			}
			continue
		}
		total += size
		for hash := range b.blobs {
			seen[hash] = true
		}
		keep = append(keep, b)
	}
	return s.sweep(keep, seen, limits.Age)
}

// A keptBuild is one build as Prune sees it.
type keptBuild struct {
	id    string
	dir   string
	dirs  []string // Baseline.Kept
	made  time.Time
	size  int64            // of its directory
	blobs map[string]int64 // sizes of the contents that it names
}

// kept reads all builds. One whose manifest cannot be read is not worth
// keeping.
func (s *Store) kept() ([]*keptBuild, error) {
	entries, err := os.ReadDir(filepath.Join(s.dir, "builds"))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	var builds []*keptBuild
	for _, e := range entries {
		k := &keptBuild{dir: filepath.Join(s.dir, "builds", e.Name()), blobs: map[string]int64{}}
		if info, err := e.Info(); err == nil {
			k.made = info.ModTime()
		}
		var b Baseline
		if text, err := os.ReadFile(filepath.Join(k.dir, "manifest.json")); err == nil && json.Unmarshal(text, &b) == nil {
			k.id, k.dirs, k.made = b.BuildID, b.Kept, b.Built
			for hash := range b.names() {
				k.blobs[hash] = sizeOf(s.BlobPath(hash))
			}
		}
		err := filepath.WalkDir(k.dir, func(path string, d fs.DirEntry, err error) error {
			if err == nil && d.Type().IsRegular() {
				k.size += sizeOf(path)
			}
			return err
		})
		if err != nil {
			return nil, err
		}
		builds = append(builds, k)
	}
	return builds, nil
}

// names are the hashes of all contents that a build names.
func (b *Baseline) names() map[string]bool {
	names := map[string]bool{}
	for _, p := range b.Packages {
		for _, hash := range []string{p.Archive, p.SymABIs, p.EmbedConfig, p.Profile} {
			names[hash] = true
		}
		for _, f := range slices.Concat(p.Files, p.Generated, p.Other) {
			names[f.Hash], names[f.Cgo] = true, true
		}
	}
	for _, f := range b.Inputs {
		names[f.Hash] = true
	}
	delete(names, "")
	return names
}

// sweep removes what no kept build can need. Records of generations, and the
// contents that they name, are not Prune's to read; but they came to the store
// after their build did, and putting contents there again makes them young
// (refresh). So what is older than every kept build belongs to none of them.
func (s *Store) sweep(builds []*keptBuild, blobs map[string]bool, age time.Duration) error {
	horizon := time.Now()
	for _, b := range builds {
		if b.made.Before(horizon) {
			horizon = b.made
		}
	}
	before := time.Since(horizon) + graceAge
	stale := func(path string, info fs.FileInfo) bool { return !blobs[info.Name()] && changedBefore(path, before) }
	errs := []error{s.each("generations", stale)}
	dirs, err := os.ReadDir(filepath.Join(s.dir, "blobs"))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	for _, d := range dirs {
		errs = append(errs, s.each(filepath.Join("blobs", d.Name()), stale))
	}
	old := func(path string, _ fs.FileInfo) bool { return changedBefore(path, age) }
	named := func(path string, info fs.FileInfo) bool {
		return changedBefore(path, graceAge) && !slices.ContainsFunc(builds, func(b *keptBuild) bool { return slices.Contains(b.dirs, path) })
	}
	return errors.Join(append(errs, s.each("facts", old), s.each("agent", named),
		s.each("tmp", func(path string, _ fs.FileInfo) bool { return changedBefore(path, graceAge) }))...)
}

// each removes those entries of a directory for which remove says so.
func (s *Store) each(dir string, remove func(path string, info fs.FileInfo) bool) error {
	dir = filepath.Join(s.dir, dir)
	entries, err := os.ReadDir(dir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	for _, e := range entries {
		info, err := e.Info()
		if err != nil {
			continue // removed meanwhile
		}
		if path := filepath.Join(dir, e.Name()); remove(path, info) {
			if err := os.RemoveAll(path); err != nil {
				return s.explain(err)
			}
		}
	}
	return nil
}

// changedBefore reports whether a file came to its place longer ago than age.
// The kernel's time of change counts: the time of modification of an archive is
// that of the Go build cache.
func changedBefore(path string, age time.Duration) bool {
	var st unix.Stat_t
	return unix.Lstat(path, &st) == nil && time.Since(time.Unix(st.Ctim.Unix())) > age
}

// refresh makes a file that is named anew as young as one that was just
// written. Where that is not allowed, nothing is removed either.
func refresh(path string, fi fs.FileInfo) {
	if st, ok := fi.Sys().(*syscall.Stat_t); ok && time.Since(time.Unix(st.Ctim.Unix())) > graceAge/2 {
		os.Chtimes(path, time.Time{}, time.Now())
	}
}

func sizeOf(path string) int64 {
	fi, err := os.Lstat(path)
	if err != nil {
		return 0
	}
	return fi.Size()
}

// readTouched reads a file that goes when nobody has read it for long.
func readTouched(path string) ([]byte, error) {
	text, err := os.ReadFile(path)
	if err == nil {
		err = os.Chtimes(path, time.Time{}, time.Now())
		if errors.Is(err, fs.ErrPermission) || errors.Is(err, unix.EROFS) {
			err = nil // a cache that is only read loses nothing
		}
	}
	return text, err
}

// runningBuilds are the build IDs of all programs that run on this machine and
// that this user may look at. It reads executables only: /proc leads to them
// even when they have been replaced or removed.
func runningBuilds() map[string]bool {
	ids := map[string]bool{}
	entries, err := os.ReadDir("/proc")
	if err != nil {
		return ids
	}
	for _, e := range entries {
		if name := e.Name(); name[0] < '0' || name[0] > '9' {
			continue
		}
		if id, err := ReadBuildID(fmt.Sprintf("/proc/%s/exe", e.Name())); err == nil && id != "" {
			ids[id] = true
		}
	}
	return ids
}
