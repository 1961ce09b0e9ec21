package link

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"fmt"
	"reflect"
	"regexp"
	"slices"
	"strings"

	"github.com/limeade-go/limeade/reload/internal/object"
)

// Whoever made the request has judged that new code and the process agree on types. The linker looks for itself: at
// what each type is that the new code may meet, at the type of each variable that it uses, and at how the functions are
// called that it replaces.

// A Layout is what code takes for granted of a type.
type Layout struct {
	Type    string // link name, as "example.com/p.T"
	Size    int64
	Kind    string // link name of the underlying type, "struct", "interface"; "" if it has no simple one
	Fields  []Field
	Methods []Method // of an interface its own, in no order; of another type those of pointers to it
	Partial bool     // Methods are not known
}

// A Field is one of a struct.
type Field struct {
	Name   string
	Offset int64
	Type   string // link name, "" for types that have no simple one
}

// A Method is one of a type or interface.
type Method struct {
	Name  string
	Type  string // link name, "" for types that have no simple one
	Value bool   // values have it, too
}

// checkLayouts compares what the stubs' code takes for granted of types with what the process has.
func (l *linker) checkLayouts() error {
	for i := range l.req.Stubs {
		local, err := l.localLayouts(&l.req.Stubs[i])
		if err != nil {
			return err
		}
		for _, layout := range slices.Concat(l.req.Stubs[i].Layouts, local) {
			was, ok := l.state.Layouts[layout.Type]
			born := ok
			if !ok {
				if was, ok, err = l.builtLayout(layout); err != nil {
					return err
				}
			}
			if l.isNew(layout.Type) {
				ok = false
			}
			extended := l.extends[withoutInstance(layout.Type)]
			if ok {
				if what := was.differs(layout, was.Partial || layout.Partial || extended); what != "" {
					return refuse(layout.Type, "is not the type that the program has: %s", what)
				}
			}
			if layout.Partial {
				layout.Methods, layout.Partial = was.Methods, !ok || was.Partial
			}
			if born || !ok || extended {
				l.state.Layouts[layout.Type] = layout
			}
		}
	}
	return nil
}

// isNew reports whether a type, or what it is an instance of or for, is not what the process may have under its name.
func (l *linker) isNew(typ string) bool {
	for name := range l.req.New {
		if declares(name, typ) {
			return true
		}
	}
	return false
}

// localLayouts are those of the types that functions of a stub declare.
func (l *linker) localLayouts(stub *Stub) ([]Layout, error) {
	var list []Layout
	for _, o := range l.lib.Package(stub.Package).Objects {
		for i := range o.NumDefs() {
			s := o.Sym(i)
			name, isType := strings.CutPrefix(s.Name(), "type:")
			if !isType || strings.HasPrefix(name, "*") || !localType.MatchString(name) || !s.IsGoType() {
				continue
			}
			layout, err := l.layoutOf(s)
			if err != nil {
				return nil, err
			}
			list = append(list, layout)
		}
	}
	return list, nil
}

// localType matches the names of types that functions declare.
var localType = regexp.MustCompile(`^[^*\[(]*·\d+$`)

// builtLayout is the layout of a type as the build has it. The methods of pointers are in a descriptor of their own.
func (l *linker) builtLayout(layout Layout) (Layout, bool, error) {
	def := l.built("type:"+layout.Type, 0)
	if def.IsZero() {
		return Layout{}, false, nil
	}
	was, err := l.layoutOf(def)
	if err != nil || was.Kind == "interface" || layout.Partial {
		return was, true, err
	}
	pointer := l.built("type:*"+layout.Type, 0)
	if was.Partial = pointer.IsZero(); was.Partial {
		return was, true, nil
	}
	ofValue := map[string]bool{}
	for _, m := range methods(def, l.libOf(def)) {
		ofValue[m.Name] = true
	}
	for _, m := range methods(pointer, l.libOf(pointer)) {
		was.Methods = append(was.Methods, Method{m.Name, strings.TrimPrefix(l.nameOf(m.mtyp), "type:"), ofValue[m.Name]})
	}
	return was, true, nil
}

