package server

import (
	"context"
	"slices"

	"go.lsp.dev/protocol"
	"go.lsp.dev/uri"

	"github.com/limeade-go/limeade/analysis/edit"
)

// codeAction offers what can be done about the edits in a range that need a restart, or that have a caveat.
func (s *Server) codeAction(ctx context.Context, p *protocol.CodeActionParams) ([]protocol.CommandOrCodeAction, error) {
	list := []protocol.CommandOrCodeAction{}
	if len(p.Context.Only) > 0 && !slices.ContainsFunc(p.Context.Only, func(k protocol.CodeActionKind) bool {
		return k == protocol.CodeActionKindEmpty || k == protocol.CodeActionKindQuickFix
	}) {
		return list, nil
	}
	v, err := s.observer.current(ctx)
	if err != nil {
		return nil, err
	}
	path := pathOf(p.TextDocument.URI)
	f := v.files[path]
	if f == nil {
		return list, nil
	}
	from, to := s.encoding.At(f.content, p.Range.Start), s.encoding.At(f.content, p.Range.End)
	diagnostics := s.diagnostics(v, path)
	for _, e := range f.edits {
		if to < e.Start || e.End < from || e.Verdict == edit.Hot.String() {
			continue
		}
		var about []protocol.Diagnostic
		for _, d := range diagnostics {
			if d.Range == s.encoding.Range(f.content, e.Start, e.End) && d.Code == protocol.String(e.Code) {
				about = append(about, d)
			}
		}
		add := func(a protocol.CodeAction) {
			a.Kind, a.Diagnostics = ptr(protocol.CodeActionKindQuickFix), about
			if !s.client.codeActionLiterals {
				if a.Command.Command != "" {
					list = append(list, &a.Command)
				}
				return
			}
			list = append(list, &a)
		}
		run := func(title, name string, args Arguments) {
			add(protocol.CodeAction{Title: title, Command: command(title, name, args)})
		}
		if e.Verdict == edit.Restart.String() {
			run("Limeade: restart the program now", commandRestart, Arguments{PID: v.only(&e)})
			if v.rest() {
				run("Limeade: refresh the rest", commandRefresh, Arguments{Rest: true})
			}
		}
		if e.Undo != nil {
			add(protocol.CodeAction{
				Title: "Limeade: undo this declaration to what is running",
				Edit:  s.undo(f, &e),
			})
		}
		run("Limeade: explain "+e.Code, commandExplain, Arguments{Code: e.Code})
	}
	return list, nil
}

// rest reports whether edits are pending that could be made live if those that need a restart were not there.
func (v *view) rest() bool {
	return slices.ContainsFunc(v.programs, func(p programView) bool {
		return slices.ContainsFunc(p.pending, func(e pendingEdit) bool { return e.Verdict != edit.Restart.String() })
	})
}

// only returns the one process for which an edit is pending, 0 if there are several.
func (v *view) only(e *pendingEdit) int {
	pid := 0
	for _, p := range v.programs {
		if !slices.ContainsFunc(p.pending, func(o pendingEdit) bool { return o.Decl == e.Decl && o.Code == e.Code }) {
			continue
		}
		if pid != 0 {
			return 0
		}
		pid = p.status.PID
	}
	return pid
}

// undo is the edit that makes a declaration what the program runs.
func (s *Server) undo(f *fileView, e *pendingEdit) *protocol.WorkspaceEdit {
	change := protocol.TextEdit{Range: s.encoding.Range(f.content, e.Undo.Start, e.Undo.End), NewText: e.Undo.Text}
	u := s.uriOf(f.path)
	if !s.client.documentChanges || !f.open {
		return &protocol.WorkspaceEdit{Changes: map[uri.URI][]protocol.TextEdit{u: {change}}}
	}
	return &protocol.WorkspaceEdit{DocumentChanges: []protocol.DocumentChange{&protocol.TextDocumentEdit{
		TextDocument: protocol.OptionalVersionedTextDocumentIdentifier{
			TextDocumentIdentifier: protocol.TextDocumentIdentifier{URI: u}, Version: ptr(f.version),
		},
		Edits: []protocol.TextDocumentEditElement{&change},
	}}}
}
