package link

import (
	"encoding/binary"
	"slices"

	"github.com/limeade-go/limeade/reload/internal/image"
	"github.com/limeade-go/limeade/reload/internal/object"
	"github.com/limeade-go/limeade/reload/patch"
)

// A function whose source only moved within its file keeps its code. Its line table is what changes:
// the patch holds a new one, and the function's _func is made to point there (its pcln field counts
// from the module's pctab, whose bounds are widened once to take in the patches).

// A lineSpan says which line the code up to End, an offset from the entry, comes from.
type lineSpan struct {
	End  uint32
	File string
	Line int
}

// mergeSpans joins a file table and a line table of one function.
func mergeSpans(files, lines []pcSpan, name func(int32) string) []lineSpan {
	var spans []lineSpan
	f := 0
	for _, ln := range lines {
		start := uint32(0)
		if len(spans) > 0 {
			start = spans[len(spans)-1].End
		}
		for start < ln.End {
			for f < len(files)-1 && files[f].End <= start {
				f++
			}
			end := ln.End
			file := ""
			if f < len(files) {
				file = name(files[f].Value)
				if f < len(files)-1 {
					end = min(end, files[f].End)
				}
			}
			spans = append(spans, lineSpan{end, file, int(ln.Value)})
			start = end
		}
	}
	return spans
}

// declFile returns the file that a function's own code is in, as opposed to what was inlined into it:
// that of the first instruction, which the compiler gives the function's position, or of an
// instruction at or after its first line.
func declFile(spans []lineSpan, startLine int) string {
	for _, s := range spans {
		if s.Line == startLine {
			return s.File
		}
	}
	if len(spans) > 0 {
		return spans[0].File
	}
	return ""
}

// objectSpans returns the lines of a function in an object.
func (l *linker) objectSpans(s object.Sym) ([]lineSpan, error) {
	if len(s.Pcline().Data()) == 0 {
		return nil, nil
	}
	files, err := decodePC(s.Pcfile().Data())
	if err != nil {
		return nil, err
	}
	lines, err := decodePC(s.Pcline().Data())
	if err != nil {
		return nil, err
	}
	return mergeSpans(files, lines, func(i int32) string { return fileName(s.Obj, int(i)) }), nil
}

// spans returns the lines of a function of the image.
func (h *Host) spans(f image.Func) ([]lineSpan, error) {
	files, err := h.Image.PCTable(f.Field(image.FieldPCFile))
	if err != nil {
		return nil, err
	}
	lines, err := h.Image.PCTable(f.Field(image.FieldPCLine))
	if err != nil {
		return nil, err
	}
	convert := func(rs []image.PCRange) []pcSpan {
		out := make([]pcSpan, len(rs))
		for i, r := range rs {
			out[i] = pcSpan{r.End, r.Value}
		}
		return out
	}
	return mergeSpans(convert(files), convert(lines), f.File), nil
}

// moveLine returns where a line stands in the new source.
func moveLine(moves []LineMove, file string, line int) (int, bool) {
	for _, m := range moves {
		if m.File == file && m.From <= line && line <= m.To {
			return line + m.Delta, true
		}
	}
	return line, false
}

// A movedLine is a line table of the patch that stands in for an older one.
type movedLine struct {
	fn        uint64 // address of the _func
	pctab     uint64 // what its offsets count from
	table     uint64 // address of the new table
	startLine [2]int // old, new
	lines     Lines
}

// buildLines makes new line tables for the live functions that have code from moved lines, except
// those that the patch replaces.
func (l *linker) buildLines(_ []*node) error {
	if len(l.req.Moves) == 0 {
		return nil
	}
	files := map[string]bool{}
	for _, m := range l.req.Moves {
		files[m.File] = true
	}
	replaced := map[uint64]bool{}
	for _, r := range l.roots {
		replaced[r.old.Func] = true
	}
	bias := l.state.Bias

	// Functions that live in earlier patches.
	var born []Body
	retired := map[uint64]bool{}
	for entry, b := range l.state.Bodies {
		if entry != b.Lo {
			retired[entry-bias] = true // of the image: its own code is no longer called
		}
		born = append(born, b)
	}
	slices.SortFunc(born, func(a, b Body) int { return int(int64(a.Func - b.Func)) })
	for _, b := range born {
		if replaced[b.Func] {
			continue
		}
		if lines, ok := l.state.Lines[b.Func]; ok {
			if err := l.moveFunc(b.Func, b.PCTab, lines); err != nil {
				return err
			}
		}
	}

	// Functions of the image.
	seen := map[uint64]bool{}
	for _, file := range sortedKeys(files) {
		for _, f := range l.host.funcsIn(file) {
			fn := f.Addr() + bias
			if seen[fn] || replaced[fn] || retired[f.Entry] {
				continue
			}
			seen[fn] = true
			lines, ok := l.state.Lines[fn]
			if !ok {
				spans, err := l.host.spans(f)
				if err != nil {
					return err
				}
				lines = Lines{StartLine: int(f.StartLine()), File: declFile(spans, int(f.StartLine())), Spans: spans}
			}
			if err := l.moveFunc(fn, l.host.Image.Module.PCTab.Addr+bias, lines); err != nil {
				return err
			}
		}
	}
	return nil
}

