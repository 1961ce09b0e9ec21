package link

import (
	"bytes"
	"encoding/binary"
	"regexp"
	"slices"
	"strings"

	"github.com/limeade-go/limeade/reload/internal/layout"
	"github.com/limeade-go/limeade/reload/internal/object"
	"github.com/limeade-go/limeade/reload/patch"
)

// Types of the process get and lose methods by a method table of the patch, which their descriptors are led to. The
// stub's own descriptor of the type is linked for the sake of its table: nothing refers to the rest of it. All methods are
// linked in, whether or not somebody can call them, so that the table never has to be filled.

// An extended type is one whose method table is in the patch.
type extended struct {
	live   uint64 // address of the process's descriptor
	node   *node  // the stub's
	common int64  // offset of the abi.UncommonType
	table  int64  // offset of the methods
}

// extend finds the descriptors whose method tables change.
func (l *linker) extend() error {
	for _, name := range l.req.Methods {
		if sym, ok := l.unnamedWith(name); ok {
			return refuse(name, "is embedded in %s, whose method table cannot be replaced", sym)
		}
		for _, sym := range []string{"type:" + name, "type:*" + name} {
			if err := l.extendType(sym); err != nil {
				return err
			}
		}
	}
	return nil
}

// unnamedWith returns a struct type of the process that has no name and embeds a type.
func (l *linker) unnamedWith(name string) (string, bool) {
	field := regexp.MustCompile(`struct \{(.*;)? \*?` + regexp.QuoteMeta(name) + `(;| \}| ")`)
	for e := range l.host.Index.All("type:") {
		if strings.Contains(e.Name, "struct {") && field.MatchString(e.Name) {
			return e.Name, true
		}
	}
	for key := range l.state.Born {
		if isTypeSym(key.Name) && field.MatchString(key.Name) {
			return key.Name, true
		}
	}
	return "", false
}

// methodsOf returns the name of the type in whose method table the methods of a type symbol are.
func methodsOf(sym string) string { return strings.TrimPrefix(strings.TrimPrefix(sym, "type:"), "*") }

func (l *linker) extendType(sym string) error {
	def := l.lib.Lookup(sym, 0)
	if def.IsZero() || l.stubObjs[def.Obj] == nil {
		return nil // neither the new source nor the process has anything of it
	}
	stub := l.stubObjs[def.Obj]
	if name := methodsOf(sym); stub.Shaped[name] {
		l.needWhole[name] = true
		return nil
	}
	addr, live := l.address(Key{Name: sym})
	if !live {
		return nil // it is linked as it is
	}
	e := extended{live: addr}
	var err error
	if e.common, e.table, err = l.uncommon(def); err != nil {
		return err
	}
	if e.common == 0 {
		return nil // it has no methods and had none, or nothing tells it
	}
	if l.req.State.noRoom(l.host, addr) {
		return nil // nothing can be told of it: see NoMethods
	}
	if err := l.sameHead(def, addr, e.common, e.table); err != nil {
		return err
	}
	n := &node{sym: def, key: Key{Name: sym}, seg: segROData, shadow: true}
	l.nodes = append(l.nodes, n)
	l.work = append(l.work, n)
	e.node = n
	l.extendedTypes = append(l.extendedTypes, e)
	for _, m := range methods(def, l.libOf(def)) {
		for _, s := range []object.Sym{m.mtyp, m.ifn, m.fn} {
			if _, err := l.target(s); err != nil {
				return err
			}
		}
	}
	return nil
}

// Offsets of the fields of abi.UncommonType behind PkgPath: the numbers of methods and of exported ones, in two bytes
// each, and where the methods are, counted from the UncommonType.
const (
	uncommonCounts = 4
	uncommonMoff   = 8
)

const tflagUncommon = 1 << 0

// uncommon returns where a type's definition has its abi.UncommonType and its methods; 0 if it has none.
func (l *linker) uncommon(def object.Sym) (common, table int64, err error) {
	typ, err := l.readType(def)
	if err != nil {
		return 0, 0, err
	}
	head, ok := l.host.Layout.Struct("abi.Type")
	if !ok || typ.data[head.Fields["TFlag"].Offset]&tflagUncommon == 0 {
		return 0, 0, nil
	}
	// The UncommonType follows what the kind of type has (internal/abi/type.go, Uncommon).
	if of, ok := l.kindStruct(typ.kind); !ok {
		return 0, 0, refuse(def.Name(), "is a type of unknown layout")
	} else if of.Size > 0 {
		head = of
	}
	common = head.Size
	if int64(len(typ.data)) < common+uncommonMoff+4 {
		return 0, 0, refuse(def.Name(), "is a type of unknown layout")
	}
	return common, common + int64(binary.LittleEndian.Uint32(typ.data[common+uncommonMoff:])), nil
}

