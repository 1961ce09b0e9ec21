package analysis

import (
	"slices"

	"github.com/limeade-go/limeade/analysis/decl"
	"github.com/limeade-go/limeade/analysis/edit"
	"github.com/limeade-go/limeade/analysis/facts"
	"github.com/limeade-go/limeade/analysis/snapshot"
)

// A Translation is what cgo makes of a package.
type Translation struct {
	Files   []*snapshot.File // all Go files that the compiler gets, in its order
	Errors  []SourceError    // what cgo has against the source; files are absolute
	Refused string           // why it cannot be compiled for the program that runs: it needs other C code
}

// usesC reports whether a package has files that import "C". Their syntax is judged as the user wrote it, with C's names
// taken for anything; what is compiled, and what other packages see, are the files that cgo makes of them.
func usesC(p *snapshot.Package) bool {
	return slices.ContainsFunc(p.Files, func(f *snapshot.File) bool { return slices.Contains(f.Imports(), "C") })
}

// checkTranslated type-checks what cgo makes of a package of the new snapshot, with those bodies; nil stands for all. The
// result is nil if there is none: list says why, or refused does.
func (c *comparison) checkTranslated(p *snapshot.Package, bodies map[string]bool) (checked *Checked, list []SourceError, refused string, err error) {
	t, err := c.env.Cgo(c.ctx, p)
	if err != nil {
		return nil, nil, "", err
	}
	if t.Refused != "" {
		return nil, nil, t.Refused, nil
	}
	for _, e := range t.Errors {
		e.File = c.new.Rel(e.File)
		list = append(list, e)
	}
	if len(list) > 0 {
		return nil, list, "", nil
	}
	pkg := *p
	pkg.Files = t.Files
	source := decl.Source{Package: &pkg, Names: decl.Load(c.new, p.Path).Names}
	for _, f := range t.Files {
		source.Files = append(source.Files, decl.Of(f.Parse(c.new.Fset())))
	}
	checked, list, err = c.importer.check(checking{
		source: source, fset: c.new.Fset(), fresh: c.after.fresh, bodies: bodies, rel: c.new.Rel, directives: true,
	})
	return checked, list, "", err
}

// plainCgo reports whether a change in a file that imports "C" can be compiled as any other: it is one of a body that makes
// no closures, or names nothing of C. Cgo adds function literals of its own, by which the others would be numbered.
func (k *classifier) plainCgo(c decl.Change) bool {
	before, after := k.oldFacts(k.name(c.Old)), k.newFacts(k.name(c.New))
	return k.p.translated && k.p.needsC == "" && decl.Of(c.Old.Parsed).ImportsC() && decl.Of(c.New.Parsed).ImportsC() &&
		c.New.Func() != nil && c.Parts&^(decl.Body|decl.Names|decl.Pragma) == 0 && !c.Old.HasLocalTypes() && !c.New.HasLocalTypes() &&
		before != nil && after != nil && ((before.Flags|after.Flags)&facts.UsesCgo == 0 || len(before.Closures)+len(after.Closures) == 0)
}

// refuseCgo reports a declaration of the recompile set, in a file that imports "C", of which closures may be alive.
func (c *comparison) refuseCgo(s *set, d *facts.Decl) {
	if d.Flags&facts.UsesCgo != 0 && len(d.Closures) > 0 {
		if e := (edit.Edit{Kind: edit.CgoFile, Decl: d.Name}); !slices.ContainsFunc(c.report.Edits, func(o edit.Edit) bool { return o.Kind == e.Kind && o.Decl == e.Decl }) {
			c.add(edit.CgoFile, d.Name, c.placeIn(s.program, d.Name), "it calls what changed, and makes closures")
		}
	}
}
