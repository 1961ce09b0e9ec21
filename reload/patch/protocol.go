//go:build go1.25

package patch

import "strconv"

// # The conversation
//
// A client sends one request at a time over a unix stream socket and gets one reply for each. A client that closes the
// socket before the reply takes its Apply or Rollback back, unless the swap was made already.
//
//	frame   = length:u32 kind:u8 payload       (length counts kind and payload)
//
// The payloads are written with the primitives of the patch format. A frame that cannot be read ends the conversation
// after an Error reply.

// Protocol is the version of the conversation; the agent says its own in HelloReply.
const Protocol = 4

// MaxFrame bounds the length of a request; MaxReply that of a reply.
const (
	MaxFrame = MaxSize + 64
	MaxReply = 64 << 20
)

// A Kind says what a frame carries.
type Kind uint8

// Requests, and above 0x80 their replies.
const (
	KindHello    Kind = 1
	KindApply    Kind = 2
	KindRollback Kind = 3
	KindStale    Kind = 4
	KindTrial    Kind = 5

	KindHelloReply Kind = 0x81
	KindApplyReply Kind = 0x82 // answers Apply and Rollback
	KindStaleReply Kind = 0x84
	KindTrialReply Kind = 0x85
	KindError      Kind = 0xff
)

// A Code says why the agent refused. The numbers are part of the protocol.
type Code uint32

// The codes. After any of them the process runs what it ran before.
const (
	Internal        Code = 1  // the agent cannot do its work here; Message says why
	Corrupt         Code = 2  // the patch or the frame is damaged or contradicts itself
	WrongBuild      Code = 3  // the patch was made for another executable
	WrongGo         Code = 4  // the patch was made for another Go version
	WrongGeneration Code = 5  // the process is at another generation than the patch's base
	Busy            Code = 6  // another client is changing the process
	Mismatch        Code = 7  // bytes in the process are not the expected ones; Message says where
	NoMemory        Code = 8  // there is no room for the patch
	WindowBusy      Code = 9  // a goroutine does not leave the code that is to be overwritten
	InitFailed      Code = 10 // a function of Calls panicked or did not return
	NothingToUndo   Code = 11 // there is no refresh to roll back
	Occupied        Code = 12 // a goroutine stays in an older body of one of Patch.Vacant
	Vetoed          Code = 13 // a hook of the program does not want it; Message is its reason
)

// String returns the words of the code.
func (c Code) String() string {
	switch c {
	case Internal:
		return "agent failure"
	case Corrupt:
		return "corrupt patch"
	case WrongBuild:
		return "wrong build"
	case WrongGo:
		return "wrong go version"
	case WrongGeneration:
		return "wrong generation"
	case Occupied:
		return "occupied"
	case Vetoed:
		return "vetoed"
	case Busy:
		return "busy"
	case Mismatch:
		return "unexpected bytes"
	case NoMemory:
		return "no memory"
	case WindowBusy:
		return "code in use"
	case InitFailed:
		return "initialisation failed"
	case NothingToUndo:
		return "nothing to undo"
	}
	return "code " + strconv.FormatUint(uint64(c), 10)
}

// An Error is a refusal. It is what Decode returns and what the agent answers.
type Error struct {
	Code    Code
	Message string
}

// Error returns the message, which begins with its subject.
func (e *Error) Error() string { return e.Message }

func corrupt(message string) *Error { return &Error{Corrupt, message} }

// A Request is what a client asks. What is about the code that runs names the build and the generation that it is for.
type Request struct {
	Kind Kind
	// Of KindApply: an encoded patch, and whether a KindTrial follows.
	Patch []byte
	Trial bool
	// Of KindRollback and KindTrial.
	BuildID string
	Base    uint32
	// Of KindRollback: what the process runs afterwards.
	Source string
	// Of KindTrial: after how long it is answered if nothing fails before, in nanoseconds; 0 ends the trial.
	Time uint64
}

// HelloReply describes the process and the agent's state.
type HelloReply struct {
	Protocol           uint32
	PID                uint32
	BuildID, GoVersion string
	// Generation is 0 for the build and one more for each refresh and rollback. Source belongs to it, "" for the build.
	Generation uint32
	Source     string
	// Bias is load address − link address, 0 unless PIE. TextBase is the address of runtime.text.
	Bias, TextBase uint64
	// [ArenaLo, ArenaHi) is reserved for patches; both are 0 if there is no room for any. ArenaNext is the lowest Origin that
	// the next one may have.
	ArenaLo, ArenaHi, ArenaNext uint64
	// Started is when the agent started, Live when the present generation became live; nanoseconds since 1970, UTC.
	Started, Live int64
	// Mapped is the number of bytes that patches have mapped so far.
	Mapped uint64
	// Retired is the number of function bodies that have been replaced and are kept; Undo the number of refreshes that
	// can be rolled back.
	Retired, Undo uint32
	// Busy says that a client is changing the process at this moment.
	Busy bool
}

