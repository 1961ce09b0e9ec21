package server_test

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/limeade-go/limeade/server/editor"
	"github.com/limeade-go/limeade/server/session"
)

// TestSoak works on a running program as a restless person would, for ten seconds or as long as LIMEADE_SOAK says, and
// knows at each time what the program must answer and what the editor must show.
func TestSoak(t *testing.T) {
	length := 10 * time.Second
	if s := os.Getenv("LIMEADE_SOAK"); s != "" {
		var err error
		if length, err = time.ParseDuration(s); err != nil {
			t.Fatal(err)
		}
	}
	dir, runtimeDir := tempDir(t), tempDir(t)
	if err := os.CopyFS(dir, os.DirFS("testdata/app")); err != nil {
		t.Fatal(err)
	}
	env := environ(runtimeDir)
	p, err := startProgram(dir, env, shared.tool, "run", ".")
	if err != nil {
		t.Fatal(err)
	}
	defer p.stop()
	e, err := editor.Start(editor.Config{
		Command: []string{shared.tool, "--stdio"}, Env: env, Folders: []string{dir}, Capabilities: capabilities(nil), Check: conformance,
	})
	if err != nil {
		t.Fatal(err)
	}
	defer e.Kill()
	w := &world{t: t, e: e, p: p, main: filepath.Join(dir, "main.go"), store: filepath.Join(dir, "store", "store.go")}
	w.runs.greeting, w.disk.greeting, w.typed.greeting = "hello ", "hello ", "hello "
	w.ask()
	for _, file := range []string{w.main, w.store} {
		w.check(e.Open(file))
	}
	rng := rand.New(rand.NewPCG(3, 4))
	steps := []func(*rand.Rand){w.greet, w.greet, w.field, w.save, w.save, w.broken, w.refresh, w.refresh, w.rollback, w.restart}
	counts := make([]int, len(steps))
	for begin := time.Now(); time.Since(begin) < length; {
		i := rng.IntN(len(steps))
		counts[i]++
		steps[i](rng)
		w.shown()
		w.ask()
	}
	t.Logf("steps %v", counts)
	w.check(e.Wrong())
	if code, err := e.Exit(); code != 0 || err != nil {
		t.Errorf("exit code %d, %v", code, err)
	}
	if text := e.Stderr(); text != "" {
		t.Errorf("the server logged %s", text)
	}
}

// A state is what a source makes of the program.
type state struct {
	greeting string
	field    bool // the struct has one more: a restart
}

// A world is a program and an editor, and what is known of them.
type world struct {
	t           *testing.T
	e           *editor.Editor
	p           *program
	main, store string

	runs, disk, typed state
	before            []state // what rollbacks lead back to, the last first
	n, count          int
}

func (w *world) check(err error) {
	w.t.Helper()
	if err != nil {
		w.t.Fatalf("%v\n%s", err, w.e.Stderr())
	}
}

// ask makes sure that the program answers as what it runs.
func (w *world) ask() {
	w.t.Helper()
	w.count++
	got, err := w.p.ask("a")
	w.check(err)
	if want := fmt.Sprintf("%sa %d 1", w.runs.greeting, w.count); got != want {
		w.t.Fatalf("the program answers %q, want %q", got, want)
	}
}

// shown waits until the editor shows the warning that it should, or none.
func (w *world) shown() {
	w.t.Helper()
	severity := 0
	switch {
	case w.typed.field == w.runs.field:
	case w.disk.field == w.typed.field:
		severity = 2
	default:
		severity = 4
	}
	var last []editor.Diagnostic
	err := w.e.Wait(func() bool {
		last = w.e.DiagnosticsNow(w.store)
		return len(last) == 0 && severity == 0 || len(last) == 1 && last[0].Severity == severity
	})
	if err != nil {
		w.t.Fatalf("%v: want severity %d, got %+v; runs %v, disk %v, typed %v\n%s", err, severity, last, w.runs, w.disk, w.typed, w.e.Stderr())
	}
}

func (w *world) greet(*rand.Rand) {
	w.n++
	next := fmt.Sprintf("g%d ", w.n)
	w.check(w.e.Type(w.main, "\""+w.typed.greeting+"\"", "\""+next+"\""))
	w.typed.greeting = next
}

func (w *world) field(*rand.Rand) {
	const without, with = "hits   int\n", "hits   int\n\tmore   int\n"
	if w.typed.field {
		w.check(w.e.Type(w.store, with, without))
	} else {
		w.check(w.e.Type(w.store, without, with))
	}
	w.typed.field = !w.typed.field
}

// broken types what is no Go for a moment.
func (w *world) broken(rng *rand.Rand) {
	file, text := w.main, "func greet("
	if rng.IntN(2) == 0 {
		file, text = w.store, "type Sized interface"
	}
	w.check(w.e.Type(file, text, "(("+text))
	w.check(w.e.Type(file, "(("+text, text))
}

func (w *world) save(*rand.Rand) {
	w.check(w.e.Save(w.main))
	w.check(w.e.Save(w.store))
	w.disk = w.typed
}

func (w *world) command(name string) session.Answer {
	w.t.Helper()
	raw, err := w.e.Command("limeade.lsp." + name)
	w.check(err)
	var a session.Answer
	w.check(json.Unmarshal(raw, &a))
	if a.Error != nil {
		w.check(w.e.Wait(func() bool { return len(w.e.WaitingNow()) > 0 }))
		w.check(w.e.Answer(""))
	}
	return a
}

func (w *world) refresh(*rand.Rand) {
	a := w.command("refresh")
	switch {
	case w.disk.field != w.runs.field:
		if a.Error == nil || a.Error.Kind != session.FailureRefused {
			w.t.Fatalf("refresh of a restart: %+v", a)
		}
	case a.Error != nil || a.Applied != (w.disk != w.runs):
		w.t.Fatalf("refresh of %v to %v: %+v %v", w.runs, w.disk, a, a.Error)
	case a.Applied:
		w.before = append(w.before, w.runs)
		w.runs = w.disk
	}
}

func (w *world) rollback(*rand.Rand) {
	a := w.command("rollback")
	if len(w.before) == 0 {
		if a.Error == nil || a.Error.Kind != session.FailureRefused {
			w.t.Fatalf("rollback of nothing: %+v", a)
		}
		return
	}
	if a.Error != nil || !a.Applied {
		w.t.Fatalf("rollback: %+v %v", a, a.Error)
	}
	w.runs, w.before = w.before[len(w.before)-1], w.before[:len(w.before)-1]
}

func (w *world) restart(rng *rand.Rand) {
	if rng.IntN(4) != 0 {
		return // it takes longer than the others
	}
	if a := w.command("restart"); a.Error != nil || !a.Applied {
		w.t.Fatalf("restart: %+v %v", a, a.Error)
	}
	w.runs, w.before, w.count = w.disk, nil, 0
}
