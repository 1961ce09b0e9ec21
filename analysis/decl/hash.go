package decl

import (
	"go/ast"
	"go/token"
	"reflect"
)

// Hash is a fingerprint of syntax: equal for trees that differ in positions, comments and formatting only. It is the
// same in every process, so that it can be kept.
type Hash uint64

// A hasher is FNV-1a over a pre-order walk.
type hasher struct {
	sum       uint64
	noBodies  bool                  // the bodies of function literals do not count
	qualifier func(name string)     // called with each name before a dot, if not nil
	meaning   func(ast.Expr) string // what an expression is hashed as in place of its text, if not nil and not ""
}

const (
	fnvOffset = 14695981039346656037
	fnvPrime  = 1099511628211
)

func newHasher() *hasher { return &hasher{sum: fnvOffset} }

func (h *hasher) byte(b byte) { h.sum = (h.sum ^ uint64(b)) * fnvPrime }

func (h *hasher) uint(u uint64) {
	for u >= 0x80 {
		h.byte(byte(u) | 0x80)
		u >>= 7
	}
	h.byte(byte(u))
}

func (h *hasher) string(s string) {
	h.uint(uint64(len(s)))
	for i := range len(s) {
		h.byte(s[i])
	}
}

func (h *hasher) bools(bs ...bool) {
	var bits uint64
	for i, b := range bs {
		if b {
			bits |= 1 << i
		}
	}
	h.uint(bits)
}

// nodeTags number the node types; 0 ends a node's children.
var nodeTags = func() map[reflect.Type]byte {
	m := make(map[reflect.Type]byte)
	for i, n := range []ast.Node{
		(*ast.ArrayType)(nil), (*ast.AssignStmt)(nil), (*ast.BadDecl)(nil), (*ast.BadExpr)(nil), (*ast.BadStmt)(nil),
		(*ast.BasicLit)(nil), (*ast.BinaryExpr)(nil), (*ast.BlockStmt)(nil), (*ast.BranchStmt)(nil), (*ast.CallExpr)(nil),
		(*ast.CaseClause)(nil), (*ast.ChanType)(nil), (*ast.CommClause)(nil), (*ast.CompositeLit)(nil), (*ast.DeclStmt)(nil),
		(*ast.DeferStmt)(nil), (*ast.Ellipsis)(nil), (*ast.EmptyStmt)(nil), (*ast.ExprStmt)(nil), (*ast.Field)(nil),
		(*ast.FieldList)(nil), (*ast.ForStmt)(nil), (*ast.FuncDecl)(nil), (*ast.FuncLit)(nil), (*ast.FuncType)(nil),
		(*ast.GenDecl)(nil), (*ast.GoStmt)(nil), (*ast.Ident)(nil), (*ast.IfStmt)(nil), (*ast.ImportSpec)(nil),
		(*ast.IncDecStmt)(nil), (*ast.IndexExpr)(nil), (*ast.IndexListExpr)(nil), (*ast.InterfaceType)(nil),
		(*ast.KeyValueExpr)(nil), (*ast.LabeledStmt)(nil), (*ast.MapType)(nil), (*ast.ParenExpr)(nil), (*ast.RangeStmt)(nil),
		(*ast.ReturnStmt)(nil), (*ast.SelectStmt)(nil), (*ast.SelectorExpr)(nil), (*ast.SendStmt)(nil), (*ast.SliceExpr)(nil),
		(*ast.StarExpr)(nil), (*ast.StructType)(nil), (*ast.SwitchStmt)(nil), (*ast.TypeAssertExpr)(nil), (*ast.TypeSpec)(nil),
		(*ast.TypeSwitchStmt)(nil), (*ast.UnaryExpr)(nil), (*ast.ValueSpec)(nil),
	} {
		m[reflect.TypeOf(n)] = byte(i + 1)
	}
	return m
}()

