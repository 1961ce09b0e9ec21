package decl

import (
	"bytes"
	"cmp"
	"go/token"
	"slices"
)

// LineMove is a run of lines that are the same code in another place, in the words of the compiler: file names and
// lines as //line directives adjust them.
type LineMove struct {
	File     string // absolute, in the old source
	NewFile  string // absolute, in the new source; mostly the same
	From, To int    // old lines, both included, from 1
	Delta    int    // new line minus old line
}

// moveLines returns where the code of a declaration went that is the same but for its place; nothing if it has no code
// or did not move. Where text on one old line now stands on several, the line goes to the first of them.
func moveLines(old, new *Decl) []LineMove {
	if !old.isFunc() && !(old.Kind == Var && old.literals) {
		return nil
	}
	start, end := old.Parsed.Fset.Position(old.Node.Pos()), old.Parsed.Fset.Position(old.Node.End())
	to := new.Parsed.Fset.Position(new.Node.Pos())
	if sameText(old, new) {
		return moved(LineMove{start.Filename, to.Filename, start.Line, end.Line, to.Line - start.Line})
	}
	var from, into []token.Pos
	positions(old.Node, func(p token.Pos) { from = append(from, p) })
	positions(new.Node, func(p token.Pos) { into = append(into, p) })
	var moves []LineMove
	for i := range min(len(from), len(into)) {
		if !from[i].IsValid() || !into[i].IsValid() {
			continue
		}
		a, b := old.Parsed.Fset.Position(from[i]), new.Parsed.Fset.Position(into[i])
		moves = append(moves, LineMove{a.Filename, b.Filename, a.Line, a.Line, b.Line - a.Line})
	}
	slices.SortStableFunc(moves, func(a, b LineMove) int {
		return cmp.Or(cmp.Compare(a.File, b.File), cmp.Compare(a.From, b.From), cmp.Compare(a.NewFile, b.NewFile), cmp.Compare(a.Delta, b.Delta))
	})
	moves = slices.CompactFunc(moves, func(a, b LineMove) bool { return a.File == b.File && a.From == b.From })
	var runs []LineMove
	for _, m := range moves {
		if n := len(runs); n > 0 && runs[n-1].joins(m) {
			runs[n-1].To = m.To
			continue
		}
		runs = append(runs, m)
	}
	return moved(runs...)
}

func moved(runs ...LineMove) []LineMove {
	return slices.DeleteFunc(runs, func(m LineMove) bool { return m.Delta == 0 && m.File == m.NewFile })
}

// joins reports whether the lines of n go the same way as those of m before them.
func (m LineMove) joins(n LineMove) bool {
	return m.File == n.File && m.NewFile == n.NewFile && m.Delta == n.Delta
}

// sameText reports whether two declarations are the same bytes, so that all their lines move alike.
func sameText(a, b *Decl) bool {
	return a.text() != nil && bytes.Equal(a.text(), b.text())
}

// text returns the bytes of d; nil if //line directives may be among them.
func (d *Decl) text() []byte {
	content, ok := d.Parsed.File.Content()
	if !ok {
		return nil
	}
	file := d.Parsed.Fset.File(d.Node.Pos())
	text := content[file.Offset(d.Node.Pos()):file.Offset(d.Node.End())]
	if bytes.Contains(text, []byte("//line ")) || bytes.Contains(text, []byte("/*line ")) {
		return nil
	}
	return text
}

// mergeLines sorts runs and drops repetitions: the names of one specification share their lines.
func mergeLines(moves []LineMove) []LineMove {
	slices.SortFunc(moves, func(a, b LineMove) int {
		return cmp.Or(cmp.Compare(a.File, b.File), cmp.Compare(a.From, b.From), cmp.Compare(a.To, b.To),
			cmp.Compare(a.NewFile, b.NewFile), cmp.Compare(a.Delta, b.Delta))
	})
	return slices.Compact(moves)
}
