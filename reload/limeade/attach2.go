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
	Refresh(ctx context.Context, reset []string) (*Outcome, error)
	// Guard calls a function in a goroutine of its own, and says what went wrong: "" if it returned.
	Guard(func()) string
}

// agent is nil where there is none.
var agent atomic.Pointer[Agent]

// Attach is for the agent alone, which calls it once. It returns what calls the program's hooks, and its checks.
func Attach(a Agent) (tell func(Event) (veto string, failures []string), check func() (failures []string)) {
	agent.Store(&a)
	entries := func() []entry {
		registered.mu.Lock()
		defer registered.mu.Unlock()
		return registered.list[:len(registered.list):len(registered.list)]
	}
	tell = func(e Event) (veto string, failures []string) {
		e.veto = new(atomic.Pointer[string])
		for _, h := range entries() {
			if h.hook == nil {
				continue
			}
			if why := a.Guard(func() { h.hook(e) }); why != "" {
				failures = append(failures, "the hook of "+h.name()+" "+why)
			}
		}
		if reason := e.veto.Load(); reason != nil && e.Stage == Before && !e.Rollback {
			if veto = *reason; veto == "" {
				veto = "it gave no reason"
			}
		}
		return veto, failures
	}
	check = func() (failures []string) {
		for _, c := range entries() {
			if c.check == nil {
				continue
			}
			var failed atomic.Pointer[error]
			why := a.Guard(func() {
				if err := c.check(); err != nil {
					failed.Store(&err)
				}
			})
			if err := failed.Load(); err != nil {
				why = "says: " + (*err).Error()
			}
			if why != "" {
				failures = append(failures, "the check of "+c.name()+" "+why)
			}
		}
		return failures
	}
	return tell, check
}

// name says which it is: they have no names, but were registered somewhere.
func (h entry) name() string {
	at, _ := runtime.CallersFrames([]uintptr{h.pc}).Next()
	return at.Function + " (" + at.File + ":" + strconv.Itoa(at.Line) + ")"
}
