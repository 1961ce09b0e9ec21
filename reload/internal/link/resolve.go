package link

import (
	"fmt"
	"slices"
	"strings"

	"github.com/limeade-go/limeade/reload/internal/object"
)

// keyOf returns a symbol's name as others refer to it.
func keyOf(s object.Sym) Key {
	k := Key{Name: s.Name()}
	if s.Kind() == object.Text || s.ABI() == object.ABIInternal {
		k.ABI = s.ABI()
	}
	return k
}

// A contentKey tells content-addressed symbols apart. The hash of short ones does not tell how many zero
// bytes they end in (cmd/internal/goobj, Hash64).
type contentKey struct {
	hash object.ContentHash
	size uint32
	stub bool // of code: whether a stub has it, in place of the build
}

// A class says how a definition or reference is resolved.
type class uint8

const (
	byName  class = iota // one symbol for the whole process: functions, variables, types, itabs, …
	content              // equal content is the same symbol: string and constant data
	private              // belongs to the object that defines it: a name of it means nothing elsewhere
)

// classify says how references to a symbol are resolved. Names of what initialisers make are the stub's own.
func (l *linker) classify(s object.Sym) class {
	if l.stubObjs[s.Obj] != nil && (isInitialiserLiteral(s.Name()) || isNewInit(s.Name())) {
		return private
	}
	return classify(s)
}

// classify says how references to a symbol are resolved. The names of an object's statics are
// numbered anew in each compile (pkg..stmp_3, pkg.f.jump1, …), so they never match the process's.
//
// Itabs are content-addressed in object files, but the runtime compares their addresses. So are function
// literals from Go 1.27 on: see findLiteral.
func classify(s object.Sym) class {
	name := s.Name()
	switch {
	case isItabSym(name):
		return byName
	case s.IsContentHashed() && s.Kind() != object.Text:
		return content
	case s.ABI() == object.StaticABI:
		return private
	}
	if s.Kind() == object.Text || isTypeSym(name) || isItabSym(name) || strings.HasSuffix(name, "·f") || isDictSym(name) {
		return byName
	}
	if strings.HasPrefix(name, "go:") || strings.HasPrefix(name, "$") || !s.IsDef() {
		return byName
	}
	if rest, ok := withoutPackage(name); ok && strings.ContainsRune(rest, '.') {
		return private
	}
	return byName
}

func isTypeSym(name string) bool { return strings.HasPrefix(name, "type:") }
func isItabSym(name string) bool { return strings.HasPrefix(name, "go:itab.") }
func isDictSym(name string) bool {
	rest, ok := withoutPackage(name)
	return ok && strings.HasPrefix(rest, ".dict.")
}

// withoutPackage cuts the package path off a link name: "a/b%2ec.T.M" gives "T.M".
func withoutPackage(name string) (string, bool) {
	end := len(name)
	if i := strings.IndexByte(name, '['); i >= 0 {
		end = i // slashes and dots of type arguments are not the package's
	}
	slash := strings.LastIndexByte(name[:end], '/')
	dot := strings.IndexByte(name[slash+1:], '.')
	if dot < 0 {
		return name, false
	}
	return name[slash+1+dot+1:], true
}

// target resolves a reference as one object sees it.
func (l *linker) target(s object.Sym) (target, error) {
	if t, ok := l.memo[s]; ok {
		return t, nil
	}
	t, err := l.find(s, true)
	if err != nil {
		return t, err
	}
	l.memo[s] = t
	return t, nil
}

// existing resolves a weak reference: to what the process or the patch holds anyway, or to nothing.
func (l *linker) existing(s object.Sym) (target, error) { return l.find(s, false) }

// definition returns the symbol that a reference means in the library of the referring object.
func (l *linker) definition(s object.Sym) object.Sym {
	if l.stubObjs[s.Obj] != nil {
		return l.lib.Resolve(s)
	}
	return l.host.Library.Resolve(s)
}

