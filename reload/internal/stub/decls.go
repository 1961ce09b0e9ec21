package stub

import (
	"go/ast"
	"go/token"
	"go/types"
	"path/filepath"
	"sort"
	"strings"
)

// A file is one source file of the package.
type file struct {
	ast   *ast.File
	tok   *token.File
	src   []byte
	decls []*decl         // declarations of named things, in source order
	lines []lineDirective // in source order

	names  map[*types.Package]*types.PkgName // imports that have a name, or are dot imports
	extra  map[*types.Package]string         // imports that this file does not have in the source
	unsafe bool                              // a go:linkname needs the import of unsafe
	hollow bool                              // a hollow function needs it, too
	embeds bool                              // a go:embed needs the import of embed
}

// A lineDirective is a //line or /*line*/ comment that names a file.
type lineDirective struct {
	pos  token.Pos
	name string
}

// A decl declares one name of the package: a package-level object or a method.
type decl struct {
	file  *file
	obj   types.Object
	node  ast.Node     // *ast.FuncDecl, *ast.TypeSpec or *ast.ValueSpec
	group *ast.GenDecl // nil for a function
	after token.Pos    // end of the declaration before it in the file
	index int          // which name of the *ast.ValueSpec
	nodes int          // size of a function's body in syntax nodes, 0 if not counted yet
	init  int          // of an init function: its place among those of the package, from 1

	used   bool // it is in the stub
	body   bool // a function: with its body; a variable: with its initialiser
	hollow bool // a function: without its body, but with what its fact says
}

// fn returns the function declaration, nil if it declares something else.
func (d *decl) fn() *ast.FuncDecl {
	fn, _ := d.node.(*ast.FuncDecl)
	return fn
}

// text returns the source between two positions of the file.
func (f *file) text(from, to token.Pos) string {
	return string(f.src[f.tok.Offset(from):f.tok.Offset(to)])
}

// index lists the declarations and directives of all files.
func (b *builder) index() {
	n := 0
	for _, syntax := range b.in.Files {
		n += len(syntax.Decls)
	}
	b.decls = make(map[types.Object]*decl, 2*n)
	b.files = make([]*file, len(b.in.Files))
	for i, syntax := range b.in.Files {
		tok := b.in.Fset.File(syntax.FileStart)
		f := &file{ast: syntax, tok: tok, src: b.in.Src(tok.Name())}
		b.files[i] = f
		b.indexImports(f)
		b.indexComments(f)
		after := syntax.Name.End()
		for _, d := range syntax.Decls {
			b.indexDecl(f, d, after)
			after = d.End()
		}
	}
}

func (b *builder) indexImports(f *file) {
	f.names = make(map[*types.Package]*types.PkgName)
	for _, spec := range f.ast.Imports {
		name := b.importName(spec)
		if name == nil || name.Name() == "_" {
			continue
		}
		if _, ok := f.names[name.Imported()]; !ok || f.names[name.Imported()].Name() == "." {
			f.names[name.Imported()] = name
		}
		b.declareName(name.Name())
	}
}

// importName returns what an import declares in its file.
func (b *builder) importName(spec *ast.ImportSpec) *types.PkgName {
	obj := b.in.Info.Implicits[spec]
	if spec.Name != nil {
		obj = b.in.Info.Defs[spec.Name]
	}
	name, _ := obj.(*types.PkgName)
	return name
}

// declareName notes a name of the package or a file that hides a predeclared type.
func (b *builder) declareName(name string) {
	if _, ok := types.Universe.Lookup(name).(*types.TypeName); ok {
		b.hidden[name] = true
	}
}

// indexComments collects the directives that may stand anywhere in a file.
func (b *builder) indexComments(f *file) {
	for _, group := range f.ast.Comments {
		for _, c := range group.List {
			switch text := c.Text; {
			case strings.HasPrefix(text, "//go:linkname"):
				if words := strings.Fields(text); len(words) > 1 {
					b.linknames[words[1]] = append(b.linknames[words[1]], text)
				}
			case strings.HasPrefix(text, "//line "):
				if b.in.Fset.PositionFor(c.Pos(), false).Column == 1 {
					f.addLine(c.Pos(), text[len("//line "):])
				}
			case strings.HasPrefix(text, "/*line "):
				f.addLine(c.Pos(), strings.TrimSuffix(text[len("/*line "):], "*/"))
			}
		}
	}
}

