// Package load refreshes an HTTP server under load. It knows the program testdata/programs/server and the tool's
// command line, and must never know how a refresh is made.
package load

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/limeade-go/limeade/reload/internal/proof/drive"
)

func TestMain(m *testing.M) { os.Exit(drive.Main(m)) }

const (
	clients = 8                    // keep-alive connections
	pace    = 2 * time.Millisecond // between a client's requests: the compiler needs its share
)

// refreshes is how many there are: LIMEADE_LOAD, or as many as a run of all tests has time for.
func refreshes(t *testing.T) int {
	s := os.Getenv("LIMEADE_LOAD")
	if s == "" {
		return 40
	}
	n, err := strconv.Atoi(s)
	if err != nil || n < 1 {
		t.Fatalf("LIMEADE_LOAD=%s: want a number of refreshes", s)
	}
	return n
}

// files are swapped together: each holds one generation's number in the body of a function.
var files = []string{"web/web.go", "price/price.go", "tax/tax.go"}

var number = regexp.MustCompile(`const now = \d+`)

// What may a request see? A refresh swaps functions of three packages at once: the handler web.Quote, price.Of and
// tax.(*Rate).On. All of them answer with the number of the generation that they belong to, which counts up and never
// comes again.
//
// A request that is under way at the swap keeps its handler's old frame, but the calls that it makes from then on reach
// new bodies. Old handler with new callees is therefore no fault, nor is one answer of Of that is old and the next that
// is new: no two calls stand so close that the world cannot be stopped between them. What an atomic swap cannot do is
// to let anyone who has met one function's new body meet another's old body afterwards. So along the calls that one
// request makes one after the other, handler first and Of and On in turns, the numbers must never fall. In particular,
// On's number between two equal numbers of Of must be equal to them: no request sees Of's generation with another
// generation's On.
//
// That alone would let everything be late. So the numbers are held against time as well: none may be smaller than the
// generation whose refresh had returned before the request was sent, none greater than the one whose refresh had begun
// when the response was read. A request between two refreshes is thus of one generation throughout.
type clock struct {
	begun, live atomic.Int64
}

func TestLoad(t *testing.T) {
	for _, version := range drive.Toolchains(t, false) {
		t.Run(version, func(t *testing.T) { load(t, version) })
	}
}

func load(t *testing.T, version string) {
	ctx, cancel := context.WithTimeout(context.Background(), 8*time.Minute)
	defer cancel()
	dir := drive.CopyProgram(t, "server")
	w := drive.NewWorkspace(t, dir, version)
	p, err := w.Start(nil)
	if err != nil {
		t.Fatal(err)
	}
	addr, err := p.Line(ctx)
	if err != nil {
		t.Fatal(err)
	}
	if err := w.Listed(ctx); err != nil {
		t.Fatal(err)
	}

	var now clock
	stop := make(chan struct{})
	report := make(chan result, clients+1)
	var wait sync.WaitGroup
	for i := range clients {
		wait.Go(func() { report <- (&client{addr: addr, now: &now, seed: i}).run(ctx, stop) })
	}
	wait.Go(func() { report <- stream(ctx, "http://"+addr, &now, stop) })

	var pauses, walls []float64
	var phases []drive.Phases
	total := refreshes(t)
	for n := 1; n <= total; n++ {
		if err := count(dir, n); err != nil {
			t.Fatal(err)
		}
		now.begun.Store(int64(n))
		a, err := w.Refresh(ctx)
		if err != nil {
			t.Fatalf("refresh %d: %v\n%s", n, err, p.Stderr)
		}
		if a.Exit != drive.Live || !a.Applied || a.Generation != n {
			t.Fatalf("refresh %d: %v\n%s", n, a, p.Stderr)
		}
		now.live.Store(int64(n))
		pauses = append(pauses, a.Phases.Pause)
		phases = append(phases, a.Phases)
		walls = append(walls, float64(a.Wall.Microseconds())/1000)
		if len(report) > 0 {
			break // a client gave up; why is said below
		}
	}
	close(stop)
	wait.Wait()
	close(report)

	var all result
	for r := range report {
		if r.err != nil {
			t.Error(r.err)
		}
		all.requests += r.requests
		all.across += r.across
		all.lines += r.lines
		if all.tokens == nil {
			all.tokens = map[int]string{}
		}
		for item, token := range r.tokens {
			if had, ok := all.tokens[item]; ok && had != token {
				t.Errorf("item %d: cache entry %s for one client and %s for another: the cache was lost", item, had, token)
			}
			all.tokens[item] = token
		}
	}
	if t.Failed() {
		t.Fatalf("server's standard error:\n%s", p.Stderr)
	}

	// The server's own count, kept over all refreshes: every request once, and not one connection opened anew.
	said, err := p.Ask(ctx, "stop")
	if err != nil {
		t.Fatal(err)
	}
	if want := fmt.Sprintf("%d %d", all.requests, clients+1); said != want {
		t.Errorf("server counts %q requests and connections, clients %q", said, want)
	}
	if code, err := p.Wait(ctx); code != 0 || err != nil {
		t.Errorf("server ends with %d, %v\n%s", code, err, p.Stderr)
	}
	if all.across == 0 {
		t.Errorf("no request of %d was under way at a swap: nothing was shown", all.requests)
	}
	t.Logf("%s: %d refreshes, %d requests and %d streamed lines without a failure, %d requests across a swap", version,
		total, all.requests, all.lines, all.across)
	t.Logf("pause: %s", drive.Spread(pauses, "µs"))
	t.Logf("refresh, whole process: %s; p50 of its phases: %s", drive.Spread(walls, "ms"), drive.Medians(phases))
}

// count writes generation n into all files.
func count(dir string, n int) error {
	for _, name := range files {
		file := filepath.Join(dir, filepath.FromSlash(name))
		text, err := os.ReadFile(file)
		if err != nil {
			return err
		}
		if c := strings.Count(string(text), "const now = "); c != 1 {
			return fmt.Errorf("%s: %d numbers, want 1", name, c)
		}
		if err := drive.Put(file, number.ReplaceAll(text, fmt.Appendf(nil, "const now = %d", n))); err != nil {
			return err
		}
	}
	return nil
}
