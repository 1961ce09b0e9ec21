package server

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"slices"

	"go.lsp.dev/protocol"
	"go.lsp.dev/uri"

	"github.com/limeade-go/limeade/analysis/edit"
	"github.com/limeade-go/limeade/server/session"
)

// source is who the diagnostics are from.
const source = "limeade"

// explanation is where a code is explained. The page has an anchor for each.
const explanation = "https://github.com/limeade-go/limeade/blob/main/analysis/EDITS.md#"

// diagnostics returns what there is to say of a file of a view: of edits that need a restart, and of those that are not
// quite what they seem. What is not saved yet is a hint only.
func (s *Server) diagnostics(v *view, path string) []protocol.Diagnostic {
	list := []protocol.Diagnostic{}
	f := v.files[path]
	restart := severities[s.currentSettings().Severity]
	if f == nil {
		return list
	}
	for _, e := range f.edits {
		severity := protocol.DiagnosticSeverityInformation
		switch e.Verdict {
		case edit.Hot.String():
			continue
		case edit.Restart.String():
			severity = restart
		}
		if severity == 0 {
			continue
		}
		if !e.saved {
			severity = protocol.DiagnosticSeverityHint
		}
		d := protocol.Diagnostic{
			Range:           s.encoding.Range(f.content, e.Start, e.End),
			Severity:        severity,
			Code:            protocol.String(e.Code),
			CodeDescription: protocol.CodeDescription{Href: uri.URI(explanation + e.Code)},
			Source:          protocol.NewOptional(source),
			Message:         protocol.String(e.Message),
		}
		if e.Old != nil && s.client.relatedInformation {
			d.RelatedInformation = []protocol.DiagnosticRelatedInformation{{
				Location: s.oldLocation(v, &e),
				Message:  "the program runs: " + firstLine(e.Old),
			}}
		}
		list = append(list, d)
	}
	return list
}

// oldLocation is where the declaration that a process runs stands now; if it is not there any more, where it stood, or
// as near to that as the file goes.
func (s *Server) oldLocation(v *view, e *pendingEdit) protocol.Location {
	if e.Old.Path == e.Path {
		return protocol.Location{URI: s.uriOf(e.Path), Range: s.encoding.Range(e.Content, e.Start, e.End)}
	}
	content := e.Old.Content
	if d := v.docs[e.Old.Path]; d != nil {
		content = d.Content
	}
	start := min(e.Old.Start, len(content))
	end := min(e.Old.End, len(content))
	return protocol.Location{URI: s.uriOf(e.Old.Path), Range: s.encoding.Range(content, start, end)}
}

// firstLine is the line in which a declaration names itself.
func firstLine(p *session.Place) string {
	line := p.Content[bytes.LastIndexByte(p.Content[:p.Start], '\n')+1:]
	if i := bytes.IndexByte(line, '\n'); i >= 0 {
		line = line[:i]
	}
	return string(bytes.TrimSpace(line))
}

// publish sends the diagnostics of all files where they are not what the client has.
func (s *Server) publish(v *view) {
	paths := make([]string, 0, len(v.files)+len(s.published))
	for path := range v.files {
		paths = append(paths, path)
	}
	for path := range s.published {
		if v.files[path] == nil {
			paths = append(paths, path)
		}
	}
	slices.Sort(paths)
	for _, path := range paths {
		p := &protocol.PublishDiagnosticsParams{URI: s.uriOf(path), Diagnostics: s.diagnostics(v, path)}
		digest := digestOf(p.Diagnostics)
		if digest == s.published[path] || len(p.Diagnostics) == 0 && s.published[path] == "" {
			continue
		}
		if s.published[path] = digest; len(p.Diagnostics) == 0 {
			delete(s.published, path)
		}
		if f := v.files[path]; f != nil && f.open && s.client.versions {
			p.Version = protocol.NewOptional(f.version)
		}
		s.notify(protocol.MethodTextDocumentPublishDiagnostics, p)
	}
}

// digestOf names a list of diagnostics: equal digests, equal lists.
func digestOf(list []protocol.Diagnostic) string {
	h := sha256.New()
	for i := range list {
		data, err := protocol.Marshal(&list[i])
		if err != nil {
			data = []byte(err.Error())
		}
		h.Write(data)
	}
	return hex.EncodeToString(h.Sum(nil)[:16])
}

func (s *Server) documentDiagnostic(ctx context.Context, p *protocol.DocumentDiagnosticParams) (protocol.DocumentDiagnosticReport, error) {
	v, err := s.observer.current(ctx)
	if err != nil {
		return nil, err
	}
	list := s.diagnostics(v, pathOf(p.TextDocument.URI))
	id := digestOf(list)
	if p.PreviousResultID != nil && *p.PreviousResultID == id {
		return &protocol.RelatedUnchangedDocumentDiagnosticReport{
			UnchangedDocumentDiagnosticReport: protocol.UnchangedDocumentDiagnosticReport{Kind: "unchanged", ResultID: id},
		}, nil
	}
	return &protocol.RelatedFullDocumentDiagnosticReport{
		FullDocumentDiagnosticReport: protocol.FullDocumentDiagnosticReport{Kind: "full", ResultID: ptr(id), Items: list},
	}, nil
}

// workspaceDiagnostic answers when there is something that the client does not have yet: it asks again at once.
func (s *Server) workspaceDiagnostic(ctx context.Context, p *protocol.WorkspaceDiagnosticParams) (*protocol.WorkspaceDiagnosticReport, error) {
	known := map[string]string{}
	for _, r := range p.PreviousResultIds {
		known[pathOf(r.URI)] = r.Value
	}
	v, err := s.observer.current(ctx)
	for err == nil {
		if items := s.newDiagnostics(v, known); len(items) > 0 {
			return &protocol.WorkspaceDiagnosticReport{Items: items}, nil
		}
		v, err = s.observer.after(ctx, v)
	}
	return nil, err
}

// newDiagnostics reports the files of which the client has other diagnostics than those of a view.
func (s *Server) newDiagnostics(v *view, known map[string]string) []protocol.WorkspaceDocumentDiagnosticReport {
	items := []protocol.WorkspaceDocumentDiagnosticReport{}
	report := func(path string) {
		list := s.diagnostics(v, path)
		id := digestOf(list)
		if id == known[path] || len(list) == 0 && known[path] == "" {
			return
		}
		r := &protocol.WorkspaceFullDocumentDiagnosticReport{
			FullDocumentDiagnosticReport: protocol.FullDocumentDiagnosticReport{Kind: "full", ResultID: ptr(id), Items: list},
			URI:                          s.uriOf(path),
		}
		if f := v.files[path]; f != nil && f.open {
			r.Version = ptr(f.version)
		}
		items = append(items, r)
	}
	for path := range v.files {
		report(path)
	}
	for path := range known {
		if v.files[path] == nil {
			report(path)
		}
	}
	return items
}
