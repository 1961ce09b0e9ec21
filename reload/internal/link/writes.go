package link

import (
	"cmp"
	"encoding/binary"
	"maps"
	"regexp"
	"slices"
	"strings"

	"golang.org/x/arch/x86/x86asm"

	"github.com/limeade-go/limeade/reload/internal/object"
	"github.com/limeade-go/limeade/reload/patch"
)

// detourSize is the length of a detour: JMP rel32.
const detourSize = 5

// writes collects what the agent changes in the process: the detours and moved lines in the stop, the
// pruned slots before it.
func (l *linker) writes() error {
	p := &patch.Patch{}
	l.out = p
	for _, r := range l.roots {
		if r.entry == 0 {
			continue
		}
		old, err := l.current(r.entry, detourSize)
		if err != nil {
			return refuse(r.node.key.Name, "cannot be detoured: %v", err)
		}
		if !l.roomForDetour(r) {
			return refuse(r.node.key.Name, "is too short to be detoured (%d bytes)", r.old.Hi-r.old.Lo)
		}
		d := int64(r.node.addr) - int64(r.entry+detourSize)
		if d != int64(int32(d)) {
			return refuse(r.node.key.Name, "is out of reach of its new code")
		}
		jmp := binary.LittleEndian.AppendUint32([]byte{0xe9}, uint32(d))
		p.Writes = append(p.Writes, patch.Write{Addr: r.entry, Expect: old, New: jmp})
		w, err := l.window(r, old)
		if err != nil {
			return err
		}
		p.Windows = append(p.Windows, w)
	}
	lines, err := l.lineWrites()
	if err != nil {
		return err
	}
	p.Writes = append(p.Writes, lines...)
	if p.Methods, err = l.methodWrites(); err != nil {
		return err
	}
	if p.Early, err = l.uses.writes(); err != nil {
		return err
	}
	p.Vacant = l.vacant()
	if p.Reliant, l.reliance, err = l.reliant(); err != nil {
		return err
	}
	p.Runtime, err = l.host.Runtime(l.state.Bias)
	return err
}

// roomForDetour reports whether a detour fits between a function's entry and whatever follows.
func (l *linker) roomForDetour(r *root) bool {
	if r.old.Lo != r.entry {
		return true // there is a detour already
	}
	return r.old.Hi-r.old.Lo >= detourSize || r.entry%funcAlign == 0 // padded up to the next function
}

// window returns where no goroutine may be stopped while an entry is overwritten: behind its first
// byte, up to the detour's last. A jump of the old code back into those bytes makes that the whole
// function, since a goroutine may be anywhere on the way to it.
func (l *linker) window(r *root, first []byte) (patch.Window, error) {
	w := patch.Window{Lo: r.entry, Hi: r.entry + detourSize}
	if r.old.Lo != r.entry || first[0] == 0xe9 {
		return w, nil // no code runs there but the old detour
	}
	code, err := l.current(r.old.Lo, int(r.old.Hi-r.old.Lo))
	if err != nil {
		return w, refuse(r.node.key.Name, "has no readable code: %v", err)
	}
	back, calls := loopsToEntry(code)
	if !back {
		return w, nil
	}
	if calls {
		return w, refuse(r.node.key.Name, "begins with a loop that calls other functions, and a goroutine may return into it while it is replaced")
	}
	w.Hi = r.old.Hi
	return w, nil
}

// loopsToEntry decodes a function: whether a jump leads into bytes 1 to 4, and whether it calls.
func loopsToEntry(code []byte) (back, calls bool) {
	for pc := 0; pc < len(code); {
		inst, err := x86asm.Decode(code[pc:], 64)
		if err != nil || inst.Len == 0 {
			pc++
			continue
		}
		pc += inst.Len
		if inst.Op == x86asm.CALL {
			calls = true
		}
		if rel, ok := inst.Args[0].(x86asm.Rel); ok && inst.Op != x86asm.CALL {
			if to := pc + int(rel); to > 0 && to < detourSize {
				back = true
			}
		}
	}
	return back, calls
}

// vacant names the functions with older bodies that may call a leaky function directly, or have values of types that
// begin anew. The first hand out pointers into their stacks, so no goroutine may be in one when the leaky code becomes live.
// Calls through func values and interfaces assume that everything escapes.
func (l *linker) vacant() []string {
	calls := len(l.req.Leaky)+len(l.req.Makers) > 0
	for name := range l.req.Fresh {
		calls = calls || !slices.Contains(l.req.Anew.Types, name) // nobody calls a type
	}
	names := map[string]bool{}
	for _, r := range l.roots {
		if r.old.Hi > r.old.Lo && (calls && l.mayCallLeaky(r.name()) || l.hasAnew(r.name())) {
			names[r.name()] = true
		}
	}
	for name := range l.req.State.Calls {
		if calls && l.mayCallLeaky(name) {
			names[name] = true
		}
	}
	return sortedKeys(names)
}

