package link

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"strings"

	"github.com/limeade-go/limeade/reload/internal/object"
)

// Whoever made the request has judged that new code and the process agree on types. The linker looks for itself: at
// the layout of each type that the new code looks into, at the type of each variable that it uses, and at how the
// functions are called that it replaces.

// A Layout is what code takes for granted of a declared type.
type Layout struct {
	Type   string // link name, as "example.com/p.T"
	Size   int64
	Struct bool
	Fields []struct {
		Name   string
		Offset int64
		Type   string // link name, "" for types that have no simple one
	}
}

// checkLayouts compares the layouts that the stubs' code takes for granted with those of the process.
func (l *linker) checkLayouts() error {
	for i := range l.req.Stubs {
		for _, layout := range l.req.Stubs[i].Layouts {
			def := l.built("type:"+layout.Type, 0)
			if _, born := l.state.Born[Key{Name: "type:" + layout.Type}]; !def.IsZero() && !born {
				if what := l.differs(def, layout); what != "" {
					return refuse(layout.Type, "is not the type that the program has: %s", what)
				}
				continue
			}
			now := fmt.Sprint(layout)
			if was, ok := l.state.Layouts[layout.Type]; ok && was != now && !l.req.New[layout.Type] {
				return refuse(layout.Type, "is not the type that the program has")
			}
			l.state.Layouts[layout.Type] = now
		}
	}
	return nil
}

// differs says in what a type's definition differs from a layout, "" if in nothing.
func (l *linker) differs(def object.Sym, layout Layout) string {
	typ, err := l.readType(def)
	if err != nil {
		return err.Error()
	}
	if int64(typ.size) != layout.Size {
		return fmt.Sprintf("it has %d bytes, not %d", typ.size, layout.Size)
	}
	if isStruct := typ.kind == kindStruct; isStruct != layout.Struct {
		return "one of them is a struct"
	}
	st, ok := l.host.Layout.Struct("abi.StructType")
	field, ok2 := l.host.Layout.Struct("abi.StructField")
	if !layout.Struct || !ok || !ok2 {
		return ""
	}
	if n := int(binary.LittleEndian.Uint64(typ.data[st.Fields["Fields"].Offset+8:])); n != len(layout.Fields) {
		return fmt.Sprintf("it has %d fields, not %d", n, len(layout.Fields))
	}
	first := relocTo(def, st.Fields["Fields"].Offset)
	for i, f := range layout.Fields {
		at := first + int64(i)*field.Size
		if at+field.Size > int64(len(typ.data)) {
			return "its descriptor is of an unknown form"
		}
		name := typeName(l.libOf(def).Resolve(relocAt(def, at+field.Fields["Name"].Offset)))
		if offset := int64(binary.LittleEndian.Uint64(typ.data[at+field.Fields["Offset"].Offset:])); name != f.Name || offset != f.Offset {
			return fmt.Sprintf("it has a field %s at %d, not %s at %d", name, offset, f.Name, f.Offset)
		}
		if of := strings.TrimPrefix(l.nameOf(relocAt(def, at+field.Fields["Typ"].Offset)), "type:"); f.Type != "" && of != f.Type {
			return fmt.Sprintf("its field %s is of type %s, not %s", f.Name, of, f.Type)
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

// checkCall makes sure that callers of a function of the build may call its new code.
func (l *linker) checkCall(key Key, made object.Sym) error {
	base := l.built(key.Name, key.ABI)
	if base.IsZero() || base.Kind() != object.Text {
		return nil
	}
	was, err := base.DecodeFuncInfo()
	if err != nil {
		return err
	}
	now, err := made.DecodeFuncInfo()
	if err != nil {
		return err
	}
	if was.Args != now.Args || !bytes.Equal(l.argInfo(base), l.argInfo(made)) {
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
