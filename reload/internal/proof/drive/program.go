package drive

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"
)

// A Program is a process under limeade-lsp run, or one that was started directly.
type Program struct {
	Stdin  io.WriteCloser
	Stdout *Output
	Stderr *Output
	PID    int // the program's own, known once Listed has returned; of a direct one, at once

	cmd  *exec.Cmd
	done chan struct{}
	err  error // of Wait; read after done
}

// Start starts the workspace's main package by limeade-lsp run. flags are build flags. The program is built first: wait
// for the first that it says, and then for Listed.
func (w *Workspace) Start(flags []string, args ...string) (*Program, error) {
	line := append([]string{"run"}, flags...)
	line = append(line, ".")
	if len(args) > 0 {
		line = append(append(line, "--"), args...)
	}
	p, err := start(exec.Command(w.tool, line...), w.Dir, w.env)
	if err != nil {
		return nil, err
	}
	w.mu.Lock()
	w.program = p
	w.mu.Unlock()
	return p, nil
}

// Parent is the process that was started: limeade-lsp run, which holds what it learned of the program.
func (p *Program) Parent() int { return p.cmd.Process.Pid }

// Test starts limeade-lsp test, which goes on until it is killed.
func (w *Workspace) Test(args ...string) (*Program, error) {
	p, err := start(exec.Command(w.tool, append([]string{"test"}, args...)...), w.Dir, w.env)
	if err == nil {
		w.tb.Cleanup(p.Kill)
	}
	return p, err
}

// Listed waits until status lists the workspace's program, which runs by now. Asking is itself a process, so the loop
// needs no pause.
func (w *Workspace) Listed(ctx context.Context) error {
	w.mu.Lock()
	p := w.program
	w.mu.Unlock()
	var last error
	for {
		select {
		case <-p.done:
			return fmt.Errorf("limeade-lsp run: ended before its program was listed: %v\n%s", p.err, p.Stderr)
		case <-ctx.Done():
			return fmt.Errorf("limeade-lsp run: program not listed by status: %w (%v)\n%s", ctx.Err(), last, p.Stderr)
		default:
		}
		list, err := w.Status(ctx)
		last = err
		if err == nil && len(list) == 1 && list[0].PID > 0 {
			p.PID = list[0].PID
			return nil
		}
	}
}

// Learned waits until limeade-lsp knows all that makes refreshes of the program fast.
func (w *Workspace) Learned(ctx context.Context) error {
	for {
		list, err := w.Status(ctx)
		if err != nil {
			return err
		}
		if len(list) == 1 && list[0].Learning == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(200 * time.Millisecond):
		}
	}
}

// Direct starts an executable as it is, where the workspace's program would run and in the same environment.
func (w *Workspace) Direct(path string, args ...string) (*Program, error) {
	p, err := start(exec.Command(path, args...), w.Dir, w.env)
	if err != nil {
		return nil, err
	}
	p.PID = p.cmd.Process.Pid
	w.tb.Cleanup(p.Kill)
	return p, nil
}

// start starts cmd as the leader of a process group of its own, so that Kill reaches what it starts in turn.
func start(cmd *exec.Cmd, dir string, env []string) (*Program, error) {
	p := &Program{cmd: cmd, Stdout: newOutput(), Stderr: newOutput(), done: make(chan struct{})}
	cmd.Dir, cmd.Env = dir, env
	cmd.Stdout, cmd.Stderr = p.Stdout, p.Stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.WaitDelay = 5 * time.Second
	var err error
	if p.Stdin, err = cmd.StdinPipe(); err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	go func() {
		p.err = cmd.Wait()
		p.Stdout.end()
		p.Stderr.end()
		close(p.done)
	}()
	return p, nil
}

// Wait gives the exit code, -1 when a signal ended the process or ctx ended before it did.
func (p *Program) Wait(ctx context.Context) (int, error) {
	select {
	case <-p.done:
	case <-ctx.Done():
		return -1, fmt.Errorf("program still runs: %w", ctx.Err())
	}
	var exit *exec.ExitError
	if p.err == nil {
		return 0, nil
	}
	if errors.As(p.err, &exit) {
		return exit.ExitCode(), nil
	}
	return -1, p.err
}

