// Package hollow empties the functions of Go source; it knows syntax and types of one package and must never know a
// process, a build or a patch.
package hollow

import (
	"bytes"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"go/types"
	"sort"
	"strconv"
	"strings"
)

// A Source is one file of a package: its base name and its text.
type Source struct {
	Name string
	Text []byte
}

// A Form says what stands in place of a body that is taken out.
type Form int

const (
	// Zero returns zero results at once: the program still links and runs without the bodies.
	Zero Form = iota
	// Bodyless leaves a declaration only, as the compiler takes without -complete: a package of references.
	Bodyless
)

// A Plan says which bodies are taken out and what stands in their place.
type Plan struct {
	Form Form
	// Keep holds names of package-level functions that keep their bodies, such as those that the compiler is told to
	// call by a flag. Names are as FuncName gives them.
	Keep map[string]bool
	// Instead holds bodies, with their braces, that stand in the place of the empty ones. They must return.
	Instead map[string]string
	// Only, when not nil, holds the names of the only functions that keep their bodies: what starts before main is not
	// looked at. It goes with Bodyless.
	Only map[string]bool
}

// A Result is a package with its bodies taken out.
type Result struct {
	Files   []Source
	Emptied []string          // names of the functions whose bodies were taken out, sorted
	Kept    map[string]string // name of each function that kept a body: why
}

// Empty takes the bodies out of the functions of one package, but of those that run before main does: init functions,
// what package-level initialisers and init functions may call, and functions known to the linker by another name.
//
// An import that loses its last use stays as a blank one, so that the same packages are initialised. The result is
// type-checked; an error names the file and the line of it. imp must resolve every import of the package.
func Empty(files []Source, imp types.Importer, plan Plan) (*Result, error) {
	p, err := load(files, imp)
	if err != nil {
		return nil, err
	}
	kept := map[*ast.FuncDecl]string{}
	var early map[*types.Func]bool
	if plan.Only == nil {
		early = p.early()
	}
	for _, d := range p.funcs {
		name, obj := FuncName(d), p.info.Defs[d.Name]
		fn, _ := obj.(*types.Func)
		switch {
		case d.Body == nil:
			kept[d] = "no body"
		case plan.Only != nil:
			if plan.Only[name] {
				kept[d] = "asked for"
			} else if plan.Form == Bodyless && bodyMustStay(d) {
				kept[d] = "must have a body"
			}
		case plan.Keep[name]:
			kept[d] = "asked for"
		case d.Recv == nil && d.Name.Name == "init":
			kept[d] = "init"
		case p.linknamed[d.Name.Name] && d.Recv == nil:
			kept[d] = "linkname"
		case fn != nil && early[fn]:
			kept[d] = "may run before main"
		case plan.Form == Bodyless && bodyMustStay(d):
			kept[d] = "must have a body"
		case len(d.Body.List) == 0:
			kept[d] = "empty already"
		}
	}
	res, err := p.write(kept, plan)
	if err != nil {
		return nil, err
	}
	if plan.Form == Zero {
		if _, err := load(res.Files, imp); err != nil {
			return nil, fmt.Errorf("emptied package: %w", err)
		}
	}
	return res, nil
}

// bodyMustStay reports whether the compiler refuses the declaration without its body (types2/decl.go, Go 1.26: "generic
// function is missing function body"; blank and main functions are refused too).
func bodyMustStay(d *ast.FuncDecl) bool {
	return Generic(d) || d.Name.Name == "_" || d.Name.Name == "main" && d.Recv == nil
}

// Generic reports whether a function, or its receiver's type, has type parameters.
func Generic(d *ast.FuncDecl) bool {
	_, _, params := receiver(d)
	return params || d.Type.TypeParams != nil
}

// FuncName is a function's name as in its symbol, but for the package and for type arguments: F, T.F or (*T).F.
func FuncName(d *ast.FuncDecl) string {
	switch base, pointer, _ := receiver(d); {
	case base == "":
		return d.Name.Name
	case pointer:
		return "(*" + base + ")." + d.Name.Name
	default:
		return base + "." + d.Name.Name
	}
}

