package link

import (
	"encoding/binary"
	"maps"
	"slices"
	"strings"

	"github.com/limeade-go/limeade/reload/internal/object"
	"github.com/limeade-go/limeade/reload/patch"
)

// A method's signature as the linker compares it: its name, and its type's symbol
// (cmd/link/internal/ld/deadcode.go, methodsig).
type signature struct{ Name, Type string }

// Uses is what the dead-code elimination of cmd/link decides by: which interface methods are called,
// which names are looked up by reflection with a constant, whether methods are looked up by reflection
// at all, and which types reach an interface. A method is kept when its type does and its signature
// or name is used.
type Uses struct {
	Methods map[signature]bool
	Names   map[string]bool
	Reflect bool
	InIface map[string]bool // type symbols
}

func newUses() *Uses {
	return &Uses{Methods: map[signature]bool{}, Names: map[string]bool{}, InIface: map[string]bool{}}
}

// A method is one entry of the method table of a type (internal/abi.Method): three offsets in a row.
type method struct {
	signature
	off           int32 // of Mtyp, in the type's symbol; Ifn and Tfn follow
	mtyp, ifn, fn object.Sym
}

// methods reads the method table of a type's definition.
func methods(t object.Sym, lib *object.Library) []method {
	var ms []method
	names := map[int32]object.Sym{}
	var cur method
	n := 0
	for r := range t.Relocs() {
		switch r.Type {
		case object.AddrOff:
			names[r.Off] = r.Sym
		case object.MethodOff:
			switch n % 3 {
			case 0:
				cur = method{off: r.Off, mtyp: r.Sym}
			case 1:
				cur.ifn = r.Sym
			case 2:
				cur.fn = r.Sym
				ms = append(ms, cur)
			}
			n++
		}
	}
	for i := range ms {
		ms[i].Name = typeName(lib.Resolve(names[ms[i].off-4]))
		ms[i].Type = ms[i].mtyp.Name()
	}
	return ms
}

// typeName decodes a type:.namedata symbol: a flag byte, the length as a varint, the name
// (internal/abi.Name).
func typeName(s object.Sym) string {
	data := s.Data()
	if len(data) < 2 {
		return ""
	}
	n, w := binary.Uvarint(data[1:])
	if w <= 0 || uint64(len(data)-1-w) < n {
		return ""
	}
	return string(data[1+w:][:n])
}

// interfaceMethod reads the method at an offset of an interface type's definition
// (internal/abi.Imethod: offsets of its name and of its type).
func interfaceMethod(t object.Sym, off int64, lib *object.Library) signature {
	var sig signature
	for r := range t.Relocs() {
		switch {
		case int64(r.Off) == off:
			sig.Name = typeName(lib.Resolve(r.Sym))
		case int64(r.Off) == off+4:
			sig.Type = r.Sym.Name()
		}
	}
	return sig
}

// interfaceMethods lists the methods of an interface type's definition, in their order: pairs of offsets
// behind the type's head.
func interfaceMethods(t object.Sym, lib *object.Library, methodsAt int64) []signature {
	var sigs []signature
	for r := range t.Relocs() {
		if r.Type == object.AddrOff && !r.Weak && int64(r.Off) >= methodsAt && (int64(r.Off)-methodsAt)%8 == 0 {
			if sig := interfaceMethod(t, int64(r.Off), lib); sig.Name != "" && isTypeSym(sig.Type) {
				sigs = append(sigs, sig)
			}
		}
	}
	return sigs
}

// HostUses computes what the build's linker decided by, from the objects of everything that it kept.
func HostUses(h *Host) *Uses {
	u := newUses()
	var queue []object.Sym
	mark := func(t object.Sym) {
		t = h.Library.Resolve(t)
		if t.IsZero() {
			return
		}
		if t.IsItab() {
			for r := range t.Relocs() {
				if r.Off == 8 {
					t = h.Library.Resolve(r.Sym)
				}
			}
		}
		if name := t.Name(); !t.IsZero() && !u.InIface[name] {
			u.InIface[name] = true
			queue = append(queue, t)
		}
	}
	for _, p := range h.Library.Packages() {
		for _, o := range p.Objects {
			for i := range o.NumDefs() {
				if s := o.Sym(i); hasUses(s) && kept(h, s) {
					hostUse(h, u, s, mark)
				}
			}
		}
	}
	for len(queue) > 0 {
		t := queue[len(queue)-1]
		queue = queue[:len(queue)-1]
		for r := range t.Relocs() {
			if c := h.Library.Resolve(r.Sym); !r.Weak && c.IsGoType() {
				mark(c)
			}
		}
	}
	return u
}

