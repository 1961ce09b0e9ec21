package analysis

import (
	"fmt"
	"go/ast"
	"go/token"
	"go/types"
	"slices"
	"strings"
	"testing"

	"github.com/limeade-go/limeade/analysis/decl"
	"github.com/limeade-go/limeade/analysis/facts"
	"github.com/limeade-go/limeade/analysis/snapshot"
)

// A mutation is a change of one declaration that leaves all others in their lines.
type mutation struct {
	kind string
	name string // link name of the declaration
	path string // of its package
	file string
	text []splice
}

// A splice replaces a piece of a file, by its offsets.
type splice struct {
	from, to int
	text     string
}

// mutationKinds are the kinds of mutations, and how many of a hundred are of each.
var mutationKinds = []struct {
	kind  string
	share int
}{{"body", 30}, {"inlinable function", 20}, {"constant", 20}, {"signature", 15}, {"type", 15}}

// A mutator makes the mutations of one package.
type mutator struct {
	*world
	source  decl.Source
	checked *Checked
	inlined map[string]int
	made    map[string][]mutation // by kind
	now     mutation
}

// mutations returns all mutations of a package, by kind.
func (w *world) mutations(t testing.TB, path string) map[string][]mutation {
	t.Helper()
	source := decl.Load(w.old, path)
	checked, list, err := newImporter(w.env).check(checking{source: source, fset: w.old.Fset(), rel: w.old.Rel})
	if err != nil || len(list) > 0 {
		t.Fatal(list, err)
	}
	m := &mutator{world: w, source: source, checked: checked, inlined: w.inlined(), made: make(map[string][]mutation)}
	for _, d := range source.Decls() {
		if d.Name == "_" || d.Kind == decl.Func && d.Name == "init" {
			continue
		}
		switch {
		case d.Func() != nil && d.Func().Body != nil:
			m.function(d)
		case d.Kind == decl.Const:
			m.constant(d)
		case d.Kind == decl.Type && !d.IsAlias():
			m.typ(d)
		}
	}
	return m.made
}

// begin starts a mutation of a declaration.
func (m *mutator) begin(d *decl.Decl, kind string) {
	file := d.Parsed.Fset.File(d.Node.Pos()).Name()
	m.now = mutation{kind: kind, name: facts.DeclName(m.source.Package, d), path: m.source.Package.Path, file: file}
}

func (m *mutator) insert(d *decl.Decl, pos token.Pos, text string) {
	at := d.Parsed.Fset.File(pos).Offset(pos)
	m.now.text = append(m.now.text, splice{at, at, text})
}

func (m *mutator) end() {
	m.made[m.now.kind] = append(m.made[m.now.kind], m.now)
}

// function changes a function: what a small one returns, or what it does first, or, if it is inlined somewhere, whether it
// can be. Each gets a parameter, too.
func (m *mutator) function(d *decl.Decl) {
	fn := d.Func()
	kind := "body"
	n := len(m.made["body"]) + len(m.made["inlinable function"])
	if in := m.inlined[facts.DeclName(m.source.Package, d)]; in > 0 {
		kind = "inlinable function"
	}
	m.begin(d, kind)
	switch {
	case n%4 == 1 && kind != "body":
		m.insert(d, fn.Body.Lbrace+1, "defer func() {}();") // it is inlined no longer
	case n%4 == 1 && m.pointer(fn) != "":
		m.insert(d, fn.Body.Lbrace+1, "go func(interface{}) {}("+m.pointer(fn)+");") // it lets a parameter escape
	case len(fn.Body.List) > 3 || !m.returns(d, fn):
		m.insert(d, fn.Body.Lbrace+1, "println();")
	}
	m.end()
	if sig, ok := m.checked.Info.Defs[fn.Name].(*types.Func); ok && !sig.Signature().Variadic() {
		m.begin(d, "signature")
		sep := ""
		if named := fn.Type.Params.NumFields() == 0 || len(fn.Type.Params.List[0].Names) > 0; named {
			sep = "_ "
		}
		if fn.Type.Params.NumFields() > 0 && !strings.HasSuffix(m.before(d, fn.Type.Params.Closing), ",") {
			sep = ", " + sep
		}
		m.insert(d, fn.Type.Params.Closing, sep+"...int")
		m.end()
	}
}

// before returns the text before a position, without space at its end.
func (m *mutator) before(d *decl.Decl, pos token.Pos) string {
	content, _ := m.source.Package.File(d.Parsed.Fset.File(pos).Name()).Content()
	return strings.TrimRight(string(content[:d.Parsed.Fset.File(pos).Offset(pos)]), " \t\n")
}

