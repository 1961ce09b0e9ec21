//go:build linux && amd64

package agent_test

import (
	"bytes"
	"context"
	"testing"
	"time"

	"github.com/limeade-go/limeade/reload/patch"
)

// TestTrial: while a refresh is on trial the runtime's code leads to the agent's, in one place, and not a moment longer. The
// scripts trial and health of testdata/script have panics and checks.
func TestTrial(t *testing.T) {
	for _, name := range []string{"go1.25", "go1.26", "go1.27", "pie", "race", "noopt", "stripped"} {
		t.Run(name, func(t *testing.T) {
			p := start(t, build(t, name), "serve")
			c := p.dial()
			ctx := context.Background()
			p.bias = hello(t, c).Bias
			before := p.snapshot(c)
			_, err := c.Trial(ctx, before.hello.BuildID, 0, time.Second)
			refused(t, err, patch.WrongGeneration, "not on trial")

			try := func() patch.HelloReply {
				t.Helper()
				q := p.newPatch(hello(t, c), returns(42))
				p.detour(q, "main.answer", 0, 6)
				lo, hi := p.symbol("runtime.(*_panic).nextDefer")
				if _, err := c.Try(ctx, q.Encode()); err != nil {
					t.Fatal(err)
				}
				p.check("answer", "42")
				code, built := p.memory(lo, int(hi-lo)), p.bytes(lo, int(hi-lo))
				changed := 0
				for i := range code {
					if code[i] != built[i] {
						changed++
					}
				}
				if changed == 0 || changed > 4 {
					t.Errorf("%d bytes of nextDefer have changed, want the operand of a call", changed)
				}
				return hello(t, c)
			}
			clean := func(after string) {
				t.Helper()
				p.check("answer", "1")
				if got := p.snapshot(c); !bytes.Equal(got.image, before.image) {
					t.Errorf("after %s: text or read-only data is not what it was", after)
				}
			}

			h := try()
			_, err = c.Trial(ctx, h.BuildID+"x", h.Generation, time.Second)
			refused(t, err, patch.WrongBuild, "the process runs")
			if r, err := c.Trial(ctx, h.BuildID, h.Generation, 20*time.Millisecond); err != nil || r.Failed != "" {
				t.Errorf("trial: %+v, %v", r, err)
			}
			if _, err := c.Trial(ctx, h.BuildID, h.Generation, 0); err != nil {
				t.Errorf("end of the trial: %v", err)
			}
			_, err = c.Trial(ctx, h.BuildID, h.Generation, time.Second)
			refused(t, err, patch.WrongGeneration, "not on trial")
			if _, err := rollback(c, h.Generation, ""); err != nil {
				t.Fatal(err)
			}
			clean("a trial that ended well")

			h = try()
			if _, err := rollback(c, h.Generation, ""); err != nil {
				t.Fatal(err)
			}
			clean("a trial that was taken back")

			// Who wanted it goes away. Its conversation ends a moment later.
			h = try()
			c.Close()
			c = p.dial()
			lo, hi := p.symbol("runtime.(*_panic).nextDefer")
			for deadline := time.Now().Add(10 * time.Second); !bytes.Equal(p.memory(lo, int(hi-lo)), p.bytes(lo, int(hi-lo))); {
				if time.Now().After(deadline) {
					t.Fatal("the trial does not end with its client")
				}
				time.Sleep(time.Millisecond)
			}
			if _, err := rollback(c, h.Generation, ""); err != nil {
				t.Fatal(err)
			}
			clean("a trial whose client went away")
		})
	}
}
