package facts

import (
	"go/ast"
	"go/token"
	"go/types"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/limeade-go/limeade/analysis/decl"
)

// Input is one type-checked package.
type Input struct {
	Source   decl.Source
	Types    *types.Package
	Info     *types.Info // all maps filled
	Sizes    types.Sizes
	Release  int               // minor version of the toolchain that compiles it: 26 for Go 1.26
	Profiled bool              // it is compiled with a profile, under which larger functions are inlined
	Keep     func(string) bool // whether references into the package with that path are wanted
}

// Collect returns the facts of a package.
func Collect(in Input) *Package {
	c := collector{
		Input:   in,
		pkg:     &Package{Path: in.Source.Package.Path, API: API(in.Types)},
		numbers: make(map[string]uint32), bareTypes: make(map[types.Type]bool),
	}
	c.number("")
	c.decls = in.Source.Decls()
	for _, d := range c.decls {
		c.decl(d)
	}
	c.locals()
	c.promotions()
	c.linked()
	c.pkg.index()
	return c.pkg
}

// linked collects what //go:linkname directives name.
func (c *collector) linked() {
	prefix := LinkPath(c.Source.Package.Path, c.Source.Package.Name) + "."
	for _, f := range c.Source.Files {
		for line := range strings.Lines(f.Directives[decl.Linkname]) {
			for i, word := range strings.Fields(line) {
				switch i {
				case 1:
					c.pkg.Linked = append(c.pkg.Linked, prefix+word)
				case 2:
					c.pkg.Linked = append(c.pkg.Linked, word)
				}
			}
		}
	}
}

// Update returns the facts of a package of which only the functions in changed, by link name, differ from the version
// that old tells of, and in nothing but their bodies: all else but types in functions is taken over. Names grows only.
// Where other declarations differ that are in changed, or are new, it tells the truth of these alone.
func Update(old *Package, in Input, changed map[string]bool) *Package {
	c := collector{
		Input:   in,
		pkg:     &Package{Path: old.Path, API: old.API, Names: slices.Clone(old.Names)},
		numbers: maps.Clone(old.number),
		decls:   in.Source.Decls(), bareTypes: make(map[types.Type]bool),
	}
	for _, d := range c.decls {
		name := DeclName(in.Source.Package, d)
		if o := old.Decl(name); o != nil && !changed[name] {
			c.pkg.Decls = append(c.pkg.Decls, *o)
			continue
		}
		c.decl(d)
	}
	c.locals()
	for _, p := range old.Promotions {
		if !strings.Contains(p.Type, "·") {
			c.pkg.Promotions = append(c.pkg.Promotions, p)
		}
	}
	c.linked()
	c.pkg.index()
	return c.pkg
}

type collector struct {
	Input
	pkg     *Package
	numbers map[string]uint32
	decls   []*decl.Decl // parallel to pkg.Decls

	d     *Decl // being collected
	refs  map[uint32]Ref
	lists [10]map[uint32]bool // Dynamic, Holds, Values, Instances, Imports, Unnamed, Exposes, Parts, Taken, Made

	bareTypes map[types.Type]bool // see bare
}

func (c *collector) number(name string) uint32 {
	n, ok := c.numbers[name]
	if !ok {
		n = uint32(len(c.pkg.Names))
		c.numbers[name] = n
		c.pkg.Names = append(c.pkg.Names, name)
	}
	return n
}

