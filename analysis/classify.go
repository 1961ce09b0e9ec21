package analysis

import (
	"go/ast"
	"slices"
	"strings"

	"github.com/limeade-go/limeade/analysis/decl"
	"github.com/limeade-go/limeade/analysis/edit"
	"github.com/limeade-go/limeade/analysis/facts"
)

// A place is where an edit is shown.
type place struct {
	file         string // absolute
	line, column int
}

func placeOf(d *decl.Decl) place {
	p := d.Position()
	return place{p.Filename, p.Line, p.Column}
}

// gone returns where to show that an old declaration is not there any more: its line in the file as it is now, or the
// first file of the package if it is gone too.
func (p *changedPackage) gone(d *decl.Decl) place {
	at := placeOf(d)
	for _, f := range p.new.Files {
		if f.Parsed.File.Path == at.file {
			lines := f.Parsed.Fset.File(f.Parsed.Syntax.FileStart).LineCount()
			return place{at.file, min(at.line, lines), 1}
		}
	}
	return place{p.new.Files[0].Parsed.File.Path, 1, 1}
}

// classify gives each difference its kind.
func (c *comparison) classify() error {
	for _, p := range c.changed {
		if p.broken {
			continue
		}
		k := classifier{comparison: c, p: p}
		before := len(c.report.Edits)
		k.imports()
		k.renames()
		for _, change := range p.delta.Decls {
			if !k.renamed[change.New] && !k.renamed[change.Old] {
				k.decl(change)
			}
		}
		k.files(before)
		k.others()
		c.report.Lines = append(c.report.Lines, p.delta.Lines...)
		if k.err != nil {
			return k.err
		}
	}
	return nil
}

// A classifier gives the edits of one package their kinds.
type classifier struct {
	*comparison
	p       *changedPackage
	renamed map[*decl.Decl]bool // said already
	err     error
}

func (k *classifier) name(d *decl.Decl) string { return facts.DeclName(k.p.new.Package, d) }

func (k *classifier) edit(kind edit.Kind, d *decl.Decl, detail string) {
	k.add(kind, k.name(d), placeOf(d), detail)
}

func (k *classifier) oldFacts(name string) *facts.Decl {
	if k.p.oldFacts == nil {
		return nil
	}
	return k.p.oldFacts.Decl(name)
}

func (k *classifier) newFacts(name string) *facts.Decl {
	if k.p.newFacts == nil {
		return nil
	}
	return k.p.newFacts.Decl(name)
}

func (k *classifier) imports() {
	for _, i := range k.p.delta.Imports {
		at := place{i.File.Parsed.File.Path, 1, 1}
		if i.Added {
			p := i.File.Parsed.Fset.PositionFor(i.Pos, false)
			at = place{p.Filename, p.Line, p.Column}
		} else if len(k.p.new.Files) > 0 {
			at = place{k.p.new.Files[0].Parsed.File.Path, 1, 1}
			for _, f := range k.p.new.Files {
				if f.Parsed.File.Path == i.File.Parsed.File.Path {
					at.file = f.Parsed.File.Path
				}
			}
		}
		kind := edit.ImportModule
		first, _, _ := strings.Cut(i.Path, "/")
		switch {
		case i.Path == "C":
			kind = edit.CgoPreamble
		case !i.Added:
			kind = edit.ImportRemoved
		case k.linked(i.Path):
			kind = edit.ImportLinked
		case !k.joins(i.Path):
			kind = edit.ImportRefused
		case !strings.Contains(first, "."):
			kind = edit.ImportStandard // as the go command tells them apart
		}
		k.add(kind, k.p.path(), at, i.Path)
	}
}

// decl classifies one declaration that differs.
func (k *classifier) decl(c decl.Change) {
	switch {
	case c.Old == nil:
		k.added(c.New)
		return
	case c.New == nil:
		k.removed(c.Old)
		return
	case c.Parts == 0:
		if c.Old.Parsed.File.Hash != c.New.Parsed.File.Hash { // otherwise the whole file has another name
			k.edit(edit.Moved, c.New, "")
		}
		return
	case (decl.Of(c.Old.Parsed).ImportsC() || decl.Of(c.New.Parsed).ImportsC()) && !k.plainCgo(c):
		k.edit(edit.CgoFile, c.New, k.p.needsC)
		return
	}
	switch c.New.Kind {
	case decl.Func, decl.Method:
		k.function(c)
	case decl.Var:
		k.variable(c)
	case decl.Const:
		k.constant(c)
	case decl.Type:
		k.typ(c)
	}
}

