package server_test

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/limeade-go/limeade/server/editor"
)

// TestScenarios runs testdata/scenarios: an editor, the real server, real programs. The commands that the scenarios have
// beside those of testscript are described in testdata/scenarios/README.md.
func TestScenarios(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir:                "testdata/scenarios",
		RequireUniqueNames: true,
		Setup: func(env *testscript.Env) error {
			dir, err := os.MkdirTemp(shared.root, "")
			if err != nil {
				return err
			}
			env.Defer(func() { os.RemoveAll(dir) })
			for _, v := range environ(dir) {
				if key, value, _ := strings.Cut(v, "="); key != "HOME" && key != "TMPDIR" {
					env.Setenv(key, value)
				}
			}
			own, _ := filepath.Glob(filepath.Join(env.WorkDir, "go.mod")) // the patterns are good
			folders, _ := filepath.Glob(filepath.Join(env.WorkDir, "*", "go.mod"))
			if len(own)+len(folders) == 0 {
				if err := os.CopyFS(env.WorkDir, os.DirFS("testdata/app")); err != nil {
					return err
				}
			}
			env.Setenv("HOME", filepath.Join(env.WorkDir, ".home"))
			env.Setenv("PATH", shared.root+string(filepath.ListSeparator)+os.Getenv("PATH"))
			s := &stage{env: env, programs: map[string]*program{}}
			env.Values[stageKey{}] = s
			env.Defer(s.clear)
			return nil
		},
		Cmds: commands,
	})
}

// A stage is what one scenario has going.
type stage struct {
	env      *testscript.Env
	editor   *editor.Editor // the present one
	editors  []*editor.Editor
	programs map[string]*program
	result   json.RawMessage   // of the last command
	known    map[string]string // results of workspace/diagnostic, by URI
}

type stageKey struct{}

// clear ends all that the scenario has started, also if it went wrong or has killed the server.
func (s *stage) clear() {
	for _, e := range s.editors {
		if _, err := e.Close(); err != nil {
			e.Kill()
		}
		e.CloseTerminals()
	}
	for _, p := range s.programs {
		p.stop()
	}
	sockets, _ := filepath.Glob(filepath.Join(s.env.Getenv("XDG_RUNTIME_DIR"), "limeade", "*.sock")) // the pattern is good
	for _, socket := range sockets {
		if pid, err := strconv.Atoi(strings.TrimSuffix(filepath.Base(socket), ".sock")); err == nil {
			_ = syscall.Kill(pid, syscall.SIGKILL) // it may be gone
		}
	}
}

func on(ts *testscript.TestScript) *stage { return ts.Value(stageKey{}).(*stage) }

// A scene runs one command of a scenario on the editor.
type scene func(s *stage, ts *testscript.TestScript, neg bool, args []string)

// with checks the number of arguments; -1 stands for any number above.
func with(usage string, least, most int, do scene) func(*testscript.TestScript, bool, []string) {
	return func(ts *testscript.TestScript, neg bool, args []string) {
		if len(args) < least || most >= 0 && len(args) > most {
			ts.Fatalf("usage: %s", usage)
		}
		do(on(ts), ts, neg, args)
	}
}

var escapes = strings.NewReplacer(`\n`, "\n", `\t`, "\t")

var commands map[string]func(*testscript.TestScript, bool, []string)