func (c *collector) decl(d *decl.Decl) {
	c.pkg.Decls = append(c.pkg.Decls, Decl{Name: DeclName(c.Source.Package, d), Kind: d.Kind})
	c.d = &c.pkg.Decls[len(c.pkg.Decls)-1]
	c.refs = make(map[uint32]Ref)
	for i := range c.lists {
		c.lists[i] = make(map[uint32]bool)
	}
	if decl.Of(d.Parsed).ImportsC() && d.Qualifies("C") {
		c.d.Flags |= UsesCgo
	}
	switch n := d.Node.(type) {
	case *ast.FuncDecl:
		c.object(c.Info.Defs[n.Name])
		if obj, ok := c.Info.Defs[n.Name].(*types.Func); ok {
			sig := obj.Signature()
			if sig.TypeParams().Len()+sig.RecvTypeParams().Len() > 0 {
				c.d.Flags |= Generic
			}
			if sig.Recv() != nil {
				c.d.Call = c.number(callName(obj))
			} else if c.Profiled {
				c.d.Call = c.number(valueCall(sig))
			}
		}
		if neverInlined(n, c.Info, c.Profiled) {
			c.d.Flags |= NeverInlined
		}
		c.d.Size = size(n.Body)
		if c.endless(n.Body) {
			c.d.Flags |= Endless
		}
		c.d.Closures = closuresOf(n, c.Info, c.Sizes, c.Release, c.Info.FileVersions[d.Parsed.Syntax])
		c.walk(n)
		c.variables(n)
		if n.Body == nil {
			c.d.Flags |= Unrepeatable
		}
	case *ast.TypeSpec:
		c.object(c.Info.Defs[n.Name])
		if n.TypeParams != nil {
			c.d.Flags |= Generic
		}
		c.walk(n)
	case *ast.ValueSpec:
		c.object(c.Info.Defs[n.Names[d.Index]])
		if d.Name == "_" && d.Kind == decl.Var && c.inert(d.Value()) {
			c.d.Flags |= Inert
		}
		if d.Kind == decl.Var && !d.HasLiterals() {
			c.d.Value = Fingerprint(d.ValueMeaning(c.linkName))
		}
		if n.Type != nil {
			c.walk(n.Type)
		}
		if x := d.Value(); x != nil {
			if d.Kind == decl.Var {
				c.d.Closures = initializerClosures(x, c.Info, c.Sizes, c.Release, c.Info.FileVersions[d.Parsed.Syntax])
			}
			c.walk(x)
			if d.Kind == decl.Var {
				c.variables(n)
				c.again(d, c.Info.Defs[n.Names[d.Index]])
			}
		}
	}
	c.d.Refs = slices.Sorted(maps.Values(c.refs))
	for i, list := range []*[]uint32{&c.d.Dynamic, &c.d.Holds, &c.d.Values, &c.d.Instances, &c.d.Imports, &c.d.Unnamed, &c.d.Exposes, &c.d.Parts, &c.d.Taken, &c.d.Made} {
		*list = slices.Sorted(maps.Keys(c.lists[i]))
	}
}

func (c *collector) object(obj types.Object) {
	if obj == nil {
		return
	}
	var p printer
	p.object(obj)
	c.d.Type = fingerprint(p.b)
	made(obj, func(t *types.TypeName) {
		if name, ok := LinkName(t); ok && c.Keep(t.Pkg().Path()) {
			c.lists[9][c.number(name)] = true
		}
	})
}

// linkName returns the link name of what a name refers to that a package declares, whether a package's name stands before
// it or a dot import makes that needless; "" for any other expression.
func (c *collector) linkName(x ast.Expr) string {
	id, ok := x.(*ast.Ident)
	if sel, isSel := x.(*ast.SelectorExpr); isSel {
		before, _ := sel.X.(*ast.Ident)
		_, ok = c.Info.Uses[before].(*types.PkgName)
		id = sel.Sel
	}
	obj := c.Info.Uses[id]
	if !ok || obj == nil {
		return ""
	}
	name, _ := LinkName(obj)
	return name
}

func size(body *ast.BlockStmt) int {
	n := 0
	if body != nil {
		ast.Inspect(body, func(node ast.Node) bool {
			if node != nil && n < MaxSize {
				n++
			}
			return n < MaxSize
		})
	}
	return n
}

