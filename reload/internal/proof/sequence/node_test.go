package sequence

import "slices"

// An op says what a node stands for.
type op int

const (
	// Expressions of type int.
	opLit op = iota
	opParam
	opConst
	opAdd
	opSub
	opMul
	opRem
	opCall    // of a function
	opMethod  // of a method, in one of several ways
	opGeneric // of an instance of a generic function
	opMade    // of a closure that a maker makes
	opHook    // of a literal in a variable
	opState
	opTable
	opField
	opLiteral // of a function literal on the spot
	opMin
	opLength

	// Statements, which work on the int x.
	opAssign
	opIf
	opFor
	opSwitch
	opClosure
	opByReference
	opRecover
	opDefer
	opGo
	opTypeSwitch
	opMap
	opSlice
	opSeq
	opLocalType
	opPrint
	opArray
	opWrite
	opLibrary
	opLabel
	opSelect
	opAssert
	opOrder
	endOfOps
)

// A node is an expression or a statement.
type node struct {
	op   op
	n    int
	kids []*node
	ref  *decl
}

func (g *program) lit() *node { return &node{op: opLit, n: 1 + g.IntN(60)} }

// expr makes an expression for the code of d.
func (g *program) expr(d *decl, depth int) *node {
	kid := func() *node { return g.expr(d, depth-1) }
	if depth <= 0 || g.chance(4) {
		switch g.IntN(3) {
		case 0:
			return g.lit()
		case 1:
			if list := g.usable(d, constant, counted); len(list) > 0 {
				return &node{op: opConst, ref: pick(g, list), n: g.IntN(8)}
			}
		}
		return &node{op: opParam, n: g.IntN(8)}
	}
	of := func(o op, kinds ...kind) *node {
		list := g.usable(d, kinds...)
		if len(list) == 0 {
			return &node{op: opAdd, kids: []*node{kid(), kid()}}
		}
		return &node{op: o, ref: pick(g, list), n: g.IntN(1000), kids: []*node{kid(), kid(), g.lit()}}
	}
	switch g.IntN(16) {
	case 0, 1, 2:
		return &node{op: pick(g, []op{opAdd, opSub, opMul}), kids: []*node{kid(), kid()}}
	case 3:
		return &node{op: opRem, n: 2 + g.IntN(90), kids: []*node{kid()}}
	case 4, 5, 6:
		return of(opCall, function)
	case 7, 8:
		return of(opMethod, method)
	case 9:
		return of(opGeneric, generic)
	case 10:
		return of(opMade, maker)
	case 11:
		return of(opHook, hook)
	case 12:
		return of(opState, state)
	case 13:
		return of(opTable, table)
	case 14:
		return of(opField, structure)
	default:
		return &node{op: pick(g, []op{opLiteral, opMin, opLength}), n: 1 + g.IntN(30), kids: []*node{kid(), kid()}}
	}
}

func (g *program) stmts(d *decl, n int) []*node {
	var list []*node
	for range n {
		list = append(list, g.stmt(d))
	}
	return list
}

// stmt makes a statement for the code of d.
func (g *program) stmt(d *decl) *node {
	s := &node{op: opAssign + op(g.IntN(int(endOfOps-opAssign))), n: g.IntN(1000)}
	if g.chance(3) || s.op == opLocalType && !g.chance(4) {
		s.op = opAssign
	}
	for range 3 {
		s.kids = append(s.kids, g.expr(d, 2))
	}
	var kinds []kind
	switch s.op {
	case opTypeSwitch, opPrint:
		kinds = []kind{structure}
	case opWrite:
		kinds = []kind{state}
	case opAssert:
		// What it calls is known at run time only: above all methods.
		if kinds = []kind{behaviour}; d.rank < 600 {
			s.op = opAssign
		}
	case opArray:
		kinds = []kind{constant, counted}
	case opLibrary:
		if !g.chance(3) {
			s.op = opAssign
		}
	}
	if kinds != nil {
		list := g.usable(d, kinds...)
		if len(list) == 0 {
			s.op = opAssign
			return s
		}
		s.ref = pick(g, list)
	}
	return s
}

// walk calls f for n and all below it.
func (n *node) walk(f func(*node)) {
	f(n)
	for _, k := range n.kids {
		k.walk(f)
	}
}

// literals lists what can be changed in nodes without changing their structure.
func literals(list []*node) []*node {
	var found []*node
	for _, n := range list {
		n.walk(func(n *node) {
			if slices.Contains([]op{opLit, opParam, opAdd, opSub, opMul, opRem, opMethod}, n.op) {
				found = append(found, n)
			}
		})
	}
	return found
}
