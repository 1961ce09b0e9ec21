package stub

import (
	"fmt"
	"go/types"
	"strconv"
	"strings"
)

// linkPath returns an import path as it begins the names of a package's symbols
// (cmd/internal/objabi/path.go, PathToPrefix; cmd/go compiles every main package as "main").
func linkPath(pkg *types.Package) string {
	if pkg.Name() == "main" {
		return "main"
	}
	path := pkg.Path()
	last := strings.LastIndexByte(path, '/')
	plain := func(c rune) bool { return c > ' ' && c != '%' && c != '"' && c < 0x7f }
	if strings.IndexByte(path[last+1:], '.') < 0 && strings.IndexFunc(path, func(c rune) bool { return !plain(c) }) < 0 {
		return path
	}
	var out strings.Builder
	for i := range len(path) {
		switch c := path[i]; {
		case c <= ' ' || i > last && c == '.' || c == '%' || c == '"' || c >= 0x7F:
			fmt.Fprintf(&out, "%%%02x", c)
		default:
			out.WriteByte(c)
		}
	}
	return out.String()
}

// linkFunc returns the link name of a function or method, without type arguments: "p.F", "p.T.M", "p.(*T).M".
func linkFunc(fn *types.Func) string {
	prefix := linkPath(fn.Pkg()) + "."
	recv := receiver(fn)
	if recv == nil {
		return prefix + fn.Name()
	}
	if _, ok := types.Unalias(fn.Signature().Recv().Type()).(*types.Pointer); ok {
		return prefix + "(*" + recv.Name() + ")." + fn.Name()
	}
	return prefix + recv.Name() + "." + fn.Name()
}

// Signature returns the parameters and results of a function or method as the compiler's link strings have them, with
// type parameters by their numbers; "" if a type in it is invalid.
func Signature(fn *types.Func) string {
	sig := fn.Signature()
	name, _ := linkName(sig)
	if strings.Contains(name, types.Typ[types.Invalid].String()) {
		return ""
	}
	return fmt.Sprint(strings.Repeat("[]", sig.TypeParams().Len()), name)
}

// linkName returns the compiler's link string of a type, or false for those that none is known of: they are made of
// type parameters, or of types that are local to functions (cmd/compile/internal/types/fmt.go, LinkString, Go 1.26).
func linkName(t types.Type) (string, bool) {
	n := namer{ok: true}
	n.typ(t)
	return n.String(), n.ok
}

// linkNamed is the same for a declared type.
func linkNamed(t *types.Named) (string, bool) {
	n := namer{ok: true}
	n.named(t)
	return n.String(), n.ok
}

// A namer writes link strings.
type namer struct {
	strings.Builder
	ok bool
}

func (n *namer) typ(t types.Type) {
	switch t := types.Unalias(t).(type) {
	case *types.Basic:
		n.WriteString(types.Typ[t.Kind()].String())
		n.ok = n.ok && t.Info()&types.IsUntyped == 0
	case *types.Named:
		n.named(t)
	case *types.Pointer:
		n.elem("*", t.Elem())
	case *types.Slice:
		n.elem("[]", t.Elem())
	case *types.Array:
		n.elem(fmt.Sprintf("[%d]", t.Len()), t.Elem())
	case *types.Map:
		n.elem("map[", t.Key())
		n.elem("]", t.Elem())
	case *types.Chan:
		n.channel(t)
	case *types.Signature:
		n.WriteString("func")
		n.signature(t)
	case *types.Interface:
		n.iface(t)
	case *types.Struct:
		n.structure(t)
	case *types.TypeParam:
		fmt.Fprintf(n, "$%d", t.Index())
		n.ok = false
	default:
		n.ok = false
	}
}

func (n *namer) elem(prefix string, elem types.Type) {
	n.WriteString(prefix)
	n.typ(elem)
}

func (n *namer) named(t *types.Named) {
	obj := t.Obj()
	if obj.Pkg() == nil {
		n.WriteString(obj.Name())
		return
	}
	n.ok = n.ok && obj.Parent() == obj.Pkg().Scope()
	n.WriteString(linkPath(obj.Pkg()) + "." + obj.Name())
	for i := range t.TypeArgs().Len() {
		n.elem([]string{"[", ","}[min(i, 1)], t.TypeArgs().At(i))
	}
	if t.TypeArgs().Len() > 0 {
		n.WriteString("]")
	}
}

