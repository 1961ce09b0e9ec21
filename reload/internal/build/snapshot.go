package build

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
)

// A snapshot is what the files of a build say at one moment: a mark for each,
// equal when the contents are. Two equal snapshots with a build between them
// prove what the build has read.
type snapshot map[string]string

// changed names a path whose mark differs, or "".
func (s snapshot) changed(to snapshot) string {
	for _, path := range slices.Sorted(maps.Keys(s)) {
		if to[path] != s[path] {
			return path
		}
	}
	for _, path := range slices.Sorted(maps.Keys(to)) {
		if _, ok := s[path]; !ok {
			return path
		}
	}
	return ""
}

// An inventory lists every file that a build of the listed packages reads and
// that may change.
type inventory struct {
	probe   *probe
	sources []string          // Go files, assembly, C: kept in the store
	embeds  []string          // embedded files and profile: only their hash is
	inputs  []string          // go.mod and the like: kept in the store
	dirs    []string          // package directories: a new file is a change, too
	hashes  map[string]string // of sources, after the last snapshot
}

func newInventory(p *probe, pkgs []*listed, mainDir string) *inventory {
	inv := &inventory{probe: p}
	inputs := map[string]bool{}
	add := func(path string) {
		if path != "" {
			inputs[path] = true
		}
	}
	for _, pkg := range pkgs {
		if !pkg.local(p.settings) || pkg.Dir == "" {
			continue
		}
		inv.dirs = append(inv.dirs, pkg.Dir)
		for _, name := range append(pkg.sources(), pkg.companions()...) {
			inv.sources = append(inv.sources, filepath.Join(pkg.Dir, name))
		}
		for _, name := range pkg.EmbedFiles {
			inv.embeds = append(inv.embeds, filepath.Join(pkg.Dir, name))
		}
		for m := pkg.Module; m != nil; m = m.Replace {
			if m.GoMod != "" && !inside(p.settings["GOMODCACHE"], m.GoMod) {
				add(m.GoMod)
				add(strings.TrimSuffix(m.GoMod, ".mod") + ".sum")
			}
			if m.Main && m.Dir != "" {
				add(filepath.Join(m.Dir, "vendor", "modules.txt"))
			}
		}
	}
	add(p.settings["GOMOD"])
	if work := p.settings["GOWORK"]; work != "" && work != "off" {
		add(work)
		add(work + ".sum")
		add(filepath.Join(filepath.Dir(work), "vendor", "modules.txt"))
	}
	for _, name := range []string{"modfile", "overlay", "pgo"} {
		if f, ok := lastFlag(name, p.flags, p.goflags); ok && f.value != "" && f.value != "auto" && f.value != "off" {
			add(p.abs(f.value))
		}
	}
	if mainDir != "" {
		add(filepath.Join(mainDir, "default.pgo"))
	}
	inv.inputs = slices.Sorted(maps.Keys(inputs))
	return inv
}

// take reads the files. Contents of sources go to the store.
func (inv *inventory) take() (snapshot, error) {
	s := snapshot{}
	inv.hashes = make(map[string]string, len(inv.sources))
	for _, path := range inv.sources {
		text, err := os.ReadFile(inv.probe.actual(path))
		if err != nil {
			s[path] = "unreadable" // the go command says why
			continue
		}
		if inv.hashes[path], err = inv.probe.store.Put(text); err != nil {
			return nil, err
		}
		s[path] = inv.hashes[path]
	}
	for _, path := range inv.embeds {
		s[path] = stamp(inv.probe.actual(path))
	}
	for _, path := range inv.inputs {
		text, err := os.ReadFile(path)
		if err != nil {
			s[path] = "absent"
			continue
		}
		if inv.hashes[path], err = inv.probe.store.Put(text); err != nil {
			return nil, err
		}
		s[path] = inv.hashes[path]
	}
	for _, dir := range inv.dirs {
		entries, err := os.ReadDir(dir)
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return nil, err
		}
		var names []string
		for _, e := range entries {
			if isSource(e.Name()) {
				names = append(names, e.Name())
			}
		}
		s[dir] = strings.Join(names, "/")
	}
	return s, nil
}

// stamp changes whenever the file is written or replaced: the kernel sets the
// time of change, no program can.
func stamp(path string) string {
	fi, err := os.Stat(path)
	if err != nil {
		return "absent"
	}
	sys, ok := fi.Sys().(*syscall.Stat_t)
	if !ok {
		return "unknown"
	}
	return fmt.Sprintf("%d %d %d %d.%09d", sys.Dev, sys.Ino, sys.Size, sys.Ctim.Sec, sys.Ctim.Nsec)
}

// isSource reports whether a file of this name may become part of a package
// (go/build, matchFile, Go 1.26).
func isSource(name string) bool {
	if strings.HasPrefix(name, "_") || strings.HasPrefix(name, ".") || strings.HasSuffix(name, "_test.go") {
		return false
	}
	switch filepath.Ext(name) {
	case ".go", ".c", ".cc", ".cpp", ".cxx", ".m", ".h", ".hh", ".hpp", ".hxx", ".f", ".F", ".for", ".f90", ".s", ".S", ".sx",
		".swig", ".swigcxx", ".syso":
		return true
	}
	return false
}

// files returns the recorded form of paths: hashes of the last snapshot for
// sources, of the present contents for others.
func (inv *inventory) files(paths []string) ([]File, error) {
	var list []File
	for _, path := range paths {
		hash, ok := inv.hashes[path]
		if !ok {
			var err error
			if hash, err = hashFile(inv.probe.actual(path)); errors.Is(err, fs.ErrNotExist) {
				continue
			} else if err != nil {
				return nil, err
			}
		}
		list = append(list, File{Path: path, Hash: hash})
	}
	return list, nil
}