func (k *classifier) added(d *decl.Decl) {
	kind := map[decl.Kind]edit.Kind{
		decl.Func: edit.FuncAdded, decl.Method: edit.MethodAdded, decl.Var: edit.VarAdded, decl.Const: edit.ConstAdded, decl.Type: edit.TypeAdded,
	}[d.Kind]
	switch {
	case decl.Of(d.Parsed).ImportsC():
		kind = edit.CgoFile
	case d.Func() != nil && d.Func().Body == nil:
		kind = edit.BodyPresence
	case d.Kind == decl.Func && d.Name == "init":
		kind = edit.Init
	case d.Name == "_":
		kind = k.blank(d, k.newFacts(k.name(d)))
	case k.otherReceiver(d):
		kind = edit.ReceiverKind
	case d.Kind == decl.Var && d.HasPragma():
		kind = edit.EmbedPattern
	case d.Kind == decl.Method && k.came(d.Recv):
		kind = edit.NewTypeMethod
	}
	k.edit(kind, d, "")
}

func (k *classifier) removed(d *decl.Decl) {
	var why string
	kind := map[decl.Kind]edit.Kind{
		decl.Func: edit.FuncDeleted, decl.Method: edit.MethodDeleted, decl.Var: edit.VarDeleted, decl.Const: edit.ConstDeleted, decl.Type: edit.TypeDeleted,
	}[d.Kind]
	switch {
	case decl.Of(d.Parsed).ImportsC():
		kind = edit.CgoFile
	case d.Kind == decl.Func && d.Name == "init":
		kind = edit.Init
	case d.Name == "_":
		kind = k.blank(d, k.oldFacts(k.name(d)))
	case k.otherReceiver(d):
		return // said of the new one
	case d.Kind == decl.Method && k.went(d.Recv):
		kind = edit.GoneTypeMethod
	case d.Kind == decl.Var && k.makesClosures(d):
		kind, why = edit.ClosureSet, "with the variable that it initialised"
	}
	k.add(kind, k.name(d), k.p.gone(d), why)
}

// makesClosures reports whether the initialiser of a variable that the program had has function literals whose closures may be
// kept.
func (k *classifier) makesClosures(d *decl.Decl) bool {
	f := k.oldFacts(k.name(d))
	return f != nil && slices.ContainsFunc(f.Closures, func(c *facts.Closure) bool { return c.Kind == facts.Literal && !c.Brief })
}

// came reports whether a type was added, and went whether one was deleted.
func (k *classifier) came(typ string) bool {
	return slices.ContainsFunc(k.p.delta.Decls, func(c decl.Change) bool { return c.Old == nil && c.New.Kind == decl.Type && c.New.Name == typ })
}

func (k *classifier) went(typ string) bool {
	return slices.ContainsFunc(k.p.delta.Decls, func(c decl.Change) bool { return c.New == nil && c.Old.Kind == decl.Type && c.Old.Name == typ })
}

// blank returns the kind of an edit of a declaration without a name: only a variable's initialiser does anything.
func (k *classifier) blank(d *decl.Decl, f *facts.Decl) edit.Kind {
	if d.Kind != decl.Var || f != nil && f.Flags&facts.Inert != 0 {
		return edit.Blank
	}
	return edit.Initializer
}

func (k *classifier) variable(c decl.Change) {
	before, after := k.oldFacts(k.name(c.Old)), k.newFacts(k.name(c.New))
	switch {
	case c.New.Name == "_" && k.blank(c.Old, before) == edit.Blank:
		k.edit(k.blank(c.New, after), c.New, "")
	case c.New.Name == "_" && c.Literals && c.Old.N == c.New.N && before != nil && after != nil:
		k.literals(c, before, after)
	case c.New.Name == "_":
		k.edit(edit.Initializer, c.New, "")
	case c.Parts&decl.Pragma != 0:
		k.edit(edit.EmbedPattern, c.New, "")
	case before != nil && after != nil && before.Type != after.Type:
		k.edit(edit.VarType, c.New, "")
	case before != nil && after != nil && before.Value != 0 && before.Value == after.Value:
		k.edit(edit.Respelled, c.New, "")
	case c.Parts&decl.Value != 0 && k.renamesOnly(c):
		k.edit(edit.Respelled, c.New, "")
	case c.Parts&decl.Value != 0 && c.Literals && before != nil && after != nil:
		k.literals(c, before, after)
	case c.Parts&decl.Value != 0:
		k.edit(edit.Initializer, c.New, "")
	default:
		k.edit(edit.Respelled, c.New, "")
	}
}