// hasUses reports whether a definition says anything that dead-code elimination goes by.
func hasUses(s object.Sym) bool {
	if s.Kind() == object.DWARF {
		return false
	}
	if s.ReflectMethod() || s.IsGoType() && s.UsedInIface() {
		return true
	}
	for r := range s.Relocs() {
		if r.Type == object.UseIface || r.Type == object.UseIfaceMethod || r.Type == object.UseNamedMethod {
			return true
		}
	}
	return false
}

// kept reports whether the build's linker kept a definition.
func kept(h *Host, s object.Sym) bool {
	if name := s.Name(); s.IsGoType() {
		_, ok := h.Index.Addr(name, s.ABI())
		return ok
	}
	_, ok := h.Index.AddrOf(s)
	return ok
}

// hostUse notes what one definition uses.
func hostUse(h *Host, u *Uses, s object.Sym, mark func(object.Sym)) {
	u.Reflect = u.Reflect || s.ReflectMethod()
	if s.IsGoType() && s.UsedInIface() {
		mark(s)
	}
	for r := range s.Relocs() {
		switch r.Type {
		case object.UseIface:
			mark(r.Sym)
		case object.UseIfaceMethod:
			if t := h.Library.Resolve(r.Sym); !t.IsZero() {
				u.Methods[interfaceMethod(t, r.Add, h.Library)] = true
			}
		case object.UseNamedMethod:
			u.Names[usedName(h.Library.Resolve(r.Sym))] = true
		}
	}
}

// usedName reads the target of a UseNamedMethod relocation: a string constant.
func usedName(s object.Sym) string { return string(s.Data()) }

// A useSet is the host's uses, the earlier patches' and this patch's own, and finds the methods that
// have become callable by the last of them.
type useSet struct {
	l       *linker
	own     *Uses
	inIface map[object.Sym]bool // definitions in the patch
	queue   []object.Sym        // types that newly reach an interface
	sigs    []signature         // newly called
	names   []string            // newly looked up
	reflect bool                // newly used
	filled  map[uint64]bool     // slots that this patch fills
	early   []slotFill
	revived map[uint64]bool // types of the process whose tables are filled
}

// A slotFill is a pruned slot of the process, and what goes there.
type slotFill struct {
	addr   uint64
	size   int
	base   uint64 // what the stored value counts from; 0: an address
	target target
}

func newUseSet(l *linker) *useSet {
	u := &useSet{l: l, own: newUses(), inIface: map[object.Sym]bool{}, filled: map[uint64]bool{}, revived: map[uint64]bool{}}
	p := l.req.State.uses()
	u.own.Reflect = p.Reflect
	maps.Copy(u.own.Methods, p.Methods)
	maps.Copy(u.own.Names, p.Names)
	maps.Copy(u.own.InIface, p.InIface)
	return u
}

func (u *useSet) used(m signature) bool {
	h := u.l.host.Uses
	return h.Methods[m] || u.own.Methods[m] || h.Names[m.Name] || u.own.Names[m.Name] ||
		(h.Reflect || u.own.Reflect) && isExported(m.Name)
}

func isExported(name string) bool {
	return name != "" && (name[0] >= 'A' && name[0] <= 'Z' || name[0] >= 0x80 && strings.ToUpper(name[:1]) == name[:1])
}

// note takes in what a symbol of the patch uses.
func (u *useSet) note(s object.Sym) error {
	if s.ReflectMethod() && !u.own.Reflect && !u.l.host.Uses.Reflect {
		u.own.Reflect, u.reflect = true, true
	}
	for r := range s.Relocs() {
		switch r.Type {
		case object.UseIface:
			if err := u.useIface(r.Sym); err != nil {
				return err
			}
		case object.UseIfaceMethod:
			def, err := u.l.typeDef(r.Sym)
			if err != nil {
				return err
			}
			u.call(interfaceMethod(def, r.Add, u.l.libOf(def)))
		case object.UseNamedMethod:
			name := usedName(u.l.definition(r.Sym))
			if !u.own.Names[name] && !u.l.host.Uses.Names[name] {
				u.own.Names[name] = true
				u.names = append(u.names, name)
			}
		}
	}
	if s.IsGoType() && s.UsedInIface() {
		u.markType(s)
	}
	return nil
}

