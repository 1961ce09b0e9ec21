package stub

import (
	"fmt"
	"go/ast"
	"go/constant"
	"go/token"
	"go/types"
	"math/big"
	"strconv"
)

// spellable reports whether a type can be written in this package. Names that are not exported by
// another package cannot, nor types local to a function, nor predeclared names that mean something else.
func (b *builder) spellable(t types.Type) bool {
	switch t := t.(type) {
	case *types.Basic:
		return !b.hidden[t.Name()]
	case *types.Alias:
		return b.visible(t.Obj()) && b.allSpellable(t.TypeArgs())
	case *types.Named:
		return b.visible(t.Obj()) && b.allSpellable(t.TypeArgs())
	case *types.Pointer:
		return b.spellable(t.Elem())
	case *types.Slice:
		return b.spellable(t.Elem())
	case *types.Array:
		return b.spellable(t.Elem())
	case *types.Chan:
		return b.spellable(t.Elem())
	case *types.Map:
		return b.spellable(t.Key()) && b.spellable(t.Elem())
	case *types.Tuple:
		for v := range t.Variables() {
			if !b.spellable(v.Type()) {
				return false
			}
		}
		return true
	case *types.Signature:
		return b.spellable(t.Params()) && b.spellable(t.Results())
	case *types.Struct:
		for v := range t.Fields() {
			if !v.Exported() && v.Pkg() != b.in.Pkg || !b.spellable(v.Type()) {
				return false
			}
		}
		return true
	case *types.Interface:
		for m := range t.ExplicitMethods() {
			if !m.Exported() && m.Pkg() != b.in.Pkg || !b.spellable(m.Type()) {
				return false
			}
		}
		for e := range t.EmbeddedTypes() {
			if !b.spellable(e) {
				return false
			}
		}
		return true
	}
	return false
}

func (b *builder) allSpellable(list *types.TypeList) bool {
	for t := range list.Types() {
		if !b.spellable(t) {
			return false
		}
	}
	return true
}

func (b *builder) visible(obj *types.TypeName) bool {
	switch {
	case obj.Pkg() == nil:
		return !b.hidden[obj.Name()]
	case obj.Parent() != obj.Pkg().Scope():
		return false
	}
	return obj.Pkg() == b.in.Pkg || obj.Exported()
}

// spell writes a spellable type in the words of a file.
func (b *builder) spell(f *file, t types.Type) string {
	return types.TypeString(t, func(pkg *types.Package) string { return b.qualifier(f, pkg) })
}

// qualifier returns the name of a package in a file, which may import it only from now on.
func (b *builder) qualifier(f *file, pkg *types.Package) string {
	if pkg == b.in.Pkg {
		return ""
	}
	if name := f.names[pkg]; name != nil {
		b.imports[name] = true
		if name.Name() == "." {
			return ""
		}
		return name.Name()
	}
	if f.extra == nil {
		f.extra = make(map[*types.Package]string)
	}
	if f.extra[pkg] == "" {
		f.extra[pkg] = fmt.Sprintf("limeade%d_%s", len(f.extra), pkg.Name())
	}
	return f.extra[pkg]
}

// constSource returns the value of iota at a constant's declaration, and the expression that gives its
// value, which may be that of an earlier line.
func constSource(d *decl) (iota int, value ast.Expr) {
	for i, spec := range d.group.Specs {
		spec := spec.(*ast.ValueSpec)
		if len(spec.Values) > 0 {
			value = spec.Values[d.index%len(spec.Values)]
		}
		if spec == d.node {
			return i, value
		}
	}
	return 0, value
}

// literal writes a constant's value exactly, as an untyped constant expression of the given kind of
// basic type.
func constText(v constant.Value, basic *types.Basic) string {
	switch info := basic.Info(); {
	case info&types.IsBoolean != 0:
		if constant.BoolVal(v) {
			return "0 == 0" // true may be anything
		}
		return "0 != 0"
	case info&types.IsString != 0:
		return strconv.Quote(constant.StringVal(v))
	case basic.Kind() == types.UntypedRune:
		return `'\x00' + ` + constant.ToInt(v).ExactString()
	case info&types.IsInteger != 0:
		return constant.ToInt(v).ExactString()
	case info&types.IsFloat != 0:
		return floatText(v)
	default:
		return fmt.Sprintf("%s + (%s)*1i", floatText(constant.Real(v)), floatText(constant.Imag(v)))
	}
}

// floatText writes an untyped floating-point constant expression. go/constant keeps small ones as
// fractions, and large ones as binary numbers of 512 bits.
func floatText(v constant.Value) string {
	switch x := constant.Val(constant.ToFloat(v)).(type) {
	case *big.Rat:
		return x.Num().String() + ".0 / " + x.Denom().String() + ".0"
	case *big.Float:
		return x.Text('p', 0)
	case int64:
		return strconv.FormatInt(x, 10) + ".0"
	case *big.Int:
		return x.String() + ".0"
	}
	return constant.BinaryOp(v, token.ADD, constant.MakeInt64(0)).ExactString()
}
