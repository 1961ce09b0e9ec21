package server

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"sync"

	"go.lsp.dev/jsonrpc2"
	"go.lsp.dev/protocol"
)

// A codec writes and reads the parameters and results of messages.
type codec struct{}

func (codec) Marshal(v any) ([]byte, error) { return protocol.Marshal(v) }

func (codec) Unmarshal(data []byte, v any) error { return protocol.Unmarshal(data, v) }

// A stream reads and writes messages, each with a header that says its length. One that is no JSON-RPC is answered with
// an error and passed over: only a broken header leaves no way to find the next.
type stream struct {
	jsonrpc2.Stream
	frames frames
}

// frames is what the streams of jsonrpc2 have beside their interface; a connection looks for it.
type frames interface {
	ReadFrame(context.Context) ([]byte, int64, error)
	WriteFrame(context.Context, []byte) (int64, error)
}

func newStream(client io.ReadWriteCloser) *stream {
	s := jsonrpc2.NewHeaderStream(client)
	return &stream{s, s.(frames)}
}

// ReadFrame returns the next message or batch of messages.
func (s *stream) ReadFrame(ctx context.Context) ([]byte, int64, error) {
	for {
		frame, n, err := s.frames.ReadFrame(ctx)
		if err != nil {
			return nil, n, err
		}
		bad := wellFormed(frame)
		if bad == nil {
			return frame, n, nil
		}
		if _, err := s.WriteFrame(ctx, jsonrpc2.AppendResponse(nil, jsonrpc2.ID{}, nil, bad)); err != nil {
			return nil, n, err
		}
	}
}

// WriteFrame writes a message or a batch of messages.
func (s *stream) WriteFrame(ctx context.Context, data []byte) (int64, error) {
	return s.frames.WriteFrame(ctx, data)
}

// wellFormed returns why a frame is neither a message nor a batch.
func wellFormed(frame []byte) error {
	i := 0
	for i < len(frame) && (frame[i] == ' ' || frame[i] == '\t' || frame[i] == '\r' || frame[i] == '\n') {
		i++
	}
	var err error
	if i < len(frame) && frame[i] == '[' {
		_, err = jsonrpc2.ParseRequests(frame)
	} else {
		_, err = jsonrpc2.DecodeMessage(frame)
	}
	if err != nil && !json.Valid(frame) {
		return jsonrpc2.ErrParse
	} else if err != nil {
		return jsonrpc2.ErrInvalidRequest
	}
	return nil
}

// errExit ends the connection because the client said so.
var errExit = errors.New("exit")

// requests are those of the client that are not answered yet.
type requests struct {
	mu      sync.Mutex
	cancels map[jsonrpc2.ID]context.CancelFunc
}

func (r *requests) begin(ctx context.Context, id jsonrpc2.ID) context.Context {
	ctx, cancel := context.WithCancel(ctx)
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.cancels == nil {
		r.cancels = map[jsonrpc2.ID]context.CancelFunc{}
	}
	r.cancels[id] = cancel
	return ctx
}

func (r *requests) end(id jsonrpc2.ID) { r.cancel(id) }

func (r *requests) cancel(id jsonrpc2.ID) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if cancel := r.cancels[id]; cancel != nil {
		cancel()
		delete(r.cancels, id)
	}
}

func (r *requests) cancelAll() {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, cancel := range r.cancels {
		cancel()
	}
}

// handle takes one message, on the goroutine that reads them.
func (s *Server) handle(ctx context.Context, req *jsonrpc2.Request) (any, error) {
	if !req.IsCall() {
		err := s.handleNotification(ctx, req)
		if errors.Is(err, errExit) {
			return nil, err // the one that ends the connection
		}
		if err != nil {
			s.log.Warn("notification refused", "method", req.Method(), "error", err)
		}
		return nil, nil
	}
	m, err := s.method(req)
	if err != nil {
		return nil, err
	}
	if m.inline {
		return m.call(s, ctx, req)
	}
	id := req.ID()
	work := s.requests.begin(ctx, id)
	defer s.requests.end(id)
	jsonrpc2.Async(ctx)
	result, err := m.call(s, work, req)
	if err != nil && work.Err() != nil || errors.Is(err, context.Canceled) { // by its number, or as progress
		return nil, protocol.ErrRequestCancelled
	}
	return result, err
}

// method finds out who answers a request.
func (s *Server) method(req *jsonrpc2.Request) (method, error) {
	m, known := calls[req.Method()]
	s.mu.Lock()
	phase := s.phase
	s.mu.Unlock()
	switch initialize := req.Method() == protocol.MethodInitialize; {
	case phase == fresh && !initialize:
		return method{}, jsonrpc2.NewError(jsonrpc2.ServerNotInitialized, "the server is not initialized")
	case phase != fresh && initialize:
		return method{}, jsonrpc2.NewError(jsonrpc2.InvalidRequest, "the server is initialized")
	case phase == shut:
		return method{}, jsonrpc2.NewError(jsonrpc2.InvalidRequest, "the server is shut down")
	case !known:
		return method{}, fmt.Errorf("%w: %q", jsonrpc2.ErrMethodNotFound, req.Method())
	}
	return m, nil
}

