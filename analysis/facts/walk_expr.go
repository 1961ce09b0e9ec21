package facts

import (
	"go/ast"
	"go/token"
	"go/types"

	"github.com/limeade-go/limeade/analysis/decl"
)

// isFunc reports whether x names a declared function.
func (w *walker) isFunc(x ast.Expr) bool {
	switch e := x.(type) {
	case *ast.Ident:
		_, ok := w.info.Uses[e].(*types.Func)
		return ok
	case *ast.SelectorExpr:
		_, ok := w.info.Uses[e.Sel].(*types.Func)
		return ok && w.info.Selections[e] == nil
	case *ast.IndexExpr:
		return w.isFunc(ast.Unparen(e.X))
	case *ast.IndexListExpr:
		return w.isFunc(ast.Unparen(e.X))
	}
	return false
}

// stored follows an expression whose value is kept somewhere: a function literal there is never inlined.
func (w *walker) stored(x ast.Expr) {
	if lit, ok := ast.Unparen(x).(*ast.FuncLit); ok {
		w.literal(lit, true)
		return
	}
	w.expr(x)
}

func (w *walker) expr(x ast.Expr) {
	x = ast.Unparen(x)
	if tv, ok := w.info.Types[x]; ok && (tv.Value != nil || tv.IsType()) {
		return
	}
	switch x := x.(type) {
	case *ast.Ident:
		if v, ok := w.info.Uses[x].(*types.Var); ok {
			w.use(v)
		} else if inst, ok := w.info.Instances[x]; ok && derived(inst.TypeArgs) {
			w.synthetic(x)
		}
	case *ast.FuncLit:
		w.literal(x, false)
	case *ast.CompositeLit:
		_, isStruct := types.Unalias(coreOf(w.info.TypeOf(x))).(*types.Struct)
		for _, elt := range x.Elts {
			if kv, ok := elt.(*ast.KeyValueExpr); ok {
				if !isStruct {
					w.expr(kv.Key)
				}
				elt = kv.Value
			}
			w.stored(elt)
		}
	case *ast.SelectorExpr:
		w.selector(x, false)
	case *ast.IndexExpr:
		if w.isFunc(x) || w.isMethod(x.X) {
			w.instance(x.X)
			return
		}
		w.expr(x.X)
		w.expr(x.Index)
	case *ast.IndexListExpr:
		w.instance(x.X)
	case *ast.SliceExpr:
		w.expr(x.X)
		w.optExpr(x.Low)
		w.optExpr(x.High)
		w.optExpr(x.Max)
		if t := w.info.TypeOf(x.X); t != nil {
			if _, ok := t.Underlying().(*types.Array); ok {
				w.address(x.X)
			}
		}
	case *ast.TypeAssertExpr:
		w.expr(x.X)
	case *ast.StarExpr:
		w.expr(x.X)
	case *ast.UnaryExpr:
		w.expr(x.X)
		if x.Op == token.AND {
			w.address(x.X)
		}
	case *ast.BinaryExpr:
		w.expr(x.X)
		w.expr(x.Y)
	case *ast.CallExpr:
		w.call(x)
	}
}

// coreOf returns the underlying type of t, through one pointer: that of a composite literal's elided &T.
func coreOf(t types.Type) types.Type {
	if t == nil {
		return nil
	}
	if p, ok := t.Underlying().(*types.Pointer); ok {
		return p.Elem().Underlying()
	}
	return t.Underlying()
}

func (w *walker) call(x *ast.CallExpr) {
	if w.info.Types[x.Fun].IsType() {
		w.expr(x.Args[0])
		return
	}
	switch w.builtin(x) {
	case "":
	case "make":
		for _, a := range x.Args[1:] {
			w.expr(a)
		}
		return
	case "Sizeof", "Alignof", "Offsetof":
		return
	default:
		for _, a := range x.Args {
			w.expr(a)
		}
		return
	}
	fun := ast.Unparen(x.Fun)
	switch f := fun.(type) {
	case *ast.SelectorExpr:
		w.selector(f, true)
	case *ast.Ident:
		if _, ok := w.info.Uses[f].(*types.Func); !ok {
			w.expr(f)
		}
	case *ast.IndexExpr:
		switch {
		case w.isMethod(f.X):
			w.selector(ast.Unparen(f.X).(*ast.SelectorExpr), true)
		case !w.isFunc(f):
			w.expr(f)
		}
	case *ast.IndexListExpr:
	default:
		w.expr(fun)
	}
	for _, a := range x.Args {
		w.expr(a)
	}
}