// addLine notes the file name of a line directive; one with a column may leave the name out.
func (f *file) addLine(pos token.Pos, text string) {
	name := text
	for range 2 {
		i := strings.LastIndexByte(name, ':')
		if i < 0 || strings.Trim(name[i+1:], "0123456789") != "" {
			break
		}
		name = name[:i]
	}
	if name != "" && name != text {
		f.lines = append(f.lines, lineDirective{pos, name})
	}
}

// position returns where the compiler takes pos to be. go/token joins a relative name of a line
// directive to the file's directory; the compiler does not (syntax.parser.updateBase, Go 1.26).
func (b *builder) position(f *file, pos token.Pos) token.Position {
	p := b.in.Fset.Position(pos)
	i := sort.Search(len(f.lines), func(i int) bool { return f.lines[i].pos > pos })
	if i > 0 {
		p.Filename = f.lines[i-1].name
	}
	return p
}

func (b *builder) indexDecl(f *file, d ast.Decl, after token.Pos) {
	switch d := d.(type) {
	case *ast.FuncDecl:
		fn, ok := b.in.Info.Defs[d.Name].(*types.Func)
		if !ok || d.Name.Name == "_" {
			return
		}
		x := b.add(f, &decl{obj: fn, node: d, after: after})
		if isInitFunc(d) {
			b.inits++
			x.init = b.inits
		}
		if recv := receiver(fn); recv != nil {
			b.methods[recv] = append(b.methods[recv], x)
		}
	case *ast.GenDecl:
		for _, spec := range d.Specs {
			switch spec := spec.(type) {
			case *ast.TypeSpec:
				b.addName(f, &decl{node: spec, group: d}, spec.Name)
			case *ast.ValueSpec:
				for i, name := range spec.Names {
					b.addName(f, &decl{node: spec, group: d, index: i}, name)
				}
			}
		}
	}
}

func (b *builder) addName(f *file, d *decl, name *ast.Ident) {
	d.obj = b.in.Info.Defs[name]
	if _, isVar := d.obj.(*types.Var); d.obj == nil || name.Name == "_" && !isVar {
		return // the initialiser of a blank variable may make closures
	}
	b.declareName(name.Name)
	b.add(f, d)
}

func (b *builder) add(f *file, d *decl) *decl {
	d.file = f
	f.decls = append(f.decls, d)
	b.decls[d.obj] = d
	return d
}

// InitFuncs numbers the init functions of a package, as the compiler does in their names.
func InitFuncs(files []*ast.File, info *types.Info) map[*types.Func]int {
	numbers := make(map[*types.Func]int)
	for _, f := range files {
		for _, d := range f.Decls {
			if fn, ok := d.(*ast.FuncDecl); ok && isInitFunc(fn) {
				if obj, ok := info.Defs[fn.Name].(*types.Func); ok {
					numbers[obj] = len(numbers)
				}
			}
		}
	}
	return numbers
}

func isInitFunc(fn *ast.FuncDecl) bool { return fn.Recv == nil && fn.Name.Name == "init" }

// receiver returns the named type that a method is declared on, nil for a function and for the
// method of an interface.
func receiver(fn *types.Func) *types.TypeName {
	recv := fn.Signature().Recv()
	if recv == nil {
		return nil
	}
	named := namedOf(recv.Type())
	if named == nil || types.IsInterface(named) {
		return nil
	}
	return named.Obj()
}

// namedOf returns the defined type that t is or points to, or nil.
func namedOf(t types.Type) *types.Named {
	if p, ok := types.Unalias(t).(*types.Pointer); ok {
		t = p.Elem()
	}
	named, _ := types.Unalias(t).(*types.Named)
	return named
}

// fileName returns the name of a file without its directory.
func (f *file) fileName() string { return filepath.Base(f.tok.Name()) }
