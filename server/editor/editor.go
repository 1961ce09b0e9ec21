// Package editor is an editor for tests: it starts a language server, speaks JSON-RPC to it, keeps documents, and
// remembers all that it was told. It knows the protocol from the outside; it must never know how the server is made.
package editor

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"
)

// Patience is how long an editor waits for anything.
const Patience = time.Minute

// A Config says what kind of editor it is.
type Config struct {
	Command      []string
	Env          []string
	Folders      []string // absolute
	Capabilities map[string]any
	Options      map[string]any // initializationOptions
	// Check, if not nil, is asked about each message of the server and about the parameters of requests that it answers.
	Check func(request string, m *Message) error
}

// An Editor has one server. Its methods may be called from several goroutines.
type Editor struct {
	config  Config
	cmd     *exec.Cmd
	stdin   io.WriteCloser
	ended   chan struct{}
	writing sync.Mutex

	mu          sync.Mutex
	changed     *sync.Cond
	next        int
	calls       map[string]*pending
	docs        map[string]*document // by path
	diagnostics map[string][]Diagnostic
	status      json.RawMessage
	messages    []*Message // that the server sent by itself
	waiting     []*Message // showMessageRequests without an answer yet
	encoding    string
	wrong       []error
	stderr      strings.Builder
	lost        error
	terminals   []*exec.Cmd
}

type pending struct {
	method string
	done   chan *Message
}

// Start starts the server and initialises it.
func Start(c Config) (*Editor, error) {
	e := &Editor{
		config: c, ended: make(chan struct{}), calls: map[string]*pending{}, docs: map[string]*document{},
		diagnostics: map[string][]Diagnostic{}, encoding: "utf-16",
	}
	e.changed = sync.NewCond(&e.mu)
	e.cmd = exec.Command(c.Command[0], c.Command[1:]...)
	e.cmd.Env = c.Env
	if len(c.Folders) > 0 {
		e.cmd.Dir = c.Folders[0]
	}
	var err error
	if e.stdin, err = e.cmd.StdinPipe(); err != nil {
		return nil, err
	}
	out, err := e.cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	errs, err := e.cmd.StderrPipe()
	if err != nil {
		return nil, err
	}
	if err := e.cmd.Start(); err != nil {
		return nil, err
	}
	var readers sync.WaitGroup
	readers.Go(func() { e.read(out) })
	readers.Go(func() { _, _ = io.Copy(lockedWriter{e}, errs) })
	go func() {
		readers.Wait()
		_ = e.cmd.Wait() // the state says it
		close(e.ended)
	}()
	return e, e.initialize()
}

type lockedWriter struct{ e *Editor }

func (w lockedWriter) Write(p []byte) (int, error) {
	w.e.mu.Lock()
	defer w.e.mu.Unlock()
	return w.e.stderr.Write(p)
}

func (e *Editor) initialize() error {
	var folders []map[string]string
	for _, dir := range e.config.Folders {
		folders = append(folders, map[string]string{"uri": URI(dir), "name": dir})
	}
	params := map[string]any{
		"processId": os.Getpid(), "rootUri": nil, "capabilities": e.config.Capabilities, "workspaceFolders": folders,
		"clientInfo": map[string]string{"name": "fake editor"},
	}
	if e.config.Options != nil {
		params["initializationOptions"] = e.config.Options
	}
	if len(e.config.Folders) > 0 {
		params["rootUri"] = URI(e.config.Folders[0])
	}
	var result struct {
		Capabilities struct{ PositionEncoding string }
	}
	if err := e.Call("initialize", params, &result); err != nil {
		return fmt.Errorf("initialize: %w\n%s", err, e.Stderr())
	}
	if result.Capabilities.PositionEncoding != "" {
		e.encoding = result.Capabilities.PositionEncoding
	}
	return e.Notify("initialized", map[string]any{})
}

// Send writes one message as it is.
func (e *Editor) Send(body []byte) error {
	e.writing.Lock()
	defer e.writing.Unlock()
	if err := WriteFrame(e.stdin, body); err != nil {
		return fmt.Errorf("%w\n%s", err, e.Stderr())
	}
	return nil
}

