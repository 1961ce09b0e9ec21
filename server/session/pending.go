package session

import (
	"go/ast"
	"go/token"
	"os"
	"path/filepath"
	"slices"

	"github.com/limeade-go/limeade/analysis/decl"
	"github.com/limeade-go/limeade/analysis/edit"
)

// A Difference is in what source differs from what a process runs.
type Difference struct {
	// Pending has the edits; none if they make no difference to the process.
	Pending []Pending
	// Errors are those of packages that do not compile: of their edits nothing is known.
	Errors []SourceError
}

// A Pending is an edit with all that is needed to show it in its file.
type Pending struct {
	Edit
	Path    string // absolute
	Content []byte // of the file, to which offsets refer
	Start   int    // of what the edit is about, the name of a declaration
	End     int

	Old  *Place // the declaration as the process runs it; nil if there was none
	Undo *Undo  // nil if it cannot be taken back by itself
}

// A Place is a name in a text that may not be on disk any more.
type Place struct {
	Path       string
	Content    []byte
	Start, End int
}

// An Undo is the text that takes an edit back: it stands for [Start, End) of the content.
type Undo struct {
	Start, End int
	Text       string
}

func (j *job) pending(e edit.Edit) Pending {
	p := Pending{Edit: editOf(e), Path: filepath.Join(j.program.Module.Dir, filepath.FromSlash(e.File))}
	was, is := j.report.Declarations(e)
	if was != nil && was != is {
		content, _ := was.Parsed.File.Original().Content()
		name := nameOf(was)
		start, end := offsets(was, name.Pos(), name.End())
		p.Old = &Place{was.Parsed.File.Path, content, start, end}
	}
	if is != nil && is.Parsed.File.Path == p.Path {
		p.Content, _ = is.Parsed.File.Original().Content()
		name := nameOf(is)
		p.Start, p.End = offsets(is, name.Pos(), name.End())
		if was != is {
			p.Undo = undo(was, is)
		}
		return p
	}
	p.Content = j.content(p.Path)
	p.Start, p.End = word(p.Content, e.Line, e.Column)
	return p
}

// content returns the text of a file of the new source.
func (j *job) content(path string) []byte {
	for _, pkg := range j.now.Packages() {
		if f := pkg.File(path); f != nil {
			content, _ := f.Content()
			return content
		}
	}
	content, _ := os.ReadFile(path) // a file that is no Go source; if it is gone the edit is shown at its beginning
	return content
}

// offsets are those of a part of a declaration in its file.
func offsets(d *decl.Decl, from, to token.Pos) (start, end int) {
	f := d.Parsed.Fset.File(from)
	return d.Parsed.File.OriginalOffset(f.Offset(from)), d.Parsed.File.OriginalOffset(f.Offset(to))
}

// nameOf returns the identifier that a declaration declares.
func nameOf(d *decl.Decl) *ast.Ident {
	switch n := d.Node.(type) {
	case *ast.FuncDecl:
		return n.Name
	case *ast.TypeSpec:
		return n.Name
	}
	return d.Node.(*ast.ValueSpec).Names[d.Index]
}

// undo returns what makes a declaration what it was, was being nil if there was none. It returns nil for a specification
// of several names, of which others may be as they should.
func undo(was, is *decl.Decl) *Undo {
	if was == nil {
		if several(is) {
			return nil
		}
		start, end := extent(is)
		return &Undo{Start: start, End: end}
	}
	if several(is) || several(was) || grouped(is) != grouped(was) {
		return nil
	}
	start, end := extent(was)
	content, _ := was.Parsed.File.Original().Content()
	u := &Undo{Text: string(content[start:end])}
	u.Start, u.End = extent(is)
	return u
}

// grouped reports whether a declaration stands in parentheses with others.
func grouped(d *decl.Decl) bool {
	g := group(d)
	return g != nil && g.Lparen.IsValid()
}

// group returns the declaration with the keyword that d is part of; nil for a function.
func group(d *decl.Decl) *ast.GenDecl {
	for _, g := range d.Parsed.Syntax.Decls {
		if g, ok := g.(*ast.GenDecl); ok && slices.ContainsFunc(g.Specs, func(s ast.Spec) bool { return s == d.Node }) {
			return g
		}
	}
	return nil
}

func several(d *decl.Decl) bool {
	spec, ok := d.Node.(*ast.ValueSpec)
	return ok && (len(spec.Names) > 1 || d.Kind == decl.Const && len(spec.Values) == 0)
}

// extent returns where the text of a declaration begins and ends, with the comment above it.
func extent(d *decl.Decl) (start, end int) {
	from := d.Node.Pos()
	var doc *ast.CommentGroup
	switch n := d.Node.(type) {
	case *ast.FuncDecl:
		doc = n.Doc
	case *ast.TypeSpec:
		doc = n.Doc
	case *ast.ValueSpec:
		doc = n.Doc
	}
	if g := group(d); g != nil && !g.Lparen.IsValid() {
		from, doc = g.Pos(), g.Doc
	}
	if doc != nil {
		from = doc.Pos()
	}
	return offsets(d, from, d.Node.End())
}

// word returns the extent of what stands at a place: a name or a string, else the rest of the line.
func word(content []byte, line, column int) (start, end int) {
	lines := 1
	for start < len(content) && lines < line {
		if content[start] == '\n' {
			lines++
		}
		start++
	}
	for range column - 1 {
		if start == len(content) || content[start] == '\n' {
			break
		}
		start++
	}
	end = start
	for end < len(content) && content[end] != '\n' && content[end] != '\r' {
		end++
	}
	return start, end
}
