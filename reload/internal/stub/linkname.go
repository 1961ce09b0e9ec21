package stub

import (
	"fmt"
	"go/types"
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

// linkName returns the compiler's link string of a type, or false for the types that are not worth it:
// those local to functions, unnamed interfaces and structs with fields
// (cmd/compile/internal/types/fmt.go, LinkString, Go 1.26).
func linkName(t types.Type) (string, bool) {
	switch t := types.Unalias(t).(type) {
	case *types.Basic:
		return types.Typ[t.Kind()].String(), t.Info()&types.IsUntyped == 0
	case *types.Named:
		return linkNamed(t)
	case *types.Pointer:
		return linkElem("*", t.Elem())
	case *types.Slice:
		return linkElem("[]", t.Elem())
	case *types.Array:
		return linkElem(fmt.Sprintf("[%d]", t.Len()), t.Elem())
	case *types.Map:
		key, ok := linkName(t.Key())
		elem, ok2 := linkName(t.Elem())
		return "map[" + key + "]" + elem, ok && ok2
	case *types.Interface:
		return "interface {}", t.Empty()
	case *types.Struct:
		return "struct {}", t.NumFields() == 0
	}
	return "", false
}

func linkElem(prefix string, elem types.Type) (string, bool) {
	name, ok := linkName(elem)
	return prefix + name, ok
}

func linkNamed(t *types.Named) (string, bool) {
	obj := t.Obj()
	if obj.Pkg() == nil {
		return obj.Name(), true
	}
	if obj.Parent() != obj.Pkg().Scope() {
		return "", false
	}
	name := linkPath(obj.Pkg()) + "." + obj.Name()
	if t.TypeArgs().Len() == 0 {
		return name, true
	}
	args := make([]string, 0, t.TypeArgs().Len())
	for arg := range t.TypeArgs().Types() {
		s, ok := linkName(arg)
		if !ok {
			return "", false
		}
		args = append(args, s)
	}
	return name + "[" + strings.Join(args, ",") + "]", true
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
