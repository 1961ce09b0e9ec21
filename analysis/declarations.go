package analysis

import (
	"slices"

	"github.com/limeade-go/limeade/analysis/decl"
	"github.com/limeade-go/limeade/analysis/edit"
	"github.com/limeade-go/limeade/analysis/facts"
	"github.com/limeade-go/limeade/analysis/snapshot"
)

// Declarations returns the declaration that an edit is about, as the program runs it and as the source says it now: nil
// where there is none. One that did not change itself is returned twice. Edits of imports, files and packages are about
// none.
func (r *Report) Declarations(e edit.Edit) (old, new *decl.Decl) {
	for _, p := range r.comparison.changed {
		if p.delta == nil {
			continue // it has syntax errors
		}
		for _, c := range p.delta.Decls {
			d := c.New
			if d == nil {
				d = c.Old
			}
			if facts.DeclName(p.new.Package, d) != e.Decl {
				continue
			}
			if c.Old == nil && c.New != nil {
				c.Old = r.comparison.renamedFrom(p, d)
			}
			return c.Old, c.New
		}
	}
	name := e.Decl
	if e.Kind == edit.TypeRenamed {
		name = r.goesOnAs(name)
	}
	for _, p := range r.comparison.new.Packages() {
		if !slices.ContainsFunc(p.Files, func(f *snapshot.File) bool { return r.comparison.new.Rel(f.Path) == e.File }) {
			continue
		}
		for _, d := range decl.Load(r.comparison.new, p.Path).Decls() {
			if facts.DeclName(p, d) == name {
				return d, d
			}
		}
	}
	return nil, nil
}