// kindStructs are the kinds of types that have more than an abi.Type. That of maps is an alias up to Go 1.25.
var kindStructs = map[byte][]string{
	17: {"ArrayType"}, 18: {"ChanType"}, 19: {"FuncType"}, 20: {"InterfaceType"}, 21: {"MapType", "mapType"}, 22: {"PtrType"}, 23: {"SliceType"}, 25: {"StructType"},
}

// kindStruct returns the layout of the descriptors of a kind of types; the zero Struct where they are an abi.Type and
// nothing else. It fails where the runtime has it otherwise.
func (l *linker) kindStruct(kind byte) (layout.Struct, bool) {
	names := kindStructs[kind]
	for _, name := range names {
		if of, ok := l.host.Layout.Struct("abi." + name); ok {
			return of, true
		}
	}
	return layout.Struct{}, names == nil
}

// sameHead makes sure that the process's descriptor says of a type what the new one says, but for the methods.
func (l *linker) sameHead(def object.Sym, addr uint64, common, table int64) error {
	name := def.Name()
	data := make([]byte, table)
	copy(data, def.Data()) // it may end in zeros that are not there
	live, err := l.current(addr, len(data))
	if err != nil {
		return err
	}
	live = bytes.Clone(live)
	blank := func(off int64, n int) {
		clear(data[off:][:n])
		clear(live[off:][:n])
	}
	blank(common+uncommonCounts, 8)
	for r := range def.Relocs() {
		if int64(r.Off) >= table || r.IsMarker() {
			continue
		}
		if r.Type == object.Addr && !r.Weak && isTypeSym(r.Sym.Name()) && !strings.HasPrefix(r.Sym.Name(), "type:.") && r.Sym.Name() != name {
			t, err := l.existing(r.Sym)
			if err != nil {
				return err
			}
			word, err := l.current(addr+uint64(r.Off), 8)
			if err != nil {
				return err
			}
			if t.addr == 0 || binary.LittleEndian.Uint64(word) != t.addr+uint64(r.Add) {
				return refuse(name, "is not the type that the program has: it refers to another %s", r.Sym.Name())
			}
		}
		blank(int64(r.Off), int(r.Size))
	}
	if !bytes.Equal(data, live) {
		return refuse(name, "is not the type that the program has")
	}
	return nil
}

// methodWrites lists what leads the descriptors to their new tables, once everything has its address.
func (l *linker) methodWrites() (patch.Methods, error) {
	var m patch.Methods
	if len(l.extendedTypes) == 0 {
		return m, nil
	}
	for _, e := range l.extendedTypes {
		at := e.live + uint64(e.common)
		counts := make([]byte, 4)
		copy(counts, e.node.sym.Data()[e.common+uncommonCounts:])
		moff := binary.LittleEndian.AppendUint32(nil, uint32(e.node.addr+uint64(e.table)-at))
		for _, w := range []patch.Write{{Addr: at + uncommonCounts, New: counts}, {Addr: at + uncommonMoff, New: moff}} {
			var err error
			if w.Expect, err = l.current(w.Addr, 4); err != nil {
				return m, err
			}
			if !bytes.Equal(w.Expect, w.New) {
				m.Tables = append(m.Tables, w)
			}
		}
		names, err := l.nameWrites(e)
		if err != nil {
			return m, err
		}
		m.Tables = append(m.Tables, names...)
		m.Types = append(m.Types, e.live)
	}
	var err error
	m.Caches, err = l.caches()
	return m, err
}

// nameWrites leads the fields of a struct to their new names, of which tags are a part.
func (l *linker) nameWrites(e extended) ([]patch.Write, error) {
	def := e.node.sym
	typ, err := l.readType(def)
	if err != nil || typ.kind != kindStruct {
		return nil, err
	}
	st, ok := l.host.Layout.Struct("abi.StructType")
	field, ok2 := l.host.Layout.Struct("abi.StructField")
	if !ok || !ok2 {
		return nil, refuse(def.Name(), "is a struct type of unknown layout")
	}
	var list []patch.Write
	fields := relocTo(def, st.Fields["Fields"].Offset)
	for i := range int64(binary.LittleEndian.Uint64(typ.data[st.Fields["Fields"].Offset+8:])) {
		at := fields + i*field.Size + field.Fields["Name"].Offset
		now := bytes.Clone(l.ro.buf[e.node.addr+uint64(at)-l.ro.base:][:8])
		was, err := l.current(e.live+uint64(at), 8)
		if err != nil {
			return nil, err
		}
		name := l.libOf(def).Resolve(relocAt(def, at)).Data()
		if old, err := l.current(binary.LittleEndian.Uint64(was), len(name)); err != nil || !bytes.Equal(old, name) {
			list = append(list, patch.Write{Addr: e.live + uint64(at), Expect: was, New: now})
		}
	}
	return list, nil
}

