package facts

import (
	"fmt"
	"go/types"
	"strings"

	"github.com/limeade-go/limeade/analysis/decl"
	"github.com/limeade-go/limeade/analysis/snapshot"
)

// LinkPath returns the form that an import path has in symbol names: dots of the last element and bytes that are not
// printable ASCII are escaped (cmd/internal/objabi/path.go, PathToPrefix). Package main is "main", whatever its path.
func LinkPath(path, name string) string {
	if name == "main" {
		return "main"
	}
	slash := strings.LastIndexByte(path, '/')
	var b strings.Builder
	for i := range len(path) {
		c := path[i]
		if c <= ' ' || c == '.' && i > slash || c == '%' || c == '"' || c >= 0x7f {
			fmt.Fprintf(&b, "%%%02x", c)
			continue
		}
		b.WriteByte(c)
	}
	return b.String()
}

// LinkName returns the link name of a package-level object or of a declared method, generic ones without type
// arguments; false for any other object, methods of interfaces among them.
func LinkName(obj types.Object) (string, bool) {
	pkg := obj.Pkg()
	if pkg == nil {
		return "", false
	}
	if fn, ok := obj.(*types.Func); ok {
		fn = fn.Origin()
		recv := fn.Signature().Recv()
		if recv != nil {
			named, pointer := baseType(recv.Type())
			if named == nil || types.IsInterface(named) || named.Obj().Parent() != pkg.Scope() {
				return "", false
			}
			return LinkPath(pkg.Path(), pkg.Name()) + "." + methodName(named.Obj().Name(), fn.Name(), pointer), true
		}
		obj = fn
	}
	if obj.Parent() != pkg.Scope() {
		return "", false
	}
	return LinkPath(pkg.Path(), pkg.Name()) + "." + obj.Name(), true
}

func methodName(recv, name string, pointer bool) string {
	if pointer {
		return "(*" + recv + ")." + name
	}
	return recv + "." + name
}

// DeclName returns the link name of a declaration of pkg. Blank declarations, which have no symbol, get a name that no
// symbol has.
func DeclName(pkg *snapshot.Package, d *decl.Decl) string {
	prefix := LinkPath(pkg.Path, pkg.Name) + "."
	switch {
	case d.Kind == decl.Method:
		name := methodName(d.Recv, d.Name, d.PointerReceiver())
		if d.Name == "_" {
			name += fmt.Sprintf("#%d", d.N)
		}
		return prefix + name
	case d.Name == "init" && d.Kind == decl.Func:
		return fmt.Sprintf("%sinit.%d", prefix, d.N)
	case d.Name == "_":
		return fmt.Sprintf("%s_#%d", prefix, d.N)
	}
	return prefix + d.Name
}

// baseType returns the origin of the named type that t is or points to, nil if there is none.
func baseType(t types.Type) (named *types.Named, pointer bool) {
	t = types.Unalias(t)
	if p, ok := t.(*types.Pointer); ok {
		t, pointer = types.Unalias(p.Elem()), true
	}
	if n, ok := t.(*types.Named); ok {
		return n.Origin(), pointer
	}
	return nil, pointer
}
