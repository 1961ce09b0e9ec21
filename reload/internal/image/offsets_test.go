package image

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"path/filepath"
	"testing"
)

// runtimeOffsets computes the offsets that Open wants from the runtime's source, with a
// few sizes of types known by name. (The product uses package layout, which this package
// must not know.)
func runtimeOffsets(t testing.TB, goroot string) Offsets {
	t.Helper()
	off := make(Offsets)
	for _, s := range []struct{ file, name, key string }{
		{"runtime/symtab.go", "moduledata", "moduledata"},
		{"runtime/symtab.go", "pcHeader", "pcHeader"},
		{"runtime/runtime2.go", "_func", "_func"},
		{"runtime/symtabinl.go", "inlinedCall", "inlinedCall"},
		{"internal/abi/iface.go", "ITab", "abi.ITab"},
		{"internal/abi/type.go", "InterfaceType", "abi.InterfaceType"},
	} {
		file, err := parser.ParseFile(token.NewFileSet(), filepath.Join(goroot, "src", s.file), nil, parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		var st *ast.StructType
		ast.Inspect(file, func(n ast.Node) bool {
			if ts, ok := n.(*ast.TypeSpec); ok && ts.Name.Name == s.name {
				st, _ = ts.Type.(*ast.StructType)
			}
			return st == nil
		})
		if st == nil {
			t.Fatalf("%s has no struct %s", s.file, s.name)
		}
		if off[s.key], err = fieldOffsets(st); err != nil {
			t.Fatalf("%s: %v", s.name, err)
		}
	}
	return off
}

func fieldOffsets(st *ast.StructType) (map[string]int64, error) {
	fields, at := make(map[string]int64), int64(0)
	for _, f := range st.Fields.List {
		size, align, err := sizeOf(f.Type)
		if err != nil {
			return nil, err
		}
		names := f.Names
		if len(names) == 0 {
			names = []*ast.Ident{{Name: "_"}}
		}
		for _, n := range names {
			at = (at + align - 1) &^ (align - 1)
			fields[n.Name] = at
			at += size
		}
	}
	return fields, nil
}

func sizeOf(e ast.Expr) (size, align int64, err error) {
	name := ""
	switch e := e.(type) {
	case *ast.StarExpr, *ast.MapType:
		return 8, 8, nil
	case *ast.ArrayType:
		if e.Len == nil {
			return 24, 8, nil
		}
		n := int64(0)
		fmt.Sscan(e.Len.(*ast.BasicLit).Value, &n)
		size, align, err := sizeOf(e.Elt)
		return n * size, align, err
	case *ast.Ident:
		name = e.Name
	case *ast.SelectorExpr:
		name = e.Sel.Name
	}
	switch name {
	case "NotInHeap":
		return 0, 1, nil
	case "uint8", "bool", "FuncID", "FuncFlag", "byte":
		return 1, 1, nil
	case "uint32", "int32", "PCLnTabMagic":
		return 4, 4, nil
	case "int", "uint", "uintptr", "Name":
		return 8, 8, nil
	case "string", "bitvector":
		return 16, 8, nil
	case "Type":
		return 48, 8, nil
	}
	return 0, 0, fmt.Errorf("size of %T %s not known", e, name)
}
