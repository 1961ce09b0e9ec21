//go:build linux && amd64 && go1.25

package agent

import (
	"runtime"
	"sort"
	"strconv"

	"github.com/limeade-go/limeade/reload/agent/internal/rt"
	"github.com/limeade-go/limeade/reload/patch"
)

// How long a refresh waits, in nanoseconds.
const (
	windowPatience = 2e9  // for goroutines to leave the code that is overwritten
	initPatience   = 10e9 // for one initialisation to return
)

// A transaction is one refresh on its way. Each step that changes something adds what takes it back.
type transaction struct {
	agent *agent
	image *rt.Image
	arena rt.Range // what patches may still use
	gone  func() bool
	p     *patch.Patch
	r     *rt.Runtime
	trial conn // who wants panics to be watched, from before the swap on; 0: nobody
	told  bool // the program knows that it comes
	back  []func() error
	reply patch.ApplyReply
}

// errGone is told nobody: who asked has hung up.
var errGone = refuse(patch.Internal, "client is gone")

// apply makes an encoded patch live, or says why not.
func (a *agent) apply(q patch.Request, client conn) []byte {
	im, refused := a.prepare()
	if refused != nil {
		return refused.Encode()
	}
	if !a.writer.TryLock() {
		return busy().Encode()
	}
	defer a.writer.Unlock()
	if client.gone() {
		return errGone.Encode()
	}
	t := &transaction{agent: a, image: im, gone: client.gone}
	if q.Trial {
		t.trial = client
	}
	if refused := t.run(q.Patch); refused != nil {
		for i := len(t.back) - 1; i >= 0; i-- {
			refused = because(refused, t.back[i]())
		}
		if t.told {
			refused = drop(t.toTell(Dropped), refused, &t.reply)
		}
		return refused.Encode()
	}
	tell(t.toTell(After), &t.reply)
	return t.reply.Encode()
}

// toTell is what the program is told.
func (t *transaction) toTell(s Stage) Swap {
	return Swap{Stage: s, Generation: t.p.Next, Changed: t.p.Changed}
}

// run takes the steps in order. Until the last has succeeded nothing of the program's own has changed for good.
func (t *transaction) run(encoded []byte) *patch.Error {
	for _, step := range [...]struct {
		do   func() *patch.Error
		time *uint64
	}{
		{func() *patch.Error { return t.verify(encoded) }, &t.reply.Verify},
		{t.announce, nil},
		{t.place, &t.reply.Map},
		{t.register, &t.reply.Register},
		{t.initialise, &t.reply.Init},
		{t.watch, nil},
		{t.swap, &t.reply.Swap},
	} {
		begin := rt.Nanotime()
		if refused := step.do(); refused != nil {
			return refused
		}
		if step.time != nil {
			*step.time = uint64(rt.Nanotime() - begin)
		}
	}
	return nil
}

// verify judges the patch against the process as it is. It changes nothing.
func (t *transaction) verify(encoded []byte) *patch.Error {
	p, err := patch.Decode(encoded)
	if err != nil {
		return refusal(err)
	}
	t.p = p
	a := t.agent
	a.mu.Lock()
	generation := a.generation
	t.arena = rt.Range{Lo: a.arenaNext, Hi: a.arena.Hi}
	whole, arenaError := a.arena, a.arenaError
	a.mu.Unlock()
	switch {
	case arenaError != nil:
		return refuse(patch.NoMemory, arenaError.Error())
	case p.BuildID != t.image.BuildID:
		return wrongBuild("patch", p.BuildID, t.image)
	case p.GoVersion != a.version:
		return refuse(patch.WrongGo, "patch is for "+p.GoVersion+", the process runs "+a.version)
	case p.Base != generation:
		return wrongGeneration("patch", p.Base, generation)
	case p.Origin < t.arena.Lo || p.End() > t.arena.Hi:
		return refuse(patch.NoMemory, "patch takes "+rt.Hex(p.Origin)+" to "+rt.Hex(p.End())+
			", free is "+rt.Hex(t.arena.Lo)+" to "+rt.Hex(t.arena.Hi))
	}
	if a.runtime == nil || a.runtime.Runtime != p.Runtime {
		r, err := rt.Check(&p.Runtime, t.image)
		if err != nil {
			return refuse(patch.Corrupt, "patch does not describe this runtime: "+err.Error())
		}
		a.runtime = r
	}
	t.r = a.runtime
	for _, list := range [...][]patch.Write{p.Writes, p.Early, p.Methods.Tables} {
		for _, w := range list {
			n := uint64(len(w.New))
			earlier := w.Addr >= whole.Lo && w.Addr < t.arena.Lo && n <= t.arena.Lo-w.Addr
			if !earlier && !t.image.Contains(w.Addr, n) {
				return refuse(patch.Corrupt, "patch writes to "+rt.Hex(w.Addr)+", outside the program and its patches")
			}
		}
		ranges, overlap := rangesOf(list)
		if overlap != 0 {
			return refuse(patch.Corrupt, "patch writes to "+rt.Hex(overlap)+" twice")
		}
		if err := rt.Readable(ranges); err != nil {
			return refuse(patch.Corrupt, "patch writes where nothing can be read: "+err.Error())
		}
		for _, w := range list {
			if !rt.Equal(w.Addr, w.Expect) {
				return unexpected(w.Addr)
			}
		}
	}
	return nil
}

