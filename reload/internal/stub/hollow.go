package stub

import (
	"bytes"
	"fmt"
	"go/ast"
	"go/types"
	"strings"
)

// A hollow function has, in place of its body, statements from which escape analysis draws the same
// conclusions about its parameters. It is there for its callers, and is never called itself.

// Names of the package-level variable that hollow functions let things escape to, of the import that
// they need, and of the parameters and results.
const (
	hollowHeap   = "limeadeHeap"
	hollowUnsafe = "limeadeUnsafe"
	hollowParam  = "limeadeParam"
	hollowResult = "limeadeResult"
)

// canBeHollow reports whether nothing but parameters connects a function's code to its callers'.
func canBeHollow(pragmas []string) bool {
	for _, text := range pragmas {
		if verb, _, _ := strings.Cut(text, " "); bodiless[verb] && verb != "//go:nosplit" {
			return false
		}
	}
	return true
}

// emitHollow writes a function that does with its parameters what the fact says.
func (b *builder) emitHollow(out *bytes.Buffer, d *decl, fn *ast.FuncDecl, fact Fact) {
	f := d.file
	out.WriteString("//go:noinline\n")
	b.emitLine(out, f, fn.Pos())
	out.WriteString("func ")
	n := 0
	names := func(fields []*ast.Field, name string, from int) string {
		var list []string
		for _, field := range fields {
			for range max(1, len(field.Names)) {
				list = append(list, fmt.Sprintf("%s%d %s", name, from+len(list), f.text(field.Type.Pos(), field.Type.End())))
			}
		}
		n = len(list)
		return strings.Join(list, ", ")
	}
	if fn.Recv != nil {
		fmt.Fprintf(out, "(%s) ", names(fn.Recv.List, hollowParam, 0))
	}
	fmt.Fprintf(out, "%s(%s)", fn.Name.Name, names(fn.Type.Params.List, hollowParam, n))
	var results []string // types
	if fn.Type.Results != nil {
		fmt.Fprintf(out, " (%s)", names(fn.Type.Results.List, hollowResult, 0))
		for _, field := range fn.Type.Results.List {
			for range max(1, len(field.Names)) {
				results = append(results, f.text(field.Type.Pos(), field.Type.End()))
			}
		}
	}
	out.WriteString(" { ")
	params := paramTypes(d.obj.(*types.Func))
	for _, flow := range fact.Flows {
		if flow.Param < len(params) && hasPointers(params[flow.Param]) {
			f.hollow = true
			emitFlow(out, flow, results)
		}
	}
	out.WriteString("return }")
}

// emitFlow writes the statement for one flow. It looks at the parameter's memory as a pointer, and follows it.
func emitFlow(out *bytes.Buffer, flow Flow, results []string) {
	follow := func(typ string) string {
		stars := strings.Repeat("*", flow.Derefs+1)
		return fmt.Sprintf("%s(%s%s)(%s.Pointer(&%s%d))", stars, stars, typ, hollowUnsafe, hollowParam, flow.Param)
	}
	switch {
	case flow.To == ToMutator:
		fmt.Fprintf(out, "*%s = 0; ", follow("*byte"))
	case flow.To == ToCallee:
		fmt.Fprintf(out, "%s = (%s)(); ", hollowHeap, follow("(func() "+hollowUnsafe+".Pointer)"))
	case flow.To == ToResult && flow.Result < len(results):
		fmt.Fprintf(out, "%s%d = %s; ", hollowResult, flow.Result, follow("("+results[flow.Result]+")"))
	default:
		fmt.Fprintf(out, "%s = %s; ", hollowHeap, follow(hollowUnsafe+".Pointer"))
	}
}

// paramTypes returns the types of the receiver and the parameters.
func paramTypes(fn *types.Func) []types.Type {
	var list []types.Type
	sig := fn.Signature()
	if sig.Recv() != nil {
		list = append(list, sig.Recv().Type())
	}
	for v := range sig.Params().Variables() {
		list = append(list, v.Type())
	}
	return list
}

// hasPointers reports whether a type has pointers in it, if only to memory outside the heap.
func hasPointers(t types.Type) bool {
	switch u := t.Underlying().(type) {
	case *types.Basic:
		return u.Info()&types.IsString != 0 || u.Kind() == types.UnsafePointer
	case *types.Array:
		return u.Len() > 0 && hasPointers(u.Elem())
	case *types.Struct:
		for v := range u.Fields() {
			if hasPointers(v.Type()) {
				return true
			}
		}
		return false
	}
	return true
}
