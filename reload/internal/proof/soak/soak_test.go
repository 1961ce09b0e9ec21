// Package soak edits a server under load for a long time, in every way that there is. It knows the program
// testdata/programs/server and the tool's command line, and must never know how a refresh is made.
package soak

import (
	"context"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/limeade-go/limeade/reload/internal/proof/drive"
	"github.com/limeade-go/limeade/reload/internal/proof/traffic"
)

func TestMain(m *testing.M) { os.Exit(drive.Main(m)) }

// duration is how long the soak takes and how far its edits are apart at least: LIMEADE_SOAK, "30m,1s", or what a run of all
// tests has time for, as fast as they go.
func duration(t *testing.T) (whole, apart time.Duration) {
	s := os.Getenv("LIMEADE_SOAK")
	if s == "" {
		return 20 * time.Second, 0
	}
	a, b, paced := strings.Cut(s, ",")
	whole, err := time.ParseDuration(a)
	if err == nil && paced {
		apart, err = time.ParseDuration(b)
	}
	if err != nil {
		t.Fatalf("LIMEADE_SOAK=%s: %v", s, err)
	}
	return whole, apart
}

// A soak is a server, those who load it, and who edits it.
type soak struct {
	t       *testing.T
	ctx     context.Context
	w       *drive.Workspace
	p       *drive.Program
	web     string // web/web.go as it was
	random  *rand.Rand
	sidecar int // the limeade-lsp run

	src        source
	past       []source // that were live
	next       int      // a number that was not used yet
	generation int      // of the process
	clock      traffic.Clock
	clients    *traffic.Load
	epoch      int // refreshes since the program was started

	seen   traffic.Result
	counts map[string]int
	phases []drive.Phases
	pauses []float64
	memory []sample
}

// A sample is what the processes hold in memory, in KB.
type sample struct{ epoch, program, sidecar int }

func TestSoak(t *testing.T) {
	whole, apart := duration(t)
	ctx, cancel := context.WithTimeout(t.Context(), whole+5*time.Minute)
	defer cancel()
	dir := drive.CopyProgram(t, "server")
	web, err := os.ReadFile(filepath.Join(dir, "web", "web.go"))
	if err != nil {
		t.Fatal(err)
	}
	seed := uint64(time.Now().UnixNano())
	if s := os.Getenv("LIMEADE_SEED"); s != "" {
		if seed, err = strconv.ParseUint(s, 10, 64); err != nil {
			t.Fatalf("LIMEADE_SEED: %v", err)
		}
	}
	t.Logf("LIMEADE_SEED=%d", seed)
	s := &soak{
		t: t, ctx: ctx, w: drive.NewWorkspace(t, dir, ""), web: string(web), random: rand.New(rand.NewPCG(seed, 0)),
		src: source{unit: 100, helper: "helper", generic: 1}, next: 1, counts: map[string]int{},
	}
	s.save(s.src)
	if s.p, err = s.w.Start(nil); err != nil {
		t.Fatal(err)
	}
	s.serve()
	if err := s.w.Listed(ctx); err != nil {
		t.Fatal(err)
	}
	s.sidecar = parent(t, s.p.PID)
	steps := s.steps()
	end := time.Now().Add(whole)
	for round := 0; time.Now().Before(end) || round == 0; round++ {
		s.random.Shuffle(len(steps), func(i, j int) { steps[i], steps[j] = steps[j], steps[i] })
		for _, step := range steps {
			begun := time.Now()
			if round > 0 && begun.After(end) {
				break // each kind was seen
			}
			step.do(s)
			s.counts[step.name]++
			if s.clients.Failing() {
				s.finish(false)
				return
			}
			s.sample()
			select {
			case <-time.After(apart - time.Since(begun)):
			case <-ctx.Done():
				t.Fatal(ctx.Err())
			}
		}
	}
	s.finish(true)
}

// A step is an edit with what must come of it.
type step struct {
	name string
	do   func(*soak)
}

func (s *soak) steps() []step {
	var steps []step
	for _, k := range kinds {
		steps = append(steps, step{k.name, func(s *soak) {
			next := s.src.clone()
			k.make(&next, s.next, s.random)
			s.live(k.name, next)
		}})
	}
	for name, text := range broken {
		steps = append(steps, step{name, func(s *soak) { s.broken(name, text) }})
	}
	return append(steps,
		step{"several at once", func(s *soak) {
			next := s.src.clone()
			for range 4 {
				kinds[s.random.IntN(len(kinds))].make(&next, s.next, s.random)
				s.next++
			}
			s.live("several at once", next)
		}},
		step{"revert", func(s *soak) {
			if len(s.past) > 0 {
				s.live("revert", s.past[s.random.IntN(len(s.past))].clone())
			}
		}},
		step{"nothing", func(s *soak) {
			if a := s.refresh(); a.Exit != drive.Live || a.Applied || a.Generation != s.generation {
				s.t.Fatalf("nothing: %v", a)
			}
		}},
		step{"rollback", (*soak).rollback},
		step{"refused, taken back", func(s *soak) { s.refused(); s.save(s.src) }},
		step{"restart", func(s *soak) { s.restart(s.refused()) }},
	)
}

