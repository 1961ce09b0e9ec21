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
	own    string // the token, if the server made it
}

var progressTokens atomic.Int64

// beginProgress shows work, under the client's token if it gave one. cancel, if not nil, lets the user end it.
func (s *Server) beginProgress(ctx context.Context, token protocol.ProgressToken, title string, cancel context.CancelFunc) *progress {
	p := &progress{server: s, token: token}
	if token == nil {
		if !s.client.showsProgress {
			return nil
		}
		p.own = "limeade-" + strconv.FormatInt(progressTokens.Add(1), 10)
		p.token = protocol.String(p.own)
		err := protocol.Call(ctx, s.conn, protocol.MethodWindowWorkDoneProgressCreate, &protocol.WorkDoneProgressCreateParams{Token: p.token}, nil)
		if err != nil {
			return nil
		}
		if cancel != nil {
			s.mu.Lock()
			s.progress[p.own] = cancel
			s.mu.Unlock()
		}
	}
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
func (p *progress) end(message string) {
	if p == nil {
		return
	}
	e := &protocol.WorkDoneProgressEnd{Kind: "end"}
	if message != "" {
		e.Message = ptr(message)
	}
	p.send(e)
	if p.own != "" {
		p.server.mu.Lock()
		delete(p.server.progress, p.own)
		p.server.mu.Unlock()
	}
}

// withProgress does work that the client is told of if it takes long, and that the user may then end. With a token of
// the client's the work is shown from the start: that is what the client waits for.
func (s *Server) withProgress(ctx context.Context, token protocol.ProgressToken, title string, work func(context.Context)) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var mu sync.Mutex
	var shown *progress
	done := false
	begin := func() {
		p := s.beginProgress(ctx, token, title, cancel)
		mu.Lock()
		defer mu.Unlock()
		if shown = p; done {
			p.end("")
		}
	}
	if token != nil {
		begin()
	} else {
		defer time.AfterFunc(progressDelay, begin).Stop()
	}
	work(ctx)
	mu.Lock()
	defer mu.Unlock()
	done = true
	shown.end("")
}

func (s *Server) cancelProgress(p *protocol.WorkDoneProgressCancelParams) error {
	token, _ := p.Token.(protocol.String)
	s.mu.Lock()
	defer s.mu.Unlock()
	if cancel := s.progress[string(token)]; cancel != nil {
		cancel()
	}
	return nil
}
