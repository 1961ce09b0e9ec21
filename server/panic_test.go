package server

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"sync"
	"testing"

	"go.lsp.dev/jsonrpc2"

	"github.com/limeade-go/limeade/server/editor"
	"github.com/limeade-go/limeade/server/session"
)

// TestPanics has a request, a notification, a command and the observer panic: what waits for an answer has one, the status
// bar does not stand still, and the server goes on.
func TestPanics(t *testing.T) {
	shown := make(chan struct{})
	calls["test/panic"] = method{run: func(*Server, context.Context, jsonrpc2.RawMessage) (any, error) { panic("in a request") }}
	notes["test/panic"] = method{inline: true, run: func(*Server, context.Context, jsonrpc2.RawMessage) (any, error) { panic("in a notification") }}
	calls["test/act"] = method{run: func(s *Server, ctx context.Context, _ jsonrpc2.RawMessage) (any, error) {
		s.withProgress(ctx, nil, "Limeade: refresh", func(ctx context.Context) {
			s.act(ctx, "refresh", func() *session.Answer {
				<-shown
				panic("in a command")
			})
		})
		return nil, nil
	}}
	t.Cleanup(func() { delete(calls, "test/panic"); delete(calls, "test/act"); delete(notes, "test/panic") })

	serverIn, in := io.Pipe()
	out, serverOut := io.Pipe()
	var log lockedLog
	s := New(Options{Version: "test", Log: &log})
	code := make(chan int, 1)
	go func() { code <- s.Serve(t.Context(), duplex{serverIn, serverOut}) }()
	reader := bufio.NewReader(out)
	var writing sync.Mutex
	send := func(body string) {
		t.Helper()
		writing.Lock()
		defer writing.Unlock()
		if err := editor.WriteFrame(in, []byte(body)); err != nil {
			t.Fatal(err)
		}
	}
	// next reads until a message has all the parts. What the server asks is answered.
	next := func(parts ...string) {
		t.Helper()
		for {
			body, err := editor.ReadFrame(reader)
			if err != nil {
				t.Fatalf("%q: %v\n%s", parts, err, log.String())
			}
			var m editor.Message
			if err := json.Unmarshal(body, &m); err != nil {
				t.Fatal(err)
			}
			if m.Method != "" && len(m.ID) > 0 {
				go func() { // the server may not read before it has written
					writing.Lock()
					defer writing.Unlock()
					_ = editor.WriteFrame(in, fmt.Appendf(nil, `{"jsonrpc":"2.0","id":%s,"result":null}`, m.ID)) // it may be gone
				}()
			}
			found := true
			for _, part := range parts {
				found = found && strings.Contains(string(body), part)
			}
			if found {
				return
			}
		}
	}

	send(fmt.Sprintf(`{"jsonrpc":"2.0","id":1,"method":"initialize","params":{"processId":null,"rootUri":"file://%s","capabilities":`+
		`{"window":{"workDoneProgress":true},"experimental":{"limeadeStatus":true}}}}`, t.TempDir()))
	next(`"id":1`, `"result"`)
	send(`{"jsonrpc":"2.0","method":"initialized","params":{}}`)
	send(`{"jsonrpc":"2.0","id":2,"method":"test/panic"}`)
	next(`"id":2`, `-32603`, "in a request")
	send(`{"jsonrpc":"2.0","method":"test/panic"}`)
	send(`{"jsonrpc":"2.0","id":3,"method":"test/act"}`)
	next("limeade/status", `"working":"refresh"`)
	next("$/progress", `"begin"`, "Limeade: refresh")
	close(shown)
	next("limeade/status", `"working":""`, "failed inside limeade-lsp")
	next("$/progress", `"end"`)
	next(`"id":3`, `-32603`, "in a command")

	// A comparison that panics leaves a view to those who wait for one.
	s.mu.Lock()
	s.docs["/nothing.go"] = nil
	s.mu.Unlock()
	s.observer.note(buffersChanged)
	send(`{"jsonrpc":"2.0","id":4,"method":"textDocument/codeLens","params":{"textDocument":{"uri":"file:///a.go"}}}`)
	next(`"id":4`, `"result"`)
	send(`{"jsonrpc":"2.0","id":5,"method":"shutdown"}`)
	next(`"id":5`, `"result"`)
	go io.Copy(io.Discard, out)
	send(`{"jsonrpc":"2.0","method":"exit"}`)
	defer serverIn.Close()
	if got := <-code; got != 0 {
		t.Errorf("exit code %d", got)
	}
	for _, part := range []string{"in a request", "in a notification", "in a command", "nil pointer"} {
		if !strings.Contains(log.String(), part) {
			t.Errorf("the log has nothing of %q: %s", part, log.String())
		}
	}
}

type duplex struct {
	*io.PipeReader
	*io.PipeWriter
}

func (d duplex) Close() error {
	d.PipeReader.Close()
	return d.PipeWriter.Close()
}

type lockedLog struct {
	mu   sync.Mutex
	text strings.Builder
}

func (l *lockedLog) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

func (l *lockedLog) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}
