// Package decl knows the package-level declarations of Go source: what makes two of them the same one, what parts they
// have, and how two versions of a package differ. It goes by syntax alone, and must never know types, what an edit
// means to a running program, or which edits are allowed.
package decl

import (
	"go/ast"
	"go/token"
	"slices"
	"strconv"
	"strings"

	"github.com/limeade-go/limeade/analysis/snapshot"
)

// Kind is the kind of a declaration.
type Kind uint8

// The kinds of declarations. Imports belong to files and are listed apart.
const (
	Func Kind = iota
	Method
	Var
	Const
	Type
)

var kindNames = [...]string{"func", "method", "var", "const", "type"}

func (k Kind) String() string { return kindNames[k] }

// ID is what makes a declaration the same one within its package, whatever file it is in.
type ID struct {
	Recv string // name of the receiver's base type
	Name string
	N    int // number in package order among those named init or _, from 0
}

// repeats reports whether a package may declare the name many times.
func (id ID) repeats() bool { return id.Name == "_" || id.Name == "init" && id.Recv == "" }

func (id ID) String() string {
	s := id.Name
	if id.Recv != "" {
		s = id.Recv + "." + s
	}
	if id.repeats() {
		s += "#" + strconv.Itoa(id.N)
	}
	return s
}

// Part is a set of the parts that a declaration has.
type Part uint16

// The parts. Functions have the first six; variables Pragma, SpelledType and Value; constants SpelledType and Value; types
// Pragma, TypeParams and SpelledType.
const (
	Receiver   Part = 1 << iota // value or pointer
	TypeParams                  // with constraints
	Signature                   // types of parameters and results
	Names                       // of receiver, parameters and results
	Body
	Pragma      // //go: directives that belong to the declaration, //go:embed among them
	SpelledType // as written; constants of a group inherit it
	Value       // initialiser; a constant's with its iota
	KindOf      // what is declared under the name
)

const numParts = 9

// Decl is one declared name.
type Decl struct {
	ID
	Kind   Kind
	Parsed *snapshot.Parsed
	Node   ast.Node  // *ast.FuncDecl, *ast.ValueSpec or *ast.TypeSpec
	Index  int       // of the name in a ValueSpec
	Pos    token.Pos // where to point at: the keyword func, or the name
	Embeds []string  // the //go:embed directives of a variable

	parts    [numParts]Hash
	outside  Hash     // Body or Value without the bodies of function literals
	literals bool     // there are function literals
	locals   bool     // there are types declared in a function
	quals    []string // names that stand before a dot: perhaps of imports; sorted
}

// File is the syntax of one file cut into declarations.
type File struct {
	Parsed     *snapshot.Parsed
	Decls      []*Decl // in order
	Imports    []Import
	Directives [numDirectives]string // file-level directives, canonical text
}

// Import is one import of a file.
type Import struct {
	Name string // "" unless given; may be "." or "_"
	Path string // the import string
	Pos  token.Pos
}

// Directive is a class of comments that mean something to the build of a whole file or package.
type Directive uint8

// The classes of file-level directives.
const (
	Linkname   Directive = iota // //go:linkname, wherever it stands
	Constraint                  // //go:build
	Debug                       // //go:debug
	Cgo                         // the comment above import "C", //export and //go:cgo_…
	numDirectives
)

// ImportsC reports whether the file is one of cgo's.
func (f *File) ImportsC() bool {
	return slices.ContainsFunc(f.Imports, func(i Import) bool { return i.Path == "C" })
}

type memoKey struct{}

// Of returns the declarations of a file. Names that may repeat are numbered within the file only.
func Of(p *snapshot.Parsed) *File {
	return p.Memo(memoKey{}, func() any { return cut(p) }).(*File)
}

// Part returns the fingerprint of one part.
func (d *Decl) Part(p Part) Hash {
	for i := range numParts {
		if p == 1<<i {
			return d.parts[i]
		}
	}
	panic("decl: not one part")
}

func (d *Decl) set(p Part, h *hasher) {
	for i := range numParts {
		if p == 1<<i {
			d.parts[i] = Hash(h.sum)
		}
	}
}