func (u *useSet) call(sig signature) {
	if !u.own.Methods[sig] && !u.l.host.Uses.Methods[sig] {
		u.own.Methods[sig] = true
		u.sigs = append(u.sigs, sig)
	}
}

func (u *useSet) useIface(s object.Sym) error {
	def := u.l.definition(s)
	if isItabSym(s.Name()) || def.IsItab() {
		if def.IsZero() {
			return nil // the process's own: its type reached an interface there
		}
		for r := range def.Relocs() {
			if r.Off == 8 {
				u.markType(r.Sym)
			}
		}
		return nil
	}
	u.markType(s)
	return nil
}

// markType notes that a type reaches an interface.
func (u *useSet) markType(s object.Sym) {
	def, err := u.l.typeDef(s)
	if err != nil || u.inIface[def] {
		return
	}
	u.inIface[def] = true
	u.queue = append(u.queue, def)
}

// markInterface notes that the runtime will look for all methods of an interface in a type.
func (u *useSet) markInterface(s object.Sym) error {
	def, err := u.l.typeDef(s)
	if err != nil {
		return err
	}
	for _, sig := range interfaceMethods(def, u.l.libOf(def), u.l.interfaceMethodsAt()) {
		u.call(sig)
	}
	return nil
}

// typeDef returns the definition that tells what a type is: the build's before a stub's.
func (l *linker) typeDef(s object.Sym) (object.Sym, error) {
	name := s.Name()
	if l.extends[methodsOf(name)] {
		if def := l.lib.Lookup(name, 0); !def.IsZero() {
			return def, nil
		}
	}
	if base := l.built(name, 0); !base.IsZero() {
		return base, nil
	}
	if def := l.definition(s); !def.IsZero() {
		return def, nil
	}
	return object.Sym{}, refuse(name, "is a type that no object describes")
}

func (l *linker) libOf(s object.Sym) *object.Library {
	if l.stubObjs[s.Obj] != nil {
		return l.lib
	}
	return l.host.Library
}

// interfaceMethodsAt is the offset of an interface type's methods in its symbol: behind
// abi.InterfaceType, and the uncommon type where it has one. Only offsets from there on are methods.
func (l *linker) interfaceMethodsAt() int64 {
	if t, ok := l.host.Layout.Struct("abi.InterfaceType"); ok {
		return t.Size
	}
	return 80
}

// revive makes callable what the new uses call: methods of types in the patch are linked in, and
// pruned slots of types and itabs in the process are filled. It reports whether it added anything.
func (u *useSet) revive() (bool, error) {
	more := false
	for len(u.queue) > 0 {
		t := u.queue[len(u.queue)-1]
		u.queue = u.queue[:len(u.queue)-1]
		more = true
		u.own.InIface[t.Name()] = true
		lib := u.l.libOf(t)
		for r := range t.Relocs() {
			if c := lib.Resolve(r.Sym); !r.Weak && c.IsGoType() {
				u.markType(c)
			}
		}
		for _, m := range methods(t, lib) {
			if u.used(m.signature) {
				if err := u.fill(t, m); err != nil {
					return more, err
				}
			}
		}
	}
	if len(u.sigs) == 0 && len(u.names) == 0 && !u.reflect {
		return more, nil
	}
	sigs, names, all := u.sigs, u.names, u.reflect
	u.sigs, u.names, u.reflect = nil, nil, false
	concerned := func(m signature) bool {
		return slices.Contains(sigs, m) || slices.Contains(names, m.Name) || all && isExported(m.Name)
	}
	for _, name := range u.everyType() {
		t := u.l.built(name, 0)
		if t.IsZero() {
			if t = u.l.lib.Lookup(name, 0); t.IsZero() {
				continue
			}
		}
		for _, m := range methods(t, u.l.libOf(t)) {
			if concerned(m.signature) {
				if err := u.fill(t, m); err != nil {
					return true, err
				}
			}
		}
	}
	return true, nil
}

