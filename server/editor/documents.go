package editor

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"sort"
	"strings"
	"unicode/utf16"
)

// A Position, Range, Diagnostic, Lens and so on are those of the protocol.
type (
	Position struct {
		Line      int `json:"line"`
		Character int `json:"character"`
	}
	Range struct {
		Start Position `json:"start"`
		End   Position `json:"end"`
	}
	Diagnostic struct {
		Range           Range `json:"range"`
		Severity        int   `json:"severity"`
		Code            Code  `json:"code"`
		CodeDescription struct {
			Href string `json:"href"`
		} `json:"codeDescription"`
		Source             string `json:"source"`
		Message            string `json:"message"`
		RelatedInformation []struct {
			Location Location `json:"location"`
			Message  string   `json:"message"`
		} `json:"relatedInformation,omitempty"`
	}
	Location struct {
		URI   string `json:"uri"`
		Range Range  `json:"range"`
	}
	Command struct {
		Title     string            `json:"title"`
		Command   string            `json:"command"`
		Arguments []json.RawMessage `json:"arguments"`
	}
	Lens struct {
		Range   Range   `json:"range"`
		Command Command `json:"command"`
	}
	Action struct {
		Title       string       `json:"title"`
		Kind        string       `json:"kind"`
		Diagnostics []Diagnostic `json:"diagnostics"`
		Command     *Command     `json:"command"`
		Edit        *struct {
			Changes         map[string][]TextEdit `json:"changes"`
			DocumentChanges []struct {
				TextDocument struct {
					URI     string `json:"uri"`
					Version int    `json:"version"`
				} `json:"textDocument"`
				Edits []TextEdit `json:"edits"`
			} `json:"documentChanges"`
		} `json:"edit"`
	}
	TextEdit struct {
		Range   Range  `json:"range"`
		NewText string `json:"newText"`
	}
)

// A Code is that of a diagnostic. Other servers have numbers.
type Code string

// UnmarshalJSON reads a string or a number.
func (c *Code) UnmarshalJSON(data []byte) error {
	var s string
	if json.Unmarshal(data, &s) != nil {
		s = string(data)
	}
	*c = Code(s)
	return nil
}

type document struct {
	version int
	text    string
}

// URI names a file.
func URI(path string) string { return (&url.URL{Scheme: "file", Path: path}).String() }

// Path is that of a file's URI.
func Path(uri string) string {
	u, err := url.Parse(uri)
	if err != nil {
		return uri
	}
	return u.Path
}

// Open opens a file.
func (e *Editor) Open(path string) error {
	data, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	return e.Create(path, string(data))
}

// Create opens a file that need not be there, with a text of its own.
func (e *Editor) Create(path, text string) error {
	e.mu.Lock()
	e.docs[path] = &document{1, text}
	e.mu.Unlock()
	return e.Notify("textDocument/didOpen", map[string]any{"textDocument": map[string]any{
		"uri": URI(path), "languageId": "go", "version": 1, "text": text,
	}})
}

// Text is the text of an open document.
func (e *Editor) Text(path string) (string, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	d := e.docs[path]
	if d == nil {
		return "", fmt.Errorf("%s is not open", path)
	}
	return d.text, nil
}

// Type replaces the one place in which a text stands; the file stays as it is.
func (e *Editor) Type(path, old, text string) error {
	e.mu.Lock()
	d := e.docs[path]
	if d == nil || strings.Count(d.text, old) != 1 {
		e.mu.Unlock()
		return fmt.Errorf("%s is not open, or does not have %q once", path, old)
	}
	at := strings.Index(d.text, old)
	change := TextEdit{e.rangeOf(d.text, at, at+len(old)), text}
	d.text = d.text[:at] + text + d.text[at+len(old):]
	d.version++
	version := d.version
	e.mu.Unlock()
	return e.change(path, version, change)
}

func (e *Editor) change(path string, version int, changes ...TextEdit) error {
	var list []map[string]any
	for _, c := range changes {
		list = append(list, map[string]any{"range": c.Range, "text": c.NewText})
	}
	return e.Notify("textDocument/didChange", map[string]any{
		"textDocument": map[string]any{"uri": URI(path), "version": version}, "contentChanges": list,
	})
}