// differ returns the parts in which d and e differ.
func (d *Decl) differ(e *Decl) Part {
	if d.Kind != e.Kind && !(d.isFunc() && e.isFunc()) {
		return KindOf
	}
	var parts Part
	for i := range numParts {
		if d.parts[i] != e.parts[i] {
			parts |= 1 << i
		}
	}
	return parts
}

func (d *Decl) isFunc() bool { return d.Kind == Func || d.Kind == Method }

// Func returns the function's syntax; nil if d is none.
func (d *Decl) Func() *ast.FuncDecl {
	f, _ := d.Node.(*ast.FuncDecl)
	return f
}

// Value returns the expression that d is initialised with, nil without.
func (d *Decl) Value() ast.Expr {
	spec, ok := d.Node.(*ast.ValueSpec)
	switch {
	case !ok || len(spec.Values) == 0:
		return nil
	case len(spec.Values) == len(spec.Names):
		return spec.Values[d.Index]
	}
	return spec.Values[0]
}

// ValueMeaning returns the fingerprint of the expression that d is initialised with, in which those that name says
// something of count as that, however they are written.
func (d *Decl) ValueMeaning(name func(ast.Expr) string) Hash {
	h := newHasher()
	h.meaning = name
	h.value(d)
	return Hash(h.sum)
}

// Position returns where d is, without regard to //line directives.
func (d *Decl) Position() token.Position { return d.Parsed.Fset.PositionFor(d.Pos, false) }

// Qualifies reports whether a name stands before a dot in d.
func (d *Decl) Qualifies(name string) bool {
	_, found := slices.BinarySearch(d.quals, name)
	return found
}

// Literals returns the function literals in a tree in the order of the source.
func Literals(n ast.Node) []*ast.FuncLit {
	var list []*ast.FuncLit
	ast.Inspect(n, func(n ast.Node) bool {
		if lit, ok := n.(*ast.FuncLit); ok {
			list = append(list, lit)
		}
		return true
	})
	return list
}

// HasLiterals reports whether there are function literals in d.
func (d *Decl) HasLiterals() bool { return d.literals }

// IsGeneric reports whether d is a function with type parameters, or a method of a type that has some.
func (d *Decl) IsGeneric() bool {
	fn := d.Func()
	return fn != nil && (fn.Type.TypeParams != nil || len(receiverTypeParams(fn.Recv)) > 0)
}

// IsAlias reports whether d declares another name for a type.
func (d *Decl) IsAlias() bool {
	spec, ok := d.Node.(*ast.TypeSpec)
	return ok && spec.Assign.IsValid()
}

// HasPragma reports whether //go: directives belong to d.
func (d *Decl) HasPragma() bool {
	return d.Part(Pragma) != 0 && d.Part(Pragma) != Hash(newHasher().sum)
}

// HasLocalTypes reports whether types are declared in functions of d.
func (d *Decl) HasLocalTypes() bool { return d.locals }

// A cutter makes the declarations of one file.
type cutter struct {
	file       *File
	directives []*ast.Comment // not given away yet, in order
}

func cut(p *snapshot.Parsed) *File {
	c := cutter{file: &File{Parsed: p}}
	c.sortComments()
	for _, d := range p.Syntax.Decls {
		switch d := d.(type) {
		case *ast.FuncDecl:
			c.fun(d)
		case *ast.GenDecl:
			c.gen(d)
		}
	}
	return c.file
}

// sortComments splits the file's directives into those of the file and those of the next declaration.
func (c *cutter) sortComments() {
	var lines [numDirectives][]string
	for _, group := range c.file.Parsed.Syntax.Comments {
		for _, comment := range group.List {
			class, ok := classify(comment.Text)
			switch {
			case !ok:
			case class < numDirectives:
				lines[class] = append(lines[class], comment.Text)
			default:
				c.directives = append(c.directives, comment)
			}
		}
	}
	for i := range lines {
		c.file.Directives[i] = strings.Join(lines[i], "\n")
	}
}

