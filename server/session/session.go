// Package session knows one user's running programs and their workspaces: it finds out what changed,
// has it analysed, and has it brought into the processes. The command line and the language server
// are its front ends; it must never know how either of them shows anything.
package session

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/limeade-go/limeade/reload"
)

// A Session keeps what it learns of the programs that it is asked about. It is safe for concurrent use.
type Session struct {
	mu       sync.Mutex
	programs map[string]*program // by build ID
}

// New returns a session that knows nothing yet.
func New() *Session { return &Session{programs: map[string]*program{}} }

// Close removes temporary files.
func (s *Session) Close() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, p := range s.programs {
		_ = p.Close()
	}
}

// Adopt makes a build known that the caller has opened already, in place of all others, and learns in the background what
// a refresh will need.
func (s *Session) Adopt(p *reload.Program) { s.replace(p) }

// Refresh refreshes one process, whoever else may know of it.
func (s *Session) Refresh(ctx context.Context, pid int) *Answer {
	r := s.do(ctx, Query{Verb: Refresh, PID: pid}, []int{pid})
	return r.Answer(Query{PID: pid})
}

// replace makes a build known that the caller has opened already, in place of all others, and learns in the background
// what a refresh will need.
func (s *Session) replace(p *reload.Program) {
	prog := newProgram(p)
	prog.learning.Store(&Learning{Packages: len(p.Locals())})
	s.mu.Lock()
	for _, old := range s.programs {
		_ = old.Close()
	}
	s.programs = map[string]*program{p.BuildID: prog}
	s.mu.Unlock()
	go prog.warm()
}

// open returns the program of a build.
func (s *Session) open(buildID string) (*program, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if p := s.programs[buildID]; p != nil {
		return p, nil
	}
	p, err := reload.Open(buildID)
	if err != nil {
		return nil, err
	}
	prog := newProgram(p)
	s.programs[buildID] = prog
	return prog, nil
}

// Keep forgets all programs but those of some processes.
func (s *Session) Keep(lives []*Live) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for id, p := range s.programs {
		if !slices.ContainsFunc(lives, func(l *Live) bool { return l.program == p }) {
			delete(s.programs, id)
			_ = p.Close()
		}
	}
}

// do answers a query about some processes.
func (s *Session) do(ctx context.Context, q Query, pids []int) *Reply {
	reply := &Reply{}
	for _, pid := range pids {
		s.one(ctx, q, pid, reply)
	}
	return reply
}

// one answers a query about one process, if it concerns it.
func (s *Session) one(ctx context.Context, q Query, pid int, reply *Reply) {
	if q.Verb == Refresh {
		if m := s.prepare(ctx, q, pid, &locks{}); m != nil {
			reply.add(together(ctx, q, []*member{m}))
		}
		return
	}
	fail := func(err error) {
		if q.Verb == GetState {
			reply.Processes = append(reply.Processes, Process{PID: pid, Pending: []Edit{}, Stale: []Stale{}, Error: failureOf(err)})
			return
		}
		reply.Answers = append(reply.Answers, Failed(pid, err))
	}
	job, err := s.attach(ctx, q, pid)
	if err != nil {
		fail(err)
		return
	} else if job == nil {
		return
	}
	defer job.proc.Close()
	switch q.Verb {
	case Restart:
		fail(&Failure{Kind: FailureProcess, Message: fmt.Sprintf(
			"process %d cannot be restarted: the limeade-lsp run that started it is gone; end it, and start it again with limeade-lsp run", pid)})
	case Check:
		reply.Answers = append(reply.Answers, job.check(ctx))
	case Rollback:
		reply.Answers = append(reply.Answers, job.rollback(ctx))
	case GetState:
		reply.Processes = append(reply.Processes, job.status(ctx))
	default:
		fail(&Failure{Kind: FailureUsage, Message: fmt.Sprintf("unknown verb %q", q.Verb)})
	}
}

// attach begins a job about a process; nil if the query does not concern it.
func (s *Session) attach(ctx context.Context, q Query, pid int) (*job, error) {
	started := time.Now()
	proc, err := reload.Attach(ctx, pid)
	if err != nil {
		if q.PID == pid || !errors.Is(err, reload.ErrEnded) && s.runs(pid, q.Dirs) {
			return nil, err
		}
		return nil, nil
	}
	prog, err := s.open(proc.BuildID)
	if err != nil || q.PID == 0 && !concernsAny(q.Dirs, prog.Module.Dir) {
		proc.Close()
		if q.PID != pid {
			err = nil
		}
		return nil, err
	}
	return &job{program: prog, proc: proc, started: started, rest: q.Rest, wishes: q.Wishes, trial: q.Trial}, nil
}

