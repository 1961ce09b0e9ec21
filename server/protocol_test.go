package server_test

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/limeade-go/limeade/server"
	"github.com/limeade-go/limeade/server/editor"
)

// A wire is a server in this process, and its client's ends of the streams.
type wire struct {
	in   *io.PipeWriter
	out  *bufio.Reader
	log  *lockedBuffer
	code chan int
}

type lockedBuffer struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (b *lockedBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.Write(p)
}

func (b *lockedBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.String()
}

type streams struct {
	io.Reader
	io.Writer
	close func() error
}

func (s streams) Close() error { return s.close() }

func newWire(t testing.TB) *wire {
	serverIn, in := io.Pipe()
	outReader, serverOut := io.Pipe()
	w := &wire{in: in, out: bufio.NewReader(outReader), log: &lockedBuffer{}, code: make(chan int, 1)}
	s := server.New(server.Options{Tool: shared.tool, Version: "test", Log: w.log})
	go func() {
		w.code <- s.Serve(context.Background(), streams{serverIn, serverOut, serverIn.Close})
		serverOut.Close()
	}()
	t.Cleanup(func() {
		in.Close()
		go io.Copy(io.Discard, outReader)
		<-w.code
	})
	return w
}

func (w *wire) send(t testing.TB, body string) {
	t.Helper()
	if err := editor.WriteFrame(w.in, []byte(body)); err != nil {
		t.Fatal(err)
	}
}

// answer reads until there is a response with that id, "null" for one without.
func (w *wire) answer(t testing.TB, id string) *editor.Message {
	t.Helper()
	for {
		body, err := editor.ReadFrame(w.out)
		if err != nil {
			t.Fatalf("answer %s: %v\n%s", id, err, w.log)
		}
		var m editor.Message
		if err := json.Unmarshal(body, &m); err != nil {
			t.Fatal(err)
		}
		if m.Method == "" && (string(m.ID) == id || id == "null" && len(m.ID) == 0) {
			return &m
		}
	}
}

const (
	initializeMessage  = `{"jsonrpc":"2.0","id":"init","method":"initialize","params":{"processId":null,"rootUri":"file:///nowhere","capabilities":{}}}`
	initializedMessage = `{"jsonrpc":"2.0","method":"initialized","params":{}}`
)

// TestLifecycle goes through a server's life with what must be refused at each time.
func TestLifecycle(t *testing.T) {
	w := newWire(t)
	id := 0
	code := func(method, params string) int {
		t.Helper()
		id++
		w.send(t, fmt.Sprintf(`{"jsonrpc":"2.0","id":%d,"method":%q,"params":%s}`, id, method, params))
		if m := w.answer(t, fmt.Sprint(id)); m.Error != nil {
			return m.Error.Code
		}
		return 0
	}
	const document = `{"textDocument":{"uri":"file:///nowhere/a.go"}}`
	check := func(what string, got, want int) {
		t.Helper()
		if got != want {
			t.Errorf("%s: code %d, want %d", what, got, want)
		}
	}
	check("before initialize", code("textDocument/codeLens", document), -32002)
	w.send(t, `{"jsonrpc":"2.0","method":"textDocument/didOpen","params":{}}`) // is dropped
	w.send(t, initializeMessage)
	if m := w.answer(t, `"init"`); m.Error != nil {
		t.Fatal(m.Error)
	}
	w.send(t, initializedMessage)
	check("initialize again", code("initialize", `{"capabilities":{}}`), -32600)
	check("lens", code("textDocument/codeLens", document), 0)
	check("unknown method", code("textDocument/rename", document), -32601)
	check("unknown optional method", code("$/nothing", `{}`), -32601)
	check("parameters of a wrong type", code("textDocument/codeLens", `[1]`), -32602)
	check("unknown command", code("workspace/executeCommand", `{"command":"limeade.lsp.fly"}`), -32602)
	check("arguments of a wrong type", code("workspace/executeCommand", `{"command":"limeade.lsp.check","arguments":[[]]}`), -32602)
	check("too many arguments", code("workspace/executeCommand", `{"command":"limeade.lsp.check","arguments":[{},{}]}`), -32602)
	check("relative directory", code("workspace/executeCommand", `{"command":"limeade.lsp.check","arguments":[{"dir":"a"}]}`), -32602)
	w.send(t, `{"jsonrpc":"2.0","method":"textDocument/didChange","params":7}`)
	w.send(t, `{"jsonrpc":"2.0","method":"textDocument/didChange","params":{"textDocument":{"uri":"file:///not/open.go","version":2},"contentChanges":[]}}`)
	w.send(t, `{"jsonrpc":"2.0","method":"$/cancelRequest","params":{"id":99}}`)
	w.send(t, `{"jsonrpc":"2.0","method":"nobody/knows"}`)
	check("lens after odd notifications", code("textDocument/codeLens", document), 0)
	check("shutdown", code("shutdown", `null`), 0)
	check("after shutdown", code("textDocument/codeLens", document), -32600)
	w.send(t, `{"jsonrpc":"2.0","method":"exit"}`)
	if got := <-w.code; got != 0 {
		t.Errorf("exit code %d", got)
	}
	w.code <- 0
}

