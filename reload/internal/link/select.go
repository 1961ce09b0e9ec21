package link

import (
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"regexp"
	"strings"

	"github.com/limeade-go/limeade/reload/internal/object"
)

// owners lists the declarations that a function symbol may belong to, the longest name first:
// "p.F[go.shape.int].func1" gives "p.F.func1" and "p.F". Which of them exists only the source knows.
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
				if s.Kind() != object.Text {
					continue
				}
				name := s.Name()
				decl, ok := l.owner(name)
				if !ok || isPackageInit(name) {
					continue
				}
				if c := l.lib.Resolve(s); c != s && l.stubObjs[c.Obj] != nil {
					continue // a duplicate of another stub's
				}
				if err := l.selectRoot(s, decl, changedDicts[decl] || l.req.Fresh[decl]); err != nil {
					return err
				}
			}
		}
	}
	if len(l.roots) == 0 && len(l.req.Moves) == 0 {
		return ErrNothing
	}
	if err := l.checkClosures(); err != nil {
		return err
	}
	return l.checkComplete()
}

// checkClosures makes sure that every live function literal which the refresh is about has new code,
// wherever the code was inlined that makes its closures.
func (l *linker) checkClosures() error {
	replaced := map[uint64]bool{}
	for _, r := range l.roots {
		if r.entry != 0 {
			replaced[r.entry] = true
		}
	}
	bias := l.state.Bias
	for _, p := range l.req.Pairs {
		if !p.Changed {
			continue
		}
		for _, f := range l.host.funcsIn(p.OldFile) {
			entry := f.Entry + bias
			if _, moved := l.state.Bodies[entry]; moved || replaced[entry] || int(f.StartLine()) != p.OldLine || !literal.MatchString(f.Name()) {
				continue
			}
			if _, moved := l.state.Lines[f.Addr()+bias]; !moved {
				return refuse(f.Name(), "is a function literal of the edit, made where it cannot be compiled again")
			}
		}
	}
	return nil
}

// literal matches the names of function literals.
var literal = regexp.MustCompile(`\.func\d+(\.\d+)*$`)

// checkComplete makes sure that every live function which the refresh is about has new code: a body
// that is left behind would be a wrong answer later on.
func (l *linker) checkComplete() error {
	for _, decl := range l.req.Funcs {
		key := Key{Name: decl, ABI: object.ABIInternal}
		if l.byKey[key] == nil && l.inProcess(key) && !isPackageInit(decl) {
			return refuse(decl, "is in the program, but was not compiled again")
		}
		for _, name := range l.host.instances(decl) {
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

// isPackageInit reports whether a function is the one that initialises a package's variables. It ran; what
// it is compiled again for is the closures that it made.
func isPackageInit(name string) bool {
	rest, ok := withoutPackage(name)
	return ok && rest == "init"
}

func (l *linker) selectRoot(s object.Sym, decl string, fresh bool) error {
	key := keyOf(s)
	n := l.add(s)
	l.byKey[key] = n
	r := &root{node: n}
	l.roots = append(l.roots, r)
	entry, live := l.address(key)
	if live {
		old, err := l.body(key.Name, entry)
		if err != nil {
			return err
		}
		r.old = old
	}
	switch rest := strings.TrimPrefix(withoutInstance(key.Name), decl); {
	case !live:
	case fresh:
		l.fresh[key] = true
	case rest == "" || rest == "-fm":
		r.entry = entry
	case transient.MatchString(rest):
		l.fresh[key] = true
	default:
		same, err := l.sameClosure(r.old, s)
		if err != nil {
			return err
		}
		if same {
			r.entry = entry
		} else {
			l.fresh[key] = true
		}
	}
	if l.fresh[key] {
		// A func value without captures is a symbol of its own, which holds the function's address.
		l.fresh[Key{Name: key.Name + "·f"}] = true
		if fv := l.lib.Lookup(key.Name+"·f", 0); fv.Obj != nil && l.stubObjs[fv.Obj] != nil {
			l.byKey[Key{Name: key.Name + "·f"}] = l.add(fv)
		}
	}
	return nil
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
	b := Body{Name: f.Name(), Lo: f.Entry + bias, Hi: f.End + bias, Func: f.Addr() + bias, PCTab: l.host.Image.Module.PCTab.Addr + bias, StartLine: int(f.StartLine())}
	if lines, ok := l.state.Lines[b.Func]; ok {
		b.StartLine, b.File = lines.StartLine, lines.File
		return b, nil
	}
	spans, err := l.host.spans(f)
	if err != nil {
		return Body{}, err
	}
	b.File = declFile(spans, b.StartLine)
	return b, nil
}

// sameClosure reports whether a function literal of the new source is the one that the live code was
// compiled from, so that closures which exist already may run the new code.
func (l *linker) sameClosure(old Body, s object.Sym) (bool, error) {
	fi, err := s.DecodeFuncInfo()
	if err != nil {
		return false, fmt.Errorf("%s: %w", s.Name(), err)
	}
	spans, err := l.objectSpans(s)
	if err != nil {
		return false, err
	}
	newLine := int(fi.StartLine)
	newFile := declFile(spans, newLine)
	for _, p := range l.req.Pairs {
		if p.OldLine == old.StartLine && p.OldFile == old.File && p.NewLine == newLine && p.NewFile == newFile {
			return true, nil
		}
	}
	if old.File != newFile {
		return false, nil
	}
	moved, _ := moveLine(l.req.Moves, old.File, old.StartLine)
	return moved == newLine, nil
}

// compareDicts tells for each declaration whether a dictionary of its instances differs from the one
// that the process has. Its code then cannot serve callers that hold the old dictionary: it gets
// addresses of its own, and so do its new dictionaries.
func (l *linker) compareDicts() map[string]bool {
	changed := map[string]bool{}
	type dict struct {
		sym  object.Sym
		decl string
	}
	var dicts []dict
	for i := range l.req.Stubs {
		for _, o := range l.lib.Package(l.req.Stubs[i].Package).Objects {
			for j := range o.NumDefs() {
				s := o.Sym(j)
				name := s.Name()
				rest, ok := withoutPackage(name)
				if !ok || !strings.HasPrefix(rest, ".dict.") {
					continue
				}
				decl, ok := l.owner(name[:len(name)-len(rest)] + strings.TrimPrefix(rest, ".dict."))
				if !ok {
					continue
				}
				dicts = append(dicts, dict{s, decl})
				if s.IsContentHashed() {
					// It has no name there: what the image has of equal content is the same one.
					if _, ok := l.host.Index.AddrOf(s); !ok {
						changed[decl] = true
					}
				} else if old, ok := l.dictPrint(s); ok && old != l.fingerprint(s) {
					changed[decl] = true
				}
			}
		}
	}
	for _, d := range dicts {
		key := keyOf(d.sym)
		if changed[d.decl] {
			l.fresh[key] = true
			l.byKey[key] = l.add(d.sym)
		}
	}
	return changed
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
	base := l.host.Library.Lookup(key.Name, key.ABI)
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
			h.Write([]byte(r.Sym.Name()))
		}
		h.Write([]byte{0})
	}
	return string(h.Sum(nil)[:16])
}
