package image

import (
	"strings"

	"github.com/limeade-go/limeade/reload/internal/object"
)

// seedSymtab names what the ELF symbol table names. Its functions and variables are what
// they are called even if the library has another content for them.
func (v *inversion) seedSymtab() {
	for s := range v.im.Symbols() {
		var def object.Sym
		if s.Func {
			def = v.lookupFunc(s.Name)
		} else if d := v.lib.Lookup(s.Name, object.ABI0); d.Kind() != object.Text {
			def = d
		}
		if def.IsZero() {
			if s.Func && s.Global && !strings.Contains(s.Name, ".") {
				v.foreign = append(v.foreign, Entry{s.Name, object.ABI0, s.Addr})
			}
			continue
		}
		v.stats.Seeds++
		v.assign(v.id(def), def, s.Addr, s.Size == uint64(def.Size()), object.Sym{})
	}
}

// lookupFunc finds the function of an ELF name (cmd/link/internal/ld/symtab.go,
// mangleABIName, Go 1.26).
func (v *inversion) lookupFunc(name string) object.Sym {
	if base, ok := strings.CutSuffix(name, ".abi0"); ok {
		if d := v.lib.Lookup(base, object.ABI0); d.Kind() == object.Text {
			return d
		}
	}
	for _, abi := range [...]uint16{object.ABIInternal, object.ABI0} {
		if d := v.lib.Lookup(name, abi); d.Kind() == object.Text {
			return d
		}
	}
	return object.Sym{}
}

// seedFuncs names the functions of pclntab. It does not say the ABI: where both versions
// of a function would do for an address, it names neither.
func (v *inversion) seedFuncs() {
	for f := range v.im.Funcs() {
		var def object.Sym
		n, name := 0, f.Name()
		for _, abi := range [...]uint16{object.ABIInternal, object.ABI0} {
			d := v.lib.Lookup(name, abi)
			if d.Kind() == object.Text && !v.verify(d, d, f.Entry).IsZero() {
				def, n = d, n+1
			}
		}
		if n == 1 {
			v.stats.Seeds++
			v.assign(v.id(def), def, f.Entry, false, object.Sym{})
		}
	}
}

// seedInitTasks names the packages' init tasks, to which only lists made by the linker
// point (cmd/link/internal/ld/inittask.go, Go 1.26): by the first function that a task
// runs. A task begins with two 4-byte numbers, then has its functions' addresses.
func (v *inversion) seedInitTasks() {
	const firstFunc = 8
	byFunc := make(map[uint64]object.Sym)
	for _, p := range v.lib.Packages() {
		task := v.lib.Lookup(object.PathToPrefix(p.Path)+"..inittask", object.ABI0)
		for r := range task.Relocs() {
			if r.Off != firstFunc || r.Type != object.Addr {
				continue
			}
			if id := v.id(r.Sym); id > 0 && v.places[id-1].addr != 0 {
				byFunc[v.places[id-1].addr] = task
			}
		}
	}
	lists := []Slice{v.im.Module.InitTasks}
	if id := v.id(v.lib.Lookup("runtime.runtime_inittasks", object.ABI0)); id > 0 && v.places[id-1].addr != 0 {
		addr := v.places[id-1].addr
		ptr, err1 := v.im.Word(addr)
		n, err2 := v.im.Word(addr + 8)
		if err1 == nil && err2 == nil {
			lists = append(lists, Slice{ptr, n})
		}
	}
	for _, l := range lists {
		for i := range min(l.Len, uint64(len(byFunc))) {
			addr, err1 := v.im.Word(l.Addr + 8*i)
			fn, err2 := v.im.Word(addr + firstFunc)
			if task := byFunc[fn]; err1 == nil && err2 == nil && !task.IsZero() {
				v.assign(v.id(task), task, addr, false, object.Sym{})
			}
		}
	}
}

// typeHead is how many bytes a type descriptor begins with that no relocation touches:
// size, pointer bytes, hash, flags, alignments and kind (internal/abi/type.go, Type).
const typeHead = 24

// seedTypes names the type descriptors that no relocation leads to: those kept only for
// reflection, where the linker lists them. It compares what is there with all definitions
// of types, first by their head, which has the type's hash.
func (v *inversion) seedTypes() {
	unnamed := make(map[string][]uint64) // addresses by head
	for _, addr := range v.unnamedTypes() {
		if head, err := v.im.Bytes(addr, typeHead); err == nil {
			unnamed[string(head)] = append(unnamed[string(head)], addr)
		}
	}
	if len(unnamed) == 0 {
		return
	}
	for _, o := range v.lib.Objects() {
		for i := range o.NumDefs() {
			s := o.Sym(i)
			if !s.IsGoType() {
				continue
			}
			data := s.Data()
			if len(data) < typeHead {
				continue
			}
			for _, addr := range unnamed[string(data[:typeHead])] {
				if v.matches(s, addr) {
					v.assign(v.id(s), s, addr, false, object.Sym{})
				}
			}
		}
	}
}

// unnamedTypes returns the addresses of type descriptors that have no name yet. Where the
// linker writes no list of them (from Go 1.27 on), they follow each other, and some of the
// addresses may lie inside one.
func (v *inversion) unnamedTypes() (list []uint64) {
	sizes := make(map[uint64]uint64)
	for i := range v.places {
		if p := &v.places[i]; p.addr != 0 && p.sym.IsGoType() {
			sizes[p.addr] = uint64(p.sym.Size())
		}
	}
	links, err := v.im.Typelinks()
	if err != nil {
		return nil
	}
	for _, addr := range links {
		if sizes[addr] == 0 {
			list = append(list, addr)
		}
	}
	// The first word is left free (runtime/type.go, moduleTypelinks, Go 1.27).
	const align = 8
	md := &v.im.Module
	for addr := md.Types + align; addr < md.Types+md.TypeDescLen; {
		size := sizes[addr]
		if size == 0 {
			list = append(list, addr)
		}
		addr = (addr + max(size, 1) + align - 1) &^ (align - 1)
	}
	return list
}
