package session

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/limeade-go/limeade/reload"
)

// How long a program may take to end when it is asked to, and a new one until it can be refreshed.
const (
	endGrace   = 10 * time.Second
	startGrace = 30 * time.Second
)

// A Runner runs a program, and when it is asked to restart it, the next one in its place: with the same arguments,
// environment, directory and standard streams.
type Runner struct {
	Args []string // of the program
	// Build builds the program anew from the source as it is.
	Build func(context.Context) (*reload.Program, error)
	// Say tells the person at the terminal something.
	Say func(format string, args ...any)

	session    *Session
	restarting sync.Mutex // held by the one who restarts

	mu      sync.Mutex // guards the rest
	child   *Child
	service *Service
	next    chan *Child // of the restart that is under way, nil if none is
}

// Run runs a program to its end, and that of those that take its place. The result is the exit code of the last; if a
// signal ended that, this process ends by the same.
func (r *Runner) Run(p *reload.Program) (int, error) {
	r.session = New()
	defer r.session.Close()
	signals := newSignals()
	defer signals.stop()
	child, err := startChild(p.Binary, r.Args, signals)
	if err != nil {
		return 3, err
	}
	r.adopt(p, child)
	for {
		err := child.wait()
		r.mu.Lock()
		next := r.next
		r.mu.Unlock()
		if next != nil {
			if c := <-next; c != nil {
				child = c
				continue
			}
		}
		r.mu.Lock()
		if r.service != nil {
			r.service.Close()
		}
		r.mu.Unlock()
		r.session.Close()
		return child.exit(err)
	}
}

// adopt makes a program that was started the one that queries are about.
func (r *Runner) adopt(p *reload.Program, child *Child) {
	r.session.replace(p)
	service, err := r.session.serve(child.PID(), r.restart)
	if err != nil {
		r.Say("refreshes will start cold: %v", err)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.service != nil {
		r.service.Close()
	}
	r.child, r.service = child, service
}

// restart builds the program anew while the old one goes on, and then puts the new one in its place. If anything goes
// wrong before that, the old one stays.
func (r *Runner) restart(ctx context.Context) *Answer {
	begun := time.Now()
	r.mu.Lock()
	old := r.child
	r.mu.Unlock()
	a := newAnswer(old.PID())
	fail := func(err error) *Answer {
		a.Error = failureOf(err)
		a.Phases.Total = ms(time.Since(begun))
		return a
	}
	if !r.restarting.TryLock() {
		return fail(&Failure{Kind: FailureProcess, Message: "the program is being restarted already"})
	}
	defer r.restarting.Unlock()
	p, err := r.Build(ctx)
	if err != nil {
		return fail(err)
	}
	a.Phases.Compile = ms(time.Since(begun))
	next := make(chan *Child, 1)
	r.mu.Lock()
	r.next = next
	r.mu.Unlock()
	defer func() {
		r.mu.Lock()
		r.next = nil
		r.mu.Unlock()
	}()
	r.Say("restarting")
	old.end()
	child, err := startChild(p.Binary, r.Args, old.signals)
	if err != nil {
		next <- nil
		return fail(err)
	}
	r.adopt(p, child)
	next <- child
	a.PID = child.PID()
	if err := child.reachable(ctx); err != nil {
		return fail(err)
	}
	a.Applied = true
	a.Phases.Total = ms(time.Since(begun))
	return a
}

// end makes a program end: it is asked to, and after some time made to.
func (c *Child) end() {
	c.terminate()
	select {
	case <-c.ended:
		return
	case <-time.After(endGrace):
	}
	c.kill()
	<-c.ended
}

// reachable waits until the agent of a program answers.
func (c *Child) reachable(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, startGrace)
	defer cancel()
	for {
		proc, err := reload.Attach(ctx, c.PID())
		if err == nil {
			proc.Close()
			return nil
		}
		select {
		case <-c.ended:
			return &Failure{Kind: FailureProcess, Message: fmt.Sprintf("the new program ended at once: %v", c.cmd.ProcessState)}
		case <-ctx.Done():
			return errors.Join(err, ctx.Err())
		case <-time.After(10 * time.Millisecond):
		}
	}
}
