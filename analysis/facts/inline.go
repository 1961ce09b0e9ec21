package facts

import (
	"go/ast"
	"go/constant"
	"go/types"
	"strings"
)

// inlineBudget is how much a function may cost to be inlined (cmd/compile/internal/inline/inl.go, inlineMaxBudget; Go
// 1.25 to 1.27), without a profile.
const inlineBudget = 80

// callCost is what the compiler charges for a call that it cannot inline, literalCost for a function literal
// (inlineExtraCallCost, and hairyVisitor.doNode).
const (
	callCost    = 57
	literalCost = 15
)

// refused are the pragmas of functions that are never inlined (inl.go, InlineImpossible).
var refused = []string{"//go:noinline", "//go:cgo_unsafe_args", "//go:uintptrkeepalive", "//go:uintptrescapes", "//go:yeswritebarrierrec"}

// An inliner finds a lower bound of what the compiler charges for a function body.
type inliner struct {
	walker
	cost   int
	hairy  bool // contains what is never inlined
	vector bool // has simd operands, which are charged less
}

// neverInlined reports whether the compiler certainly does not inline fn, whatever its callees become. It errs on the
// side of false. Each use of a variable or function that survives dead-code removal is charged at least 1, a function
// literal 15, a call through an interface 57; go, defer and recover are refused (inl.go, hairyVisitor.doNode). What costs
// too much without a profile may be inlined with one.
func neverInlined(fn *ast.FuncDecl, info *types.Info, profiled bool) bool {
	if fn.Body == nil {
		return true
	}
	if fn.Doc != nil {
		for _, c := range fn.Doc.List {
			for _, p := range refused {
				if c.Text == p || strings.HasPrefix(c.Text, p+" ") {
					return true
				}
			}
		}
	}
	c := inliner{walker: walker{info: info}}
	c.list(fn.Body.List)
	return c.hairy || c.cost > inlineBudget && !c.vector && !profiled
}

// list charges the statements that the compiler keeps.
func (c *inliner) list(stmts []ast.Stmt) {
	last := -1
	for i, s := range stmts {
		if _, ok := s.(*ast.LabeledStmt); ok {
			last = i
		}
	}
	dead := false
	for i, s := range stmts {
		if _, ok := s.(*ast.LabeledStmt); dead && i > last && !ok {
			continue
		}
		c.node(s)
		dead = c.terminates(s)
	}
}

func (c *inliner) node(n ast.Node) {
	if n == nil {
		return
	}
	ast.Inspect(n, func(n ast.Node) bool {
		if x, ok := n.(ast.Expr); ok {
			if tv, ok := c.info.Types[x]; ok && (tv.Value != nil || tv.IsType()) {
				return false
			}
		}
		switch n := n.(type) {
		case *ast.FuncLit:
			c.cost += literalCost
			return false // whatever is in it
		case *ast.GoStmt, *ast.DeferStmt:
			c.hairy = true
			return false
		case *ast.BlockStmt:
			c.list(n.List)
			return false
		case *ast.CaseClause:
			for _, x := range n.List {
				c.node(x)
			}
			c.list(n.Body)
			return false
		case *ast.CommClause:
			if n.Comm != nil {
				c.node(n.Comm)
			}
			c.list(n.Body)
			return false
		case *ast.IfStmt:
			c.ifStmt(n)
			return false
		case *ast.ForStmt:
			return c.forStmt(n)
		case *ast.RangeStmt:
			if _, ok := rangeFunc(c.info, n); ok {
				c.node(n.X) // the body is a closure
				return false
			}
		case *ast.SwitchStmt:
			return c.switchStmt(n)
		case *ast.CompositeLit:
			c.composite(n)
			return false
		case *ast.SelectorExpr:
			if c.info.Selections[n] != nil {
				c.node(n.X) // the field or method itself is free
				return false
			}
		case *ast.CallExpr:
			c.callee(n)
		case *ast.Ident:
			switch obj := c.info.Uses[n].(type) {
			case *types.Var, *types.Func:
				c.cost++
				c.simd(obj.Type())
			}
		}
		return true
	})
}

func (c *inliner) simd(t types.Type) {
	if named, _ := baseType(t); named != nil && named.Obj().Pkg() != nil && named.Obj().Pkg().Path() == "simd/archsimd" {
		c.vector = true
	}
}

func (c *inliner) ifStmt(s *ast.IfStmt) {
	if s.Init != nil {
		c.node(s.Init)
	}
	cond, parts := c.staticBool(s.Cond)
	if tv := c.info.Types[s.Cond]; tv.Value == nil || tv.Value.Kind() != constant.Bool {
		for _, x := range parts {
			c.node(x)
		}
	}
	if cond >= 0 {
		c.node(s.Body)
	}
	if cond <= 0 && s.Else != nil {
		c.node(s.Else)
	}
}

func (c *inliner) forStmt(s *ast.ForStmt) bool {
	if s.Cond == nil {
		return true
	}
	if cond, _ := c.staticBool(s.Cond); cond >= 0 {
		return true
	}
	if s.Init != nil {
		c.node(s.Init)
	}
	return false
}

func (c *inliner) switchStmt(s *ast.SwitchStmt) bool {
	clauses, known := c.constantSwitch(s)
	if !known {
		return true
	}
	if s.Init != nil {
		c.node(s.Init)
	}
	for _, clause := range clauses {
		c.list(clause.Body)
	}
	return false
}

// composite charges the elements of a literal; names of fields are free.
func (c *inliner) composite(x *ast.CompositeLit) {
	_, isStruct := types.Unalias(coreOf(c.info.TypeOf(x))).(*types.Struct)
	for _, elt := range x.Elts {
		if kv, ok := elt.(*ast.KeyValueExpr); ok {
			if !isStruct {
				c.node(kv.Key)
			}
			elt = kv.Value
		}
		c.node(elt)
	}
}

func (c *inliner) callee(call *ast.CallExpr) {
	if c.builtin(call) == "recover" {
		c.hairy = true
		return
	}
	fun, ok := ast.Unparen(call.Fun).(*ast.SelectorExpr)
	if !ok {
		return
	}
	sel := c.info.Selections[fun]
	if sel == nil || sel.Kind() != types.MethodVal {
		return
	}
	if _, isParam := types.Unalias(sel.Recv()).(*types.TypeParam); !isParam && types.IsInterface(sel.Recv()) {
		c.cost += callCost
	}
}