func init() {
	commands = map[string]func(*testscript.TestScript, bool, []string){
		"editor":    with("editor [option...] [folder...]", 0, -1, startEditor),
		"start":     with("start name [key=value...] command arg...", 2, -1, startProgramScene),
		"ask":       with("ask name line answer", 3, 3, askScene),
		"hear":      with("hear name line", 2, 2, hearScene),
		"end":       with("end name [signal]", 1, 2, endScene),
		"open":      with("open file...", 1, -1, each((*editor.Editor).Open)),
		"close":     with("close file...", 1, -1, each((*editor.Editor).CloseDocument)),
		"save":      with("save file...", 1, -1, each((*editor.Editor).Save)),
		"type":      with("type file old new", 3, 3, typeScene),
		"edit":      with("edit file old new", 3, 3, editScene),
		"write":     with("write file old new", 3, 3, writeScene),
		"create":    with("create file with", 2, 2, createScene),
		"replace":   with("replace file with", 2, 2, replaceScene),
		"saving":    with("saving file command", 2, 2, savingScene),
		"cancel":    with("cancel method json", 2, 2, cancelScene),
		"stop":      with("stop json [token]", 1, 2, stopScene),
		"tokened":   with("tokened command token", 2, 2, tokenedScene),
		"pulled":    with("pulled file line...", 1, -1, pulledScene),
		"workspace": with("workspace file line...", 1, -1, workspaceScene),
		"diag":      with("diag file line...", 1, -1, diagScene),
		"related":   with("related file code regexp", 3, 3, relatedScene),
		"lens":      with("lens file line...", 1, -1, lensScene),
		"action":    with("action file on title", 3, 3, actionScene),
		"actions":   with("actions file on title...", 2, -1, actionsScene),
		"hover":     with("[!] hover file on regexp", 3, 3, hoverScene),
		"command":   with("[!] command name [json]", 1, 2, commandScene),
		"json":      with("[!] json path [value]", 1, 2, jsonScene),
		"status":    with("status path value", 2, 2, statusScene),
		"asked":     with("asked regexp [answer]", 1, 2, askedScene),
		"silent":    with("silent", 0, 0, silentScene),
		"output":    with("output regexp", 1, 1, outputScene),
		"notify":    with("notify method json", 2, 2, notifyScene),
		"calls":     with("calls method regexp", 2, 2, callsScene),
		"exit":      with("exit", 0, 0, exitScene),
		"crash":     with("crash eof|kill", 1, 1, crashScene),
		"alive":     with("[!] alive path", 1, 1, aliveScene),
	}
}

// capabilities are those of an editor that can do all that this server makes use of.
func capabilities(options []string) map[string]any {
	has := func(name string) bool { return slices.Contains(options, name) }
	textDocument := map[string]any{
		"synchronization":    map[string]any{"willSave": true, "didSave": true},
		"publishDiagnostics": map[string]any{"relatedInformation": !has("norelated"), "versionSupport": true, "codeDescriptionSupport": true},
		"hover":              map[string]any{"contentFormat": []string{"markdown", "plaintext"}},
		"codeAction": map[string]any{"codeActionLiteralSupport": map[string]any{
			"codeActionKind": map[string]any{"valueSet": []string{"quickfix"}}}},
	}
	if has("plain") {
		delete(textDocument, "hover")
		delete(textDocument, "codeAction")
	}
	if has("pull") {
		textDocument["diagnostic"] = map[string]any{}
	}
	encodings := []string{"utf-8", "utf-16"}
	if has("utf16") {
		encodings = encodings[1:]
	}
	return map[string]any{
		"general":      map[string]any{"positionEncodings": encodings},
		"textDocument": textDocument,
		"workspace": map[string]any{
			"workspaceFolders":      true,
			"didChangeWatchedFiles": map[string]any{"dynamicRegistration": !has("nowatch")},
			"codeLens":              map[string]any{"refreshSupport": true},
			"diagnostics":           map[string]any{"refreshSupport": true},
			"workspaceEdit":         map[string]any{"documentChanges": !has("nochanges")},
		},
		"window":       map[string]any{"workDoneProgress": !has("noprogress"), "showDocument": map[string]any{"support": true}},
		"experimental": map[string]any{"limeadeStatus": !has("nostatus"), "limeadeTerminal": has("terminal")},
	}
}

