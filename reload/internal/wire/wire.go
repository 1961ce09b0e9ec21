// Package wire knows how to find the agents of this user's processes and to talk to them. It must never know what a
// patch holds, or what is done with an answer.
package wire

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/limeade-go/limeade/reload/patch"
)

// How long an answer may take if the context sets no deadline. An Apply waits up to 2 s for code to fall out of use and
// 10 s for each initialiser.
const (
	answerTime = 3 * time.Second
	applyTime  = 30 * time.Second
)

// A Process is one that listens for patches.
type Process struct {
	PID int
	// Socket is the path of its socket.
	Socket string
}

// List returns the listening processes of this user, by pid, also those whose sockets somebody has removed: Dial says so.
// Sockets of processes that are gone are removed on the way.
func List() ([]Process, error) {
	var list []Process
	var errs []error
	for _, dir := range dirs() {
		entries, err := os.ReadDir(dir)
		if errors.Is(err, fs.ErrNotExist) || errors.Is(err, fs.ErrPermission) {
			continue // another user's, who handed the variable down
		}
		if err == nil {
			err = Private(dir)
		}
		if err != nil {
			errs = append(errs, err)
			continue
		}
		for _, e := range entries {
			name, ok := strings.CutSuffix(e.Name(), ".sock")
			pid, err := strconv.Atoi(name)
			if !ok || err != nil || pid <= 0 || patch.SocketName(pid) != e.Name() || e.Type() != fs.ModeSocket {
				continue
			}
			p := Process{PID: pid, Socket: filepath.Join(dir, e.Name())}
			alive, err := p.probe()
			if err != nil {
				errs = append(errs, err)
			}
			if alive {
				list = append(list, p)
			}
		}
	}
	for pid, path := range removed() {
		list = append(list, Process{PID: pid, Socket: path})
	}
	slices.SortFunc(list, func(a, b Process) int { return a.PID - b.PID })
	return list, errors.Join(errs...)
}

// removed finds living processes that listen at a socket which is not there any more: by the kernel's list of sockets
// (proc(5), /proc/net/unix), whose last field is the path that each was bound to.
func removed() map[int]string {
	text, err := os.ReadFile("/proc/net/unix")
	if err != nil {
		return nil
	}
	found := map[int]string{}
	own := dirs()
	for line := range strings.Lines(string(text)) {
		const listens = "00010000" // __SO_ACCEPTCON, the fourth field
		head, path, _ := strings.Cut(strings.TrimSuffix(line, "\n"), " /")
		if fields := strings.Fields(head); len(fields) < 4 || fields[3] != listens {
			continue
		}
		path = strings.TrimSuffix("/"+path, patch.Unready)
		dir, name := filepath.Split(path)
		pid, err := strconv.Atoi(strings.TrimSuffix(name, ".sock"))
		if err != nil || patch.SocketName(pid) != name || !slices.Contains(own, filepath.Clean(dir)) || !exists(pid) {
			continue
		}
		// One that just begins to listen has its first name until it has the other.
		if missing(path+patch.Unready) && missing(path) {
			found[pid] = path
		}
	}
	return found
}

func missing(path string) bool {
	_, err := os.Lstat(path)
	return errors.Is(err, fs.ErrNotExist)
}

// probe reports whether somebody listens at the socket, and removes it if nobody ever will.
func (p Process) probe() (alive bool, err error) {
	before, err := os.Lstat(p.Socket)
	if err != nil {
		return false, ignoreMissing(err)
	}
	conn, err := net.DialTimeout("unix", p.Socket, answerTime)
	if err == nil {
		return true, conn.Close()
	}
	if timeout(err) || errors.Is(err, syscall.EAGAIN) {
		return true, nil // stopped, or busy
	}
	if !errors.Is(err, syscall.ECONNREFUSED) || exists(p.PID) {
		return false, ignoreMissing(errors.Unwrap(err))
	}
	// A new process of the same pid may have put its own socket there meanwhile.
	if after, err := os.Lstat(p.Socket); err != nil || !os.SameFile(before, after) {
		return false, ignoreMissing(err)
	}
	return false, ignoreMissing(os.Remove(p.Socket))
}

func ignoreMissing(err error) error {
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ECONNREFUSED) {
		return nil
	}
	return err
}

// dirs are where agents of this user listen.
func dirs() []string { return patch.SocketDirs(os.Getenv("XDG_RUNTIME_DIR"), os.Geteuid()) }

// Private returns an error if others than this user can put sockets into dir.
func Private(dir string) error {
	info, err := os.Lstat(dir)
	if err != nil {
		return err
	}
	st, ok := info.Sys().(*syscall.Stat_t)
	switch {
	case !ok || !info.IsDir():
		return fmt.Errorf("%s: is not a directory; remove it", dir)
	case int(st.Uid) != os.Geteuid():
		return fmt.Errorf("%s: belongs to user %d, not to %d; sockets in it are not trusted", dir, st.Uid, os.Geteuid())
	case info.Mode().Perm()&0o077 != 0:
		return fmt.Errorf("%s: is open to others; chmod 700 it", dir)
	}
	return nil
}

