package session

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"syscall"

	"golang.org/x/sys/unix"
)

// A Child is a program that run started. It has run's standard streams, its environment and working
// directory, and gets every signal that is sent to run.
type Child struct {
	cmd     *exec.Cmd
	signals chan os.Signal
	tty     bool // the child's process group is the terminal's foreground one
}

// notForwarded are signals that concern run itself, or that cannot be caught.
var notForwarded = map[os.Signal]bool{
	syscall.SIGCHLD: true,
	syscall.SIGURG:  true, // the Go runtime's own
	syscall.SIGPIPE: true,
	syscall.SIGTTIN: true,
	syscall.SIGTTOU: true,
}

// StartChild starts a program. In a terminal the child gets a foreground process group of its own, so
// that keys like ctrl-C reach it once, from the terminal, as if run were not there.
func StartChild(binary string, args []string) (*Child, error) {
	c := &Child{cmd: exec.Command(binary, args...), signals: make(chan os.Signal, 16)}
	c.cmd.Stdin, c.cmd.Stdout, c.cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	c.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if _, err := unix.IoctlGetInt(0, unix.TIOCGPGRP); err == nil {
		c.tty = true
		c.cmd.SysProcAttr.Foreground = true
		c.cmd.SysProcAttr.Ctty = 0
	}
	for sig := syscall.Signal(1); sig < 32; sig++ {
		if !signal.Ignored(sig) { // as nohup has it: the program inherits that
			signal.Notify(c.signals, sig)
		}
	}
	if err := c.cmd.Start(); err != nil {
		signal.Stop(c.signals)
		return nil, fmt.Errorf("%s cannot be started: %w", binary, err)
	}
	go c.forward()
	return c, nil
}

// PID of the program.
func (c *Child) PID() int { return c.cmd.Process.Pid }

func (c *Child) forward() {
	for sig := range c.signals {
		if !notForwarded[sig] {
			_ = c.cmd.Process.Signal(sig) // it may be gone already
		}
	}
}

// Wait waits for the program to end and calls cleanup. When a signal ended the program, this process
// ends by the same signal; otherwise the exit code is the result.
func (c *Child) Wait(cleanup func()) (int, error) {
	err := c.cmd.Wait()
	signal.Stop(c.signals)
	close(c.signals)
	cleanup()
	if c.tty {
		c.takeTerminal()
	}
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