// classify returns the class of a comment, numDirectives if it belongs to the declaration after it; false if the
// comment is for people and other tools only.
func classify(text string) (Directive, bool) {
	switch {
	case strings.HasPrefix(text, "//export "):
		return Cgo, true
	case !strings.HasPrefix(text, "//go:"):
		return 0, false
	}
	verb, _, _ := strings.Cut(strings.TrimPrefix(text, "//go:"), " ")
	switch {
	case verb == "linkname" || verb == "linknamestd":
		return Linkname, true
	case verb == "build":
		return Constraint, true
	case verb == "debug":
		return Debug, true
	case verb == "generate" || verb == "fix":
		return 0, false
	case strings.HasPrefix(verb, "cgo_"):
		return Cgo, true
	}
	return numDirectives, true
}

// pragma takes the directives that stand before pos and after the end of the declaration before it, as the compiler
// does (cmd/compile/internal/syntax, parser.takePragma).
func (c *cutter) pragma(d *Decl, pos, end token.Pos) {
	h := newHasher()
	i := 0
	for ; i < len(c.directives) && c.directives[i].Pos() < end; i++ {
		if c.directives[i].Pos() < pos {
			h.string(c.directives[i].Text)
			if strings.HasPrefix(c.directives[i].Text, "//go:embed ") {
				d.Embeds = append(d.Embeds, strings.TrimRight(c.directives[i].Text, "\r"))
			}
		}
	}
	c.directives = c.directives[i:]
	d.set(Pragma, h)
}

func (c *cutter) fun(fn *ast.FuncDecl) {
	base, pointer := receiver(fn.Recv)
	d := &Decl{ID: ID{Recv: base, Name: fn.Name.Name}, Kind: Func, Parsed: c.file.Parsed, Node: fn, Pos: fn.Pos()}
	if fn.Recv != nil {
		d.Kind = Method
	}
	c.pragma(d, fn.Type.Func, fn.End())
	h := c.hasher(d)
	h.bools(fn.Recv != nil, pointer)
	d.set(Receiver, h)

	h = c.hasher(d)
	h.node(fn.Type.TypeParams)
	for _, x := range receiverTypeParams(fn.Recv) {
		h.node(x)
	}
	d.set(TypeParams, h)

	h = c.hasher(d)
	h.types(fn.Type.Params)
	h.types(fn.Type.Results)
	d.set(Signature, h)

	h = c.hasher(d)
	h.names(fn.Recv)
	h.names(fn.Type.Params)
	h.names(fn.Type.Results)
	d.set(Names, h)

	h = c.hasher(d)
	h.node(fn.Body)
	d.set(Body, h)
	if fn.Body != nil {
		c.outside(d, fn.Body)
	}
	c.add(d)
}

// hasher returns a hasher that notes for d the names before dots.
func (c *cutter) hasher(d *Decl) *hasher {
	h := newHasher()
	h.qualifier = func(name string) {
		if i, found := slices.BinarySearch(d.quals, name); !found {
			d.quals = slices.Insert(d.quals, i, name)
		}
	}
	return h
}

func (c *cutter) outside(d *Decl, n ast.Node) {
	ast.Inspect(n, func(n ast.Node) bool {
		switch n.(type) {
		case *ast.FuncLit:
			d.literals = true
		case *ast.TypeSpec:
			d.locals = true
		}
		return !d.literals || !d.locals
	})
	h := newHasher()
	h.noBodies = true
	h.node(n)
	d.outside = Hash(h.sum)
}

func (c *cutter) add(d *Decl) { c.file.Decls = append(c.file.Decls, d) }

