package stub

import (
	"go/ast"
	"go/token"
	"go/types"
)

// walk notes everything that a syntax tree of the file mentions.
func (b *builder) walk(f *file, root ast.Node, level int) {
	info := b.in.Info
	var visit func(n ast.Node) bool
	visit = func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.SelectorExpr:
			b.see(info.Types[n].Type)
			if sel := info.Selections[n]; sel != nil {
				b.selection(sel, level)
				if inst, ok := info.Instances[n.Sel]; ok {
					b.instance(sel.Obj(), inst)
				}
				ast.Inspect(n.X, visit)
				return false
			}
			if id, ok := n.X.(*ast.Ident); ok {
				if name, ok := info.Uses[id].(*types.PkgName); ok {
					b.imports[name] = true
					b.ident(n.Sel, level)
					return false
				}
			}
		case *ast.Ident:
			b.see(info.Types[n].Type)
			if obj := b.ident(n, level); obj != nil && obj.Pkg() != b.in.Pkg && obj.Pkg() != nil {
				if name := f.names[obj.Pkg()]; name != nil && name.Name() == "." && obj.Parent() == obj.Pkg().Scope() {
					b.imports[name] = true
				}
			}
			return false
		case *ast.BinaryExpr:
			if n.Op == token.EQL || n.Op == token.NEQ {
				b.compare(info.Types[n.X].Type)
				b.compare(info.Types[n.Y].Type)
			}
		case *ast.SwitchStmt:
			if n.Tag != nil {
				b.compare(info.Types[n.Tag].Type)
			}
		case *ast.CaseClause:
			for _, e := range n.List {
				if tv := info.Types[e]; tv.IsValue() {
					b.compare(tv.Type)
				}
			}
		case *ast.CallExpr:
			if to := info.Types[n.Fun]; to.IsType() && len(n.Args) == 1 {
				b.convert(info.Types[n.Args[0]].Type, to.Type)
			}
		case *ast.CompositeLit:
			b.literal(n, info.Types[n].Type)
		case *ast.TypeSpec:
			b.localTypes = true
		}
		if e, ok := n.(ast.Expr); ok {
			b.see(info.Types[e].Type)
		}
		return true
	}
	ast.Inspect(root, visit)
}

// ident notes the use of an identifier and returns the object that it denotes.
func (b *builder) ident(id *ast.Ident, level int) types.Object {
	obj := b.in.Info.Uses[id]
	if obj == nil {
		return nil
	}
	if inst, ok := b.in.Info.Instances[id]; ok {
		b.instance(obj, inst)
	}
	switch obj := obj.(type) {
	case *types.PkgName, *types.Builtin, *types.Nil, *types.Label:
	default:
		if v, ok := obj.(*types.Var); ok && !v.IsField() && v.Parent() != b.in.Pkg.Scope() && v.Pkg() == b.in.Pkg {
			return obj // a local variable
		}
		if c, ok := obj.(*types.Const); ok && c.Pkg() == b.in.Pkg && c.Parent() != b.in.Pkg.Scope() {
			// Constants without values repeat an expression, which may mean something else in each of them; go/types
			// tells only the last one.
			if hidden := b.in.Pkg.Scope().Lookup(id.Name); hidden != nil {
				b.object(hidden, level)
			}
		}
		b.object(obj, level)
	}
	return obj
}

// instance notes an instantiation. The names of shapes spell out a type argument's underlying type
// (internal/noder/reader.go, shapify, Go 1.26), so arguments stay whole; and they must implement
// their constraints.
func (b *builder) instance(generic types.Object, inst types.Instance) {
	var params *types.TypeParamList
	switch t := generic.Type().(type) {
	case *types.Signature:
		params = t.TypeParams()
	case *types.Named:
		params = t.TypeParams()
	case *types.Alias:
		params = t.TypeParams()
	}
	for p := range params.TypeParams() {
		b.see(p.Constraint())
	}
	for arg := range inst.TypeArgs.Types() {
		b.see(arg)
		b.compare(arg)
		b.typeArgs = append(b.typeArgs, arg)
	}
}

// selection notes a field, method or method expression: the embedded fields on the way and the end.
func (b *builder) selection(sel *types.Selection, level int) {
	path := sel.Index()
	b.touchPath(sel.Recv(), path[:len(path)-1])
	switch obj := sel.Obj().(type) {
	case *types.Var:
		b.touch(obj)
	case *types.Func:
		b.useMethod(obj, level)
	}
}