// startEditor is "editor [utf16] [nowatch] [pull] [nostatus] [option=json…] [folder…]": an editor with these folders, or
// with the scenario's directory.
func startEditor(s *stage, ts *testscript.TestScript, _ bool, args []string) {
	if s.editor != nil {
		s.editor.Kill()
	}
	c := editor.Config{Command: []string{shared.tool, "--stdio"}, Check: conformance, Options: map[string]any{}}
	var kinds []string
	for _, arg := range args {
		name, value, isOption := strings.Cut(arg, "=")
		info, err := os.Stat(ts.MkAbs(arg))
		switch {
		case isOption:
			c.Options[name] = json.RawMessage(value)
		case err == nil && info.IsDir():
			c.Folders = append(c.Folders, ts.MkAbs(arg))
		default:
			kinds = append(kinds, arg)
		}
	}
	if slices.Contains(kinds, "pull") {
		c.Options["pullDiagnostics"] = true
	}
	if len(c.Folders) == 0 {
		c.Folders = []string{ts.Getenv("WORK")}
	}
	c.Capabilities = capabilities(kinds)
	c.Env = s.environ(ts)
	var err error
	if s.editor, err = editor.Start(c); s.editor != nil {
		s.editors = append(s.editors, s.editor)
	}
	ts.Check(err)
}

func (s *stage) environ(ts *testscript.TestScript) []string {
	var env []string
	for _, v := range s.env.Vars {
		key, _, _ := strings.Cut(v, "=")
		env = append(env, key+"="+ts.Getenv(key))
	}
	return env
}

func startProgramScene(s *stage, ts *testscript.TestScript, _ bool, args []string) {
	if old := s.programs[args[0]]; old != nil {
		old.stop()
	}
	env := s.environ(ts)
	for strings.Contains(args[1], "=") {
		env, args = append(env, args[1]), slices.Delete(slices.Clone(args), 1, 2)
	}
	command := args[1]
	if command == "limeade-lsp" {
		command = shared.tool
	}
	p, err := startProgram(ts.MkAbs("."), env, command, args[2:]...)
	ts.Check(err)
	s.programs[args[0]] = p
}

func (s *stage) program(ts *testscript.TestScript, name string) *program {
	p := s.programs[name]
	if p == nil {
		ts.Fatalf("program %s was not started", name)
	}
	return p
}

func askScene(s *stage, ts *testscript.TestScript, _ bool, args []string) {
	p := s.program(ts, args[0])
	got, err := p.ask(args[1])
	ts.Check(err)
	if got != args[2] {
		ts.Fatalf("%s answers %q, want %q\n%s", args[0], got, args[2], p.said())
	}
}

func hearScene(s *stage, ts *testscript.TestScript, _ bool, args []string) {
	p := s.program(ts, args[0])
	got, err := p.hear()
	ts.Check(err)
	if got != args[1] {
		ts.Fatalf("%s says %q, want %q\n%s", args[0], got, args[1], p.said())
	}
}

func endScene(s *stage, ts *testscript.TestScript, _ bool, args []string) {
	p := s.program(ts, args[0])
	if len(args) == 2 {
		ts.Check(syscall.Kill(p.cmd.Process.Pid, map[string]syscall.Signal{"KILL": syscall.SIGKILL, "TERM": syscall.SIGTERM}[args[1]]))
	} else {
		p.stdin.Close()
	}
	select {
	case <-p.ended:
	case <-time.After(editor.Patience):
		ts.Fatalf("%s does not end", args[0])
	}
}

func each(do func(*editor.Editor, string) error) scene {
	return func(s *stage, ts *testscript.TestScript, _ bool, args []string) {
		for _, file := range args {
			ts.Check(do(s.editor, ts.MkAbs(file)))
		}
	}
}

func typeScene(s *stage, ts *testscript.TestScript, _ bool, args []string) {
	ts.Check(s.editor.Type(ts.MkAbs(args[0]), escapes.Replace(args[1]), escapes.Replace(args[2])))
}

func editScene(s *stage, ts *testscript.TestScript, neg bool, args []string) {
	if _, err := s.editor.Text(ts.MkAbs(args[0])); err != nil {
		ts.Check(s.editor.Open(ts.MkAbs(args[0])))
	}
	typeScene(s, ts, neg, args)
	ts.Check(s.editor.Save(ts.MkAbs(args[0])))
}

// writeScene changes a file as some other tool would.
func writeScene(_ *stage, ts *testscript.TestScript, _ bool, args []string) {
	file, old := ts.MkAbs(args[0]), escapes.Replace(args[1])
	data, err := os.ReadFile(file)
	ts.Check(err)
	if n := strings.Count(string(data), old); n != 1 {
		ts.Fatalf("%s has %q %d times", args[0], old, n)
	}
	ts.Check(os.WriteFile(file, []byte(strings.Replace(string(data), old, escapes.Replace(args[2]), 1)), 0o666))
}

