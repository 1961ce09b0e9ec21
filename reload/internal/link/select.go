package link

import (
	"crypto/sha256"
	"encoding/binary"
	"regexp"
	"slices"
	"strings"

	"github.com/limeade-go/limeade/reload/internal/image"
	"github.com/limeade-go/limeade/reload/internal/object"
)

// owners lists the declarations that a function symbol may belong to, the longest name first:
// "p.F[go.shape.int].func1" gives "p.F.func1" and "p.F". Which of them exists only the source knows.
// "p.init.0" is an init function, and no part of "p.init", which initialises the package's variables.
func owners(name string) []string {
	rest, ok := withoutPackage(name)
	if !ok {
		return []string{name}
	}
	pkg := name[:len(name)-len(rest)]
	rest = withoutBrackets(rest)
	names := []string{pkg + rest}
	for i := len(rest) - 1; i > 0; i-- {
		if (rest[i] == '.' || rest[i] == '-') && rest[i-1] != '.' {
			if rest[:i] == "init" && isInitFunc(rest) {
				break
			}
			names = append(names, pkg+rest[:i])
		}
	}
	return names
}

// withoutBrackets drops type arguments: "(*List[go.shape.int]).Push" gives "(*List).Push".
func withoutBrackets(s string) string {
	if !strings.ContainsRune(s, '[') {
		return s
	}
	var b strings.Builder
	depth := 0
	for i := range len(s) {
		switch {
		case s[i] == '[':
			depth++
		case s[i] == ']':
			depth--
		case depth == 0:
			b.WriteByte(s[i])
		}
	}
	return b.String()
}

// owner returns the replaced declaration that a function symbol belongs to.
func (l *linker) owner(name string) (string, bool) {
	for _, decl := range owners(name) {
		if l.funcs[decl] {
			return decl, true
		}
	}
	return "", false
}

// transient matches functions that the compiler makes for go and defer statements and for the
// bodies of range-over-func loops (cmd/compile/internal/ir/func.go, closureName). Their closures
// live no longer than the statement that made them, so the ones alive keep the code they began with.
var transient = regexp.MustCompile(`(\.(gowrap|deferwrap)\d+|-range\d+)$`)

// selectRoots finds the functions of the stubs that the refresh is about, and for each decides
// whether it takes over the entry that callers and func values know, or begins a life of its own.
func (l *linker) selectRoots() error {
	changedDicts := l.compareDicts()
	for i := range l.req.Stubs {
		for _, o := range l.lib.Package(l.req.Stubs[i].Package).Objects {
			for j := range o.NumDefs() {
				s := o.Sym(j)
				if s.Kind() != object.Text || s.Size() == 0 {
					continue // a function literal that was inlined wherever it is used leaves its name, but no code
				}
				name := s.Name()
				decl, ok := l.owner(name)
				if isUnnamedMethod(name) {
					decl, ok = name, true
				}
				if !ok || RunsAtStart(name) {
					continue
				}
				if c := l.lib.Resolve(s); c != s && l.stubObjs[c.Obj] != nil {
					continue // a duplicate of another stub's
				}
				if isInitialiserLiteral(name) {
					l.roots = append(l.roots, &root{node: l.add(s)})
					continue
				}
				if err := l.selectRoot(s, decl, changedDicts); err != nil {
					return err
				}
			}
		}
	}
	if err := l.selectInits(); err != nil {
		return err
	}
	if err := l.adoptLiterals(len(changedDicts) == 0); err != nil {
		return err
	}
	l.takeOver()
	if err := l.checkInlined(); err != nil {
		return err
	}
	if err := l.checkReferrers(); err != nil {
		return err
	}
	return l.checkComplete()
}

// selectInits finds the functions that initialise new variables.
func (l *linker) selectInits() error {
	for i := range l.req.Stubs {
		for _, name := range l.req.Stubs[i].Inits {
			s := l.lib.Lookup(name, object.ABIInternal)
			if s.IsZero() {
				return refuse(name, "is missing from the objects")
			}
			l.inits = append(l.inits, l.add(s))
		}
	}
	return nil
}

