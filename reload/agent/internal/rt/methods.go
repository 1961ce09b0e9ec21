//go:build linux && amd64 && go1.25

package rt

import (
	"unsafe"

	"github.com/limeade-go/limeade/reload/patch"
)

// Methods makes what the runtime concluded from the method tables of some types follow a change of these.
//
// The runtime keeps an itab for each pair of an interface and a type that it was asked for, also where the type does not
// implement the interface (no method, runtime/iface.go, getitab). Values of interfaces point at itabs, and are compared by
// them; so an itab that was ever good stays the only one of its pair: while its type lacks a method, another one without
// methods stands for it in the table.
type Methods struct {
	patch.Methods
	r     *Runtime
	init  func(itab uintptr, firstTime bool) (missing string) // runtime.itabInit: without firstTime it only looks
	spare []*emptyItab
}

// An emptyItab says that a type does not implement an interface. It is found through the runtime's table alone, which the
// garbage collector does not look into.
type emptyItab struct {
	words [itabWords]uintptr
	real  uintptr // the itab that it stands for; 0 while it stands for none
}

// itabWords are an itab's with one method: interface, type, hash, method (internal/abi/iface.go, Go 1.27).
const itabWords = 4

// emptied are all that were ever in the runtime's table. What changes it comes one after the other.
var emptied []*emptyItab

// spareItabs is how many itabs the runtime may make of the types between a look at its table and the stop.
const spareItabs = 256

// NewMethods prepares a change. It allocates what the stop will need.
func NewMethods(r *Runtime, m patch.Methods) *Methods {
	list := &Methods{Methods: m, r: r, init: function[func(uintptr, bool) string](r.ItabInit)}
	if len(m.Types) == 0 {
		return list
	}
	if r.ModuleTypelinks != 0 {
		// The list of the image's types is made by walking over their descriptors, whose lengths follow from where the methods
		// are (Go 1.27, runtime/type.go). It is made once: now.
		r.moduleTypelinks(uintptr(r.FirstModuleData))
	}
	n := spareItabs
	r.itabsOf(m.Types, func(*uintptr) { n++ })
	list.spare = make([]*emptyItab, 0, n)
	for range n {
		list.spare = append(list.spare, new(emptyItab))
	}
	emptied = append(make([]*emptyItab, 0, len(emptied)+n), emptied...)
	return list
}

// itabsOf calls f for each place in the runtime's table that has an itab of one of the types.
//
//go:norace
//go:nocheckptr
func (r *Runtime) itabsOf(types []uint64, f func(place *uintptr)) {
	table := load(uintptr(r.ItabTable))
	for i := range load(table + uintptr(r.ItabTableSizeOffset)) {
		place := table + uintptr(r.ItabTableEntriesOffset) + 8*i
		if itab := load(place); itab != 0 && contains(types, uint64(load(itab+uintptr(r.ItabTypeOffset)))) {
			f((*uintptr)(pointer(place)))
		}
	}
}

// ready reports whether there is room for what inStop will do.
//
//go:norace
func (m *Methods) ready() bool {
	n := 0
	m.r.itabsOf(m.Types, func(*uintptr) { n++ })
	return n <= len(m.spare)
}

// inStop does it, after the tables were written. Nothing of it allocates.
//
//go:norace
//go:nocheckptr
func (m *Methods) inStop() {
	if len(m.Types) > 0 {
		m.r.itabsOf(m.Types, m.follow)
	}
	for _, c := range m.Caches {
		store(uintptr(c.Addr), uintptr(c.Empty))
	}
}

// follow makes one itab what the method table of its type says now.
//
//go:norace
//go:nocheckptr
func (m *Methods) follow(place *uintptr) {
	r := m.r
	itab := *place
	good := m.init(itab, false) == ""
	was := load(itab+uintptr(r.ItabFunOffset)) != 0
	switch {
	case good && !was:
		for _, e := range emptied {
			if uintptr(unsafe.Pointer(&e.words)) == itab {
				itab = e.real
				*place = itab
				break
			}
		}
		m.complete(itab)
	case good:
		m.complete(itab)
	case was:
		e := m.spare[len(m.spare)-1]
		m.spare = m.spare[:len(m.spare)-1]
		for i := range e.words[:itabWords-1] {
			e.words[i] = load(itab + 8*uintptr(i))
		}
		e.real = itab
		emptied = append(emptied, e)
		*place = uintptr(unsafe.Pointer(&e.words))
	}
}

// complete takes the methods over into an itab that the runtime made. The image's own are read-only, and what they hold
// are first addresses of functions, which lead to the newest code.
//
//go:norace
//go:nocheckptr
func (m *Methods) complete(itab uintptr) {
	text := load(uintptr(m.r.FirstModuleData) + uintptr(m.r.ModTextOffset))
	if itab-text > 2<<30 {
		m.init(itab, true)
		m.r.setHash(itab)
	}
}
