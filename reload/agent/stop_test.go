//go:build linux && amd64

package agent_test

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/limeade-go/limeade/reload/internal/wire"
	"github.com/limeade-go/limeade/reload/patch"
)

// TestPause measures how long the world stands still with 10,000 goroutines.
func TestPause(t *testing.T) {
	for _, name := range []string{"go1.25", "go1.26", "go1.27"} {
		t.Run(name, func(t *testing.T) {
			p := start(t, build(t, name), "serve")
			p.check("park 10000", "ok")
			p.check("pulse 1", "ok") // so that there is an interrupted goroutine to look at
			c := p.dial()
			q := p.newPatch(hello(t, c), returns(42))
			p.detour(q, "main.answer", 0, 6)
			const rounds = 100
			// The machine may take the processor away in the middle of a stop: the best of a few series counts.
			best := time.Duration(1 << 62)
			for series := 0; series < 5 && best > time.Millisecond; series++ {
				var pauses, stops []time.Duration
				for range rounds {
					h := hello(t, c)
					q.Base, q.Next = h.Generation, h.Generation+1
					q.Origin = h.ArenaNext
					q.Writes[0].New = jump(q.Writes[0].Addr, q.Origin)
					q.Funcs[0].NewLo, q.Funcs[0].NewHi = q.Origin, q.Origin+6
					r := apply(t, c, q)
					back, err := rollback(c, r.Generation, "")
					if err != nil {
						t.Fatal(err)
					}
					for _, r := range []patch.ApplyReply{r, back} {
						pauses = append(pauses, time.Duration(r.Pause))
						stops = append(stops, time.Duration(r.Stopping))
					}
				}
				slices.Sort(pauses)
				slices.Sort(stops)
				n := len(pauses)
				t.Logf("pause p50 %v p99 %v max %v; time to stop p50 %v p99 %v",
					pauses[n/2], pauses[n*99/100], pauses[n-1], stops[n/2], stops[n*99/100])
				best = min(best, pauses[n*99/100])
			}
			if best > time.Millisecond {
				t.Errorf("p99 of the pause is %v, want at most 1ms", best)
			}
		})
	}
}

// TestWindow: code is not overwritten while a goroutine was interrupted in it, and is as soon as it is out.
func TestWindow(t *testing.T) {
	for _, name := range []string{"go1.25", "go1.26", "go1.27", "pie", "race", "noopt"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := start(t, build(t, name), "serve")
			c := p.dial()
			h := hello(t, c)
			p.bias = h.Bias
			whole := func(q *patch.Patch, name string) *patch.Patch {
				lo, hi := p.symbol(name)
				q.Windows = []patch.Window{{Lo: lo, Hi: hi}, {Lo: lo, Hi: lo + 5}}
				return q
			}
			// One that never leaves: refused, after a while, with nothing changed.
			p.check("spin 1", "ok")
			q := p.newPatch(h, returns(42))
			p.detour(q, "main.spin", 0, 6)
			_, err := c.Apply(context.Background(), whole(q, "main.spin").Encode())
			refused(t, err, patch.WindowBusy, "a goroutine does not leave main.spin")
			if h := hello(t, c); h.Generation != 0 || h.ArenaNext != h.ArenaLo || h.Mapped != 0 {
				t.Errorf("hello after the refusal is %+v", h)
			}
			lo, _ := p.symbol("main.spin")
			if got := p.memory(lo, 16); string(got) != string(p.bytes(lo, 16)) {
				t.Errorf("main.spin is % x after the refusal", got)
			}
			// Another function, with the same goroutine interrupted elsewhere: no retry.
			q = p.newPatch(hello(t, c), returns(42))
			p.detour(q, "main.answer", 0, 6)
			if r := apply(t, c, whole(q, "main.answer")); r.Retries != 0 {
				t.Errorf("%d retries for a function that is not in use", r.Retries)
			}
			p.check("answer", "42")
			p.check("stop", "ok")
			// One that comes and goes.
			p.check("pulse 1", "ok")
			retries := uint32(0)
			for range 20 {
				q = p.newPatch(hello(t, c), returns(0))
				p.detour(q, "main.work", 0, 6)
				r := apply(t, c, whole(q, "main.work"))
				retries += r.Retries
				if _, err := rollback(c, r.Generation, ""); err != nil {
					t.Fatal(err)
				}
			}
			t.Logf("%d retries in 20 refreshes of a function that is mostly in use", retries)
			p.check("stop", "ok")
			p.check("answer", "42")
		})
	}
}

