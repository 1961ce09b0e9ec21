//go:build linux && amd64 && go1.25

package agent

import (
	"sync/atomic"

	"github.com/limeade-go/limeade/reload/agent/internal/rt"
	"github.com/limeade-go/limeade/reload/patch"
)

// A trial is the time after a refresh in which somebody is ready to take it back. From before the swap on, recovered panics
// are looked at; see rt.WatchPanics. One that nobody recovers ends the program.

// How often a trial looks at panics, and how long one request may take, in nanoseconds.
const (
	trialPause = 5e6
	maxTrial   = 60e9
)

// checks asks the program how it is. It is nil until somebody attaches.
var checks atomic.Pointer[func() (failures []string)]

// AttachChecks makes the program be asked in trials: a failure ends one. Its checks must be called through [Guard].
func AttachChecks(ask func() (failures []string)) { checks.Store(&ask) }

// watch begins to look out for panics that pass through the patch's code.
func (t *transaction) watch() *patch.Error {
	if t.trial == 0 {
		return nil
	}
	t.back = append(t.back, func() error { return t.agent.ignore() })
	return t.agent.watch(t.r, rt.Range{Lo: t.p.Origin, Hi: t.p.Origin + uint64(len(t.p.Text))}, t.trial)
}

// watch looks out for panics that pass through code. writer is held.
func (a *agent) watch(r *rt.Runtime, code rt.Range, client conn) *patch.Error {
	if err := a.ignore(); err != nil {
		return refuse(patch.Internal, err.Error())
	}
	w, err := r.WatchPanics(code)
	if err != nil {
		return refuse(patch.Internal, "panics cannot be seen: "+err.Error())
	}
	a.watching = inverse([]patch.Write{w})
	a.watcher.Store(int64(client))
	return a.exchange(r, []patch.Write{w}, nil, nil, nil, nil, never, &patch.ApplyReply{})
}

// ignore ends what watch began, if it did. writer is held.
func (a *agent) ignore() error {
	if a.watching == nil {
		return nil
	}
	back := a.watching
	a.watching = nil
	a.watcher.Store(0)
	rt.IgnorePanics()
	if !rt.Equal(back[0].Addr, back[0].Expect) {
		return nil // the write was not made
	}
	if refused := a.exchange(a.runtime, back, nil, nil, nil, nil, never, &patch.ApplyReply{}); refused != nil {
		return refused
	}
	return nil
}

// left ends what was begun for a client that goes away.
func (a *agent) left(client conn) {
	if a.watcher.Load() != int64(client) {
		return
	}
	a.writer.Lock()
	defer a.writer.Unlock()
	if a.watcher.Load() == int64(client) {
		if err := a.ignore(); err != nil {
			complain(err.Error())
		}
	}
}

func never() bool { return false }

// try looks at the program for some time, and says what failed until then. Who goes on asks again; no time ends the trial, and
// so does a client that goes away, or takes the refresh back.
func (a *agent) try(q patch.Request, gone func() bool) []byte {
	if _, refused := a.begin("trial", q); refused != nil {
		return refused.Encode()
	}
	defer a.writer.Unlock()
	if a.watching == nil {
		return refuse(patch.WrongGeneration, "the process is not on trial").Encode()
	}
	if q.Time == 0 {
		if err := a.ignore(); err != nil {
			return refusal(err).Encode()
		}
		return patch.TrialReply{}.Encode()
	}
	return a.await(rt.Nanotime()+int64(min(q.Time, maxTrial)), gone).Encode()
}

// await looks for panics until the time is over, and then asks the program's checks.
func (a *agent) await(deadline int64, gone func() bool) patch.TrialReply {
	for {
		if p := a.runtime.NotedPanic(); p != nil {
			return patch.TrialReply{Failed: "panic: " + p.Value, Trace: p.Trace}
		}
		if rt.Nanotime() >= deadline || gone() {
			break
		}
		rt.Sleep(trialPause)
	}
	if ask := checks.Load(); ask != nil && !gone() {
		hooksDeadline.Store(rt.Nanotime() + hooksPatience)
		if failures := (*ask)(); len(failures) > 0 {
			return patch.TrialReply{Failed: failures[0], Trace: failures[1:]}
		}
	}
	return patch.TrialReply{}
}