// ApplyReply says what an Apply or a Rollback did. All times are in nanoseconds.
type ApplyReply struct {
	Generation uint32
	// Pause is how long the world stood still in the longest stop of this refresh, from when the last goroutine had
	// stopped to when they were started; Stopping how long it took to stop them, while some still ran.
	Pause, Stopping uint64
	// The phases: Verify decodes and checks, Map maps and fills memory, Register gives the module to the runtime and
	// fills itabs, Init runs Calls, Swap is from the first attempt to stop the world to the end, retries included.
	Verify, Map, Register, Init, Swap uint64
	// Retries is how many times the world was started again because a goroutine stood in a window.
	Retries uint32
	// Hooks is how long the program's hooks took, and Failures what went wrong in them.
	Hooks    uint64
	Failures []string
}

// A StaleFunc is a function with goroutines that still have a frame in a retired body. A goroutine with frames in several
// retired functions counts once in each.
type StaleFunc struct {
	Func       string
	Goroutines uint32
}

// StaleReply lists the functions with old frames, by name. Partial is the number of goroutines whose stacks could not be
// followed to their end (foreign frames, or a stack that changed too often); what was read of them is counted.
type StaleReply struct {
	Funcs   []StaleFunc
	Partial uint32
}

// A TrialReply says what failed in the program after a refresh, "" if nothing did, and where.
type TrialReply struct {
	Failed string
	Trace  []string
}

// Encode returns the whole frame.
func (q Request) Encode() []byte {
	w := frame(q.Kind)
	switch q.Kind {
	case KindApply:
		w.bytes(q.Patch)
		w.flag(q.Trial)
	case KindRollback:
		w.str(q.BuildID)
		w.u32(q.Base)
		w.str(q.Source)
	case KindTrial:
		w.str(q.BuildID)
		w.u32(q.Base)
		w.u64(q.Time)
	}
	return w.finish()
}

// DecodeRequest reads the payload of a request.
func DecodeRequest(kind Kind, payload []byte) (Request, error) {
	q := Request{Kind: kind}
	r := reader{buf: payload}
	switch kind {
	case KindHello, KindStale:
	case KindApply:
		q.Patch = r.bytes()
		q.Trial = r.flag()
	case KindRollback:
		q.BuildID = r.str()
		q.Base = r.u32()
		q.Source = r.str()
		if len(q.Source) > MaxSource {
			return Request{}, corrupt("rollback source digest is longer than 128 bytes")
		}
	case KindTrial:
		q.BuildID = r.str()
		q.Base = r.u32()
		q.Time = r.u64()
	default:
		return Request{}, corrupt("request kind " + strconv.Itoa(int(kind)) + " is unknown")
	}
	if !r.done() {
		return Request{}, corrupt("request is cut short or has bytes left over")
	}
	return q, nil
}

// Encode returns the whole frame.
func (h HelloReply) Encode() []byte {
	w := frame(KindHelloReply)
	w.u32(h.Protocol)
	w.u32(h.PID)
	w.str(h.BuildID)
	w.str(h.GoVersion)
	w.u32(h.Generation)
	w.str(h.Source)
	w.u64(h.Bias)
	w.u64(h.TextBase)
	w.u64(h.ArenaLo)
	w.u64(h.ArenaHi)
	w.u64(h.ArenaNext)
	w.u64(uint64(h.Started))
	w.u64(uint64(h.Live))
	w.u64(h.Mapped)
	w.u32(h.Retired)
	w.u32(h.Undo)
	w.flag(h.Busy)
	return w.finish()
}

// DecodeHelloReply reads the payload of a KindHelloReply.
func DecodeHelloReply(payload []byte) (HelloReply, error) {
	r := reader{buf: payload}
	protocol := r.u32()
	if protocol != Protocol && !r.failed {
		return HelloReply{}, corrupt("process speaks protocol " + strconv.FormatUint(uint64(protocol), 10) + " and limeade-lsp " +
			strconv.Itoa(Protocol) + "; build and start it again with this limeade-lsp")
	}
	h := HelloReply{
		Protocol: protocol, PID: r.u32(), BuildID: r.str(), GoVersion: r.str(), Generation: r.u32(), Source: r.str(),
		Bias: r.u64(), TextBase: r.u64(), ArenaLo: r.u64(), ArenaHi: r.u64(), ArenaNext: r.u64(),
		Started: int64(r.u64()), Live: int64(r.u64()), Mapped: r.u64(), Retired: r.u32(), Undo: r.u32(),
	}
	h.Busy = r.flag()
	if !r.done() {
		return HelloReply{}, corrupt("hello reply is cut short or has bytes left over")
	}
	return h, nil
}

// Encode returns the whole frame.
func (a ApplyReply) Encode() []byte {
	w := frame(KindApplyReply)
	w.u32(a.Generation)
	for _, v := range [...]uint64{a.Pause, a.Stopping, a.Verify, a.Map, a.Register, a.Init, a.Swap} {
		w.u64(v)
	}
	w.u32(a.Retries)
	w.u64(a.Hooks)
	w.strs(a.Failures)
	return w.finish()
}