// moveFunc makes a new line table for one function, if any of its lines moved.
func (l *linker) moveFunc(fn, pctab uint64, old Lines) error {
	moved := Lines{StartLine: old.StartLine, File: old.File, Spans: slices.Clone(old.Spans)}
	any := false
	for i, s := range moved.Spans {
		if line, ok := moveLine(l.req.Moves, s.File, s.Line); ok && line != s.Line {
			moved.Spans[i].Line, any = line, true
		}
	}
	if line, ok := moveLine(l.req.Moves, old.File, old.StartLine); ok && line != old.StartLine {
		moved.StartLine, any = line, true
	}
	if !any {
		return nil
	}
	pcs := make([]pcSpan, len(moved.Spans))
	for i, s := range moved.Spans {
		pcs[i] = pcSpan{s.End, int32(s.Line)}
	}
	table := encodePC(pcs)
	addr := l.ro.room(len(table), 1)
	l.ro.write(addr, table)
	l.moved = append(l.moved, movedLine{fn: fn, pctab: pctab, table: addr, startLine: [2]int{old.StartLine, moved.StartLine}, lines: moved})
	return nil
}

// lineWrites points the moved functions to their new tables.
func (l *linker) lineWrites() ([]patch.Write, error) {
	if len(l.moved) == 0 {
		return nil, nil
	}
	layout, ok := l.host.Layout.Struct("_func")
	if !ok {
		return nil, refuse("_func", "has an unknown layout")
	}
	pcln, start := uint64(layout.Fields["pcln"].Offset), uint64(layout.Fields["startLine"].Offset)
	var ws []patch.Write
	for _, m := range l.moved {
		for _, f := range []struct {
			at uint64
			v  uint32
		}{{m.fn + pcln, uint32(m.table - m.pctab)}, {m.fn + start, uint32(m.startLine[1])}} {
			old, err := l.current(f.at, 4)
			if err != nil {
				return nil, err
			}
			ws = append(ws, patch.Write{Addr: f.at, Expect: old, New: binary.LittleEndian.AppendUint32(nil, f.v)})
		}
	}
	if !l.state.Widened {
		w, err := l.widen()
		if err != nil {
			return nil, err
		}
		ws = append(ws, w)
	}
	return ws, nil
}

// widen lets the image's pctab reach to the end of the arena.
func (l *linker) widen() (patch.Write, error) {
	md, ok := l.host.Layout.Struct("moduledata")
	if !ok {
		return patch.Write{}, refuse("moduledata", "has an unknown layout")
	}
	m := &l.host.Image.Module
	at := m.Addr + l.state.Bias + uint64(md.Fields["pctab"].Offset) + 8 // behind the pointer: len, cap
	old := make([]byte, 0, 16)
	for i := range uint64(2) {
		b, err := l.current(at+8*i, 8)
		if err != nil {
			return patch.Write{}, err
		}
		old = append(old, b...)
	}
	n := l.state.ArenaHi - (m.PCTab.Addr + l.state.Bias)
	val := binary.LittleEndian.AppendUint64(nil, n)
	val = binary.LittleEndian.AppendUint64(val, n)
	l.state.Widened = true
	return patch.Write{Addr: at, Expect: old, New: val}, nil
}

// widenTypes lets the image's types, names and type offsets reach to the end of the arena
// (runtime/type.go, resolveTypeOff).
func (l *linker) widenTypes() (patch.Write, error) {
	md, ok := l.host.Layout.Struct("moduledata")
	if !ok {
		return patch.Write{}, refuse("moduledata", "has an unknown layout")
	}
	at := l.host.Image.Module.Addr + l.state.Bias + uint64(md.Fields["etypes"].Offset)
	old, err := l.current(at, 8)
	if err != nil {
		return patch.Write{}, err
	}
	return patch.Write{Addr: at, Expect: old, New: binary.LittleEndian.AppendUint64(nil, l.state.ArenaHi)}, nil
}

// funcsIn lists the image's functions with code from a file.
func (h *Host) funcsIn(file string) []image.Func {
	h.onceFiles.Do(func() {
		h.byFile = map[string][]image.Func{}
		for f := range h.Image.Funcs() {
			files, err := h.Image.PCTable(f.Field(image.FieldPCFile))
			if err != nil {
				continue // no Go function
			}
			last := ""
			for _, r := range files {
				name := f.File(r.Value)
				if fs := h.byFile[name]; name != last && (len(fs) == 0 || fs[len(fs)-1].Addr() != f.Addr()) {
					h.byFile[name] = append(fs, f)
				}
				last = name
			}
		}
	})
	return h.byFile[file]
}