// receiver takes a method's receiver apart: the name of its base type, whether it is a pointer, and whether it has type
// parameters. A function has none.
func receiver(d *ast.FuncDecl) (base string, pointer, params bool) {
	if d.Recv == nil || len(d.Recv.List) == 0 {
		return "", false, false
	}
	t := ast.Unparen(d.Recv.List[0].Type)
	if star, ok := t.(*ast.StarExpr); ok {
		t, pointer = ast.Unparen(star.X), true
	}
	switch x := t.(type) {
	case *ast.IndexExpr:
		t, params = x.X, true
	case *ast.IndexListExpr:
		t, params = x.X, true
	}
	if id, ok := t.(*ast.Ident); ok {
		base = id.Name
	}
	return base, pointer, params
}

// loaded is one type-checked package.
type loaded struct {
	src       []Source
	fset      *token.FileSet
	files     []*ast.File
	info      *types.Info
	pkg       *types.Package
	funcs     []*ast.FuncDecl
	byObj     map[*types.Func]*ast.FuncDecl
	linknamed map[string]bool // local names in //go:linkname directives
}

// load parses and type-checks files as one package.
func load(files []Source, imp types.Importer) (*loaded, error) {
	p := &loaded{
		src:  files,
		fset: token.NewFileSet(),
		info: &types.Info{
			Types:        map[ast.Expr]types.TypeAndValue{},
			Defs:         map[*ast.Ident]types.Object{},
			Uses:         map[*ast.Ident]types.Object{},
			Selections:   map[*ast.SelectorExpr]*types.Selection{},
			Implicits:    map[ast.Node]types.Object{},
			FileVersions: map[*ast.File]string{},
		},
		byObj:     map[*types.Func]*ast.FuncDecl{},
		linknamed: map[string]bool{},
	}
	for _, f := range files {
		file, err := parser.ParseFile(p.fset, f.Name, f.Text, parser.ParseComments|parser.SkipObjectResolution)
		if err != nil {
			return nil, err
		}
		p.files = append(p.files, file)
		for _, line := range strings.Split(string(f.Text), "\n") {
			if rest, ok := strings.CutPrefix(line, "//go:linkname "); ok {
				if args := strings.Fields(rest); len(args) > 0 {
					p.linknamed[args[0]] = true
				}
			}
		}
	}
	conf := types.Config{Importer: imp, Sizes: types.SizesFor("gc", "amd64")}
	pkg, err := conf.Check(p.files[0].Name.Name, p.fset, p.files, p.info)
	if err != nil {
		return nil, err
	}
	p.pkg = pkg
	for _, file := range p.files {
		for _, d := range file.Decls {
			if d, ok := d.(*ast.FuncDecl); ok {
				p.funcs = append(p.funcs, d)
				if fn, ok := p.info.Defs[d.Name].(*types.Func); ok {
					p.byObj[fn] = d
				}
			}
		}
	}
	return p, nil
}

// change is a replacement of text[from:to] of one file.
type change struct {
	from, to int
	text     string
}

// write makes the new text of every file.
func (p *loaded) write(kept map[*ast.FuncDecl]string, plan Plan) (*Result, error) {
	res := &Result{Kept: map[string]string{}}
	for i, file := range p.files {
		var changes []change
		var gone []*ast.BlockStmt
		for _, d := range file.Decls {
			d, ok := d.(*ast.FuncDecl)
			if !ok {
				continue
			}
			if why, ok := kept[d]; ok {
				res.Kept[FuncName(d)] = why
				continue
			}
			res.Emptied = append(res.Emptied, FuncName(d))
			gone = append(gone, d.Body)
			body := change{p.offset(d.Body.Lbrace), p.offset(d.Body.Rbrace) + 1, plan.Instead[FuncName(d)]}
			switch {
			case body.text != "" || plan.Form == Bodyless:
				changes = append(changes, body)
			default:
				changes = append(changes, p.zeroResults(p.src[i].Text, d)...)
			}
		}
		changes = append(changes, p.unusedImports(file, gone)...)
		sort.Slice(changes, func(i, j int) bool { return changes[i].from < changes[j].from })
		var out bytes.Buffer
		at := 0
		for _, c := range changes {
			out.Write(p.src[i].Text[at:c.from])
			out.WriteString(c.text)
			at = c.to
		}
		out.Write(p.src[i].Text[at:])
		res.Files = append(res.Files, Source{p.src[i].Name, out.Bytes()})
	}
	sort.Strings(res.Emptied)
	return res, nil
}

