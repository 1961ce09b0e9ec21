package stub

import (
	"bytes"
	"cmp"
	"fmt"
	"go/ast"
	"go/token"
	"go/types"
	"maps"
	"slices"
	"strconv"
	"strings"
)

// firstFile is the name of the file that imports stubs ahead of everything else.
const firstFile = "limeade_first.go"

// emit writes the files.
func (b *builder) emit() *Stub {
	s := &Stub{Shaped: b.shapedTypes(), Needs: make(map[string][]string)}
	paths := make(map[string]bool)
	if len(b.in.ImportFirst) > 0 {
		var out bytes.Buffer
		fmt.Fprintf(&out, "package %s\n\n", b.in.Pkg.Name())
		for _, path := range b.in.ImportFirst {
			fmt.Fprintf(&out, "import _ %s\n", strconv.Quote(path))
			paths[path] = true
			s.Needs[path] = slices.Sorted(maps.Keys(b.needs[path]))
		}
		s.Files = append(s.Files, File{firstFile, out.Bytes()})
	}
	locals := b.countLocals()
	bodies := make([][]byte, len(b.files))
	for i, f := range b.files {
		bodies[i] = b.emitDecls(f, locals)
	}
	silent := b.silentImports()
	heap := false
	for i, f := range b.files {
		if len(bodies[i]) == 0 {
			continue
		}
		var out bytes.Buffer
		b.emitHead(&out, f, silent, paths)
		silent = nil
		out.Write(bodies[i])
		if f.hollow && !heap {
			heap = true
			fmt.Fprintf(&out, "var %s %s.Pointer\n", hollowHeap, hollowUnsafe)
		}
		s.Files = append(s.Files, File{f.fileName(), out.Bytes()})
	}
	s.Imports = slices.Sorted(maps.Keys(paths))
	b.report(s)
	return s
}

// report lists what was compiled beyond what was asked for.
func (b *builder) report(s *Stub) {
	asked := make(map[types.Object]bool)
	for _, fn := range b.in.Keep {
		asked[fn.Origin()] = true
	}
	for _, v := range b.in.Init {
		asked[v] = true
	}
	for _, f := range b.files {
		for _, d := range f.decls {
			if d.hollow {
				s.Hollow = append(s.Hollow, d.obj.(*types.Func))
			}
			if !d.body || asked[d.obj] {
				continue
			}
			switch obj := d.obj.(type) {
			case *types.Func:
				s.Bodies = append(s.Bodies, obj)
			case *types.Var:
				s.Reinit = append(s.Reinit, obj)
			}
		}
	}
}

// shapedTypes returns the link names of the types that lack fields or methods.
func (b *builder) shapedTypes() map[string]bool {
	shaped := make(map[string]bool)
	for _, st := range b.typeList {
		named, ok := st.decl.obj.Type().(*types.Named)
		if ok && b.lacks(named, make(map[*types.Named]bool)) {
			shaped[linkPath(b.in.Pkg)+"."+named.Obj().Name()] = true
		}
	}
	return shaped
}

// lacks reports whether the stub leaves out what belongs to a type's descriptor, its equality function or
// its wrappers.
func (b *builder) lacks(t *types.Named, done map[*types.Named]bool) bool {
	t = t.Origin()
	if done[t] || t.Obj().Pkg() != b.in.Pkg {
		return false
	}
	done[t] = true
	for _, m := range b.methods[t.Obj()] {
		if !m.used {
			return true
		}
	}
	return b.lacksFields(t, done)
}

func (b *builder) lacksFields(t types.Type, done map[*types.Named]bool) bool {
	switch u := t.Underlying().(type) {
	case *types.Array:
		return b.lacksFields(u.Elem(), done)
	case *types.Struct:
		for v := range u.Fields() {
			if _, ok := b.fieldOf[v]; ok && !b.touched[v] || b.lacksFields(v.Type(), done) {
				return true
			}
			if named := namedOf(v.Type()); v.Embedded() && named != nil && b.lacks(named, done) {
				return true
			}
		}
	}
	return false
}