// A Client is a conversation with one agent. Its methods must not be called at the same time.
type Client struct {
	pid  int
	conn *net.UnixConn
}

// Dial connects to the agent of a process.
func Dial(ctx context.Context, pid int) (*Client, error) {
	ctx, cancel := deadline(ctx, answerTime)
	defer cancel()
	var errs []error
	for _, dir := range dirs() {
		path := filepath.Join(dir, patch.SocketName(pid))
		if _, err := os.Lstat(path); errors.Is(err, fs.ErrNotExist) || errors.Is(err, fs.ErrPermission) {
			continue
		}
		if err := Private(dir); err != nil {
			errs = append(errs, err)
			continue
		}
		conn, err := connect(ctx, path)
		if err != nil {
			errs = append(errs, explain(pid, err))
			continue
		}
		c := &Client{pid: pid, conn: conn.(*net.UnixConn)}
		if err := c.checkPeer(); err != nil {
			errs = append(errs, errors.Join(err, c.Close()))
			continue
		}
		return c, nil
	}
	switch {
	case len(errs) > 0:
		return nil, errors.Join(errs...)
	case !exists(pid):
		return nil, fmt.Errorf("process %d does not exist", pid)
	}
	if path, ok := removed()[pid]; ok {
		return nil, fmt.Errorf("process %d cannot be reached, because its socket %s was removed; restart it", pid, path)
	}
	return nil, fmt.Errorf("process %d does not listen for patches: it is not yours, or it was not built with limeade-lsp", pid)
}

// retryTime is how long to wait before a listener with a full queue is tried again.
const retryTime = 5 * time.Millisecond

func connect(ctx context.Context, path string) (net.Conn, error) {
	var d net.Dialer
	for {
		conn, err := d.DialContext(ctx, "unix", path)
		if !errors.Is(err, syscall.EAGAIN) {
			return conn, err
		}
		select {
		case <-time.After(retryTime):
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		}
	}
}

// Peer says whose process is at the other end of a connection.
func Peer(conn syscall.Conn) (*syscall.Ucred, error) {
	raw, err := conn.SyscallConn()
	if err != nil {
		return nil, err
	}
	var peer *syscall.Ucred
	var sockErr error
	err = raw.Control(func(fd uintptr) {
		peer, sockErr = syscall.GetsockoptUcred(int(fd), syscall.SOL_SOCKET, syscall.SO_PEERCRED)
	})
	return peer, errors.Join(err, sockErr)
}

// checkPeer makes sure that the socket is listened at by the process, and by this user.
func (c *Client) checkPeer() error {
	peer, err := Peer(c.conn)
	if err != nil {
		return fmt.Errorf("process %d: who listens at its socket: %w", c.pid, err)
	}
	if int(peer.Uid) != os.Geteuid() {
		return fmt.Errorf("process %d: its socket is listened at by user %d, not by %d", c.pid, peer.Uid, os.Geteuid())
	}
	if int(peer.Pid) != c.pid {
		return fmt.Errorf("process %d: its socket is listened at by process %d (one in a container?)", c.pid, peer.Pid)
	}
	return nil
}

// Close ends the conversation.
func (c *Client) Close() error { return c.conn.Close() }

// Hello asks for the state of the process.
func (c *Client) Hello(ctx context.Context) (patch.HelloReply, error) {
	return ask(ctx, c, patch.Request{Kind: patch.KindHello}, answerTime, patch.KindHelloReply, patch.DecodeHelloReply)
}

// Apply makes an encoded patch live. A refusal by the agent is a *patch.Error; after any other error it is not known
// whether the patch is live.
func (c *Client) Apply(ctx context.Context, encoded []byte) (patch.ApplyReply, error) {
	q := patch.Request{Kind: patch.KindApply, Patch: encoded}
	return ask(ctx, c, q, applyTime, patch.KindApplyReply, patch.DecodeApplyReply)
}

// Try is Apply for a refresh that may be taken back: [Client.Trial] has to follow.
func (c *Client) Try(ctx context.Context, encoded []byte) (patch.ApplyReply, error) {
	q := patch.Request{Kind: patch.KindApply, Patch: encoded, Trial: true}
	return ask(ctx, c, q, applyTime, patch.KindApplyReply, patch.DecodeApplyReply)
}

// Trial waits for some time, or until something fails in the program, which is at a generation of a build.
func (c *Client) Trial(ctx context.Context, buildID string, generation uint32, d time.Duration) (patch.TrialReply, error) {
	q := patch.Request{Kind: patch.KindTrial, BuildID: buildID, Base: generation, Time: uint64(d)}
	return ask(ctx, c, q, d+applyTime, patch.KindTrialReply, patch.DecodeTrialReply)
}

