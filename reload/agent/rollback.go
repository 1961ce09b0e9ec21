//go:build linux && amd64 && go1.25

package agent

import (
	"github.com/limeade-go/limeade/reload/agent/internal/rt"
	"github.com/limeade-go/limeade/reload/patch"
)

// relyOn returns the code that must be vacant when the refresh is taken back that has this number, and what is left to
// be minded once it is. writer is held.
func (a *agent) relyOn(depth int) (vacant []body, kept []patch.Reliant) {
	for _, f := range a.reliant {
		if int(f.Depth) < depth {
			kept = append(kept, f)
			continue
		}
		name, _ := rt.FuncAt(f.Lo)
		vacant = append(vacant, body{name, rt.Range{Lo: f.Lo, Hi: f.Hi}})
	}
	return vacant, kept
}

// rollback takes the last refresh back that is not taken back yet. The process gets a new generation with the code of
// the one before; what the refresh mapped and registered stays.
func (a *agent) rollback(q patch.Request, gone func() bool) []byte {
	generation, refused := a.begin("rollback", q)
	if refused != nil {
		return refused.Encode()
	}
	defer a.writer.Unlock()
	if len(a.undo) == 0 {
		return refuse(patch.NothingToUndo, "process runs its build; there is no refresh to roll back").Encode()
	}
	if err := a.ignore(); err != nil {
		return refusal(err).Encode()
	}
	last := a.undo[len(a.undo)-1]
	reply := patch.ApplyReply{Generation: generation + 1}
	swap := Swap{Generation: reply.Generation, Rollback: true, Changed: last.changed}
	tell(swap, &reply) // it has no veto
	begin := rt.Nanotime()
	vacant, kept := a.relyOn(len(a.undo))
	if refused := a.exchange(a.runtime, last.writes, last.windows, last.funcs, vacant, rt.NewMethods(a.runtime, last.methods), gone, &reply); refused != nil {
		return drop(swap, refused, &reply).Encode()
	}
	a.reliant = kept
	reply.Swap = uint64(rt.Nanotime() - begin)
	a.undo = a.undo[:len(a.undo)-1]
	a.mu.Lock()
	for _, f := range last.funcs {
		a.revive(rt.Range{Lo: f.OldLo, Hi: f.OldHi})
		a.retire(f.Name, rt.Range{Lo: f.NewLo, Hi: f.NewHi})
	}
	a.became(generation+1, q.Source)
	a.mu.Unlock()
	swap.Stage = After
	tell(swap, &reply)
	return reply.Encode()
}