// emitHead writes the clauses before the declarations of a file.
func (b *builder) emitHead(out *bytes.Buffer, f *file, silent []string, paths map[string]bool) {
	if f.ast.GoVersion != "" {
		fmt.Fprintf(out, "//go:build %s\n\n", f.ast.GoVersion) // the language version of the file
	}
	fmt.Fprintf(out, "package %s\n\n", b.in.Pkg.Name())
	line := func(name, quoted string) {
		fmt.Fprintf(out, "import %s %s\n", name, quoted)
		if path, err := strconv.Unquote(quoted); err == nil {
			paths[path] = true
		}
	}
	for _, spec := range f.ast.Imports {
		if name := b.importName(spec); name != nil && b.imports[name] {
			line(name.Name(), spec.Path.Value)
		}
	}
	for _, pkg := range slices.SortedFunc(maps.Keys(f.extra), func(x, y *types.Package) int {
		return cmp.Compare(f.extra[x], f.extra[y])
	}) {
		line(f.extra[pkg], b.quotedPath(pkg))
	}
	for _, quoted := range silent {
		line("_", quoted)
	}
	if f.unsafe {
		line("_", `"unsafe"`)
	}
	if f.hollow {
		line(hollowUnsafe, `"unsafe"`)
	}
}

// silentImports returns the quoted paths of packages whose methods are called, and which the whole package
// imports, but the stub does not. Their own export data is the only one sure to have the methods' bodies,
// to inline them.
func (b *builder) silentImports() []string {
	var list []string
	done := make(map[*types.Package]bool)
	for name := range b.imports {
		done[name.Imported()] = true
	}
	for _, f := range b.files {
		for pkg := range f.extra {
			done[pkg] = true
		}
	}
	for _, f := range b.files {
		for _, spec := range f.ast.Imports {
			if name := b.importName(spec); name != nil && b.foreign[name.Imported()] && !done[name.Imported()] {
				done[name.Imported()] = true
				list = append(list, spec.Path.Value)
			}
		}
	}
	return list
}

// quotedPath returns the quoted path by which some file imports a package, which an import map may
// change, else the package's own.
func (b *builder) quotedPath(pkg *types.Package) string {
	for _, f := range b.files {
		for _, spec := range f.ast.Imports {
			if name := b.importName(spec); name != nil && name.Imported() == pkg {
				return spec.Path.Value
			}
		}
	}
	return strconv.Quote(pkg.Path())
}

func (b *builder) emitDecls(f *file, locals *localCounter) []byte {
	var out bytes.Buffer
	var last *ast.ValueSpec // copied whole
	for _, d := range f.decls {
		if !d.used {
			continue
		}
		switch node := d.node.(type) {
		case *ast.FuncDecl:
			b.emitFunc(&out, d, node, locals)
		case *ast.TypeSpec:
			b.emitType(&out, d, node)
		case *ast.ValueSpec:
			if _, ok := d.obj.(*types.Const); ok {
				b.emitConst(&out, d)
			} else if !d.body {
				b.emitVar(&out, d, node)
			} else if last != node {
				last = node
				locals.fill(&out, f, node)
				b.emitLinknames(&out, d)
				out.WriteString("var\n")
				b.emitLine(&out, f, node.Pos())
				out.WriteString(f.text(node.Pos(), specEnd(node)))
			}
		}
		out.WriteString("\n\n")
	}
	return out.Bytes()
}

// specEnd returns the end of a variable declaration without its comment.
func specEnd(spec *ast.ValueSpec) token.Pos {
	if n := len(spec.Values); n > 0 {
		return spec.Values[n-1].End()
	}
	return spec.Type.End()
}

// emitLine makes the next line stand where pos stands in the source.
func (b *builder) emitLine(out *bytes.Buffer, f *file, pos token.Pos) {
	p := b.position(f, pos)
	if p.Column > 0 {
		fmt.Fprintf(out, "//line %s:%d:%d\n", p.Filename, p.Line, p.Column)
	} else {
		fmt.Fprintf(out, "//line %s:%d\n", p.Filename, p.Line)
	}
}

func (b *builder) emitLinknames(out *bytes.Buffer, d *decl) {
	if d.obj.Parent() != b.in.Pkg.Scope() {
		return
	}
	for _, text := range b.linknames[d.obj.Name()] {
		fmt.Fprintln(out, text)
		d.file.unsafe = true
	}
}

// bodiless has the pragmas that mean something to the callers of a function, and so stay when it loses its body.
var bodiless = map[string]bool{
	"//go:noescape":         true,
	"//go:uintptrescapes":   true,
	"//go:uintptrkeepalive": true,
	"//go:cgo_unsafe_args":  true, // it is called by ABI0
	"//go:nosplit":          true, // uintptrkeepalive asks for it
}