// checkComplete makes sure that every live function which the refresh is about has new code: a body
// that is left behind would be a wrong answer later on.
func (l *linker) checkComplete() error {
	for _, decl := range l.req.Funcs {
		key := Key{Name: decl, ABI: object.ABIInternal}
		if l.byKey[key] == nil && l.inProcess(key) && !l.endsByItself(decl) {
			return refuse(decl, "is in the program, but was not compiled again")
		}
		for _, name := range l.host.instances(decl) {
			if l.state.hidden(name) {
				continue
			}
			if key := (Key{Name: name, ABI: object.ABIInternal}); l.byKey[key] == nil {
				return refuse(name, "is an instantiation in the program that was not compiled again")
			}
		}
	}
	return nil
}

// instances lists the instantiations of a generic function or method that the image has, closures apart.
func (h *Host) instances(decl string) []string {
	h.onceInstances.Do(func() {
		h.byGeneric = map[string][]string{}
		for e := range h.Index.All("") {
			if e.ABI == object.ABIInternal && strings.Contains(e.Name, "[") && !isTypeSym(e.Name) {
				generic := withoutInstance(e.Name)
				h.byGeneric[generic] = append(h.byGeneric[generic], e.Name)
			}
		}
	})
	return h.byGeneric[decl]
}

func (l *linker) selectRoot(s object.Sym, decl string, dictChanged map[string]bool) error {
	key := keyOf(s)
	n := l.rootNode(s)
	if s.IsContentHashed() {
		if !slices.ContainsFunc(l.roots, func(r *root) bool { return r.node == n }) {
			l.roots = append(l.roots, &root{node: n})
		}
		l.freshValue(key)
		return nil // the name is that of other forms too; closures that exist get to know it by adoption
	}
	l.byKey[key] = n
	if signature := l.stubObjs[s.Obj].Signatures[key.Name]; signature != "" {
		l.state.Signatures[key.Name] = signature
	}
	r := &root{node: n}
	entry, live := l.address(key)
	if live {
		old, err := l.body(key.Name, entry)
		if err != nil {
			return err
		}
		r.old = old
	}
	if !live {
		// What the process has under the name is another function, and is not called any more.
		if entry, was := l.req.State.address(l.host, key); was {
			old, err := l.body(key.Name, entry)
			if err != nil {
				return err
			}
			r.old = old
		}
	}
	switch rest := strings.TrimPrefix(withoutInstance(key.Name), decl); {
	case !live:
	case isPlainInstance(key.Name), isUnnamedMethod(key.Name):
		r.entry = entry // func values and method tables have it
	case l.req.Fresh[decl] || dictChanged[decl]:
		l.fresh[key] = true
	case rest == "" || rest == "-fm":
		r.entry = entry
		if err := l.checkCall(key, s); err != nil {
			return err
		}
	case transient.MatchString(rest), isInlined(rest):
		l.fresh[key] = true
	default:
		same, err := l.sameClosure(r.old, s)
		if err != nil {
			return err
		}
		if same && !(len(dictChanged) > 0 && l.isWrapper(s)) {
			r.entry = entry
		} else {
			l.fresh[key] = true
		}
	}
	if l.fresh[key] {
		l.freshValue(key)
	}
	l.roots = append(l.roots, r)
	return nil
}

// freshValue has new code take the new func value of a function, not the one that the process has. Without captures that is a
// symbol of its own, which holds the function's address.
func (l *linker) freshValue(fn Key) {
	key := Key{Name: fn.Name + "·f"}
	l.fresh[key] = true
	if fv := l.lib.Lookup(key.Name, 0); fv.Obj != nil && l.stubObjs[fv.Obj] != nil {
		l.byKey[key] = l.add(fv)
	}
}

// isUnnamedMethod reports whether a function is one that the compiler makes of a method which an unnamed struct
// type has through embedding. No declaration owns it.
func isUnnamedMethod(name string) bool {
	return strings.HasPrefix(name, "go:struct {") || strings.HasPrefix(name, "go:(*struct {")
}

// rootAt returns the root that takes over an entry of the process.
func (l *linker) rootAt(entry uint64) *root {
	i := slices.IndexFunc(l.roots, func(r *root) bool { return entry != 0 && r.entry == entry })
	if i < 0 {
		return nil
	}
	return l.roots[i]
}

