//go:build linux && amd64

package agent_test

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
	"unsafe"

	"github.com/limeade-go/limeade/reload/internal/wire"
	"github.com/limeade-go/limeade/reload/patch"
)

// pure are the variants without cgo: with it no program's deadlock is detected, agent or not.
var pure = []string{"go1.25", "go1.26", "go1.27", "pie", "cover", "stripped", "noopt"}

// plain builds the target without an agent.
func plain(t *testing.T, name string) string {
	t.Helper()
	dir := filepath.Join(scratch, name+".plain")
	once, _ := builds.LoadOrStore(dir, sync.OnceValue(func() error {
		if err := overlay(dir, false); err != nil {
			return err
		}
		return compile(dir, filepath.Join(dir, "target.bin"), variantOf(name))
	}))
	if err := once.(func() error)(); err != nil {
		t.Fatal(err)
	}
	return filepath.Join(dir, "target.bin")
}

// behaviour runs a program to its end and returns all that can be seen of it, without addresses and paths.
func behaviour(t *testing.T, path, mode, input string) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	cmd := exec.CommandContext(ctx, path, mode)
	cmd.Stdin = strings.NewReader(input)
	cmd.Env = append(os.Environ(), "GOTRACEBACK=all", "GOCOVERDIR="+t.TempDir())
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	err := cmd.Run()
	if ctx.Err() != nil {
		t.Fatalf("%s %s hangs\n%s", path, mode, &errs)
	}
	text := fmt.Sprintf("%v\n%s%s", err, &out, &errs)
	for _, r := range []struct{ from, to string }{
		{`\+?0x[0-9a-f]+`, "ADDR"}, {`\t\S*/([^/]+):`, "\t$1:"}, {`goroutine [1-9][0-9]*`, "goroutine N"},
	} {
		text = regexp.MustCompile(r.from).ReplaceAllString(text, r.to)
	}
	return text
}

// TestBehaviour compares programs that end on their own with what they are without the agent: deadlocks, panics, the
// goroutines that a program sees of itself, and its signals.
func TestBehaviour(t *testing.T) {
	wants := map[string]string{
		"deadlock": "exit status 2\nfatal error: all goroutines are asleep - deadlock!",
		"mutex":    "exit status 2\nfatal error: all goroutines are asleep - deadlock!",
		"goexit":   "exit status 2\nfatal error: no goroutines (main called runtime.Goexit) - deadlock!",
		"late":     "exit status 2\nfatal error: all goroutines are asleep - deadlock!",
		"panic":    "exit status 2\npanic: target panics",
		"busy":     "<nil>\ndone\n",
		"dump":     "<nil>\n1\n",
		"signals":  "<nil>\nfalse false false\n",
	}
	for _, name := range pure {
		t.Run(name, func(t *testing.T) {
			with, without := build(t, name).path, plain(t, name)
			for mode, want := range wants {
				t.Run(mode, func(t *testing.T) {
					t.Parallel()
					got := behaviour(t, with, mode, "x")
					if !strings.HasPrefix(got, want) || strings.Contains(got, "limeade") {
						t.Errorf("with the agent it does\n%s\nwant %q", got, want)
					}
					if mode == "mutex" || mode == "panic" {
						return // line numbers within the runtime's own frames may differ in how they are inlined
					}
					if bare := behaviour(t, without, mode, "x"); got != bare {
						t.Errorf("with the agent it does\n%s\nwithout it\n%s", got, bare)
					}
				})
			}
		})
	}
}

// ends waits for a process to end and returns how.
func (p *process) ends() string {
	p.t.Helper()
	done := make(chan error, 1)
	go func() { done <- p.cmd.Wait() }()
	select {
	case err := <-done:
		return fmt.Sprint(err)
	case <-time.After(20 * time.Second):
		p.t.Fatal("target hangs")
		return ""
	}
}

