package stub

import (
	"bytes"
	"cmp"
	"fmt"
	"go/ast"
	"go/token"
	"go/types"
	"slices"
	"strings"
)

// The compiler counts the types that are declared in functions through the files of a package, dropped or not, and the
// number is part of a type's name (cmd/compile/internal/noder/writer.go, declCollector, Go 1.26). Types without a name make
// up for numbers that no type here has. Where functions do not stand in the order of their numbers, they are taken out of
// their files, and into files of their own before or after all others.

// A localType is a type that is declared in a function.
type localType struct {
	pos    token.Pos // of the specification
	before token.Pos // where types may be declared that are counted before it
	number int
}

// A localCounter keeps the numbers of types that are local to functions.
type localCounter struct {
	all     map[*file][]localType // ascending by position
	emitted int                   // the last number that was counted
	moved   []*decl               // functions that have a file of their own, in the order of their numbers
	ahead   int                   // how many of them come before all other files
}

// countLocals finds the local types of the package.
func (b *builder) countLocals() *localCounter {
	c := &localCounter{all: make(map[*file][]localType)}
	n := 0
	for _, f := range b.files {
		for _, d := range f.ast.Decls {
			if group, ok := d.(*ast.GenDecl); ok && group.Tok != token.VAR {
				continue
			}
			if !bytes.Contains(f.src[f.tok.Offset(d.Pos()):f.tok.Offset(d.End())], []byte("type")) {
				continue
			}
			var group *ast.GenDecl
			ast.Inspect(d, func(node ast.Node) bool {
				switch node := node.(type) {
				case *ast.GenDecl:
					group = node
				case *ast.TypeSpec:
					if node.Assign.IsValid() {
						break
					}
					n++
					t := localType{pos: node.Pos(), before: node.Pos(), number: n}
					if !group.Lparen.IsValid() {
						t.before = group.Pos()
					}
					if b.in.Locals != nil {
						obj, _ := b.in.Info.Defs[node.Name].(*types.TypeName)
						t.number = b.in.Locals[obj]
					}
					c.all[f] = append(c.all[f], t)
				}
				return true
			})
		}
	}
	return c
}

// in returns the types in a node.
func (c *localCounter) in(f *file, node ast.Node) []localType {
	at := func(t localType, pos token.Pos) int { return cmp.Compare(t.pos, pos) }
	from, _ := slices.BinarySearchFunc(c.all[f], node.Pos(), at)
	to, _ := slices.BinarySearchFunc(c.all[f], node.End(), at)
	return c.all[f][from:to]
}

// A localUnit is what has local types and is emitted with them, in one piece.
type localUnit struct {
	name        string
	decl        *decl // a function that can be emitted elsewhere, or nil
	first, last int
}

