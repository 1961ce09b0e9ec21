package stub

import (
	"cmp"
	"fmt"
	"go/ast"
	"go/token"
	"go/types"
	"slices"
	"strings"
)

// A page is the text of a file as it grows.
//
// Line directives give the positions that are recorded. Yet the compiler also compares bare line
// numbers of the files that it reads, across files, and its choice of instructions and of their lines
// hangs on it. So declarations also stand in the lines where they stand in the source, if there is room.
type page struct {
	name string
	file *file
	text []byte
	line int // of the end of text, from 1
}

func (p *page) write(format string, args ...any) {
	n := len(p.text)
	p.text = fmt.Appendf(p.text, format, args...)
	for _, c := range p.text[n:] {
		if c == '\n' {
			p.line++
		}
	}
}

// place writes some lines, and a line directive for pos, such that what comes next stands where pos stands.
func (b *builder) place(p *page, f *file, pos token.Pos, lines ...string) {
	if n := b.in.Fset.PositionFor(pos, false).Line - 1 - len(lines) - p.line; n > 0 {
		p.write("%s", strings.Repeat("\n", n))
	}
	for _, line := range lines {
		p.write("%s\n", line)
	}
	if at := b.position(f, pos); at.Column > 0 {
		p.write("//line %s:%d:%d\n", at.Filename, at.Line, at.Column)
	} else {
		p.write("//line %s:%d\n", at.Filename, at.Line)
	}
}

// emitDecls writes the declarations of a file.
func (b *builder) emitDecls(f *file, locals *localCounter) *page {
	p := &page{name: f.fileName(), file: f, line: 1 + headLines(f)}
	var last *ast.ValueSpec // copied with all its names
	for _, d := range f.decls {
		if !d.used {
			if d.init > 0 && d.init < b.lastInit {
				p.write("func init() {}\n")
			}
			continue
		}
		switch node := d.node.(type) {
		case *ast.FuncDecl:
			if locals.isMoved(d) {
				continue
			}
			b.emitFunc(p, d, node, locals)
		case *ast.TypeSpec:
			b.emitType(p, d, node)
		case *ast.ValueSpec:
			if _, ok := d.obj.(*types.Const); ok {
				b.emitConst(p, d)
			} else if !d.body {
				if d.obj.Name() != "_" {
					b.emitVar(p, d, node)
				}
				if i, ok := b.added[d.obj]; ok {
					b.emitAdded(p, f, i, locals)
				}
			} else if last != node {
				last = node
				lines := append(locals.fill(f, node), b.linknameLines(d)...)
				b.place(p, f, node.Pos(), append(lines, "var")...)
				p.write("%s", locals.text(b, f, node.Pos(), specEnd(node)))
			}
		}
		p.write("\n")
	}
	return p
}

// emitAlone writes a function into a file of its own.
func (b *builder) emitAlone(name string, d *decl, locals *localCounter) *page {
	p := &page{name: name, file: d.file, line: 1 + headLines(d.file)}
	b.emitFunc(p, d, d.fn(), locals)
	p.write("\n")
	return p
}

// specEnd returns the end of a variable declaration without its comment.
func specEnd(spec *ast.ValueSpec) token.Pos {
	if n := len(spec.Values); n > 0 {
		return spec.Values[n-1].End()
	}
	return spec.Type.End()
}

func (b *builder) linknameLines(d *decl) []string {
	if d.obj.Parent() != b.in.Pkg.Scope() {
		return nil
	}
	lines := b.linknames[d.obj.Name()]
	if len(lines) > 0 {
		d.file.unsafe = true
	}
	return lines
}

// bodiless has the pragmas that mean something to the callers of a function, and so stay when it loses
// its body.
var bodiless = map[string]bool{
	"//go:noescape":         true,
	"//go:uintptrescapes":   true,
	"//go:uintptrkeepalive": true,
	"//go:cgo_unsafe_args":  true, // it is called by ABI0
	"//go:nosplit":          true, // uintptrkeepalive asks for it
}