// TestClientGone starts a server whose client's process ends, while its streams stay open.
func TestClientGone(t *testing.T) {
	client := exec.Command("sleep", "1000")
	if err := client.Start(); err != nil {
		t.Fatal(err)
	}
	w := newWire(t)
	w.send(t, strings.Replace(initializeMessage, `"processId":null`, fmt.Sprintf(`"processId":%d`, client.Process.Pid), 1))
	w.answer(t, `"init"`)
	if err := client.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = client.Wait() // it was killed
	if got := <-w.code; got != 1 {
		t.Errorf("exit code %d", got)
	}
	w.code <- 1
}

// TestMalformed sends what is no message: each gets its error, and the connection stays.
func TestMalformed(t *testing.T) {
	w := newWire(t)
	w.send(t, initializeMessage)
	w.answer(t, `"init"`)
	for _, c := range []struct {
		body string
		code int
	}{
		{`{`, -32700},
		{`nothing`, -32700},
		{`"text"`, -32600},
		{`[`, -32700},
		{`[]`, -32600},
		{`{"jsonrpc":"2.0","id":1,"method":"textDocument/codeLens"`, -32700},
		{"\x00\xff", -32700},
		{strings.Repeat("[", 100_000), -32700},
		{`{"jsonrpc":"1.0","id":1,"method":"shutdown"}`, -32600},
		{`{"id":1,"method":"shutdown"}`, -32600},
		{`{"jsonrpc":"2.0"}`, -32600},
	} {
		w.send(t, c.body)
		m := w.answer(t, "null")
		if m.Error == nil || m.Error.Code != c.code {
			t.Errorf("%.40q: %+v, want code %d", c.body, m, c.code)
		}
	}
	w.send(t, `[1,{"jsonrpc":"2.0","id":5,"method":"nobody/knows"},{"jsonrpc":"2.0","method":"initialized","params":{}}]`)
	body, err := editor.ReadFrame(w.out)
	for err == nil && !bytes.HasPrefix(body, []byte("[")) {
		body, err = editor.ReadFrame(w.out)
	}
	if err != nil || !strings.Contains(string(body), "-32601") || !strings.Contains(string(body), `"id":null`) {
		t.Errorf("batch: %s %v", body, err)
	}
	// Without a header that says where it ends, nothing after it can be found.
	if _, err := io.WriteString(w.in, "Content-Length: many\r\n\r\n{}"); err != nil {
		t.Log(err) // the server may have closed it already
	}
	if got := <-w.code; got != 1 {
		t.Errorf("exit code %d", got)
	}
	w.code <- 1
}

