// Package server_test drives the real limeade-lsp over its standard streams, as an editor does.
package server_test

import (
	"bufio"
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

	"github.com/limeade-go/limeade/server/editor"
)

// shared is what one run of the tests has once: a short directory, as paths of sockets must be, with the tool, its cache
// and all that is temporary.
var shared struct {
	root  string
	tool  string
	goEnv map[string]string
}

func TestMain(m *testing.M) { os.Exit(runTests(m)) }

func runTests(m *testing.M) int {
	out, err := exec.Command("go", "env", "-json", "GOCACHE", "GOMODCACHE", "GOPATH", "GOFLAGS", "GOPROXY").Output()
	if err == nil {
		err = json.Unmarshal(out, &shared.goEnv)
	}
	if err == nil {
		shared.root, err = os.MkdirTemp("", "lms")
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "server tests:", err)
		return 1
	}
	defer os.RemoveAll(shared.root)
	shared.tool = filepath.Join(shared.root, "limeade-lsp")
	args := []string{"build", "-o", shared.tool}
	if raceEnabled {
		args = append(args, "-race")
	}
	if out, err := exec.Command("go", append(args, "../cmd/limeade-lsp")...).CombinedOutput(); err != nil {
		fmt.Fprintf(os.Stderr, "limeade-lsp does not build: %v\n%s", err, out)
		return 1
	}
	return m.Run()
}

// environ is the environment of a test's children: the go command's caches stay where they are, the tool's own cache is
// this run's, and sockets are in a directory of the test's.
func environ(runtimeDir string) []string {
	var env []string
	for _, v := range os.Environ() {
		key, _, _ := strings.Cut(v, "=")
		if !strings.HasPrefix(key, "XDG_") && !strings.HasPrefix(key, "LIMEADE") && key != "GOCOVERDIR" && key != "PWD" {
			env = append(env, v)
		}
	}
	for key, value := range shared.goEnv {
		env = append(env, key+"="+value)
	}
	return append(env, "XDG_CACHE_HOME="+filepath.Join(shared.root, "cache"), "XDG_RUNTIME_DIR="+runtimeDir, "GOCOVERDIR="+runtimeDir)
}

// tempDir is a directory with a short path, gone at the end of the test.
func tempDir(t testing.TB) string {
	t.Helper()
	dir, err := os.MkdirTemp(shared.root, "")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	return dir
}

// A program is one that was started outside of the editor and is spoken to line by line.
type program struct {
	cmd   *exec.Cmd
	stdin *os.File
	lines chan string // closed at the end of its output
	ended chan struct{}

	mu  sync.Mutex
	log strings.Builder
}

// startProgram starts a command in a process group of its own. Its streams are pipes that outlive limeade-lsp run.
func startProgram(dir string, env []string, name string, args ...string) (*program, error) {
	p := &program{lines: make(chan string, 1024), ended: make(chan struct{})}
	p.cmd = exec.Command(name, args...)
	p.cmd.Dir, p.cmd.Env = dir, env
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	in, stdin, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	stdout, out, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	stderr, errs, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	p.cmd.Stdin, p.cmd.Stdout, p.cmd.Stderr, p.stdin = in, out, errs, stdin
	err = p.cmd.Start()
	in.Close()
	out.Close()
	errs.Close()
	if err != nil {
		return nil, err
	}
	go func() {
		defer close(p.lines)
		s := bufio.NewScanner(stdout)
		for s.Scan() {
			p.note("%s\n", s.Text())
			p.lines <- s.Text()
		}
	}()
	go func() { _, _ = io.Copy(noting{p}, stderr) }()
	go func() {
		_ = p.cmd.Wait() // the state says it
		close(p.ended)
	}()
	return p, nil
}

type noting struct{ p *program }

func (n noting) Write(data []byte) (int, error) {
	n.p.note("%s", data)
	return len(data), nil
}

func (p *program) note(format string, args ...any) {
	p.mu.Lock()
	defer p.mu.Unlock()
	fmt.Fprintf(&p.log, format, args...)
}

func (p *program) said() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.log.String()
}

// ask says one line to the program and returns the line that it answers with.
func (p *program) ask(line string) (string, error) {
	p.note("> %s\n", line)
	if _, err := io.WriteString(p.stdin, line+"\n"); err != nil {
		return "", err
	}
	return p.hear()
}

func (p *program) hear() (string, error) {
	select {
	case line, ok := <-p.lines:
		if !ok {
			return "", errors.New("the program has ended its output\n" + p.said())
		}
		return line, nil
	case <-time.After(editor.Patience):
		return "", errors.New("the program says nothing\n" + p.said())
	}
}

// stop ends the program, and what limeade-lsp run has started.
func (p *program) stop() {
	p.stdin.Close()
	_ = syscall.Kill(-p.cmd.Process.Pid, syscall.SIGTERM)
	select {
	case <-p.ended:
	case <-time.After(10 * time.Second):
		_ = syscall.Kill(-p.cmd.Process.Pid, syscall.SIGKILL)
	}
}
