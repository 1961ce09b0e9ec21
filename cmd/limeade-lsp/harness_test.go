// Package main_test drives the real limeade-lsp from outside, as a person or
// an editor does; it knows the command line contract (reload/DESIGN.md) and
// nothing of what stands behind it.
package main_test

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

const (
	buildPatience  = 10 * time.Minute // a first build may compile the standard library
	answerPatience = 60 * time.Second
)

// shared is what one run of the tests has once: a short directory (the path of
// a unix socket has at most 107 bytes) that holds the user's cache of
// limeade-lsp, and all that is temporary.
var shared struct {
	root  string
	goEnv map[string]string // of the go command that the tests run under
}

func TestMain(m *testing.M) {
	os.Exit(runTests(m))
}

func runTests(m *testing.M) int {
	out, err := exec.Command("go", "env", "-json", "GOCACHE", "GOMODCACHE", "GOPATH", "GOFLAGS", "GOPROXY", "GOROOT", "GOVERSION").Output()
	if err == nil {
		err = json.Unmarshal(out, &shared.goEnv)
	}
	if err == nil {
		shared.root, err = os.MkdirTemp("", "lme")
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "limeade-lsp tests:", err)
		return 1
	}
	defer os.RemoveAll(shared.root)
	return m.Run()
}

// limeade builds the tool, once per run, and returns its path.
var limeade = sync.OnceValues(func() (string, error) {
	bin := filepath.Join(shared.root, "bin", "limeade-lsp")
	out, err := exec.Command("go", "build", "-o", bin, ".").CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("limeade-lsp does not build: %w\n%s", err, out)
	}
	return bin, nil
})

// childEnv is the environment of every child: the go command's caches stay
// where they are, limeade-lsp's own cache is this run's, and its sockets go to
// the given directory.
func childEnv(runtimeDir string, extra ...string) []string {
	var env []string
	for _, v := range os.Environ() {
		key, _, _ := strings.Cut(v, "=")
		if strings.HasPrefix(key, "XDG_") || strings.HasPrefix(key, "LIMEADE") || key == "GOCOVERDIR" || key == "PWD" {
			continue
		}
		env = append(env, v)
	}
	for _, key := range []string{"GOCACHE", "GOMODCACHE", "GOPATH", "GOFLAGS", "GOPROXY"} {
		env = append(env, key+"="+shared.goEnv[key])
	}
	env = append(env,
		"XDG_CACHE_HOME="+filepath.Join(shared.root, "cache"),
		"XDG_RUNTIME_DIR="+runtimeDir,
		"GOCOVERDIR="+runtimeDir,
	)
	return append(env, extra...)
}

// tempDir is a directory with a short path, gone at the end of the test.
func tempDir(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp(shared.root, "")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	return dir
}

// finished is a command that has run to its end.
type finished struct {
	code           int
	stdout, stderr string
}

// runCommand runs a command to its end; only one that cannot be started, or
// that outlives the patience, is an error.
func runCommand(dir string, env []string, patience time.Duration, name string, args ...string) (finished, error) {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Dir, cmd.Env = dir, env
	// What the command leaves behind in the background must not hold up the test.
	cmd.WaitDelay = 10 * time.Second
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	err := cmd.Run()
	f := finished{stdout: stdout.String(), stderr: stderr.String()}
	if ctx.Err() != nil {
		return f, fmt.Errorf("%s %s: no end after %v\n%s%s", filepath.Base(name), strings.Join(args, " "), patience, f.stdout, f.stderr)
	}
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		return f, fmt.Errorf("%s: %w", filepath.Base(name), err)
	}
	f.code = cmd.ProcessState.ExitCode()
	return f, nil
}

// partner is a running program that is spoken to line by line. Its streams are
// pipes of the test's own: limeade-lsp run may be killed, and the program that
// it started goes on with them.
type partner struct {
	cmd    *exec.Cmd
	stdin  *os.File
	lines  chan string   // its standard output; closed at the end of that
	ended  chan struct{} // closed when it has been waited for
	silent chan struct{} // closed at the end of its standard error
	stderr lockedBuffer
	said   strings.Builder // inputs and answers so far, for reports
}

