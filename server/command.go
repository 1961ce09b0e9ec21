package server

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"go.lsp.dev/jsonrpc2"
	"go.lsp.dev/protocol"

	"github.com/limeade-go/limeade/analysis/edit"
	"github.com/limeade-go/limeade/server/session"
	"github.com/limeade-go/limeade/server/text"
)

// The commands of workspace/executeCommand. Each takes at most one object, [Arguments], and answers as the subcommand of
// the same name does with --json.
const (
	commandRun      = "limeade.lsp.run"
	commandRefresh  = "limeade.lsp.refresh"
	commandCheck    = "limeade.lsp.check"
	commandRollback = "limeade.lsp.rollback"
	commandRestart  = "limeade.lsp.restart"
	commandStatus   = "limeade.lsp.status"
	commandExplain  = "limeade.lsp.explain"
)

func commandNames() []string {
	return []string{commandRun, commandRefresh, commandCheck, commandRollback, commandRestart, commandStatus, commandExplain}
}

// Arguments are those of all commands. All may be left out in a workspace with one main package.
type Arguments struct {
	Dir     string   `json:"dir,omitempty"`     // the workspace is the one around it
	Package string   `json:"package,omitempty"` // of run: the main package, as for go build
	Flags   []string `json:"flags,omitempty"`   // of run: go build's
	Args    []string `json:"args,omitempty"`    // of run: the program's
	PID     int      `json:"pid,omitempty"`
	Code    string   `json:"code,omitempty"` // of explain
	Rest    bool     `json:"rest,omitempty"` // of refresh: leave out what needs a restart
	Trial   duration `json:"trial,omitzero"` // of refresh: how long it is on trial
	session.Wishes
}

// A duration is as package time writes it: "5s".
type duration time.Duration

func (d *duration) UnmarshalText(text []byte) error {
	of, err := time.ParseDuration(string(text))
	if err == nil && of < 0 {
		err = fmt.Errorf("%v is less than nothing", of)
	}
	*d = duration(of)
	return err
}

func (d duration) MarshalText() ([]byte, error) { return []byte(time.Duration(d).String()), nil }

// An Explanation is the answer of explain.
type Explanation struct {
	Code    string `json:"code"`
	Kind    string `json:"kind"`
	Verdict string `json:"verdict"`
	Text    string `json:"text"`
}

func (s *Server) executeCommand(ctx context.Context, p *protocol.ExecuteCommandParams) (protocol.LSPAny, error) {
	var args Arguments
	if len(p.Arguments) > 1 {
		return nil, fmt.Errorf("%w: %s takes one object", jsonrpc2.ErrInvalidParams, p.Command)
	}
	if len(p.Arguments) == 1 {
		if err := json.Unmarshal(p.Arguments[0], &args); err != nil {
			return nil, fmt.Errorf("%w: %w", jsonrpc2.ErrInvalidParams, err)
		}
	}
	if args.Dir != "" && !filepath.IsAbs(args.Dir) {
		return nil, fmt.Errorf("%w: dir %q is not absolute", jsonrpc2.ErrInvalidParams, args.Dir)
	}
	name, known := strings.CutPrefix(p.Command, "limeade.lsp.")
	if !known || !slices.Contains(commandNames(), p.Command) {
		return nil, fmt.Errorf("%w: no command %q", jsonrpc2.ErrInvalidParams, p.Command)
	}
	var result any
	var err error
	s.withProgress(ctx, p.WorkDoneToken, "Limeade: "+name, func(ctx context.Context) {
		switch p.Command {
		case commandStatus:
			result, err = s.statusCommand(ctx, args)
		case commandExplain:
			result, err = s.explain(args)
		case commandCheck:
			result = s.query(ctx, session.Check, args)
		case commandRun:
			result = s.act(ctx, name, func() *session.Answer { return s.run(ctx, args) })
		default:
			result = s.act(ctx, name, func() *session.Answer {
				s.awaitSaves(ctx)
				return s.query(ctx, session.Verb(name), args)
			})
		}
		if err == nil {
			err = ctx.Err()
		}
	})
	if err != nil {
		return nil, err
	}
	return json.Marshal(result)
}

// act does what changes a process, tells the client how it goes, and says what was not done and why.
func (s *Server) act(ctx context.Context, name string, do func() *session.Answer) *session.Answer {
	s.begin(name)
	a := session.Failed(0, fmt.Errorf("%s failed inside limeade-lsp; its log says more", name)) // if do panics
	defer func() {
		s.observer.note(processesChanged)
		s.finish(name, a)
		if ctx.Err() == nil && a.Error != nil {
			go s.guard("message", func() { s.complain(name, a) })
		}
	}()
	a = do()
	return a
}

// query asks about the processes of the workspace.
func (s *Server) query(ctx context.Context, verb session.Verb, args Arguments) *session.Answer {
	q := s.about(verb, args)
	reply, err := s.session.Ask(ctx, q)
	if err != nil {
		return session.Failed(args.PID, err)
	}
	return reply.Answer(q)
}

// about makes a query about the whole workspace, or about what the arguments name.
func (s *Server) about(verb session.Verb, args Arguments) session.Query {
	q := session.Query{Verb: verb, PID: args.PID, Rest: args.Rest, Wishes: args.Wishes, Trial: time.Duration(args.Trial), Dirs: []string{args.Dir}}
	if args.Dir == "" {
		q.Dirs = s.dirs()
	}
	return q
}

