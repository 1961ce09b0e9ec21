package session

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"sync"
	"syscall"

	"golang.org/x/sys/unix"
)

// Signals are passed on to the program that run has started.
type signals struct {
	received chan os.Signal

	mu   sync.Mutex
	to   *Child      // nil between two programs
	kept []os.Signal // that came between two programs: they are for the next
}

// notForwarded are signals that concern run itself, or that cannot be caught.
var notForwarded = map[os.Signal]bool{
	syscall.SIGCHLD: true,
	syscall.SIGURG:  true, // the Go runtime's own
	syscall.SIGPIPE: true,
	syscall.SIGTTIN: true,
	syscall.SIGTTOU: true,
}

// newSignals catches all signals that are not ignored, as nohup has it: the program inherits that.
func newSignals() *signals {
	s := &signals{received: make(chan os.Signal, 16)}
	for sig := syscall.Signal(1); sig < 32; sig++ {
		if !signal.Ignored(sig) {
			signal.Notify(s.received, sig)
		}
	}
	go func() {
		for sig := range s.received {
			s.mu.Lock()
			switch {
			case notForwarded[sig]:
			case s.to == nil:
				s.kept = append(s.kept, sig)
			default:
				_ = s.to.cmd.Process.Signal(sig) // it may be gone already
			}
			s.mu.Unlock()
		}
	}()
	return s
}

func (s *signals) stop() {
	signal.Stop(s.received)
	close(s.received)
}

// A Child is a program that run started. It has run's standard streams, its environment and working
// directory, and gets every signal that is sent to run.
type Child struct {
	cmd     *exec.Cmd
	signals *signals
	tty     bool          // the child's process group is the terminal's foreground one
	ended   chan struct{} // closed when wait has returned
}

// startChild starts a program. In a terminal the child gets a foreground process group of its own, so
// that keys like ctrl-C reach it once, from the terminal, as if run were not there.
func startChild(binary string, args []string, sig *signals) (*Child, error) {
	c := &Child{cmd: exec.Command(binary, args...), signals: sig, ended: make(chan struct{})}
	c.cmd.Stdin, c.cmd.Stdout, c.cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	c.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if _, err := unix.IoctlGetInt(0, unix.TIOCGPGRP); err == nil {
		c.tty = true
		c.cmd.SysProcAttr.Foreground = true
		c.cmd.SysProcAttr.Ctty = 0
	}
	sig.mu.Lock()
	defer sig.mu.Unlock()
	if err := c.cmd.Start(); err != nil {
		return nil, fmt.Errorf("%s cannot be started: %w", binary, err)
	}
	for _, s := range sig.kept {
		_ = c.cmd.Process.Signal(s)
	}
	sig.to, sig.kept = c, nil
	return c, nil
}

// PID of the program.
func (c *Child) PID() int { return c.cmd.Process.Pid }

// terminate asks the program to end.
func (c *Child) terminate() { _ = c.cmd.Process.Signal(syscall.SIGTERM) } // it may be gone already

// kill ends the program and all that it started in its process group.
func (c *Child) kill() {
	_ = c.cmd.Process.Kill()
	_ = syscall.Kill(-c.PID(), syscall.SIGKILL)
}

// wait waits for the program to end. The terminal is then run's own again.
func (c *Child) wait() error {
	defer close(c.ended)
	err := c.cmd.Wait()
	c.signals.mu.Lock()
	if c.signals.to == c {
		c.signals.to = nil
	}
	c.signals.mu.Unlock()
	if c.tty {
		c.takeTerminal()
	}
	return err
}

// exit is the exit code of a program that has ended, err being what wait said. When a signal ended the program, this
// process ends by the same signal.
func (c *Child) exit(err error) (int, error) {
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		return 1, err
	}
	status := c.cmd.ProcessState.Sys().(syscall.WaitStatus)
	if !status.Signaled() {
		return status.ExitStatus(), nil
	}
	sig := status.Signal()
	if sig == syscall.SIGKILL || sig == syscall.SIGSTOP {
		_ = syscall.Kill(os.Getpid(), sig)
	}
	signal.Reset(sig)
	_ = unix.Setrlimit(unix.RLIMIT_CORE, &unix.Rlimit{}) // the program's core dump is enough
	_ = syscall.Kill(os.Getpid(), sig)
	return 128 + int(sig), nil // the signal is ignored here
}

// takeTerminal makes run's process group the foreground one again.
func (c *Child) takeTerminal() {
	signal.Ignore(syscall.SIGTTOU)
	_ = unix.IoctlSetPointerInt(0, unix.TIOCSPGRP, unix.Getpgrp())
	signal.Reset(syscall.SIGTTOU)
}