// TestDeadlockWithClients: detection works while conversations are open, and after the agent was busy when it happened.
func TestDeadlockWithClients(t *testing.T) {
	for _, name := range []string{"go1.25", "go1.26", "go1.27"} {
		t.Run(name, func(t *testing.T) {
			p := start(t, build(t, name), "late")
			for range 3 {
				hello(t, p.dial())
			}
			p.send("x")
			if how := p.ends(); how != "exit status 2" || !strings.Contains(p.stderr.String(), "all goroutines are asleep") {
				t.Errorf("target: %s\n%s", how, p.stderr)
			}

			// Half a request keeps a thread of the agent busy while the program comes to a halt.
			p = start(t, build(t, name), "late")
			p.awaitSocket()
			half, err := net.Dial("unix", p.socket())
			if err != nil {
				t.Fatal(err)
			}
			defer half.Close()
			request := patch.Request{Kind: patch.KindRollback}.Encode()
			if _, err := half.Write(request[:6]); err != nil {
				t.Fatal(err)
			}
			p.send("x")
			p.asleep()
			if _, err := half.Write(request[6:]); err != nil {
				t.Fatal(err)
			}
			if how := p.ends(); how != "exit status 2" || !strings.Contains(p.stderr.String(), "all goroutines are asleep") {
				t.Errorf("target: %s\n%s", how, p.stderr)
			}
		})
	}
}

// asleep waits until the process has read its line: nothing is left in the pipe.
func (p *process) asleep() {
	p.t.Helper()
	fd := p.in.(interface{ Fd() uintptr }).Fd()
	for range 10000 {
		var n int32
		if err := ioctlInq(fd, &n); err != nil {
			p.t.Fatal(err)
		}
		if n <= 1 { // the line's end
			return
		}
		time.Sleep(time.Millisecond)
	}
	p.t.Fatal("target does not read")
}

// TestIdleAccounting drives the agent and the program's own system calls against each other. A wrong count of idle
// threads ends the program: "checkdead: runnable g", "inconsistent counts", or a deadlock that is none.
func TestIdleAccounting(t *testing.T) {
	for _, name := range []string{"go1.25", "go1.26", "go1.27"} {
		t.Run(name, func(t *testing.T) {
			p := start(t, build(t, name), "serve")
			p.awaitSocket()
			stop := make(chan struct{})
			var wg sync.WaitGroup
			var hellos [4]int
			for i := range hellos {
				wg.Add(1)
				go func() {
					defer wg.Done()
					for {
						select {
						case <-stop:
							return
						default:
						}
						c, err := wire.Dial(context.Background(), p.pid())
						if err != nil {
							t.Error(err)
							return
						}
						for range 5 {
							if _, err := c.Hello(context.Background()); err != nil {
								t.Error(err)
							}
							hellos[i]++
						}
						c.Close()
					}
				}()
			}
			answers := 0
			for begin := time.Now(); time.Since(begin) < 700*time.Millisecond; answers++ {
				p.check("answer", "1")
			}
			p.check("churn", "ok")
			for begin := time.Now(); time.Since(begin) < 1500*time.Millisecond; answers++ {
				p.check("answer", "1")
			}
			p.check("stop", "ok")
			close(stop)
			wg.Wait()
			p.check("answer", "1")
			t.Logf("%d answers against %v hellos", answers, hellos)
		})
	}
}

// TestIdleCPU: the agent uses no processor time while nobody talks to it, clients or not.
func TestIdleCPU(t *testing.T) {
	p := start(t, build(t, "go1.26"), "busy")
	for range 3 {
		hello(t, p.dial())
	}
	before := p.cpu()
	time.Sleep(time.Second) // what is measured is that time passes
	if used := p.cpu() - before; used > 10*time.Millisecond {
		t.Errorf("an idle second took %v of processor time", used)
	}
	p.send("x")
	p.expect("done")
}

