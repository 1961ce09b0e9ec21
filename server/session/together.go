package session

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"slices"
	"sync"
	"time"

	"github.com/limeade-go/limeade/reload"
)

// A refresh that reaches several processes is made in all of them or in none: each is prepared, then each is committed,
// and if one fails at that, those before it are taken back. Who directs this may be killed in between; then some are
// refreshed and others not, which status says, and the next refresh goes on from there.

// A member is one process in such a refresh.
type member struct {
	answer *Answer // what it said last
	party  party   // nil if there is nothing to commit
}

// A party takes the steps of a refresh that is prepared in one process.
type party interface {
	take(context.Context, step) *Answer
	close()
}

// A step is what a party is told to do.
type step string

const (
	stepCommit step = "commit"
	stepTry    step = "try"  // see for a while whether anything fails
	stepEnd    step = "end"  // of the trial
	stepUndo   step = "undo" // what stepCommit did
)

// undoPatience is how long it may take to take a commit back, whoever has given up meanwhile.
const undoPatience = 30 * time.Second

// together has all members take the refresh, or none, and returns their answers. A process that has ended keeps nobody
// from it.
func together(ctx context.Context, q Query, members []*member) *Reply {
	defer release(members)
	if failed := commitAll(ctx, members); failed != nil {
		takeBack(ctx, members, failed, fmt.Sprintf("process %d could not be refreshed", failed.answer.PID))
	} else if q.Trial > 0 {
		if failed := tryAll(ctx, members, q.Trial); failed != nil {
			takeBack(ctx, members, failed, fmt.Sprintf("something failed in process %d", failed.answer.PID))
		}
	}
	r := &Reply{}
	for _, m := range members {
		r.Answers = append(r.Answers, m.answer)
	}
	return r
}

// release lets go of members.
func release(members []*member) {
	for _, m := range members {
		if m.party != nil {
			m.party.close()
		}
	}
}

// commitAll commits one after the other, and returns the member that keeps the others from it. A commit that has begun is
// not broken off: what became of it would not be known.
func commitAll(ctx context.Context, members []*member) (failed *member) {
	for _, m := range members {
		if m.answer.Error != nil && m.runs() {
			return m
		}
	}
	for _, m := range members {
		if m.party == nil {
			continue
		}
		if ctx.Err() != nil {
			m.answer.Error = failureOf(context.Cause(ctx))
			return m
		}
		m.answer = m.party.take(context.WithoutCancel(ctx), stepCommit)
		if m.answer.Error != nil && m.runs() {
			return m
		}
	}
	return nil
}

// tryAll waits for the end of the trial, in steps that all refreshed members take side by side, and returns one in which
// something failed. That one has ended is a failure, and so is that somebody gives up waiting.
func tryAll(ctx context.Context, members []*member, d time.Duration) (failed *member) {
	members = slices.DeleteFunc(slices.Clone(members), func(m *member) bool { return m.party == nil || !m.answer.Applied })
	if len(members) == 0 {
		return nil // all have ended
	}
	all := func(s step) *member {
		var wg sync.WaitGroup
		for _, m := range members {
			wg.Go(func() {
				if a := m.party.take(context.WithoutCancel(ctx), s); a.Error != nil {
					m.answer.Error = a.Error
				}
			})
		}
		wg.Wait()
		for _, m := range members {
			if m.answer.Error == nil && ctx.Err() != nil {
				m.answer.Error = failureOf(context.Cause(ctx))
			}
			if m.answer.Error != nil {
				return m
			}
		}
		return nil
	}
	for end := time.Now().Add(d); time.Now().Before(end); {
		if failed := all(stepTry); failed != nil {
			return failed
		}
	}
	return all(stepEnd)
}

// takeBack makes all members as they were before the refresh.
func takeBack(ctx context.Context, members []*member, failed *member, why string) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), undoPatience)
	defer cancel()
	withheld := func(how string) *Failure {
		return &Failure{Kind: FailureWithheld, Message: how + ": " + why + ", and all are refreshed or none"}
	}
	for _, m := range members {
		switch a := m.answer; {
		case m.party == nil:
		case !a.Applied && a.Error == nil:
			a.Error = withheld("nothing was changed")
		case a.Applied && !m.runs():
			a.Applied = false
			a.Error = &Failure{Kind: FailureProcess, Message: fmt.Sprintf("process %d has ended since it was refreshed", a.PID)}
		case a.Applied:
			back := m.party.take(ctx, stepUndo)
			reason := a.Error
			if reason == nil {
				reason = withheld("the refresh was rolled back")
			} else {
				reason.Message = "the refresh was rolled back: " + reason.Message
			}
			if a.Applied = back.Error != nil; a.Applied {
				reason = &Failure{Kind: FailureProcess, Message: why + "; the refresh of this process could not be rolled back: " + back.Error.Message, Trace: reason.Trace}
			} else {
				a.Generation, a.Stale, a.Hooks = back.Generation, back.Stale, append(a.Hooks, back.Hooks...)
			}
			a.Error = reason
		}
	}
}