// walk collects what the tree refers to.
func (c *collector) walk(root ast.Node) {
	var stack []ast.Node
	goroutines := 0 // how many function literals are open that run in goroutines of their own
	started := make(map[ast.Node]bool)
	literals := 0                     // how many function literals are open that do not run at once
	runs := make(map[ast.Node]bool)   // what is called
	stored := make(map[ast.Node]bool) // functions that are put into a composite literal
	ast.Inspect(root, func(n ast.Node) bool {
		if n == nil {
			if lit, ok := stack[len(stack)-1].(*ast.FuncLit); ok {
				if !runs[lit] {
					literals--
				}
				if started[lit] {
					goroutines--
				}
			}
			stack = stack[:len(stack)-1]
			return true
		}
		stack = append(stack, n)
		switch n := n.(type) {
		case *ast.GoStmt:
			started[ast.Unparen(n.Call.Fun)] = true
		case *ast.FuncLit:
			if !runs[n] {
				literals++
			}
			if started[n] {
				goroutines++
			}
		case *ast.CallExpr:
			fun := ast.Unparen(n.Fun)
			runs[fun] = true
			if c.Profiled {
				c.indirect(fun)
			}
			switch f := fun.(type) {
			case *ast.IndexExpr:
				fun = ast.Unparen(f.X)
			case *ast.IndexListExpr:
				fun = ast.Unparen(f.X)
			}
			runs[fun] = true
			if sel, ok := fun.(*ast.SelectorExpr); ok {
				runs[sel.Sel] = true
			}
		case *ast.CompositeLit:
			for _, x := range n.Elts {
				if kv, ok := x.(*ast.KeyValueExpr); ok {
					x = kv.Value
				}
				switch x := ast.Unparen(x).(type) {
				case *ast.Ident:
					stored[x] = true
				case *ast.SelectorExpr:
					stored[x.Sel] = c.Info.Selections[x] == nil
				}
			}
		case *ast.Ident:
			c.taken(n, runs[n])
			c.ident(n, place{runs: (runs[n] || c.evaluated(n)) && literals == 0, literal: literals+goroutines > 0, stored: stored[n]})
		case *ast.SelectorExpr:
			c.selection(n, runs[n])
		}
		if x, ok := n.(ast.Expr); ok {
			c.hold(x)
		}
		return true
	})
}

// evaluated reports whether a name stands for the value of a variable or constant.
func (c *collector) evaluated(id *ast.Ident) bool {
	switch c.Info.Uses[id].(type) {
	case *types.Var, *types.Const:
		return true
	}
	return false
}

// A place is where a declaration refers to another one.
type place struct{ runs, literal, stored bool }

func (c *collector) ident(id *ast.Ident, at place) {
	obj := c.Info.Uses[id]
	if name, ok := obj.(*types.PkgName); ok {
		c.lists[4][c.number(name.Imported().Path())] = true
		return
	}
	if obj == nil || obj.Pkg() == nil {
		return
	}
	if inst, ok := c.Info.Instances[id]; ok {
		p := printer{}
		p.pkg(obj.Pkg())
		p.str(obj.Name())
		p.args(inst.TypeArgs)
		name := string(p.b)
		if len(p.tparams) > 0 {
			name = c.d.Name + " " + name
		}
		c.lists[3][c.number(name)] = true
	}
	if !c.Keep(obj.Pkg().Path()) {
		return
	}
	if o, ok := obj.(*types.Const); ok && o.Parent() != o.Pkg().Scope() {
		// Constants without values repeat an expression, which may mean something else in each of them; go/types tells
		// only the last one.
		if hidden := o.Pkg().Scope().Lookup(id.Name); hidden != nil {
			obj = hidden
		}
	}
	if name, ok := LinkName(obj); ok {
		n := c.number(name)
		r := c.refs[n]
		if at.stored {
			c.refs[n] = newRef(n, r.Runs() || at.runs && c.evaluated(id), r.InLiteral() || at.literal, r.Count())
			return
		}
		c.refs[n] = newRef(n, r.Runs() || at.runs, r.InLiteral() || at.literal, r.Count()+1)
	}
}

// callName names a method by what an interface must have to call it.
func callName(fn *types.Func) string { return fn.Name() + " " + describe(fn.Signature()) }

// valueCall names a function by what a variable must be to hold it.
func valueCall(sig *types.Signature) string { return " " + describe(sig) }

// indirect notes a call of a function that is known only when the program runs: with a profile, the compiler may guess it.
func (c *collector) indirect(fun ast.Expr) {
	tv := c.Info.Types[fun]
	if !tv.IsValue() {
		return
	}
	var id *ast.Ident
	switch f := fun.(type) {
	case *ast.Ident:
		id = f
	case *ast.SelectorExpr:
		id = f.Sel
	}
	_, static := c.Info.Uses[id].(*types.Func)
	if sig, ok := tv.Type.Underlying().(*types.Signature); ok && !static {
		c.lists[0][c.number(valueCall(sig))] = true
	}
}