// arrangeLocals finds the functions that cannot stay where they are, if a kept body declares types.
func (b *builder) arrangeLocals() error {
	if !b.localTypes {
		b.locals = &localCounter{}
		return nil
	}
	if b.in.Locals == nil {
		b.locals = b.countLocals()
	}
	c := b.locals
	var units []localUnit
	add := func(name string, d *decl, list []localType) error {
		if len(list) == 0 {
			return nil
		}
		rises := slices.IsSortedFunc(list, func(a, b localType) int { return cmp.Compare(a.number, b.number) })
		if list[0].number == 0 || !rises {
			return &UnfitError{name, "declares types that the process does not have in this order"}
		}
		units = append(units, localUnit{name, d, list[0].number, list[len(list)-1].number})
		return nil
	}
	for _, f := range b.files {
		var last ast.Node
		for _, d := range f.decls {
			if !d.used {
				continue
			}
			var err error
			name := d.obj.Name()
			if fn := d.fn(); fn != nil && d.body {
				movable := d
				if d.init > 0 {
					movable = nil
				}
				err = add(name, movable, c.in(f, fn.Body))
			} else if _, isVar := d.obj.(*types.Var); isVar && d.body && last != d.node {
				last = d.node
				err = add(name, nil, c.in(f, d.node))
			} else if i, ok := b.added[d.obj]; ok && !d.body {
				err = add(name, nil, c.in(f, b.in.Added[i].Rhs))
			}
			if err != nil {
				return err
			}
		}
	}
	follows := func(list []localUnit) bool {
		for i := 1; i < len(list); i++ {
			if list[i].first <= list[i-1].last {
				return false
			}
		}
		return true
	}
	if follows(units) {
		return nil
	}
	fixed := slices.DeleteFunc(slices.Clone(units), func(u localUnit) bool { return u.decl != nil })
	slices.SortFunc(units, func(a, b localUnit) int { return cmp.Compare(a.first, b.first) })
	for i := range units[1:] {
		if !follows(units[i : i+2]) {
			return &UnfitError{units[i].name, fmt.Sprintf("has types of its own that the process has with others of %s between them, and both are compiled anew", units[i+1].name)}
		}
	}
	between := func(u localUnit) bool {
		return len(fixed) > 0 && u.decl != nil && u.first > fixed[0].first && u.last < fixed[len(fixed)-1].last
	}
	if i := slices.IndexFunc(units, between); i >= 0 || !follows(fixed) {
		return &UnfitError{units[max(i, 0)].name, "has types of its own that the process does not have in the order of the source, beside those of what initialises the package"}
	}
	for _, u := range units {
		if u.decl != nil {
			if u.decl.file.hasDotImport() {
				return &UnfitError{u.name, "has types of its own that the process has in another order than the source, and its file imports with a dot"}
			}
			c.moved = append(c.moved, u.decl)
			if len(fixed) > 0 && u.first < fixed[0].first {
				c.ahead++
			}
		}
	}
	return nil
}

// hasDotImport reports whether a file has imports of which the names are used without theirs.
func (f *file) hasDotImport() bool {
	return slices.ContainsFunc(f.ast.Imports, func(spec *ast.ImportSpec) bool { return spec.Name != nil && spec.Name.Name == "." })
}

// isBetween reports whether a function has types of which the process has numbers between those of one that is compiled
// for real: both cannot be in one stub.
func (b *builder) isBetween(d *decl) bool {
	if b.in.Locals == nil {
		return false
	}
	list := b.locals.in(d.file, d.fn().Body)
	return len(list) > 0 && slices.ContainsFunc(b.in.Keep, func(fn *types.Func) bool {
		kept := b.decls[fn.Origin()]
		if kept == nil || kept == d || kept.fn() == nil || kept.fn().Body == nil {
			return false
		}
		around := b.locals.in(kept.file, kept.fn().Body)
		return len(around) > 1 && around[0].number < list[len(list)-1].number && around[len(around)-1].number > list[0].number
	})
}

// isMoved reports whether a function has a file of its own.
func (c *localCounter) isMoved(d *decl) bool { return slices.Contains(c.moved, d) }

// fill returns a line that makes up for the numbers before the first type in a node, if there are any.
func (c *localCounter) fill(f *file, node ast.Node) []string {
	list := c.in(f, node)
	if len(list) == 0 {
		return nil
	}
	missing := list[0].number - 1 - c.emitted
	c.emitted = list[0].number - 1
	if missing == 0 {
		return nil
	}
	return []string{"func _() { type (" + unnamed(missing) + ") }"}
}

func unnamed(n int) string { return strings.Repeat("_ struct{}; ", n) }

// text returns the source between two positions with what makes up for the numbers between the types in it.
func (c *localCounter) text(b *builder, f *file, from, to token.Pos) string {
	var text strings.Builder
	for _, t := range c.all[f] {
		if t.pos < from || t.pos >= to {
			continue
		}
		missing := t.number - 1 - c.emitted
		c.emitted = t.number
		if missing == 0 {
			continue
		}
		text.WriteString(f.text(from, t.before))
		if t.before == t.pos {
			text.WriteString(unnamed(missing))
		} else {
			text.WriteString("type (" + unnamed(missing) + "); ")
		}
		if at := b.position(f, t.before); at.Column > 0 {
			fmt.Fprintf(&text, "/*line :%d:%d*/", at.Line, at.Column)
		}
		from = t.before
	}
	text.WriteString(f.text(from, to))
	return text.String()
}
