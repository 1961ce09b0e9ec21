package session

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/limeade-go/limeade/reload"
)

// Real programs are behind the services of testdata/script. Here are services as they must not be, and the rules by which
// answers are put together.

// runtimeDir makes a directory of sockets; the path of one is short.
func runtimeDir(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "lms")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	t.Setenv("XDG_RUNTIME_DIR", dir)
	t.Setenv("XDG_CACHE_HOME", filepath.Join(dir, "cache"))
	sockets := filepath.Join(dir, "limeade")
	if err := reload.PrivateDir(sockets); err != nil {
		t.Fatal(err)
	}
	return sockets
}

// TestServiceAnswers: the service of a process answers for it alone, and goes with its socket.
func TestServiceAnswers(t *testing.T) {
	runtimeDir(t)
	s := New()
	defer s.Close()
	svc, err := s.serve(os.Getpid(), &Runner{})
	if err != nil {
		t.Fatal(err)
	}
	// This process has no agent, which is an answer where it is asked for by its number.
	for pid, want := range map[int]int{os.Getpid(): 1, os.Getpid() + 1: 0, 0: 0} {
		r, err := ask(t.Context(), svc.path, Query{Verb: Check, Dirs: []string{"/"}, PID: pid})
		if err != nil || len(r.Answers) != want {
			t.Errorf("pid %d: %d answers, %v, want %d", pid, len(r.Answers), err, want)
		}
	}
	if err := svc.Close(); err != nil {
		t.Error(err)
	}
	if path, left := services()[os.Getpid()]; left { // others of this user may run
		t.Errorf("service left: %s", path)
	}
}

// TestServiceLeft: nothing is done for an asker who has gone before the service looked.
func TestServiceLeft(t *testing.T) {
	ours, theirs := socketPair(t)
	if err := json.NewEncoder(theirs).Encode(Query{Verb: Refresh, Dirs: []string{"/"}, PID: os.Getpid()}); err != nil {
		t.Fatal(err)
	}
	theirs.Close()
	svc := &Service{session: nil, pid: os.Getpid(), runner: &Runner{}} // to use it would panic
	svc.answer(ours)
}

// TestLetsGo: who ends a refresh goes on only when the service has let go of the program, but does not wait for one that is
// stuck.
func TestLetsGo(t *testing.T) {
	for name, stuck := range map[string]bool{"slow": false, "stuck": true} {
		t.Run(name, func(t *testing.T) {
			ours, theirs := socketPair(t)
			letGo := make(chan bool, 1)
			go func() {
				_, _ = io.Copy(io.Discard, theirs)
				time.Sleep(letGoPatience / 10)
				letGo <- true
				if !stuck {
					theirs.Close()
				}
			}()
			(&remote{conn: ours, stop: func() bool { return true }}).close()
			select {
			case <-letGo:
			default:
				t.Error("the program is held still")
			}
		})
	}
}

// socketPair is a connection with both of its ends.
func socketPair(t *testing.T) (a, b net.Conn) {
	t.Helper()
	l, err := net.Listen("unix", filepath.Join(runtimeDir(t), "pair"))
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	if b, err = net.Dial("unix", l.Addr().String()); err != nil {
		t.Fatal(err)
	}
	if a, err = l.Accept(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { a.Close(); b.Close() })
	return a, b
}