// cpu is the processor time that all threads of the process have used.
func (p *process) cpu() time.Duration {
	p.t.Helper()
	tasks, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/schedstat", p.pid()))
	if err != nil || len(tasks) == 0 {
		p.t.Fatalf("no threads: %v", err)
	}
	var sum time.Duration
	for _, task := range tasks {
		data, err := os.ReadFile(task)
		if err != nil {
			p.t.Fatal(err)
		}
		var ran int64
		if _, err := fmt.Sscan(string(data), &ran); err != nil {
			p.t.Fatal(err)
		}
		sum += time.Duration(ran)
	}
	return sum
}

// TestSignals: signals that the program does not handle do what they did.
func TestSignals(t *testing.T) {
	for _, s := range []syscall.Signal{syscall.SIGTERM, syscall.SIGINT, syscall.SIGHUP, syscall.SIGKILL} {
		p := start(t, build(t, "go1.26"), "busy")
		p.awaitSocket()
		if err := p.cmd.Process.Signal(s); err != nil {
			t.Fatal(err)
		}
		if how := p.ends(); how != "signal: "+s.String() {
			t.Errorf("%v: target ended with %s", s, how)
		}
	}
	p := start(t, build(t, "go1.26"), "busy")
	p.awaitSocket()
	for _, s := range []syscall.Signal{syscall.SIGUSR1, syscall.SIGPIPE, syscall.SIGIO, syscall.SIGURG} { // Go ignores these
		if err := p.cmd.Process.Signal(s); err != nil {
			t.Fatal(err)
		}
	}
	hello(t, p.dial())
	p.send("x")
	p.expect("done")
}

// TestChild: a child of the program has a socket of its own, and none of the parent's descriptors.
func TestChild(t *testing.T) {
	p := start(t, build(t, "go1.26"), "child")
	var pid int
	if _, err := fmt.Sscan(p.line(), &pid); err != nil {
		t.Fatal(err)
	}
	p.expect("ready")
	c, err := wire.Dial(context.Background(), pid)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if h := hello(t, c); int(h.PID) != pid {
		t.Errorf("hello from process %d, want %d", h.PID, pid)
	}
	if n := sockets(t, pid); n != 2 { // the listener and our connection
		t.Errorf("child has %d sockets, want 2", n)
	}
	list, err := wire.List()
	if err != nil {
		t.Fatal(err)
	}
	found := 0
	for _, l := range list {
		if l.PID == pid || l.PID == p.pid() {
			found++
		}
	}
	if found != 2 {
		t.Errorf("list is %v, want %d and %d in it", list, p.pid(), pid)
	}
	p.in.Close()
	if how := p.ends(); how != "<nil>" {
		t.Errorf("target: %s", how)
	}
	list, err = wire.List()
	if err != nil {
		t.Fatal(err)
	}
	for _, l := range list {
		if l.PID == pid || l.PID == p.pid() {
			t.Errorf("list after the end has %v", l)
		}
	}
	if _, err := os.Lstat(p.socket()); !os.IsNotExist(err) {
		t.Errorf("socket after List: %v", err)
	}
}

// TestExec: a program that takes the place of another in the same process takes over its socket.
func TestExec(t *testing.T) {
	p := start(t, build(t, "go1.26"), "exec")
	p.expect("ready")
	if h := hello(t, p.dial()); int(h.PID) != p.pid() {
		t.Errorf("hello from process %d, want %d", h.PID, p.pid())
	}
}

func sockets(t *testing.T, pid int) (n int) {
	t.Helper()
	fds, err := filepath.Glob(fmt.Sprintf("/proc/%d/fd/*", pid))
	if err != nil {
		t.Fatal(err)
	}
	for _, fd := range fds {
		if to, err := os.Readlink(fd); err == nil && strings.HasPrefix(to, "socket:") {
			n++
		}
	}
	return n
}

// ioctlInq asks how many bytes are in a pipe.
func ioctlInq(fd uintptr, n *int32) error {
	const fionread = 0x541b
	if _, _, errno := syscall.Syscall(syscall.SYS_IOCTL, fd, fionread, uintptr(unsafe.Pointer(n))); errno != 0 {
		return errno
	}
	return nil
}