// Replace replaces the whole text of a document, without saying where.
func (e *Editor) Replace(path, text string) error {
	e.mu.Lock()
	d := e.docs[path]
	d.text = text
	d.version++
	version := d.version
	e.mu.Unlock()
	return e.Notify("textDocument/didChange", map[string]any{
		"textDocument":   map[string]any{"uri": URI(path), "version": version},
		"contentChanges": []map[string]any{{"text": text}},
	})
}

// Save writes a document to its file, as editors do: into a new file that takes its place.
func (e *Editor) Save(path string) error {
	text, err := e.Text(path)
	if err != nil {
		return err
	}
	id := map[string]any{"textDocument": map[string]any{"uri": URI(path)}}
	if err := e.Notify("textDocument/willSave", map[string]any{"textDocument": id["textDocument"], "reason": 1}); err != nil {
		return err
	}
	tmp := filepath.Join(filepath.Dir(path), "."+filepath.Base(path)+"~")
	if err := os.WriteFile(tmp, []byte(text), 0o666); err != nil {
		return err
	}
	if err := os.Rename(tmp, path); err != nil {
		return err
	}
	return e.Notify("textDocument/didSave", id)
}

// CloseDocument closes a document; what was not saved is lost.
func (e *Editor) CloseDocument(path string) error {
	e.mu.Lock()
	delete(e.docs, path)
	e.mu.Unlock()
	return e.Notify("textDocument/didClose", map[string]any{"textDocument": map[string]any{"uri": URI(path)}})
}

// width is how much a rune counts in a line.
func (e *Editor) width(r rune) int {
	if e.encoding == "utf-8" {
		return len(string(r))
	}
	return utf16.RuneLen(r)
}

func (e *Editor) position(text string, offset int) Position {
	before := text[:offset]
	p := Position{Line: strings.Count(before, "\n")}
	for _, r := range before[strings.LastIndexByte(before, '\n')+1:] {
		p.Character += e.width(r)
	}
	return p
}

func (e *Editor) rangeOf(text string, start, end int) Range {
	return Range{e.position(text, start), e.position(text, end)}
}

// offset is where a position is in a text; an error says that it is at no place of it.
func (e *Editor) offset(text string, p Position) (int, error) {
	at := 0
	for range p.Line {
		i := strings.IndexByte(text[at:], '\n')
		if i < 0 {
			return 0, fmt.Errorf("no line %d", p.Line)
		}
		at += i + 1
	}
	left := p.Character
	for _, r := range text[at:] {
		if left <= 0 || r == '\n' {
			break
		}
		left -= e.width(r)
		at += len(string(r))
	}
	if left != 0 {
		return 0, fmt.Errorf("no character %d in line %d", p.Character, p.Line)
	}
	return at, nil
}

// Slice is the text of a range in an open document, or else in a file.
func (e *Editor) Slice(path string, r Range) (string, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.SliceNow(path, r)
}

// UnmarshalJSON reads a code action, or a command in the place of one.
func (a *Action) UnmarshalJSON(data []byte) error {
	var c Command
	if json.Unmarshal(data, &c) == nil && c.Command != "" {
		a.Title, a.Command = c.Title, &c
		return nil
	}
	type plain Action
	return json.Unmarshal(data, (*plain)(a))
}

// Apply changes documents as an action says, opening what is not open.
func (e *Editor) Apply(a Action) error {
	if a.Edit == nil {
		return errors.New("the action has no edit")
	}
	changes := a.Edit.Changes
	if changes == nil {
		changes = map[string][]TextEdit{}
	}
	for _, c := range a.Edit.DocumentChanges {
		changes[c.TextDocument.URI] = append(changes[c.TextDocument.URI], c.Edits...)
	}
	for uri, edits := range changes {
		path := Path(uri)
		text, err := e.Text(path)
		if err != nil {
			if err := e.Open(path); err != nil {
				return err
			}
			text, _ = e.Text(path)
		}
		sort.SliceStable(edits, func(i, j int) bool { return edits[i].Range.Start.Line > edits[j].Range.Start.Line })
		for _, c := range edits {
			start, err := e.offset(text, c.Range.Start)
			if err != nil {
				return err
			}
			end, err := e.offset(text, c.Range.End)
			if err != nil {
				return err
			}
			text = text[:start] + c.NewText + text[end:]
		}
		e.mu.Lock()
		d := e.docs[path]
		d.text = text
		d.version++
		version := d.version
		e.mu.Unlock()
		if err := e.change(path, version, edits...); err != nil {
			return err
		}
	}
	return nil
}

