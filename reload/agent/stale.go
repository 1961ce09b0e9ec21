//go:build linux && amd64 && go1.25

package agent

import (
	"sort"

	"github.com/limeade-go/limeade/reload/agent/internal/rt"
	"github.com/limeade-go/limeade/reload/patch"
)

// Reading the stacks of all goroutines takes long if there are many, so it is done in slices of a stopped world, in
// nanoseconds, with the program running in between.
const (
	staleSlice = 300e3
	staleGap   = 1e6
)

// stale counts the goroutines that still have frames in retired code.
func (a *agent) stale() []byte {
	a.mu.Lock()
	r := a.described
	indexes := make(map[string]int)
	var names []string
	bodies := make([]rt.Body, len(a.retired))
	for i, b := range a.retired {
		index, ok := indexes[b.name]
		if !ok {
			index = len(names)
			indexes[b.name] = index
			names = append(names, b.name)
		}
		bodies[i] = rt.Body{Range: b.Range, Name: index, Entered: a.entered(b.Range)}
	}
	a.mu.Unlock()
	if len(bodies) == 0 {
		return patch.StaleReply{}.Encode()
	}
	c := census(r, bodies, len(names))
	reply := patch.StaleReply{Partial: c.Partial}
	for i, n := range c.Counts {
		if n > 0 {
			reply.Funcs = append(reply.Funcs, patch.StaleFunc{Func: names[i], Goroutines: n})
		}
	}
	sort.Slice(reply.Funcs, func(i, j int) bool { return reply.Funcs[i].Func < reply.Funcs[j].Func })
	return reply.Encode()
}

// census reads all stacks in slices; nil if there is nothing to look for.
func census(r *rt.Runtime, bodies []rt.Body, names int) *rt.Census {
	if len(bodies) == 0 {
		return nil
	}
	c := rt.NewCensus(r, append([]rt.Body(nil), bodies...), names)
	for !c.Slice(staleSlice) {
		rt.Sleep(staleGap)
	}
	return c
}