// DecodeApplyReply reads the payload of a KindApplyReply.
func DecodeApplyReply(payload []byte) (ApplyReply, error) {
	r := reader{buf: payload}
	a := ApplyReply{
		Generation: r.u32(), Pause: r.u64(), Stopping: r.u64(),
		Verify: r.u64(), Map: r.u64(), Register: r.u64(), Init: r.u64(), Swap: r.u64(), Retries: r.u32(),
		Hooks: r.u64(), Failures: r.strs(),
	}
	if !r.done() {
		return ApplyReply{}, corrupt("apply reply is cut short or has bytes left over")
	}
	return a, nil
}

// Encode returns the whole frame.
func (s StaleReply) Encode() []byte {
	w := frame(KindStaleReply)
	w.u32(uint32(len(s.Funcs)))
	for _, f := range s.Funcs {
		w.str(f.Func)
		w.u32(f.Goroutines)
	}
	w.u32(s.Partial)
	return w.finish()
}

// DecodeStaleReply reads the payload of a KindStaleReply.
func DecodeStaleReply(payload []byte) (StaleReply, error) {
	r := reader{buf: payload}
	var s StaleReply
	if n := r.count(8); n > 0 {
		s.Funcs = make([]StaleFunc, n)
		for i := range s.Funcs {
			s.Funcs[i] = StaleFunc{Func: r.str(), Goroutines: r.u32()}
		}
	}
	s.Partial = r.u32()
	if !r.done() {
		return StaleReply{}, corrupt("stale reply is cut short or has bytes left over")
	}
	return s, nil
}

// Encode returns the whole frame.
func (t TrialReply) Encode() []byte {
	w := frame(KindTrialReply)
	w.str(t.Failed)
	w.strs(t.Trace)
	return w.finish()
}

// DecodeTrialReply reads the payload of a KindTrialReply.
func DecodeTrialReply(payload []byte) (TrialReply, error) {
	r := reader{buf: payload}
	t := TrialReply{Failed: r.str(), Trace: r.strs()}
	if !r.done() {
		return TrialReply{}, corrupt("trial reply is cut short or has bytes left over")
	}
	return t, nil
}

// Encode returns the whole frame.
func (e *Error) Encode() []byte {
	w := frame(KindError)
	w.u32(uint32(e.Code))
	w.str(e.Message)
	return w.finish()
}

// DecodeError reads the payload of a KindError; what cannot be read becomes a Corrupt error.
func DecodeError(payload []byte) *Error {
	r := reader{buf: payload}
	e := &Error{Code: Code(r.u32()), Message: r.str()}
	if !r.done() {
		return corrupt("error reply is cut short or has bytes left over")
	}
	return e
}

// frame begins a frame; finish fills in its length.
func frame(kind Kind) *writer {
	w := &writer{buf: make([]byte, 0, 64)}
	w.u32(0)
	w.u8(uint8(kind))
	return w
}

func (w *writer) finish() []byte {
	n := len(w.buf) - 4
	w.buf[0], w.buf[1], w.buf[2], w.buf[3] = byte(n), byte(n>>8), byte(n>>16), byte(n>>24)
	return w.buf
}

func (w *writer) flag(set bool) {
	b := byte(0)
	if set {
		b = 1
	}
	w.u8(b)
}

// flag reads one byte that is 0 or 1.
func (r *reader) flag() bool {
	b := r.take(1)
	if b != nil && b[0] > 1 {
		r.failed = true
	}
	return b != nil && b[0] == 1
}

// done reports whether all of the input was read and fitted.
func (r *reader) done() bool { return !r.failed && len(r.buf) == 0 }

// A Reader is io.Reader, spelled out so that package io need not join every program.
type Reader interface {
	Read(p []byte) (n int, err error)
}

// ReadFrame reads one frame of at most limit bytes. It allocates as bytes arrive, not as the length promises. The error
// is the reader's own, unwrapped, if the first byte could not be read (the end of the conversation); otherwise an *Error.
func ReadFrame(r Reader, limit int) (Kind, []byte, error) {
	var head [5]byte
	for have := 0; have < len(head); {
		n, err := r.Read(head[have:])
		have += n
		if err != nil && have < len(head) {
			if have == 0 {
				return 0, nil, err
			}
			return 0, nil, corrupt("frame is cut short")
		}
	}
	h := reader{buf: head[:]}
	length := uint64(h.u32())
	if length == 0 || length > uint64(limit) {
		return 0, nil, corrupt("frame length " + strconv.FormatUint(length, 10) + " is out of bounds")
	}
	want := int(length) - 1
	payload := make([]byte, 0, min(want, 64<<10))
	for len(payload) < want {
		if len(payload) == cap(payload) {
			grown := make([]byte, len(payload), min(want, 2*cap(payload)))
			copy(grown, payload)
			payload = grown
		}
		n, err := r.Read(payload[len(payload):min(cap(payload), want)])
		payload = payload[:len(payload)+n]
		if err != nil && len(payload) < want {
			return 0, nil, corrupt("frame is cut short")
		}
	}
	return Kind(head[4]), payload, nil
}