// node adds n and all below it. Comments are left out; so is an empty statement that only formatting makes.
func (h *hasher) node(n ast.Node) {
	if n == nil || reflect.ValueOf(n).IsNil() {
		h.byte(0xff)
		return
	}
	ast.Inspect(n, func(n ast.Node) bool {
		switch n := n.(type) {
		case nil:
			h.byte(0)
			return false
		case *ast.Comment, *ast.CommentGroup:
			return false
		case *ast.EmptyStmt:
			if n.Implicit {
				return false
			}
		}
		if x, ok := n.(ast.Expr); ok && h.meaning != nil {
			if name := h.meaning(x); name != "" {
				h.byte(nodeTags[reflect.TypeOf((*ast.Ident)(nil))])
				h.string(name)
				h.byte(0)
				return false
			}
		}
		h.byte(nodeTags[reflect.TypeOf(n)])
		return h.leaf(n)
	})
}

// leaf adds what of n its children do not say: names, literals, operators, and which of the optional children there
// are. It reports whether the children count.
func (h *hasher) leaf(n ast.Node) bool {
	switch n := n.(type) {
	case *ast.Ident:
		h.string(n.Name)
	case *ast.BasicLit:
		h.byte(byte(n.Kind))
		h.string(n.Value)
	case *ast.SelectorExpr:
		if x, ok := n.X.(*ast.Ident); ok && h.qualifier != nil {
			h.qualifier(x.Name)
		}
	case *ast.BinaryExpr:
		h.byte(byte(n.Op))
	case *ast.UnaryExpr:
		h.byte(byte(n.Op))
	case *ast.AssignStmt:
		h.byte(byte(n.Tok))
		h.uint(uint64(len(n.Lhs)))
	case *ast.IncDecStmt:
		h.byte(byte(n.Tok))
	case *ast.BranchStmt:
		h.byte(byte(n.Tok))
	case *ast.RangeStmt:
		h.byte(byte(n.Tok))
		h.bools(n.Key != nil, n.Value != nil)
	case *ast.ForStmt:
		h.bools(n.Init != nil, n.Cond != nil, n.Post != nil)
	case *ast.IfStmt:
		h.bools(n.Init != nil, n.Else != nil)
	case *ast.SwitchStmt:
		h.bools(n.Init != nil, n.Tag != nil)
	case *ast.TypeSwitchStmt:
		h.bools(n.Init != nil)
	case *ast.CaseClause:
		h.bools(n.List != nil)
		h.uint(uint64(len(n.List)))
	case *ast.CommClause:
		h.bools(n.Comm != nil)
	case *ast.SliceExpr:
		h.bools(n.Low != nil, n.High != nil, n.Max != nil, n.Slice3)
	case *ast.CallExpr:
		h.bools(n.Ellipsis.IsValid())
	case *ast.CompositeLit:
		h.bools(n.Type != nil)
	case *ast.TypeAssertExpr:
		h.bools(n.Type != nil)
	case *ast.ArrayType:
		h.bools(n.Len != nil)
	case *ast.ChanType:
		h.byte(byte(n.Dir))
	case *ast.FuncType:
		h.bools(n.TypeParams != nil, n.Results != nil)
	case *ast.Field:
		h.uint(uint64(len(n.Names)))
		h.bools(n.Tag != nil)
	case *ast.GenDecl:
		h.byte(byte(n.Tok))
	case *ast.TypeSpec:
		h.bools(n.TypeParams != nil, n.Assign.IsValid())
	case *ast.ValueSpec:
		h.uint(uint64(len(n.Names)))
		h.bools(n.Type != nil)
	case *ast.FuncLit:
		if h.noBodies {
			h.node(n.Type)
			return false
		}
	}
	return true
}

// HashNode returns the fingerprint of a tree; a nil one has its own.
func HashNode(n ast.Node) Hash {
	h := newHasher()
	h.node(n)
	return Hash(h.sum)
}

// HashMeaning is HashNode where meaning says what some expressions are hashed as in place of their text.
func HashMeaning(n ast.Node, meaning func(ast.Expr) string) Hash {
	h := newHasher()
	h.meaning = meaning
	h.node(n)
	return Hash(h.sum)
}

// value adds what a variable is initialised with.
func (h *hasher) value(d *Decl) {
	h.node(d.Value())
	if spec := d.Node.(*ast.ValueSpec); len(spec.Values) != len(spec.Names) {
		h.uint(uint64(d.Index))
	}
}

