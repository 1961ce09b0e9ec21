package session

import (
	"go/ast"
	"go/token"
	"go/types"

	"github.com/limeade-go/limeade/analysis"
	"github.com/limeade-go/limeade/analysis/decl"
)

// A located node is syntax with the positions that belong to it.
type located struct {
	node ast.Node
	file *ast.File
	fset *token.FileSet
}

// oldFunc finds the version of a function that the process runs. An init function that did not change may have
// had another number.
func (j *job) oldFunc(path string, f analysis.Func) *located {
	var same *located
	for _, d := range decl.Load(j.report.Before, path).Decls() {
		fn := d.Func()
		switch {
		case fn == nil || d.Name != f.ID.Name || d.Recv != f.ID.Recv:
		case f.Object == nil || !isInit(f.Object) || d.N == f.ID.N && f.Reason == analysis.Changed:
			if d.ID == f.ID {
				return &located{fn, d.Parsed.Syntax, d.Parsed.Fset}
			}
		case f.Reason != analysis.Changed && decl.HashNode(fn.Body) == decl.HashNode(f.Syntax.Body):
			if same == nil || d.N == f.ID.N {
				same = &located{fn, d.Parsed.Syntax, d.Parsed.Fset}
			}
		}
	}
	return same
}

// isInit reports whether a function runs once, before main, and has no name to call it by.
func isInit(fn *types.Func) bool { return fn.Name() == "init" && fn.Signature().Recv() == nil }

// oldVar finds the version of a variable's initialiser that the process ran.
func (j *job) oldVar(path string, init analysis.Initializer) *located {
	for _, d := range decl.Load(j.report.Before, path).Decls() {
		if d.Kind == decl.Var && d.ID == init.ID {
			return &located{d.Value(), d.Parsed.Syntax, d.Parsed.Fset}
		}
	}
	return nil
}