// Rollback takes the last refresh back. base is the generation that the process of the build is at, source names what it
// runs afterwards. Its errors are those of Apply.
func (c *Client) Rollback(ctx context.Context, buildID string, base uint32, source string) (patch.ApplyReply, error) {
	q := patch.Request{Kind: patch.KindRollback, BuildID: buildID, Base: base, Source: source}
	return ask(ctx, c, q, applyTime, patch.KindApplyReply, patch.DecodeApplyReply)
}

// Stale counts the goroutines that are still inside replaced functions.
func (c *Client) Stale(ctx context.Context) (patch.StaleReply, error) {
	return ask(ctx, c, patch.Request{Kind: patch.KindStale}, applyTime, patch.KindStaleReply, patch.DecodeStaleReply)
}

// ask sends a request and decodes its reply.
func ask[T any](ctx context.Context, c *Client, q patch.Request, limit time.Duration, want patch.Kind, decode func([]byte) (T, error)) (T, error) {
	var none T
	ctx, cancel := deadline(ctx, limit)
	defer cancel()
	// An agent may refuse before it has read all: look for the answer even if not everything could be sent.
	giveUp := func() {
		// The only error is that of a closed connection.
		_ = c.conn.SetDeadline(time.Unix(1, 0))
	}
	stop := context.AfterFunc(ctx, giveUp)
	defer stop()
	defer c.whenStopped(giveUp)()
	_, sendErr := c.conn.Write(q.Encode())
	kind, payload, err := patch.ReadFrame(c.conn, patch.MaxReply)
	if err != nil {
		if cause := context.Cause(ctx); cause != nil && !errors.Is(cause, context.DeadlineExceeded) {
			return none, cause
		}
		var damaged *patch.Error
		if errors.As(err, &damaged) {
			err = errors.New(damaged.Message) // not a refusal: what became of the request is not known
		} else if sendErr != nil {
			err = sendErr
		}
		return none, explain(c.pid, err)
	}
	switch kind {
	case patch.KindError:
		return none, patch.DecodeError(payload)
	case want:
		return decode(payload)
	}
	return none, fmt.Errorf("process %d: answered with kind %d instead of %d", c.pid, kind, want)
}

// whenStopped calls giveUp if the process is found stopped after the time of a simple answer: it will not answer a longer
// request either. The result ends the watch.
func (c *Client) whenStopped(giveUp func()) (end func()) {
	ended := make(chan struct{})
	go func() {
		tick := time.NewTicker(answerTime)
		defer tick.Stop()
		for {
			select {
			case <-ended:
				return
			case <-tick.C:
				if s, ok := state(c.pid); ok && (s == 'T' || s == 't') {
					giveUp()
					return
				}
			}
		}
	}()
	return func() { close(ended) }
}

// deadline adds a time limit to ctx if it has none.
func deadline(ctx context.Context, limit time.Duration) (context.Context, context.CancelFunc) {
	if _, ok := ctx.Deadline(); ok {
		return context.WithCancel(ctx)
	}
	return context.WithTimeout(ctx, limit)
}

func timeout(err error) bool {
	return errors.Is(err, os.ErrDeadlineExceeded) || errors.Is(err, context.DeadlineExceeded)
}

// ErrEnded is wrapped by errors about a process that has come to its end.
var ErrEnded = errors.New("has ended")

// explain says why a process does not answer, and what to do.
func explain(pid int, err error) error {
	state, ok := state(pid)
	switch {
	case !ok || state == 'Z' || state == 'X':
		return fmt.Errorf("process %d %w", pid, ErrEnded)
	case state == 'T':
		return fmt.Errorf("process %d is stopped (SIGSTOP); continue it with kill -CONT %d", pid, pid)
	case state == 't':
		return fmt.Errorf("process %d is stopped by a debugger; let it continue", pid)
	case timeout(err):
		return fmt.Errorf("process %d did not answer in time; it may be short of processor time, or the agent in it is busy: %w", pid, err)
	case errors.Is(err, syscall.ECONNREFUSED):
		return fmt.Errorf("process %d does not listen at its socket any more: %w", pid, err)
	}
	return fmt.Errorf("process %d broke the conversation off: %w", pid, err)
}

// exists reports whether there is a process of that pid, of whomever.
func exists(pid int) bool {
	err := syscall.Kill(pid, 0)
	return err == nil || errors.Is(err, syscall.EPERM)
}

// state is the letter that proc_pid_stat(5) gives for the process.
func state(pid int) (byte, bool) {
	stat, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(pid), "stat"))
	if err != nil {
		return 0, false
	}
	// The name before it is in parentheses and may hold anything.
	i := strings.LastIndexByte(string(stat), ')')
	if i < 0 || i+2 >= len(stat) {
		return 0, false
	}
	return stat[i+2], true
}