func (c *collector) selection(x *ast.SelectorExpr, called bool) {
	sel := c.Info.Selections[x]
	if sel == nil || sel.Kind() == types.FieldVal {
		return
	}
	fn := sel.Obj().(*types.Func)
	if recv := fn.Signature().Recv(); recv != nil && types.IsInterface(recv.Type()) {
		c.lists[0][c.number(callName(fn))] = true
		return
	}
	if called || sel.Kind() != types.MethodVal {
		return
	}
	if named, pointer := baseType(sel.Recv()); named != nil && named.Obj().Pkg() != nil && c.Keep(named.Obj().Pkg().Path()) {
		obj := named.Obj()
		c.lists[2][c.number(LinkPath(obj.Pkg().Path(), obj.Pkg().Name())+"."+methodName(obj.Name(), fn.Name(), pointer))] = true
	}
}

// hold notes the type of an expression if it may have methods whose calls could be devirtualised.
func (c *collector) hold(x ast.Expr) {
	tv, ok := c.Info.Types[x]
	if !ok || tv.Type == nil {
		return
	}
	if t, ok := pointee(tv.Type).(*types.Struct); ok && embeds(t) {
		c.promoted(tv.Type, func(_ *types.Func, target string) { c.lists[5][c.number(target)] = true })
	}
	if named, _ := baseType(tv.Type); named != nil {
		obj := named.Obj()
		if obj.Pkg() == nil || !c.Keep(obj.Pkg().Path()) || types.IsInterface(named) {
			return
		}
		if named.NumMethods() == 0 && !embeds(named.Underlying()) {
			return
		}
		if name, ok := LinkName(obj); ok {
			c.lists[1][c.number(name)] = true
		}
	}
}

func embeds(t types.Type) bool {
	st, ok := t.(*types.Struct)
	if !ok {
		return false
	}
	for f := range st.Fields() {
		if f.Embedded() {
			return true
		}
	}
	return false
}

// inert reports whether evaluating x does nothing and cannot fail: var _ I = (*T)(nil).
func (c *collector) inert(x ast.Expr) bool {
	if x == nil {
		return true
	}
	ok := true
	ast.Inspect(x, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.CallExpr:
			ok = ok && (c.Info.Types[n.Fun].IsType() || c.isNew(n))
		case *ast.UnaryExpr:
			ok = ok && n.Op != token.ARROW
		case *ast.BinaryExpr:
			ok = ok && c.Info.Types[n].Value != nil
		case *ast.IndexExpr, *ast.IndexListExpr:
			ok = ok && (c.Info.Types[n.(ast.Expr)].IsType() || isInstance(c.Info, n))
		case *ast.SliceExpr, *ast.TypeAssertExpr, *ast.StarExpr:
			ok = ok && c.Info.Types[n.(ast.Expr)].IsType()
		case *ast.FuncLit:
			return false
		}
		return ok
	})
	return ok
}

func (c *collector) isNew(call *ast.CallExpr) bool {
	id, ok := ast.Unparen(call.Fun).(*ast.Ident)
	return ok && c.Info.Uses[id] == types.Universe.Lookup("new")
}

func isInstance(info *types.Info, n ast.Node) bool {
	x, ok := n.(*ast.IndexExpr)
	return ok && (&walker{info: info}).isFunc(x)
}

// endless reports whether a body, function literals and all, has a loop that may run for as long as the process does:
// without a condition and without a way out, or waiting for a channel in each turn; or an empty select.
func (c *collector) endless(body *ast.BlockStmt) bool {
	if body == nil {
		return false
	}
	found := false
	ast.Inspect(body, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.ForStmt:
			found = found || n.Cond == nil && (waits(n.Body) || !leaves(n.Body))
		case *ast.RangeStmt:
			if t := c.Info.TypeOf(n.X); t != nil {
				_, isChan := t.Underlying().(*types.Chan)
				found = found || isChan
			}
		case *ast.SelectStmt:
			found = found || len(n.Body.List) == 0
		}
		return !found
	})
	return found
}

