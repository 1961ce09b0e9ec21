// Package history goes along the commits of public programs and makes each live in the program as its parent left it, as
// somebody does who edits it all day. It knows the tool's command line and must never know how a refresh is made.
package history

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/limeade-go/limeade/reload/internal/proof/drive"
)

func TestMain(m *testing.M) { os.Exit(drive.Main(m)) }

// A user is somebody who uses a running program and remembers what it holds.
type user interface {
	// Begin meets a process that has just started.
	Begin(ctx context.Context) error
	// Use uses the process as its clients do. Everything that it was given since Begin must still be there.
	Use(ctx context.Context) error
}

// A program is one of those whose history is known here.
type program struct {
	module string // as go.mod names it, without the major version
	main   string // folder of the main package, in the module
	// prepare writes what the program needs into dir, which is its own, and gives its arguments and its user.
	prepare func(dir string) (args []string, u user, err error)
}

var programs = []program{natsServer, caddy, coreDNS, httpBin}

// TestHistory goes along the commits of LIMEADE_HISTORY, the path of a git repository of one of the programs, from first
// parent to child. LIMEADE_RANGE says which, as git log does. Without them it goes along versions of a small program.
//
// Each commit is classified, and made live in the process that the one before has left, where the tool says that it can
// be: then the program must work, keep what it holds, and run what the files say. Where the tool says that it cannot, the
// program is restarted.
func TestHistory(t *testing.T) {
	ctx := t.Context()
	dir, err := filepath.EvalSymlinks(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	from, span := os.Getenv("LIMEADE_HISTORY"), os.Getenv("LIMEADE_RANGE")
	if from == "" {
		from, span = filepath.Join(dir, "versions"), fmt.Sprintf("HEAD~%d..HEAD", len(versions.list)-1)
		if err := os.Mkdir(from, 0o755); err != nil {
			t.Fatal(err)
		}
		if err := commitVersions(ctx, from); err != nil {
			t.Fatal(err)
		}
	} else if span == "" {
		t.Fatal("LIMEADE_RANGE is to say which commits of LIMEADE_HISTORY, as git log takes them: a..b")
	}
	dir = filepath.Join(dir, "source")
	if err := os.Mkdir(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	repo, err := clone(ctx, from, dir)
	if err != nil {
		t.Fatal(err)
	}
	list, err := repo.commits(ctx, span)
	if err != nil {
		t.Fatal(err)
	}
	if len(list) == 0 {
		t.Fatalf("%s has no commits", span)
	}
	if err := repo.checkout(ctx, list[0].hash+"^1"); err != nil {
		t.Fatal(err)
	}
	prog, err := which(dir)
	if err != nil {
		t.Fatal(err)
	}
	repo.main = prog.main
	w := &walk{t: t, repo: repo, args: nil, tally: newTally()}
	if w.args, w.user, err = prog.prepare(t.TempDir()); err != nil {
		t.Fatal(err)
	}
	w.Workspace = drive.NewWorkspace(t, filepath.Join(dir, prog.main), "", environment...)
	if w.files, err = repo.sources(ctx, environment); err != nil {
		t.Fatal(err)
	}
	if err := w.start(ctx); err != nil {
		t.Fatal(err)
	}
	for i, c := range list {
		if end, ok := t.Deadline(); ok && time.Until(end) < spare {
			t.Logf("time is up: %d commits are left, go on with %s..", len(list)-i, list[i].hash[:9]+"^1")
			break
		}
		if err := w.step(ctx, c); err != nil {
			t.Errorf("%s %s: %v", c.hash[:9], c.subject, err)
			if ctx.Err() != nil {
				break
			}
			if err := w.restart(ctx); err != nil {
				t.Fatalf("%s %s: %v", c.hash[:9], c.subject, err)
			}
		}
	}
	t.Log("\n" + w.tally.String())
}

// inside is how the agent says that a goroutine is where it must not be at the swap, which nobody can know beforehand.
const inside = "a goroutine is inside of"

// spare is the time before the end of the test at which no other commit is begun.
const spare = 90 * time.Second

// environment is that of programs and of the go command. The last is of go-httpbin, which closes connections after it, five
// seconds by default.
var environment = []string{"CGO_ENABLED=0", "GOFLAGS=-buildvcs=false", "GOWORK=off", "SRV_READ_TIMEOUT=1h"}

// which finds the program whose source is in dir.
func which(dir string) (program, error) {
	text, err := os.ReadFile(filepath.Join(dir, "go.mod"))
	if err != nil {
		return program{}, err
	}
	for _, p := range programs {
		for line := range strings.Lines(string(text)) {
			path, ok := strings.CutPrefix(strings.TrimSpace(line), "module ")
			if ok && (path == p.module || strings.HasPrefix(path, p.module+"/v")) {
				return p, nil
			}
		}
	}
	return program{}, fmt.Errorf("%s: not a program that this test can use", dir)
}

// A walk is the way along the commits.
type walk struct {
	*drive.Workspace
	t     *testing.T
	repo  *repository
	args  []string
	user  user
	files map[string]bool // of the program, at the commit where the walk is
	down  bool            // the program does not run: the commit does not build
	tally *tally
}

// start starts the program where the walk is.
func (w *walk) start(ctx context.Context) error {
	p, err := w.Start([]string{"-buildvcs=false"}, w.args...)
	if err != nil {
		return err
	}
	if err := w.Listed(ctx); err != nil {
		return err
	}
	if err := w.learn(ctx); err != nil {
		return err
	}
	if err := w.user.Begin(ctx); err != nil {
		return fmt.Errorf("program does not work after its start: %w\n%s", err, tail(p.Stderr.String()))
	}
	return nil
}

// restart puts a process in the place of the one before, built from what the files say now.
func (w *walk) restart(ctx context.Context) error {
	w.tally.restarts++
	a, err := w.Restart(ctx)
	if err != nil {
		return err
	}
	if a.Exit == drive.NoCompile {
		w.down = true
		return nil
	}
	w.down = false
	if a.Exit != drive.Live || !a.Applied {
		return fmt.Errorf("restart: %v", a)
	}
	if err := w.learn(ctx); err != nil {
		return err
	}
	if err := w.user.Begin(ctx); err != nil {
		return fmt.Errorf("program does not work after a restart: %w", err)
	}
	return nil
}

// learn gives the tool some time to learn of a new process what makes refreshes fast, as whoever edits does. Where the
// processor is busy with other work it may not get far.
func (w *walk) learn(ctx context.Context) error {
	some, cancel := context.WithTimeout(ctx, 20*time.Second)
	defer cancel()
	if err := w.Learned(some); err != nil && some.Err() == nil {
		return err
	}
	return ctx.Err()
}

// step goes on by one commit.
func (w *walk) step(ctx context.Context, c commit) error {
	changed, err := w.repo.changed(ctx, c)
	if err != nil {
		return err
	}
	if err := w.repo.checkout(ctx, c.hash); err != nil {
		return err
	}
	before := w.files
	if w.files, err = w.repo.sources(ctx, environment); err != nil {
		return err
	}
	of := class{
		code: slices.ContainsFunc(changed, func(f string) bool { return before[f] || w.files[f] }),
		mod:  slices.Contains(changed, filepath.Join(w.repo.dir, "go.mod")),
	}
	if w.down {
		w.report(c, of, "the commit before does not build", nil)
		w.tally.unbuilt++
		return w.restart(ctx)
	}
	said, err := w.Check(ctx)
	if err != nil {
		return err
	}
	if said.Exit == drive.NoCompile {
		w.report(c, of, "does not compile", &said)
		w.tally.unbuilt++
		return w.restart(ctx)
	}
	a, err := w.Refresh(ctx)
	if err != nil {
		return err
	}
	w.report(c, of, "", &a)
	w.tally.add(c, of, a)
	switch {
	case said.Exit == drive.Live && a.Exit == drive.Refused && strings.Contains(a.String(), inside):
		return w.restart(ctx)
	case said.Exit == drive.Live && a.Exit != drive.Live:
		return fmt.Errorf("check said that it can go live: %v", a)
	case said.Exit != a.Exit:
		return fmt.Errorf("check said something else: %v\nrefresh: %v", said, a)
	case a.Exit == drive.Refused:
		if !of.code && !of.mod {
			return fmt.Errorf("refused, though no source of the program has changed: %v", a)
		}
		return w.restart(ctx)
	case a.Exit != drive.Live:
		return fmt.Errorf("%v", a)
	}
	if err := w.user.Use(ctx); err != nil {
		return fmt.Errorf("generation %d: program does not work any more: %w", a.Generation, err)
	}
	again, err := w.Check(ctx)
	if err != nil {
		return err
	}
	left := 0 // where there was nothing to swap, as for comments, that is said again
	if !a.Applied {
		left = len(a.Edits)
	}
	if again.Exit != drive.Live || len(again.Edits) != left || again.Generation != a.Generation {
		return fmt.Errorf("is live, and yet not what the files say: %v", again)
	}
	return nil
}

// report prints a line for the step.
func (w *walk) report(c commit, of class, what string, a *drive.Answer) {
	w.t.Helper()
	if a != nil && what == "" {
		what = fmt.Sprintf("%s, generation %d, %d edits, %.0f ms", verdict(*a), a.Generation, len(a.Edits), a.Phases.Total)
	}
	w.t.Logf("%s %s: %s: %s", c.hash[:9], of, what, c.subject)
	if a != nil {
		for _, r := range reasons(*a) {
			w.t.Logf("          %s", r.text)
		}
	}
}

// tail is the end of a text, for messages.
func tail(s string) string {
	const most = 4000
	if len(s) > most {
		return "…" + s[len(s)-most:]
	}
	return s
}