// mayCallLeaky reports whether a body that a function had until now calls a leaky one.
func (l *linker) mayCallLeaky(name string) bool {
	calls, replaced := l.req.State.Calls[name]
	def := l.host.Library.Lookup(name, object.ABIInternal)
	if def.IsZero() && !replaced {
		return true // a closure of many forms
	}
	return slices.ContainsFunc(calls, l.isLeaky) || slices.ContainsFunc(callees(def), l.isLeaky)
}

// isLeaky reports whether older callers of a function come to its new code, which lets more escape. What gets
// an address of its own they don't, but to instances of generic code they do that are called without a dictionary.
func (l *linker) isLeaky(fn string) bool {
	if isLiteral(fn) {
		return l.ofMakers(fn)
	}
	return slices.ContainsFunc(owners(fn), func(decl string) bool {
		return l.leaky[decl] || l.req.Fresh[decl] && isPlainInstance(fn)
	})
}

// ofMakers reports whether a function literal is one of a function whose literals let more escape, or a form of it
// in a function that this one was inlined into: those have the names of both.
func (l *linker) ofMakers(literal string) bool {
	for maker := range l.makers {
		if isMadeBy(literal, maker) {
			return true
		}
	}
	return false
}

// rangeBody matches what ends the names of the bodies of range-over-func loops.
var rangeBody = regexp.MustCompile(`(-range\d+)+$`)

func isMadeBy(literal, maker string) bool {
	of := withoutInstance(literal)
	for isLiteral(of) {
		of, _ = numbers(of)
		of = rangeBody.ReplaceAllString(of, "")
	}
	rest, ok := withoutPackage(maker)
	return ok && (of == maker || strings.HasSuffix(of, "."+rest))
}

// callees are the names of the functions that a function calls directly, and of the function literals that it makes.
func callees(s object.Sym) []string {
	set := map[string]bool{}
	for r := range s.Relocs() {
		if r.Sym.IsZero() {
			continue
		}
		if fn := strings.TrimSuffix(r.Sym.Name(), "·f"); r.Type == object.Call || isLiteral(fn) {
			set[fn] = true
		}
	}
	return sortedKeys(set)
}

// HasValue reports whether the process may hold func values or method tables with the address of a
// declaration: those would go on calling it where it gets an address of its own.
func (h *Host) HasValue(decl string) bool {
	rest, ok := withoutPackage(decl)
	return !ok || strings.Contains(rest, ".") || len(h.Index.Addrs(decl+"·f", 0)) > 0
}

// verify checks the finished patch against its own tables: functions in order and inside the text, no
// two writes on the same bytes.
func (l *linker) verify() error {
	p := l.out
	var prev uint64
	for _, n := range l.nodes {
		if n.seg != segText {
			continue
		}
		if n.addr < prev || n.addr < l.text.base || n.addr+uint64(n.sym.Size()) > l.text.end() {
			return refuse(n.key.Name, "was placed outside the patch's text")
		}
		prev = n.addr + uint64(n.sym.Size())
	}
	all := slices.Concat(p.Writes, p.Methods.Tables, p.Early)
	slices.SortFunc(all, func(a, b patch.Write) int { return int(int64(a.Addr - b.Addr)) })
	for i, w := range all {
		if i > 0 && all[i-1].Addr+uint64(len(all[i-1].New)) > w.Addr {
			return refuse("patch", "writes twice at %#x", w.Addr)
		}
	}
	return nil
}