// literals classifies an edit of nothing but function literals, in what ran when the program started.
func (k *classifier) literals(c decl.Change, before, after *facts.Decl) {
	if !k.bodyEdits(c, before, after) {
		k.edit(edit.ClosureBody, c.New, "")
	}
}

func (k *classifier) constant(c decl.Change) {
	before, after := k.oldFacts(k.name(c.Old)), k.newFacts(k.name(c.New))
	if c.New.Name == "_" {
		k.edit(edit.Blank, c.New, "")
		return
	}
	if before != nil && after != nil && before.Type == after.Type {
		k.edit(edit.Respelled, c.New, "")
		return
	}
	k.edit(edit.ConstChanged, c.New, "")
}

func (k *classifier) typ(c decl.Change) {
	before, after := k.oldFacts(k.name(c.Old)), k.newFacts(k.name(c.New))
	if c.New.Name == "_" {
		k.edit(edit.Blank, c.New, "")
		return
	}
	if before != nil && after != nil && before.Type == after.Type {
		k.edit(edit.Respelled, c.New, "")
		return
	}
	old, new := c.Old.Node.(*ast.TypeSpec), c.New.Node.(*ast.TypeSpec)
	oldStruct, ok1 := old.Type.(*ast.StructType)
	newStruct, ok2 := new.Type.(*ast.StructType)
	_, ok3 := old.Type.(*ast.InterfaceType)
	_, ok4 := new.Type.(*ast.InterfaceType)
	switch {
	case old.Assign.IsValid() || new.Assign.IsValid():
		k.edit(edit.AliasTarget, c.New, "")
	case c.Parts&decl.TypeParams != 0:
		k.edit(edit.TypeTypeParams, c.New, "")
	case ok1 && ok2:
		k.fields(c.New, oldStruct, newStruct)
	case ok3 && ok4:
		k.edit(edit.InterfaceMethods, c.New, "")
	default:
		k.edit(edit.Underlying, c.New, "")
	}
}

// A field is one field of a struct, as written.
type field struct {
	name     string
	typ      decl.Hash
	tag      string
	embedded bool
}

func fieldsOf(st *ast.StructType) []field {
	var list []field
	for _, f := range st.Fields.List {
		tag := ""
		if f.Tag != nil {
			tag = f.Tag.Value
		}
		for _, name := range f.Names {
			list = append(list, field{name.Name, decl.HashNode(f.Type), tag, false})
		}
		if f.Names == nil {
			list = append(list, field{"", decl.HashNode(f.Type), tag, true})
		}
	}
	return list
}

func (k *classifier) fields(d *decl.Decl, old, new *ast.StructType) {
	before, after := fieldsOf(old), fieldsOf(new)
	embedded := func(list []field) []field {
		return slices.DeleteFunc(slices.Clone(list), func(f field) bool { return !f.embedded })
	}
	untagged := func(list []field) []field {
		list = slices.Clone(list)
		for i := range list {
			list[i].tag = ""
		}
		return list
	}
	before0, after0 := untagged(before), untagged(after)
	switch {
	case !slices.Equal(embedded(before0), embedded(after0)):
		k.edit(edit.EmbeddedField, d, "")
	case slices.Equal(before0, after0) && !slices.Equal(before, after):
		k.edit(edit.FieldTag, d, changedTags(before, after))
	case isSubsequence(before0, after0):
		var names []string
		for _, f := range after0 {
			if !slices.Contains(before0, f) {
				names = append(names, f.name)
			}
		}
		k.edit(edit.FieldAdded, d, strings.Join(names, ", "))
	default:
		k.edit(edit.FieldChanged, d, "")
	}
}

func changedTags(before, after []field) string {
	var names []string
	for i := range before {
		if before[i].tag != after[i].tag {
			names = append(names, after[i].name)
		}
	}
	return strings.Join(names, ", ")
}

func isSubsequence(short, long []field) bool {
	for _, f := range long {
		if len(short) > 0 && short[0] == f {
			short = short[1:]
		}
	}
	return len(short) == 0
}