func (s *Server) statusCommand(ctx context.Context, args Arguments) (*session.Status, error) {
	reply, err := s.session.Ask(ctx, s.about(session.GetState, args))
	if err != nil {
		return nil, err
	}
	return reply.Status(), nil
}

func (s *Server) explain(args Arguments) (*Explanation, error) {
	kind, ok := edit.ByCode(args.Code)
	if !ok {
		return nil, fmt.Errorf("%w: %q is not a code; they look like %s", jsonrpc2.ErrInvalidParams, args.Code, edit.FuncBody.Code())
	}
	return &Explanation{Code: kind.Code(), Kind: kind.String(), Verdict: kind.Verdict().String(), Text: kind.Explain()}, nil
}

// savePatience is how long a save that was announced is waited for.
const savePatience = 2 * time.Second

// awaitSaves waits until what the client began to save is on disk.
func (s *Server) awaitSaves(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, savePatience)
	defer cancel()
	s.mu.Lock()
	var saves []chan struct{}
	for _, c := range s.saving {
		saves = append(saves, c)
	}
	s.mu.Unlock()
	for _, c := range saves {
		select {
		case <-c:
		case <-ctx.Done():
			return
		}
	}
}

// refreshOnSave makes a save live.
func (s *Server) refreshOnSave() {
	ctx := context.Background()
	v, err := s.observer.current(ctx)
	if err != nil || !slices.ContainsFunc(v.programs, func(p programView) bool { return len(p.status.Pending) > 0 }) {
		return
	}
	s.withProgress(ctx, nil, "Limeade: refresh", func(ctx context.Context) {
		s.act(ctx, string(session.Refresh), func() *session.Answer { return s.query(ctx, session.Refresh, Arguments{}) })
	})
}

// complain says in one message what was not done and why, with what can be done about it.
func (s *Server) complain(name string, a *session.Answer) {
	const restart, show = "Restart", "Show"
	p := &protocol.ShowMessageRequestParams{Type: protocol.MessageTypeError, Message: "Limeade: " + a.Error.Message}
	var place *protocol.Location
	restarts := name == string(session.Refresh) && a.PID != 0
	switch a.Error.Kind {
	case session.FailureRefused:
		p.Type = protocol.MessageTypeWarning
		place = s.placeOfEdits(a)
	case session.FailureSource:
		restarts = false // that would not compile either
		if len(a.Error.Source) > 0 {
			e := a.Error.Source[0]
			p.Message += fmt.Sprintf(": %s:%d: %s", e.File, e.Line, e.Message)
			place = s.placeOf(a.PID, e.File, e.Line, e.Column)
		}
	case session.FailureTrial:
		restarts = false // that would run what failed
		place = s.placeOfEdits(a)
	case session.FailureProcess:
		place = s.placeOfEdits(a)
	}
	if restarts {
		p.Actions = append(p.Actions, protocol.MessageActionItem{Title: restart})
	}
	if place != nil {
		p.Actions = append(p.Actions, protocol.MessageActionItem{Title: show})
	}
	var chosen *protocol.MessageActionItem
	if err := protocol.Call(context.Background(), s.conn, protocol.MethodWindowShowMessageRequest, p, &chosen); err != nil || chosen == nil {
		return
	}
	switch chosen.Title {
	case restart:
		ctx := context.Background()
		s.withProgress(ctx, nil, "Limeade: restart", func(ctx context.Context) {
			s.act(ctx, string(session.Restart), func() *session.Answer {
				return s.query(ctx, session.Restart, Arguments{PID: a.PID})
			})
		})
	case show:
		s.ask(protocol.MethodWindowShowDocument, &protocol.ShowDocumentParams{URI: place.URI, TakeFocus: ptr(true), Selection: &place.Range})
	}
}

// placeOfEdits is where the first edit stands that needs a restart; if there is none, the first one that is not live.
func (s *Server) placeOfEdits(a *session.Answer) *protocol.Location {
	if len(a.Edits) == 0 {
		return nil
	}
	e := a.Edits[max(0, slices.IndexFunc(a.Edits, func(e session.Edit) bool { return e.Verdict == edit.Restart.String() }))]
	return s.placeOf(a.PID, e.File, e.Line, e.Column)
}

// placeOf finds a file of a running program, of any if pid is 0, by the path that answers have; nil if there is none.
func (s *Server) placeOf(pid int, file string, line, column int) *protocol.Location {
	v, err := s.observer.current(context.Background()) // the command may be the first that is heard of the program
	if err != nil {
		return nil
	}
	for _, p := range v.programs {
		if pid != 0 && p.live.PID() != pid {
			continue
		}
		path := p.live.Path(file)
		content, err := v.content(path)
		if err != nil {
			continue
		}
		at := s.encoding.Position(content, text.Offset(content, line, column))
		return &protocol.Location{URI: s.uriOf(path), Range: protocol.Range{Start: at, End: at}}
	}
	return nil
}

// content is the text of a file: of its document, if it is open.
func (v *view) content(path string) ([]byte, error) {
	if d := v.docs[path]; d != nil {
		return d.Content, nil
	}
	return os.ReadFile(path)
}