// stale asks for old frames and prints the answer.
func stale(t *testing.T, c *wire.Client) string {
	t.Helper()
	s, err := c.Stale(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	out := fmt.Sprint(s.Funcs)
	if s.Partial != 0 {
		out += fmt.Sprintf(" partial %d", s.Partial)
	}
	return out
}

// TestStale counts goroutines with frames in replaced functions: waiting, deep in a recursion, in a system call, and
// interrupted in prologues of what they call.
func TestStale(t *testing.T) {
	for _, name := range []string{"go1.25", "go1.26", "go1.27", "pie", "race", "noopt", "external"} {
		t.Run(name, func(t *testing.T) {
			p := start(t, build(t, name), "serve")
			c := p.dial()
			if got := stale(t, c); got != "[]" {
				t.Errorf("before any refresh: %s", got)
			}
			p.check("park 300", "ok")
			p.check("read", "ok")
			q := p.newPatch(hello(t, c), returns(7))
			for _, f := range []string{"main.park", "main.deep", "main.readIn", "main.grow", "main.answer"} {
				p.detour(q, f, 0, 6)
			}
			q.Windows = nil
			p.check("deep 1000", "ok")
			p.check("grow 2", "ok")
			apply(t, c, q)
			want := "[{main.deep 1} {main.grow 2} {main.park 300} {main.readIn 1}]"
			for range 30 {
				if got := stale(t, c); got != want {
					t.Fatalf("stale: %s, want %s", got, want)
				}
			}
			p.check("stop", "ok")
			p.check("unpark 301", "ok")
			// They end a moment after they were let go.
			for range 1000 {
				if stale(t, c) == "[{main.readIn 1}]" {
					return
				}
				time.Sleep(time.Millisecond)
			}
			t.Errorf("stale: %s, want what still reads", stale(t, c))
		})
	}
}

// TestVacant: code that must not be on any stack is waited for and, if it stays, refuses the patch; older bodies count too.
func TestVacant(t *testing.T) {
	for _, name := range []string{"go1.25", "go1.26", "go1.27"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := start(t, build(t, name), "serve")
			c := p.dial()
			p.check("park 3", "ok")
			q := p.newPatch(hello(t, c), returns(42))
			p.detour(q, "main.answer", 0, 6)
			p.detour(q, "main.park", 0, 6)
			q.Vacant = []string{"main.nobody", "main.park"}
			before := p.snapshot(c)
			_, err := c.Apply(context.Background(), q.Encode())
			refused(t, err, patch.Occupied, "a goroutine is inside of main.park")
			p.unchanged(c, before, "code that is not vacant")
			p.check("answer", "1")

			// Retired code counts as well.
			q.Vacant = nil
			apply(t, c, q)
			p.check("answer", "42")
			h := hello(t, c)
			q2 := p.newPatch(h, returns(43))
			lo, _ := p.symbol("main.answer")
			q2.Writes = []patch.Write{{Addr: lo, Expect: jump(lo, q.Origin), New: jump(lo, q2.Origin)}}
			q2.Vacant = []string{"main.park"}
			result := make(chan error, 1)
			go func() {
				_, err := c.Apply(context.Background(), q2.Encode())
				result <- err
			}()
			p.check("unpark 3", "ok") // while the agent waits, or before
			if err := <-result; err != nil {
				t.Fatal(err)
			}
			p.check("answer", "43")
		})
	}
}

// TestStaleDeep reads a stack of a million frames in slices.
func TestStaleDeep(t *testing.T) {
	p := start(t, build(t, "go1.26"), "serve")
	c := p.dial()
	p.check("park 1", "ok")
	p.check("deep 1000000", "ok")
	p.check("pulse 1", "ok")
	q := p.newPatch(hello(t, c), returns(7))
	p.detour(q, "main.park", 0, 6)
	p.detour(q, "main.serve", 0, 6)
	apply(t, c, q)
	begin := time.Now()
	if got, want := stale(t, c), "[{main.park 1} {main.serve 1}]"; got != want {
		t.Errorf("stale: %s, want %s", got, want)
	}
	t.Logf("a stack of a million frames was read in %v", time.Since(begin))
	q = p.newPatch(hello(t, c), returns(7))
	p.detour(q, "main.deep", 0, 6)
	apply(t, c, q)
	if got, want := stale(t, c), "[{main.deep 1} {main.park 1} {main.serve 1}]"; got != want {
		t.Errorf("stale: %s, want %s", got, want)
	}
	p.check("stop", "ok")
}

// TestSoak refreshes and rolls back again and again while goroutines call the function and garbage is collected all the
// time.
func TestSoak(t *testing.T) {
	t.Setenv("GOGC", "5")
	t.Setenv("GODEBUG", "clobberfree=1,invalidptr=1")
	for _, name := range []string{"go1.25", "go1.26", "go1.27", "pie", "race", "racecover"} {
		t.Run(name, func(t *testing.T) {
			p := start(t, build(t, name), "serve")
			c := p.dial()
			p.bias = hello(t, c).Bias
			p.check("call 1", "ok")
			p.check("churn", "ok")
			p.check("park 100", "ok")
			for i := range 16 {
				h := hello(t, c)
				m := p.newModule(h)
				leaf := m.add("patch.leaf", leafDepth(6), func(uint64) []byte { return returns(42) })
				q := m.finish()
				p.detour(q, "main.answer", leaf-q.Origin, 6)
				r := apply(t, c, q)
				p.check("answer", "42")
				if i%8 == 0 {
					stale(t, c)
				}
				if _, err := rollback(c, r.Generation, ""); err != nil {
					t.Fatal(err)
				}
				p.check("answer", "1")
			}
			p.check("stop", "ok")
		})
	}
}
