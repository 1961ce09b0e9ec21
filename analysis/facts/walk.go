package facts

import (
	"go/ast"
	"go/constant"
	"go/token"
	"go/types"
	"slices"
	"strconv"

	"github.com/limeade-go/limeade/analysis/decl"
)

// stmts follows a list of statements. What comes after a terminating one is left out, up to the last label.
func (w *walker) stmts(list []ast.Stmt) {
	loop := w.fn.loop
	defer func() { w.fn.loop = loop }()
	last := -1
	for i, s := range list {
		if _, ok := s.(*ast.LabeledStmt); ok {
			last = i
		}
	}
	dead := false
	for i, s := range list {
		if _, ok := s.(*ast.LabeledStmt); dead && i > last && !ok {
			continue
		}
		w.stmt(s)
		dead = w.terminates(s)
	}
}

// terminates is the compiler's own approximation (noder/writer.go).
func (w *walker) terminates(s ast.Stmt) bool {
	switch s := s.(type) {
	case *ast.BranchStmt:
		return s.Tok == token.GOTO
	case *ast.ReturnStmt:
		return true
	case *ast.ExprStmt:
		call, ok := ast.Unparen(s.X).(*ast.CallExpr)
		return ok && w.builtin(call) == "panic"
	case *ast.IfStmt:
		cond, _ := w.staticBool(s.Cond)
		return (cond < 0 || w.terminates(s.Body)) && (cond > 0 || s.Else != nil && w.terminates(s.Else))
	case *ast.BlockStmt:
		for _, last := range slices.Backward(s.List) {
			if _, empty := last.(*ast.EmptyStmt); !empty {
				return w.terminates(last)
			}
		}
	}
	return false
}

// builtin returns the name of the builtin that call calls, "" if it calls none.
func (w *walker) builtin(call *ast.CallExpr) string {
	var id *ast.Ident
	switch fun := ast.Unparen(call.Fun).(type) {
	case *ast.Ident:
		id = fun
	case *ast.SelectorExpr: // of package unsafe
		id = fun.Sel
	default:
		return ""
	}
	if b, ok := w.info.Uses[id].(*types.Builtin); ok {
		return b.Name()
	}
	return ""
}

func (w *walker) stmt(s ast.Stmt) {
	switch s := s.(type) {
	case *ast.AssignStmt:
		w.assignStmt(s)
	case *ast.IncDecStmt:
		w.expr(s.X)
		w.assign(s.X)
	case *ast.BlockStmt:
		w.stmts(s.List)
	case *ast.BranchStmt:
		w.branch(s)
	case *ast.DeclStmt:
		w.declStmt(s)
	case *ast.GoStmt:
		w.goDefer(GoWrap, s.Call)
	case *ast.DeferStmt:
		w.exit("defer", "func")
		w.goDefer(DeferWrap, s.Call)
	case *ast.ExprStmt:
		w.expr(s.X)
	case *ast.ForStmt:
		w.forStmt(s)
	case *ast.IfStmt:
		w.optStmt(s.Init)
		cond, parts := w.staticBool(s.Cond)
		for _, x := range parts {
			w.expr(x)
		}
		if cond >= 0 {
			w.stmts(s.Body.List)
		}
		if cond <= 0 {
			w.optStmt(s.Else)
		}
	case *ast.LabeledStmt:
		if w.fn.backward[s.Label.Name] {
			w.fn.loop++
		}
		w.labelled(s.Label.Name, s.Stmt)
	case *ast.RangeStmt:
		w.rangeStmt(s, "")
	case *ast.ReturnStmt:
		w.returnStmt(s)
	case *ast.SelectStmt:
		w.selectStmt(s)
	case *ast.SendStmt:
		w.expr(s.Chan)
		w.stored(s.Value)
	case *ast.SwitchStmt:
		w.switchStmt(s)
	case *ast.TypeSwitchStmt:
		w.typeSwitch(s)
	}
}

func (w *walker) optStmt(s ast.Stmt) {
	if s != nil {
		w.stmt(s)
	}
}

func (w *walker) optExpr(x ast.Expr) {
	if x != nil {
		w.expr(x)
	}
}

// labelled follows a statement whose label is a target that stays inside of a range-over-func body around it.
func (w *walker) labelled(label string, s ast.Stmt) {
	defer w.stay(label)()
	if r, ok := s.(*ast.RangeStmt); ok {
		w.rangeStmt(r, label)
		return
	}
	w.stmt(s)
}