func (l *linker) find(s object.Sym, add bool) (target, error) {
	def := l.definition(s)
	sym := s
	if def.Obj != nil {
		sym = def
	}
	switch l.classify(sym) {
	case content:
		id := contentKey{hash: sym.ContentHash(), size: sym.Size()}
		if n := l.byHash[id]; n != nil || !add {
			return target{node: n}, nil
		}
		n := l.add(sym)
		l.byHash[id] = n
		return target{node: n}, nil
	case private:
		if n := l.bySym[sym]; n != nil {
			return target{node: n}, nil
		}
		if l.stubObjs[sym.Obj] == nil && !slices.Contains(l.host.Joined, sym.Obj.Package) {
			if addr, ok := l.host.Index.AddrOf(sym); ok {
				return target{addr: addr + l.state.Bias}, nil
			}
		}
		if addr, ok := l.zeroSized(sym); ok || !add {
			return target{addr: addr}, nil
		}
		return target{node: l.add(sym)}, nil
	}

	if sym.IsContentHashed() && sym.Kind() == object.Text {
		return l.findLiteral(s, sym, add)
	}
	key := keyOf(sym)
	if n := l.byKey[key]; n != nil && (l.fresh[key] || !l.inProcess(key)) {
		return target{node: n}, nil
	}
	if addr, ok := l.address(key); ok {
		return target{addr: addr}, l.checkVariable(key, sym)
	}
	if isItabSym(key.Name) {
		return l.newItab(sym, add)
	}
	if addr, ok := l.zeroSized(sym); ok || !add {
		return target{addr: addr}, nil
	}
	if sym, err := l.choose(key, def); err != nil {
		return target{}, err
	} else {
		n := l.add(sym)
		l.byKey[key] = n
		return target{node: n}, nil
	}
}

// findLiteral resolves a reference to a function literal that has no name of its own: all forms of a literal are called
// the same, and each has what it knows of the captured variables compiled into it. A stub's code makes its own.
func (l *linker) findLiteral(s, def object.Sym, add bool) (target, error) {
	if l.stubObjs[s.Obj] != nil && s.IsContentHashed() {
		def = s
	}
	id := contentOf(def, l.stubObjs[def.Obj] != nil)
	if n := l.byHash[id]; n != nil {
		return target{node: n}, nil
	}
	if addr, ok := l.host.Index.AddrOf(def); ok && !id.stub {
		return target{addr: addr + l.state.Bias}, nil
	}
	if !add {
		return target{}, nil
	}
	if !id.stub {
		var err error
		if def, err = l.choose(keyOf(def), def); err != nil {
			return target{}, err
		}
	}
	n := l.add(def)
	l.byHash[id] = n
	return target{node: n}, nil
}

func contentOf(s object.Sym, stub bool) contentKey {
	return contentKey{s.ContentHash(), s.Size(), stub}
}

// zeroSized returns where variables without size lie, all at the same address (cmd/link/internal/ld/data.go,
// dodataSect), if the symbol is one.
func (l *linker) zeroSized(s object.Sym) (uint64, bool) {
	if !s.IsDef() || s.Size() != 0 || s.Kind() != object.NoPtrBSS && s.Kind() != object.BSS {
		return 0, false
	}
	return l.address(Key{Name: "runtime.zerobase"})
}

func (l *linker) inProcess(key Key) bool {
	_, ok := l.address(key)
	return ok
}

// address of a symbol that the process has already.
func (l *linker) address(key Key) (uint64, bool) {
	return l.state.address(l.host, key)
}

// thinField is in the names of what a thin type shows in (stub.ThinField, which link must not import).
const thinField = "limeadeThin"

// choose picks the definition of a named symbol that the process lacks: the build's own object of it,
// which is whole, before a stub's, which may be shaped; but a stub's where the source has changed.
func (l *linker) choose(key Key, def object.Sym) (object.Sym, error) {
	inStub := def.Obj != nil && l.stubObjs[def.Obj] != nil
	if strings.Contains(key.Name, thinField) {
		return def, ErrThin
	}
	if isDictSym(key.Name) {
		// What a dictionary holds follows from the body of its function, as types and variables do not.
		if !inStub {
			l.needStale(strings.Replace(key.Name, "..dict.", ".", 1))
		}
		if def.Obj != nil {
			return def, nil
		}
	}
	base := def
	if def.Obj == nil || inStub {
		base = l.built(key.Name, key.ABI)
	}
	if isTypeSym(key.Name) {
		switch name := methodsOf(key.Name); {
		case l.extends[name] && inStub && !l.stubObjs[def.Obj].Shaped[name]:
			return def, nil
		case l.extends[name] || l.state.Extended[name]:
			l.needWhole[name] = true
			return base, nil
		}
	}
	if base.Obj != nil && key.ABI == object.ABIInternal && base.Kind() == object.Text {
		if l.needStale(key.Name) {
			return base, nil
		}
		if isInitialiserLiteral(key.Name) {
			return l.remade(base)
		}
		made := l.lib.Lookup(key.Name, key.ABI)
		isMade := made.Obj != nil && l.stubObjs[made.Obj] != nil
		if l.isWrapper(base) && (l.wrapsStale(base) || isMade && l.wrapsStale(made)) {
			if typ, ok := receiver(key.Name); ok && !isMade {
				l.needWhole[typ] = true // its stub then has all that is made of its methods
				return base, nil
			}
			return made, nil
		}
	}
	if base.Obj != nil {
		return base, nil
	}
	if def.Obj == nil {
		return def, refuse(key.Name, "is not in the program, nor in any object that it was built from")
	}
	stub := l.stubObjs[def.Obj]
	switch {
	case isTypeSym(key.Name):
		for typ := range stub.Shaped {
			if mentions(key.Name, typ) {
				l.needWhole[typ] = true
			}
		}
	case stub.Hollow[key.Name]:
		l.needBody[key.Name] = true
	case def.Kind().IsData() && !isGenerated(key.Name) && !l.req.New[key.Name] && def.Kind() != object.BSS && def.Kind() != object.NoPtrBSS:
		return def, refuse(key.Name, "is a package variable that the program lacks, and has a value")
	}
	return def, nil
}

