package stub

import (
	"fmt"
	"go/ast"
	"go/token"
	"go/types"
)

// A typeState is what is known of a declared type that is in the stub.
type typeState struct {
	decl     *decl
	spec     *ast.TypeSpec
	shapable bool // a plain struct type, whose fields may be stand-ins
	fields   []field
}

// A field is one field of a shapable struct type.
type field struct {
	state *typeState
	v     *types.Var
	typ   ast.Expr
}

// useType puts a type declaration into the stub.
//
// Shaped are only the structs of plain, not generic, type declarations. Their untouched fields hide
// behind stand-ins; this needs care wherever the compiler looks at all fields at once:
//
//   - comparing, hashing: compare keeps all fields, also of the structs inside;
//   - unkeyed literals, conversions, assignments from unnamed structs: allFields;
//   - copying, passing in registers: a stand-in has the same size, pointers and registers, and
//     there are as many fields (cmd/compile/internal/ssa/value.go, CanSSA, and abi/abiutils.go);
//   - selectors: a stand-in keeps its name, so that it hides what the field hid.
func (b *builder) useType(d *decl, spec *ast.TypeSpec) {
	st := &typeState{decl: d, spec: spec}
	b.types[d.obj.(*types.TypeName)] = st
	b.typeList = append(b.typeList, st)
	b.work++
	if spec.TypeParams != nil {
		b.walk(d.file, spec.TypeParams, declared)
	}
	named, _ := d.obj.Type().(*types.Named)
	syntax, ok := ast.Unparen(spec.Type).(*ast.StructType)
	if ok && named != nil && spec.TypeParams == nil && b.shaping {
		st.shapable = true
		st.fields = structFields(st, syntax, named.Underlying().(*types.Struct))
		small := inRegisters(named)
		for _, f := range st.fields {
			b.fieldOf[f.v] = f
			switch {
			case b.touched[f.v]:
				b.walk(d.file, f.typ, declared)
			case small || !b.replaceable(f.v.Type()):
				b.touch(f.v)
			}
		}
	} else {
		b.walk(d.file, spec.Type, declared)
	}
	if named == nil {
		return
	}
	if len(b.in.Export) > 0 || spec.TypeParams == nil && !b.hostHas(named) {
		b.wholeType(named)
	}
}

// inRegisters reports whether the compiler keeps a value of type t in registers, field by field
// (cmd/compile/internal/ssa/value.go, CanSSA, Go 1.26).
func inRegisters(t types.Type) bool {
	if sizes.Sizeof(t) > 4*8 {
		return false
	}
	switch u := t.Underlying().(type) {
	case *types.Array:
		return u.Len() == 0 || u.Len() == 1 && inRegisters(u.Elem())
	case *types.Struct:
		if u.NumFields() > 4 {
			return false
		}
		for v := range u.Fields() {
			if !inRegisters(v.Type()) {
				return false
			}
		}
	}
	return true
}

// structFields pairs the fields of a struct type with the syntax of their types.
func structFields(st *typeState, syntax *ast.StructType, t *types.Struct) []field {
	fields := make([]field, 0, t.NumFields())
	for _, f := range syntax.Fields.List {
		for range max(1, len(f.Names)) {
			fields = append(fields, field{st, t.Field(len(fields)), f.Type})
		}
	}
	return fields
}

// touch keeps a field.
func (b *builder) touch(v *types.Var) {
	v = v.Origin()
	if b.touched[v] {
		return
	}
	b.touched[v] = true
	b.work++
	if f, ok := b.fieldOf[v]; ok {
		b.walk(f.state.decl.file, f.typ, declared)
	}
}

// allFields keeps all fields of t, if it is a struct type.
func (b *builder) allFields(t types.Type) {
	s, ok := t.Underlying().(*types.Struct)
	if !ok {
		return
	}
	for v := range s.Fields() {
		b.touch(v)
	}
}

// compare keeps what an equality or hash function of t looks at.
func (b *builder) compare(t types.Type) {
	if t == nil || b.equal[t] {
		return
	}
	b.equal[t] = true
	switch u := t.Underlying().(type) {
	case *types.Array:
		b.compare(u.Elem())
	case *types.Struct:
		b.allFields(t)
		for v := range u.Fields() {
			b.compare(v.Type())
		}
	}
}

// wholeType keeps all that a descriptor of t describes: fields, methods, and what equality needs.
func (b *builder) wholeType(t *types.Named) {
	b.whole[t] = true
	b.compare(t)
	for _, m := range b.methods[t.Obj()] {
		b.use(m)
	}
	if s, ok := t.Underlying().(*types.Struct); ok {
		for v := range s.Fields() {
			if named := namedOf(v.Type()); v.Embedded() && named != nil && named.Obj().Pkg() == b.in.Pkg {
				if !b.described[named] {
					b.described[named] = true
					b.wholeType(named)
				}
			}
		}
	}
}

// replaceable reports whether a stand-in can be made for a field of type t: the compiler treats some
// types of the standard library by their name.
func (b *builder) replaceable(t types.Type) bool {
	if named, ok := types.Unalias(t).(*types.Named); ok && named.Obj().Pkg() != nil {
		switch named.Obj().Pkg().Path() {
		case "simd/archsimd": // registers of their own (cmd/compile/internal/types/size.go, simdify)
			return false
		}
	}
	switch u := t.Underlying().(type) {
	case *types.Array:
		return b.replaceable(u.Elem())
	case *types.Struct:
		for v := range u.Fields() {
			if !b.replaceable(v.Type()) {
				return false
			}
		}
		return !b.notInHeap(t)
	}
	return true
}