// stay makes targets local until the result is called.
func (w *walker) stay(targets ...string) func() {
	c := w.fn
	var fresh []string
	for _, t := range targets {
		if !c.inside[t] {
			fresh = append(fresh, t)
			if c.inside == nil {
				c.inside = make(map[string]bool)
			}
			c.inside[t] = true
		}
	}
	return func() {
		for _, t := range fresh {
			delete(c.inside, t)
		}
	}
}

// exit notes a statement that leaves range-over-func bodies, up to the one in which its target is: the compiler keeps
// variables for it, which the bodies capture.
func (w *walker) exit(what, target string) {
	for c := w.fn; c.kind == RangeBody; c = c.outer {
		if c.inside[what] || c.inside[target] {
			return
		}
		if !slices.Contains(c.exits, what) {
			c.exits = append(c.exits, what)
		}
		if target == "" {
			return // the innermost loop
		}
	}
}

func (w *walker) branch(s *ast.BranchStmt) {
	switch {
	case s.Tok == token.FALLTHROUGH:
	case s.Label != nil:
		w.exit(s.Tok.String()+" "+s.Label.Name, s.Label.Name)
	default:
		w.exit(s.Tok.String(), "")
	}
}

func (w *walker) assignStmt(s *ast.AssignStmt) {
	if s.Tok != token.ASSIGN && s.Tok != token.DEFINE {
		w.expr(s.Lhs[0])
		w.expr(s.Rhs[0])
		w.assign(s.Lhs[0])
		return
	}
	var assigned []ast.Expr
	for _, x := range s.Lhs {
		if w.target(x, noLoopVar) {
			assigned = append(assigned, x)
		}
	}
	for i, x := range s.Rhs {
		if len(s.Lhs) == len(s.Rhs) && !w.isLocal(s.Lhs[i]) {
			w.stored(x)
			continue
		}
		w.expr(x)
	}
	for _, x := range assigned {
		w.assign(x)
	}
}

// target follows the left side of an assignment, and reports whether it is a variable that existed before.
func (w *walker) target(x ast.Expr, loop loopKind) bool {
	if id, ok := ast.Unparen(x).(*ast.Ident); ok {
		if id.Name == "_" {
			return false
		}
		if v, ok := w.info.Defs[id].(*types.Var); ok {
			w.declare(v, loop)
			return false
		}
	}
	w.expr(x)
	return true
}

// isLocal reports whether x is a local variable, or blank: a closure that is assigned to it may still be inlined.
func (w *walker) isLocal(x ast.Expr) bool {
	id, ok := ast.Unparen(x).(*ast.Ident)
	if !ok {
		return false
	}
	v, _ := w.info.ObjectOf(id).(*types.Var)
	return id.Name == "_" || w.vars[v] != nil
}

func (w *walker) declStmt(s *ast.DeclStmt) {
	g, ok := s.Decl.(*ast.GenDecl)
	if !ok || g.Tok != token.VAR {
		return
	}
	for _, spec := range g.Specs {
		spec := spec.(*ast.ValueSpec)
		for _, name := range spec.Names {
			w.target(name, noLoopVar)
		}
		for _, x := range spec.Values {
			w.expr(x)
		}
	}
}

func (w *walker) forStmt(s *ast.ForStmt) {
	if init, ok := s.Init.(*ast.AssignStmt); ok && init.Tok == token.DEFINE {
		for _, x := range init.Lhs {
			w.target(x, forVar)
		}
		for _, x := range init.Rhs {
			w.expr(x)
		}
	} else {
		w.optStmt(s.Init)
	}
	w.fn.loop++
	defer func() { w.fn.loop-- }()
	if s.Cond != nil {
		cond, parts := w.staticBool(s.Cond)
		for _, x := range parts {
			w.expr(x)
		}
		if cond < 0 {
			return
		}
	}
	w.optStmt(s.Post)
	defer w.stay("break", "continue")()
	w.stmts(s.Body.List)
}

// rangeFunc returns the signature of the function that a loop ranges over.
func rangeFunc(info *types.Info, s *ast.RangeStmt) (*types.Signature, bool) {
	t := info.TypeOf(s.X)
	if t == nil {
		return nil, false
	}
	if tp, ok := types.Unalias(t).(*types.TypeParam); ok {
		for term := range coreTerms(tp) {
			sig, ok := term.Underlying().(*types.Signature)
			return sig, ok
		}
		return nil, false
	}
	sig, ok := t.Underlying().(*types.Signature)
	return sig, ok
}

// coreTerms yields the types of a type parameter's constraint that are written in it.
func coreTerms(tp *types.TypeParam) func(func(types.Type) bool) {
	return func(yield func(types.Type) bool) {
		iface, ok := tp.Constraint().Underlying().(*types.Interface)
		if !ok {
			return
		}
		for e := range iface.EmbeddedTypes() {
			u, ok := types.Unalias(e).(*types.Union)
			if !ok {
				if !types.IsInterface(e) && !yield(e) {
					return
				}
				continue
			}
			for term := range u.Terms() {
				if !yield(term.Type()) {
					return
				}
			}
		}
	}
}