func busy() *patch.Error {
	return refuse(patch.Busy, "process is being changed by another client; try again")
}

func wrongGeneration(what string, base, generation uint32) *patch.Error {
	return refuse(patch.WrongGeneration, what+" is for generation "+strconv.Itoa(int(base))+
		", the process is at "+strconv.Itoa(int(generation)))
}

func wrongBuild(what, buildID string, im *rt.Image) *patch.Error {
	return refuse(patch.WrongBuild, what+" is for the build "+buildID+", the process runs "+im.BuildID)
}

// announce lets the program object.
func (t *transaction) announce() *patch.Error {
	t.told = true
	if reason := tell(t.toTell(Before), &t.reply); reason != "" {
		return refuse(patch.Vetoed, reason)
	}
	return nil
}

func unexpected(addr uint64) *patch.Error {
	return refuse(patch.Mismatch, "memory at "+rt.Hex(addr)+" is not as the patch expects")
}

// rangesOf returns the ranges of the writes by address, and an address that two of them share, 0 if there is none.
func rangesOf(writes []patch.Write) (ranges []rt.Range, overlap uint64) {
	ranges = make([]rt.Range, len(writes))
	for i, w := range writes {
		ranges[i] = rt.Range{Lo: w.Addr, Hi: w.Addr + uint64(len(w.New))}
	}
	sort.Slice(ranges, func(i, j int) bool { return ranges[i].Lo < ranges[j].Lo })
	for i := 1; i < len(ranges); i++ {
		if ranges[i].Lo < ranges[i-1].Hi {
			return nil, ranges[i].Lo
		}
	}
	return ranges, 0
}

// place puts the segments into memory, and makes the early writes.
func (t *transaction) place() *patch.Error {
	p := t.p
	size := p.End() - p.Origin
	if err := rt.Protect(p.Origin, size, rt.ReadWrite); err != nil {
		return refuse(patch.NoMemory, "patch memory: "+err.Error())
	}
	t.back = append(t.back, func() error { return rt.Discard(p.Origin, size) })
	rt.Copy(p.Origin, p.Text)
	rt.Copy(p.ROAddr(), p.ROData)
	rt.Copy(p.DataAddr(), p.Data)
	if p.Module == 0 {
		if refused := t.seal(); refused != nil {
			return refused
		}
	}
	return t.early()
}

// seal gives the segments their final protection: no memory is writable and executable.
func (t *transaction) seal() *patch.Error {
	p := t.p
	if err := rt.Protect(p.Origin, p.ROAddr()-p.Origin, rt.ReadExec); err != nil {
		return refuse(patch.NoMemory, "patch text: "+err.Error())
	}
	if err := rt.Protect(p.ROAddr(), p.DataAddr()-p.ROAddr(), rt.Read); err != nil {
		return refuse(patch.NoMemory, "patch data: "+err.Error())
	}
	return nil
}

// early makes the writes that need no stop.
func (t *transaction) early() *patch.Error {
	if len(t.p.Early) == 0 {
		return nil
	}
	if err := storeAll(t.p.Early, false); err != nil {
		return refuse(patch.Internal, "patch early writes: "+err.Error())
	}
	t.back = append(t.back, func() error { return storeAll(t.p.Early, true) })
	return nil
}

// storeAll makes writes, or takes them back, while the program runs.
func storeAll(writes []patch.Write, back bool) error {
	ranges, _ := rangesOf(writes)
	opening, err := rt.Open(ranges)
	if err != nil {
		return err
	}
	for _, w := range writes {
		if back {
			rt.Store(w.Addr, w.Expect)
		} else {
			rt.Store(w.Addr, w.New)
		}
	}
	return opening.Close()
}