// SendRaw writes bytes that may be no message at all.
func (e *Editor) SendRaw(data []byte) error {
	e.writing.Lock()
	defer e.writing.Unlock()
	_, err := e.stdin.Write(data)
	return err
}

func (e *Editor) send(m *Message) error {
	m.Version = "2.0"
	body, err := json.Marshal(m)
	if err != nil {
		return err
	}
	return e.Send(body)
}

// Notify sends a notification.
func (e *Editor) Notify(method string, params any) error {
	raw, err := json.Marshal(params)
	if err != nil {
		return err
	}
	return e.send(&Message{Method: method, Params: raw})
}

// Call sends a request and waits for the answer.
func (e *Editor) Call(method string, params, result any) error {
	ctx, cancel := context.WithTimeout(context.Background(), Patience)
	defer cancel()
	id, done, err := e.Begin(method, params)
	if err != nil {
		return err
	}
	select {
	case m := <-done:
		if m == nil {
			return fmt.Errorf("%s %d: the server is gone: %w\n%s", method, id, e.Lost(), e.Stderr())
		}
		if m.Error != nil {
			return m.Error
		}
		if result != nil && len(m.Result) > 0 {
			return json.Unmarshal(m.Result, result)
		}
		return nil
	case <-ctx.Done():
		return fmt.Errorf("%s %d: no answer within %v\n%s", method, id, Patience, e.Stderr())
	}
}

// Begin sends a request. Its answer comes on the channel; nil if the server ends before.
func (e *Editor) Begin(method string, params any) (id int, done <-chan *Message, err error) {
	raw, err := json.Marshal(params)
	if err != nil {
		return 0, nil, err
	}
	if string(raw) == "null" {
		raw = nil
	}
	e.mu.Lock()
	e.next++
	id = e.next
	p := &pending{method, make(chan *Message, 1)}
	e.calls[strconv.Itoa(id)] = p
	if e.lost != nil {
		p.done <- nil
	}
	e.mu.Unlock()
	return id, p.done, e.send(&Message{ID: json.RawMessage(strconv.Itoa(id)), Method: method, Params: raw})
}

// read takes messages until the server ends.
func (e *Editor) read(out io.Reader) {
	in := bufio.NewReader(out)
	for {
		body, err := ReadFrame(in)
		if err == nil {
			err = e.take(body)
		}
		if err != nil {
			e.mu.Lock()
			e.lost = err
			for id, p := range e.calls {
				delete(e.calls, id)
				p.done <- nil
			}
			e.changed.Broadcast()
			e.mu.Unlock()
			_, _ = io.Copy(io.Discard, out)
			return
		}
	}
}