func (w *walker) rangeStmt(s *ast.RangeStmt, label string) {
	if sig, ok := rangeFunc(w.info, s); ok {
		w.rangeFuncStmt(s, sig, label)
		return
	}
	kind := noLoopVar
	if s.Tok == token.DEFINE {
		kind = rangeVar
	}
	var assigned []ast.Expr
	for _, x := range []ast.Expr{s.Key, s.Value} {
		if x != nil && w.target(x, kind) {
			assigned = append(assigned, x)
		}
	}
	w.expr(s.X)
	w.fn.loop++
	defer func() { w.fn.loop-- }()
	if s.Tok == token.DEFINE && !w.perLoop {
		assigned = []ast.Expr{s.Key, s.Value}
	}
	for _, x := range assigned {
		if x != nil {
			w.assign(x)
		}
	}
	defer w.stay("break", "continue")()
	w.stmts(s.Body.List)
}

// rangeFuncStmt follows a range-over-func loop: its body is a closure that is passed to the function
// (cmd/compile/internal/rangefunc).
func (w *walker) rangeFuncStmt(s *ast.RangeStmt, sig *types.Signature, label string) {
	w.expr(s.X)
	var body *types.Signature
	if sig.Params().Len() == 1 {
		body, _ = sig.Params().At(0).Type().Underlying().(*types.Signature)
	}
	c := w.enter(RangeBody, body, decl.HashNode(s.Body))
	c.backward = backwardLabels(s.Body)
	at := w.tick()
	w.fn = c
	for _, x := range []ast.Expr{s.Key, s.Value} {
		if x != nil && w.target(x, noLoopVar) {
			w.assign(x)
		}
	}
	inside := []string{"continue"}
	if label != "" {
		inside = append(inside, "continue "+label)
	}
	done := w.stay(inside...)
	w.stmts(s.Body.List)
	done()
	w.leave(c, at, false)
}

func (w *walker) returnStmt(s *ast.ReturnStmt) {
	in := w.fn.inReturn
	w.fn.inReturn = true
	for _, x := range s.Results {
		w.stored(x)
	}
	w.fn.inReturn = in
	w.exit("return", "func")
	if len(s.Results) == 0 {
		return
	}
	// Results are assigned to, in the function that the statement returns from.
	c := w.fn
	for c.kind == RangeBody {
		c = c.outer
	}
	for v := range c.sig.Results().Variables() {
		if s := w.vars[v]; s != nil {
			s.assigns = append(s.assigns, event{at: w.tick(), in: w.fn, depth: w.fn.loop})
			if c != w.fn {
				w.use(v)
			}
		}
	}
}

func (w *walker) selectStmt(s *ast.SelectStmt) {
	defer w.stay("break")()
	for _, clause := range s.Body.List {
		clause := clause.(*ast.CommClause)
		w.optStmt(clause.Comm)
		w.stmts(clause.Body)
	}
}

func (w *walker) switchStmt(s *ast.SwitchStmt) {
	w.optStmt(s.Init)
	defer w.stay("break")()
	clauses, constant := w.constantSwitch(s)
	if !constant && s.Tag != nil {
		w.expr(s.Tag)
	}
	for _, clause := range clauses {
		if !constant {
			for _, x := range clause.List {
				w.expr(x)
			}
		}
		w.stmts(clause.Body)
	}
}

// constantSwitch returns the clauses of a switch that the compiler keeps, and whether it knows which one is taken
// (noder/writer.go, switchStmt).
func (w *walker) constantSwitch(s *ast.SwitchStmt) (clauses []*ast.CaseClause, known bool) {
	for _, clause := range s.Body.List {
		clauses = append(clauses, clause.(*ast.CaseClause))
	}
	tag := constant.MakeBool(true)
	if s.Tag != nil {
		if tag = w.info.Types[s.Tag].Value; tag == nil {
			return clauses, false
		}
	}
	var target *ast.CaseClause
	for _, clause := range clauses {
		if clause.List == nil {
			target = clause
		}
		for _, x := range clause.List {
			v := w.info.Types[x].Value
			if v == nil {
				return clauses, false
			}
			if constant.Compare(tag, token.EQL, v) {
				target = clause
				return w.taken(clauses, target)
			}
		}
	}
	return w.taken(clauses, target)
}

