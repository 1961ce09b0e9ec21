package text

import (
	"strings"
	"testing"
	"unicode/utf16"
	"unicode/utf8"

	"go.lsp.dev/protocol"
)

func TestPositions(t *testing.T) {
	const content = "añ𝔾z\r\n\rx\n\nlast"
	for _, c := range []struct {
		line, utf16, utf8, offset int
	}{
		{0, 0, 0, 0}, {0, 1, 1, 1}, {0, 2, 3, 3}, {0, 4, 7, 7}, {0, 5, 8, 8},
		{1, 0, 0, 10}, {2, 0, 0, 11}, {2, 1, 1, 12}, {3, 0, 0, 13}, {4, 0, 0, 14}, {4, 4, 4, 18},
	} {
		for e, character := range map[Encoding]int{UTF16: c.utf16, UTF8: c.utf8} {
			p := protocol.Position{Line: uint32(c.line), Character: uint32(character)}
			if got := e.At([]byte(content), p); got != c.offset {
				t.Errorf("%s %v is at %d, want %d", e.Kind(), p, got, c.offset)
			}
			if got := e.Position([]byte(content), c.offset); got != p {
				t.Errorf("%s offset %d is %v, want %v", e.Kind(), c.offset, got, p)
			}
		}
	}
	for _, c := range []struct {
		e      Encoding
		p      protocol.Position
		offset int
	}{
		{UTF16, protocol.Position{Line: 0, Character: 3}, 3},   // within a surrogate pair
		{UTF8, protocol.Position{Line: 0, Character: 2}, 1},    // within a character
		{UTF16, protocol.Position{Line: 0, Character: 99}, 8},  // behind the end of the line
		{UTF16, protocol.Position{Line: 99, Character: 1}, 18}, // behind the end of the text
		{UTF8, protocol.Position{Line: 1 << 31, Character: 0}, 18},
	} {
		if got := c.e.At([]byte(content), c.p); got != c.offset {
			t.Errorf("%s %v is at %d, want %d", c.e.Kind(), c.p, got, c.offset)
		}
	}
}

func TestOffset(t *testing.T) {
	const content = "ab\n\ncd"
	for _, c := range []struct{ line, column, offset int }{
		{1, 1, 0}, {1, 3, 2}, {1, 9, 2}, {2, 1, 3}, {3, 2, 5}, {3, 9, 6}, {9, 1, 6}, {1, 0, 0},
	} {
		if got := Offset([]byte(content), c.line, c.column); got != c.offset {
			t.Errorf("%d:%d is at %d, want %d", c.line, c.column, got, c.offset)
		}
	}
}

// FuzzChange replaces a part of a text, and compares with what the protocol says in its own words: lines, cut into UTF-16
// code units.
func FuzzChange(f *testing.F) {
	f.Add("package p\n\nvar ä = \"𝔾\"\r\n", "x", uint32(2), uint32(4), uint32(2), uint32(7))
	f.Add("a\rb", "", uint32(1), uint32(0), uint32(0), uint32(1))
	f.Fuzz(func(t *testing.T, content, text string, line1, char1, line2, char2 uint32) {
		if !utf8.ValidString(content) || !utf8.ValidString(text) {
			return // no JSON has it
		}
		start := protocol.Position{Line: line1 % 64, Character: char1 % 64}
		end := protocol.Position{Line: line2 % 64, Character: char2 % 64}
		from, to := byUnits(content, start), byUnits(content, end)
		if to < from {
			from, to = to, from
		}
		d := &Document{Content: []byte(content)}
		got := d.Change(UTF16, 2, []protocol.TextDocumentContentChangeEvent{
			&protocol.TextDocumentContentChangePartial{Range: protocol.Range{Start: start, End: end}, Text: text},
		})
		if want := content[:from] + text + content[to:]; string(got.Content) != want {
			t.Errorf("%q, want %q", got.Content, want)
		}
		if string(d.Content) != content {
			t.Error("the old version changed")
		}
		for _, e := range []Encoding{UTF16, UTF8} {
			p := e.Position([]byte(content), from)
			if back := e.At([]byte(content), p); back != from {
				t.Errorf("%s offset %d is %v, which is at %d", e.Kind(), from, p, back)
			}
		}
	})
}

// byUnits finds a position by cutting the text into lines and those into code units.
func byUnits(content string, p protocol.Position) int {
	text := strings.ReplaceAll(content, "\r\n", "\n\n") // of the same length; the second one ends no line
	at, line := 0, uint32(0)
	for line < p.Line {
		i := strings.IndexAny(text[at:], "\r\n")
		if i < 0 {
			return len(content)
		}
		at += i + 1
		if content[at-1] == '\r' && at < len(content) && content[at] == '\n' {
			at++
		}
		line++
	}
	rest := text[at:]
	if i := strings.IndexAny(rest, "\r\n"); i >= 0 {
		rest = rest[:i]
	}
	units := uint32(0)
	for i, r := range rest {
		if units += uint32(utf16.RuneLen(r)); units > p.Character {
			return at + i
		}
	}
	return at + len(rest)
}