// touchPath touches the fields that lead from a struct, or a pointer to one, by the given indices.
func (b *builder) touchPath(t types.Type, path []int) {
	for _, i := range path {
		s, ok := pointee(t).Underlying().(*types.Struct)
		if !ok {
			return
		}
		b.touch(s.Field(i))
		t = s.Field(i).Type()
	}
}

// literal notes a composite literal. One without keys names no field, but sets them all.
func (b *builder) literal(lit *ast.CompositeLit, t types.Type) {
	if t == nil || len(lit.Elts) == 0 {
		return
	}
	t = pointee(t)
	s, ok := t.Underlying().(*types.Struct)
	if !ok {
		return
	}
	if _, keyed := lit.Elts[0].(*ast.KeyValueExpr); keyed {
		for _, e := range lit.Elts {
			if key, ok := e.(*ast.KeyValueExpr).Key.(*ast.Ident); ok {
				if v, ok := b.in.Info.Uses[key].(*types.Var); ok {
					b.see(v.Type())
				}
			}
		}
		return
	}
	b.allFields(t)
	for v := range s.Fields() {
		b.see(v.Type())
	}
}

// convert notes a conversion. Two struct types must have identical fields for it.
func (b *builder) convert(from, to types.Type) {
	if from == nil || types.Identical(from, to) {
		return
	}
	from, to = pointee(from), pointee(to)
	_, isStruct := from.Underlying().(*types.Struct)
	_, toStruct := to.Underlying().(*types.Struct)
	if isStruct && toStruct {
		b.allFields(from)
		b.allFields(to)
	}
}

// pointee returns what t points to, or t itself.
func pointee(t types.Type) types.Type {
	if p, ok := t.Underlying().(*types.Pointer); ok {
		return p.Elem()
	}
	return t
}

// see notes the type of an expression, and what it is made of: named types are declared, map keys
// are compared, interfaces may be converted to and named types from.
func (b *builder) see(t types.Type) {
	if t == nil || b.seen[t] {
		return
	}
	b.seen[t] = true
	b.work++
	switch t := t.(type) {
	case *types.Alias:
		b.seeName(t.Obj())
		for arg := range t.TypeArgs().Types() {
			b.see(arg)
		}
		b.see(types.Unalias(t))
	case *types.Named:
		b.seeNamed(t)
	case *types.Pointer:
		b.see(t.Elem())
	case *types.Slice:
		b.see(t.Elem())
	case *types.Chan:
		b.see(t.Elem())
	case *types.Array:
		b.see(t.Elem())
		b.haveComposite(t)
	case *types.Map:
		b.see(t.Key())
		b.see(t.Elem())
		b.compare(t.Key())
	case *types.Tuple:
		for v := range t.Variables() {
			b.see(v.Type())
		}
	case *types.Signature:
		b.see(t.Params())
		b.see(t.Results())
	case *types.Struct:
		b.anonymous = append(b.anonymous, t)
		b.addValue(t)
		for v := range t.Fields() {
			b.see(v.Type())
		}
		b.haveComposite(t)
	case *types.Interface:
		b.addInterface(t)
		for m := range t.ExplicitMethods() {
			b.see(m.Type())
		}
		for e := range t.EmbeddedTypes() {
			b.see(e)
		}
	case *types.Union:
		for term := range t.Terms() {
			b.see(term.Type())
		}
	case *types.TypeParam:
		b.see(t.Constraint())
	}
}

func (b *builder) seeNamed(t *types.Named) {
	b.seeName(t.Obj())
	for arg := range t.TypeArgs().Types() {
		b.see(arg)
		b.compare(arg)
	}
	if t.TypeArgs().Len() > 0 {
		b.haveInstance(t)
	}
	switch u := t.Underlying().(type) {
	case *types.Interface:
		b.addInterface(u)
		return
	case *types.Struct, *types.Basic:
	default:
		b.see(u)
	}
	b.addValue(t)
}

// seeName declares a type by its name, unless it is local to a function.
func (b *builder) seeName(name *types.TypeName) {
	if name.Pkg() != b.in.Pkg {
		b.need(name, name.Name())
		return
	}
	if d := b.decls[name]; d != nil {
		b.use(d)
	}
}

func (b *builder) addInterface(t *types.Interface) {
	if t.NumMethods() > 0 && !b.hasIface[t] {
		b.hasIface[t] = true
		b.interfaces = append(b.interfaces, t)
	}
}

// addValue notes a type that may have methods of this package.
func (b *builder) addValue(t types.Type) {
	if named, ok := t.(*types.Named); ok && named.Obj().Pkg() != b.in.Pkg {
		return
	}
	if !b.hasValue[t] {
		b.hasValue[t] = true
		b.values = append(b.values, t)
	}
}