// register makes the module and its types known to the runtime. That cannot be taken back: from then on the patch stays
// mapped, whether it becomes live or not, because the runtime may have pointed at any part of it.
func (t *transaction) register() *patch.Error {
	p := t.p
	if p.Module == 0 {
		return t.extend()
	}
	m := &rt.Module{
		Addr: p.Module, TextLo: p.Origin, TextHi: p.Origin + uint64(len(p.Text)), Lo: p.Origin, Hi: p.End(),
		Typelinks: p.Typelinks, TypelinkCount: p.TypelinkCount,
	}
	if err := t.r.CheckModule(m); err != nil {
		return refuse(patch.Corrupt, "patch "+err.Error())
	}
	t.back = t.back[1:] // the memory stays; place put its return first
	t.agent.taken(p)
	t.r.Register(m)
	for _, f := range p.Funcs {
		if _, entry := rt.FuncAt(f.NewLo); entry != f.NewLo && f.NewLo >= m.TextLo && f.NewLo < m.TextHi {
			return refuse(patch.Corrupt, "patch function "+f.Name+" is not in its function table")
		}
	}
	if refused := t.extend(); refused != nil {
		return refused
	}
	t.r.Revive(p.Revived)
	for _, i := range p.Itabs {
		itab := t.r.Itab(i.Inter, i.Type)
		if itab == 0 {
			return refuse(patch.Corrupt, "patch wants the itab of a type, "+rt.Hex(i.Type)+", that does not implement the interface")
		}
		rt.StoreWord(i.Slot, itab)
	}
	return t.seal()
}

// extend changes the method tables of types, before anything is asked of the runtime that follows from them.
func (t *transaction) extend() *patch.Error {
	m := t.p.Methods
	if len(m.Tables) == 0 {
		return nil
	}
	r := t.r
	change := func(tables []patch.Write, gone func() bool) *patch.Error {
		m.Tables = tables
		return t.agent.exchange(r, tables, nil, nil, nil, rt.NewMethods(r, m), gone, &t.reply)
	}
	if refused := change(m.Tables, t.gone); refused != nil {
		return refused
	}
	back := inverse(m.Tables)
	t.back = append(t.back, func() error {
		if refused := change(back, func() bool { return false }); refused != nil {
			return refused
		}
		return nil
	})
	return nil
}

// inverse returns the writes that take others back.
func inverse(writes []patch.Write) []patch.Write {
	back := make([]patch.Write, len(writes))
	for i, w := range writes {
		back[i] = patch.Write{
			Addr:   w.Addr,
			Expect: append([]byte(nil), w.New...),
			New:    append([]byte(nil), w.Expect...),
		}
	}
	return back
}

// taken notes that the memory of p is in use for ever.
func (a *agent) taken(p *patch.Patch) {
	a.mu.Lock()
	a.arenaNext = p.End()
	a.mapped += p.End() - p.Origin
	a.mu.Unlock()
}

// initialise runs the patch's initialisers, each in a goroutine of its own: it may panic, exit or block.
func (t *transaction) initialise() *patch.Error {
	if older := t.agent.olderBodies(t.p); len(t.p.Calls) > 0 && len(older) > 0 {
		// What they do is not undone if the swap finds a goroutine in the way, so that is looked at first.
		if refused := t.agent.exchange(t.r, nil, nil, t.p.Funcs, older, nil, t.gone, &t.reply); refused != nil {
			return refused
		}
	}
	for _, entry := range t.p.Calls {
		if why := guard(func() { rt.Call(entry) }, initPatience, "did not return within 10 s"); why != "" {
			name, _ := rt.FuncAt(entry)
			return refuse(patch.InitFailed, name+" "+why)
		}
	}
	return nil
}

// wait asks done, ever more rarely, until it says yes or patience nanoseconds are over, and returns its last answer.
func wait(patience int64, done func() bool) bool {
	deadline := rt.Nanotime() + patience
	for pause := int64(20e3); !done(); pause = min(2*pause, 5e6) {
		if rt.Nanotime() > deadline {
			return false
		}
		runtime.Gosched()
		rt.Sleep(pause)
	}
	return true
}

