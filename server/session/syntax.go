package session

import (
	"go/ast"
	"go/token"

	"github.com/limeade-go/limeade/analysis"
	"github.com/limeade-go/limeade/analysis/decl"
)

// A located node is syntax with the positions that belong to it.
type located struct {
	node *ast.FuncDecl
	fset *token.FileSet
}

// oldSyntax finds the version of a function that the process runs.
func (j *job) oldSyntax(path string, f analysis.Func) *located {
	if f.Syntax == nil {
		return nil
	}
	for _, file := range decl.Load(j.old, path).Files {
		for _, d := range file.Decls {
			if fn := d.Func(); fn != nil && fn.Name.Name == f.Syntax.Name.Name && receiver(fn) == receiver(f.Syntax) {
				return &located{fn, d.Parsed.Fset}
			}
		}
	}
	return nil
}

// receiver is the name of the type that a method belongs to; "" for a function.
func receiver(fn *ast.FuncDecl) string {
	if fn.Recv == nil || len(fn.Recv.List) == 0 {
		return ""
	}
	t := fn.Recv.List[0].Type
	for {
		switch x := t.(type) {
		case *ast.ParenExpr:
			t = x.X
		case *ast.StarExpr:
			t = x.X
		case *ast.IndexExpr:
			t = x.X
		case *ast.IndexListExpr:
			t = x.X
		case *ast.Ident:
			return x.Name
		default:
			return ""
		}
	}
}
