package build

import (
	"bytes"
	"encoding/gob"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"sync"
	"syscall"
	"time"
)

// Foreign are the packages whose source nobody is expected to edit: of the
// toolchain, of the module cache, of the agent. Somebody may all the same, and
// then a fresh build differs from what runs.
type Foreign struct {
	At       time.Time // of all stamps
	Packages map[string]*ForeignPackage
}

// A ForeignPackage is one of them.
type ForeignPackage struct {
	Dir   Stamp
	Files []ForeignFile
}

// A ForeignFile is a source file of a foreign package. Its content is not kept.
type ForeignFile struct {
	Path     string // absolute
	Embedded bool   // by a //go:embed pattern
	Hash     string // sha256, hexadecimal; of nothing if the file was written while it was read
	Stamp    Stamp
}

// A Stamp tells, without reading it, that a file or directory is as it was.
type Stamp struct {
	Size, Mtime, Ctime int64 // of modification, and of any change, in nanoseconds
	Inode              uint64
}

// StampOf follows links.
func StampOf(path string) (Stamp, error) {
	fi, err := os.Stat(path)
	if err != nil {
		return Stamp{}, err
	}
	st := fi.Sys().(*syscall.Stat_t)
	return Stamp{Size: st.Size, Mtime: st.Mtim.Nano(), Ctime: st.Ctim.Nano(), Inode: st.Ino}, nil
}

// foreign notes the stamps of foreign packages at once, before the build reads
// them, and their hashes while it runs; wait returns them.
func (c *capture) foreign() (wait func() *Foreign) {
	foreign := &Foreign{At: time.Now(), Packages: map[string]*ForeignPackage{}}
	work := make(chan *ForeignFile)
	var wg sync.WaitGroup
	for range runtime.GOMAXPROCS(0) {
		wg.Go(func() {
			for f := range work {
				hash, err := hashFile(f.Path)
				if after, serr := StampOf(f.Path); err == nil && serr == nil && after == f.Stamp {
					f.Hash = hash
				} else {
					f.Stamp, f.Hash = Stamp{}, hashOf(nil)
				}
			}
		})
	}
	for _, l := range c.pkgs {
		if l.Dir == "" || l.local(c.settings) && !isAgent(l.ImportPath) {
			continue
		}
		p := &ForeignPackage{}
		var err error
		if p.Dir, err = StampOf(l.Dir); err != nil {
			continue // it lies in an overlay
		}
		add := func(names []string, embedded bool) {
			for _, name := range names {
				path := filepath.Join(l.Dir, name)
				if stamp, err := StampOf(path); err == nil && c.actual(path) == path {
					p.Files = append(p.Files, ForeignFile{Path: path, Embedded: embedded, Stamp: stamp})
				}
			}
		}
		add(slices.Concat(l.sources(), l.companions()), false)
		add(l.EmbedFiles, true)
		foreign.Packages[l.ImportPath] = p
	}
	wg.Go(func() {
		defer close(work)
		for _, p := range foreign.Packages {
			for i := range p.Files {
				work <- &p.Files[i]
			}
		}
	})
	return func() *Foreign {
		wg.Wait()
		return foreign
	}
}

func (b *Baseline) foreignFile() string {
	return filepath.Join(b.store.BuildDir(b.BuildID), "foreign")
}

func (b *Baseline) saveForeign(foreign *Foreign) error {
	var text bytes.Buffer
	if err := gob.NewEncoder(&text).Encode(foreign); err != nil {
		return fmt.Errorf("build %s: %w", b.BuildID, err)
	}
	return b.store.WriteFile(b.foreignFile(), text.Bytes())
}

// Foreign returns the foreign packages of the program, by import path.
func (b *Baseline) Foreign() (*Foreign, error) {
	text, err := os.ReadFile(b.foreignFile())
	if err != nil {
		return nil, fmt.Errorf("build %s: %w", b.BuildID, err)
	}
	foreign := new(Foreign)
	if err := gob.NewDecoder(bytes.NewReader(text)).Decode(foreign); err != nil {
		return nil, fmt.Errorf("build %s: foreign packages: %w", b.BuildID, err)
	}
	return foreign, nil
}