// TestPatience: a service may take its time as long as it shows that it lives; one that is silent is passed over, and what
// it was for is found out otherwise.
func TestPatience(t *testing.T) {
	dir := runtimeDir(t)
	pid := strconv.Itoa(os.Getppid())
	for name, test := range map[string]struct {
		serve func(net.Conn)
		want  string
	}{
		"slow": {func(c net.Conn) {
			stop := signLife(c)
			time.Sleep(lifePatience + lifeInterval)
			stop()
			_ = json.NewEncoder(c).Encode(Reply{Answers: []*Answer{newAnswer(7)}})
		}, ""},
		"silent": {func(c net.Conn) { _, _ = io.Copy(io.Discard, c) }, "timeout"},
		"gone":   {func(net.Conn) {}, "EOF"},
	} {
		l, err := net.Listen("unix", filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
		go func() {
			for {
				c, err := l.Accept()
				if err != nil {
					return
				}
				_ = json.NewDecoder(c).Decode(&Query{})
				test.serve(c)
				c.Close()
			}
		}()
		t.Run(name, func(t *testing.T) {
			t.Run("ask", func(t *testing.T) {
				r, err := ask(t.Context(), l.Addr().String(), Query{Verb: Check})
				if test.want == "" && (err != nil || len(r.Answers) != 1) {
					t.Errorf("answer is %v, %v", r, err)
				}
				if test.want != "" && (err == nil || !strings.Contains(err.Error(), test.want)) {
					t.Errorf("error is %v, want %s", err, test.want)
				}
			})
			if test.want == "" {
				return
			}
			if err := os.Symlink(l.Addr().String(), filepath.Join(dir, socketPrefix+pid+".sock")); err != nil {
				t.Fatal(err)
			}
			defer os.Remove(filepath.Join(dir, socketPrefix+pid+".sock"))
			r, err := New().Ask(t.Context(), Query{Verb: Check, Dirs: []string{dir}, PID: os.Getppid()})
			if err != nil || len(r.Answers) != 1 || !strings.Contains(r.Answers[0].Error.Message, "does not listen for patches") {
				t.Errorf("answer is %+v, %v, want what is to be known without the service", r, err)
			}
		})
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := New().Ask(ctx, Query{Verb: Check, Dirs: []string{dir}}); err != nil && !errors.Is(err, context.Canceled) {
		t.Errorf("who gives up is told %v", err)
	}
}

// TestWorstFirst: one answer stands for many, the worst, and its failure is the exit code.
func TestWorstFirst(t *testing.T) {
	answer := func(pid int, kind FailureKind) *Answer {
		a := newAnswer(pid)
		if kind != "" {
			a.Error = &Failure{Kind: kind}
		}
		return a
	}
	r, err := (&Reply{Answers: []*Answer{answer(3, ""), answer(1, FailureSource), answer(2, FailureRefused)}}).sorted(nil)
	if err != nil {
		t.Fatal(err)
	}
	a := r.Answer(Query{})
	if a.PID != 1 || a.ExitCode() != 2 || len(a.Others) != 2 || a.Others[0].PID != 2 || a.Others[1].PID != 3 {
		t.Errorf("answer is %+v", a)
	}
	// Of equal exit codes, the one that kept the others from it.
	r = &Reply{Answers: []*Answer{answer(1, FailureWithheld), answer(2, FailureVetoed), answer(3, FailureWithheld)}}
	if a := r.Answer(Query{}); a.PID != 2 || a.ExitCode() != 1 {
		t.Errorf("answer is %+v", a)
	}
	none := (&Reply{}).Answer(Query{PID: 9})
	if none.PID != 9 || none.ExitCode() != 3 {
		t.Errorf("no answer is %+v", none)
	}
}

// TestConcerns: a directory and a module are of one workspace if one lies in the other, whatever links lead there.
func TestConcerns(t *testing.T) {
	root := t.TempDir()
	for _, dir := range []string{"app/cmd", "application"} {
		if err := os.MkdirAll(filepath.Join(root, dir), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Symlink(filepath.Join(root, "app"), filepath.Join(root, "link")); err != nil {
		t.Fatal(err)
	}
	module := filepath.Join(root, "app")
	for dir, want := range map[string]bool{
		".": true, "app": true, "app/cmd": true, "link": true, "link/cmd": true, "application": false, "app/..x": true, "other": false,
	} {
		if got := concerns(filepath.Join(root, dir), module); got != want {
			t.Errorf("%s concerns the module: %t, want %t", dir, got, want)
		}
	}
}

// FuzzService: whatever an asker says, a service that knows no process of that number gives an answer or none, and ends.
func FuzzService(f *testing.F) {
	for _, q := range []Query{
		{Verb: Check, Dirs: []string{"/"}}, {Verb: Refresh, Steps: true, PID: 1}, {Verb: GetState, Dirs: []string{"/"}},
		{Verb: Restart, Cause: "an edit"}, {Verb: "nothing", Dirs: []string{""}},
	} {
		text, err := json.Marshal(q)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(text)
		f.Add(append(text, `"commit" "undo" "nothing" 7`...))
	}
	f.Add([]byte(`{"verb":`))
	f.Add([]byte{})
	const nobody = 1 << 30
	svc := &Service{session: New(), pid: nobody, runner: &Runner{}}
	f.Fuzz(func(t *testing.T, said []byte) {
		ours, theirs := net.Pipe()
		go func() {
			_, _ = theirs.Write(said) // it need not be read to its end
			theirs.Close()
		}()
		go func() { _, _ = io.Copy(io.Discard, theirs) }()
		svc.answer(ours)
		ours.Close()
	})
}