// offset is a position's byte offset in its own file, line directives left aside.
func (p *loaded) offset(pos token.Pos) int {
	return p.fset.File(pos).Offset(pos)
}

// zeroResults replaces the body of d by one that returns zero values. The signature stays as it is, but where a
// parameter hides the name of a result's type: there the results get the blank name.
func (p *loaded) zeroResults(text []byte, d *ast.FuncDecl) []change {
	body := change{p.offset(d.Body.Lbrace), p.offset(d.Body.Rbrace) + 1, "{}"}
	results := d.Type.Results
	if results == nil || len(results.List) == 0 {
		return []change{body}
	}
	if len(results.List[0].Names) > 0 {
		body.text = "{ return }"
		return []change{body}
	}
	var values, blank []string
	for _, f := range results.List {
		typ := string(text[p.offset(f.Type.Pos()):p.offset(f.Type.End())])
		values = append(values, "*new("+typ+")")
		blank = append(blank, "_ "+typ)
	}
	if !p.hidden(d) {
		body.text = "{ return " + strings.Join(values, ", ") + " }"
		return []change{body}
	}
	from, to := p.offset(results.Pos()), p.offset(results.End())
	body.text = "{ return }"
	return []change{{from, to, "(" + strings.Join(blank, ", ") + ")"}, body}
}

// hidden reports whether a parameter or receiver of d has the name of something that its result types mention, or of
// the builtin new.
func (p *loaded) hidden(d *ast.FuncDecl) bool {
	names := map[string]bool{}
	lists := []*ast.FieldList{d.Recv, d.Type.Params}
	for _, l := range lists {
		if l == nil {
			continue
		}
		for _, f := range l.List {
			for _, n := range f.Names {
				names[n.Name] = true
			}
		}
	}
	if names["new"] || p.pkg.Scope().Lookup("new") != nil {
		return true
	}
	found := false
	ast.Inspect(d.Type.Results, func(n ast.Node) bool {
		if id, ok := n.(*ast.Ident); ok && names[id.Name] {
			found = true
		}
		return !found
	})
	return found
}

// unusedImports makes the imports of file blank that are used within gone only.
func (p *loaded) unusedImports(file *ast.File, gone []*ast.BlockStmt) []change {
	within := func(pos token.Pos) bool {
		i := sort.Search(len(gone), func(i int) bool { return gone[i].End() > pos })
		return i < len(gone) && gone[i].Pos() <= pos
	}
	used := map[types.Object]bool{}     // package names
	dotted := map[*types.Package]bool{} // packages whose objects are named without a qualifier
	qualified := map[*ast.Ident]bool{}  // Sel of a selector
	ast.Inspect(file, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.SelectorExpr:
			qualified[n.Sel] = true
		case *ast.Ident:
			if within(n.Pos()) {
				break
			}
			switch obj := p.info.Uses[n].(type) {
			case nil:
			case *types.PkgName:
				used[obj] = true
			default:
				if obj.Pkg() != nil && obj.Pkg() != p.pkg && !qualified[n] {
					dotted[obj.Pkg()] = true
				}
			}
		}
		return true
	})
	var out []change
	for _, spec := range file.Imports {
		var obj types.Object
		switch {
		case spec.Name == nil:
			obj = p.info.Implicits[spec]
		case spec.Name.Name == "_":
			continue
		case spec.Name.Name == ".":
			path, err := strconv.Unquote(spec.Path.Value)
			if err == nil && dottedPath(dotted, path) {
				continue
			}
		default:
			obj = p.info.Defs[spec.Name]
		}
		if obj != nil && used[obj] {
			continue
		}
		from, to := p.offset(spec.Path.Pos()), p.offset(spec.Path.Pos())
		if spec.Name != nil {
			from = p.offset(spec.Name.Pos())
		}
		out = append(out, change{from, to, "_ "})
	}
	return out
}

// dottedPath reports whether a package of that import path is in set.
func dottedPath(set map[*types.Package]bool, path string) bool {
	for pkg := range set {
		if pkg.Path() == path {
			return true
		}
	}
	return false
}