// at is the parameter of a request about a document.
func at(path string, more map[string]any) map[string]any {
	if more == nil {
		more = map[string]any{}
	}
	more["textDocument"] = map[string]any{"uri": URI(path)}
	return more
}

// Lenses asks for code lenses.
func (e *Editor) Lenses(path string) ([]Lens, error) {
	var list []Lens
	err := e.Call("textDocument/codeLens", at(path, nil), &list)
	return list, err
}

// Actions asks for the code actions on a text that stands once in the document.
func (e *Editor) Actions(path, on string) ([]Action, error) {
	text, err := e.Text(path)
	if err != nil {
		return nil, err
	}
	i := strings.Index(text, on)
	if i < 0 {
		return nil, fmt.Errorf("%s does not have %q", path, on)
	}
	diagnostics := []Diagnostic{}
	for _, d := range e.Diagnostics(path) {
		if s, err := e.Slice(path, d.Range); err == nil && strings.Contains(on, s) {
			diagnostics = append(diagnostics, d)
		}
	}
	var list []Action
	err = e.Call("textDocument/codeAction", at(path, map[string]any{
		"range": e.rangeOf(text, i, i+len(on)), "context": map[string]any{"diagnostics": diagnostics},
	}), &list)
	return list, err
}

// Hover asks for what is to be said of a text that stands in the document.
func (e *Editor) Hover(path, on string) (string, error) {
	text, err := e.Text(path)
	if err != nil {
		return "", err
	}
	i := strings.Index(text, on)
	if i < 0 {
		return "", fmt.Errorf("%s does not have %q", path, on)
	}
	var h *struct{ Contents struct{ Value string } }
	if err := e.Call("textDocument/hover", at(path, map[string]any{"position": e.position(text, i)}), &h); err != nil || h == nil {
		return "", err
	}
	return h.Contents.Value, nil
}

// Diagnostics are those that the server sent for a file.
func (e *Editor) Diagnostics(path string) []Diagnostic {
	e.mu.Lock()
	defer e.mu.Unlock()
	return slices.Clone(e.diagnostics[path])
}

// DiagnosticsNow is Diagnostics for a condition of Wait.
func (e *Editor) DiagnosticsNow(path string) []Diagnostic { return e.diagnostics[path] }

// StatusNow is the parameter of the last limeade/status, for a condition of Wait.
func (e *Editor) StatusNow() json.RawMessage { return e.status }

// WaitingNow are the questions that nobody has answered yet, for a condition of Wait.
func (e *Editor) WaitingNow() []*Message { return e.waiting }

// Command has the server carry out a command.
func (e *Editor) Command(name string, arguments ...any) (json.RawMessage, error) {
	var result json.RawMessage
	err := e.Call("workspace/executeCommand", map[string]any{"command": name, "arguments": arguments}, &result)
	return result, err
}

// Answer answers the oldest question that waits; "" dismisses it.
func (e *Editor) Answer(title string) error {
	e.mu.Lock()
	if len(e.waiting) == 0 {
		e.mu.Unlock()
		return errors.New("nothing was asked")
	}
	m := e.waiting[0]
	e.waiting = e.waiting[1:]
	e.mu.Unlock()
	result := json.RawMessage("null")
	if title != "" {
		result, _ = json.Marshal(map[string]string{"title": title}) // a string can be written
	}
	return e.send(&Message{ID: m.ID, Result: result})
}

// SliceNow is Slice for a condition of Wait.
func (e *Editor) SliceNow(path string, r Range) (string, error) {
	d := e.docs[path]
	if d == nil {
		data, err := os.ReadFile(path)
		if err != nil {
			return "", err
		}
		d = &document{text: string(data)}
	}
	return e.slice(d.text, r)
}

func (e *Editor) slice(text string, r Range) (string, error) {
	start, err := e.offset(text, r.Start)
	if err != nil {
		return "", err
	}
	end, err := e.offset(text, r.End)
	if err != nil {
		return "", err
	}
	return text[start:end], nil
}

// MessagesNow is Messages for a condition of Wait.
func (e *Editor) MessagesNow(method string) []*Message {
	return slices.DeleteFunc(slices.Clone(e.messages), func(m *Message) bool { return m.Method != method })
}
