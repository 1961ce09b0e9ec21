package analysis

import (
	"context"
	"go/types"
	"iter"
	"maps"
	"slices"
	"strings"

	"github.com/limeade-go/limeade/analysis/decl"
	"github.com/limeade-go/limeade/analysis/edit"
	"github.com/limeade-go/limeade/analysis/facts"
	"github.com/limeade-go/limeade/analysis/snapshot"
)

// A type's name is a part of its description in the process, of the hash by which type switches know it, and of the names of
// its methods. So a type that was renamed, and of which there may be values, goes on under the name that the process has:
// source is compared and compiled with that in place of the name that it has now (respell.go). All that is different then is
// what the program itself says of the type's name.

// TypeNames are the types that go on under other names in a process: the names that it has, by package path and by the name
// in the source.
type TypeNames map[string]map[string]string

// A typeName is a type of the source.
type typeName struct{ path, name string }

func (n TypeNames) add(t typeName, old string) {
	if n[t.path] == nil {
		n[t.path] = make(map[string]string)
	}
	n[t.path][t.name] = old
}

// with returns n and more.
func (n TypeNames) with(more TypeNames) TypeNames {
	all := make(TypeNames)
	for _, names := range []TypeNames{n, more} {
		for t, old := range names.all() {
			all.add(t, old)
		}
	}
	return all
}

// all has the names one by one.
func (n TypeNames) all() iter.Seq2[typeName, string] {
	return func(yield func(typeName, string) bool) {
		for path, of := range n {
			for name, old := range of {
				if !yield(typeName{path, name}, old) {
					return
				}
			}
		}
	}
}

// isOld reports whether a name is one that the process has for a type of a package, and the source has for none.
func (n TypeNames) isOld(path, name string) bool {
	return n[path][name] == "" && n.inSource(path, name) != name
}

// inSource returns the name that the source has for a type that the process has under an old one.
func (n TypeNames) inSource(path, old string) string {
	for name, o := range n[path] {
		if o == old {
			return name
		}
	}
	return old
}

// still returns those of the names that types of a snapshot have.
func (n TypeNames) still(snap *snapshot.Snapshot) TypeNames {
	kept := make(TypeNames)
	for path, of := range n {
		for _, d := range decl.Load(snap, path).Decls() {
			if old := of[d.Name]; old != "" && d.Kind == decl.Type && !d.IsAlias() {
				kept.add(typeName{path, d.Name}, old)
			}
		}
	}
	return kept
}

// compare compares what a program runs with what the source says now, in the names that the program has for types.
func (s *Session) compare(ctx context.Context, old, new *snapshot.Snapshot, draft bool, wishes Wishes) (*comparison, error) {
	s.bound()
	var had TypeNames
	if s.env.TypeNames != nil {
		had = s.env.TypeNames()
	}
	before := had.Respelled(old)
	names := had.still(new)
	after, lost, leftOver := names.respell(new)
	if len(lost) > 0 {
		after = new // of which nothing becomes live
	}
	c, err := s.compareAs(ctx, before, after, draft, wishes)
	if err != nil {
		return nil, err
	}
	renamed, unfit := make(TypeNames), make(map[typeName]string)
	for len(lost) == 0 {
		more := c.renamedTypes().without(unfit)
		if len(more) == 0 {
			break
		}
		respelled, others, left := names.with(renamed).with(more).respell(new)
		if len(others) > 0 {
			maps.Copy(unfit, others) // these are some of more: what refuses a name follows from that one alone
			continue
		}
		renamed, after, leftOver = renamed.with(more), respelled, left
		if c, err = s.compareAs(ctx, before, after, draft, wishes); err != nil { // which may show that more were
			return nil, err
		}
	}
	if c.report.TypeNames = names.with(renamed); len(lost) > 0 {
		leftOver = nil
	} else if len(c.report.TypeNames) > 0 {
		c.leftOver()
	}
	c.report.TypesRenamed = !maps.EqualFunc(c.report.TypeNames, had, maps.Equal)
	c.hideAliases(had.with(renamed))
	for t, old := range renamed.all() {
		c.sayName(edit.TypeRenamed, t, old, had.inSource(t.path, old))
	}
	for t, old := range had.all() {
		switch {
		case lost[t] != "":
			c.report.Edits = slices.DeleteFunc(c.report.Edits, func(e edit.Edit) bool { return e.Kind == edit.TypeReplaced && e.Decl == c.linkName(t.path, t.name) })
			c.sayName(edit.TypeReplaced, t, old, old)
			c.addReason(t, lost[t])
		case names[t.path][t.name] == "":
			if d := typeOf(new, t.path, old); d != nil && c.report.TypeNames.inSource(t.path, old) == old {
				c.sayName(edit.Respelled, typeName{t.path, old}, old, t.name)
			}
		}
	}
	for t, why := range unfit {
		c.addReason(t, why)
	}
	c.inOriginal()
	for _, e := range leftOver {
		if !slices.ContainsFunc(c.report.Errors, func(o SourceError) bool { return o.File == e.File && o.Line == e.Line }) {
			c.report.Errors = append(c.report.Errors, e)
		}
	}
	edit.Sort(c.report.Edits)
	sortErrors(c.report.Errors)
	return c, nil
}

