package analysis

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"go/types"
	"path/filepath"
	"runtime"
	"slices"

	"github.com/limeade-go/limeade/analysis/decl"
	"github.com/limeade-go/limeade/analysis/facts"
	"github.com/limeade-go/limeade/analysis/snapshot"
)

// A view is one snapshot as its packages see each other. Export data tell what the build's packages look like to those
// that import them; packages that look otherwise now, and those that import such, are checked from source. Of which packages
// that is known is up to settle: a package can be checked, and have a key, when those that it imports are settled, and be
// loaded when it is itself.
type view struct {
	*Session
	snapshot *snapshot.Snapshot
	salt     string
	fresh    map[string]*types.Package // packages that look otherwise than the build's
	sees     map[string]factKey        // of these: what importers see of the package and of what it relies on
	settled  map[string]bool           // packages that were looked at, with all that they import
	keys     map[string]factKey        // see key
}

// A freshPackage is a package that was checked without bodies for the sake of those that import it.
type freshPackage struct {
	types *types.Package
	same  bool // it looks as the build's does, and is not used
	used  int  // number of the comparison that looked at it last
}

// A freshKey is a version of a package as others see it.
type freshKey struct {
	path string
	sees factKey
}

// view returns a snapshot's view, in which nothing is settled.
func (s *Session) view(snap *snapshot.Snapshot) *view {
	v := &view{
		Session: s, snapshot: snap,
		salt:  fmt.Sprintf("%s %s %t", s.env.Toolchain, runtime.Version(), s.env.Profiled),
		fresh: make(map[string]*types.Package), sees: make(map[string]factKey), settled: make(map[string]bool),
		keys: make(map[string]factKey),
	}
	if s.built == nil {
		if s.built = s.env.Built; s.built == nil {
			s.built = snap
		}
	}
	return v
}

// settle finds out how packages look, and all that they import.
func (v *view) settle(ctx context.Context, packages []*snapshot.Package) error {
	s, snap := v.Session, v.snapshot
	for _, p := range snap.ImportsFirst(packages) {
		if v.settled[p.Path] {
			continue
		}
		v.settled[p.Path] = true
		built := s.built.Package(p.Path)
		relies := slices.ContainsFunc(p.Imports, func(imp string) bool { return v.fresh[imp] != nil })
		if p.Name == "main" || !relies && built != nil && (built.SameSource(p) || v.looksAlike(built, p)) {
			continue
		}
		if err := ctx.Err(); err != nil {
			return err
		}
		source := decl.Load(snap, p.Path)
		if len(p.Files) == 0 || len(syntaxErrors(source, snap.Rel)) > 0 {
			continue
		}
		key := freshKey{p.Path, v.seen(p)}
		f, ok := s.importer.fresh[key]
		if !ok {
			checked, _, err := s.importer.check(checking{source: source, fset: snap.Fset(), bodies: map[string]bool{}, rel: snap.Rel, fresh: v.fresh})
			if err != nil {
				return err
			}
			f.types = checked.Types
			if f.same, err = s.looksBuilt(checked.Types); err != nil {
				return err
			}
		}
		f.used = s.comparisons
		s.importer.fresh[key] = f
		if relies || !f.same {
			v.fresh[p.Path], v.sees[p.Path] = f.types, key.sees
		}
	}
	return nil
}

// looksAlike reports whether two versions of a package are the same but for what no other package can see.
func (v *view) looksAlike(built, p *snapshot.Package) bool {
	return built.GoVersion == p.GoVersion && slices.EqualFunc(built.Files, p.Files, func(a, b *snapshot.File) bool {
		return filepath.Base(a.Path) == filepath.Base(b.Path) && (a.Hash == b.Hash || decl.Shape(a, v.built.Fset()) == decl.Shape(b, v.snapshot.Fset()))
	})
}

// looksBuilt reports whether a package looks as the build left it.
func (s *Session) looksBuilt(pkg *types.Package) (bool, error) {
	built, err := s.importer.load(pkg.Path())
	if errors.Is(err, errNoExport) {
		return false, nil
	}
	return err == nil && facts.CompareAPI(built, pkg).Same, err
}

// seen returns the key of what importers can see of a package, transitively.
func (v *view) seen(p *snapshot.Package) factKey {
	h := sha256.New()
	fmt.Fprintf(h, "%q %q", p.Path, p.GoVersion)
	for _, f := range p.Files {
		h.Write(binary.LittleEndian.AppendUint64(nil, uint64(decl.Shape(f, v.snapshot.Fset()))))
	}
	v.imports(h.Write, p)
	return factKey(h.Sum(nil))
}

// imports writes what a package sees of those that it imports.
func (v *view) imports(write func([]byte) (int, error), p *snapshot.Package) {
	for _, imp := range p.Imports {
		key, ok := v.sees[imp]
		if !ok {
			key = sha256.Sum256([]byte(imp))
		}
		_, _ = write(key[:]) // of a hash
	}
}

// key returns the key of the facts of a Local package.
func (v *view) key(p *snapshot.Package) factKey {
	if key, ok := v.keys[p.Path]; ok {
		return key
	}
	h := sha256.New()
	fmt.Fprintf(h, "%s\n%q %q %q\n", v.salt, p.Path, p.Name, p.GoVersion)
	for _, f := range p.Files {
		fmt.Fprintf(h, "%q %s\n", filepath.Base(f.Path), f.Hash)
	}
	v.imports(h.Write, p)
	v.keys[p.Path] = factKey(h.Sum(nil))
	return v.keys[p.Path]
}

// check type-checks a package, with those bodies; nil stands for all. See checking for drafts.
func (v *view) check(p *snapshot.Package, bodies map[string]bool, draft bool) (*Checked, []SourceError, error) {
	source := decl.Load(v.snapshot, p.Path)
	return v.importer.check(checking{source: source, fset: v.snapshot.Fset(), fresh: v.fresh, bodies: bodies, draft: draft, rel: v.snapshot.Rel})
}

// load returns a package as others see it.
func (v *view) load(path string) (*types.Package, error) {
	if p := v.fresh[path]; p != nil {
		return p, nil
	}
	return v.importer.load(path)
}