// swap makes the patch live.
func (t *transaction) swap() *patch.Error {
	p := t.p
	undo := refresh{
		writes:  append(inverse(p.Writes), inverse(p.Methods.Tables)...),
		windows: append([]patch.Window(nil), p.Windows...),
		funcs:   append([]patch.Func(nil), p.Funcs...),
		changed: p.Changed,
		methods: patch.Methods{
			Types:  append([]uint64(nil), p.Methods.Types...),
			Caches: append([]patch.Cache(nil), p.Methods.Caches...),
		},
	}
	if refused := t.agent.exchange(t.r, p.Writes, p.Windows, p.Funcs, t.agent.olderBodies(p), nil, t.gone, &t.reply); refused != nil {
		return refused
	}
	a := t.agent
	a.undo = append(a.undo, undo)
	a.reliant = append(a.reliant, p.Reliant...)
	if p.Module == 0 {
		a.taken(p)
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, f := range p.Funcs {
		a.retire(f.Name, rt.Range{Lo: f.OldLo, Hi: f.OldHi})
	}
	a.became(p.Next, p.Source)
	t.reply.Generation = p.Next
	return nil
}

// olderBodies lists the code of the functions that p wants vacant: what it retires, and what was retired before.
func (a *agent) olderBodies(p *patch.Patch) []body {
	var list []body
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, name := range p.Vacant {
		for _, b := range a.retired {
			if b.name == name {
				list = append(list, b)
			}
		}
		for _, f := range p.Funcs {
			if f.Name == name {
				list = append(list, body{name, rt.Range{Lo: f.OldLo, Hi: f.OldHi}})
			}
		}
	}
	return list
}

// entered reports whether whoever is at the first byte of code has no detour ahead any more: only first addresses have
// one, which are the program's, not those of newer bodies.
func (a *agent) entered(code rt.Range) bool { return a.arena.Lo <= code.Lo && code.Lo < a.arena.Hi }

// became notes the new generation. mu is held.
func (a *agent) became(generation uint32, source string) {
	a.generation, a.source, a.live = generation, source, now()
	a.described = a.runtime
	a.undoDepth = uint32(len(a.undo))
}

// retire notes that the code is no longer live. mu is held.
func (a *agent) retire(name string, code rt.Range) {
	a.revive(code)
	a.retired = append(a.retired, body{name, code})
}

// revive notes that the code is live again. mu is held.
func (a *agent) revive(code rt.Range) {
	kept := a.retired[:0]
	for _, b := range a.retired {
		if b.Range != code {
			kept = append(kept, b)
		}
	}
	a.retired = kept
}

// exchange applies writes in one stop of the world, as soon as no goroutine is in one of the windows, and fills in the
// times. It changes nothing if it refuses. A client that is gone by then has told its user that nothing was changed: a
// process that was stopped by a signal meanwhile, or had no processor time, must not change afterwards.
func (a *agent) exchange(r *rt.Runtime, writes []patch.Write, windows []patch.Window, funcs []patch.Func, vacant []body, methods *rt.Methods, gone func() bool, reply *patch.ApplyReply) *patch.Error {
	ranges, _ := rangesOf(writes)
	rt.PrepareCode()
	opening, err := rt.Open(ranges)
	if err != nil {
		return refuse(patch.Internal, "code pages: "+err.Error())
	}
	bodies := make([]rt.Body, len(vacant))
	for i, b := range vacant {
		bodies[i] = rt.Body{Range: b.Range, Name: i, Entered: a.entered(b.Range)}
	}
	s := rt.NewSwap(r, writes, windows, bodies, methods)
	var out rt.Outcome
	attempts := uint32(0)
	left := false
	wait(windowPatience, func() bool {
		attempts++
		// All stacks are read in one stop before the writes. While that is going to find something, read them in short ones.
		if c := census(r, bodies, len(bodies)); c != nil && c.Found() >= 0 {
			out = rt.Outcome{State: rt.Occupied, At: uint64(c.Found())}
			return false
		}
		if left = gone(); left {
			return true
		}
		out = s.Attempt()
		if uint64(out.Pause) > reply.Pause {
			reply.Pause, reply.Stopping = uint64(out.Pause), uint64(out.Stopping)
		}
		return out.State != rt.InWindow && out.State != rt.Occupied
	})
	reply.Retries = attempts - 1
	err = opening.Close()
	switch {
	case left:
		return because(refuse(errGone.Code, errGone.Message), err)
	case out.State == rt.Mismatch:
		return because(unexpected(out.At), err)
	case out.State == rt.InWindow:
		return because(refuse(patch.WindowBusy, "a goroutine does not leave "+windowName(out.At, funcs)+
			" for long enough to replace it"), err)
	case out.State == rt.Occupied:
		name := "code of which the stack cannot be read" // frames of C, for example
		if out.At < uint64(len(vacant)) {
			name = vacant[out.At].name
		}
		return because(refuse(patch.Occupied, "a goroutine is inside of "+name+
			", which calls what is to be replaced and relies on the body that it has now"), err)
	case err != nil:
		// It is live; that its pages stay writable harms nobody.
		complain("code pages stay writable: " + err.Error())
	}
	return nil
}

// because adds a second failure to a refusal.
func because(refused *patch.Error, err error) *patch.Error {
	if err != nil {
		refused.Message += "; then " + err.Error()
	}
	return refused
}

// windowName names the function that pc is in.
func windowName(pc uint64, funcs []patch.Func) string {
	for _, f := range funcs {
		if f.OldLo <= pc && pc < f.OldHi {
			return f.Name
		}
	}
	if name, _ := rt.FuncAt(pc); name != "" {
		return name
	}
	return "code that is to be overwritten"
}
