package link

import (
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
