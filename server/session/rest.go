package session

import (
	"cmp"
	"context"
	"slices"

	"github.com/limeade-go/limeade/analysis/edit"
)

// leaveOut makes the new source one in which the declarations that need a restart are as the process runs them, so that
// the other edits can be made live. They stay pending: the process then runs a source that is on no disk.
func (j *job) leaveOut(ctx context.Context) error {
	undos := map[string][]*Undo{}
	buffers := map[string][]byte{}
	for _, e := range j.report.Edits {
		if e.Verdict() != edit.Restart {
			continue
		}
		p := j.pending(e)
		if p.Undo == nil {
			return &Failure{Kind: FailureRefused, Message: e.Decl + " (" + e.Kind.Code() + ") needs a restart and cannot be left out by itself; nothing was changed"}
		}
		undos[p.Path] = append(undos[p.Path], p.Undo)
		buffers[p.Path] = p.Content
	}
	for path, list := range undos {
		slices.SortFunc(list, func(a, b *Undo) int { return cmp.Compare(b.Start, a.Start) })
		list = slices.CompactFunc(list, func(a, b *Undo) bool { return *a == *b }) // two edits of one declaration
		for _, u := range list {
			buffers[path] = slices.Concat(buffers[path][:u.Start], []byte(u.Text), buffers[path][u.End:])
		}
	}
	var err error
	if j.now, err = j.program.disk.Overlay(ctx, j.now, buffers); err != nil {
		return err
	}
	if err = j.compare(ctx); err != nil {
		return err
	}
	if len(j.report.Errors) > 0 {
		f := &Failure{Kind: FailureSource, Message: "the source does not compile without what needs a restart; nothing was changed"}
		for _, e := range j.report.Errors {
			f.Source = append(f.Source, SourceError(e))
		}
		return f
	}
	return nil
}