func (s *soak) save(src source) {
	if err := write(s.w.Dir, src.render(s.web)); err != nil {
		s.t.Fatal(err)
	}
}

func (s *soak) refresh() drive.Answer {
	a, err := s.w.Refresh(s.ctx)
	if err != nil {
		s.t.Fatalf("refresh: %v\n%s", err, s.p.Stderr)
	}
	return a
}

// live makes a source live, as the next generation.
func (s *soak) live(name string, next source) {
	s.next++
	next.now, next.fields = s.next, s.src.fields
	s.save(next)
	s.clock.Begun.Store(int64(next.now))
	a := s.refresh()
	if a.Exit != drive.Live || !a.Applied || a.Generation != s.generation+1 {
		s.t.Fatalf("%s: after generation %d: %v\n%+v\n%s", name, s.generation, a, next, s.p.Stderr)
	}
	s.clock.Live.Store(int64(next.now))
	s.generation++
	s.epoch++
	s.src = next
	if s.past = append(s.past, next); len(s.past) > 20 {
		s.past = s.past[1:]
	}
	s.phases = append(s.phases, a.Phases)
	s.pauses = append(s.pauses, a.Phases.Pause)
}

// broken saves what does not compile, and takes it back.
func (s *soak) broken(name, text string) {
	files := s.src.render(s.web)
	names := slices.Sorted(maps.Keys(files))
	file := names[s.random.IntN(len(names))]
	files[file] += text
	if err := write(s.w.Dir, files); err != nil {
		s.t.Fatal(err)
	}
	if a := s.refresh(); a.Exit != drive.NoCompile || a.Applied || a.Generation != s.generation {
		s.t.Fatalf("%s in %s: %v", name, file, a)
	}
	s.save(s.src)
}

// rollback makes an edit live of which answers know nothing, undoes it, and makes it live with another.
func (s *soak) rollback() {
	s.next++
	next := s.src.clone()
	next.extras = append(next.extras, s.next)
	s.save(next)
	if a := s.refresh(); a.Exit != drive.Live || !a.Applied {
		s.t.Fatalf("before rollback: %v", a)
	}
	a, err := s.w.Rollback(s.ctx)
	if err != nil || a.Exit != drive.Live || !a.Applied || a.Generation != s.generation+2 {
		s.t.Fatalf("rollback: %v, %v", a, err)
	}
	s.generation += 2
	s.epoch += 2
	s.live("after rollback", next)
}

// refused makes an edit that needs a restart, and returns it.
func (s *soak) refused() source {
	next := s.src.clone()
	next.fields = (next.fields + 1) % 3
	s.save(next)
	if a := s.refresh(); a.Exit != drive.Refused || a.Applied || a.Generation != s.generation {
		s.t.Fatalf("field: %v", a)
	}
	return next
}

// restart starts the server anew. Those who load it leave before.
func (s *soak) restart(next source) {
	s.next++
	next.now = s.next
	s.save(next)
	s.leave()
	a, err := s.w.Restart(s.ctx)
	if err != nil || a.Exit != drive.Live || !a.Applied || a.Generation != 0 {
		s.t.Fatalf("restart: %v, %v\n%s", a, err, s.p.Stderr)
	}
	s.src, s.generation, s.epoch = next, 0, 0
	s.serve()
}

// serve waits for the server and puts it under load.
func (s *soak) serve() {
	addr, err := s.p.Line(s.ctx)
	if err != nil {
		s.t.Fatal(err)
	}
	s.clock.Begun.Store(int64(s.src.now))
	s.clock.Live.Store(int64(s.src.now))
	s.clients = traffic.Start(s.ctx, addr, &s.clock)
}

func (s *soak) leave() traffic.Result {
	r := s.clients.Stop()
	for _, err := range r.Errs {
		s.t.Error(err)
	}
	s.seen.Add(r)
	return r
}

func (s *soak) sample() {
	s.memory = append(s.memory, sample{s.epoch, resident(s.t, s.p.PID), resident(s.t, s.sidecar)})
}

// finish ends the server, and says what there was to see.
func (s *soak) finish(orderly bool) {
	last := s.leave()
	if !orderly {
		s.t.Fatalf("server's standard error:\n%s", s.p.Stderr)
	}
	said, err := s.p.Ask(s.ctx, "stop")
	if want := fmt.Sprintf("%d %d", last.Requests, traffic.Connections); err != nil || said != want {
		s.t.Errorf("server counts %q requests and connections, clients %q; %v", said, want, err)
	}
	if code, err := s.p.Wait(s.ctx); code != 0 || err != nil {
		s.t.Errorf("server ends with %d, %v\n%s", code, err, s.p.Stderr)
	}
	total := 0
	var list []string
	for _, name := range slices.Sorted(maps.Keys(s.counts)) {
		total += s.counts[name]
		list = append(list, fmt.Sprintf("%s %d", name, s.counts[name]))
	}
	s.t.Logf("%d edits (%s), %d refreshes live; %d requests and %d streamed lines without a failure, %d requests across a swap",
		total, strings.Join(list, ", "), len(s.phases), s.seen.Requests, s.seen.Lines, s.seen.Across)
	s.t.Logf("pause: %s; p50 of phases: %s", drive.Spread(s.pauses, "µs"), drive.Medians(s.phases))
	s.checkMemory()
}
