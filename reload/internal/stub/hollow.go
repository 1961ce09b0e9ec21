package stub

import (
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

// hollowText writes a function that does with its parameters what the fact says.
func (b *builder) hollowText(d *decl, fn *ast.FuncDecl, fact Fact) string {
	f := d.file
	var out strings.Builder
	out.WriteString("func ")
	params := 0
	if fn.Recv != nil {
		list, _ := hollowFields(f, fn.Recv, hollowParam, 0)
		fmt.Fprintf(&out, "(%s) ", list)
		params = 1
	}
	list, _ := hollowFields(f, fn.Type.Params, hollowParam, params)
	fmt.Fprintf(&out, "%s(%s)", fn.Name.Name, list)
	var results []string
	if fn.Type.Results != nil {
		list, results = hollowFields(f, fn.Type.Results, hollowResult, 0)
		fmt.Fprintf(&out, " (%s)", list)
	}
	out.WriteString(" { ")
	types := paramTypes(d.obj.(*types.Func))
	for _, flow := range fact.flows() {
		if flow.param < len(types) && hasPointers(types[flow.param]) {
			f.hollow = true
			out.WriteString(flowText(flow, results))
		}
	}
	out.WriteString("return }")
	return out.String()
}

// hollowFields writes parameters or results with numbered names, and returns their types, too.
func hollowFields(f *file, fields *ast.FieldList, name string, from int) (list string, typeTexts []string) {
	var parts []string
	for _, field := range fields.List {
		for range max(1, len(field.Names)) {
			typ := f.text(field.Type.Pos(), field.Type.End())
			parts = append(parts, fmt.Sprintf("%s%d %s", name, from+len(parts), typ))
			typeTexts = append(typeTexts, typ)
		}
	}
	return strings.Join(parts, ", "), typeTexts
}

// flowText writes the statement for one flow. It looks at the parameter's memory as a pointer, and follows it.
func flowText(flow flow, results []string) string {
	follow := func(typ string) string {
		stars := strings.Repeat("*", flow.derefs+1)
		return fmt.Sprintf("%s(%s%s)(%s.Pointer(&%s%d))", stars, stars, typ, hollowUnsafe, hollowParam, flow.param)
	}
	switch {
	case flow.to == toMutator:
		return fmt.Sprintf("*%s = 0; ", follow("*byte"))
	case flow.to == toCallee:
		return fmt.Sprintf("%s = (%s)(); ", hollowHeap, follow("(func() "+hollowUnsafe+".Pointer)"))
	case flow.to == toResult && flow.result < len(results):
		return fmt.Sprintf("%s%d = %s; ", hollowResult, flow.result, follow("("+results[flow.result]+")"))
	default:
		return fmt.Sprintf("%s = %s; ", hollowHeap, follow(hollowUnsafe+".Pointer"))
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