// FuzzMessage sends one body between good messages: the server does not panic, and goes on unless it was told to end.
func FuzzMessage(f *testing.F) {
	for _, seed := range []string{
		``, `{}`, `[]`, `null`, `{"jsonrpc":"2.0","id":1,"method":"shutdown"}`, `{"jsonrpc":"2.0","method":"exit"}`,
		`{"jsonrpc":"2.0","method":"textDocument/didOpen","params":{"textDocument":{"uri":"file:///a.go","languageId":"go","version":1,"text":"package a"}}}`,
		`{"jsonrpc":"2.0","method":"textDocument/didChange","params":{"textDocument":{"uri":"file:///a.go","version":2},"contentChanges":[{"range":{"start":{"line":4294967295,"character":0},"end":{"line":0,"character":9}},"text":"x"}]}}`,
		`{"jsonrpc":"2.0","id":2,"method":"textDocument/hover","params":{"textDocument":{"uri":"file:///a.go"},"position":{"line":0,"character":9}}}`,
		`{"jsonrpc":"2.0","id":2,"method":"textDocument/codeAction","params":{"textDocument":{"uri":"file:a.go"},"range":{"start":{"line":1,"character":0},"end":{"line":0,"character":0}},"context":{"diagnostics":[{"range":null}]}}}`,
		`{"jsonrpc":"2.0","id":2,"method":"textDocument/diagnostic","params":{"textDocument":{"uri":"untitled:1"}}}`,
		`{"jsonrpc":"2.0","id":2,"method":"workspace/executeCommand","params":{"command":"limeade.lsp.explain","arguments":[{"code":"LMD0001"}]}}`,
		`{"jsonrpc":"2.0","method":"workspace/didChangeConfiguration","params":{"settings":{"limeade":{"severity":7}}}}`,
		`{"jsonrpc":"2.0","method":"workspace/didChangeWorkspaceFolders","params":{"event":{"added":[{"uri":"%zz","name":""}],"removed":[{}]}}}`,
		`{"jsonrpc":"2.0","method":"$/cancelRequest","params":{"id":"x"}}`,
		`{"jsonrpc":"2.0","id":"init","result":{}}`,
		`[{"jsonrpc":"2.0","id":1,"method":"textDocument/codeLens","params":{"textDocument":{"uri":"file:///a.go"}}},{}]`,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		if bytes.Contains(body, []byte("limeade.lsp.r")) {
			return // commands that start and change processes are for other tests
		}
		w := newWire(t)
		w.send(t, initializeMessage)
		w.answer(t, `"init"`)
		w.send(t, initializedMessage)
		if len(body) == 0 {
			body = []byte(" ")
		}
		go func() { // it need not take it all
			_ = editor.WriteFrame(w.in, body)
			_ = editor.WriteFrame(w.in, []byte(`{"jsonrpc":"2.0","id":"last","method":"textDocument/codeLens","params":{"textDocument":{"uri":"file:///a.go"}}}`))
		}()
		for {
			frame, err := editor.ReadFrame(w.out)
			if err != nil {
				if !bytes.Contains(body, []byte("exit")) {
					t.Fatalf("%v\n%s", err, w.log)
				}
				break
			}
			if bytes.Contains(frame, []byte(`"id":"last"`)) {
				break
			}
		}
		if strings.Contains(w.log.String(), "panic") {
			t.Fatal(w.log)
		}
	})
}

