// Package stress swaps functions to and fro while a program works on them in many ways at once. It knows the program
// testdata/programs/stress and the tool's command line, and must never know how a refresh is made.
package stress

import (
	"context"
	"encoding/json"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/limeade-go/limeade/reload/internal/proof/drive"
)

func TestMain(m *testing.M) { os.Exit(drive.Main(m)) }

const (
	short    = 5 * time.Second // and one toolchain, unless LIMEADE_STRESS gives a duration, as in "60s"
	atLeast  = 10              // refreshes of a short run
	enough   = 1000            // swaps of a function in one of a minute or more, which goes on until then
	patience = 5               // refreshes in a row that may find a goroutine at an entry
)

// TestStress alternates the two versions of package work for a while. The program checks every answer by itself and
// ends at the first that is wrong; after each swap it is asked to do everything once more, all of it in the version
// that is live.
func TestStress(t *testing.T) {
	duration := short
	s := os.Getenv("LIMEADE_STRESS")
	if s != "" {
		var err error
		if duration, err = time.ParseDuration(s); err != nil {
			t.Fatalf("LIMEADE_STRESS: %v", err)
		}
	}
	for _, version := range drive.Toolchains(t, s != "") {
		t.Run(version, func(t *testing.T) { stress(t, version, duration) })
	}
}

func stress(t *testing.T, version string, duration time.Duration) {
	ctx, cancel := context.WithTimeout(context.Background(), duration+10*time.Minute)
	defer cancel()
	dir := drive.CopyProgram(t, "stress")
	live := filepath.Join(dir, "work", "work.go")
	sources := map[string][]byte{}
	for name, file := range map[string]string{"old": live, "new": filepath.Join(dir, "new", "work.go")} {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		sources[name] = text
	}
	w := drive.NewWorkspace(t, dir, version, "GODEBUG=clobberfree=1,invalidptr=1")
	p, err := w.Start(nil)
	if err != nil {
		t.Fatal(err)
	}
	ready, err := p.Line(ctx)
	if err != nil {
		t.Fatal(err)
	}
	if want := "ready " + version + " GODEBUG=clobberfree=1"; !strings.HasPrefix(ready, want) {
		t.Fatalf("program says %q, want %q", ready, want)
	}
	if err := w.Listed(ctx); err != nil {
		t.Fatal(err)
	}

	var pauses, walls []float64
	var phases []drive.Phases
	swaps, funcs, busy, row := 0, 0, 0, 0
	now, next := "old", "new"
	least := 0
	if duration >= time.Minute {
		least = enough
	}
	start := time.Now()
	for time.Since(start) < duration || swaps < atLeast || funcs < least {
		if err := drive.Put(live, sources[next]); err != nil {
			t.Fatal(err)
		}
		began := time.Now()
		a, err := w.Refresh(ctx)
		if err != nil {
			t.Fatalf("swap %d to %s: %v\n%s", swaps, next, err, p.Stderr)
		}
		switch {
		case a.Exit == drive.Live && a.Applied && a.Generation == swaps+1:
			swaps, funcs, row = swaps+1, funcs+len(a.Edits), 0
			now, next = next, now
			pauses = append(pauses, a.Phases.Pause)
			phases = append(phases, a.Phases)
			walls = append(walls, float64(time.Since(began).Microseconds())/1000)
		case a.Exit == drive.NoProcess && !a.Applied && row < patience:
			// A goroutine may stay in the first bytes of a function for all of the agent's tries: then nothing was
			// changed, which the probe below confirms.
			busy, row = busy+1, row+1
			t.Logf("swap %d to %s, not this time: %v", swaps, next, a)
		default:
			t.Fatalf("swap %d to %s: %v\n%s", swaps, next, a, p.Stderr)
		}
		said, err := p.Ask(ctx, "probe "+now)
		if err != nil {
			t.Fatalf("after swap %d to %s: %v", swaps, now, err)
		}
		if said != "ok" {
			t.Fatalf("after swap %d everything must be %s: %s", swaps, now, said)
		}
	}
	took := time.Since(start)

	said, err := p.Ask(ctx, "stop")
	if err != nil {
		t.Fatal(err)
	}
	if code, err := p.Wait(ctx); code != 0 || err != nil {
		t.Fatalf("program ends with %d, %v\n%s", code, err, p.Stderr)
	}
	var report map[string]struct{ Old, New int }
	if err := json.Unmarshal([]byte(said), &report); err != nil {
		t.Fatalf("report %q: %v", said, err)
	}
	t.Logf("%s: %d refreshes in %.1f s, %.0f a minute, %d swaps of a function; %d refreshes found an entry busy", version, swaps,
		took.Seconds(), float64(swaps)/took.Minutes(), funcs, busy)
	t.Logf("pause: %s", drive.Spread(pauses, "µs"))
	t.Logf("refresh, whole process: %s; p50 of its phases: %s", drive.Spread(walls, "ms"), drive.Medians(phases))
	for _, name := range slices.Sorted(maps.Keys(report)) {
		n := report[name]
		t.Logf("%12d old %12d new  %s", n.Old, n.New, name)
		if n.Old == 0 || n.New == 0 {
			t.Errorf("%s: %d old and %d new answers: one version was never at work", name, n.Old, n.New)
		}
	}
}