// isMethod reports whether x selects a method.
func (w *walker) isMethod(x ast.Expr) bool {
	s, ok := ast.Unparen(x).(*ast.SelectorExpr)
	if !ok {
		return false
	}
	sel := w.info.Selections[s]
	return sel != nil && sel.Kind() != types.FieldVal
}

// instance follows an instantiated function or method that is used as a value.
func (w *walker) instance(x ast.Expr) {
	switch x := ast.Unparen(x).(type) {
	case *ast.Ident:
		w.expr(x)
	case *ast.SelectorExpr:
		if w.info.Selections[x] != nil {
			w.selector(x, false)
		} else if inst, ok := w.info.Instances[x.Sel]; ok && derived(inst.TypeArgs) {
			w.synthetic(x)
		}
	}
}

// selector follows a selection; called means that it is a method that is called at once.
func (w *walker) selector(x *ast.SelectorExpr, called bool) {
	sel := w.info.Selections[x]
	if sel == nil { // of a package
		if inst, ok := w.info.Instances[x.Sel]; ok && !called && derived(inst.TypeArgs) {
			w.synthetic(x)
		}
		return
	}
	switch sel.Kind() {
	case types.FieldVal:
		w.expr(x.X)
	case types.MethodVal:
		w.expr(x.X)
		if takesAddress(sel) {
			w.address(x.X)
		}
		if !called && w.dynamicMethod(sel) {
			w.synthetic(x)
		}
	case types.MethodExpr:
		if w.dynamicMethod(sel) {
			w.synthetic(x)
		}
	}
}

func isPointer(t types.Type) bool {
	_, ok := types.Unalias(t).(*types.Pointer)
	return ok
}

// takesAddress reports whether selecting a method takes the address of the expression before the dot.
func takesAddress(sel *types.Selection) bool {
	recv := sel.Obj().(*types.Func).Signature().Recv()
	if recv == nil || !isPointer(recv.Type()) || isPointer(sel.Recv()) {
		return false
	}
	t := sel.Recv()
	for _, i := range sel.Index()[:len(sel.Index())-1] {
		st, ok := t.Underlying().(*types.Struct)
		if !ok {
			return false
		}
		if t = st.Field(i).Type(); isPointer(t) {
			return false
		}
	}
	return true
}

// dynamicMethod reports whether a method value or expression needs the dictionary of the function around it.
func (w *walker) dynamicMethod(sel *types.Selection) bool {
	t := types.Unalias(sel.Recv())
	if _, ok := t.(*types.TypeParam); ok {
		return sel.Kind() == types.MethodVal
	}
	if p, ok := t.(*types.Pointer); ok {
		t = types.Unalias(p.Elem())
	}
	named, ok := t.(*types.Named)
	return ok && derived(named.TypeArgs())
}

// derived reports whether type arguments contain type parameters.
func derived(args *types.TypeList) bool {
	for t := range args.Types() {
		p := printer{}
		p.typ(t)
		if len(p.tparams) > 0 {
			return true
		}
	}
	return false
}

// synthetic notes a method or function value that the compiler makes a function literal of (noder/reader.go, curry and
// methodExprWrap).
func (w *walker) synthetic(x ast.Expr) {
	t := describe(w.info.TypeOf(x))
	w.closures = append(w.closures, &Closure{Name: w.name(Synthetic), Kind: Synthetic, Sig: t, Body: decl.HashNode(x)})
	w.captured = append(w.captured, nil)
}