// everyType lists the types that reach an interface, sorted.
func (u *useSet) everyType() []string {
	set := map[string]bool{}
	for t := range u.l.host.Uses.InIface {
		set[t] = true
	}
	for t := range u.own.InIface {
		set[t] = true
	}
	return sortedKeys(set)
}

// fill makes one method of one type callable.
func (u *useSet) fill(t object.Sym, m method) error {
	l := u.l
	addr, live := l.address(keyOf(t))
	if !live {
		if n := l.bySym[t]; n == nil {
			return nil // a type that neither the process nor the patch has
		}
		for _, s := range []object.Sym{m.mtyp, m.ifn, m.fn} {
			if _, err := l.target(s); err != nil {
				return err
			}
		}
		return nil
	}
	if name := methodsOf(t.Name()); l.extends[name] || l.state.Extended[name] {
		return u.fillItabs(t, m, addr) // its method table is complete
	}
	types, text := l.bases()
	for i, s := range []object.Sym{m.mtyp, m.ifn, m.fn} {
		slot := addr + uint64(m.off) + uint64(4*i)
		if u.filled[slot] {
			continue
		}
		cur, err := l.current(slot, 4)
		if err != nil {
			return err
		}
		if v := int32(binary.LittleEndian.Uint32(cur)); v != 0 && v != -1 {
			continue
		}
		tgt, err := l.target(s)
		if err != nil {
			return err
		}
		base := text
		if i == 0 {
			base = types
		}
		u.filled[slot] = true
		u.early = append(u.early, slotFill{addr: slot, size: 4, base: base, target: tgt})
	}
	u.revived[addr] = true
	return u.fillItabs(t, m, addr)
}

// fillItabs fills the pruned slots that the image's own itabs of a type have for a method.
func (u *useSet) fillItabs(t object.Sym, m method, addr uint64) error {
	l := u.l
	unreachable, ok := l.address(Key{Name: "runtime.unreachableMethod", ABI: object.ABIInternal})
	if !ok {
		return nil
	}
	for _, it := range l.host.itabsOf(addr - l.state.Bias) {
		inter, err := l.host.interfaceAt(it.inter)
		if err != nil {
			return err
		}
		for i, sig := range interfaceMethods(inter, l.host.Library, l.interfaceMethodsAt()) {
			if sig != m.signature {
				continue
			}
			slot := it.addr + l.state.Bias + itabFun + uint64(8*i)
			if u.filled[slot] {
				continue
			}
			cur, err := l.current(slot, 8)
			if err != nil {
				return err
			}
			// In a PIE, cmd/link leaves the link-time address there.
			if v := binary.LittleEndian.Uint64(cur); v != unreachable && v != unreachable-l.state.Bias {
				continue
			}
			tgt, err := l.target(m.ifn)
			if err != nil {
				return err
			}
			u.filled[slot] = true
			u.early = append(u.early, slotFill{addr: slot, size: 8, target: tgt})
		}
	}
	return nil
}

// writes returns the fills as writes, once everything has its address. Where one, or a method table, lets a type of the
// image refer to a type of a patch, the image's range of types is widened to take in the arena.
func (u *useSet) writes() ([]patch.Write, error) {
	var ws []patch.Write
	types, _ := u.l.bases()
	etypes := u.l.host.Image.Module.ETypes + u.l.state.Bias
	beyond := func(f slotFill) bool { return f.base == types && f.target.address() > etypes }
	if !u.l.state.TypesWidened && (len(u.l.extendedTypes) > 0 || slices.ContainsFunc(u.early, beyond)) {
		w, err := u.l.widenTypes()
		if err != nil {
			return nil, err
		}
		ws = append(ws, w)
		u.l.state.TypesWidened = true
	}
	for _, f := range u.early {
		old, err := u.l.current(f.addr, f.size)
		if err != nil {
			return nil, err
		}
		v := f.target.address() - f.base
		b := binary.LittleEndian.AppendUint64(nil, v)[:f.size]
		ws = append(ws, patch.Write{Addr: f.addr, Expect: old, New: b})
	}
	return ws, nil
}