var severityNames = []string{"", "error", "warning", "information", "hint"}

// diagnosticLines puts diagnostics into words: "warning LMD0501 4:6 Counter".
func (s *stage) diagnosticLines(path string, list []editor.Diagnostic, slice func(string, editor.Range) (string, error)) []string {
	lines := []string{}
	for _, d := range list {
		text, err := slice(path, d.Range)
		if err != nil {
			text = err.Error()
		}
		if d.Source != "limeade" || d.CodeDescription.Href == "" || d.Message == "" {
			text += fmt.Sprintf(" (badly made: %+v)", d)
		}
		lines = append(lines, fmt.Sprintf("%s %s %d:%d %s", severityNames[d.Severity], d.Code, d.Range.Start.Line+1, d.Range.Start.Character+1, text))
	}
	slices.Sort(lines)
	return lines
}

// until waits until the server has said what is wanted.
func (s *stage) until(ts *testscript.TestScript, what string, got func() []string, want []string) {
	slices.Sort(want)
	var last []string
	err := s.editor.Wait(func() bool {
		last = got()
		return slices.Equal(last, want)
	})
	if err != nil {
		ts.Fatalf("%s: %v\n got %q\nwant %q\nserver: %s", what, err, last, want, s.editor.Stderr())
	}
}

// diagScene is "diag file line…": waits until the file has these diagnostics and no others.
func diagScene(s *stage, ts *testscript.TestScript, _ bool, args []string) {
	path := ts.MkAbs(args[0])
	want := args[1:]
	s.until(ts, args[0], func() []string {
		return s.diagnosticLines(path, s.editor.DiagnosticsNow(path), s.editor.SliceNow)
	}, want)
}

// createScene opens a file that is not there, with the text of another.
func createScene(s *stage, ts *testscript.TestScript, _ bool, args []string) {
	ts.Check(s.editor.Create(ts.MkAbs(args[0]), ts.ReadFile(args[1])))
}

// replaceScene gives a document the whole text of a file.
func replaceScene(s *stage, ts *testscript.TestScript, _ bool, args []string) {
	ts.Check(s.editor.Replace(ts.MkAbs(args[0]), ts.ReadFile(args[1])))
}

// savingScene sends a command between the word that a file will be saved and the save.
func savingScene(s *stage, ts *testscript.TestScript, _ bool, args []string) {
	path := ts.MkAbs(args[0])
	ts.Check(s.editor.Notify("textDocument/willSave", map[string]any{"textDocument": map[string]any{"uri": editor.URI(path)}, "reason": 1}))
	_, done, err := s.editor.Begin("workspace/executeCommand", map[string]any{"command": args[1]})
	ts.Check(err)
	ts.Check(s.editor.Save(path))
	m := <-done
	if m == nil || m.Error != nil {
		ts.Fatalf("%s: %+v\n%s", args[1], m, s.editor.Stderr())
	}
	s.result = m.Result
}

// cancelScene sends a request and takes it back.
func cancelScene(s *stage, ts *testscript.TestScript, _ bool, args []string) {
	id, done, err := s.editor.Begin(args[0], json.RawMessage(args[1]))
	ts.Check(err)
	ts.Check(s.editor.Notify("$/cancelRequest", map[string]any{"id": id}))
	checkCancelled(s, ts, args[0], <-done)
}

// stopScene sends a command, and ends it by its progress, as a user does with the button there.
func stopScene(s *stage, ts *testscript.TestScript, _ bool, args []string) {
	params := map[string]json.RawMessage{}
	ts.Check(json.Unmarshal([]byte(args[0]), &params))
	if len(args) == 2 {
		params["workDoneToken"] = json.RawMessage(args[1])
	}
	before := len(s.editor.Messages("$/progress"))
	_, done, err := s.editor.Begin("workspace/executeCommand", params)
	ts.Check(err)
	var progress struct {
		Token json.RawMessage
		Value struct {
			Kind, Title string
			Cancellable bool
		}
	}
	ts.Check(s.editor.Wait(func() bool {
		return slices.ContainsFunc(s.editor.MessagesNow("$/progress")[before:], func(m *editor.Message) bool {
			return json.Unmarshal(m.Params, &progress) == nil && progress.Value.Cancellable && strings.HasPrefix(progress.Value.Title, "Limeade: ")
		})
	}))
	ts.Check(s.editor.Notify("window/workDoneProgress/cancel", map[string]any{"token": progress.Token}))
	checkCancelled(s, ts, args[0], <-done)
}

