package build

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"time"
)

// schema is the version of what is written into a build's directory. A reader
// that knows another one takes the build for unknown.
const schema = 2

// A Baseline is one build of a program: what went into it and how. It is what
// the running process is compared with; it never changes after Build.
type Baseline struct {
	Schema    int
	BuildID   string // Go build ID of the executable, from its note
	GoVersion string // "go1.26.8"
	GOROOT    string
	Dir       string   // where the go command ran
	Target    []string // the package or files, as given
	Package   string   // import path of the main package; "command-line-arguments" for a list of files
	Module    Module   // the main package's module
	Agent     string   // import path of package agent in this program
	Flags     []string // of go build, as given, and -modfile when the agent needed one; GOFLAGS is in Env
	Env       []string // settings of the go command and the compiler in force, NAME=value
	Kept      []string `json:",omitempty"` // directories of the store that Flags and Env lead to
	Built     time.Time
	Binary    string // the store's copy of the executable, absolute
	Race      bool   // built with -race
	PIE       bool   // built as a position-independent executable
	Inputs    []File // go.mod, go.sum, go.work, vendor/modules.txt, profile, overlay
	Packages  map[string]*Package

	store *Store
}

// A Module is the module of the main package.
type Module struct {
	Path string
	Dir  string
}

// A Package is one package of the program, as compiled.
type Package struct {
	Path     string // import path; symbols of the main package begin with "main." all the same
	Name     string `json:",omitempty"`
	Dir      string `json:",omitempty"` // empty for packages that only the agent needs
	Module   string `json:",omitempty"` // module path, empty for the standard library
	Standard bool   `json:",omitempty"`
	Local    bool   `json:",omitempty"` // its source may change: neither toolchain nor module cache nor agent
	Covered  bool   `json:",omitempty"` // the program counts what it runs of it (-cover); Compile does without

	Archive   string            // hash of the archive that was linked; see Extend for packages without
	Imports   []string          `json:",omitempty"` // packages of its import configuration: direct imports and what the compiler adds, sorted
	ImportMap map[string]string `json:",omitempty"` // import path in the source → package path, where they differ
	GoVersion string            `json:",omitempty"` // language version (-lang): "go1.24"
	Compile   []string          // flags of the compiler, without paths and what only directs output
	Trim      []Rewrite         `json:",omitempty"` // elements of -trimpath

	// For Local packages only.
	Files         []File   `json:",omitempty"` // the user's Go files, those with import "C" last
	Generated     []File   `json:",omitempty"` // Go files of the build that stand for none of the user's; Path is a bare name unless the compiler saw a directory
	Other         []File   `json:",omitempty"` // assembly, C, headers
	Embedded      []File   `json:",omitempty"` // what //go:embed patterns matched
	EmbedPatterns []string `json:",omitempty"`
	SymABIs       string   `json:",omitempty"` // hash of the assembler's symbol ABIs
	EmbedConfig   string   `json:",omitempty"` // hash of the embed configuration
	Profile       string   `json:",omitempty"` // hash of the preprocessed profile (-pgo)
	Cgo           *Cgo     `json:",omitempty"` // how cgo was run, for packages with import "C"
}

// A File is a file that the build read. The store has its contents; of embedded
// files only the hash is known.
type File struct {
	Path string // absolute, as the user knows it: an overlay's file has the path that it is laid over
	Hash string // sha256, hexadecimal
	Cgo  string `json:",omitempty"` // hash of what cgo made of it, for a file with import "C"
}

// save writes the manifest. Everything that it names must be in the store.
func (b *Baseline) save() error {
	written := *b
	written.Binary = filepath.Join("exe", filepath.Base(b.Binary))
	text, err := json.Marshal(written)
	if err != nil {
		return fmt.Errorf("build %s: %w", b.BuildID, err)
	}
	return b.store.WriteFile(filepath.Join(b.store.BuildDir(b.BuildID), "manifest.json"), text)
}

// Load returns the build with this Go build ID from the store (nil: the
// user's). The error wraps fs.ErrNotExist when the store does not know it.
func Load(store *Store, buildID string) (*Baseline, error) {
	if store == nil {
		var err error
		if store, err = OpenStore(""); err != nil {
			return nil, err
		}
	}
	text, err := os.ReadFile(filepath.Join(store.BuildDir(buildID), "manifest.json"))
	if err != nil {
		if errors.Is(err, fs.ErrNotExist) {
			return nil, fmt.Errorf("build %s is not known here: it was not made by limeade-lsp, or its records were removed from %s; build the program again: %w",
				buildID, store.dir, fs.ErrNotExist)
		}
		return nil, fmt.Errorf("build %s: %w", buildID, err)
	}
	b := &Baseline{store: store}
	if err := json.Unmarshal(text, b); err != nil {
		return nil, fmt.Errorf("build %s: manifest: %w", buildID, err)
	}
	if b.Schema != schema || b.BuildID != buildID {
		return nil, fmt.Errorf("build %s: its records are of another version of limeade; build the program again: %w", buildID, fs.ErrNotExist)
	}
	b.Binary = filepath.Join(store.BuildDir(buildID), b.Binary)
	return b, nil
}

// Store is where the build is kept.
func (b *Baseline) Store() *Store { return b.store }

// Main is the main package.
func (b *Baseline) Main() *Package { return b.Packages[b.Package] }

// ArchivePath is the file of the archive that was linked into the program.
func (b *Baseline) ArchivePath(p *Package) string { return b.store.BlobPath(p.Archive) }

// Locals are the packages whose source may change, sorted by path.
func (b *Baseline) Locals() []*Package {
	var list []*Package
	for _, p := range b.Packages {
		if p.Local {
			list = append(list, p)
		}
	}
	slices.SortFunc(list, func(x, y *Package) int {
		if x.Path < y.Path {
			return -1
		}
		return 1
	})
	return list
}

// Sources returns what the compiler was given for a Local package, by file
// name: the user's files, what cgo made of those that import "C", and files
// that were generated by the build.
func (b *Baseline) Sources(p *Package) (map[string][]byte, error) {
	files := map[string][]byte{}
	for _, f := range append(p.Files[:len(p.Files):len(p.Files)], p.Generated...) {
		name, hash := filepath.Base(f.Path), f.Hash
		if f.Cgo != "" {
			name, hash = CgoName(name), f.Cgo
		}
		text, err := b.store.Blob(hash)
		if err != nil {
			return nil, fmt.Errorf("package %s: %s: %w", p.Path, name, err)
		}
		files[name] = text
	}
	return files, nil
}