func (s *Server) handleNotification(ctx context.Context, req *jsonrpc2.Request) error {
	if req.Method() == protocol.MethodExit {
		return errExit
	}
	m, known := notes[req.Method()]
	s.mu.Lock()
	phase := s.phase
	s.mu.Unlock()
	if !known || phase != running {
		return nil
	}
	_, err := m.call(s, ctx, req)
	return err
}

// A method takes a request or a notification.
type method struct {
	run    func(s *Server, ctx context.Context, params jsonrpc2.RawMessage) (any, error)
	inline bool // the next message waits for it
}

// call runs a method; a panic is the answer's, not the server's.
func (m method) call(s *Server, ctx context.Context, req *jsonrpc2.Request) (result any, err error) {
	defer func() {
		if r := recover(); r != nil {
			s.panicked(req.Method(), r)
			result, err = nil, fmt.Errorf("%w: %s: %v", jsonrpc2.ErrInternal, req.Method(), r)
		}
	}()
	return m.run(s, ctx, req.Params())
}

func parse[P any](raw jsonrpc2.RawMessage) (*P, error) {
	params := new(P)
	if len(raw) == 0 {
		return params, nil
	}
	if err := protocol.Unmarshal(raw, params); err != nil {
		return nil, fmt.Errorf("%w: %w", jsonrpc2.ErrInvalidParams, err)
	}
	return params, nil
}

func call[P, R any](f func(*Server, context.Context, *P) (R, error)) method {
	return method{run: func(s *Server, ctx context.Context, raw jsonrpc2.RawMessage) (any, error) {
		params, err := parse[P](raw)
		if err != nil {
			return nil, err
		}
		return f(s, ctx, params)
	}}
}

func inline(m method) method {
	m.inline = true
	return m
}

func note[P any](f func(*Server, *P) error) method {
	return method{inline: true, run: func(s *Server, _ context.Context, raw jsonrpc2.RawMessage) (any, error) {
		params, err := parse[P](raw)
		if err != nil {
			return nil, err
		}
		return nil, f(s, params)
	}}
}

type none struct{}

// calls are the requests that are answered.
var calls map[string]method

// notes are the notifications that are taken.
var notes map[string]method

func init() {
	calls = map[string]method{
		protocol.MethodInitialize:              inline(call((*Server).initialize)),
		protocol.MethodShutdown:                inline(call((*Server).shutdown)),
		protocol.MethodTextDocumentCodeLens:    call((*Server).codeLens),
		protocol.MethodTextDocumentCodeAction:  call((*Server).codeAction),
		protocol.MethodTextDocumentHover:       call((*Server).hover),
		protocol.MethodTextDocumentDiagnostic:  call((*Server).documentDiagnostic),
		protocol.MethodWorkspaceDiagnostic:     call((*Server).workspaceDiagnostic),
		protocol.MethodWorkspaceExecuteCommand: call((*Server).executeCommand),
	}
	notes = map[string]method{
		protocol.MethodInitialized:                        note((*Server).initialized),
		protocol.MethodSetTrace:                           note((*Server).setTrace),
		protocol.MethodCancelRequest:                      note((*Server).cancelRequest),
		protocol.MethodWindowWorkDoneProgressCancel:       note((*Server).cancelProgress),
		protocol.MethodTextDocumentDidOpen:                note((*Server).didOpen),
		protocol.MethodTextDocumentDidChange:              note((*Server).didChange),
		protocol.MethodTextDocumentWillSave:               note((*Server).willSave),
		protocol.MethodTextDocumentDidSave:                note((*Server).didSave),
		protocol.MethodTextDocumentDidClose:               note((*Server).didClose),
		protocol.MethodWorkspaceDidChangeWatchedFiles:     note((*Server).didChangeWatchedFiles),
		protocol.MethodWorkspaceDidChangeWorkspaceFolders: note((*Server).didChangeWorkspaceFolders),
		protocol.MethodWorkspaceDidChangeConfiguration:    note((*Server).didChangeConfiguration),
	}
}

func (s *Server) cancelRequest(p *protocol.CancelParams) error {
	switch id := p.ID.(type) {
	case protocol.Integer:
		s.requests.cancel(jsonrpc2.NewNumberID(int64(id)))
	case protocol.String:
		s.requests.cancel(jsonrpc2.NewStringID(string(id)))
	}
	return nil
}
