package retest

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"go/parser"
	"go/token"
	"io/fs"
	"maps"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/mod/modfile"
	"golang.org/x/sys/unix"

	"github.com/limeade-go/limeade/analysis/snapshot"
)

// A module is the source of a main module as it is on disk.
type module struct {
	dir   string
	dirs  map[string]bool   // of packages, absolute
	files map[string]source // by path relative to dir
}

// A source is a file as it was last read.
type source struct {
	stamp   snapshot.Stamp
	trusted bool // the stamp suffices
	text    []byte
}

func newModule(dir string) *module { return &module{dir: dir, files: map[string]source{}} }

// parts are how the names of files end that take part in builds.
var parts = map[string]bool{
	".go": true, ".s": true, ".S": true, ".c": true, ".cc": true, ".cpp": true, ".cxx": true, ".m": true, ".h": true, ".hh": true,
	".hpp": true, ".hxx": true, ".syso": true,
}

// scan reads the files that changed.
func (m *module) scan() error {
	m.dirs = map[string]bool{}
	files := map[string]source{}
	err := filepath.WalkDir(m.dir, func(name string, e fs.DirEntry, err error) error {
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		} else if err != nil {
			return err
		}
		base := e.Name()
		if e.IsDir() {
			if name == m.dir {
				m.dirs[name] = true
				return nil
			}
			if base[0] == '.' || base[0] == '_' || base == "testdata" || base == "vendor" && filepath.Dir(name) == m.dir || base == "node_modules" {
				return filepath.SkipDir
			}
			if _, err := os.Stat(filepath.Join(name, "go.mod")); err == nil {
				return filepath.SkipDir
			}
			m.dirs[name] = true
			return nil
		}
		if base[0] == '.' || base[0] == '_' || !parts[filepath.Ext(base)] && !(filepath.Dir(name) == m.dir && (base == "go.mod" || base == "go.sum")) {
			return nil
		}
		rel, err := filepath.Rel(m.dir, name)
		if err != nil {
			return err
		}
		s, err := m.read(name, m.files[rel])
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		files[rel] = s
		return err
	})
	m.files = files
	return err
}

func (m *module) read(name string, last source) (source, error) {
	before := time.Now()
	stamp, _, err := snapshot.StampOf(name)
	if err != nil {
		return source{}, err
	}
	if last.trusted && stamp == last.stamp {
		return last, nil
	}
	now := source{stamp: stamp, trusted: stamp.Trusted(before)}
	now.text, err = os.ReadFile(name)
	return now, err
}

// A shadow is a copy of a module in which the tests of one package are part of a program:
//
//	p/x.go                     as in the module
//	p/x_test.limeade.go        x_test.go of package p
//	p/limeade_xtest/…          those of package p_test
//	p/limeade_main/main.go     runs them when it is told to
//	p/limeade_main/tests.go    which there are
//
// It stands in the user's cache directory under a name of its own, so that the go command finds again what it compiled of
// it. The names keep the constraints that they mean: x_linux_test.limeade.go is for Linux.
type shadow struct {
	module *module
	pkg    *listed
	rel    string // of the package in the module
	dir    string
	main   string // the main package, as an argument of go build
	lock   *os.File
	files  map[string][]byte // as they are in it

	hasMain bool // the tests have a TestMain
}

const (
	infix    = ".limeade"
	xtestDir = "limeade_xtest"
	mainDir  = "limeade_main"
)

func newShadow(m *module, p *listed) (*shadow, error) {
	rel, err := filepath.Rel(m.dir, p.Dir)
	if err != nil {
		return nil, err
	}
	cache, err := os.UserCacheDir()
	if err != nil {
		return nil, err
	}
	sum := sha256.Sum256([]byte(p.Dir))
	s := &shadow{module: m, pkg: p, rel: filepath.ToSlash(rel), files: map[string][]byte{}}
	s.main = "./" + path.Join(s.rel, mainDir)
	for n := 1; s.lock == nil; n++ { // another of the same package may be at work
		s.dir = filepath.Join(cache, "limeade", "tests", hex.EncodeToString(sum[:8])+"-"+strconv.Itoa(n))
		if err := os.MkdirAll(s.dir, 0o700); err != nil {
			return nil, err
		}
		f, err := os.OpenFile(s.dir+".lock", os.O_CREATE|os.O_RDWR, 0o600)
		if err != nil {
			return nil, err
		}
		if err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB); err == nil {
			s.lock = f
		} else if f.Close(); !errors.Is(err, unix.EWOULDBLOCK) {
			return nil, err
		}
	}
	return s, s.clear()
}

// clear removes what an earlier run has left that this one will not write.
func (s *shadow) clear() error {
	entries, err := os.ReadDir(s.dir)
	if err != nil {
		return err
	}
	for _, e := range entries {
		if err := os.RemoveAll(filepath.Join(s.dir, e.Name())); err != nil {
			return err
		}
	}
	return nil
}

