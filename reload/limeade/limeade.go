//go:build go1.25

// Package limeade lets a program take part in its own refreshes: ask for one, be told of each, refuse one that comes at a
// bad moment.
//
// In a program that limeade-lsp built it meets the agent there. In any other, a production build say, there is nothing to
// meet: hooks are never called, Generation is 0, Refresh says [ErrNoAgent], and all of it is a few hundred bytes.
// A program that begins to import it in a refresh meets the agent when it is started the next time.
package limeade

import (
	"context"
	"errors"
	"runtime"
	"sync"
	"sync/atomic"
)

// ErrNoAgent is what Refresh returns in a program that was not built by limeade-lsp.
var ErrNoAgent = errors.New("limeade: this program has no agent; build it with limeade-lsp")

// Generation says what the program runs: 0 is its build, and each refresh and rollback makes one more.
func Generation() uint32 {
	if a := agent.Load(); a != nil {
		return (*a).Generation()
	}
	return 0
}

// Refresh makes the source as it is saved live in this program, as the command limeade-lsp refresh does, and returns what
// that prints. The error is Outcome.Error if there is one. The limeade-lsp run that started the program does the
// work, or where none did, the limeade-lsp in PATH. A hook must not wait for it: one refresh is under way already.
func Refresh(ctx context.Context) (Outcome, error) { return Reload(ctx) }

// Reload is Refresh, and has the named package variables begin anew, whatever was written to them: their initialisers run,
// before the swap. It is what limeade-lsp refresh --reset does, and takes the same names: "example.com/app/p.table",
// "p.table" or "table". A variable gets new memory. So a function that is running, its caller say, has the old value until it is
// called the next time, as has who keeps a pointer to it; and a rollback goes back to the old value.
func Reload(ctx context.Context, vars ...string) (Outcome, error) {
	a := agent.Load()
	if a == nil {
		return Outcome{}, ErrNoAgent
	}
	o, err := (*a).Refresh(ctx, vars)
	return *o, err
}

// A Stage is when a hook is called.
type Stage uint8

// Each Before is followed by one of the others.
const (
	Before  Stage = iota // nothing has changed yet
	After                // the swap is made
	Dropped              // it was not made after all, and nothing has changed
)

// An Event is a swap of the program's code, and how far it is.
type Event struct {
	Stage Stage
	// Generation is the one that begins with the swap.
	Generation uint32
	// Rollback says that Changed goes back to what it was before the last refresh.
	Rollback bool
	// Changed names the declarations that were edited, as limeade-lsp does: "example.com/app/p.(*Counter).Inc".
	Changed []string

	veto *atomic.Pointer[string]
}

// Veto refuses the swap that Before announces: limeade-lsp shows the reason, and the program goes on as it is. Otherwise,
// and for a rollback, which undoes what may do harm, it does nothing.
func (e Event) Veto(reason string) {
	if e.veto != nil {
		e.veto.CompareAndSwap(nil, &reason)
	}
}

// OnRefresh registers a hook, which is called before each swap and after it, in a goroutine of its own. The hooks are called
// one after the other, in the order that they were registered in, and have five seconds for each stage together; who
// takes longer is not waited for. That a hook panics, or is late, is reported by limeade-lsp and keeps no swap
// from being made: only a veto does.
func OnRefresh(hook func(Event)) {
	register(entry{hook: hook})
}

// Health registers a check. In a trial (limeade-lsp refresh --trial 5s) all checks are asked again and again, each in a
// goroutine of its own; where one returns an error, panics or takes longer than five seconds the refresh is rolled back.
func Health(check func() error) {
	register(entry{check: check})
}

func register(e entry) {
	var pc [1]uintptr
	runtime.Callers(3, pc[:])
	e.pc = pc[0]
	registered.mu.Lock()
	registered.list = append(registered.list, e)
	registered.mu.Unlock()
}

// registered are the hooks and checks, which may be there before the agent is.
var registered struct {
	mu   sync.Mutex
	list []entry
}

// An entry is either of them.
type entry struct {
	hook  func(Event)
	check func() error
	pc    uintptr // of who registered it
}