// leftOver reports where source has an old name that is none any more, and where what else has it makes respell not tell.
func (c *comparison) leftOver() {
	names := c.report.TypeNames
	for _, p := range c.changed {
		if p.checked == nil {
			continue
		}
		for id, obj := range p.checked.Info.Uses {
			t, ok := obj.(*types.TypeName)
			if !ok || t.Pkg() == nil || !names.isOld(t.Pkg().Path(), t.Name()) || t.Parent() != t.Pkg().Scope() {
				continue
			}
			at := p.checked.Fset.PositionFor(id.Pos(), false)
			f := p.new.Package.File(at.Filename)
			if f == nil || f.Respells(at.Offset) {
				continue
			}
			c.report.Errors = append(c.report.Errors, sourceError(at, "undefined: "+t.Name(), c.new.Rel))
		}
	}
}

// without returns n without some types.
func (n TypeNames) without(some map[typeName]string) TypeNames {
	rest := make(TypeNames)
	for t, old := range n.all() {
		if some[t] == "" {
			rest.add(t, old)
		}
	}
	return rest
}

// renamedTypes returns the types that were renamed, and of which there may be values: the names that the process has.
func (c *comparison) renamedTypes() TypeNames {
	renamed := make(TypeNames)
	for _, e := range c.report.Edits {
		if e.Kind != edit.TypeReplaced {
			continue
		}
		for _, p := range c.changed {
			prefix := facts.LinkPath(p.path(), p.new.Package.Name) + "."
			if old, ok := strings.CutPrefix(c.wentAs[e.Decl], prefix); ok {
				renamed.add(typeName{p.path(), strings.TrimPrefix(e.Decl, prefix)}, old)
			}
		}
	}
	return renamed
}

// linkName returns the link name of a declaration of a package.
func (c *comparison) linkName(path, name string) string {
	return facts.LinkPath(path, c.new.Package(path).Name) + "." + name
}

// goesOnAs returns the link name in the process of a type that the source calls by another.
func (r *Report) goesOnAs(name string) string {
	for t, old := range r.TypeNames.all() {
		if r.comparison.linkName(t.path, t.name) == name {
			return r.comparison.linkName(t.path, old)
		}
	}
	return name
}

// hideAliases takes out the edits of aliases that respelled source has.
func (c *comparison) hideAliases(names TypeNames) {
	hidden := make(map[string]bool)
	for t := range names.all() {
		if c.new.Package(t.path) != nil {
			hidden[c.linkName(t.path, t.name)] = true
		}
	}
	c.report.Edits = slices.DeleteFunc(c.report.Edits, func(e edit.Edit) bool {
		return hidden[e.Decl] && (e.Kind == edit.TypeAdded || e.Kind == edit.TypeDeleted)
	})
}

// typeOf returns a type of a snapshot, nil if it has none.
func typeOf(snap *snapshot.Snapshot, path, name string) *decl.Decl {
	for _, d := range decl.Load(snap, path).Decls() {
		if d.Kind == decl.Type && d.Name == name && !d.IsAlias() {
			return d
		}
	}
	return nil
}

// sayName adds an edit of a type that the process has under an old name, and that was something else in the source.
func (c *comparison) sayName(kind edit.Kind, t typeName, old, was string) {
	d := typeOf(c.new, t.path, t.name)
	if d == nil {
		d = typeOf(c.new, t.path, old)
	}
	if d == nil {
		return
	}
	if was != old && t.name != old {
		was += ", which the program calls " + old
	}
	c.add(kind, c.linkName(t.path, t.name), placeOf(d), "it was "+was)
}

// addReason says why a renamed type cannot go on under its old name.
func (c *comparison) addReason(t typeName, why string) {
	for i, e := range c.report.Edits {
		if e.Kind == edit.TypeReplaced && e.Decl == c.linkName(t.path, t.name) {
			c.report.Edits[i].Detail += "; " + why
		}
	}
}

// inOriginal puts what was found in respelled files where it is in the files as somebody wrote them.
func (c *comparison) inOriginal() {
	if len(c.report.TypeNames) == 0 {
		return
	}
	respelled := make(map[string]*snapshot.File)
	for _, p := range c.new.Packages() {
		for _, f := range p.Files {
			if f.Original() != f {
				respelled[c.new.Rel(f.Path)] = f
			}
		}
	}
	for i, e := range c.report.Edits {
		if f := respelled[e.File]; f != nil {
			c.report.Edits[i].Column = f.OriginalColumn(e.Line, e.Column)
		}
	}
	for i, e := range c.report.Errors {
		if f := respelled[e.File]; f != nil {
			c.report.Errors[i].Column = f.OriginalColumn(e.Line, e.Column)
		}
	}
}
