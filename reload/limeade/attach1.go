//go:build go1.25

// The number in this file's name is that of what it declares: limeade-lsp looks for the file, and adds package
// reload/agent/live to a program only if the package limeade that it imports, of whatever version, has it.

package limeade

import (
	"context"
	"runtime"
	"strconv"
	"sync/atomic"
)

// An Agent is what limeade-lsp puts behind this package; no program has a use for it.
type Agent interface {
	Generation() uint32
	// Refresh returns an outcome in any case.
	Refresh(context.Context) (*Outcome, error)
	// Guard calls a function in a goroutine of its own, and says what went wrong: "" if it returned.
	Guard(func()) string
}

// agent is nil where there is none.
var agent atomic.Pointer[Agent]

// Attach is for the agent alone, which calls it once. It returns what calls the program's hooks.
func Attach(a Agent) (tell func(Event) (veto string, failures []string)) {
	agent.Store(&a)
	return func(e Event) (veto string, failures []string) {
		registered.mu.Lock()
		hooks := registered.hooks[:len(registered.hooks):len(registered.hooks)]
		registered.mu.Unlock()
		e.veto = new(atomic.Pointer[string])
		for _, h := range hooks {
			if why := a.Guard(func() { h.hook(e) }); why != "" {
				failures = append(failures, h.name()+" "+why)
			}
		}
		if reason := e.veto.Load(); reason != nil && e.Stage == Before && !e.Rollback {
			if veto = *reason; veto == "" {
				veto = "it gave no reason"
			}
		}
		return veto, failures
	}
}

// name says which hook it is: they have no names, but were registered somewhere.
func (h entry) name() string {
	at, _ := runtime.CallersFrames([]uintptr{h.pc}).Next()
	return "the hook of " + at.Function + " (" + at.File + ":" + strconv.Itoa(at.Line) + ")"
}