// rootNode puts a root's code into the patch. From Go 1.27 on the forms that a function literal has where its function
// was inlined are content-addressed: those of equal code are one function.
func (l *linker) rootNode(s object.Sym) *node {
	if !s.IsContentHashed() {
		return l.add(s)
	}
	id := contentOf(s, true)
	n := l.byHash[id]
	if n == nil {
		n = l.add(s)
		l.byHash[id] = n
	}
	return n
}

// isPlainInstance reports whether a function stands for one instance of generic code wherever no dictionary
// can be passed, in func values and method tables. It calls the shaped code, which serves several instances.
func isPlainInstance(name string) bool {
	return strings.Contains(name, "[") && !strings.Contains(name, "[go.shape.")
}

// isWrapper reports whether the compiler made a function up. Closures that are so hold a dictionary: they
// stand for method values and function values of generic code.
func (l *linker) isWrapper(s object.Sym) bool {
	fi, err := s.DecodeFuncInfo()
	return err != nil || l.isWrapperID(uint32(fi.FuncID))
}

func (l *linker) isWrapperID(funcID uint32) bool {
	id, ok := l.host.Layout.Const("abi.FuncIDWrapper")
	return !ok || int64(funcID) == id
}

func withoutInstance(name string) string {
	rest, ok := withoutPackage(name)
	if !ok {
		return name
	}
	return name[:len(name)-len(rest)] + withoutBrackets(rest)
}

// body returns the live code of the function that callers reach at an entry.
func (l *linker) body(name string, entry uint64) (Body, error) {
	if b, ok := l.state.Bodies[entry]; ok {
		return b, nil
	}
	bias := l.state.Bias
	f, ok := l.host.Image.FuncAt(entry - bias)
	if !ok || f.Entry != entry-bias {
		return Body{}, refuse(name, "has no entry in the function table of the running program")
	}
	b := Body{Wrapper: l.isWrapperID(f.Field(image.FieldFuncID)), Name: f.Name(), Lo: f.Entry + bias, Hi: f.End + bias, Func: f.Addr() + bias, Tables: l.imageTables(), StartLine: int(f.StartLine())}
	if lines, ok := l.state.Lines[b.Func]; ok {
		b.StartLine, b.File = lines.StartLine, lines.File
		return b, nil
	}
	spans, err := l.host.spans(f)
	if err != nil {
		return Body{}, err
	}
	b.File = declFile(spans)
	return b, nil
}

// sameClosure reports whether a function literal of the new source is the one that the live code of the same name was
// compiled from, so that closures which exist already may run the new code.
func (l *linker) sameClosure(old Body, s object.Sym) (bool, error) {
	at, err := l.spotOf(s)
	if err != nil {
		return false, err
	}
	from, name := spot{old.File, old.StartLine}, withoutInstance(s.Name())
	for _, p := range l.req.Pairs {
		if p.New.Name == name && p.New.spot() == at {
			return p.Old.Name == name && p.Old.spot() == from && !p.Apart, nil
		}
	}
	return false, nil
}

// isInlined reports whether what follows the name of a declaration in the name of a function literal, or of what
// is made in one, begins with the name of a function that was inlined there.
func isInlined(rest string) bool { return !ownLiteral.MatchString(rest) }

var ownLiteral = regexp.MustCompile(`^(\.func\d+|-range\d+)(\.\d+|-range\d+)*$`)