// notInHeap reports whether pointers to t are no pointers to the garbage collector
// (cmd/compile/internal/types/type.go, NewNamed: struct types that contain the type nih).
func (b *builder) notInHeap(t types.Type) bool {
	yes, ok := b.nih[t]
	if ok {
		return yes
	}
	b.nih[t] = false // cut recursion
	if named, ok := types.Unalias(t).(*types.Named); ok {
		if obj := named.Obj(); obj.Name() == "nih" && obj.Pkg() != nil && obj.Pkg().Path() == "internal/runtime/sys" {
			b.nih[t] = true
			return true
		}
	}
	switch u := t.Underlying().(type) {
	case *types.Array:
		yes = b.notInHeap(u.Elem())
	case *types.Struct:
		for v := range u.Fields() {
			yes = yes || b.notInHeap(v.Type())
		}
	}
	b.nih[t] = yes
	return yes
}

var (
	bytePointer = types.NewPointer(types.Typ[types.Byte])
	byteSlice   = types.NewSlice(types.Typ[types.Byte])
	emptyIface  = types.NewInterfaceType(nil, nil)
)

// standIn returns a type without names that has the size, alignment, pointer words and registers of t.
func (b *builder) standIn(t types.Type) types.Type {
	switch u := t.Underlying().(type) {
	case *types.Basic:
		if u.Kind() != types.UnsafePointer {
			return types.Typ[u.Kind()]
		}
	case *types.Slice:
		return byteSlice
	case *types.Interface:
		return emptyIface
	case *types.Array:
		return types.NewArray(b.standIn(u.Elem()), u.Len())
	case *types.Struct:
		fields := make([]*types.Var, u.NumFields())
		for i := range fields {
			fields[i] = b.standInField(u.Field(i))
		}
		return types.NewStruct(fields, nil)
	case *types.Pointer:
		if b.notInHeap(u.Elem()) {
			return types.Typ[types.Uintptr]
		}
	}
	return bytePointer
}

func (b *builder) standInField(v *types.Var) *types.Var {
	return types.NewField(token.NoPos, v.Pkg(), v.Name(), b.standIn(v.Type()), false)
}

// sizes are those of the only target (cmd/compile/internal/types2/gcsizes.go for the real ones).
var sizes = types.SizesFor("gc", "amd64")

// checkLayouts makes sure that every shaped struct is laid out as the real one.
func (b *builder) checkLayouts() error {
	for _, st := range b.typeList {
		if !st.shapable {
			continue
		}
		var fields, shaped []*types.Var
		for _, f := range st.fields {
			fields = append(fields, f.v)
			if b.touched[f.v] {
				shaped = append(shaped, f.v)
			} else {
				shaped = append(shaped, b.standInField(f.v))
			}
		}
		if err := b.sameLayout(fields, shaped); err != nil {
			return fmt.Errorf("%s.%s: %w", b.in.Pkg.Path(), st.decl.obj.Name(), err)
		}
	}
	return nil
}

// sameLayout compares two structs field by field.
func (b *builder) sameLayout(real, shaped []*types.Var) error {
	r, s := types.NewStruct(real, nil), types.NewStruct(shaped, nil)
	if sizes.Sizeof(r) != sizes.Sizeof(s) || sizes.Alignof(r) != sizes.Alignof(s) {
		return fmt.Errorf("stand-in has size %d, not %d", sizes.Sizeof(s), sizes.Sizeof(r))
	}
	ro, so := sizes.Offsetsof(real), sizes.Offsetsof(shaped)
	for i := range real {
		if ro[i] != so[i] {
			return fmt.Errorf("stand-in of field %s has offset %d, not %d", real[i].Name(), so[i], ro[i])
		}
		if !b.samePointers(real[i].Type(), shaped[i].Type()) {
			return fmt.Errorf("stand-in of field %s has other pointer words", real[i].Name())
		}
	}
	return nil
}

// samePointers reports whether two types of equal structure have pointers in the same words.
func (b *builder) samePointers(x, y types.Type) bool {
	switch x := x.Underlying().(type) {
	case *types.Array:
		y, ok := y.Underlying().(*types.Array)
		return ok && x.Len() == y.Len() && b.samePointers(x.Elem(), y.Elem())
	case *types.Struct:
		y, ok := y.Underlying().(*types.Struct)
		if !ok || x.NumFields() != y.NumFields() {
			return false
		}
		for i := range x.NumFields() {
			if !b.samePointers(x.Field(i).Type(), y.Field(i).Type()) {
				return false
			}
		}
		return true
	case *types.Interface:
		if y, ok := y.Underlying().(*types.Struct); ok && y.NumFields() == 2 { // see incomparable
			return b.pointerWords(y.Field(0).Type())+b.pointerWords(y.Field(1).Type()) == b.pointerWords(x)
		}
	}
	return b.pointerWords(x) == b.pointerWords(y)
}

// pointerWords returns which words of a value that is neither array nor struct are pointers.
func (b *builder) pointerWords(t types.Type) string {
	switch u := t.Underlying().(type) {
	case *types.Basic:
		switch {
		case u.Info()&types.IsString != 0:
			return "p-"
		case u.Kind() == types.UnsafePointer:
			return "p"
		}
		return "-"
	case *types.Slice:
		return "p--"
	case *types.Interface:
		return "pp"
	case *types.Pointer:
		if b.notInHeap(u.Elem()) {
			return "-"
		}
	}
	return "p"
}