// layoutOf reads a type's definition, but for methods that are not an interface's.
func (l *linker) layoutOf(def object.Sym) (Layout, error) {
	typ, err := l.readType(def)
	if err != nil {
		return Layout{}, err
	}
	relocs := map[int64]object.Reloc{}
	for r := range def.Relocs() {
		if !r.IsMarker() && !r.Sym.IsZero() {
			relocs[int64(r.Off)] = r
		}
	}
	layout := Layout{Type: strings.TrimPrefix(def.Name(), "type:"), Size: int64(typ.size), Partial: true}
	head, ok := l.kindStruct(typ.kind)
	if !ok {
		return layout, refuse(def.Name(), "is a type of unknown layout")
	}
	if missing := int(def.Size()) - len(typ.data); missing > 0 { // it may end in zeros that are not there
		typ.data = append(slices.Clip(typ.data), make([]byte, missing)...)
	}
	at := func(field string) int64 { return head.Fields[field].Offset }
	named := func(off int64) string { return strings.TrimPrefix(l.nameOf(relocs[off].Sym), "type:") }
	word := func(off int64) int64 { return int64(binary.LittleEndian.Uint64(typ.data[off:])) }
	switch kind := reflect.Kind(typ.kind); kind {
	case reflect.Pointer:
		layout.Kind = "*" + named(at("Elem"))
	case reflect.Slice:
		layout.Kind = "[]" + named(at("Elem"))
	case reflect.Array:
		layout.Kind = fmt.Sprintf("[%d]%s", word(at("Len")), named(at("Elem")))
	case reflect.Map:
		layout.Kind = "map[" + named(at("Key")) + "]" + named(at("Elem"))
	case reflect.Chan:
		dir, elem := reflect.ChanDir(word(at("Dir"))), named(at("Elem"))
		if dir == reflect.BothDir && strings.HasPrefix(elem, "<-") {
			elem = "(" + elem + ")"
		}
		layout.Kind = dir.String() + " " + elem
	case reflect.Func:
		layout.Kind = l.funcKind(def, typ, head.Size, at("InCount"), named)
	case reflect.Interface:
		layout.Kind, layout.Partial = "interface", false
		for _, m := range interfaceMethods(def, l.libOf(def), l.interfaceMethodsAt()) {
			layout.Methods = append(layout.Methods, Method{m.Name, strings.TrimPrefix(m.Type, "type:"), false})
		}
	case reflect.Struct:
		layout.Kind = "struct"
		field, ok := l.host.Layout.Struct("abi.StructField")
		first := relocs[at("Fields")].Add
		for i := range word(at("Fields") + 8) {
			at := first + i*field.Size
			if !ok || at+field.Size > int64(len(typ.data)) {
				return layout, refuse(def.Name(), "is a type of unknown layout")
			}
			name := typeName(l.libOf(def).Resolve(relocs[at+field.Fields["Name"].Offset].Sym))
			layout.Fields = append(layout.Fields, Field{name, word(at + field.Fields["Offset"].Offset), named(at + field.Fields["Typ"].Offset)})
		}
	default:
		layout.Kind = kind.String()
	}
	return layout, nil
}

// funcKind writes a function type, whose parameters and results stand behind its descriptor's head and the
// abi.UncommonType (internal/abi/type.go, FuncType).
func (l *linker) funcKind(def object.Sym, typ abiType, size, counts int64, named func(off int64) string) string {
	if common, _, err := l.uncommon(def); err == nil && common != 0 {
		uncommon, _ := l.host.Layout.Struct("abi.UncommonType")
		size += uncommon.Size
	}
	in, out := int64(binary.LittleEndian.Uint16(typ.data[counts:])), int64(binary.LittleEndian.Uint16(typ.data[counts+2:]))
	variadic := out&(1<<15) != 0
	out &^= 1 << 15
	var text strings.Builder
	text.WriteString("func(")
	for i := range in + out {
		name := named(size + 8*i)
		switch {
		case i == in && out == 1:
			text.WriteString(") ")
		case i == in:
			text.WriteString(") (")
		case i > 0:
			text.WriteString(", ")
		}
		if i == in-1 && variadic {
			name = "..." + strings.TrimPrefix(name, "[]")
		}
		text.WriteString(name)
	}
	if out != 1 {
		text.WriteString(")")
	}
	return text.String()
}