// Ended is closed when the process has ended.
func (p *Program) Ended() <-chan struct{} { return p.done }

// Say writes one line to standard input.
func (p *Program) Say(line string) error {
	_, err := io.WriteString(p.Stdin, line+"\n")
	return err
}

// Ask writes one line to standard input and gives the next line of standard output.
func (p *Program) Ask(ctx context.Context, line string) (string, error) {
	if err := p.Say(line); err != nil {
		return "", fmt.Errorf("%q: %w\n%s", line, err, p.Stderr)
	}
	return p.Line(ctx)
}

// Line gives the next line of standard output.
func (p *Program) Line(ctx context.Context) (string, error) {
	s, err := p.Stdout.Line(ctx)
	if err != nil {
		return s, fmt.Errorf("%w\n%s", err, p.Stderr)
	}
	return s, nil
}

// Kill ends the process, what it started, and the program behind it.
func (p *Program) Kill() {
	select {
	case <-p.done:
		return
	default:
	}
	behind := p.PID != p.cmd.Process.Pid && p.PID > 0 && parent(p.PID) == p.cmd.Process.Pid
	syscall.Kill(-p.cmd.Process.Pid, syscall.SIGKILL)
	if behind {
		syscall.Kill(p.PID, syscall.SIGKILL)
	}
	<-p.done
}

// parent is the pid of a process's parent, 0 when there is no such process (proc(5), /proc/pid/stat).
func parent(pid int) int {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0
	}
	// The second field is the command in parentheses and may itself hold blanks and parentheses.
	fields := strings.Fields(string(text[bytes.LastIndexByte(text, ')')+1:]))
	if len(fields) < 2 {
		return 0
	}
	n, err := strconv.Atoi(fields[1])
	if err != nil {
		return 0
	}
	return n
}

// kill ends the workspace's program.
func (w *Workspace) kill() {
	w.mu.Lock()
	p := w.program
	w.mu.Unlock()
	if p != nil {
		p.Kill()
	}
}

// An Output collects what a process writes, and lets others wait for it.
type Output struct {
	mu      sync.Mutex
	buf     []byte
	taken   int // bytes that Line has given out
	ended   bool
	changed chan struct{} // closed and replaced at every change
}

func newOutput() *Output { return &Output{changed: make(chan struct{})} }

// maxOutput bounds what a process may write; a program in an endless loop of messages must not fill the memory.
const maxOutput = 64 << 20

// Write takes what the process wrote.
func (o *Output) Write(b []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if len(o.buf)+len(b) > maxOutput {
		return 0, errors.New("output: too long")
	}
	o.buf = append(o.buf, b...)
	o.wake()
	return len(b), nil
}

func (o *Output) end() {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.ended = true
	o.wake()
}

func (o *Output) wake() {
	close(o.changed)
	o.changed = make(chan struct{})
}

// wait calls found with the lock held until it says true.
func (o *Output) wait(ctx context.Context, found func() bool) error {
	for {
		o.mu.Lock()
		ok, ended, changed := found(), o.ended, o.changed
		o.mu.Unlock()
		switch {
		case ok:
			return nil
		case ended:
			return io.ErrUnexpectedEOF
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// Line gives the next line, without its end.
func (o *Output) Line(ctx context.Context) (string, error) {
	var line string
	err := o.wait(ctx, func() bool {
		i := bytes.IndexByte(o.buf[o.taken:], '\n')
		if i < 0 {
			return false
		}
		line = string(o.buf[o.taken : o.taken+i])
		o.taken += i + 1
		return true
	})
	return line, err
}

// Until waits until the whole output contains text.
func (o *Output) Until(ctx context.Context, text string) error {
	return o.wait(ctx, func() bool { return bytes.Contains(o.buf, []byte(text)) })
}

// String is the output so far.
func (o *Output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return string(o.buf)
}

// OwnLines takes out of standard error what limeade-lsp itself says while it passes the program's output on.
func OwnLines(stderr string) string {
	var b strings.Builder
	for _, line := range strings.SplitAfter(stderr, "\n") {
		if !strings.HasPrefix(line, "limeade: ") {
			b.WriteString(line)
		}
	}
	return b.String()
}
