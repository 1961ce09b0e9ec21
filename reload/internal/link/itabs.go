package link

import (
	"strings"

	"github.com/limeade-go/limeade/reload/internal/object"
)

// itabFun is where an itab's methods begin: behind its interface's and type's addresses and a hash
// (internal/abi/iface.go, ITab).
const itabFun = 24

// A hostItab is an itab of the image, at link-time addresses.
type hostItab struct{ addr, inter uint64 }

// itabTables are the image's itabs, by their types.
type itabTables struct {
	byType     map[uint64][]hostItab
	byPair     map[[2]uint64]uint64 // interface and type
	interfaces map[uint64]string    // names of type symbols
}

func (h *Host) itabs() *itabTables {
	h.onceItabs.Do(func() {
		t := &h.itabTables
		t.byType, t.byPair, t.interfaces = map[uint64][]hostItab{}, map[[2]uint64]uint64{}, map[uint64]string{}
		list, err := h.Image.Itabs()
		if err != nil {
			return // none are found: the runtime makes what is needed
		}
		for _, addr := range list {
			inter, err1 := h.Image.Word(addr)
			typ, err2 := h.Image.Word(addr + 8)
			if err1 != nil || err2 != nil {
				continue
			}
			t.byType[typ] = append(t.byType[typ], hostItab{addr, inter})
			t.byPair[[2]uint64{inter, typ}] = addr
			t.interfaces[inter] = ""
		}
		for e := range h.Index.All("type:") {
			if _, ok := t.interfaces[e.Addr]; ok {
				t.interfaces[e.Addr] = e.Name
			}
		}
	})
	return &h.itabTables
}

// itabsOf lists the image's itabs of a type.
func (h *Host) itabsOf(typ uint64) []hostItab { return h.itabs().byType[typ] }

// itabOf returns the image's itab for an interface and a type.
func (h *Host) itabOf(inter, typ uint64) (uint64, bool) {
	addr, ok := h.itabs().byPair[[2]uint64{inter, typ}]
	return addr, ok
}

// interfaceAt returns the definition of an interface type of the image that has itabs.
func (h *Host) interfaceAt(addr uint64) (object.Sym, error) {
	name := h.itabs().interfaces[addr]
	def := h.Library.Lookup(name, 0)
	if def.IsZero() {
		return def, refuse(name, "is an interface type that no object describes (at %#x)", addr)
	}
	return def, nil
}

// newItab resolves a reference to an itab that the process lacks.
func (l *linker) newItab(s object.Sym, add bool) (target, error) {
	name := s.Name()
	if t := l.byItab[name]; t != nil {
		return target{itab: t}, nil
	}
	if !add {
		return target{}, nil
	}
	if !s.IsDef() {
		return target{}, refuse(name, "is not in the program, nor in any object that it was built from")
	}
	// runtime.itab begins with its interface's and its type's address (internal/abi/iface.go).
	var pair [2]object.Sym
	for i, count := 0, s.NumRelocs(); i < count; i++ {
		if r := s.Reloc(i); r.Type == object.Addr && (r.Off == 0 || r.Off == 8) {
			pair[r.Off/8] = r.Sym
		}
	}
	if pair[0].Obj == nil || pair[1].Obj == nil {
		return target{}, refuse(name, "is an itab of unknown form")
	}
	if unimplemented(s) {
		return target{node: l.add(s)}, nil
	}
	it := &itab{}
	l.byItab[name] = it
	var err error
	if it.inter, err = l.target(pair[0]); err != nil {
		return target{}, err
	}
	if it.typ, err = l.target(pair[1]); err != nil {
		return target{}, err
	}
	if it.inter.itab != nil || it.typ.itab != nil {
		return target{}, refuse(name, "is an itab of unknown form")
	}
	if it.inter.addr != 0 && it.typ.addr != 0 {
		bias := l.state.Bias
		if own, ok := l.host.itabOf(it.inter.addr-bias, it.typ.addr-bias); ok {
			delete(l.byItab, name)
			return target{addr: own + bias}, nil
		}
	}
	if typ, ok := strings.CutPrefix(pair[1].Name(), "type:*"); ok && l.extends[typ] && it.typ.addr != 0 && l.req.State.noRoom(l.host, it.typ.addr) {
		return target{}, refuse("*"+typ, "is put into an interface, and had no methods when the program was linked: its description has no room for any")
	}
	l.uses.markType(pair[1])
	if err := l.uses.markInterface(pair[0]); err != nil {
		return target{}, err
	}
	l.itabs = append(l.itabs, it)
	return target{itab: it}, nil
}

// unimplemented reports whether an itab has no methods: dictionaries have such ones for instances in which a type
// does not implement the interface, so that no value has it (cmd/compile/internal/reflectdata/reflect.go, writeITab).
func unimplemented(itab object.Sym) bool {
	for r := range itab.Relocs() {
		if r.Type == object.Addr && r.Off > 8 {
			return false
		}
	}
	return true
}

// itabWord resolves what a word inside of an itab points to that the process lacks: the compiler loads
// methods straight from itabs that it knows.
func (l *linker) itabWord(r object.Reloc) (target, error) {
	def := l.definition(r.Sym)
	for w := range def.Relocs() {
		if int64(w.Off) == r.Add && w.Type == object.Addr {
			return l.target(w.Sym)
		}
	}
	return target{}, refuse(r.Sym.Name(), "is read at offset %d, where it has no address", r.Add)
}
