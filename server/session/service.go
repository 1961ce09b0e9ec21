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
	"slices"
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
	Wishes
	// Steps says that a refresh is only prepared, and committed with those of other processes: steps follow, as strings of
	// JSON, until the connection is closed.
	Steps bool `json:"steps,omitempty"`
	// Trial is how long a refresh is on trial: if a panic passes through new code meanwhile, or a check of the program's
	// own fails, it is rolled back, in all processes.
	Trial time.Duration `json:"trial,omitempty"`
	// AutoRestart restarts programs whose refresh needs it, also those that were not started to be.
	AutoRestart bool `json:"auto_restart,omitempty"`
	// Cause is what a restart is required by, where nobody asked for one: only programs that were started for it, or with
	// AutoRestart, are restarted then.
	Cause string `json:"cause,omitempty"`
}

// Wishes are what a check or refresh may be asked for beyond making the source live.
type Wishes struct {
	// Reset names package variables that are initialised anew, whatever was written to them: by their link names, or by as
	// much of the end as says which.
	Reset []string `json:"reset,omitempty"`
	// RerunInit runs the init functions that were added or changed.
	RerunInit bool `json:"rerun_init,omitempty"`
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
	Prepared  bool      `json:"prepared,omitempty"` // of a query with Steps: there is something to commit
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
		s.runner.answering.Go(func() {
			defer conn.Close()
			// The directory keeps others out; whoever it is that opened it, does not.
			if reload.OwnPeer(conn.(*net.UnixConn)) == nil {
				s.answer(conn)
			}
		})
	}
}

func (s *Service) answer(conn net.Conn) {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	var q Query
	asked := json.NewDecoder(io.LimitReader(conn, maxQuery))
	if err := asked.Decode(&q); err != nil {
		return
	}
	if q.PID != 0 && q.PID != s.pid || q.Cause != "" && !q.AutoRestart && !s.runner.Auto {
		_ = json.NewEncoder(conn).Encode(Reply{})
		return
	}
	steps := make(chan step)
	go func() { // the asker's end closes when it gives up
		defer cancel()
		for {
			var s step
			if err := asked.Decode(&s); err != nil {
				return
			}
			select {
			case steps <- s:
			case <-ctx.Done():
				return
			}
		}
	}()
	// say works on an answer and gives it.
	say := func(work func() *Reply) bool {
		stop := signLife(conn)
		reply := work()
		stop()
		return json.NewEncoder(conn).Encode(reply) == nil
	}
	// Who asked may have given up while this process was stopped.
	if _, err := io.WriteString(conn, lifeSign); err != nil {
		return
	}
	switch {
	case q.Verb == Restart:
		say(func() *Reply { return s.session.restart(ctx, q, s) })
	case q.Verb == Refresh && q.Steps:
		s.stepwise(ctx, q, steps, say)
	default:
		say(func() *Reply { return s.session.do(ctx, q, []int{s.pid}) })
	}
}

// stepPatience is how long the next step of a refresh is waited for, while others are prepared. The program cannot be
// refreshed by anybody else meanwhile.
const stepPatience = 2 * time.Minute

// stepwise prepares a refresh, and takes the steps that the asker wants.
func (s *Service) stepwise(ctx context.Context, q Query, steps <-chan step, say func(func() *Reply) bool) {
	var m *member
	prepare := func() *Reply {
		if m = s.session.prepare(ctx, q, s.pid, &locks{}); m == nil {
			return &Reply{}
		}
		return &Reply{Answers: []*Answer{m.answer}, Prepared: m.party != nil}
	}
	goesOn := say(prepare)
	if m == nil || m.party == nil {
		return
	}
	defer m.party.close()
	for goesOn {
		select {
		case next := <-steps:
			goesOn = say(func() *Reply { return &Reply{Answers: []*Answer{m.party.take(ctx, next)}} })
		case <-time.After(stepPatience):
			return
		case <-ctx.Done():
			return
		}
	}
}

// maxQuery bounds what is read of an asker, and maxReply what of a service, in bytes.
const (
	maxQuery = 1 << 20
	maxReply = 64 << 20
)

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