// wrapsStale reports whether a function that the compiler made up calls or has inlined one whose recorded object is out
// of date.
func (l *linker) wrapsStale(s object.Sym) bool {
	wrapped := callees(s)
	if fi, err := s.DecodeFuncInfo(); err == nil {
		for _, c := range fi.InlTree {
			wrapped = append(wrapped, c.Func.Name())
		}
	}
	if pkg, method, ok := strings.Cut(s.Name(), ".(*"); ok { // nothing may be left of the value's method
		wrapped = append(wrapped, pkg+"."+strings.Replace(method, ")", "", 1))
	}
	return slices.ContainsFunc(wrapped, func(name string) bool {
		return slices.ContainsFunc(owners(name), func(decl string) bool {
			return l.funcs[decl] || l.req.Stale != nil && l.req.Stale(decl)
		})
	})
}

// needStale asks for the declaration that a function symbol belongs to, and tells so, if its recorded object
// is out of date.
func (l *linker) needStale(name string) bool {
	if l.req.Stale == nil {
		return false
	}
	for _, decl := range owners(name) {
		if l.req.Stale(decl) && !l.funcs[decl] {
			l.needBody[decl] = true
			return true
		}
	}
	return false
}

// mentions reports whether the name of a symbol has the name of a declaration in it as a word.
func mentions(sym, name string) bool {
	for at := 0; ; {
		i := strings.Index(sym[at:], name)
		if i < 0 {
			return false
		}
		begin, end := at+i, at+i+len(name)
		if (end == len(sym) || !isIdent(sym[end])) && (begin == 0 || !isIdent(sym[begin-1]) && !strings.ContainsRune("/-~%", rune(sym[begin-1]))) {
			return true
		}
		at = end
	}
}

func isIdent(c byte) bool {
	return c == '_' || c >= '0' && c <= '9' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= 0x80
}

// isGenerated reports whether a data symbol's name is one that the compiler makes up.
func isGenerated(name string) bool {
	return strings.HasPrefix(name, "go:") || strings.HasPrefix(name, "type:") || strings.Contains(name, "..") || strings.Contains(name, "·")
}

// add puts a symbol into the patch.
func (l *linker) add(s object.Sym) *node {
	if n := l.bySym[s]; n != nil {
		return n
	}
	n := &node{sym: s, key: keyOf(s), base: l.stubObjs[s.Obj] == nil}
	switch kind := s.Kind(); kind {
	case object.Text:
		n.seg = segText
	case object.Data, object.BSS:
		n.seg = segData
	case object.NoPtrData, object.CoverageAuxVar:
		n.seg = segNoPtr
	case object.NoPtrBSS, object.CoverageCounter, object.LibfuzzerCounter:
		n.seg = segNoPtrZ
	default:
		n.seg = segROData
	}
	l.bySym[s] = n
	l.nodes = append(l.nodes, n)
	l.work = append(l.work, n)
	return n
}

// resolve follows every reference of what the patch holds until nothing new is needed.
func (l *linker) resolve() error {
	for {
		for len(l.work) > 0 {
			n := l.work[len(l.work)-1]
			l.work = l.work[:len(l.work)-1]
			if err := l.visit(n); err != nil {
				return err
			}
		}
		if more, err := l.uses.revive(); err != nil {
			return err
		} else if !more && len(l.work) == 0 {
			break
		}
	}
	if len(l.needBody) > 0 {
		return &NeedBody{Decls: sortedKeys(l.needBody)}
	}
	if len(l.needWhole) > 0 {
		return &NeedWhole{Types: sortedKeys(l.needWhole)}
	}
	for _, n := range l.inits {
		n.early = true
		l.calls = append(l.calls, target{node: n})
	}
	l.twin()
	return nil
}

