package session

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/limeade-go/limeade/reload"
)

// A Query is one request of a front end.
type Query struct {
	Verb Verb     `json:"verb"`
	Dirs []string `json:"dirs"`           // absolute; the workspaces are those around them
	PID  int      `json:"pid"`            // 0: every process of the workspace
	Rest bool     `json:"rest,omitempty"` // of a refresh: leave out the edits that need a restart
	// AutoRestart restarts programs whose refresh needs it, also those that were not started to be.
	AutoRestart bool `json:"auto_restart,omitempty"`
	// Cause is what a restart is required by, where nobody asked for one: only programs that were started for it, or with
	// AutoRestart, are restarted then.
	Cause string `json:"cause,omitempty"`
}

// A Verb is what a query asks for.
type Verb string

const (
	Check    Verb = "check"
	Refresh  Verb = "refresh"
	Rollback Verb = "rollback"
	Restart  Verb = "restart"
	GetState Verb = "status"
)

// A Reply has one answer, or one entry of a status, for each process that the query was about.
type Reply struct {
	Answers   []*Answer `json:"answers,omitempty"`
	Processes []Process `json:"processes,omitempty"`
}

// A Service answers the queries of other processes about the program that this one started: it holds
// what it learned of the build, so that a refresh from another terminal need not start cold.
type Service struct {
	session  *Session
	pid      int
	runner   *Runner
	listener net.Listener
	path     string
}

// socketPrefix begins the names of services' sockets, which lie beside those of the agents.
const socketPrefix = "session-"

// serve starts a service for a process.
func (s *Session) serve(pid int, r *Runner) (*Service, error) {
	l, path, err := listen(socketPrefix + strconv.Itoa(pid) + ".sock")
	if err != nil {
		return nil, err
	}
	svc := &Service{session: s, pid: pid, runner: r, listener: l, path: path}
	r.answering.Go(svc.accept)
	return svc, nil
}

// listen makes a socket in the first directory that can be used.
func listen(name string) (net.Listener, string, error) {
	var errs []error
	for _, dir := range reload.SocketDirs() {
		if err := reload.PrivateDir(dir); err != nil {
			errs = append(errs, err)
			continue
		}
		path := filepath.Join(dir, name)
		_ = os.Remove(path) // of an earlier process with this number
		l, err := net.Listen("unix", path)
		if err == nil {
			if err = os.Chmod(path, 0o600); err == nil {
				return l, path, nil
			}
			l.Close()
		}
		errs = append(errs, err)
	}
	return nil, "", errors.Join(errs...)
}

// Close stops the service and removes its socket.
func (s *Service) Close() error { return s.listener.Close() }

func (s *Service) accept() {
	for {
		conn, err := s.listener.Accept()
		if err != nil {
			return
		}
		s.runner.answering.Go(func() { s.answer(conn) })
	}
}

func (s *Service) answer(conn net.Conn) {
	defer conn.Close()
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	var q Query
	if err := json.NewDecoder(conn).Decode(&q); err != nil {
		return
	}
	if q.PID != 0 && q.PID != s.pid || q.Cause != "" && !q.AutoRestart && !s.runner.Auto {
		_ = json.NewEncoder(conn).Encode(Reply{})
		return
	}
	go func() { // the asker's end closes when it gives up
		_, _ = io.Copy(io.Discard, conn)
		cancel()
	}()
	// Who asked may have given up while this process was stopped.
	if _, err := io.WriteString(conn, lifeSign); err != nil {
		return
	}
	stop := signLife(conn)
	var reply *Reply
	if q.Verb == Restart {
		reply = s.session.restart(ctx, q, s)
	} else {
		reply = s.session.do(ctx, q, []int{s.pid})
	}
	stop()
	_ = json.NewEncoder(conn).Encode(reply)
}

// While a service works on an answer it sends signs of life, which are nothing to a reader of JSON. One that falls silent
// is stopped or stuck.
const (
	lifeSign     = "\n"
	lifeInterval = time.Second
	lifePatience = 5 * time.Second
)

func signLife(conn net.Conn) (stop func()) {
	quit, done := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(done)
		tick := time.NewTicker(lifeInterval)
		defer tick.Stop()
		for {
			select {
			case <-quit:
				return
			case <-tick.C:
				_, _ = io.WriteString(conn, lifeSign) // whether anybody listens the answer will show
			}
		}
	}()
	return func() { close(quit); <-done }
}

// A patient reads what a service says, as long as it says anything.
type patient struct {
	ctx  context.Context
	conn net.Conn
}

func (p patient) Read(b []byte) (int, error) {
	_ = p.conn.SetReadDeadline(time.Now().Add(lifePatience))
	if err := p.ctx.Err(); err != nil {
		return 0, err
	}
	return p.conn.Read(b)
}

