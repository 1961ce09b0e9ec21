//go:build linux && amd64 && go1.25

// Package agent knows how to change the program that it is part of: it takes patches over a socket that its own user
// alone can open, judges them, and makes them live. It must never know how a patch is made, or anything of the source.
//
// A program imports it for its side effect:
//
//	import _ "github.com/limeade-go/limeade/reload/agent"
//
// HACKING.md beside this file says how it works and what it relies on.
package agent

import (
	"runtime"
	"sync"
	"sync/atomic"
	"syscall"

	"github.com/limeade-go/limeade/reload/agent/internal/rt"
	"github.com/limeade-go/limeade/reload/patch"
)

func init() {
	rt.Init()
	a := &agent{started: now(), version: runtime.Version()}
	a.live = a.started
	self.Store(a)
	l, err := listen()
	if err != nil {
		complain("cannot listen, so this program cannot be refreshed: " + err.Error())
		return
	}
	rt.Go(func() { l.serve(a) })
	// A program that deadlocks at once is then found out by the thread that blocks last, one of its own, and the report
	// shows its goroutines alone.
	rt.AwaitIdle()
}

// An agent is the state of the program's one agent.
type agent struct {
	version string
	started int64 // nanoseconds since 1970

	// writer is held while the process is changed. Who cannot have it at once is told so.
	writer sync.Mutex
	// runtime is the description that was found true last; guarded by writer.
	runtime *rt.Runtime
	// undo holds what takes back the applied refreshes, the last one last; guarded by writer.
	undo []refresh
	// reliant is what no goroutine may be in when refreshes are taken back; guarded by writer.
	reliant []patch.Reliant
	// watching takes back what makes panics be seen, nil if they are not; guarded by writer.
	watching []patch.Write
	watcher  atomic.Int64 // the conversation in which somebody wanted it, 0 if they are not

	mu sync.Mutex // guards what follows
	// image is what runs; nil before it is asked for.
	image      *rt.Image
	imageError error
	// [arena.Lo, arena.Hi) is reserved, arenaNext the first free address in it.
	arena      rt.Range
	arenaNext  uint64
	arenaError error
	generation uint32
	source     string
	live       int64 // nanoseconds since 1970
	mapped     uint64
	retired    []body
	described  *rt.Runtime // runtime, for those who only read
	undoDepth  uint32      // len(undo)
}

// A body is the code of a function that was replaced.
type body struct {
	name string
	rt.Range
}

// A refresh is what must be known to take one back.
type refresh struct {
	writes  []patch.Write // Expect is what the refresh wrote, New what was there before
	windows []patch.Window
	funcs   []patch.Func
	changed []string      // what the program is told
	methods patch.Methods // without Tables, which are among writes
}

// handle answers a request with a whole frame. A failure of the agent itself must not end the program. Once the client
// has given up nothing is changed for it any more.
func (a *agent) handle(kind patch.Kind, payload []byte, client conn) (reply []byte) {
	defer func() {
		if v := recover(); v != nil {
			reply = refuse(patch.Internal, "agent failed: "+describe(v)).Encode()
		}
	}()
	q, err := patch.DecodeRequest(kind, payload)
	if err != nil {
		return refusal(err).Encode()
	}
	switch q.Kind {
	case patch.KindHello:
		return a.hello()
	case patch.KindApply:
		return a.apply(q, client)
	case patch.KindRollback:
		return a.rollback(q, client.gone)
	case patch.KindTrial:
		return a.try(q, client.gone)
	}
	return a.stale()
}

// prepare reads the image and reserves the arena, once. There may be no room for an arena: then it is empty.
func (a *agent) prepare() (*rt.Image, *patch.Error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.image == nil && a.imageError == nil {
		a.image, a.imageError = rt.ReadImage()
	}
	if a.imageError != nil {
		return nil, refuse(patch.Internal, a.imageError.Error())
	}
	if a.arena.Hi == 0 && a.arenaError == nil {
		a.arena, a.arenaError = reserve(a.image)
		a.arenaNext = a.arena.Lo
	}
	return a.image, nil
}

// begin judges a request that concerns what runs already, a rollback or a trial, against the process as it is. Unless it
// is refused, writer is held from then on.
func (a *agent) begin(what string, q patch.Request) (generation uint32, refused *patch.Error) {
	im, refused := a.prepare()
	if refused != nil {
		return 0, refused
	}
	if q.BuildID != im.BuildID {
		return 0, wrongBuild(what, q.BuildID, im)
	}
	if !a.writer.TryLock() {
		return 0, busy()
	}
	a.mu.Lock()
	generation = a.generation
	a.mu.Unlock()
	if q.Base != generation {
		a.writer.Unlock()
		return 0, wrongGeneration(what, q.Base, generation)
	}
	return generation, nil
}

// hello describes the process.
func (a *agent) hello() []byte {
	im, refused := a.prepare()
	if refused != nil {
		return refused.Encode()
	}
	busy := !a.writer.TryLock()
	if !busy {
		defer a.writer.Unlock()
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	return patch.HelloReply{
		Protocol:   patch.Protocol,
		PID:        uint32(syscall.Getpid()),
		BuildID:    im.BuildID,
		GoVersion:  a.version,
		Generation: a.generation,
		Source:     a.source,
		Bias:       im.Bias,
		TextBase:   im.TextBase,
		ArenaLo:    a.arena.Lo,
		ArenaHi:    a.arena.Hi,
		ArenaNext:  a.arenaNext,
		Started:    a.started,
		Live:       a.live,
		Mapped:     a.mapped,
		Retired:    uint32(len(a.retired)),
		Undo:       a.undoDepth,
		Busy:       busy,
	}.Encode()
}

// now is the time in nanoseconds since 1970.
func now() int64 {
	var t syscall.Timeval
	if err := syscall.Gettimeofday(&t); err != nil {
		return 0
	}
	return t.Nano()
}

// refuse makes a refusal.
func refuse(code patch.Code, message string) *patch.Error {
	return &patch.Error{Code: code, Message: message}
}

// refusal makes one of an error, which is one already if package patch found it.
func refusal(err error) *patch.Error {
	if e, ok := err.(*patch.Error); ok {
		return e
	}
	return refuse(patch.Internal, err.Error())
}

// describe puts a panic's value into words.
func describe(v any) (words string) {
	defer func() {
		if recover() != nil {
			words = "a value whose method panics as well"
		}
	}()
	switch v := v.(type) {
	case error:
		return v.Error()
	case interface{ String() string }:
		return v.String()
	case string:
		return v
	}
	return "a value that is no error and no string"
}

// complain writes one line to standard error.
func complain(message string) {
	// There is nobody to tell when standard error is closed.
	_, _ = syscall.Write(2, []byte("limeade: "+message+"\n"))
}