func sortedKeys(m map[string]bool) []string {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}

// visit resolves the references of one symbol of the patch.
func (l *linker) visit(n *node) error {
	s := n.sym
	isType := s.IsGoType()
	if err := l.uses.note(s); err != nil {
		return err
	}
	if err := l.outlinedInit(n); err != nil {
		return err
	}
	for i, count := 0, s.NumRelocs(); i < count; i++ {
		r := s.Reloc(i)
		if r.Weak && r.Type == object.Call && isMapInit(r.Sym.Name()) {
			if _, err := l.noMapInit(); err != nil {
				return err
			}
		}
		if r.IsMarker() || r.Sym.Obj == nil || r.Weak {
			continue
		}
		if r.Type == object.MethodOff && n.base {
			continue // methods of types: see useSet
		}
		switch r.Type {
		case object.Addr, object.AddrOff, object.PCRel, object.Call, object.GOTPCRel, object.MethodOff:
		case object.TLSLE, object.TLSIE:
			continue
		default:
			return refuse(s.Name(), "has a relocation of a kind that is not known here (%v, %d bytes)", r.Type, r.Size)
		}
		t, err := l.target(r.Sym)
		if err == nil && t.itab != nil && r.Add != 0 && r.Add != itabHash {
			_, err = l.itabWord(r)
		}
		if err != nil {
			return fmt.Errorf("%s: %w", s.Name(), err)
		}
		if isType && t.node != nil && l.uses.inIface[s] {
			l.uses.markType(r.Sym)
		}
	}
	if n.seg == segText {
		for _, fd := range s.Funcdata() {
			if fd.Obj != nil && !l.missingFuncdata(s, fd) {
				if _, err := l.funcdata(fd); err != nil {
					return fmt.Errorf("%s: %w", s.Name(), err)
				}
			}
		}
	}
	return nil
}

// funcdata puts what a function's tables refer to into the patch, whether or not the image has it too:
// it is found by its distance from the patch's own tables.
func (l *linker) funcdata(s object.Sym) (*node, error) {
	def := l.definition(s)
	if def.IsZero() {
		return nil, refuse(s.Name(), "is missing from the objects")
	}
	if !def.IsContentHashed() {
		return l.add(def), nil
	}
	t, err := l.target(def)
	return t.node, err
}

// missingFuncdata reports whether a function's funcdata is one that the assembler only hopes for:
// cmd/internal/obj names the argument maps of assembly functions whether or not a Go declaration
// made the compiler emit them (cmd/link/internal/ld/pcln.go, ignoreFuncData).
func (l *linker) missingFuncdata(fn, fd object.Sym) bool {
	if !fn.Obj.FromAssembly {
		return false
	}
	def := l.definition(fd)
	return def.Obj == nil || def.Size() == 0
}

// outlinedInit arranges for the initialiser of a map variable to run that the build's linker pruned
// together with the variable: the compiler outlines it as pkg.map.init.N, which the package's init
// calls by a weak relocation only (cmd/link/internal/ld/deadcode.go, mapinitcleanup).
func (l *linker) outlinedInit(n *node) error {
	if !n.base || !n.sym.Kind().IsData() {
		return nil
	}
	rest, ok := withoutPackage(n.key.Name)
	if !ok || strings.ContainsRune(rest, '.') {
		return nil
	}
	for _, fn := range mapInits(n.sym.Obj) {
		if l.inProcess(keyOf(fn)) {
			continue // it ran; it may read n, but it does not initialise it
		}
		for i, count := 0, fn.NumRelocs(); i < count; i++ {
			if r := fn.Reloc(i); r.Sym.Obj != nil && l.definition(r.Sym) == n.sym {
				t, err := l.target(fn)
				if err != nil {
					return err
				}
				if l.joining[n.sym.Obj.Package] {
					break // the init function of its package calls it
				}
				if !slices.ContainsFunc(l.calls, func(c target) bool { return c == t }) {
					l.calls = append(l.calls, t)
				}
				break
			}
		}
	}
	return nil
}

// mapInits returns the outlined map initialisers of an object.
func mapInits(o *object.Object) []object.Sym {
	var fns []object.Sym
	for i := range o.NumDefs() {
		if s := o.Sym(i); s.Kind() == object.Text && isMapInit(s.Name()) {
			fns = append(fns, s)
		}
	}
	return fns
}
