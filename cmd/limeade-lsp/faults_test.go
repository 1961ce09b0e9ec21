package main_test

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// A victim is a process that takes part in a refresh.
type victim struct {
	name string
	// lonely says that the limeade-lsp run which started the program is gone before.
	lonely bool
	pid    func(s *scene, refresh *partner) int
}

var victims = []victim{
	{"the command", false, func(_ *scene, refresh *partner) int { return refresh.cmd.Process.Pid }},
	{"the command, alone", true, func(_ *scene, refresh *partner) int { return refresh.cmd.Process.Pid }},
	{"its parent", false, func(s *scene, _ *partner) int { return s.run.cmd.Process.Pid }},
	{"the program", false, func(s *scene, _ *partner) int { return s.pid }},
}

// A scene is a program, which greets, and its source.
type scene struct {
	t        *testing.T
	bin, dir string
	env      []string
	run      *partner
	pid      int
	source   string // how its source greets
	edits    int
}

const greeter = `package main

import (
	"bufio"
	"fmt"
	"os"
)

var n int

func main() {
	in := bufio.NewScanner(os.Stdin)
	for in.Scan() {
		fmt.Println(greet(in.Text()))
	}
}

//go:noinline
func greet(name string) string {
	n++
	return fmt.Sprint("GREETING", name, n)
}
`

func newScene(t *testing.T) *scene {
	bin, err := limeade()
	if err != nil {
		t.Fatal(err)
	}
	s := &scene{t: t, bin: bin, dir: tempDir(t), env: childEnv(tempDir(t))}
	s.write("go.mod", "module example.com/greeter\n\ngo 1.25\n")
	s.edit()
	t.Cleanup(func() {
		if s.run != nil {
			s.run.kill()
		}
	})
	return s
}

func (s *scene) write(name, text string) {
	s.t.Helper()
	if err := os.WriteFile(filepath.Join(s.dir, name), []byte(text), 0o666); err != nil {
		s.t.Fatal(err)
	}
}

// edit makes the source greet otherwise than ever before.
func (s *scene) edit() {
	s.t.Helper()
	s.edits++
	s.source = fmt.Sprintf("g%d ", s.edits)
	s.write("main.go", strings.Replace(greeter, "GREETING", s.source, 1))
}

// start starts the program in the place of one that there may be.
func (s *scene) start(lonely bool) {
	s.t.Helper()
	if s.run != nil {
		s.run.kill()
		for range s.run.lines { // an orphan ends with its input
		}
	}
	var err error
	if s.run, err = startPartner(s.dir, s.env, s.bin, "run", "."); err != nil {
		s.t.Fatal(err)
	}
	s.greets(s.source)
	f := s.command("status", "--json")
	var status struct{ Processes []struct{ PID int } }
	if err := json.Unmarshal([]byte(f.stdout), &status); err != nil || len(status.Processes) != 1 {
		s.t.Fatalf("status: %v\n%s%s", err, f.stdout, f.stderr)
	}
	s.pid = status.Processes[0].PID
	if lonely {
		_ = s.run.cmd.Process.Kill() // it was running a moment ago
		<-s.run.ended
	}
}

func (s *scene) command(args ...string) finished {
	s.t.Helper()
	f, err := runCommand(s.dir, s.env, answerPatience, s.bin, args...)
	if err != nil {
		s.t.Fatal(err)
	}
	return f
}

// greets asks the program, which must greet in one of these ways, and returns which.
func (s *scene) greets(ways ...string) string {
	s.t.Helper()
	if err := s.run.say("a"); err != nil {
		s.t.Fatalf("%v\n%s", err, s.run.report())
	}
	line, err := s.run.hear(buildPatience)
	if err != nil {
		s.t.Fatal(err)
	}
	for _, way := range ways {
		if strings.HasPrefix(line, way+"a") {
			return way
		}
	}
	s.t.Fatalf("the program says %q, want one of %q\n%s", line, ways, s.run.report())
	return ""
}

// warm starts the program, and returns how long a refresh takes that is not the first one, which takes longer.
func (s *scene) warm(lonely bool) time.Duration {
	s.start(lonely)
	s.edit()
	s.live()
	s.edit()
	begun := time.Now()
	s.live()
	return time.Since(begun)
}

// live refreshes the program, which must then run its source.
func (s *scene) live() {
	s.t.Helper()
	f := s.command("refresh", "--json")
	for f.code == 3 && strings.Contains(f.stdout, "under way") { // what somebody began who was killed
		f = s.command("refresh", "--json")
	}
	if f.code != 0 {
		s.t.Fatalf("refresh: exit code %d\n%s%s", f.code, f.stdout, f.stderr)
	}
	s.greets(s.source)
}

// refresh begins a refresh.
func (s *scene) refresh() *partner {
	s.t.Helper()
	p, err := startPartner(s.dir, s.env, s.bin, "refresh", "--json")
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(p.kill)
	return p
}

// end waits for the end of a refresh, and returns its exit code, -1 if it was killed. One that ends by itself must have
// told the truth about a program that had greeted as it was before.
func (s *scene) end(refresh *partner, before string, programLives bool) int {
	s.t.Helper()
	out, state, err := refresh.await(answerPatience)
	if err != nil {
		s.t.Fatal(err)
	}
	code := state.ExitCode()
	switch code {
	case -1, 0, 3:
	default:
		s.t.Fatalf("refresh: %v\n%s\n%s", state, strings.Join(out, "\n"), refresh.report())
	}
	if programLives && code >= 0 {
		s.greets(map[bool]string{true: s.source, false: before}[code == 0])
	}
	return code
}

