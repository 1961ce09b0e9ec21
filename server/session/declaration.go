package session

import (
	"context"
	"path/filepath"
	"time"

	"github.com/limeade-go/limeade/analysis/decl"
	"github.com/limeade-go/limeade/analysis/facts"
	"github.com/limeade-go/limeade/analysis/snapshot"
)

// A Declaration is what there is to say of a declaration that a process runs.
type Declaration struct {
	Decl       string // link name
	Start, End int    // of the name in the file
	// Generation is the one that brought it as it is now, 0 if it is as it was built; Since is when that was. Earlier
	// says that it may have been one before, which nobody saw.
	Generation uint32
	Since      time.Time
	Earlier    bool
}

// Declaration returns the declaration whose name stands at an offset of a file, or of its buffer; false if there is
// none, or if it is no part of the program.
func (l *Live) Declaration(ctx context.Context, buffers map[string][]byte, path string, offset int) (Declaration, bool) {
	l.mu.Lock()
	now, lives := l.saved, l.lives
	l.mu.Unlock()
	now, err := l.overlay(ctx, now, buffers)
	if err != nil {
		return Declaration{}, false
	}
	for _, pkg := range now.Packages() {
		if !pkg.Local || l.out(pkg.Dir) != filepath.Dir(path) {
			continue
		}
		source := decl.Load(now, pkg.Path)
		for _, d := range source.Decls() {
			if l.out(d.Parsed.File.Path) != path {
				continue
			}
			name := nameOf(d)
			start, end := offsets(d, name.Pos(), name.End())
			if offset < start || offset > end {
				continue
			}
			is := Declaration{Decl: facts.DeclName(pkg, d), Start: start, End: end}
			return is, is.born(lives, pkg.Path, d.ID)
		}
	}
	return Declaration{}, false
}

// born finds out since when the process has run the declaration as it runs it now; false if it does not run it.
func (is *Declaration) born(lives []lived, pkg string, id decl.ID) bool {
	runs := find(lives[len(lives)-1].source, pkg, id)
	if runs == nil {
		return false
	}
	first := len(lives) - 1
	for ; first > 0; first-- {
		if d := find(lives[first-1].source, pkg, id); d == nil || !same(d, runs) {
			is.Earlier = lives[first].generation > lives[first-1].generation+1
			break
		}
	}
	is.Generation, is.Since = lives[first].generation, lives[first].since
	return true
}

func find(source *snapshot.Snapshot, pkg string, id decl.ID) *decl.Decl {
	if source.Package(pkg) == nil {
		return nil
	}
	for _, d := range decl.Load(source, pkg).Decls() {
		if d.ID == id {
			return d
		}
	}
	return nil
}

// same reports whether two versions of a declaration mean the same.
func same(a, b *decl.Decl) bool {
	for p := decl.Part(1); p <= decl.Value; p <<= 1 {
		if a.Part(p) != b.Part(p) {
			return false
		}
	}
	return true
}
