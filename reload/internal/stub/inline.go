package stub

import (
	"go/ast"
	"os"
	"strconv"
)

// What a caller's code owes to the body of what it calls: the inlined body itself, and what escape
// analysis learned from it about each parameter (a callee without body is taken to keep them all,
// cmd/compile/internal/escape/escape.go, paramTag, Go 1.26). Both make the code different, not wrong:
// so the bound below is one of cost. A body may be up to calleeNodes nodes long if a function of the
// recompile set mentions it, and up to inlineNodes, which the compiler's budget of 80 does not go
// beyond, if it is mentioned by another such body, up to inlineDepth calls away.
var (
	calleeNodes = envInt("CALLEE", 120)
	inlineNodes = envInt("INLINE", 120)
	inlineDepth = envInt("DEPTH", 4)
)

func envInt(n string, d int) int {
	if v, err := strconv.Atoi(os.Getenv(n)); err == nil {
		return v
	}
	return d
}

// declared is the level of a mention that is no call.
const declared = 1 << 20

// callee decides whether a function that a body at the given level mentions keeps its own.
func (b *builder) callee(d *decl, level int) {
	fn := d.fn()
	if fn == nil || fn.Body == nil || d.body || level == declared {
		return
	}
	if fact, ok := b.in.Facts[declName(fn)]; ok {
		if fact.Inlinable {
			b.useBody(d, level+1)
		} else {
			d.hollow = true
		}
		return
	}
	limit := inlineNodes
	if level == 0 {
		limit = calleeNodes
	}
	if level < inlineDepth && d.size() <= limit {
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
			return d.nodes <= max(calleeNodes, inlineNodes)
		})
	}
	return d.nodes
}
