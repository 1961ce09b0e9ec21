// Package corpus runs Go's own test programs from empty functions to real ones: a program starts with every function
// empty, is given its real bodies while it waits before main, and must then do exactly what a direct run of the real
// source does. It knows Go's test folder and the tool's command line, and must never know how a refresh is made.
package corpus

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"sort"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/limeade-go/limeade/reload/internal/proof/drive"
	"github.com/limeade-go/limeade/reload/internal/proof/hollow"
)

func TestMain(m *testing.M) { os.Exit(drive.Main(m)) }

// limit bounds one program, with its builds. The slowest of them, nosplit, builds a few hundred programs in turn.
const limit = 5 * time.Minute

// sampled is how many programs run by default; LIMEADE_CORPUS=all runs them all.
const sampled = 64

// Reasons to leave a program out that running it directly shows.
const (
	outNothing = "has no function body to take away"
	outFolder  = "needs the files of GOROOT/test around it"
	outRunner  = "runs under Go's own test runner only"
	outDriver  = "observes the driver's init function"
)

// TestEmptyAll empties every program of the corpus; the emptied package must type-check.
func TestEmptyAll(t *testing.T) {
	list, exp := corpus(t)
	emptied := 0
	for _, p := range list {
		if p.out != "" {
			continue
		}
		pair, err := p.prepare(exp)
		if err != nil {
			t.Errorf("%s: %v", p.name, err)
			continue
		}
		emptied += len(pair.emptied)
	}
	t.Logf("%d programs, %d functions emptied", len(list), emptied)
}

// TestCorpus is the proof.
func TestCorpus(t *testing.T) {
	list, exp := corpus(t)
	var picked []*program
	if all := os.Getenv("LIMEADE_CORPUS"); all == "all" {
		picked = list
	} else {
		picked = sample(t, list, exp, sampled)
	}
	version := strings.TrimPrefix(strings.Fields(runtime.Version())[0], "go")
	var tally tally
	t.Run("run", func(t *testing.T) {
		for _, p := range picked {
			t.Run(p.name, func(t *testing.T) {
				t.Parallel()
				defer func() { tally.add(p.name, p.out, t.Failed()) }()
				if p.out == "" {
					p.out = check(t, p, exp, version)
				}
			})
		}
	})
	t.Log(tally.table(len(list)))
}

// corpus lists the programs of the toolchain that the tests run with.
func corpus(t *testing.T) ([]*program, drive.Exports) {
	t.Helper()
	goroot, err := drive.Go(context.Background(), "", nil, "env", "GOROOT")
	if err != nil {
		t.Fatal(err)
	}
	list, err := programs(strings.TrimSpace(goroot))
	if err != nil {
		t.Fatal(err)
	}
	exp, err := listExports(list)
	if err != nil {
		t.Fatal(err)
	}
	return list, exp
}

// sample spreads n programs evenly over those that take part as far as their source shows; the few that start other
// programs are slow and left to the whole run.
func sample(t *testing.T, list []*program, exp drive.Exports, n int) []*program {
	t.Helper()
	var fit []*program
	for _, p := range list {
		imports, err := importsOf(p.files[0])
		if err != nil {
			t.Fatal(err)
		}
		if p.out != "" || slices.Contains(imports, "os/exec") {
			continue
		}
		pair, err := p.prepare(exp)
		if err != nil {
			t.Fatalf("%s: %v", p.name, err)
		}
		if len(pair.emptied) > 0 {
			fit = append(fit, p)
		}
	}
	var picked []*program
	for i := range n {
		picked = append(picked, fit[i*len(fit)/n])
	}
	return picked
}

// An ending is what a run of a program comes to.
type ending struct {
	stdout, stderr string
	exit           int
}

// check proves one program, or says why it is left out.
func check(t *testing.T, p *program, exp drive.Exports, version string) (out string) {
	ctx, cancel := context.WithTimeout(context.Background(), limit)
	defer cancel()
	pair, err := p.prepare(exp)
	if err != nil {
		t.Fatal(err)
	}
	if len(pair.emptied) == 0 {
		return outNothing
	}
	dir := t.TempDir()
	if err := lay(dir, version); err != nil {
		t.Fatal(err)
	}
	w := drive.NewWorkspace(t, dir, "")

	want, out := p.direct(t, ctx, w, pair.real)
	if out != "" {
		return out
	}

	if err := put(dir, pair.empty); err != nil {
		t.Fatal(err)
	}
	run, err := w.Start(p.flags, p.args...)
	if err != nil {
		t.Fatalf("emptied program: %v", err)
	}
	if err := run.Stdout.Until(ctx, waiting); err != nil {
		t.Fatalf("emptied program does not come to its wait: %v\n%s", err, run.Stderr)
	}
	if err := w.Listed(ctx); err != nil {
		t.Fatal(err)
	}
	if err := put(dir, pair.real); err != nil {
		t.Fatal(err)
	}
	a, err := w.Refresh(ctx)
	if err != nil {
		t.Fatal(err)
	}
	if reason := beyond(fmt.Sprint(a)); reason != "" {
		return reason
	}
	if a.Exit != drive.Live || !a.Applied || a.Generation != 1 {
		t.Fatalf("refresh of %d functions: %v\n%s", len(pair.emptied), a, run.Stderr)
	}
	got, err := finish(ctx, run)
	if err != nil {
		t.Fatalf("after the refresh: %v\n%s", err, run.Stderr)
	}
	if strings.Contains(got.stdout, emptyMain) {
		t.Fatal("after the refresh main still has its empty body")
	}
	if got != want {
		t.Errorf("after the refresh the program does not do what a direct run does\n got: %v\nwant: %v", got, want)
	}
	return ""
}

