package session

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"sync"

	"github.com/limeade-go/limeade/analysis"
	"github.com/limeade-go/limeade/analysis/snapshot"
	"github.com/limeade-go/limeade/reload"
)

// What is kept of a generation beside what package reload keeps: in what its source differs from the build's, and what
// must be known of variables that its code had. It is a list in JSON, the manifest.

// A recorded is one entry of a manifest. The contents of files are in the store.
type recorded struct {
	Path    string `json:"path,omitempty"`    // of a file that differs
	Hash    string `json:"hash,omitempty"`    // of its content; "": there is no such file
	Package string `json:"package,omitempty"` // of an embedded file: which embeds it
	Written string `json:"written,omitempty"` // link name of a variable that may have been written: analysis.Report.Written

	// Numbers are those of the types in functions of Package: analysis.LocalNumbers.
	Numbers *analysis.LocalNumbers `json:"numbers,omitempty"`

	// TypeNames are the types of Package that go on under other names: analysis.TypeNames.
	TypeNames map[string]string `json:"typeNames,omitempty"`
}

// manifest begins to record what the process runs after the refresh, and returns what ends it: meanwhile the source is put
// into the store.
func (j *job) manifest() func() ([]byte, error) {
	program, now := j.program, j.now
	sources := sync.OnceValues(func() ([]recorded, error) { return program.sources(now) })
	go sources()
	return func() ([]byte, error) {
		list, err := sources()
		if err != nil {
			return nil, err
		}
		return j.record(list)
	}
}

// record makes the manifest of what the process runs after the refresh, whose source is in the store.
func (j *job) record(list []recorded) ([]byte, error) {
	list = append(slices.Clip(list), j.embedded()...) // the source may be recorded again
	_, known, err := decodeManifest(j.gen.Manifest)
	if err != nil {
		return nil, err
	}
	for _, name := range j.report.Written {
		known.written[name] = true
	}
	maps.Copy(known.locals, j.report.Locals)
	known.typeNames = j.report.TypeNames
	return encodeManifest(list, known)
}

// What is known of a process beside its source.
type known struct {
	written   map[string]bool                   // link names of variables that may have been written
	locals    map[string]*analysis.LocalNumbers // numbers of the types in functions, by the paths of their packages
	typeNames analysis.TypeNames                // types that go on under other names
}

func encodeManifest(files []recorded, known known) ([]byte, error) {
	list := slices.Clip(files)
	for name := range known.written {
		list = append(list, recorded{Written: name})
	}
	for path, names := range known.typeNames {
		list = append(list, recorded{Package: path, TypeNames: names})
	}
	for path, n := range known.locals {
		list = append(list, recorded{Package: path, Numbers: n})
	}
	slices.SortStableFunc(list, func(a, b recorded) int {
		return strings.Compare(a.Path+"\x00"+a.Package+"\x00"+a.Written, b.Path+"\x00"+b.Package+"\x00"+b.Written)
	})
	return json.Marshal(list)
}

// decodeManifest returns the entries of a manifest that are of files, and what the others say.
func decodeManifest(manifest []byte) ([]recorded, known, error) {
	k := known{written: map[string]bool{}, locals: map[string]*analysis.LocalNumbers{}, typeNames: analysis.TypeNames{}}
	var list, files []recorded
	if len(manifest) > 0 {
		if err := json.Unmarshal(manifest, &list); err != nil {
			return nil, k, fmt.Errorf("record of generation: %w", err)
		}
	}
	for _, r := range list {
		switch {
		case r.Written != "":
			k.written[r.Written] = true
		case r.Numbers != nil:
			k.locals[r.Package] = r.Numbers
		case r.TypeNames != nil:
			k.typeNames[r.Package] = r.TypeNames
		default:
			files = append(files, r)
		}
	}
	return files, k, nil
}

// compared returns the source of a record as it is compared.
func (p *program) compared(manifest []byte) (*snapshot.Snapshot, error) {
	source, err := p.source(&reload.Generation{Manifest: manifest})
	if err != nil {
		return nil, err
	}
	_, known, err := decodeManifest(manifest)
	return known.typeNames.Respelled(source), err
}

// rolledBack returns the manifest of a process that went back from one generation to the one before, and where code of the
// one's source stands in that of the other.
func (p *program) rolledBack(before, from []byte) ([]byte, []reload.LineMove, error) {
	manifest, err := manifestBack(before, from)
	if err != nil {
		return nil, nil, err
	}
	var back []reload.LineMove
	if was, err := p.compared(from); err == nil {
		if is, err := p.compared(before); err == nil {
			back = movedBetween(was, is)
		}
	} // else the next refresh does not find what it looks for, and says so
	return manifest, back, nil
}

func manifestBack(before, from []byte) ([]byte, error) {
	files, known, err := decodeManifest(before)
	if err != nil {
		return nil, err
	}
	_, later, err := decodeManifest(from)
	if err != nil {
		return nil, err
	}
	maps.Copy(known.written, later.written)
	for path, l := range later.locals {
		n := analysis.LocalNumbers{}
		if known.locals[path] != nil {
			n = *known.locals[path]
		}
		n.Next = max(n.Next, l.Next) // numbers that somebody had are nobody's again
		known.locals[path] = &n
	}
	if len(files)+len(known.written)+len(known.locals)+len(known.typeNames) == 0 {
		return before, nil
	}
	return encodeManifest(files, known)
}