// startPartner starts a program in a process group of its own.
func startPartner(dir string, env []string, name string, args ...string) (*partner, error) {
	p := &partner{lines: make(chan string, 1024), ended: make(chan struct{}), silent: make(chan struct{})}
	p.cmd = exec.Command(name, args...)
	p.cmd.Dir, p.cmd.Env = dir, env
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	var pipes [3][2]*os.File
	for i := range pipes {
		r, w, err := os.Pipe()
		if err != nil {
			return nil, err
		}
		pipes[i] = [2]*os.File{r, w}
	}
	p.cmd.Stdin, p.cmd.Stdout, p.cmd.Stderr = pipes[0][0], pipes[1][1], pipes[2][1]
	p.stdin = pipes[0][1]
	err := p.cmd.Start()
	for _, f := range []*os.File{pipes[0][0], pipes[1][1], pipes[2][1]} {
		f.Close()
	}
	if err != nil {
		for _, f := range []*os.File{p.stdin, pipes[1][0], pipes[2][0]} {
			f.Close()
		}
		return nil, err
	}
	go func() {
		defer close(p.lines)
		defer pipes[1][0].Close()
		in := bufio.NewScanner(pipes[1][0])
		in.Buffer(nil, 1<<20)
		for in.Scan() {
			p.lines <- in.Text()
		}
	}()
	go func() {
		defer close(p.silent)
		defer pipes[2][0].Close()
		_, _ = io.Copy(&p.stderr, pipes[2][0]) // what was read counts
	}()
	go func() {
		_ = p.cmd.Wait() // the state says it
		close(p.ended)
	}()
	return p, nil
}

// say writes one line to the program.
func (p *partner) say(line string) error {
	fmt.Fprintf(&p.said, "> %s\n", line)
	_, err := io.WriteString(p.stdin, line+"\n")
	return err
}

// errEnded says that a program has closed its output.
var errEnded = errors.New("it ended its output")

// hear returns the next line that the program prints; errEnded, wrapped, after
// the last one.
func (p *partner) hear(patience time.Duration) (string, error) {
	timeout := time.NewTimer(patience)
	defer timeout.Stop()
	select {
	case line, ok := <-p.lines:
		if !ok {
			return "", fmt.Errorf("%w\n%s", errEnded, p.report())
		}
		fmt.Fprintf(&p.said, "%s\n", line)
		return line, nil
	case <-timeout.C:
		// A goroutine dump says what it is doing instead.
		p.signal(syscall.SIGQUIT, 10*time.Second)
		return "", fmt.Errorf("nothing within %v\n%s", patience, p.report())
	}
}

// finish closes the program's input, and returns what it still prints and its end.
func (p *partner) finish(patience time.Duration) (rest []string, state *os.ProcessState, err error) {
	p.stdin.Close()
	return p.await(patience)
}

// await collects what the program still prints until it has ended.
func (p *partner) await(patience time.Duration) (rest []string, state *os.ProcessState, err error) {
	for {
		line, err := p.hear(patience)
		if errors.Is(err, errEnded) {
			break
		}
		if err != nil {
			return rest, nil, err
		}
		rest = append(rest, line)
	}
	for _, end := range []chan struct{}{p.silent, p.ended} {
		select {
		case <-end:
		case <-time.After(patience):
			return rest, nil, fmt.Errorf("it closed its output but does not end\n%s", p.report())
		}
	}
	return rest, p.cmd.ProcessState, nil
}

// signal sends a signal to the program's process group, unless it has ended,
// and gives it some time to end.
func (p *partner) signal(sig syscall.Signal, patience time.Duration) {
	select {
	case <-p.ended:
		return
	default:
	}
	_ = syscall.Kill(-p.cmd.Process.Pid, sig) // it may end at this moment
	select {
	case <-p.ended:
	case <-time.After(patience):
	}
}

// kill ends the program and, as limeade-lsp run passes signals on, the one that
// it has started.
func (p *partner) kill() {
	p.stdin.Close()
	p.signal(syscall.SIGTERM, 5*time.Second)
	p.signal(syscall.SIGKILL, answerPatience)
}

// report is all that is known of the program's life.
func (p *partner) report() string {
	state := "running"
	select {
	case <-p.ended:
		state = p.cmd.ProcessState.String()
	default:
	}
	return fmt.Sprintf("--- said so far (%s)\n%s--- standard error\n%s", state, p.said.String(), p.stderr.String())
}

// converse plays a dialogue and returns where it went otherwise than told.
func (p *partner) converse(d dialogue, skipKept bool) error {
	var wrong []string
	for _, x := range d {
		patience := answerPatience
		if p.said.Len() == 0 {
			patience = buildPatience
		}
		if err := p.say(x.input); err != nil {
			return fmt.Errorf("input %q: %w\n%s", x.input, err, p.report())
		}
		for _, want := range x.answers {
			got, err := p.hear(patience)
			if err != nil {
				return fmt.Errorf("input %q: %w", x.input, err)
			}
			if got != want && !(skipKept && x.kept) {
				wrong = append(wrong, fmt.Sprintf("input %q: answer %q, want %q", x.input, got, want))
			}
		}
	}
	if wrong != nil {
		return fmt.Errorf("%s\n%s", strings.Join(wrong, "\n"), p.report())
	}
	return nil
}

// lockedBuffer collects a child's standard error while the test may read it.
type lockedBuffer struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (b *lockedBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.Write(p)
}

func (b *lockedBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.String()
}
