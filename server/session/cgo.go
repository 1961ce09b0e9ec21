package session

import (
	"context"
	"errors"
	"maps"
	"path/filepath"
	"slices"
	"strings"

	"github.com/limeade-go/limeade/analysis"
	"github.com/limeade-go/limeade/analysis/snapshot"
	"github.com/limeade-go/limeade/reload"
)

// A cgoRun is what cgo made of a package.
type cgoRun struct {
	key    string // names the package's files
	result *analysis.Translation
}

// cgo returns what the compiler gets of a package with files that import "C": what the build left for those that are as
// they were, and what cgo makes of the others.
func (p *program) cgo(ctx context.Context, pkg *snapshot.Package) (*analysis.Translation, error) {
	var key strings.Builder
	for _, f := range pkg.Files {
		key.WriteString(f.Path + f.Hash.String())
	}
	p.mu.Lock()
	last := p.cgos[pkg.Path]
	p.mu.Unlock()
	if last.key == key.String() {
		return last.result, nil
	}
	t, err := p.runCgo(ctx, pkg)
	var source *reload.CompileError
	switch {
	case errors.As(err, &source):
		t = &analysis.Translation{}
		for _, e := range source.Errors {
			t.Errors = append(t.Errors, analysis.SourceError(e))
		}
	case errors.Is(err, reload.ErrC):
		t = &analysis.Translation{Refused: err.Error()}
	case err != nil:
		return nil, err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.cgos == nil {
		p.cgos = map[string]cgoRun{}
	}
	p.cgos[pkg.Path] = cgoRun{key.String(), t}
	return t, nil
}

func (p *program) runCgo(ctx context.Context, pkg *snapshot.Package) (*analysis.Translation, error) {
	built := p.Packages[pkg.Path]
	made, err := p.Sources(built)
	if err != nil {
		return nil, err
	}
	edited := map[string][]byte{}
	var plain, translated []string
	for _, f := range pkg.Files {
		content, _ := f.Content()
		name := filepath.Base(f.Path)
		if !slices.Contains(f.Imports(), "C") {
			plain = append(plain, name)
			made[name] = content
			continue
		}
		translated = append(translated, reload.CgoName(name))
		if !slices.ContainsFunc(built.Files, func(b reload.BuildFile) bool { return b.Path == f.Path && b.Hash == f.Hash.String() }) {
			edited[name] = content
		}
	}
	if len(edited) > 0 {
		again, err := p.Cgo(ctx, built, edited)
		if err != nil {
			return nil, err
		}
		maps.Copy(made, again)
	}
	t := &analysis.Translation{}
	for _, name := range slices.Concat(plain, []string{reload.CgoTypes}, translated) {
		t.Files = append(t.Files, snapshot.NewFile(filepath.Join(pkg.Dir, name), made[name]))
	}
	return t, nil
}