// result assembles the patch and the state of the process after it.
func (l *linker) result() *Result {
	p, s := l.out, l.state
	p.BuildID, p.GoVersion = l.host.Image.BuildID, l.host.Image.GoVersion
	p.Base, p.Next = s.Generation, s.Generation+1
	p.Source = l.req.Source
	p.Origin = s.ArenaNext
	p.Text, p.ROData, p.Data, p.BSS = l.text.buf, l.ro.buf, l.data.buf, l.bss
	if l.tab.nfunc > 0 {
		p.Module = l.module
	}
	if l.nTypelinks > 0 {
		p.Typelinks, p.TypelinkCount = l.typelinks, uint32(l.nTypelinks)
	}
	if l.tab.nfunc > 0 {
		p.Revived = slices.Sorted(maps.Keys(l.uses.revived))
	}
	for _, it := range l.itabs {
		p.Itabs = append(p.Itabs, patch.Itab{Inter: it.inter.address(), Type: it.typ.address(), Slot: it.slot})
	}
	for _, ref := range l.itabAt {
		p.Itabs = append(p.Itabs, patch.Itab{Inter: ref.itab.inter.address(), Type: ref.itab.typ.address(), Slot: ref.at})
	}
	for _, c := range l.calls {
		p.Calls = append(p.Calls, c.address())
	}
	for _, r := range l.roots {
		if r.old.Hi > r.old.Lo {
			p.Funcs = append(p.Funcs, patch.Func{
				Name: r.name(), OldLo: r.old.Lo, OldHi: r.old.Hi,
				NewLo: r.node.addr, NewHi: r.node.addr + uint64(r.node.sym.Size()),
			})
		}
	}

	stats := Stats{Replaced: len(l.roots), Linked: len(l.nodes) - len(l.roots), Bytes: len(p.Text) + len(p.ROData) + len(p.Data)}
	ofTypes := l.methodsOfTypes()
	for key, n := range l.byKey {
		if _, ok := l.address(key); !ok || l.fresh[key] {
			born := Symbol{Addr: n.addr, Stable: n.base || isTypeSym(key.Name) || ofTypes[n]}
			switch {
			case n.base:
			case isTypeSym(key.Name):
				born.Print = l.fingerprint(n.sym)
			case n.sym.Kind().IsData() && !isGenerated(key.Name):
				born.Print = l.printVariable(n.sym)
			}
			s.Born[key] = born
		}
		if isDictSym(key.Name) {
			s.Dicts[key.Name] = l.fingerprint(n.sym)
		}
	}
	s.Chunks = append(s.Chunks, Chunk{l.text.base, l.text.buf})
	l.retirePuts()
	var chunks []Chunk
	if f := l.tab.functab; f.n > 0 {
		chunks = append(chunks, Chunk{f.addr, l.ro.buf[f.addr-l.ro.base:][:f.n]}) // moved lines are written there
	}
	for _, n := range l.nodes {
		if n.seg == segText && !n.early {
			l.recordBody(n)
		}
		if n.seg == segROData && n.sym.IsGoType() {
			chunks = append(chunks, Chunk{n.addr, l.ro.buf[n.addr-l.ro.base:][:n.sym.Size()]})
		}
	}
	slices.SortFunc(chunks, func(a, b Chunk) int { return cmp.Compare(a.Addr, b.Addr) })
	s.Chunks = append(s.Chunks, chunks...)
	moved := map[uint64]Lines{}
	for _, m := range l.moved {
		s.Lines[m.fn], moved[m.fn] = m.lines, m.lines
	}
	for entry, b := range s.Bodies {
		if lines, ok := moved[b.Func]; ok {
			b.File, b.StartLine = lines.File, lines.StartLine
			s.Bodies[entry] = b
		}
	}
	for _, w := range p.Writes {
		s.Memory[w.Addr] = w.New
	}
	for _, w := range p.Methods.Tables {
		s.Memory[w.Addr] = w.New
	}
	for _, name := range l.req.Methods {
		s.Extended[name] = true
	}
	for _, n := range l.nodes {
		if empty := cacheOf(n.key.Name); empty != "" && n.sym.Kind().IsData() {
			s.Caches[n.addr] = empty
		}
	}
	for _, w := range p.Early {
		s.Memory[w.Addr], s.Slots[w.Addr] = w.New, w.New
	}
	s.Uses = l.uses.own
	s.Generation++
	s.ArenaNext = p.End()
	return &Result{Patch: p, State: s, Stats: stats, Reliance: l.reliance, Orphans: sortedKeys(l.orphans)}
}

// recordBody notes where a function's newest code is and which lines it has.
func (l *linker) recordBody(n *node) {
	s := l.state
	fn := l.tab.funcs[n]
	b := Body{Wrapper: l.isWrapper(n.sym), Stable: n.base, Name: n.key.Name, Lo: n.addr, Hi: n.addr + uint64(n.sym.Size()), Func: fn, Tables: FileTables{l.tab.pctab.addr, l.tab.cutab.addr, l.tab.filetab.addr}}
	if fi, err := n.sym.DecodeFuncInfo(); err == nil {
		b.StartLine = int(fi.StartLine)
	}
	if spans, err := l.objectSpans(n.sym); err == nil && len(spans) > 0 {
		lines := Lines{StartLine: b.StartLine, File: declFile(spans), Spans: spans}
		if n.base && l.req.Since != nil {
			lines = lines.moved(l.req.Since())
		}
		b.File, b.StartLine = lines.File, lines.StartLine
		s.Lines[fn] = lines
	}
	names := []string{b.Name}
	own := true // it is referred to by its own address
	for _, r := range l.roots {
		if r.node == n && r.entry != 0 {
			s.Bodies[r.entry] = b
			own = own && r.adopted
			names = append(names, r.name())
		}
	}
	if own {
		s.Bodies[n.addr] = b
	}
	if n.base {
		return
	}
	for _, name := range names {
		calls := append(callees(n.sym), s.Calls[name]...)
		slices.Sort(calls)
		s.Calls[name] = slices.Compact(calls)
		l.recordPuts(name, n)
	}
}