// What a type assertion and a type switch remember, by what is remembered of nothing (cmd/compile/internal/ssagen/ssa.go,
// and walk/switch.go; runtime/iface.go).
var emptyCaches = map[string]string{
	"..typeAssert.": "runtime.emptyTypeAssertCache", "..interfaceSwitch.": "runtime.emptyInterfaceSwitchCache",
}

// cacheOf returns the name of the empty cache that a symbol's first word points to when it is linked; "" if it is no
// type assertion nor a type switch.
func cacheOf(name string) string {
	for part, empty := range emptyCaches {
		if strings.Contains(name, part) {
			return empty
		}
	}
	return ""
}

// caches lists those of the process. The patch's own are empty.
func (l *linker) caches() ([]patch.Cache, error) {
	var list []patch.Cache
	add := func(addr uint64, empty string) error {
		at, ok := l.host.Index.Addr(empty, 0)
		if !ok {
			return refuse(empty, "is not in the program")
		}
		list = append(list, patch.Cache{Addr: addr, Empty: at + l.state.Bias})
		return nil
	}
	for _, c := range l.host.caches() {
		if err := add(c.addr+l.state.Bias, c.empty); err != nil {
			return nil, err
		}
	}
	for addr, empty := range l.state.Caches {
		if err := add(addr, empty); err != nil {
			return nil, err
		}
	}
	slices.SortFunc(list, func(a, b patch.Cache) int { return int(int64(a.Addr - b.Addr)) })
	return list, nil
}

// A hostCache is a type assertion or type switch of the image, at its link-time address.
type hostCache struct {
	addr  uint64
	empty string
}

func (h *Host) caches() []hostCache {
	h.onceCaches.Do(func() {
		for lib := h.Library; lib != nil; lib = lib.Base() {
			if lib.Base() != nil {
				continue // what joined is no part of the image
			}
			for _, o := range lib.Objects() {
				for i := range o.NumDefs() {
					s := o.Sym(i)
					if !s.Kind().IsData() {
						continue
					}
					if empty := cacheOf(s.Name()); empty != "" {
						if addr, ok := h.Index.AddrOf(s); ok {
							h.cacheList = append(h.cacheList, hostCache{addr, empty})
						}
					}
				}
			}
		}
	})
	return h.cacheList
}

// NoMethods reports whether the process has a descriptor of pointers to a type that has no room for methods.
func (s *State) NoMethods(h *Host, typ string) bool {
	addr, ok := s.address(h, Key{Name: "type:*" + typ})
	return ok && s.noRoom(h, addr)
}

// noRoom reports whether the descriptor at an address has no abi.UncommonType.
func (s *State) noRoom(h *Host, addr uint64) bool {
	head, ok := h.Layout.Struct("abi.Type")
	if !ok {
		return false
	}
	flag := addr + uint64(head.Fields["TFlag"].Offset)
	data, ok := s.chunk(flag, 1)
	if !ok {
		var err error
		if data, err = h.Image.Bytes(flag-s.Bias, 1); err != nil {
			return false
		}
	}
	return data[0]&tflagUncommon == 0
}

// sameMethod reports whether the process has a method with the same parameters and results as the new one: then
// interfaces that hold values of its type get the new code.
func (l *linker) sameMethod(name string) bool {
	recv, ok := receiver(name)
	if !ok || !IsMethod(name) {
		return false
	}
	find := func(t object.Sym) string {
		for _, m := range methods(t, l.libOf(t)) {
			if strings.HasSuffix(name, "."+m.Name) {
				return m.Type
			}
		}
		return ""
	}
	was, is := l.host.Library.Lookup("type:*"+recv, 0), l.lib.Lookup("type:*"+recv, 0)
	return !was.IsZero() && !is.IsZero() && find(was) != "" && find(was) == find(is)
}
