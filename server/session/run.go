package session

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/limeade-go/limeade/reload"
)

// How long a program may take to end when it is asked to, and a new one until it can be refreshed and then to show that
// it does not end at once: its agent answers before main has begun.
const (
	endGrace   = 10 * time.Second
	startGrace = 30 * time.Second
	settling   = 100 * time.Millisecond
)

// A Runner runs a program, and when it is asked to restart it, the next one in its place: with the same arguments,
// environment, directory and standard streams.
type Runner struct {
	Args []string // of the program
	// Build builds the program anew from the source as it is.
	Build func(context.Context) (*reload.Program, error)
	// Auto says that an edit which needs a restart gets one when it is refreshed.
	Auto bool
	// Say tells the person at the terminal something.
	Say func(format string, args ...any)

	session    *Session
	restarting sync.Mutex      // held by the one who restarts
	answering  sync.WaitGroup  // services, and their queries that have no answer yet
	ended      context.Context // done when nothing is run any more
	end        context.CancelFunc

	mu      sync.Mutex // guards the rest
	child   *Child
	service *Service
	next    chan *Child // to Run, from the restart that is under way; nil if none is
	over    bool        // the last program has ended
}

// Run runs a program to its end, and that of those that take its place. The result is the exit code of the last; if a
// signal ended that, this process ends by the same.
func (r *Runner) Run(p *reload.Program) (int, error) {
	r.session = New()
	defer r.session.Close()
	r.ended, r.end = context.WithCancel(context.Background())
	defer r.end()
	signals := newSignals()
	defer signals.stop()
	child, err := startChild(p.Binary, r.Args, signals)
	if err != nil {
		return 3, err
	}
	r.adopt(p, child)
	for {
		err := child.wait()
		if c := r.successor(); c != nil {
			child = c
			continue
		}
		r.finish()
		return child.exit(err)
	}
}

// successor returns the program that takes the place of one that has ended, nil if none does.
func (r *Runner) successor() *Child {
	r.mu.Lock()
	next := r.next
	r.next, r.over = nil, next == nil
	r.mu.Unlock()
	if next == nil {
		return nil
	}
	c := <-next
	if c == nil {
		r.mu.Lock()
		r.over = true
		r.mu.Unlock()
	}
	return c
}

// lastWords is how long those may take to get an answer who asked before the program ended.
const lastWords = 2 * time.Second

// finish ends what is done for others.
func (r *Runner) finish() {
	r.end()
	r.mu.Lock()
	if r.service != nil {
		r.service.Close()
	}
	r.mu.Unlock()
	answered := make(chan struct{})
	go func() { r.answering.Wait(); close(answered) }()
	select {
	case <-answered:
	case <-time.After(lastWords):
	}
	r.session.Close()
}

// adopt makes a program that was started the one that queries are about.
func (r *Runner) adopt(p *reload.Program, child *Child) {
	r.session.replace(p)
	service, err := r.session.serve(child.PID(), r)
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
// wrong before that, the old one stays. A cause is what the person at the terminal is told, if nobody asked for it.
func (r *Runner) restart(ctx context.Context, cause string) *Answer {
	begun := time.Now()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(r.ended, cancel)()
	r.mu.Lock()
	old := r.child
	r.mu.Unlock()
	a := newAnswer(old.PID())
	fail := func(err error) *Answer {
		a.Error = failureOf(err)
		a.Phases.Total = ms(time.Since(begun))
		if proc, err := reload.Attach(ctx, a.PID); err == nil {
			a.Generation = proc.Generation
			proc.Close()
		}
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
	next := make(chan *Child)
	r.mu.Lock()
	over := r.over
	if !over {
		r.next = next
	}
	r.mu.Unlock()
	if over {
		return fail(&Failure{Kind: FailureProcess, Message: "the program ended while it was built anew"})
	}
	if cause == "" {
		r.Say("restarting")
	} else {
		r.Say("restarting, which is required by %s", cause)
	}
	old.end()
	child, err := startChild(p.Binary, r.Args, old.signals)
	if err != nil {
		next <- nil
		return fail(err)
	}
	r.adopt(p, child)
	next <- child
	a.PID, a.Restarted = child.PID(), cause
	err = Reachable(ctx, child.PID(), child.ended)
	select {
	case <-child.ended:
		err = &Failure{Kind: FailureProcess, Message: fmt.Sprintf("the new program ended at once: %v", child.cmd.ProcessState)}
	case <-time.After(settling):
	}
	if err != nil {
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

// Reachable waits until the agent of a process that was just started answers. ended is closed if the process ends.
func Reachable(ctx context.Context, pid int, ended <-chan struct{}) error {
	ctx, cancel := context.WithTimeout(ctx, startGrace)
	defer cancel()
	for {
		proc, err := reload.Attach(ctx, pid)
		if err == nil {
			proc.Close()
			return nil
		}
		select {
		case <-ended:
			return &Failure{Kind: FailureProcess, Message: "the new program ended at once"}
		case <-ctx.Done():
			return errors.Join(err, ctx.Err())
		case <-time.After(10 * time.Millisecond):
		}
	}
}
