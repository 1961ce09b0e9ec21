//go:build linux && amd64

package agent_test

import (
	"testing"
	"time"

	"github.com/limeade-go/limeade/reload/patch"
)

// TestVariants replaces a function and puts it back in every kind of executable.
func TestVariants(t *testing.T) {
	for _, v := range variants {
		t.Run(v.name, func(t *testing.T) {
			p := start(t, build(t, v.name), "serve")
			c := p.dial()
			h := hello(t, c)
			if h.Protocol != patch.Protocol || int(h.PID) != p.pid() || h.Generation != 0 || h.Source != "" || h.Undo != 0 ||
				h.ArenaNext != h.ArenaLo || h.ArenaHi-h.ArenaLo != 256<<20 || h.Mapped != 0 || h.Retired != 0 {
				t.Fatalf("hello is %+v", h)
			}
			if age := time.Since(time.Unix(0, h.Started)); age < 0 || age > time.Minute || h.Live != h.Started {
				t.Errorf("started %v ago, live since %d after that", age, h.Live-h.Started)
			}
			p.bias = h.Bias
			if lo, _ := p.symbol("runtime.text"); h.TextBase != lo {
				t.Errorf("text base is %#x, want %#x", h.TextBase, lo)
			}
			p.check("answer", "1")

			q := p.newPatch(h, returns(42))
			p.detour(q, "main.answer", 0, 6)
			r := apply(t, c, q)
			if r.Generation != 1 || r.Pause == 0 || r.Stopping == 0 || r.Verify == 0 || r.Map == 0 || r.Swap == 0 {
				t.Errorf("reply is %+v", r)
			}
			p.check("answer", "42")
			h = hello(t, c)
			if h.Generation != 1 || h.Source != "source 1" || h.Undo != 1 || h.Retired != 1 || h.Mapped != 4096 ||
				h.ArenaNext != q.End() || h.Live <= h.Started {
				t.Errorf("hello after the refresh is %+v", h)
			}

			// A second version: the entry's bytes are now the first detour.
			lo, hi := p.symbol("main.answer")
			q2 := p.newPatch(h, returns(43))
			q2.Writes = []patch.Write{{Addr: lo, Expect: jump(lo, q.Origin), New: jump(lo, q2.Origin)}}
			q2.Funcs = []patch.Func{{Name: "main.answer", OldLo: q.Origin, OldHi: q.Origin + 6, NewLo: q2.Origin, NewHi: q2.Origin + 6}}
			apply(t, c, q2)
			p.check("answer", "43")

			r, err := rollback(c, 2, "source 1 again")
			if err != nil || r.Generation != 3 || r.Pause == 0 {
				t.Fatalf("rollback: %+v, %v", r, err)
			}
			p.check("answer", "42")
			if h := hello(t, c); h.Generation != 3 || h.Source != "source 1 again" || h.Undo != 1 || h.Retired != 2 {
				t.Errorf("hello after the rollback is %+v", h)
			}
			if _, err := rollback(c, 3, ""); err != nil {
				t.Fatal(err)
			}
			p.check("answer", "1")
			_, err = rollback(c, 4, "")
			refused(t, err, patch.NothingToUndo, "runs its build")
			_, err = rollback(c, 1, "")
			refused(t, err, patch.WrongGeneration, "process is at 4")

			// From here a refresh works as before.
			q3 := p.newPatch(hello(t, c), returns(44))
			p.detourFrom(q3, "main.answer", lo, hi, p.bytes(lo, 5), 0, 6)
			if r := apply(t, c, q3); r.Generation != 5 {
				t.Errorf("generation is %d, want 5", r.Generation)
			}
			p.check("answer", "44")
			p.check("goroutines", "1")
		})
	}
}