func checkCancelled(s *stage, ts *testscript.TestScript, what string, m *editor.Message) {
	const requestCancelled = -32800
	if m == nil || m.Error == nil || m.Error.Code != requestCancelled {
		ts.Fatalf("%s: %+v\n%s", what, m, s.editor.Stderr())
	}
}

// tokenedScene sends a command with a token for its progress.
func tokenedScene(s *stage, ts *testscript.TestScript, _ bool, args []string) {
	ts.Check(s.editor.Call("workspace/executeCommand", map[string]any{"command": args[0], "workDoneToken": args[1]}, &s.result))
}

// A report is one of the pull model.
type report struct {
	Kind, ResultID, URI string
	Items               []editor.Diagnostic
}

// pulledScene is "pulled file line…": what the server answers when it is asked for a file's diagnostics.
func pulledScene(s *stage, ts *testscript.TestScript, _ bool, args []string) {
	path := ts.MkAbs(args[0])
	params := map[string]any{"textDocument": map[string]any{"uri": editor.URI(path)}}
	var full, again report
	ts.Check(s.editor.Call("textDocument/diagnostic", params, &full))
	want := slices.Sorted(slices.Values(args[1:]))
	if got := s.diagnosticLines(path, full.Items, s.editor.Slice); full.Kind != "full" || !slices.Equal(got, want) {
		ts.Fatalf("%s: %s %q, want %q", args[0], full.Kind, got, want)
	}
	params["previousResultId"] = full.ResultID
	ts.Check(s.editor.Call("textDocument/diagnostic", params, &again))
	if again.Kind != "unchanged" || again.ResultID != full.ResultID {
		ts.Fatalf("%s: asked again: %+v", args[0], again)
	}
}

// workspaceScene is "workspace file line…": the diagnostics of the workspace are, at last, those of one file.
func workspaceScene(s *stage, ts *testscript.TestScript, _ bool, args []string) {
	path := ts.MkAbs(args[0])
	want := slices.Sorted(slices.Values(args[1:]))
	for {
		previous := []map[string]string{}
		for uri, id := range s.known {
			previous = append(previous, map[string]string{"uri": uri, "value": id})
		}
		var all struct{ Items []report }
		ts.Check(s.editor.Call("workspace/diagnostic", map[string]any{"previousResultIds": previous}, &all))
		for _, r := range all.Items {
			if s.known == nil {
				s.known = map[string]string{}
			}
			s.known[r.URI] = r.ResultID
			if got := s.diagnosticLines(path, r.Items, s.editor.Slice); r.URI == editor.URI(path) && slices.Equal(got, want) {
				return
			}
		}
	}
}

func relatedScene(s *stage, ts *testscript.TestScript, _ bool, args []string) {
	path, re := ts.MkAbs(args[0]), regexp.MustCompile(args[2])
	for _, d := range s.editor.Diagnostics(path) {
		for _, r := range d.RelatedInformation {
			rel, err := filepath.Rel(ts.MkAbs("."), editor.Path(r.Location.URI))
			ts.Check(err)
			if text := fmt.Sprintf("%s:%d: %s", rel, r.Location.Range.Start.Line+1, r.Message); string(d.Code) == args[1] && re.MatchString(text) {
				return
			}
		}
	}
	ts.Fatalf("%s: nothing related matches: %+v", args[0], s.editor.Diagnostics(path))
}