// sources records in which Go and module files a snapshot differs from the build, and puts the contents into the store.
func (p *program) sources(s *snapshot.Snapshot) ([]recorded, error) {
	changes := []recorded{}
	for _, old := range p.base.Packages() {
		now := s.Package(old.Path)
		if now == old || !old.Local {
			continue
		}
		if now == nil {
			now = &snapshot.Package{}
		}
		for _, f := range old.Files {
			if now.File(f.Path) == nil {
				changes = append(changes, recorded{Path: f.Path})
			}
		}
		for _, f := range now.Files {
			if o := old.File(f.Path); o != nil && o.Hash == f.Hash {
				continue
			}
			content, ok := f.Content()
			if !ok {
				continue
			}
			hash, err := p.Store().Put(content)
			if err != nil {
				return nil, err
			}
			changes = append(changes, recorded{Path: f.Path, Hash: hash})
		}
	}
	for _, m := range s.Modules() {
		if slices.ContainsFunc(p.base.Modules(), func(o snapshot.OtherFile) bool { return o.Path == m.Path && o.Hash != m.Hash }) {
			hash, err := p.Store().Put(m.Content)
			if err != nil {
				return nil, err
			}
			changes = append(changes, recorded{Path: m.Path, Hash: hash})
		}
	}
	return changes, nil
}

// embedded records in which embedded files the process differs from the build after the refresh: only of files of which
// all variables get the new content.
func (j *job) embedded() []recorded {
	var changes []recorded
	for _, base := range j.program.base.Packages() {
		old, now := j.old.Package(base.Path), j.now.Package(base.Path)
		if !base.Local || old == nil || now == nil {
			continue
		}
		had, runs := embeddedFiles(base), embeddedFiles(old)
		is := embeddedFiles(now)
		for _, path := range j.report.Embedded {
			delete(runs, path)
			if hash, ok := is[path]; ok {
				runs[path] = hash
			}
		}
		for path, hash := range runs {
			if had[path] != hash {
				changes = append(changes, recorded{Path: path, Hash: hash.String(), Package: base.Path})
			}
		}
		for path := range had {
			if _, ok := runs[path]; !ok {
				changes = append(changes, recorded{Path: path, Package: base.Path})
			}
		}
	}
	return changes
}

func embeddedFiles(p *snapshot.Package) map[string]snapshot.Hash {
	files := map[string]snapshot.Hash{}
	for _, o := range p.Other {
		if o.Kind == snapshot.Embedded {
			files[o.Path] = o.Hash
		}
	}
	return files
}

// source returns the source of a generation, and keeps that of the last one that was asked for.
func (p *program) source(g *reload.Generation) (*snapshot.Snapshot, error) {
	base, err := p.baseline()
	if err != nil || len(g.Manifest) == 0 {
		return base, err
	}
	p.mu.Lock()
	source, manifest, last := p.ran, p.manifest, p.last
	p.mu.Unlock()
	if source != nil && bytes.Equal(manifest, g.Manifest) {
		return source, nil
	}
	if source, err = p.recordedSource(base, g.Manifest); err != nil {
		return nil, err
	}
	if last != nil {
		source = source.Sharing(last) // what was made live just now is known
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.ran, p.manifest = source, g.Manifest
	return source, nil
}

// recordedSource returns what was built with what a record says is changed since.
func (p *program) recordedSource(base *snapshot.Snapshot, manifest []byte) (*snapshot.Snapshot, error) {
	list, _, err := decodeManifest(manifest)
	if err != nil {
		return nil, err
	}
	var changes []snapshot.Change
	var embedded []snapshot.EmbedChange
	for _, r := range list {
		switch {
		case r.Package != "":
			c := snapshot.EmbedChange{Package: r.Package, Path: r.Path, Deleted: r.Hash == ""}
			if r.Hash != "" {
				if err := c.Hash.UnmarshalText([]byte(r.Hash)); err != nil {
					return nil, fmt.Errorf("record of generation: %w", err)
				}
			}
			embedded = append(embedded, c)
		default:
			c := snapshot.Change{Path: r.Path, Deleted: r.Hash == ""}
			if r.Hash != "" {
				if c.Content, err = p.Store().Blob(r.Hash); err != nil {
					return nil, fmt.Errorf("%w: source of %s: %w", reload.ErrUnknownBuild, r.Path, err)
				}
			}
			changes = append(changes, c)
		}
	}
	return base.With(changes...).Embedding(embedded...), nil
}

// embed puts what the variables of a package are to embed into the store. A file that changed since it was looked at is
// refused: the record of what the process runs must not say another thing than it runs.
func (j *job) embed(set analysis.PackageSet) (*reload.Embed, error) {
	var e *reload.Embed
	for _, v := range set.Defined {
		for pattern, files := range v.Files {
			if e == nil {
				e = &reload.Embed{Patterns: map[string][]string{}, Files: map[string]string{}}
			}
			e.Patterns[pattern] = []string{}
			for _, f := range files {
				e.Patterns[pattern] = append(e.Patterns[pattern], f.Name)
				content, err := os.ReadFile(f.Path)
				if err != nil {
					return nil, &Failure{Kind: FailureProcess, Message: err.Error()}
				}
				if snapshot.HashOf(content) != f.Hash {
					return nil, &Failure{Kind: FailureProcess, Message: f.Path + " changed while the refresh was made; nothing was changed"}
				}
				hash, err := j.program.Store().Put(content)
				if err != nil {
					return nil, err
				}
				e.Files[f.Name] = j.program.Store().BlobPath(hash)
			}
		}
	}
	return e, nil
}
