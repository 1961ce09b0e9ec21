package link

import (
	"encoding/binary"
	"maps"
	"slices"

	"github.com/limeade-go/limeade/reload/internal/image"
	"github.com/limeade-go/limeade/reload/internal/object"
	"github.com/limeade-go/limeade/reload/patch"
)

// A function whose source only moved keeps its code. Its line table is what changes, and its file table
// if it moved to another file: the patch holds new ones, and the function's _func is made to point there
// (its pcln and pcfile fields count from the module's pctab). File numbers index the module's cutab, whose
// entries are offsets into its filetab; new names and entries are in the patch as well. The bounds of
// these tables reach to the end of the arena: a patch's own from the start, the image's are widened once.

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

// declFile returns the file that a function is declared in, as opposed to those of what was inlined into it: that of the
// first instruction. It is of the function's preamble; where it has none, the compiler makes sure that it is no inlined one
// (cmd/compile/internal/ssagen/ssa.go, genssa).
func declFile(spans []lineSpan) string {
	if len(spans) == 0 {
		return ""
	}
	return spans[0].File
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
func moveLine(moves []LineMove, file string, line int) (newFile string, newLine int) {
	for _, m := range moves {
		if m.File == file && m.From <= line && line <= m.To {
			return m.NewFile, line + m.Delta
		}
	}
	return file, line
}

// moved returns the lines of the same code where it stands after the moves.
func (l Lines) moved(moves []LineMove) Lines {
	l.File, l.StartLine = moveLine(moves, l.File, l.StartLine)
	l.Spans = slices.Clone(l.Spans)
	for i := range l.Spans {
		s := &l.Spans[i]
		s.File, s.Line = moveLine(moves, s.File, s.Line)
	}
	return l
}

// FileTables are the addresses of a module's tables that file numbers lead through.
type FileTables struct{ PCTab, CUTab, FileTab uint64 }

// A movedLine is a line table of the patch that stands in for an older one.
type movedLine struct {
	fn    uint64            // address of the _func
	write map[string]uint32 // new values of its fields
	lines Lines
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
		if r.entry != 0 { // otherwise the old code lives on beside the new
			replaced[r.old.Func] = true
		}
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
	for _, b := range slices.CompactFunc(born, func(a, b Body) bool { return a.Func == b.Func }) {
		if replaced[b.Func] {
			continue
		}
		if lines, ok := l.state.Lines[b.Func]; ok {
			if err := l.moveFunc(b.Func, b.Tables, lines); err != nil {
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
				lines = Lines{StartLine: int(f.StartLine()), File: declFile(spans), Spans: spans}
			}
			if err := l.moveFunc(fn, l.imageTables(), lines); err != nil {
				return err
			}
		}
	}
	return nil
}

// imageTables are those of the image.
func (l *linker) imageTables() FileTables {
	m, bias := &l.host.Image.Module, l.state.Bias
	return FileTables{PCTab: m.PCTab.Addr + bias, CUTab: m.CUTab.Addr + bias, FileTab: m.FileTab.Addr + bias}
}

// moveFunc makes a new line table for one function, if any of its lines moved, and a new file table if
// any moved to another file.
func (l *linker) moveFunc(fn uint64, t FileTables, old Lines) error {
	moved := old.moved(l.req.Moves)
	any, otherFile := moved.StartLine != old.StartLine || moved.File != old.File, false
	pcs := make([]pcSpan, len(moved.Spans))
	for i, s := range old.Spans {
		span := moved.Spans[i]
		any = any || span.Line != s.Line || span.File != s.File
		otherFile = otherFile || span.File != s.File
		pcs[i] = pcSpan{s.End, int32(span.Line)}
	}
	if !any {
		return nil
	}
	table := func(pcs []pcSpan) uint32 {
		data := encodePC(pcs)
		addr := l.ro.room(len(data), 1)
		l.ro.write(addr, data)
		return uint32(addr - t.PCTab)
	}
	m := movedLine{fn: fn, lines: moved, write: map[string]uint32{"pcln": table(pcs), "startLine": uint32(moved.StartLine)}}
	if otherFile {
		base, err := l.funcField(fn, "cuOffset")
		if err != nil {
			return err
		}
		if (l.ro.base-t.CUTab)%4 != 0 {
			return refuse("runtime.cutab", "is not aligned")
		}
		for i, s := range moved.Spans {
			pcs[i].Value = int32(l.fileEntry(t, s.File) - base)
		}
		m.write["pcfile"] = table(pcs)
	}
	l.moved = append(l.moved, m)
	return nil
}

// fileEntry returns the index in a module's cutab of an entry for a file.
func (l *linker) fileEntry(t FileTables, name string) uint32 {
	key := fileKey{t.CUTab, name}
	if entry, ok := l.fileEntries[key]; ok {
		return entry
	}
	offset := ^uint32(0) // as the runtime has it for "?"
	if name != "" {
		addr := l.ro.room(len(name)+1, 1)
		l.ro.write(addr, append([]byte(name), 0))
		offset = uint32(addr - t.FileTab)
	}
	addr := l.ro.room(4, 4)
	l.ro.u32(addr, offset)
	if l.fileEntries == nil {
		l.fileEntries = map[fileKey]uint32{}
	}
	l.fileEntries[key] = uint32((addr - t.CUTab) / 4)
	return l.fileEntries[key]
}

// A fileKey is a file in the tables of a module.
type fileKey struct {
	cutab uint64
	name  string
}

// funcField reads a field of a _func in the process.
func (l *linker) funcField(fn uint64, name string) (uint32, error) {
	layout, ok := l.host.Layout.Struct("_func")
	if !ok || layout.Fields[name].Size != 4 {
		return 0, refuse("_func."+name, "has an unknown layout")
	}
	b, err := l.current(fn+uint64(layout.Fields[name].Offset), 4)
	if err != nil {
		return 0, err
	}
	return binary.LittleEndian.Uint32(b), nil
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
	var ws []patch.Write
	for _, m := range l.moved {
		for _, field := range slices.Sorted(maps.Keys(m.write)) {
			at := m.fn + uint64(layout.Fields[field].Offset)
			old, err := l.current(at, 4)
			if err != nil {
				return nil, err
			}
			ws = append(ws, patch.Write{Addr: at, Expect: old, New: binary.LittleEndian.AppendUint32(nil, m.write[field])})
		}
	}
	if !l.state.Widened {
		widened, err := l.widen()
		if err != nil {
			return nil, err
		}
		ws = append(ws, widened...)
	}
	return ws, nil
}

// widen lets the image's tables of lines and files reach to the end of the arena.
func (l *linker) widen() ([]patch.Write, error) {
	md, ok := l.host.Layout.Struct("moduledata")
	if !ok {
		return nil, refuse("moduledata", "has an unknown layout")
	}
	t := l.imageTables()
	var ws []patch.Write
	for _, table := range []struct {
		field      string
		addr, size uint64 // of an element
	}{{"pctab", t.PCTab, 1}, {"cutab", t.CUTab, 4}, {"filetab", t.FileTab, 1}} {
		at := l.host.Image.Module.Addr + l.state.Bias + uint64(md.Fields[table.field].Offset) + 8 // behind the pointer: len, cap
		old := make([]byte, 0, 16)
		for i := range uint64(2) {
			b, err := l.current(at+8*i, 8)
			if err != nil {
				return nil, err
			}
			old = append(old, b...)
		}
		n := (l.state.ArenaHi - table.addr) / table.size
		val := binary.LittleEndian.AppendUint64(nil, n)
		val = binary.LittleEndian.AppendUint64(val, n)
		ws = append(ws, patch.Write{Addr: at, Expect: old, New: val})
	}
	l.state.Widened = true
	return ws, nil
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