func (c *cutter) gen(g *ast.GenDecl) {
	var inherited *ast.ValueSpec // the constant specification that empty ones repeat
	for iota_, spec := range g.Specs {
		start := spec.Pos()
		if !g.Lparen.IsValid() {
			start = g.Pos()
		}
		switch spec := spec.(type) {
		case *ast.ImportSpec:
			c.imp(g, spec)
		case *ast.TypeSpec:
			d := &Decl{ID: ID{Name: spec.Name.Name}, Kind: Type, Parsed: c.file.Parsed, Node: spec, Pos: spec.Name.Pos()}
			c.pragma(d, start, spec.End())
			h := c.hasher(d)
			h.node(spec.TypeParams)
			d.set(TypeParams, h)
			h = c.hasher(d)
			h.bools(spec.Assign.IsValid())
			h.node(spec.Type)
			d.set(SpelledType, h)
			c.add(d)
		case *ast.ValueSpec:
			if g.Tok == token.CONST {
				if spec.Type != nil || len(spec.Values) > 0 || inherited == nil {
					inherited = spec
				}
				c.consts(spec, inherited, iota_)
				continue
			}
			for i, name := range spec.Names {
				d := &Decl{ID: ID{Name: name.Name}, Kind: Var, Parsed: c.file.Parsed, Node: spec, Index: i, Pos: name.Pos()}
				end := spec.End()
				if i < len(spec.Names)-1 {
					end = start // leave them to the last: //go:embed allows one name only
				}
				c.pragma(d, start, end)
				h := c.hasher(d)
				h.node(spec.Type)
				d.set(SpelledType, h)
				h = c.hasher(d)
				h.value(d)
				d.set(Value, h)
				if d.Value() != nil {
					c.outside(d, d.Value())
				}
				c.add(d)
			}
		}
	}
}

func (c *cutter) consts(spec, inherited *ast.ValueSpec, iota_ int) {
	for i, name := range spec.Names {
		d := &Decl{ID: ID{Name: name.Name}, Kind: Const, Parsed: c.file.Parsed, Node: spec, Index: i, Pos: name.Pos()}
		h := c.hasher(d)
		h.node(inherited.Type)
		d.set(SpelledType, h)
		h = c.hasher(d)
		if i < len(inherited.Values) {
			value := inherited.Values[i]
			h.node(value)
			if usesIota(value) {
				h.uint(uint64(iota_))
			}
		}
		d.set(Value, h)
		c.add(d)
	}
}

func usesIota(x ast.Expr) bool {
	found := false
	ast.Inspect(x, func(n ast.Node) bool {
		if id, ok := n.(*ast.Ident); ok && id.Name == "iota" {
			found = true
		}
		return !found
	})
	return found
}

func (c *cutter) imp(g *ast.GenDecl, spec *ast.ImportSpec) {
	path, err := strconv.Unquote(spec.Path.Value)
	if err != nil {
		return // the file has a syntax error
	}
	imp := Import{Path: path, Pos: spec.Pos()}
	if spec.Name != nil {
		imp.Name = spec.Name.Name
	}
	c.file.Imports = append(c.file.Imports, imp)
	if path == "C" {
		doc := spec.Doc
		if doc == nil {
			doc = g.Doc
		}
		if doc != nil {
			for _, comment := range doc.List {
				c.file.Directives[Cgo] += "\n" + comment.Text
			}
		}
	}
}

// PointerReceiver reports whether d is a method whose receiver is written as a pointer.
func (d *Decl) PointerReceiver() bool {
	fn := d.Func()
	if fn == nil {
		return false
	}
	_, pointer := receiver(fn.Recv)
	return pointer
}

type shapeKey struct{}

// Shape returns the fingerprint of all in a file that other files and packages may see: everything but the bodies of
// functions and the initialisers of variables that have a type. What type-checking another package says depends on no
// more than that.
func Shape(f *snapshot.File, fset *token.FileSet) Hash {
	return f.Keep(shapeKey{}, func() any { return Of(f.Parse(fset)).shape() }).(Hash)
}

func (f *File) shape() Hash {
	h := newHasher()
	h.string(f.Parsed.Syntax.Name.Name)
	for _, imp := range f.Imports {
		h.string(imp.Name)
		h.string(imp.Path)
	}
	for _, d := range f.Decls {
		h.byte(byte(d.Kind))
		h.string(d.Recv)
		h.string(d.Name)
		for _, p := range []Part{Receiver, TypeParams, Signature, SpelledType} {
			h.uint(uint64(d.Part(p)))
		}
		if spec, ok := d.Node.(*ast.ValueSpec); ok && (d.Kind == Const || spec.Type == nil) {
			h.uint(uint64(d.Part(Value)))
		}
	}
	return Hash(h.sum)
}