// lensScene is "lens file line…": the lenses are "3 hot: refresh", with the line's number.
func lensScene(s *stage, ts *testscript.TestScript, _ bool, args []string) {
	list, err := s.editor.Lenses(ts.MkAbs(args[0]))
	ts.Check(err)
	got := []string{}
	for _, l := range list {
		got = append(got, fmt.Sprintf("%d %s", l.Range.Start.Line+1, l.Command.Title))
	}
	want := slices.Sorted(slices.Values(args[1:]))
	if slices.Sort(got); !slices.Equal(got, want) {
		ts.Fatalf("%s: lenses %q, want %q", args[0], got, want)
	}
}

func (s *stage) actions(ts *testscript.TestScript, file, on string) []editor.Action {
	list, err := s.editor.Actions(ts.MkAbs(file), escapes.Replace(on))
	ts.Check(err)
	return list
}

func actionsScene(s *stage, ts *testscript.TestScript, _ bool, args []string) {
	got := []string{}
	for _, a := range s.actions(ts, args[0], args[1]) {
		got = append(got, a.Title)
	}
	if !slices.Equal(got, args[2:]) {
		ts.Fatalf("actions %q, want %q", got, args[2:])
	}
}

func actionScene(s *stage, ts *testscript.TestScript, _ bool, args []string) {
	list := s.actions(ts, args[0], args[1])
	i := slices.IndexFunc(list, func(a editor.Action) bool { return a.Title == args[2] })
	switch {
	case i < 0:
		ts.Fatalf("no action %q in %+v", args[2], list)
	case list[i].Edit != nil:
		ts.Check(s.editor.Apply(list[i]))
	default:
		result, err := s.editor.Command(list[i].Command.Command, anys(list[i].Command.Arguments)...)
		ts.Check(err)
		s.result = result
	}
}

func anys(list []json.RawMessage) []any {
	var r []any
	for _, m := range list {
		r = append(r, m)
	}
	return r
}

func hoverScene(s *stage, ts *testscript.TestScript, neg bool, args []string) {
	text, err := s.editor.Hover(ts.MkAbs(args[0]), args[1])
	ts.Check(err)
	if regexp.MustCompile(args[2]).MatchString(text) == neg {
		ts.Fatalf("hover %q", text)
	}
}

func commandScene(s *stage, ts *testscript.TestScript, neg bool, args []string) {
	var arguments []any
	if len(args) == 2 {
		arguments = append(arguments, json.RawMessage(os.Expand(args[1], ts.Getenv)))
	}
	result, err := s.editor.Command(args[0], arguments...)
	if (err != nil) != neg {
		ts.Fatalf("%s: %s, %v\n%s", args[0], result, err, s.editor.Stderr())
	}
	if err != nil {
		result, _ = json.Marshal(err.Error())
	}
	s.result = result
	fmt.Fprintf(ts.Stdout(), "%s\n", result)
}

// at returns the value at a path, "edits.0.decl", in JSON; "edits.len" is a length.
func at(data []byte, path string) (string, bool) {
	var v any
	if json.Unmarshal(data, &v) != nil {
		return "", false
	}
	for step := range strings.SplitSeq(path, ".") {
		switch w := v.(type) {
		case map[string]any:
			var ok bool
			if v, ok = w[step]; !ok {
				return "", false
			}
		case []any:
			i, err := strconv.Atoi(step)
			switch {
			case step == "len":
				v = len(w)
			case err != nil || i >= len(w):
				return "", false
			default:
				v = w[i]
			}
		default:
			return "", false
		}
	}
	if s, ok := v.(string); ok {
		return s, true
	}
	text, _ := json.Marshal(v) // it came out of JSON
	return string(text), true
}

// jsonScene is "[!] json path [value]": what the last command or action answered.
func jsonScene(s *stage, ts *testscript.TestScript, neg bool, args []string) {
	got, ok := at(s.result, args[0])
	if len(args) == 2 {
		ok = ok && regexp.MustCompile("^(?:"+args[1]+")$").MatchString(got)
	}
	if ok == neg {
		ts.Fatalf("%s is %s in %s", args[0], got, s.result)
	}
}