// runs reports whether the member's process is there.
func (m *member) runs() bool { return runs(m.answer.PID) }

func runs(pid int) bool {
	_, err := reload.BuildOf(pid)
	return err == nil
}

// prepare makes a job a member, ready to be committed. The program must not be changed by anybody else until it is closed:
// locks are those that members of the same refresh hold already.
func (j *job) prepare(ctx context.Context, locks *locks) *member {
	release, ok := locks.take(j.program.working)
	if !ok {
		j.proc.Close()
		return &member{answer: j.finish(j.answer(), errBusy)}
	}
	p := &local{job: j, release: release}
	p.answer = j.ready(ctx)
	if j.prepared == nil {
		p.close()
		return &member{answer: p.answer}
	}
	return &member{p.answer, p}
}

// locks are those of the programs that a refresh changes: it may have several processes of one.
type locks struct {
	held map[*sync.Mutex]int
}

// take locks mu if nobody else has it; release is called once.
func (l *locks) take(mu *sync.Mutex) (release func(), ok bool) {
	if l.held == nil {
		l.held = map[*sync.Mutex]int{}
	}
	if l.held[mu] == 0 && !mu.TryLock() {
		return nil, false
	}
	l.held[mu]++
	return func() {
		if l.held[mu]--; l.held[mu] == 0 {
			mu.Unlock()
		}
	}, true
}

// A local party is a process that this one refreshes itself.
type local struct {
	job     *job
	answer  *Answer
	release func()
}

func (p *local) take(ctx context.Context, s step) *Answer {
	switch s {
	case stepCommit:
		p.answer = p.job.commit(ctx, p.answer, p.job.trial > 0)
		return p.answer
	case stepTry:
		return p.job.try(ctx, p.answer.Generation, trialStep)
	case stepEnd:
		return p.job.try(ctx, p.answer.Generation, 0)
	case stepUndo:
		return p.job.undo(ctx, p.answer.Generation)
	}
	return Failed(p.answer.PID, fmt.Errorf("unknown step %q", s))
}

func (p *local) close() {
	p.job.proc.Close()
	p.release()
}

// A remote party is a process whose service refreshes it.
type remote struct {
	pid  int
	conn net.Conn
	from *json.Decoder
	stop func() bool
}

// join asks a service to prepare a refresh. The member is nil if it does not concern the service's process; an error means
// that there is no answer from there.
func join(ctx context.Context, pid int, path string, q Query) (*member, error) {
	conn, err := dial(ctx, path)
	if err != nil {
		return nil, err
	}
	r := &remote{pid: pid, conn: conn}
	r.from = listenTo(ctx, conn)
	r.stop = context.AfterFunc(ctx, func() { _ = conn.SetDeadline(time.Unix(1, 0)) })
	q.Steps = true
	reply, err := r.exchange(q)
	if err != nil || len(reply.Answers) == 0 {
		r.close()
		return nil, err
	}
	m := &member{answer: reply.Answers[0]}
	if reply.Prepared {
		m.party = r
	} else {
		r.close()
	}
	return m, nil
}

func (r *remote) exchange(say any) (*Reply, error) {
	var reply Reply
	if err := json.NewEncoder(r.conn).Encode(say); err != nil {
		return nil, fmt.Errorf("process %d: the limeade-lsp that runs it: %w", r.pid, err)
	}
	if err := r.from.Decode(&reply); err != nil {
		return nil, fmt.Errorf("process %d: the limeade-lsp that runs it: %w", r.pid, err)
	}
	return &reply, nil
}

func (r *remote) take(ctx context.Context, s step) *Answer {
	r.stop() // the context may be another one
	_ = r.conn.SetDeadline(time.Time{})
	r.from = listenTo(ctx, r.conn)
	r.stop = context.AfterFunc(ctx, func() { _ = r.conn.SetDeadline(time.Unix(1, 0)) })
	reply, err := r.exchange(s)
	if err == nil && len(reply.Answers) != 1 {
		err = fmt.Errorf("process %d: the limeade-lsp that runs it gave no answer", r.pid)
	}
	if err != nil {
		return Failed(r.pid, err)
	}
	return reply.Answers[0]
}

// letGoPatience is how long a service is waited for that was told that a refresh is over.
const letGoPatience = time.Second

// close ends the refresh, and waits until the service has let go of the program: the next command, which may follow at
// once, is not told that another is under way.
func (r *remote) close() {
	defer r.conn.Close()
	r.stop()
	_ = r.conn.SetDeadline(time.Now().Add(letGoPatience))
	if half, ok := r.conn.(*net.UnixConn); ok && half.CloseWrite() == nil {
		_, _ = io.Copy(io.Discard, r.conn)
	}
}