// dial connects to a service.
func dial(ctx context.Context, path string) (net.Conn, error) {
	var d net.Dialer
	conn, err := d.DialContext(ctx, "unix", path)
	if errors.Is(err, syscall.ECONNREFUSED) {
		_ = os.Remove(path) // of a service that is gone
	}
	if err != nil {
		return nil, err
	}
	if err := reload.OwnPeer(conn.(*net.UnixConn)); err != nil {
		conn.Close()
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return conn, nil
}

// listenTo reads the JSON that a service says.
func listenTo(ctx context.Context, conn net.Conn) *json.Decoder {
	return json.NewDecoder(io.LimitReader(patient{ctx, conn}, maxReply))
}

// ask puts a query to a service. Any error means that there is no answer from there.
func ask(ctx context.Context, path string, q Query) (*Reply, error) {
	conn, err := dial(ctx, path)
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	stop := context.AfterFunc(ctx, func() { _ = conn.SetDeadline(time.Unix(1, 0)) })
	defer stop()
	if err := json.NewEncoder(conn).Encode(q); err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	var r Reply
	if err := listenTo(ctx, conn).Decode(&r); err != nil {
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
	if err != nil || q.Verb != Refresh || q.Rest || !reply.restart(ctx, q) {
		return reply, err
	}
	withheld := func(a *Answer) bool { return a.Error != nil && a.Error.Kind == FailureWithheld }
	if !slices.ContainsFunc(reply.Answers, withheld) {
		return reply, nil
	}
	// What stood in the way of the others runs the source now.
	again, err := s.inquire(ctx, q)
	if err != nil {
		return nil, err
	}
	for i, a := range reply.Answers {
		if j := slices.IndexFunc(again.Answers, func(b *Answer) bool { return b.PID == a.PID }); withheld(a) && j >= 0 {
			reply.Answers[i] = again.Answers[j]
		}
	}
	return reply, nil
}

// restart has the programs that refused a refresh started anew, where that is wanted, and puts what comes of it into the
// place of the refusals. It reports whether any was.
func (r *Reply) restart(ctx context.Context, q Query) (any bool) {
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
		r.Answers[i], any = b, any || b.Error == nil
	}
	return any
}

func (s *Session) inquire(ctx context.Context, q Query) (*Reply, error) {
	if q.Verb == Refresh {
		return s.refresh(ctx, q)
	}
	reply := &Reply{}
	rest, untrusted, err := eachService(ctx, q, func(_ int, path string) (pids []int, err error) {
		r, err := ask(ctx, path, q)
		if err != nil {
			return nil, err
		}
		for _, a := range r.Answers {
			pids = append(pids, a.PID) // another than was asked, after a restart
		}
		reply.add(r)
		return pids, nil
	})
	if err != nil {
		return nil, err
	}
	reply.add(s.do(ctx, q, rest))
	return reply.sorted(untrusted)
}

// refresh has all processes that a query concerns take a refresh, or none.
func (s *Session) refresh(ctx context.Context, q Query) (*Reply, error) {
	if pid, path, ok := only(q); ok && q.Trial == 0 {
		r, err := ask(ctx, path, q)
		switch {
		case err == nil:
			return r.sorted(nil)
		case ctx.Err() != nil:
			return nil, context.Cause(ctx)
		case !runs(pid):
			r := Reply{Answers: []*Answer{Failed(pid, fmt.Errorf("process %d has ended", pid))}}
			return r.sorted(nil)
		}
	}
	var members []*member
	add := func(m *member) {
		if m != nil {
			members = append(members, m)
		}
	}
	rest, untrusted, err := eachService(ctx, q, func(pid int, path string) ([]int, error) {
		m, err := join(ctx, pid, path, q)
		add(m)
		return nil, err
	})
	if err != nil {
		release(members)
		return nil, err
	}
	held := &locks{}
	for _, pid := range rest {
		add(s.prepare(ctx, q, pid, held))
	}
	return together(ctx, q, members).sorted(untrusted)
}

// only returns the process that a query concerns and the socket of its service, if there can be no other: then nobody is
// waited for between the steps of a refresh.
func only(q Query) (pid int, path string, ok bool) {
	pids, untrusted := reload.PIDs()
	held := services()
	if q.PID != 0 {
		pids = []int{q.PID}
	} else if untrusted != nil || len(held) != 1 {
		return 0, "", false
	}
	if len(pids) != 1 || !runs(pids[0]) {
		return 0, "", false
	}
	path, ok = held[pids[0]]
	return pids[0], path, ok
}

// eachService calls fn with the process and the socket of each service that a query may concern, and returns the processes
// that were not answered for: fn returns those for which it has answers beside the service's own, or an error if
// there is no answer from there. What is untrusted may hide more processes.
func eachService(ctx context.Context, q Query, fn func(pid int, path string) ([]int, error)) (rest []int, untrusted, err error) {
	answered := map[int]bool{}
	for pid, path := range services() {
		if q.PID != 0 && q.PID != pid {
			continue
		}
		others, err := fn(pid, path)
		if ctx.Err() != nil {
			return nil, nil, context.Cause(ctx)
		} else if err != nil {
			continue
		}
		answered[pid] = true
		for _, pid := range others {
			answered[pid] = true
		}
	}
	if q.PID != 0 && answered[q.PID] {
		return nil, nil, nil
	}
	pids, untrusted := reload.PIDs()
	for _, pid := range pids {
		if !answered[pid] && (q.PID == 0 || q.PID == pid) {
			rest = append(rest, pid)
		}
	}
	if q.PID != 0 && len(rest) == 0 {
		rest = []int{q.PID} // it has no agent, and attaching to it says so
	}
	return rest, untrusted, nil
}