func (w *walker) taken(clauses []*ast.CaseClause, target *ast.CaseClause) ([]*ast.CaseClause, bool) {
	if target == nil {
		return nil, true
	}
	if n := len(target.Body); n > 0 {
		if b, ok := target.Body[n-1].(*ast.BranchStmt); ok && b.Tok == token.FALLTHROUGH {
			return clauses, false
		}
	}
	return []*ast.CaseClause{target}, true
}

func (w *walker) typeSwitch(s *ast.TypeSwitchStmt) {
	w.optStmt(s.Init)
	switch guard := s.Assign.(type) {
	case *ast.AssignStmt:
		w.expr(guard.Rhs[0])
	case *ast.ExprStmt:
		w.expr(guard.X)
	}
	defer w.stay("break")()
	for _, clause := range s.Body.List {
		clause := clause.(*ast.CaseClause)
		if v, ok := w.info.Implicits[clause].(*types.Var); ok {
			w.declare(v, noLoopVar)
		}
		w.stmts(clause.Body)
	}
}

// goDefer follows a go or defer statement. Unless it calls a function without parameters and results, the compiler
// wraps the call in a closure that captures the operands (cmd/compile/internal/typecheck, normalizeGoDeferCall).
func (w *walker) goDefer(kind ClosureKind, call *ast.CallExpr) {
	if lit, ok := ast.Unparen(call.Fun).(*ast.FuncLit); ok {
		w.literal(lit, true) // go and defer keep it from being inlined
		for _, x := range call.Args {
			w.expr(x)
		}
	} else {
		w.expr(call)
	}
	if !w.wrapped(call) {
		return
	}
	clo := &Closure{Name: w.name(kind), Kind: kind, Body: decl.HashNode(call)}
	operand := func(x ast.Expr, t types.Type) {
		tv := w.info.Types[x]
		form := "value"
		switch {
		case tv.Value != nil:
			form = "constant"
		case tv.IsNil():
			form = "nil"
		}
		if _, ok := ast.Unparen(x).(*ast.CompositeLit); ok {
			form = "composite" // its elements are captured one by one
			clo.Sig += " " + strconv.FormatUint(uint64(decl.HashNode(x)), 36)
		}
		text := describe(tv.Type)
		if t != nil {
			text += " as " + describe(t)
		}
		clo.Captures = append(clo.Captures, Capture{Name: form, Type: text})
	}
	switch fun := ast.Unparen(call.Fun).(type) {
	case *ast.SelectorExpr:
		if sel := w.info.Selections[fun]; sel != nil && sel.Kind() == types.MethodVal {
			operand(fun.X, sel.Obj().(*types.Func).Signature().Recv().Type())
			clo.Sig += " " + fun.Sel.Name
		} else if sel != nil && sel.Kind() == types.FieldVal {
			operand(fun, nil)
		}
	case *ast.FuncLit:
		clo.Sig += " literal"
		clo.Captures = append(clo.Captures, Capture{Name: "value", Type: describe(w.info.TypeOf(fun))})
	default:
		if tv := w.info.Types[call.Fun]; !tv.IsBuiltin() && !w.isFunc(fun) {
			operand(call.Fun, nil)
		}
	}
	sig, _ := w.info.TypeOf(call.Fun).(*types.Signature)
	for i, x := range call.Args {
		if w.info.Types[x].IsType() {
			continue
		}
		var t types.Type
		if sig != nil && sig.Params().Len() > 0 {
			t = sig.Params().At(min(i, sig.Params().Len()-1)).Type()
		}
		operand(x, t)
	}
	w.closures = append(w.closures, clo)
	w.captured = append(w.captured, nil)
}

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

// wrapped reports whether the call of a go or defer statement needs a wrapper: the receiver of a method and the
// dictionary of a generic function are parameters too.
func (w *walker) wrapped(call *ast.CallExpr) bool {
	tv := w.info.Types[call.Fun]
	if tv.IsBuiltin() {
		return true
	}
	sig, ok := tv.Type.(*types.Signature)
	if !ok {
		if tv.Type == nil {
			return false
		}
		if sig, ok = tv.Type.Underlying().(*types.Signature); !ok {
			return true
		}
	}
	if sig.Params().Len()+sig.Results().Len() > 0 {
		return true
	}
	switch fun := ast.Unparen(call.Fun).(type) {
	case *ast.SelectorExpr:
		if sel := w.info.Selections[fun]; sel != nil {
			return sel.Kind() == types.MethodVal
		}
		_, generic := w.info.Instances[fun.Sel]
		return generic
	case *ast.Ident:
		_, generic := w.info.Instances[fun]
		return generic
	case *ast.IndexExpr, *ast.IndexListExpr:
		return w.isFunc(fun)
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