// pointer returns the name of a parameter that is a pointer.
func (m *mutator) pointer(fn *ast.FuncDecl) string {
	for _, field := range fn.Type.Params.List {
		for _, name := range field.Names {
			if obj := m.checked.Info.Defs[name]; obj != nil && name.Name != "_" {
				if _, ok := obj.Type().Underlying().(*types.Pointer); ok {
					return name.Name
				}
			}
		}
	}
	return ""
}

// returns changes what a function returns, if it returns one value of a basic type.
func (m *mutator) returns(d *decl.Decl, fn *ast.FuncDecl) bool {
	ast.Inspect(fn.Body, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.FuncLit:
			return false
		case *ast.ReturnStmt:
			if len(n.Results) == 1 {
				m.other(d, n.Results[0], m.checked.Info.TypeOf(n.Results[0]))
			}
			return false
		}
		return true
	})
	return len(m.now.text) > 0
}

// other makes an expression of a basic type give something else.
func (m *mutator) other(d *decl.Decl, x ast.Expr, typ types.Type) {
	basic, ok := typ.Underlying().(*types.Basic)
	if !ok {
		return
	}
	begin := ""
	switch info := basic.Info(); {
	case info&types.IsBoolean != 0:
		begin = "!("
	case info&types.IsNumeric != 0:
		begin = "1+("
	case info&types.IsString != 0:
		begin = `"x"+(`
	default:
		return
	}
	m.insert(d, x.Pos(), begin)
	m.insert(d, x.End(), ")")
}

// constant changes the value of a constant. One that repeats an expression gets a blank one before it, and so iota is
// another one from there on.
func (m *mutator) constant(d *decl.Decl) {
	spec, ok := d.Node.(*ast.ValueSpec)
	if !ok || len(spec.Names) != 1 {
		return
	}
	m.begin(d, "constant")
	if len(spec.Values) == 0 {
		m.insert(d, spec.Pos(), "_;")
	} else if obj := m.checked.Info.Defs[spec.Names[0]]; obj != nil {
		m.other(d, spec.Values[0], obj.Type())
	}
	if len(m.now.text) > 0 {
		m.end()
	}
}

// typ changes a type in turns: it gets a method of values, one of pointers, a field, or loses its first method.
func (m *mutator) typ(d *decl.Decl) {
	spec := d.Node.(*ast.TypeSpec)
	obj := m.checked.Info.Defs[spec.Name]
	if obj == nil {
		return
	}
	m.begin(d, "type")
	file := d.Parsed.Fset.File(spec.Pos())
	recv := spec.Name.Name
	if n := spec.TypeParams.NumFields(); n > 0 {
		recv += "[" + strings.TrimSuffix(strings.Repeat("_, ", n), ", ") + "]"
	}
	n := len(m.made["type"])
	st, isStruct := spec.Type.(*ast.StructType)
	switch {
	case n%4 == 3 && isStruct:
		m.insert(d, st.Fields.Opening+1, "limeadeField int;")
	case n%4 == 2 && m.unused(spec.Name.Name) != nil:
		dead := m.unused(spec.Name.Name)
		m.now.file = dead.Parsed.Fset.File(dead.Node.Pos()).Name()
		f := dead.Parsed.Fset.File(dead.Node.Pos())
		from, to := f.Offset(dead.Node.Pos()), f.Offset(dead.Node.End())
		content, _ := m.source.Package.File(m.now.file).Content()
		m.now.text = append(m.now.text, splice{from, to, strings.Repeat("\n", strings.Count(string(content[from:to]), "\n"))})
	case types.IsInterface(obj.Type()):
		return
	case n%4 == 1:
		m.now.text = append(m.now.text, splice{file.Size(), file.Size(), fmt.Sprintf("\nfunc (*%s) LimeadeMethod() int { return 1 }\n", recv)})
	default:
		if _, ok := obj.Type().Underlying().(*types.Pointer); ok {
			return
		}
		m.now.text = append(m.now.text, splice{file.Size(), file.Size(), fmt.Sprintf("\nfunc (%s) LimeadeMethod() int { return 1 }\n", recv)})
	}
	m.end()
}

// unused returns a method of a type that nothing in the package names.
func (m *mutator) unused(typ string) *decl.Decl {
	for _, d := range m.source.Decls() {
		if d.Kind != decl.Method || d.Recv != typ || d.Func() == nil {
			continue
		}
		obj := m.checked.Info.Defs[d.Func().Name]
		named := false
		for _, used := range m.checked.Info.Uses {
			named = named || used == obj
		}
		if !named && obj != nil {
			return d
		}
	}
	return nil
}

// apply returns the source with a mutation.
func (w *world) apply(m mutation) *snapshot.Snapshot {
	content, _ := w.old.Package(m.path).File(m.file).Content()
	for _, s := range slices.Backward(m.text) {
		content = slices.Concat(content[:s.from], []byte(s.text), content[s.to:])
	}
	return w.old.With(snapshot.Change{Path: m.file, Content: content})
}
