package analysis

import (
	"bytes"
	"cmp"
	"fmt"
	"go/ast"
	"go/token"
	"go/types"
	"maps"
	"slices"

	"github.com/limeade-go/limeade/analysis/decl"
	"github.com/limeade-go/limeade/analysis/snapshot"
)

// Respelled returns the source of a process that has these names, with them in place of those that the source has.
func (n TypeNames) Respelled(source *snapshot.Snapshot) *snapshot.Snapshot {
	respelled, _, _ := n.respell(source)
	return respelled
}

// respell returns source in which types have the names that the process has, and for those that cannot have them the reason.
// leftOver are places where it has one of these names itself, which is undefined then.
//
// Where the source's own name has to stay, an alias stands for it: what a struct embeds has that as a field's name, and in a
// function that declares the one name or the other itself it is not looked up what is meant.
func (n TypeNames) respell(source *snapshot.Snapshot) (respelled *snapshot.Snapshot, refused map[typeName]string, leftOver []SourceError) {
	refused = make(map[typeName]string)
	if len(n) == 0 {
		return source, refused, nil
	}
	spelled := make(map[*snapshot.File]*spelling)
	aliases := make(map[typeName]bool)
	for _, p := range source.Packages() {
		if !p.Local || n[p.Path] == nil && !slices.ContainsFunc(p.Imports, func(imp string) bool { return n[imp] != nil }) {
			continue
		}
		text := decl.Load(source, p.Path)
		for _, f := range text.Files {
			if s := n.spell(text, f); s != nil {
				spelled[f.Parsed.File] = s
				maps.Copy(refused, s.refused)
				for _, x := range s.leftOver {
					at := x.Pos()
					if sel, ok := x.(*ast.SelectorExpr); ok {
						at = sel.Sel.Pos() // as go/types has it
					}
					leftOver = append(leftOver, sourceError(f.Parsed.Fset.PositionFor(at, false), "undefined: "+types.ExprString(x), source.Rel))
				}
				for t := range s.left {
					aliases[t] = true
				}
			}
		}
	}
	for t, old := range n.all() {
		if why := obstacle(decl.Load(source, t.path), old); why != "" {
			refused[t] = why
		}
	}
	files := make(map[*snapshot.File]*snapshot.File)
	for f, s := range spelled {
		for t, d := range s.declared {
			switch {
			case aliases[t] && d.generic:
				refused[t] = "it is generic, and both names are in use for something else, too"
			case aliases[t]:
				s.words = append(s.words, d.alias)
			}
		}
		if len(s.words) > 0 {
			files[f] = s.file(f)
		}
	}
	return source.Replacing(files), refused, leftOver
}

// obstacle says why a type of a package cannot have an old name; "" if it can.
func obstacle(source decl.Source, old string) string {
	if usesC(source.Package) {
		return "its package uses C"
	}
	if types.Universe.Lookup(old) != nil {
		return old + " is a predeclared name"
	}
	for _, f := range source.Files {
		for _, d := range f.Decls {
			if d.Name == old && d.Recv == "" {
				return old + " is another declaration now"
			}
		}
		for _, imp := range f.Imports {
			if name := importedAs(source, imp); name == old || name == "." {
				return old + " may be the name of something that is imported"
			}
		}
	}
	return ""
}

// importedAs returns the name that a file has for an import.
func importedAs(source decl.Source, imp decl.Import) string {
	if imp.Name != "" {
		return imp.Name
	}
	return source.Names(source.Package.ImportPath(imp.Path))
}

// A spelling is how one file is respelled.
type spelling struct {
	words    []snapshot.Word
	left     map[typeName]bool // types that have the source's own name somewhere
	declared map[typeName]declaredType
	refused  map[typeName]string
	leftOver []ast.Expr // old names
}

// A declaredType is one that the file declares.
type declaredType struct {
	alias   snapshot.Word // that declares the source's own name
	generic bool
}

type respelledKey string

// file returns the respelled file, always the same one.
func (s *spelling) file(f *snapshot.File) *snapshot.File {
	slices.SortStableFunc(s.words, func(a, b snapshot.Word) int { return cmp.Compare(a.Start, b.Start) })
	return f.Keep(respelledKey(fmt.Sprint(s.words)), func() any { return f.Respelled(s.words) }).(*snapshot.File)
}

