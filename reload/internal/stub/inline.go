package stub

import (
	"go/ast"
	"go/types"
)

// What a caller's code owes to the body of what it calls: the inlined body itself, and what escape
// analysis learned from it about each parameter (a callee without body is taken to keep them all,
// cmd/compile/internal/escape/escape.go, paramTag, Go 1.26). With facts, the callee gets its body if
// the compiler inlines it, and is hollow otherwise. Without, the code comes out different, not wrong,
// so the bounds below are those of cost: a body may have as many nodes as the compiler's budget of 80
// can amount to, and be a few calls away from the recompile set.
const (
	calleeNodes = 120
	calleeDepth = 4
)

// declared is the level of a mention that is no call.
const declared = 1 << 20

// callee decides whether a function that a body at the given level mentions keeps its own.
func (b *builder) callee(d *decl, level int) {
	fn := d.fn()
	if fn == nil || fn.Body == nil || d.body || level == declared || b.isBetween(d) {
		return
	}
	if fact, ok := b.fact(d.obj.(*types.Func)); ok {
		if fact.CanInline {
			b.useBody(d, level+1)
		} else {
			d.hollow = true
		}
		return
	}
	if level < calleeDepth && d.size() <= calleeNodes {
		b.useBody(d, level+1)
	}
}

// size counts the syntax nodes of a function's body.
func (d *decl) size() int {
	if d.nodes == 0 {
		ast.Inspect(d.fn().Body, func(n ast.Node) bool {
			if n != nil {
				d.nodes++
			}
			return d.nodes <= calleeNodes
		})
	}
	return d.nodes
}