func (b *builder) emitFunc(p *page, d *decl, fn *ast.FuncDecl, locals *localCounter) {
	var lines []string
	if d.body {
		lines = locals.fill(d.file, fn.Body)
	}
	lines = append(lines, b.linknameLines(d)...)
	pragmas := d.file.pragmas(d.after, fn.Pos())
	d.hollow = d.hollow && !d.body && canBeHollow(pragmas)
	if d.hollow {
		b.place(p, d.file, fn.Pos(), append(lines, "//go:noinline")...)
		fact, _ := b.fact(d.obj.(*types.Func))
		p.write("%s", b.hollowText(d, fn, fact))
		return
	}
	for _, text := range pragmas {
		if verb, _, _ := strings.Cut(text, " "); d.body || bodiless[verb] {
			lines = append(lines, text)
		}
	}
	b.place(p, d.file, fn.Pos(), lines...)
	if d.body {
		p.write("%s", locals.text(b, d.file, fn.Pos(), fn.End()))
		return
	}
	p.write("%s", d.file.text(fn.Pos(), fn.Type.End()))
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

func (b *builder) emitType(p *page, d *decl, spec *ast.TypeSpec) {
	b.place(p, d.file, spec.Pos(), "type")
	st := b.types[d.obj.(*types.TypeName)]
	if !slices.ContainsFunc(st.fields, func(f field) bool { return !b.touched[f.v] }) {
		p.write("%s", d.file.text(spec.Pos(), spec.Type.End()))
		return
	}
	p.write("%s struct {\n", spec.Name.Name)
	for _, f := range st.fields {
		switch {
		case !b.touched[f.v]:
			p.write("%s %s\n", f.v.Name(), b.spell(d.file, b.standIn(f.v.Type())))
		case f.v.Embedded():
			p.write("%s\n", d.file.text(f.typ.Pos(), f.typ.End()))
		default:
			p.write("%s %s\n", f.v.Name(), d.file.text(f.typ.Pos(), f.typ.End()))
		}
	}
	p.write("}")
}

func (b *builder) emitVar(p *page, d *decl, spec *ast.ValueSpec) {
	lines := b.linknameLines(d)
	if embeds := b.in.Defined[d.obj.(*types.Var)]; len(embeds) > 0 {
		lines = append(lines, embeds...)
		d.file.embeds = true
	}
	b.place(p, d.file, d.obj.Pos(), append(lines, "var")...)
	if spec.Type != nil {
		p.write("%s %s", d.obj.Name(), d.file.text(spec.Type.Pos(), spec.Type.End()))
	} else {
		p.write("%s %s", d.obj.Name(), b.spell(d.file, d.obj.Type()))
	}
}

// initName begins the names of the functions that initialise new variables; a number and the first of these follow.
const initName = "limeadeInit"

func (b *builder) initName(i int) string {
	return fmt.Sprintf("%s%d_%s", initName, i, b.in.Added[i].Lhs[0].Name())
}

// InitOf returns the link name of the variable that a function of [Stub].Inits initialises, given its own.
func InitOf(name string) string {
	pkg, rest, ok := strings.Cut(name, initName)
	_, v, ok2 := strings.Cut(rest, "_")
	if !ok || !ok2 {
		return name
	}
	return pkg + v
}

// emitAdded writes the function that initialises new variables. Its code stands in the lines of their declaration.
func (b *builder) emitAdded(p *page, f *file, i int, locals *localCounter) {
	init := b.in.Added[i]
	var names []string
	for _, v := range init.Lhs {
		names = append(names, v.Name())
	}
	p.write("\n")
	b.place(p, f, init.Rhs.Pos(), locals.fill(f, init.Rhs)...)
	p.write("func %s() { %s = %s }", b.initName(i), strings.Join(names, ", "), locals.text(b, f, init.Rhs.Pos(), init.Rhs.End()))
}

func (b *builder) emitConst(p *page, d *decl) {
	c := d.obj.(*types.Const)
	if d.body {
		iota, value := constSource(d)
		p.write("const (%s %s = %s)", strings.Repeat("_ = 0; ", iota), c.Name(), d.file.text(value.Pos(), value.End()))
		return
	}
	typ := ""
	basic := c.Type().Underlying().(*types.Basic)
	if basic.Info()&types.IsUntyped == 0 {
		typ = b.spell(d.file, c.Type()) + " "
	}
	p.write("const %s %s= %s", c.Name(), typ, constText(c.Val(), basic))
}
