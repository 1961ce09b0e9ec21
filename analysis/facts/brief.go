package facts

import (
	"go/ast"
	"go/token"
	"go/types"
	"slices"
)

// briefLiterals finds the function literals of which nobody can keep a closure: those that are called where they stand, by a
// loop or by go or defer, and those in a variable that is nothing but called, in the code that declares it or in their
// own, as one that calls itself does.
func (w *walker) briefLiterals(root ast.Node) {
	vars := make(map[*types.Var]*callable)
	plain := make(map[*ast.Ident]bool)
	ast.PreorderStack(root, nil, func(n ast.Node, within []ast.Node) bool {
		switch n := n.(type) {
		case *ast.CallExpr:
			w.called(n.Fun, plain)
		case *ast.RangeStmt:
			w.called(n.X, plain)
		case *ast.GoStmt:
			if id, ok := ast.Unparen(n.Call.Fun).(*ast.Ident); ok {
				w.variable(vars, id).kept = true // beyond the code that declares it
			}
		case *ast.AssignStmt:
			for i, x := range n.Lhs {
				if id, ok := x.(*ast.Ident); ok {
					plain[id] = true
					v := w.variable(vars, id)
					if n.Tok == token.DEFINE && w.info.Defs[id] != nil {
						v.declared, v.in = true, innermost(within)
					}
					if len(n.Lhs) == len(n.Rhs) {
						v.holds(n.Rhs[i])
					}
				}
			}
		case *ast.ValueSpec:
			for i, id := range n.Names {
				v := w.variable(vars, id)
				v.declared, v.in = true, innermost(within)
				if len(n.Names) == len(n.Values) {
					v.holds(n.Values[i])
				}
			}
		case *ast.Ident:
			if obj, ok := w.info.Uses[n].(*types.Var); ok && !obj.IsField() {
				v := w.variable(vars, n)
				v.kept = v.kept || !plain[n]
				v.from = append(v.from, innermost(within))
			}
		}
		return true
	})
	for _, v := range vars {
		if v.brief() {
			for _, lit := range v.literals {
				w.brief[lit] = true
			}
		}
	}
}

// A callable is what is known of a variable that may hold function literals.
type callable struct {
	declared bool           // by a statement: it is no parameter or result
	in       *ast.FuncLit   // the innermost literal that it is declared in; nil: the function
	literals []*ast.FuncLit // that are assigned to it
	from     []*ast.FuncLit // the innermost literals that it is used in
	kept     bool           // it is used otherwise than by a call or assignment
}

func (w *walker) variable(vars map[*types.Var]*callable, id *ast.Ident) *callable {
	obj, ok := w.info.ObjectOf(id).(*types.Var)
	if !ok {
		return &callable{} // the blank identifier, or no variable
	}
	if vars[obj] == nil {
		vars[obj] = &callable{}
	}
	return vars[obj]
}

// holds notes what is assigned.
func (v *callable) holds(x ast.Expr) {
	if lit, ok := ast.Unparen(x).(*ast.FuncLit); ok {
		v.literals = append(v.literals, lit)
	}
}

// called notes what a call or a loop calls.
func (w *walker) called(x ast.Expr, plain map[*ast.Ident]bool) {
	switch x := ast.Unparen(x).(type) {
	case *ast.FuncLit:
		w.brief[x] = true
	case *ast.Ident:
		plain[x] = true
	}
}

func (v *callable) brief() bool {
	return v.declared && !v.kept && !slices.ContainsFunc(v.from, func(in *ast.FuncLit) bool {
		return in != v.in && !slices.Contains(v.literals, in)
	})
}

// innermost returns the innermost function literal among the nodes around one.
func innermost(within []ast.Node) *ast.FuncLit {
	for _, n := range slices.Backward(within) {
		if lit, ok := n.(*ast.FuncLit); ok {
			return lit
		}
	}
	return nil
}
