package stub

import (
	"bytes"
	"go/ast"
	"go/token"
	"slices"
	"strings"
)

// A localCounter keeps the numbers of types that are local to functions: the compiler counts them
// through the files of a package, dropped or not, and the number is part of a type's name
// (cmd/compile/internal/noder/writer.go, declCollector, Go 1.26).
type localCounter struct {
	all     map[*file]localTypes
	emitted int
}

// localTypes are the local types of a file: where they stand, ascending, and how many are in the files before.
type localTypes struct {
	pos    []token.Pos
	before int
}

// countLocals finds the local types of the package, unless no kept body has any.
func (b *builder) countLocals() *localCounter {
	c := &localCounter{all: make(map[*file]localTypes)}
	if !b.localTypes {
		return c
	}
	n := 0
	for _, f := range b.files {
		var pos []token.Pos
		for _, d := range f.ast.Decls {
			if group, ok := d.(*ast.GenDecl); ok && group.Tok != token.VAR {
				continue
			}
			if !bytes.Contains(f.src[f.tok.Offset(d.Pos()):f.tok.Offset(d.End())], []byte("type")) {
				continue
			}
			ast.Inspect(d, func(n ast.Node) bool {
				if spec, ok := n.(*ast.TypeSpec); ok && !spec.Assign.IsValid() {
					pos = append(pos, spec.Pos())
				}
				return true
			})
		}
		c.all[f] = localTypes{pos, n}
		n += len(pos)
	}
	return c
}

// fill returns a line that makes up for the types that were left out between the declaration before and
// node, if there are any, and counts those that node has.
func (c *localCounter) fill(f *file, node ast.Node) []string {
	local := c.all[f]
	from, _ := slices.BinarySearch(local.pos, node.Pos())
	to, _ := slices.BinarySearch(local.pos, node.End())
	if from == to {
		return nil
	}
	missing := local.before + from - c.emitted
	c.emitted = local.before + to
	if missing == 0 {
		return nil
	}
	return []string{"func _() { type (" + strings.Repeat("_ int; ", missing) + ") }"}
}
