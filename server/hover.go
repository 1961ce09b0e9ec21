package server

import (
	"context"
	"fmt"
	"strings"
	"time"

	"go.lsp.dev/protocol"

	"github.com/limeade-go/limeade/server/session"
)

// hover says of a declaration which generation it is of, when that went live, and who is still in older code.
func (s *Server) hover(ctx context.Context, p *protocol.HoverParams) (*protocol.Hover, error) {
	v, err := s.observer.current(ctx)
	if err != nil {
		return nil, err
	}
	path := pathOf(p.TextDocument.URI)
	d := v.docs[path]
	if d == nil {
		return nil, nil
	}
	offset := s.encoding.At(d.Content, p.Position)
	var lines []string
	var name session.Declaration
	for _, program := range v.programs {
		found, runs := program.live.Declaration(ctx, unsaved(v.docs), path, offset)
		if found.Decl == "" {
			continue
		}
		name = found
		lines = append(lines, s.describe(ctx, &program, found, runs)...)
	}
	if len(lines) == 0 {
		return nil, nil
	}
	h := &protocol.Hover{Range: ptr(s.encoding.Range(d.Content, name.Start, name.End))}
	if s.client.markdown {
		h.Contents = &protocol.MarkupContent{Kind: protocol.MarkupKindMarkdown, Value: strings.Join(lines, "  \n")}
	} else {
		h.Contents = &protocol.MarkupContent{Kind: protocol.MarkupKindPlainText, Value: strings.Join(lines, "\n")}
	}
	return h, nil
}

// describe says what there is to say of a declaration in one program.
func (s *Server) describe(ctx context.Context, p *programView, d session.Declaration, runs bool) []string {
	head := fmt.Sprintf("Limeade: process %d ", p.status.PID)
	switch since := d.Since.Local().Format(time.TimeOnly); {
	case !runs:
		head += "does not run this declaration"
	case d.Generation == 0:
		head += "runs this as it was built"
	case d.Earlier:
		head += fmt.Sprintf("runs this since generation %d or before", d.Generation)
	default:
		head += fmt.Sprintf("runs this since generation %d, live since %s", d.Generation, since)
	}
	lines := []string{head}
	for _, e := range p.pending {
		if e.Decl == d.Decl {
			lines = append(lines, fmt.Sprintf("pending: %s %s: %s", e.Verdict, e.Code, e.Message))
		}
	}
	stale, err := p.live.Stale(ctx)
	if err != nil {
		s.log.Info("old code", "pid", p.status.PID, "error", err)
	}
	for _, st := range stale {
		if st.Func == d.Decl || strings.HasPrefix(st.Func, d.Decl+".func") {
			lines = append(lines, fmt.Sprintf("%d goroutines are still in old code of %s", st.Goroutines, st.Func))
		}
	}
	return lines
}