// prepare prepares a refresh of a process; nil if the query does not concern it.
func (s *Session) prepare(ctx context.Context, q Query, pid int, held *locks) *member {
	job, err := s.attach(ctx, q, pid)
	switch {
	case err != nil:
		return &member{answer: Failed(pid, err)}
	case job == nil:
		return nil
	}
	return job.prepare(ctx, held)
}

// runs reports whether a process that does not answer runs a program of the workspaces around some directories.
func (s *Session) runs(pid int, dirs []string) bool {
	id, err := reload.BuildOf(pid)
	if err != nil {
		return false
	}
	prog, err := s.open(id)
	return err == nil && concernsAny(dirs, prog.Module.Dir)
}

// restart restarts the process of a service, if the query concerns it.
func (s *Session) restart(ctx context.Context, q Query, svc *Service) *Reply {
	reply := &Reply{}
	if q.PID == 0 && !s.runs(svc.pid, q.Dirs) {
		return reply
	}
	reply.Answers = append(reply.Answers, svc.runner.restart(ctx, q.Cause))
	return reply
}

func concernsAny(dirs []string, module string) bool {
	return slices.ContainsFunc(dirs, func(dir string) bool { return concerns(dir, module) })
}

// concerns reports whether a directory and a module belong to one workspace: one lies in the other.
func concerns(dir, module string) bool {
	within := func(a, b string) bool {
		rel, err := filepath.Rel(b, a)
		return err == nil && rel != ".." && !strings.HasPrefix(rel, ".."+string(filepath.Separator))
	}
	dir, module = resolved(dir), resolved(module)
	return within(dir, module) || within(module, dir)
}

func resolved(path string) string {
	if p, err := filepath.EvalSymlinks(path); err == nil {
		return p
	}
	return path
}

func (r *Reply) add(o *Reply) {
	r.Answers = append(r.Answers, o.Answers...)
	r.Processes = append(r.Processes, o.Processes...)
}

// sorted puts a reply in order. Without anything in it, what could not be looked at may hide the program that was meant.
func (r *Reply) sorted(untrusted error) (*Reply, error) {
	if len(r.Answers)+len(r.Processes) == 0 && untrusted != nil {
		return nil, untrusted
	}
	slices.SortFunc(r.Answers, func(a, b *Answer) int { return cmp.Compare(a.PID, b.PID) })
	slices.SortFunc(r.Processes, func(a, b Process) int { return cmp.Compare(a.PID, b.PID) })
	return r, nil
}

// Answer joins the answers of a reply into one: the worst first, the others with it. Without any there
// is no process.
func (r *Reply) Answer(q Query) *Answer {
	if len(r.Answers) == 0 {
		a := newAnswer(q.PID)
		a.Error = &Failure{Kind: FailureProcess, Message: "no program of this workspace is running; start one with: limeade-lsp run PACKAGE"}
		return a
	}
	worst := slices.MaxFunc(r.Answers, func(a, b *Answer) int { return cmp.Compare(a.Error.weight(), b.Error.weight()) })
	first := *worst
	for _, a := range r.Answers {
		if a != worst {
			first.Others = append(first.Others, a)
		}
	}
	return &first
}

func newAnswer(pid int) *Answer { return &Answer{PID: pid, Edits: []Edit{}, Stale: []Stale{}} }

// failureOf puts an error into the words of an answer.
func failureOf(err error) *Failure {
	var f *Failure
	var refused *reload.RefusedError
	var vetoed *reload.VetoError
	var source *reload.CompileError
	switch {
	case errors.As(err, &f):
		return f
	case errors.As(err, &refused):
		return &Failure{Kind: FailureRefused, Message: refused.Error() + "; restart the program to run this edit"}
	case errors.As(err, &vetoed):
		return &Failure{Kind: FailureVetoed, Message: "the program refuses to be refreshed now: " + vetoed.Error() + "; nothing was changed"}
	case errors.As(err, &source):
		return &Failure{Kind: FailureSource, Message: source.Error()}
	}
	return &Failure{Kind: FailureProcess, Message: err.Error()}
}