// services lists the sockets of running services, by process. A directory that others can write to has none
// that could be trusted.
func services() map[int]string {
	found := map[int]string{}
	for _, dir := range reload.SocketDirs() {
		if reload.Private(dir) != nil {
			continue
		}
		entries, err := os.ReadDir(dir)
		if err != nil {
			continue
		}
		for _, e := range entries {
			name, ok := strings.CutPrefix(e.Name(), socketPrefix)
			if !ok {
				continue
			}
			if pid, err := strconv.Atoi(strings.TrimSuffix(name, ".sock")); err == nil {
				found[pid] = filepath.Join(dir, e.Name())
			}
		}
	}
	return found
}

// SocketDirs returns the directories in which a socket appears when a program starts, and in which it is touched when
// the program was refreshed. They are there.
func SocketDirs() []string {
	var dirs []string
	for _, dir := range reload.SocketDirs() {
		if err := reload.PrivateDir(dir); err == nil {
			dirs = append(dirs, dir)
		}
	}
	return dirs
}

// announce tells whoever watches that a process runs something else now.
func announce(pid int) {
	now := time.Now()
	for _, dir := range reload.SocketDirs() {
		_ = os.Chtimes(filepath.Join(dir, strconv.Itoa(pid)+".sock"), now, now) // it is in one of them
	}
}

// ask puts a query to a service. Any error means that there is no answer from there.
func ask(ctx context.Context, path string, q Query) (*Reply, error) {
	var d net.Dialer
	conn, err := d.DialContext(ctx, "unix", path)
	if err != nil {
		if errors.Is(err, syscall.ECONNREFUSED) {
			_ = os.Remove(path) // of a service that is gone
		}
		return nil, err
	}
	defer conn.Close()
	stop := context.AfterFunc(ctx, func() { _ = conn.SetDeadline(time.Unix(1, 0)) })
	defer stop()
	if err := json.NewEncoder(conn).Encode(q); err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	var r Reply
	if err := json.NewDecoder(patient{ctx, conn}).Decode(&r); err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return &r, nil
}

// Ask answers a query about every process that it concerns: by the services that hold warm state of
// them, and for the rest, also where a service does not answer, from the records on disk.
func Ask(ctx context.Context, q Query) (*Reply, error) {
	cold := New()
	defer cold.Close()
	return cold.Ask(ctx, q)
}

// Ask answers a query about every process that it concerns: by the services that other processes have
// for them, and for the rest with what s knows. Programs that need a restart get one if they were started for that.
func (s *Session) Ask(ctx context.Context, q Query) (*Reply, error) {
	reply, err := s.inquire(ctx, q)
	if err == nil && q.Verb == Refresh && !q.Rest {
		reply.restart(ctx, q)
	}
	return reply, err
}

// restart has the programs that refused a refresh started anew, where that is wanted, and puts what comes of it into the
// place of the refusals.
func (r *Reply) restart(ctx context.Context, q Query) {
	for i, a := range r.Answers {
		if a.Error == nil || a.Error.Kind != FailureRefused {
			continue
		}
		path, ok := services()[a.PID]
		if !ok {
			continue
		}
		again, err := ask(ctx, path, Query{Verb: Restart, Dirs: q.Dirs, PID: a.PID, Cause: a.cause(), AutoRestart: q.AutoRestart})
		if err != nil || len(again.Answers) != 1 {
			continue // the refusal stands
		}
		b := again.Answers[0]
		b.Edits = a.Edits
		r.Answers[i] = b
	}
}

func (s *Session) inquire(ctx context.Context, q Query) (*Reply, error) {
	reply := &Reply{}
	answered := map[int]bool{}
	for pid, path := range services() {
		if q.PID != 0 && q.PID != pid {
			continue
		}
		r, err := ask(ctx, path, q)
		if ctx.Err() != nil {
			return nil, context.Cause(ctx)
		} else if err != nil {
			continue
		}
		answered[pid] = true
		for _, a := range r.Answers {
			answered[a.PID] = true // another than was asked, after a restart
		}
		reply.add(r)
	}
	if q.PID != 0 && answered[q.PID] {
		return reply.sorted(), nil
	}
	pids, untrusted := reload.PIDs()
	var rest []int
	for _, pid := range pids {
		if !answered[pid] && (q.PID == 0 || q.PID == pid) {
			rest = append(rest, pid)
		}
	}
	if q.PID != 0 && len(rest) == 0 {
		rest = []int{q.PID} // it has no agent, and attaching to it says so
	}
	if len(rest) > 0 {
		reply.add(s.do(ctx, q, rest))
	}
	if len(reply.Answers)+len(reply.Processes) == 0 && untrusted != nil {
		return nil, untrusted // what cannot be looked at may hide the program that is meant
	}
	return reply.sorted(), nil
}