// TestFaults: what FAULTS.md says to show each line is there.
func TestFaults(t *testing.T) {
	text, err := os.ReadFile("../../FAULTS.md")
	if err != nil {
		t.Fatal(err)
	}
	var tests strings.Builder
	for _, dir := range []string{".", "../../server"} {
		files, err := filepath.Glob(filepath.Join(dir, "*_test.go"))
		if err != nil {
			t.Fatal(err)
		}
		for _, file := range files {
			source, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			tests.Write(source)
		}
	}
	rows := 0
	for line := range strings.Lines(string(text)) {
		cells := strings.Split(line, "|")
		if len(cells) != 5 || !strings.Contains(cells[3], "`") {
			continue
		}
		rows++
		for i, name := range strings.Split(cells[3], "`") {
			if i%2 == 0 {
				continue // between the names
			}
			_, script := os.Stat("../../testdata/script/" + name + ".txtar")
			_, scenario := os.Stat("../../server/testdata/scenarios/" + name + ".txtar")
			if script != nil && scenario != nil && !strings.Contains(tests.String(), "func "+name+"(") {
				t.Errorf("%s: there is no %s", strings.TrimSpace(cells[1]), name)
			}
		}
	}
	if rows == 0 {
		t.Error("FAULTS.md has no table")
	}
}

// TestKilled kills whoever takes part in a refresh, in every phase of it, and more and more closely around the swap.
// A program that lives runs the old code or the new, and the command says which; the next refresh makes it the new.
func TestKilled(t *testing.T) {
	const spread, close = 6, 3
	for _, v := range victims {
		t.Run(v.name, func(t *testing.T) {
			s := newScene(t)
			took := s.warm(v.lonely)
			early, late := time.Duration(0), 2*took
			counts := map[bool]int{}
			for n := range spread + close {
				moment := took * time.Duration(n) / (spread - 1)
				if n >= spread {
					moment = (early + late) / 2
				}
				before := s.source
				s.edit()
				refresh := s.refresh()
				time.Sleep(moment)
				pid := v.pid(s, refresh)
				_ = syscall.Kill(pid, syscall.SIGKILL) // it may have ended
				programLives := pid != s.pid
				code := s.end(refresh, before, programLives)
				made := code == 0
				if programLives {
					made = s.greets(before, s.source) == s.source
				}
				counts[made]++
				if made {
					late = min(late, moment)
				} else {
					early = max(early, moment)
				}
				if pid != refresh.cmd.Process.Pid {
					select {
					case <-s.run.ended:
					case <-time.After(answerPatience):
						t.Fatalf("limeade-lsp run goes on\n%s", s.run.report())
					}
				}
				if programLives {
					s.live()
				}
				if pid != refresh.cmd.Process.Pid {
					s.start(v.lonely)
				}
			}
			t.Logf("%d killed before the swap, %d after it, the closest at %v and %v; a whole refresh took %v", counts[false], counts[true], early, late, took)
		})
	}
}

// TestStopped stops whoever takes part in a refresh for ten seconds, in the middle of it. Nobody waits for ever meanwhile;
// then all goes on.
func TestStopped(t *testing.T) {
	for _, v := range victims {
		t.Run(v.name, func(t *testing.T) {
			t.Parallel() // most of it is waiting
			s := newScene(t)
			took := s.warm(v.lonely)
			var before string
			var refresh *partner
			var pid int
			for moment := took / 2; ; moment /= 2 {
				before = s.source
				s.edit()
				refresh = s.refresh()
				time.Sleep(moment)
				pid = v.pid(s, refresh)
				_ = syscall.Kill(pid, syscall.SIGSTOP) // it may have ended
				select {
				case <-refresh.ended: // too early for that
					_ = syscall.Kill(pid, syscall.SIGCONT)
					continue
				default:
				}
				break
			}
			goOn := time.AfterFunc(10*time.Second, func() { _ = syscall.Kill(pid, syscall.SIGCONT) })
			defer goOn.Stop()
			if f := s.command("refresh", "--json"); f.code != 0 && f.code != 3 {
				t.Errorf("another refresh meanwhile: exit code %d\n%s%s", f.code, f.stdout, f.stderr)
			} else if f.code == 3 && !strings.Contains(f.stdout, "under way") && !strings.Contains(f.stdout, "came first") && !strings.Contains(f.stdout, "kill -CONT") {
				t.Errorf("another refresh meanwhile does not say why not: %s", f.stdout)
			}
			if pid != s.pid {
				s.greets(before, s.source)
			}
			out, state, err := refresh.await(answerPatience)
			if err != nil {
				t.Fatal(err)
			}
			if code := state.ExitCode(); code != 0 && code != 3 {
				t.Errorf("refresh: %v\n%s\n%s", state, out, refresh.report())
			}
			if pid == s.pid {
				for {
					f := s.command("status")
					if !strings.Contains(f.stdout, "is stopped") {
						break
					}
				}
			}
			s.live()
		})
	}
}