// compareDicts tells for each generic declaration whether a dictionary of its instances differs from the one
// that the process has. Its shaped code then cannot serve callers that hold the old dictionary: it gets
// addresses of its own, and so do its new dictionaries. All methods of a generic type share its dictionary
// (cmd/compile/internal/noder/reader.go, objDictIdx).
func (l *linker) compareDicts() map[string]bool {
	ofType := map[string][]string{} // methods by the type that their dictionary is named after
	for f := range l.funcs {
		if typ, ok := receiver(f); ok {
			ofType[typ] = append(ofType[typ], f)
		}
	}
	changed := map[string]bool{}
	var dicts []dict
	for i := range l.req.Stubs {
		for _, o := range l.lib.Package(l.req.Stubs[i].Package).Objects {
			for j := range o.NumDefs() {
				s := o.Sym(j)
				if !isDictSym(s.Name()) {
					continue
				}
				if c := l.lib.Resolve(s); c != s && l.stubObjs[c.Obj] != nil {
					continue // a duplicate of another stub's
				}
				d := dict{sym: s}
				if generic := withoutInstance(genericOf(s.Name())); l.funcs[generic] {
					d.decls = []string{generic}
				} else if d.decls = ofType[generic]; d.decls == nil {
					continue
				}
				d.changed = !l.sameDict(s)
				dicts = append(dicts, d)
			}
		}
	}
	// Whoever holds a dictionary finds those that it calls others with in it.
	for again := true; again; {
		again = false
		for i := range dicts {
			d := &dicts[i]
			d.changed = d.changed || changed[d.decls[0]] || l.leadsToFresh(d.sym)
			if d.changed && !l.fresh[keyOf(d.sym)] {
				again = true
				l.fresh[keyOf(d.sym)] = true
				for _, decl := range d.decls {
					changed[decl] = true
				}
			}
		}
	}
	for _, d := range dicts {
		if key := keyOf(d.sym); l.fresh[key] {
			l.byKey[key] = l.add(d.sym)
		}
	}
	return changed
}

// A dict is the dictionary of an instance, as a stub has it.
type dict struct {
	sym     object.Sym
	decls   []string // whose code is compiled for it
	changed bool
}

// leadsToFresh reports whether a dictionary refers to one that takes over its name.
func (l *linker) leadsToFresh(s object.Sym) bool {
	for r := range s.Relocs() {
		if !r.Sym.IsZero() && isDictSym(r.Sym.Name()) && l.fresh[keyOf(l.definition(r.Sym))] {
			return true
		}
	}
	return false
}

// sameDict reports whether callers in the process that hold a dictionary of this name, if there are any, can
// call code that was compiled for this one.
func (l *linker) sameDict(s object.Sym) bool {
	if s.IsContentHashed() {
		// It has no name there: what the image has of equal content is the same one.
		_, ok := l.host.Index.AddrOf(s)
		return ok
	}
	old, ok := l.dictPrint(s)
	return ok && old == l.fingerprint(s) || !ok && !l.inProcess(keyOf(s))
}

// genericOf returns the name of the function or type that a dictionary is of: "p.F[int]" for "p..dict.F[int]".
func genericOf(dict string) string { return strings.Replace(dict, "..dict.", ".", 1) }

// receiver returns the type that a method is declared for: "p.T" for "p.(*T).M" and "p.T.M".
func receiver(method string) (string, bool) {
	rest, ok := withoutPackage(method)
	if !ok {
		return "", false
	}
	typ, _, ok := strings.Cut(rest, ".")
	return method[:len(method)-len(rest)] + strings.TrimSuffix(strings.TrimPrefix(typ, "(*"), ")"), ok
}

// dictPrint returns the fingerprint of the dictionary that the process has under a name.
func (l *linker) dictPrint(s object.Sym) (string, bool) {
	key := keyOf(s)
	if p, ok := l.state.Dicts[key.Name]; ok {
		return p, true
	}
	if _, ok := l.host.Index.Addr(key.Name, key.ABI); !ok {
		return "", false
	}
	base := l.built(key.Name, key.ABI)
	if base.Obj == nil {
		return "", false
	}
	return l.fingerprint(base), true
}

// fingerprint of a data symbol: its bytes and the names that it refers to.
func (l *linker) fingerprint(s object.Sym) string {
	h := sha256.New()
	h.Write(s.Data())
	for i, count := 0, s.NumRelocs(); i < count; i++ {
		r := s.Reloc(i)
		h.Write(binary.LittleEndian.AppendUint64(nil, uint64(r.Off)<<16|uint64(r.Type)))
		h.Write(binary.LittleEndian.AppendUint64(nil, uint64(r.Add)))
		if r.Sym.Obj != nil {
			h.Write([]byte(l.nameOf(r.Sym)))
		}
		h.Write([]byte{0})
	}
	return string(h.Sum(nil)[:16])
}