// FuzzParameters sends a request or a notification of each method with any JSON for its parameters: a request is answered,
// and nothing panics.
func FuzzParameters(f *testing.F) {
	requests, notifications := server.Methods()
	methods := slices.Concat(requests, notifications)
	methods = slices.DeleteFunc(methods, func(m string) bool { return m == "shutdown" })
	const at = `"textDocument":{"uri":"file:///a.go","version":2},"position":{"line":0,"character":1},"range":{"start":{"line":0,"character":0},"end":{"line":1,"character":0}}`
	for i := range methods {
		for _, seed := range []string{
			`null`, `[]`, `{}`, `{"textDocument":null}`, `{"textDocument":{"uri":7}}`, `{` + at + `}`,
			`{` + at + `,"context":{"diagnostics":[],"only":["quickfix",""]}}`, `{` + at + `,"contentChanges":[{"text":"x"},{"range":null,"text":""}]}`,
			`{"textDocument":{"uri":"file:///a.go","languageId":"go","version":1,"text":"package a\u0000"}}`,
			`{"command":"limeade.lsp.explain","arguments":[{"code":"LMD0301"}],"workDoneToken":[1]}`,
			`{"command":"limeade.lsp.status","arguments":[{"dir":"/nowhere","pid":-1}]}`, `{"id":1}`, `{"id":{}}`, `{"token":1.5}`, `{"token":"x"}`,
			`{"settings":[]}`, `{"settings":{"limeade":null}}`, `{"changes":[{"uri":"file:","type":9}]}`, `{"event":{"added":[{"uri":"http://a"}],"removed":null}}`,
			`{"previousResultIds":[{"uri":"file:///a.go","value":"x"}]}`, `{"value":"loud"}`,
		} {
			f.Add(uint8(i), seed)
		}
	}
	f.Fuzz(func(t *testing.T, which uint8, params string) {
		method := methods[int(which)%len(methods)]
		if !json.Valid([]byte(params)) || strings.Contains(params, `limeade.lsp.r`) || strings.Contains(params, `\u`) && method == "workspace/executeCommand" {
			return // FuzzMessage has the one, and commands that start and change processes are for other tests
		}
		w := newWire(t)
		w.send(t, initializeMessage)
		w.answer(t, `"init"`)
		w.send(t, initializedMessage)
		w.send(t, `{"jsonrpc":"2.0","method":"textDocument/didOpen","params":{"textDocument":{"uri":"file:///a.go","languageId":"go","version":1,"text":"package a"}}}`)
		id := ""
		if slices.Contains(requests, method) {
			id = `"id":"fuzzed",`
		}
		w.send(t, fmt.Sprintf(`{"jsonrpc":"2.0",%s"method":%q,"params":%s}`, id, method, params))
		if method == "workspace/diagnostic" { // it is answered when there is something to say
			w.send(t, `{"jsonrpc":"2.0","method":"$/cancelRequest","params":{"id":"fuzzed"}}`)
		}
		if id != "" {
			w.answer(t, `"fuzzed"`)
		}
		w.send(t, `{"jsonrpc":"2.0","id":"last","method":"textDocument/codeLens","params":{"textDocument":{"uri":"file:///a.go"}}}`)
		w.answer(t, `"last"`)
		if strings.Contains(w.log.String(), "panic") {
			t.Fatal(w.log)
		}
	})
}

// FuzzFrames sends any bytes, and then closes the stream: the server ends, and does not panic.
func FuzzFrames(f *testing.F) {
	for _, seed := range []string{
		"", "\r\n", "\n\n\n", "Content-Length: 2\r\n\r\n{}", "content-length:2\n\n{}Content-Length: 2\r\n\r\n[]", "Content-Length: 0\r\n\r\n",
		"Content-Length: -1\r\n\r\n{}", "Content-Length: 99999999999999999999\r\n\r\n{}", "Content-Length: 2147483647\r\n\r\n{}",
		"Content-Length: 5\r\nContent-Type: application/vscode-jsonrpc; charset=utf-8\r\n\r\n{}", "Content-Length\r\n\r\n{}", ": 2\r\n\r\n{}",
		"Content-Length: 1\r\nContent-Length: 2\r\n\r\n{}", "GET / HTTP/1.1\r\nHost: a\r\n\r\n", "Content-Length: 2\r\n\r\n{",
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		if bytes.Contains(data, []byte("limeade.lsp.r")) {
			return // commands that start and change processes are for other tests
		}
		w := newWire(t)
		w.send(t, initializeMessage)
		w.answer(t, `"init"`)
		go io.Copy(io.Discard, w.out)
		_, _ = w.in.Write(data) // it need not take it all
		w.in.Close()
		select {
		case code := <-w.code:
			w.code <- code
		case <-time.After(editor.Patience):
			t.Fatalf("the server does not end\n%s", w.log)
		}
		if strings.Contains(w.log.String(), "panic") {
			t.Fatal(w.log)
		}
	})
}