// A speller respells one file.
type speller struct {
	spelling
	tokens *token.File
	path   string            // of the package
	own    map[string]string // names of its types
	quals  map[string]string // paths of packages by the names that the file has for them
	names  TypeNames         // of these packages
	bound  map[string]bool   // names that what is looked at declares itself
}

// spell says how a file is respelled; nil if it has nothing to do with any name.
func (n TypeNames) spell(source decl.Source, f *decl.File) *spelling {
	p := source.Package
	s := &speller{
		spelling: spelling{left: make(map[typeName]bool), declared: make(map[typeName]declaredType), refused: make(map[typeName]string)},
		tokens:   f.Parsed.Fset.File(f.Parsed.Syntax.FileStart), path: p.Path, own: n[p.Path], quals: make(map[string]string), names: n,
	}
	content, _ := f.Parsed.File.Content()
	mentions := func(of map[string]string) bool {
		for name, old := range of {
			if bytes.Contains(content, []byte(name)) || bytes.Contains(content, []byte(old)) {
				return true
			}
		}
		return false
	}
	found := mentions(s.own)
	for _, imp := range f.Imports {
		path := p.ImportPath(imp.Path)
		if !mentions(n[path]) {
			continue
		}
		found = true
		name := importedAs(source, imp)
		switch {
		case name == ".":
			for name := range n[path] {
				s.refused[typeName{path, name}] = "package " + p.Path + " imports all names of its package"
			}
		case usesC(p): // files that cgo writes anew stay as they are
			for name := range n[path] {
				s.left[typeName{path, name}] = true
			}
		default:
			s.quals[name] = path
		}
	}
	if !found {
		return nil
	}
	for _, d := range f.Parsed.Syntax.Decls {
		s.decl(d)
	}
	return &s.spelling
}

func (s *speller) decl(d ast.Decl) {
	switch d := d.(type) {
	case *ast.GenDecl:
		for _, spec := range d.Specs {
			switch spec := spec.(type) {
			case *ast.TypeSpec:
				if old := s.own[spec.Name.Name]; old != "" {
					s.declare(spec, old, d.Lparen.IsValid())
				}
				s.bound = binds(spec.TypeParams)
				if spec.TypeParams != nil {
					s.walk(spec.TypeParams)
				}
				s.walk(spec.Type)
			case *ast.ValueSpec:
				s.bound = binds(spec)
				for _, name := range spec.Names {
					delete(s.bound, name.Name) // it is one of the package
				}
				if spec.Type != nil {
					s.walk(spec.Type)
				}
				for _, v := range spec.Values {
					s.walk(v)
				}
			}
		}
	case *ast.FuncDecl:
		params := s.receiver(d)
		s.bound = binds(d.Type.TypeParams)
		maps.Copy(s.bound, params)
		s.walk(d.Type)
		if d.Body != nil {
			s.bound = binds(d)
			maps.Copy(s.bound, params)
			s.walk(d.Body)
		}
	}
}

// receiver respells a method's receiver, and returns the type parameters that it declares. Its name means something in the body
// only.
func (s *speller) receiver(d *ast.FuncDecl) map[string]bool {
	params := make(map[string]bool)
	s.bound = nil
	if d.Recv == nil {
		return params
	}
	for _, f := range d.Recv.List {
		ast.Inspect(f.Type, func(n ast.Node) bool {
			var args []ast.Expr
			switch n := n.(type) {
			case *ast.Ident:
				s.ident(n)
			case *ast.IndexExpr:
				s.walk(n.X)
				args = []ast.Expr{n.Index}
			case *ast.IndexListExpr:
				s.walk(n.X)
				args = n.Indices
			}
			for _, arg := range args {
				if id, ok := arg.(*ast.Ident); ok {
					params[id.Name] = true
				}
			}
			return args == nil
		})
	}
	return params
}