func (e *Editor) take(body []byte) error {
	m := new(Message)
	if err := json.Unmarshal(body, m); err != nil {
		return fmt.Errorf("server sent %q: %w", body, err)
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	defer e.changed.Broadcast()
	var call *pending
	request := ""
	if m.Method == "" {
		call = e.calls[string(m.ID)]
		delete(e.calls, string(m.ID))
		if call != nil {
			request = call.method
		}
	}
	if e.config.Check != nil {
		if err := e.config.Check(request, m); err != nil {
			e.wrong = append(e.wrong, fmt.Errorf("%w\n%s", err, body))
		}
	}
	switch {
	case call != nil:
		call.done <- m
	case m.Method != "":
		e.messages = append(e.messages, m)
		return e.serve(m)
	default:
		e.messages = append(e.messages, m) // an error about what had no id
	}
	return nil
}

// serve notes what the server said, and answers what it asked. The caller holds e.mu.
func (e *Editor) serve(m *Message) error {
	switch m.Method {
	case "textDocument/publishDiagnostics":
		var p struct {
			URI         string
			Diagnostics []Diagnostic
		}
		if err := json.Unmarshal(m.Params, &p); err != nil {
			return err
		}
		path := Path(p.URI)
		if e.diagnostics[path] = p.Diagnostics; len(p.Diagnostics) == 0 {
			delete(e.diagnostics, path)
		}
	case "limeade/status":
		e.status = m.Params
	case "window/showMessageRequest":
		e.waiting = append(e.waiting, m)
		return nil // a person answers
	}
	if len(m.ID) == 0 {
		return nil
	}
	result := json.RawMessage("null")
	switch m.Method {
	case "window/showDocument":
		result = json.RawMessage(`{"success":true}`)
	case "workspace/applyEdit":
		result = json.RawMessage(`{"applied":true}`)
	case "limeade/runInTerminal":
		pid, err := e.terminal(m.Params)
		if err != nil {
			return err
		}
		result = json.RawMessage(fmt.Sprintf(`{"pid":%d}`, pid))
	}
	answer := &Message{ID: m.ID, Result: result}
	go func() { _ = e.send(answer) }() // the server may not read before it has written
	return nil
}

// Wait waits until a condition holds that depends on what the server says. It is called with the editor's lock.
func (e *Editor) Wait(condition func() bool) error {
	timeout := time.AfterFunc(Patience, func() {
		e.mu.Lock()
		defer e.mu.Unlock()
		e.changed.Broadcast()
	})
	defer timeout.Stop()
	deadline := time.Now().Add(Patience)
	e.mu.Lock()
	defer e.mu.Unlock()
	for !condition() {
		if e.lost != nil {
			return fmt.Errorf("the server is gone: %w\n%s", e.lost, e.stderr.String())
		}
		if !time.Now().Before(deadline) {
			return errors.New("nothing within " + Patience.String())
		}
		e.changed.Wait()
	}
	return nil
}

// Lost returns why nothing comes from the server any more, nil as long as it lives.
func (e *Editor) Lost() error {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.lost
}

// Stderr is what the server wrote there.
func (e *Editor) Stderr() string {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.stderr.String()
}

// Wrong returns what Check found.
func (e *Editor) Wrong() error {
	e.mu.Lock()
	defer e.mu.Unlock()
	return errors.Join(e.wrong...)
}

// Encoding is the position encoding that the server chose.
func (e *Editor) Encoding() string { return e.encoding }

// PID is that of the server.
func (e *Editor) PID() int { return e.cmd.Process.Pid }

// Messages returns what the server sent by itself: notifications with that method, or all if it is "".
func (e *Editor) Messages(method string) []*Message {
	e.mu.Lock()
	defer e.mu.Unlock()
	var list []*Message
	for _, m := range e.messages {
		if method == "" || m.Method == method {
			list = append(list, m)
		}
	}
	return list
}

// Exit ends the server as the protocol has it, and returns its exit code.
func (e *Editor) Exit() (int, error) {
	if err := e.Call("shutdown", nil, nil); err != nil {
		return 0, err
	}
	if err := e.Notify("exit", nil); err != nil {
		return 0, err
	}
	return e.await()
}

// Close closes the server's standard input, as an editor does that crashes.
func (e *Editor) Close() (int, error) {
	_ = e.stdin.Close()
	return e.await()
}

// terminal starts what the server asks for, and returns its process. The caller holds e.mu.
func (e *Editor) terminal(params json.RawMessage) (pid int, err error) {
	var p struct {
		Dir     string
		Command []string
	}
	if err := json.Unmarshal(params, &p); err != nil {
		return 0, err
	}
	cmd := exec.Command(p.Command[0], p.Command[1:]...)
	cmd.Dir, cmd.Env = p.Dir, e.config.Env
	if err := cmd.Start(); err != nil {
		return 0, err
	}
	e.terminals = append(e.terminals, cmd)
	return cmd.Process.Pid, nil
}

// CloseTerminals ends what was started for the server.
func (e *Editor) CloseTerminals() {
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, cmd := range e.terminals {
		_ = cmd.Process.Signal(syscall.SIGTERM) // it may be gone
		_ = cmd.Wait()
	}
	e.terminals = nil
}

// Kill ends the server at once.
func (e *Editor) Kill() {
	_ = e.cmd.Process.Kill() // it may be gone
	_, _ = e.await()
}

func (e *Editor) await() (int, error) {
	select {
	case <-e.ended:
		return e.cmd.ProcessState.ExitCode(), nil
	case <-time.After(Patience):
		return 0, fmt.Errorf("the server does not end\n%s", e.Stderr())
	}
}