// waits reports whether a loop's body receives from a channel.
func waits(body *ast.BlockStmt) bool {
	found := false
	ast.Inspect(body, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.FuncLit:
			return false
		case *ast.SelectStmt:
			found = true
		case *ast.UnaryExpr:
			found = found || n.Op == token.ARROW
		}
		return !found
	})
	return found
}

// leaves reports whether a statement in a loop's body may leave the loop. A break of a loop or switch inside of it
// counts as well: the test is for people, and it is enough to be right mostly.
func leaves(body *ast.BlockStmt) bool {
	found := false
	ast.Inspect(body, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.FuncLit:
			return false
		case *ast.ReturnStmt:
			found = true
		case *ast.BranchStmt:
			found = found || n.Tok == token.BREAK || n.Tok == token.GOTO
		}
		return !found
	})
	return found
}

// locals lists the types that are declared in functions, in the order in which the compiler numbers those of a build.
func (c *collector) locals() {
	prefix := LinkPath(c.pkg.Path, c.Types.Name()) + "."
	EachLocal(c.Source, c.Info, func(owner string, obj *types.TypeName) {
		p := printer{whole: true}
		p.typeName(obj)
		c.pkg.Locals = append(c.pkg.Locals, LocalType{Owner: owner, Name: obj.Name(), Shape: fingerprint(p.b)})
		c.promote(prefix+obj.Name()+"·"+strconv.Itoa(len(c.pkg.Locals)), obj)
	})
}

// EachLocal calls f with each type that is declared in a function, and the link name of the declaration that it is in, in the
// order of the source. The bodies must have been checked.
func EachLocal(source decl.Source, info *types.Info, f func(owner string, obj *types.TypeName)) {
	var with []*decl.Decl
	done := make(map[ast.Node]bool) // a node may declare several names: the first one owns what is in it
	for _, d := range source.Decls() {
		if d.HasLocalTypes() && !done[d.Node] {
			done[d.Node] = true
			with = append(with, d)
		}
	}
	for _, file := range source.Files {
		here := slices.DeleteFunc(slices.Clone(with), func(d *decl.Decl) bool { return d.Parsed != file.Parsed })
		slices.SortFunc(here, func(a, b *decl.Decl) int { return int(a.Node.Pos() - b.Node.Pos()) })
		for _, d := range here {
			ast.Inspect(d.Node, func(n ast.Node) bool {
				if spec, ok := n.(*ast.TypeSpec); ok && ast.Node(spec) != d.Node && !spec.Assign.IsValid() {
					if obj, ok := info.Defs[spec.Name].(*types.TypeName); ok {
						f(DeclName(source.Package, d), obj)
					}
				}
				return true
			})
		}
	}
}

func (c *collector) promotions() {
	scope := c.Types.Scope()
	for _, name := range scope.Names() {
		if obj, ok := scope.Lookup(name).(*types.TypeName); ok && !obj.IsAlias() {
			link, _ := LinkName(obj)
			c.promote(link, obj)
		}
	}
}

func (c *collector) promote(name string, obj *types.TypeName) {
	if !embeds(obj.Type().Underlying()) {
		return
	}
	c.promoted(obj.Type(), func(fn *types.Func, target string) {
		c.pkg.Promotions = append(c.pkg.Promotions, Promotion{Type: name, Method: fn.Name(), Target: target})
	})
}

// promoted calls f with each method that a type or what it points to has through embedding, and its link name.
func (c *collector) promoted(t types.Type, f func(fn *types.Func, target string)) {
	for sel := range types.NewMethodSet(types.NewPointer(pointee(t))).Methods() {
		fn, ok := sel.Obj().(*types.Func)
		if !ok || len(sel.Index()) == 1 || fn.Pkg() == nil || !c.Keep(fn.Pkg().Path()) {
			continue
		}
		if target, ok := LinkName(fn); ok {
			f(fn, target)
		}
	}
}

// pointee returns what t points to, or t itself.
func pointee(t types.Type) types.Type {
	t = types.Unalias(t)
	if p, ok := t.(*types.Pointer); ok {
		return types.Unalias(p.Elem())
	}
	return t
}
