package facts

import (
	"go/ast"
	"go/constant"
	"go/token"
	"go/types"
	"slices"

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
	case *ast.DeclStmt:
		w.declStmt(s)
	case *ast.GoStmt:
		w.goDefer(s.Call)
	case *ast.DeferStmt:
		w.goDefer(s.Call)
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
		w.stmt(s.Stmt)
	case *ast.RangeStmt:
		w.rangeStmt(s)
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

func (w *walker) rangeStmt(s *ast.RangeStmt) {
	if sig, ok := rangeFunc(w.info, s); ok {
		w.rangeFuncStmt(s, sig)
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
	w.stmts(s.Body.List)
}

// rangeFuncStmt follows a range-over-func loop: its body is a closure that is passed to the function
// (cmd/compile/internal/rangefunc).
func (w *walker) rangeFuncStmt(s *ast.RangeStmt, sig *types.Signature) {
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
	w.stmts(s.Body.List)
	w.leave(c, at, false)
}

func (w *walker) returnStmt(s *ast.ReturnStmt) {
	in := w.fn.inReturn
	w.fn.inReturn = true
	for _, x := range s.Results {
		w.stored(x)
	}
	w.fn.inReturn = in
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
	for _, clause := range s.Body.List {
		clause := clause.(*ast.CommClause)
		w.optStmt(clause.Comm)
		w.stmts(clause.Body)
	}
}

func (w *walker) switchStmt(s *ast.SwitchStmt) {
	w.optStmt(s.Init)
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
	for _, clause := range s.Body.List {
		clause := clause.(*ast.CaseClause)
		if v, ok := w.info.Implicits[clause].(*types.Var); ok {
			w.declare(v, noLoopVar)
		}
		w.stmts(clause.Body)
	}
}

// goDefer follows the call of a go or defer statement.
func (w *walker) goDefer(call *ast.CallExpr) {
	lit, ok := ast.Unparen(call.Fun).(*ast.FuncLit)
	if !ok {
		w.expr(call)
		return
	}
	w.literal(lit, true) // go and defer keep it from being inlined
	for _, x := range call.Args {
		w.expr(x)
	}
}