// types adds types without names, one for each parameter: "a, b int" and "a int, b int" are the same.
func (h *hasher) types(list *ast.FieldList) {
	h.uint(uint64(list.NumFields()))
	if list == nil {
		return
	}
	for _, f := range list.List {
		for range max(1, len(f.Names)) {
			h.node(f.Type)
		}
	}
}

// names adds the names of parameters, one for each.
func (h *hasher) names(list *ast.FieldList) {
	h.uint(uint64(list.NumFields()))
	if list == nil {
		return
	}
	for _, f := range list.List {
		for _, name := range f.Names {
			h.string(name.Name)
		}
		if len(f.Names) == 0 {
			h.byte(0)
		}
	}
}

// receiver returns the name of a receiver's base type, and whether the receiver is written as a pointer.
func receiver(list *ast.FieldList) (base string, pointer bool) {
	x, pointer := receiverType(list)
	switch t := x.(type) {
	case *ast.IndexExpr:
		x = t.X
	case *ast.IndexListExpr:
		x = t.X
	}
	if id, ok := x.(*ast.Ident); ok {
		return id.Name, pointer
	}
	return "", pointer
}

func receiverTypeParams(list *ast.FieldList) []ast.Expr {
	switch x, _ := receiverType(list); t := x.(type) {
	case *ast.IndexExpr:
		return []ast.Expr{t.Index}
	case *ast.IndexListExpr:
		return t.Indices
	}
	return nil
}

// receiverType returns a receiver's type without parentheses and star; nil if there is none.
func receiverType(list *ast.FieldList) (x ast.Expr, pointer bool) {
	if list == nil || len(list.List) == 0 {
		return nil, false
	}
	x = ast.Unparen(list.List[0].Type)
	if star, ok := x.(*ast.StarExpr); ok {
		return ast.Unparen(star.X), true
	}
	return x, false
}

// positions calls f for each position of n that the compiler may note, in an order that depends on the tree alone.
func positions(n ast.Node, f func(token.Pos)) {
	ast.Inspect(n, func(n ast.Node) bool {
		switch n := n.(type) {
		case nil, *ast.Comment, *ast.CommentGroup:
			return false
		case *ast.EmptyStmt:
			if n.Implicit {
				return false
			}
		case *ast.BinaryExpr:
			f(n.OpPos)
		case *ast.AssignStmt:
			f(n.TokPos)
		case *ast.CallExpr:
			f(n.Lparen)
			f(n.Rparen)
		case *ast.SelectorExpr:
			f(n.Sel.Pos())
		case *ast.BlockStmt:
			f(n.Lbrace)
			f(n.Rbrace)
		case *ast.CompositeLit:
			f(n.Lbrace)
			f(n.Rbrace)
		case *ast.IndexExpr:
			f(n.Lbrack)
		case *ast.SliceExpr:
			f(n.Lbrack)
		case *ast.SendStmt:
			f(n.Arrow)
		case *ast.KeyValueExpr:
			f(n.Colon)
		case *ast.CaseClause:
			f(n.Colon)
		case *ast.CommClause:
			f(n.Colon)
		case *ast.IncDecStmt:
			f(n.TokPos)
		}
		f(n.Pos())
		return true
	})
}

// HashNameless is HashNode of a tree in which some names stand for nothing, wherever they may be a type's: not as those of
// fields, nor behind a dot unless types of another package are meant.
func HashNameless(n ast.Node, qualified bool, nameless func(name string) bool) Hash {
	kept := make(map[ast.Expr]bool)
	ast.Inspect(n, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.SelectorExpr:
			if _, ok := n.X.(*ast.Ident); !ok || !qualified {
				kept[n.Sel] = true
			}
		case *ast.StructType:
			for _, f := range n.Fields.List {
				for _, name := range f.Names {
					kept[name] = true
				}
			}
		}
		return true
	})
	return HashMeaning(n, func(x ast.Expr) string {
		if id, ok := x.(*ast.Ident); ok && !kept[id] && nameless(id.Name) {
			return "·"
		}
		return ""
	})
}