// sync brings the copy up to date, and reports whether anything changed. What cannot be read as Go is copied as it is:
// the compiler says what is wrong with it.
func (s *shadow) sync() (changed bool, err error) {
	want := map[string][]byte{}
	suite := newSuite(s.pkg.ImportPath)
	for _, name := range slices.Sorted(maps.Keys(s.module.files)) { // in the order of go test
		src, rel := s.module.files[name], filepath.ToSlash(name)
		switch {
		case rel == "go.mod":
			if want[rel], err = s.goMod(src.text); err != nil {
				return false, err
			}
		case !strings.HasSuffix(rel, "_test.go"):
			want[rel] = src.text
			suite.inside.there = suite.inside.there || path.Dir(rel) == s.rel && path.Ext(rel) == ".go"
		case path.Dir(rel) == s.rel:
			name := strings.TrimSuffix(path.Base(rel), ".go") + infix + ".go"
			external := isExternal(src.text)
			if external {
				name = path.Join(xtestDir, name)
			}
			want[path.Join(s.rel, name)] = src.text
			if s.pkg.matches(path.Base(name), src.text) {
				suite.add(filepath.Join(s.module.dir, rel), src.text, external)
			}
		}
	}
	if err := s.embed(want); err != nil {
		return false, err
	}
	want[path.Join(s.rel, mainDir, "main.go")] = []byte(driver)
	want[path.Join(s.rel, mainDir, "tests.go")] = suite.source()
	for _, rel := range slices.Sorted(maps.Keys(s.files)) {
		if _, ok := want[rel]; !ok {
			changed = true
			if err := os.Remove(filepath.Join(s.dir, filepath.FromSlash(rel))); err != nil {
				return false, err
			}
		}
	}
	for rel, text := range want {
		if old, ok := s.files[rel]; ok && bytes.Equal(old, text) {
			continue
		}
		changed = true
		file := filepath.Join(s.dir, filepath.FromSlash(rel))
		if err := os.MkdirAll(filepath.Dir(file), 0o700); err != nil {
			return false, err
		}
		if err := os.WriteFile(file, text, 0o600); err != nil {
			return false, err
		}
	}
	s.files, s.hasMain = want, suite.main != ""
	return changed, s.vendor()
}

// isExternal reports whether a test file is of the package beside the one that it tests.
func isExternal(text []byte) bool {
	f, err := parser.ParseFile(token.NewFileSet(), "", text, parser.PackageClauseOnly)
	return err == nil && strings.HasSuffix(f.Name.Name, "_test")
}

// embed adds the embedded files.
func (s *shadow) embed(want map[string][]byte) error {
	add := func(name, to string) error {
		text, err := os.ReadFile(name)
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		want[to] = text
		return err
	}
	for _, name := range s.pkg.embedded() {
		rel, err := filepath.Rel(s.module.dir, name)
		if err == nil {
			err = add(name, filepath.ToSlash(rel))
		}
		if err != nil {
			return err
		}
	}
	for _, name := range s.pkg.XTestEmbedFiles {
		if err := add(filepath.Join(s.pkg.Dir, name), path.Join(s.rel, xtestDir, name)); err != nil {
			return err
		}
	}
	return nil
}

// goMod is the module's go.mod for another directory.
func (s *shadow) goMod(text []byte) ([]byte, error) {
	f, err := modfile.Parse("go.mod", text, nil)
	if err != nil {
		return text, nil // the go command says what is wrong with it
	}
	for _, r := range f.Replace {
		if r.New.Version != "" || filepath.IsAbs(r.New.Path) {
			continue
		}
		if err := f.AddReplace(r.Old.Path, r.Old.Version, filepath.Join(s.module.dir, r.New.Path), ""); err != nil {
			return nil, fmt.Errorf("go.mod: %w", err)
		}
	}
	return f.Format()
}

// vendor has the module's vendor directory stand in the copy.
func (s *shadow) vendor() error {
	from, to := filepath.Join(s.module.dir, "vendor"), filepath.Join(s.dir, "vendor")
	if _, err := os.Stat(filepath.Join(from, "modules.txt")); err != nil {
		return nil
	}
	if err := os.Symlink(from, to); !errors.Is(err, fs.ErrExist) {
		return err
	}
	return nil
}

// real gives text with the names that files have in the module.
func (s *shadow) real(text string) string {
	return strings.NewReplacer(s.dir+"/", s.module.dir+"/", "/"+xtestDir+"/", "/", infix+".go", ".go",
		path.Join(s.pkg.ImportPath, xtestDir)+".", s.pkg.ImportPath+"_test.").Replace(text)
}

func (s *shadow) close() { s.lock.Close() }