func (b *builder) emitFunc(out *bytes.Buffer, d *decl, fn *ast.FuncDecl, locals *localCounter) {
	if d.body {
		locals.fill(out, d.file, fn.Body)
	}
	b.emitLinknames(out, d)
	pragmas := d.file.pragmas(d.after, fn.Pos())
	if d.hollow && !d.body && canBeHollow(pragmas) {
		b.emitHollow(out, d, fn, b.in.Facts[declName(fn)])
		return
	}
	d.hollow = false
	for _, text := range pragmas {
		if verb, _, _ := strings.Cut(text, " "); d.body || bodiless[verb] {
			fmt.Fprintln(out, text)
		}
	}
	b.emitLine(out, d.file, fn.Pos())
	end := fn.Type.End()
	if d.body {
		end = fn.End()
	}
	out.WriteString(d.file.text(fn.Pos(), end))
}

// pragmas returns the compiler's directives between two positions that may belong to a function.
// They need not touch it (internal/noder/noder.go, pragma, Go 1.26).
func (f *file) pragmas(from, to token.Pos) []string {
	var list []string
	i, _ := slices.BinarySearchFunc(f.ast.Comments, from, func(g *ast.CommentGroup, pos token.Pos) int {
		return cmp.Compare(g.Pos(), pos)
	})
	for ; i < len(f.ast.Comments) && f.ast.Comments[i].Pos() < to; i++ {
		for _, c := range f.ast.Comments[i].List {
			verb, _, _ := strings.Cut(c.Text, " ")
			switch {
			case !strings.HasPrefix(verb, "//go:"), strings.HasPrefix(verb, "//go:linkname"):
			case strings.HasPrefix(verb, "//go:cgo_") && verb != "//go:cgo_unsafe_args":
			case verb == "//go:generate", verb == "//go:embed", verb == "//go:build", verb == "//go:debug":
			default:
				list = append(list, strings.TrimRight(c.Text, "\r"))
			}
		}
	}
	return list
}

func (b *builder) emitType(out *bytes.Buffer, d *decl, spec *ast.TypeSpec) {
	out.WriteString("type\n")
	b.emitLine(out, d.file, spec.Pos())
	st := b.types[d.obj.(*types.TypeName)]
	if !st.shapable || !slices.ContainsFunc(st.fields, func(f field) bool { return !b.touched[f.v] }) {
		out.WriteString(d.file.text(spec.Pos(), spec.Type.End()))
		return
	}
	fmt.Fprintf(out, "%s struct {\n", spec.Name.Name)
	for _, f := range st.fields {
		switch {
		case !b.touched[f.v]:
			fmt.Fprintf(out, "%s %s\n", f.v.Name(), b.spell(d.file, b.standIn(f.v.Type())))
		case f.v.Embedded():
			fmt.Fprintf(out, "%s\n", d.file.text(f.typ.Pos(), f.typ.End()))
		default:
			fmt.Fprintf(out, "%s %s\n", f.v.Name(), d.file.text(f.typ.Pos(), f.typ.End()))
		}
	}
	out.WriteString("}")
}

func (b *builder) emitVar(out *bytes.Buffer, d *decl, spec *ast.ValueSpec) {
	b.emitLinknames(out, d)
	typ := ""
	if spec.Type != nil {
		typ = d.file.text(spec.Type.Pos(), spec.Type.End())
	} else {
		typ = b.spell(d.file, d.obj.Type())
	}
	out.WriteString("var\n")
	b.emitLine(out, d.file, d.obj.Pos())
	fmt.Fprintf(out, "%s %s", d.obj.Name(), typ)
}

func (b *builder) emitConst(out *bytes.Buffer, d *decl) {
	c := d.obj.(*types.Const)
	if d.body {
		iota, value := constSource(d)
		out.WriteString("const (\n_ = iota\n")
		if iota == 0 {
			out.Truncate(out.Len() - len("_ = iota\n"))
		} else {
			out.WriteString(strings.Repeat("_\n", iota-1))
		}
		fmt.Fprintf(out, "%s = %s\n)", c.Name(), d.file.text(value.Pos(), value.End()))
		return
	}
	typ := ""
	basic := c.Type().Underlying().(*types.Basic)
	if basic.Info()&types.IsUntyped == 0 {
		typ = b.spell(d.file, c.Type()) + " "
	}
	fmt.Fprintf(out, "const %s %s= %s", c.Name(), typ, constText(c.Val(), basic))
}
