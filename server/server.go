// Package server is limeade's language server: it tells an editor what of the source the running programs do not run
// yet, and lets it do something about that. It knows the language server protocol and what an editor shows; it must
// never know how source is compared or how a process is changed, which is package session's.
//
// Three kinds of goroutines share a [Server]. The connection's reader takes each message in order: notifications are
// worked off right there and only note what happened; requests go on in goroutines of their own. One goroutine, the
// observer, turns what happened into a [view]: which programs run, and in what the files and buffers differ from them.
// It alone compares. What is shown is made of the latest view, and a request waits for the one that has seen all that
// came before it.
package server

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"runtime/debug"
	"sync"

	"go.lsp.dev/jsonrpc2"
	"go.lsp.dev/protocol"
	"go.uber.org/zap"

	"github.com/limeade-go/limeade/server/session"
	"github.com/limeade-go/limeade/server/text"
	"github.com/limeade-go/limeade/server/watch"
)

// A Server serves one client.
type Server struct {
	tool     string // path of limeade-lsp, to start programs with
	version  string
	log      *slog.Logger
	logLevel zap.AtomicLevel
	conn     jsonrpc2.Conn
	session  *session.Session
	requests requests
	observer *observer
	shown    shown
	files    *watch.Watcher // nil if the system has none to give
	runs     runs
	stop     context.CancelFunc // ends Serve

	// Set by initialize, before any other message is taken, and not changed after it.
	client   client
	encoding text.Encoding

	published map[string]string // digests of the diagnostics that the client has, by path; the observer's own

	statusMu sync.Mutex // guards what limeade/status says
	working  string
	last     *Outcome

	mu       sync.Mutex // guards the rest
	phase    phase
	folders  map[string]string // of the workspace: as the client names them, by path
	settings Settings
	docs     map[string]*text.Document                     // by path
	saving   map[string]chan struct{}                      // paths that the client is about to save; closed when it has
	progress map[protocol.ProgressToken]context.CancelFunc // of work that the client shows
}

// A phase is where in its life the server is.
type phase uint8

const (
	fresh phase = iota
	running
	shut
)

// Options are what a server has to be told by the program that it is part of.
type Options struct {
	Tool    string // path of this program, to start programs with
	Version string
	Log     io.Writer
}

// New returns a server that has no client yet.
func New(o Options) *Server {
	s := &Server{
		tool: o.Tool, version: o.Version, session: session.New(), phase: fresh, published: map[string]string{},
		docs: map[string]*text.Document{}, saving: map[string]chan struct{}{}, progress: map[protocol.ProgressToken]context.CancelFunc{},
	}
	s.log, s.logLevel = newLog(o.Log)
	return s
}

// Serve talks to the client until it leaves, and returns the exit code that the protocol asks for: 0 if the client
// asked for the shutdown first.
func (s *Server) Serve(ctx context.Context, client io.ReadWriteCloser) int {
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	s.stop = stop
	s.conn = jsonrpc2.NewConn(newStream(client), jsonrpc2.WithCodec(codec{}))
	s.observer = newObserver(s)
	s.startWatcher()
	s.conn.Go(ctx, s.handle)
	select {
	case <-s.conn.Done():
	case <-ctx.Done():
		_ = client.Close() // the reader stands in the middle of a message
	}
	stop()
	s.requests.cancelAll()
	s.observer.close() // it has the watcher follow programs
	if s.files != nil {
		s.files.Close()
	}
	s.runs.end()
	s.session.Close()
	if err := s.conn.Err(); err != nil && !errors.Is(err, errExit) {
		s.log.Error("connection lost", "error", err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.phase != shut {
		return 1
	}
	return 0
}

// guard does work that nobody waits for: a panic there is logged, and ends nothing else.
func (s *Server) guard(what string, work func()) {
	defer func() {
		if r := recover(); r != nil {
			s.panicked(what, r)
		}
	}()
	work()
}

func (s *Server) panicked(what string, r any) {
	s.log.Error("panic", "in", what, "panic", r, "stack", string(debug.Stack()))
}

// notify sends a notification. That the client is gone is seen elsewhere.
func (s *Server) notify(method string, params any) {
	if err := s.conn.Notify(context.Background(), method, params); err != nil {
		s.log.Debug("notification not sent", "method", method, "error", err)
	}
}

// ask sends a request of which the answer does not matter, but that there is one.
func (s *Server) ask(method string, params any) {
	if err := protocol.Call(context.Background(), s.conn, method, params, nil); err != nil {
		s.log.Debug("request failed", "method", method, "error", err)
	}
}
