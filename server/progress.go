package server

import (
	"context"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"go.lsp.dev/protocol"
)

// progressDelay is how long work may take before the client is told of it.
const progressDelay = 300 * time.Millisecond

// A progress is work that the client shows. A nil one is shown by nobody.
type progress struct {
	server *Server
	token  protocol.ProgressToken
}

var progressTokens atomic.Int64

// beginProgress shows work, under the client's token if it gave one. cancel, if not nil, lets the user end it.
func (s *Server) beginProgress(ctx context.Context, token protocol.ProgressToken, title string, cancel context.CancelFunc) *progress {
	if token == nil {
		if !s.client.showsProgress {
			return nil
		}
		token = protocol.String("limeade-" + strconv.FormatInt(progressTokens.Add(1), 10))
		err := protocol.Call(ctx, s.conn, protocol.MethodWindowWorkDoneProgressCreate, &protocol.WorkDoneProgressCreateParams{Token: token}, nil)
		if err != nil {
			return nil
		}
	}
	if cancel != nil {
		s.mu.Lock()
		s.progress[token] = cancel
		s.mu.Unlock()
	}
	p := &progress{server: s, token: token}
	p.send(&protocol.WorkDoneProgressBegin{Kind: "begin", Title: title, Cancellable: ptr(cancel != nil)})
	return p
}

func (p *progress) send(value any) {
	raw, err := protocol.Marshal(value)
	if err != nil {
		return
	}
	p.server.notify(protocol.MethodProgress, &protocol.ProgressParams{Token: p.token, Value: raw})
}

// end says that the work is done.
func (p *progress) end() {
	if p == nil {
		return
	}
	p.send(&protocol.WorkDoneProgressEnd{Kind: "end"})
	p.server.mu.Lock()
	delete(p.server.progress, p.token)
	p.server.mu.Unlock()
}

// withProgress does work that the client is told of, and that the user may end.
func (s *Server) withProgress(ctx context.Context, token protocol.ProgressToken, title string, work func(context.Context)) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer s.showProgress(ctx, token, title, cancel)()
	work(ctx)
}

// showProgress tells the client of work if it takes long; end says that it is done. With a token of the client's the work
// is shown from the start: that is what the client waits for. cancel, if not nil, lets the user end it.
func (s *Server) showProgress(ctx context.Context, token protocol.ProgressToken, title string, cancel context.CancelFunc) (end func()) {
	if token != nil {
		return s.beginProgress(ctx, token, title, cancel).end
	}
	var mu sync.Mutex // guards what follows
	var shown *progress
	done := false
	delayed := time.AfterFunc(progressDelay, func() {
		p := s.beginProgress(ctx, nil, title, cancel)
		mu.Lock()
		defer mu.Unlock()
		if shown = p; done {
			p.end()
		}
	})
	return func() {
		delayed.Stop()
		mu.Lock()
		defer mu.Unlock()
		done = true
		shown.end()
	}
}

func (s *Server) cancelProgress(p *protocol.WorkDoneProgressCancelParams) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if cancel := s.progress[p.Token]; cancel != nil {
		cancel()
	}
	return nil
}
