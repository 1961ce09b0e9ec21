// Package text knows the text of documents and the positions in it: the lines and columns of the language server
// protocol, in either encoding, and the bytes that they stand for. It must never know what a text means.
//
// Three ways to name a place meet here. An offset counts bytes from 0. A [protocol.Position] counts lines from 0, which
// end with \n, \r\n or \r, and in a line either bytes or UTF-16 code units. Go's tools count lines, which end with \n,
// and bytes in a line, both from 1: see [Offset].
package text

import (
	"bytes"
	"unicode/utf8"

	"go.lsp.dev/protocol"
)

// Encoding says what a protocol position counts within a line.
type Encoding uint8

// The encodings that a client may ask for.
const (
	UTF16 Encoding = iota // code units; all clients know it
	UTF8                  // bytes
)

// Kind returns the name of e in the protocol.
func (e Encoding) Kind() protocol.PositionEncodingKind {
	if e == UTF8 {
		return protocol.PositionEncodingKindUTF8
	}
	return protocol.PositionEncodingKindUTF16
}

// lineEnd returns the end of the line that begins at start, and where the next one begins; the latter is -1 in the
// last line.
func lineEnd(content []byte, start int) (end, next int) {
	line := content[start:]
	nl := bytes.IndexByte(line, '\n')
	if nl >= 0 {
		line = line[:nl]
	}
	if cr := bytes.IndexByte(line, '\r'); cr >= 0 {
		if cr == nl-1 {
			return start + cr, start + nl + 1
		}
		return start + cr, start + cr + 1
	}
	if nl < 0 {
		return len(content), -1
	}
	return start + nl, start + nl + 1
}

// At returns the offset of a position. One that is behind the end of its line, or of the text, stands for that end; one
// within a character for its start.
func (e Encoding) At(content []byte, p protocol.Position) int {
	start := 0
	for range p.Line {
		_, next := lineEnd(content, start)
		if next < 0 {
			return len(content)
		}
		start = next
	}
	end, _ := lineEnd(content, start)
	left := int64(p.Character)
	for at := start; at < end; {
		size, width := e.char(content[at:end])
		if left -= int64(width); left < 0 {
			return at
		}
		at += size
	}
	return end
}

// char returns how many bytes the first character of text takes, and how much it counts.
func (e Encoding) char(text []byte) (size, width int) {
	if text[0] < utf8.RuneSelf {
		return 1, 1
	}
	r, size := utf8.DecodeRune(text)
	switch {
	case e == UTF8:
		return size, size
	case r >= 1<<16:
		return size, 2
	}
	return size, 1
}

// Position returns the position of an offset. One within a character or a line's end stands for where that begins.
func (e Encoding) Position(content []byte, offset int) protocol.Position {
	offset = min(max(offset, 0), len(content))
	var p protocol.Position
	start := 0
	end, next := lineEnd(content, start)
	for next >= 0 && next <= offset {
		p.Line++
		start = next
		end, next = lineEnd(content, start)
	}
	for at := start; at < min(offset, end); {
		size, width := e.char(content[at:end])
		if at+size > offset {
			break
		}
		at += size
		p.Character += uint32(width)
	}
	return p
}

// Range returns the range of the bytes from start to end.
func (e Encoding) Range(content []byte, start, end int) protocol.Range {
	return protocol.Range{Start: e.Position(content, start), End: e.Position(content, end)}
}

// Offset returns the offset of a place as Go's tools name it, the nearest one if there is no such place.
func Offset(content []byte, line, column int) int {
	start := 0
	for range line - 1 {
		i := bytes.IndexByte(content[start:], '\n')
		if i < 0 {
			return len(content)
		}
		start += i + 1
	}
	end := len(content)
	if i := bytes.IndexByte(content[start:], '\n'); i >= 0 {
		end = start + i
	}
	return min(start+max(column-1, 0), end)
}
