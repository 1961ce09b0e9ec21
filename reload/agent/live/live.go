//go:build linux && amd64 && go1.25

// Package live knows what package limeade does in a program that has an agent: it stands between the two, of which neither
// may import the other. limeade-lsp adds it to programs that import package limeade, and to no others, so it may import
// what the agent may not.
package live

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"syscall"
	"time"

	"github.com/limeade-go/limeade/reload/agent"
	"github.com/limeade-go/limeade/reload/limeade"
	"github.com/limeade-go/limeade/reload/patch"
)

func init() {
	tell, check := limeade.Attach(bridge{})
	agent.Attach(func(s agent.Swap) (veto string, failures []string) {
		return tell(limeade.Event{Stage: limeade.Stage(s.Stage), Generation: s.Generation, Rollback: s.Rollback, Changed: slices.Clone(s.Changed)})
	})
	agent.AttachChecks(check)
}

// A bridge is the limeade.Agent.
type bridge struct{}

func (bridge) Generation() uint32 { return agent.Generation() }

func (bridge) Guard(fn func()) string { return agent.Guard(fn) }

// A query is a session.Query, and a reply the session.Reply to it.
type (
	query struct {
		Verb  string   `json:"verb"`
		PID   int      `json:"pid"`
		Reset []string `json:"reset,omitempty"`
	}
	reply struct {
		Answers []limeade.Outcome `json:"answers"`
	}
)

// Refresh asks the service of the limeade-lsp that started this program. Where none answers, another one is started, which
// learns of the program from the records on disk.
func (bridge) Refresh(ctx context.Context, reset []string) (*limeade.Outcome, error) {
	var o limeade.Outcome
	err := errNobody
	for _, dir := range patch.SocketDirs(os.Getenv("XDG_RUNTIME_DIR"), os.Geteuid()) {
		if o, err = ask(ctx, dir, reset); err == nil {
			break
		}
	}
	if err != nil && ctx.Err() == nil {
		o, err = start(ctx, reset)
	}
	switch {
	case err == nil && o.Error != nil:
		err = o.Error
	case err != nil && ctx.Err() != nil:
		err = context.Cause(ctx)
	}
	return &o, err
}

var errNobody = errors.New("limeade: no limeade-lsp run that started this program answers, and none is in PATH that could be started")

// ask puts the query to a service whose socket is in dir.
func ask(ctx context.Context, dir string, reset []string) (limeade.Outcome, error) {
	if err := private(dir); err != nil {
		return limeade.Outcome{}, err
	}
	pid := os.Getpid()
	var d net.Dialer
	conn, err := d.DialContext(ctx, "unix", filepath.Join(dir, "session-"+strconv.Itoa(pid)+".sock"))
	if err != nil {
		return limeade.Outcome{}, err
	}
	defer conn.Close()
	if err := ownPeer(conn.(*net.UnixConn)); err != nil {
		return limeade.Outcome{}, err
	}
	stop := context.AfterFunc(ctx, func() { _ = conn.Close() })
	defer stop()
	if err := json.NewEncoder(conn).Encode(query{Verb: "refresh", PID: pid, Reset: reset}); err != nil {
		return limeade.Outcome{}, err
	}
	var r reply
	const most = 64 << 20
	if err := json.NewDecoder(io.LimitReader(patient{conn}, most)).Decode(&r); err != nil {
		return limeade.Outcome{}, err
	}
	if len(r.Answers) != 1 {
		return limeade.Outcome{}, fmt.Errorf("limeade: %d answers instead of one", len(r.Answers))
	}
	return r.Answers[0], nil
}

// private returns an error if others than this user can put sockets into dir.
func private(dir string) error {
	var st syscall.Stat_t
	if err := syscall.Lstat(dir, &st); err != nil {
		return err
	}
	if st.Mode&syscall.S_IFMT != syscall.S_IFDIR || int(st.Uid) != os.Geteuid() || st.Mode&0o077 != 0 {
		return fmt.Errorf("limeade: %s is not private", dir)
	}
	return nil
}

// ownPeer returns an error unless a process of this user is at the other end.
func ownPeer(conn *net.UnixConn) error {
	raw, err := conn.SyscallConn()
	if err != nil {
		return err
	}
	var peer *syscall.Ucred
	var failed error
	err = raw.Control(func(fd uintptr) {
		peer, failed = syscall.GetsockoptUcred(int(fd), syscall.SOL_SOCKET, syscall.SO_PEERCRED)
	})
	if err = errors.Join(err, failed); err == nil && int(peer.Uid) != os.Geteuid() {
		err = fmt.Errorf("limeade: the service belongs to user %d", peer.Uid)
	}
	return err
}

// A patient reads what a service says. One that falls silent, without the signs of life that it gives every second, is
// stopped or stuck.
type patient struct{ conn net.Conn }

func (p patient) Read(b []byte) (int, error) {
	if err := p.conn.SetReadDeadline(time.Now().Add(5 * time.Second)); err != nil {
		return 0, err
	}
	return p.conn.Read(b)
}

// start runs limeade-lsp.
func start(ctx context.Context, reset []string) (limeade.Outcome, error) {
	var o limeade.Outcome
	tool, err := exec.LookPath("limeade-lsp")
	if err != nil {
		return o, errNobody
	}
	args := []string{"refresh", "--json", "-C", "/", "--pid", strconv.Itoa(os.Getpid())}
	for _, name := range reset {
		args = append(args, "--reset="+name)
	}
	cmd := exec.CommandContext(ctx, tool, args...)
	var said, complained bytes.Buffer
	cmd.Stdout, cmd.Stderr = &said, &complained
	failed := cmd.Run() // with the exit code of what the answer says
	if err := json.Unmarshal(said.Bytes(), &o); err != nil {
		return limeade.Outcome{}, fmt.Errorf("limeade: %s gave no answer: %w\n%s", tool, errors.Join(failed, err), complained.Bytes())
	}
	return o, nil
}