// statusScene is "status path value": waits until the status bar says so.
func statusScene(s *stage, ts *testscript.TestScript, _ bool, args []string) {
	s.until(ts, "status "+args[0], func() []string {
		got, ok := at(s.editor.StatusNow(), args[0])
		if !ok {
			got = "no " + args[0] + " in " + string(s.editor.StatusNow())
		}
		return []string{got}
	}, []string{args[1]})
}

// askedScene is "asked regexp [answer]": waits until the server asks the user something, and answers.
func askedScene(s *stage, ts *testscript.TestScript, _ bool, args []string) {
	err := s.editor.Wait(func() bool { return len(s.editor.WaitingNow()) > 0 })
	ts.Check(err)
	var text string
	ts.Check(s.editor.Wait(func() bool { text = string(s.editor.WaitingNow()[0].Params); return true }))
	if !regexp.MustCompile(args[0]).MatchString(text) {
		ts.Fatalf("the server asks %s", text)
	}
	answer := ""
	if len(args) == 2 {
		answer = args[1]
	}
	ts.Check(s.editor.Answer(answer))
}

// silentScene makes sure that the server has seen all, and has said nothing about it to the user.
func silentScene(s *stage, ts *testscript.TestScript, _ bool, _ []string) {
	_, err := s.editor.Lenses("/nowhere.go")
	ts.Check(err)
	for _, method := range []string{"textDocument/publishDiagnostics", "window/showMessage", "window/showMessageRequest", "window/logMessage"} {
		for _, m := range s.editor.Messages(method) {
			ts.Fatalf("the server said %s %s", m.Method, m.Params)
		}
	}
	if text := s.editor.Stderr(); text != "" {
		ts.Fatalf("the server logged %s", text)
	}
}

// outputScene waits until a program that the editor has started has printed something.
func outputScene(s *stage, ts *testscript.TestScript, _ bool, args []string) {
	re := regexp.MustCompile(args[0])
	var text string
	err := s.editor.Wait(func() bool {
		text = ""
		for _, m := range s.editor.MessagesNow("limeade/output") {
			t, _ := at(m.Params, "text")
			text += t
			if code, ok := at(m.Params, "exit"); ok {
				text += "exit " + code + "\n"
			}
		}
		for _, m := range s.editor.MessagesNow("window/logMessage") {
			t, _ := at(m.Params, "message")
			text += t
		}
		return re.MatchString(text)
	})
	if err != nil {
		ts.Fatalf("%v\n%s", err, text)
	}
}

func notifyScene(s *stage, ts *testscript.TestScript, _ bool, args []string) {
	ts.Check(s.editor.Notify(args[0], json.RawMessage(os.Expand(args[1], ts.Getenv))))
}

// callsScene waits until the server has sent a request or notification with parameters that match.
func callsScene(s *stage, ts *testscript.TestScript, _ bool, args []string) {
	re := regexp.MustCompile(args[1])
	ts.Check(s.editor.Wait(func() bool {
		return slices.ContainsFunc(s.editor.MessagesNow(args[0]), func(m *editor.Message) bool { return re.Match(m.Params) })
	}))
}

// exitScene ends the editor, which must have found nothing wrong with what it was sent.
func exitScene(s *stage, ts *testscript.TestScript, _ bool, _ []string) {
	ts.Check(s.editor.Wrong())
	code, err := s.editor.Exit()
	ts.Check(err)
	if code != 0 {
		ts.Fatalf("exit code %d\n%s", code, s.editor.Stderr())
	}
	s.editor = nil
}

func crashScene(s *stage, ts *testscript.TestScript, _ bool, args []string) {
	ts.Check(s.editor.Wrong())
	if args[0] == "kill" {
		s.editor.Kill()
	} else {
		code, err := s.editor.Close()
		ts.Check(err)
		if code != 1 {
			ts.Fatalf("exit code %d\n%s", code, s.editor.Stderr())
		}
	}
	s.editor = nil
}

// aliveScene reports whether a process runs whose command line has a text.
func aliveScene(_ *stage, ts *testscript.TestScript, neg bool, args []string) {
	out, err := exec.Command("pgrep", "-f", "--", args[0]).Output()
	if (err == nil) == neg {
		ts.Fatalf("processes: %s", out)
	}
}
