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
	"testing"
	"time"

	"github.com/limeade-go/limeade/reload/internal/proof/drive"
	"github.com/limeade-go/limeade/reload/internal/proof/traffic"
)

func TestMain(m *testing.M) { os.Exit(drive.Main(m)) }

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

	var now traffic.Clock
	clients := traffic.Start(ctx, addr, &now)

	var pauses, walls []float64
	var phases []drive.Phases
	total := refreshes(t)
	for n := 1; n <= total; n++ {
		if err := count(dir, n); err != nil {
			t.Fatal(err)
		}
		now.Begun.Store(int64(n))
		a, err := w.Refresh(ctx)
		if err != nil {
			t.Fatalf("refresh %d: %v\n%s", n, err, p.Stderr)
		}
		if a.Exit != drive.Live || !a.Applied || a.Generation != n {
			t.Fatalf("refresh %d: %v\n%s", n, a, p.Stderr)
		}
		now.Live.Store(int64(n))
		pauses = append(pauses, a.Phases.Pause)
		phases = append(phases, a.Phases)
		walls = append(walls, float64(a.Wall.Microseconds())/1000)
		if clients.Failing() {
			break // a client gave up; why is said below
		}
	}
	all := clients.Stop()
	for _, err := range all.Errs {
		t.Error(err)
	}
	if t.Failed() {
		t.Fatalf("server's standard error:\n%s", p.Stderr)
	}

	// The server's own count, kept over all refreshes: every request once, and not one connection opened anew.
	said, err := p.Ask(ctx, "stop")
	if err != nil {
		t.Fatal(err)
	}
	if want := fmt.Sprintf("%d %d", all.Requests, traffic.Connections); said != want {
		t.Errorf("server counts %q requests and connections, clients %q", said, want)
	}
	if code, err := p.Wait(ctx); code != 0 || err != nil {
		t.Errorf("server ends with %d, %v\n%s", code, err, p.Stderr)
	}
	if all.Across == 0 {
		t.Errorf("no request of %d was under way at a swap: nothing was shown", all.Requests)
	}
	t.Logf("%s: %d refreshes, %d requests and %d streamed lines without a failure, %d requests across a swap", version,
		total, all.Requests, all.Lines, all.Across)
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