// binds returns the names that something declares, and some more: of fields.
func binds(n ast.Node) map[string]bool {
	names := make(map[string]bool)
	add := func(list ...ast.Expr) {
		for _, x := range list {
			if id, ok := x.(*ast.Ident); ok {
				names[id.Name] = true
			}
		}
	}
	if list, ok := n.(*ast.FieldList); ok && list == nil {
		return names
	}
	ast.Inspect(n, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.AssignStmt:
			if n.Tok == token.DEFINE {
				add(n.Lhs...)
			}
		case *ast.RangeStmt:
			if n.Tok == token.DEFINE {
				add(n.Key, n.Value)
			}
		case *ast.Field:
			for _, name := range n.Names {
				add(name)
			}
		case *ast.ValueSpec:
			for _, name := range n.Names {
				add(name)
			}
		case *ast.TypeSpec:
			add(n.Name)
		}
		return true
	})
	return names
}

// declare respells the name that a type is declared with.
func (s *speller) declare(spec *ast.TypeSpec, old string, grouped bool) {
	s.word(spec.Name, old)
	alias := "; "
	if !grouped {
		alias += "type "
	}
	end := s.tokens.Offset(spec.End())
	s.declared[typeName{s.path, spec.Name.Name}] = declaredType{
		alias: snapshot.Word{Start: end, End: end, Text: alias + spec.Name.Name + " = " + old}, generic: spec.TypeParams != nil,
	}
}

func (s *speller) word(id *ast.Ident, text string) {
	start := s.tokens.Offset(id.Pos())
	s.words = append(s.words, snapshot.Word{Start: start, End: start + len(id.Name), Text: text})
}

// walk respells the names of types in a tree, wherever they stand for one.
func (s *speller) walk(n ast.Node) {
	ast.Inspect(n, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.Ident:
			s.ident(n)
		case *ast.SelectorExpr:
			s.selector(n)
			return false
		case *ast.KeyValueExpr:
			if _, ok := n.Key.(*ast.Ident); !ok { // a field, a variable or a constant
				s.walk(n.Key)
			}
			s.walk(n.Value)
			return false
		case *ast.StructType:
			for _, f := range n.Fields.List {
				if f.Names == nil {
					s.embedded(f.Type)
				} else {
					s.walk(f.Type)
				}
			}
			return false
		case *ast.Field:
			s.walk(n.Type)
			return false
		case *ast.LabeledStmt:
			s.walk(n.Stmt)
			return false
		case *ast.BranchStmt:
			return false
		}
		return true
	})
}

func (s *speller) ident(id *ast.Ident) {
	old := s.own[id.Name]
	switch {
	case s.names.isOld(s.path, id.Name) && !s.bound[id.Name]:
		s.leftOver = append(s.leftOver, id)
	case old == "":
	case s.bound[id.Name] || s.bound[old]:
		s.left[typeName{s.path, id.Name}] = true
	default:
		s.word(id, old)
	}
}

func (s *speller) selector(x *ast.SelectorExpr) {
	id, ok := x.X.(*ast.Ident)
	path := ""
	if ok {
		path = s.quals[id.Name]
	}
	old := s.names[path][x.Sel.Name]
	switch {
	case path == "" || s.bound[id.Name]:
		s.walk(x.X)
		if path != "" && old != "" {
			s.left[typeName{path, x.Sel.Name}] = true
		}
	case s.names.isOld(path, x.Sel.Name) && ast.IsExported(x.Sel.Name):
		s.leftOver = append(s.leftOver, x)
	case old == "":
	case !ast.IsExported(old):
		s.left[typeName{path, x.Sel.Name}] = true
	default:
		s.word(x.Sel, old)
	}
}

// embedded leaves the name of what a struct embeds as it is.
func (s *speller) embedded(x ast.Expr) {
	switch x := x.(type) {
	case *ast.ParenExpr:
		s.embedded(x.X)
	case *ast.StarExpr:
		s.embedded(x.X)
	case *ast.IndexExpr:
		s.embedded(x.X)
		s.walk(x.Index)
	case *ast.IndexListExpr:
		s.embedded(x.X)
		for _, arg := range x.Indices {
			s.walk(arg)
		}
	case *ast.Ident:
		if s.own[x.Name] != "" {
			s.left[typeName{s.path, x.Name}] = true
		} else {
			s.ident(x)
		}
	case *ast.SelectorExpr:
		if id, ok := x.X.(*ast.Ident); ok && s.names[s.quals[id.Name]][x.Sel.Name] != "" {
			s.left[typeName{s.quals[id.Name], x.Sel.Name}] = true
		} else {
			s.selector(x)
		}
	}
}