// beyond says why a refusal is right for what the emptied variant of a program makes of it; "" if it is not.
func beyond(answer string) string {
	if strings.Contains(answer, "KiB are left within reach") {
		return "needs a variable that is larger than the room for patches"
	}
	return ""
}

// direct builds the real program with the plain go command and runs it. What it printed must be what Go's own test
// wants; the reason to leave it out otherwise is found by running it without the driver.
func (p *program) direct(t *testing.T, ctx context.Context, w *drive.Workspace, real []hollow.Source) (want ending, out string) {
	t.Helper()
	if err := put(w.Dir, real); err != nil {
		t.Fatal(err)
	}
	exe := filepath.Join(t.TempDir(), "direct")
	p.build(t, ctx, w.Dir, exe, ".")
	d, err := w.Direct(exe, p.args...)
	if err != nil {
		t.Fatal(err)
	}
	if err := d.Stdout.Until(ctx, waiting); err != nil {
		t.Fatalf("direct run does not come to its wait: %v\n%s", err, d.Stderr)
	}
	if want, err = finish(ctx, d); err != nil {
		t.Fatalf("direct run: %v", err)
	}
	if p.expected(want) {
		return want, ""
	}
	plain := filepath.Join(t.TempDir(), "plain")
	p.build(t, ctx, filepath.Dir(p.files[0]), plain, p.files...)
	if p.expected(p.plain(t, ctx, plain, w.Dir)) {
		return want, outDriver
	}
	root := strings.TrimSuffix(p.files[0], filepath.FromSlash(p.name)+".go")
	if p.expected(p.plain(t, ctx, plain, root)) {
		return want, outFolder
	}
	return want, outRunner
}

// build builds the program with the plain go command.
func (p *program) build(t *testing.T, ctx context.Context, dir, exe string, what ...string) {
	t.Helper()
	args := slices.Concat([]string{"build", "-o", exe}, p.flags, what)
	if _, err := drive.Go(ctx, dir, nil, args...); err != nil {
		t.Fatalf("direct build: %v", err)
	}
}

// plain runs the program without the driver in dir.
func (p *program) plain(t *testing.T, ctx context.Context, exe, dir string) ending {
	t.Helper()
	d, err := drive.NewWorkspace(t, dir, "").Direct(exe, p.args...)
	if err != nil {
		t.Fatal(err)
	}
	end, err := finish(ctx, d)
	if err != nil {
		t.Fatalf("plain run: %v", err)
	}
	return end
}

// expected reports whether an ending is the one that Go's own test wants: success, and the .out file's text on both
// outputs together. They were one pipe there, so either order will do here.
func (p *program) expected(e ending) bool {
	return e.exit == 0 && (e.stdout+e.stderr == p.want || e.stderr+e.stdout == p.want)
}

// finish lets a waiting program go on to its end.
func finish(ctx context.Context, p *drive.Program) (ending, error) {
	// A program that ended by itself has no one to read the line: its exit tells.
	_ = p.Say("")
	_ = p.Stdin.Close()
	code, err := p.Wait(ctx)
	if err != nil {
		return ending{}, err
	}
	return ending{
		stdout: strings.Replace(p.Stdout.String(), waiting, "", 1),
		stderr: drive.OwnLines(p.Stderr.String()),
		exit:   code,
	}, nil
}

// A tally counts how the programs ended.
type tally struct {
	mu     sync.Mutex
	ok     int
	out    map[string][]string // reason: names
	failed []string
}

func (y *tally) add(name, out string, failed bool) {
	y.mu.Lock()
	defer y.mu.Unlock()
	switch {
	case failed:
		y.failed = append(y.failed, name)
	case out != "":
		if y.out == nil {
			y.out = map[string][]string{}
		}
		y.out[out] = append(y.out[out], name)
	default:
		y.ok++
	}
}

// table is the summary.
func (y *tally) table(total int) string {
	var b strings.Builder
	left := 0
	for _, names := range y.out {
		left += len(names)
	}
	fmt.Fprintf(&b, "Go's test programs, from empty functions to real ones\n")
	fmt.Fprintf(&b, "%6d  programs in GOROOT/test, %d taken\n", total, y.ok+left+len(y.failed))
	fmt.Fprintf(&b, "%6d  ok\n", y.ok)
	reasons := make([]string, 0, len(y.out))
	for r := range y.out {
		reasons = append(reasons, r)
	}
	sort.Strings(reasons)
	for _, r := range reasons {
		sort.Strings(y.out[r])
		fmt.Fprintf(&b, "%6d  left out: %s: %s\n", len(y.out[r]), r, strings.Join(y.out[r], " "))
	}
	sort.Strings(y.failed)
	fmt.Fprintf(&b, "%6d  failed: %s\n", len(y.failed), strings.Join(y.failed, " "))
	return b.String()
}