func (n *namer) channel(t *types.Chan) {
	elem, isChan := types.Unalias(t.Elem()).(*types.Chan)
	switch {
	case t.Dir() == types.RecvOnly:
		n.elem("<-chan ", t.Elem())
	case t.Dir() == types.SendOnly:
		n.elem("chan<- ", t.Elem())
	case isChan && elem.Dir() == types.RecvOnly:
		n.elem("chan (", t.Elem())
		n.WriteString(")")
	default:
		n.elem("chan ", t.Elem())
	}
}

func (n *namer) signature(t *types.Signature) {
	n.tuple(t.Params(), t.Variadic())
	switch t.Results().Len() {
	case 0:
	case 1:
		n.elem(" ", t.Results().At(0).Type())
	default:
		n.WriteString(" ")
		n.tuple(t.Results(), false)
	}
}

func (n *namer) tuple(t *types.Tuple, variadic bool) {
	n.WriteString("(")
	for i := range t.Len() {
		if i > 0 {
			n.WriteString(", ")
		}
		typ := t.At(i).Type()
		if slice, ok := typ.(*types.Slice); ok && variadic && i == t.Len()-1 {
			n.elem("...", slice.Elem())
		} else {
			n.typ(typ)
		}
	}
	n.WriteString(")")
}

// iface writes an interface, whose methods go/types has in the compiler's order.
func (n *namer) iface(t *types.Interface) {
	n.ok = n.ok && t.IsMethodSet()
	n.WriteString("interface {")
	for i := range t.NumMethods() {
		n.member(i, t.Method(i))
		n.signature(t.Method(i).Signature())
	}
	n.end(t.NumMethods())
}

func (n *namer) structure(t *types.Struct) {
	n.WriteString("struct {")
	for i := range t.NumFields() {
		v := t.Field(i)
		if v.Embedded() && embeddedName(v) {
			n.WriteString([]string{" ", "; "}[min(i, 1)])
		} else {
			n.member(i, v)
			n.WriteString(map[bool]string{false: " ", true: " = "}[v.Embedded()])
		}
		n.typ(v.Type())
		if tag := t.Tag(i); tag != "" {
			n.WriteString(" " + strconv.Quote(tag))
		}
	}
	n.end(t.NumFields())
}

// member writes the name of the ith field or method, with its package if that belongs to it.
func (n *namer) member(i int, obj types.Object) {
	n.WriteString([]string{" ", "; "}[min(i, 1)])
	if !obj.Exported() {
		n.WriteString(linkPath(obj.Pkg()) + ".")
	}
	n.WriteString(obj.Name())
}

func (n *namer) end(members int) {
	if members > 0 {
		n.WriteString(" ")
	}
	n.WriteString("}")
}

// embeddedName reports whether an embedded field is called like its type, without type arguments.
func embeddedName(v *types.Var) bool {
	t := types.Unalias(v.Type())
	if p, ok := t.(*types.Pointer); ok {
		t = types.Unalias(p.Elem())
	}
	switch t := t.(type) {
	case *types.Named:
		return t.TypeArgs().Len() == 0 && t.Obj().Name() == v.Name() && (t.Obj().Exported() || t.Obj().Pkg() == v.Pkg())
	case *types.Basic:
		return t.Kind() == types.UnsafePointer && v.Name() == "Pointer"
	}
	return false
}

// hostHas asks whether a type's descriptor is to be had elsewhere. What has no name here is taken to be
// new.
func (b *builder) hostHas(t types.Type) bool {
	if b.in.HostHasType == nil {
		return true
	}
	name, ok := linkName(t)
	return ok && b.in.HostHasType("type:"+name)
}

// haveComposite notes an array or unnamed struct. If its descriptor must come from this stub, so must its
// equality function, and that looks into the structs inside.
func (b *builder) haveComposite(t types.Type) {
	if !b.hostHas(t) {
		b.compare(t)
	}
}

// haveInstance notes an instance of a generic type. If its descriptor must come from this stub, all methods
// must.
func (b *builder) haveInstance(t *types.Named) {
	if t.Obj().Pkg() == b.in.Pkg && !b.hostHas(t) {
		b.wholeType(t)
	}
}