// TestManyChanges sends 20,000 changes as fast as they go: none is lost and none is out of order, or places would not be
// where they are.
func TestManyChanges(t *testing.T) {
	dir, runtimeDir := tempDir(t), tempDir(t)
	if err := os.CopyFS(dir, os.DirFS("testdata/app")); err != nil {
		t.Fatal(err)
	}
	env := environ(runtimeDir)
	var source strings.Builder
	source.WriteString("package main\n")
	const functions = 40
	for i := range functions {
		fmt.Fprintf(&source, "\n//\nfunc f%d() int { return %d }\n", i, i)
	}
	source.WriteString("\nfunc init() {\n")
	for i := range functions {
		fmt.Fprintf(&source, "\tcount += 0 * f%d()\n", i)
	}
	source.WriteString("}\n")
	path := filepath.Join(dir, "many.go")
	if err := os.WriteFile(path, []byte(source.String()), 0o666); err != nil {
		t.Fatal(err)
	}
	p, err := startProgram(dir, env, shared.tool, "run", ".")
	if err != nil {
		t.Fatal(err)
	}
	defer p.stop()
	if _, err := p.ask("a"); err != nil {
		t.Fatal(err)
	}
	e, err := editor.Start(editor.Config{
		Command: []string{shared.tool, "--stdio"}, Env: env, Folders: []string{dir}, Capabilities: capabilities([]string{"utf16"}), Check: conformance,
	})
	if err != nil {
		t.Fatal(err)
	}
	defer e.Kill()
	if err := e.Open(path); err != nil {
		t.Fatal(err)
	}
	rng := rand.New(rand.NewPCG(1, 2))
	comments := make([]string, functions)
	begin := time.Now()
	const changes = 20_000
	for i := range changes - functions {
		// The comment above a function becomes longer or shorter, also by lines.
		n := rng.IntN(functions)
		old := "//" + comments[n] + "\nfunc f" + fmt.Sprint(n) + "("
		comments[n] = strings.Repeat([]string{"x", "ü", "𝔾", "\n//"}[i%4], rng.IntN(12))
		if err := e.Type(path, old, "//"+comments[n]+"\nfunc f"+fmt.Sprint(n)+"("); err != nil {
			t.Fatal(err)
		}
	}
	for n := range functions {
		if err := e.Type(path, fmt.Sprintf("{ return %d }", n), fmt.Sprintf("{ return -%d }", n)); err != nil {
			t.Fatal(err)
		}
	}
	lenses, err := e.Lenses(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("%d changes in %v", changes, time.Since(begin).Round(time.Millisecond))
	var got, want []string
	for _, l := range lenses {
		if l.Command.Title == "hot: refresh" {
			name, err := e.Slice(path, l.Range)
			if err != nil {
				t.Fatal(err)
			}
			got = append(got, name)
		}
	}
	for n := 1; n < functions; n++ { // -0 is 0 in the first, but another expression
		want = append(want, fmt.Sprint("f", n))
	}
	want = append(want, "f0")
	slices.Sort(got)
	slices.Sort(want)
	if !slices.Equal(slices.Compact(got), want) {
		t.Errorf("lenses at %q, want %q", got, want)
	}
	if err := e.Wrong(); err != nil {
		t.Error(err)
	}
}