// differs says in what a layout of the process differs from one that new code relies on, "" if in nothing. Names that
// one of them does not know are taken for the same.
func (was Layout) differs(now Layout, butMethods bool) string {
	other := func(a, b string) bool { return a != b && a != "" && b != "" }
	if other(was.Kind, now.Kind) {
		return fmt.Sprintf("it is %s, not %s", was.Kind, now.Kind)
	}
	if was.Size != now.Size {
		return fmt.Sprintf("it has %d bytes, not %d", was.Size, now.Size)
	}
	if len(was.Fields) != len(now.Fields) {
		return fmt.Sprintf("it has %d fields, not %d", len(was.Fields), len(now.Fields))
	}
	for i, f := range now.Fields {
		if w := was.Fields[i]; w.Name != f.Name || w.Offset != f.Offset {
			return fmt.Sprintf("it has a field %s at %d, not %s at %d", w.Name, w.Offset, f.Name, f.Offset)
		} else if other(w.Type, f.Type) {
			return fmt.Sprintf("its field %s is of type %s, not %s", f.Name, w.Type, f.Type)
		}
	}
	if butMethods {
		return ""
	}
	// Methods that are not exported may have the same name in several packages.
	order := func(list []Method) []Method {
		return slices.SortedFunc(slices.Values(list), func(a, b Method) int { return cmp.Or(cmp.Compare(a.Name, b.Name), cmp.Compare(a.Type, b.Type)) })
	}
	before, after := order(was.Methods), order(now.Methods)
	for i := range max(len(before), len(after)) {
		switch {
		case i == len(after) || i < len(before) && before[i].Name < after[i].Name:
			return "it has a method " + before[i].Name
		case i == len(before) || before[i].Name > after[i].Name:
			return "it has no method " + after[i].Name
		case other(before[i].Type, after[i].Type):
			return fmt.Sprintf("its method %s is %s, not %s", after[i].Name, before[i].Type, after[i].Type)
		case before[i].Value != after[i].Value:
			return "its method " + after[i].Name + " has another receiver"
		}
	}
	return ""
}

// checkVariable compares a variable of the process with what a stub says of it.
func (l *linker) checkVariable(key Key, made object.Sym) error {
	if l.stubObjs[made.Obj] == nil || !made.IsDef() || !made.Kind().IsData() || isGenerated(key.Name) {
		return nil
	}
	now := l.printVariable(made)
	if of, ok := l.mentionsAnew(l.nameOf(made.Gotype())); ok {
		return refuse(of, "is another type now, and %s is a variable of type %s in the program", key.Name, now)
	}
	was := l.state.Born[key].Print
	if was == "" {
		base := l.built(key.Name, key.ABI)
		if base.IsZero() || !base.Kind().IsData() {
			return nil
		}
		was = l.printVariable(base)
	}
	if was != now {
		return refuse(key.Name, "is a variable of type %s in the program, and of type %s in the source", was, now)
	}
	return nil
}

// printVariable returns what must be the same of a variable: its type and size.
func (l *linker) printVariable(s object.Sym) string {
	typ := "?"
	if t := l.nameOf(s.Gotype()); t != "" {
		typ = strings.TrimPrefix(t, "type:")
	}
	return fmt.Sprintf("%s (%d bytes)", typ, s.Size())
}

// nameOf returns the name of a symbol that an object may know by its number in another one only.
func (l *linker) nameOf(s object.Sym) string {
	if s.IsZero() {
		return ""
	}
	if def := l.definition(s); !def.IsZero() {
		return def.Name()
	}
	return s.Name()
}

// funcdataArgInfo is the index of the funcdata that says where the parameters are (internal/abi/symtab.go).
const funcdataArgInfo = 5

// checkCall makes sure that callers of a function which is live may call its new code.
func (l *linker) checkCall(key Key, made object.Sym) error {
	name := key.Name
	if old := l.req.Renamed[name]; old != "" {
		name = old
	}
	was, err := l.req.State.Signature(name, l.req.Built)
	if err != nil {
		return err
	}
	if now := l.stubObjs[made.Obj].Signatures[key.Name]; was != "" && now != "" && was != now {
		return refuse(key.Name, "is %s in the program, and %s in the source", was, now)
	}
	base := l.built(key.Name, key.ABI)
	if base.IsZero() || base.Kind() != object.Text {
		return nil
	}
	before, err := base.DecodeFuncInfo()
	if err != nil {
		return err
	}
	after, err := made.DecodeFuncInfo()
	if err != nil {
		return err
	}
	if before.Args != after.Args || !bytes.Equal(l.argInfo(base), l.argInfo(made)) {
		return refuse(key.Name, "has other parameters or results than in the program")
	}
	return nil
}

func (l *linker) argInfo(s object.Sym) []byte {
	fd := s.Funcdata()
	if len(fd) <= funcdataArgInfo || fd[funcdataArgInfo].Obj == nil {
		return nil
	}
	return l.definition(fd[funcdataArgInfo]).Data()
}
