package snapshot

import (
	"bytes"
	"slices"
)

// A Word stands in place of [Start, End) of a file's content.
type Word struct {
	Start, End int // bytes
	Text       string
}

// Respelled returns f with other words in some places, which are sorted and do not overlap; f itself if there are none. No
// word has a line end, so that lines stay where they are.
func (f *File) Respelled(words []Word) *File {
	if len(words) == 0 {
		return f
	}
	var b bytes.Buffer
	at := 0
	for _, w := range words {
		b.Write(f.content[at:w.Start])
		b.WriteString(w.Text)
		at = w.End
	}
	b.Write(f.content[at:])
	r := NewFile(f.Path, b.Bytes())
	r.original, r.words = f, words
	return r
}

// Original returns the file that f was respelled from, f itself if it is as it was read.
func (f *File) Original() *File {
	if f.original == nil {
		return f
	}
	return f.original
}

// OriginalOffset returns where in the original an offset of f's content is.
func (f *File) OriginalOffset(offset int) int {
	original, _ := f.trace(offset)
	return original
}

// Respells reports whether an offset of f's content is in a word that the original does not have.
func (f *File) Respells(offset int) bool {
	_, respelled := f.trace(offset)
	return respelled
}

// trace returns where in the original an offset is, and whether it is in another word than there.
func (f *File) trace(offset int) (original int, respelled bool) {
	longer := 0 // by so much are the words before
	for _, w := range f.words {
		start := w.Start + longer
		if offset < start {
			break
		}
		if into := offset - start; into < len(w.Text) {
			return w.Start + min(into, w.End-w.Start), true
		}
		longer += len(w.Text) - (w.End - w.Start)
	}
	return offset - longer, false
}

// OriginalColumn returns the column, from 1, of the original that a place in f's content has.
func (f *File) OriginalColumn(line, column int) int {
	if f.original == nil || line < 1 || column < 1 {
		return column
	}
	start := lineStart(f.content, line)
	return f.OriginalOffset(min(start+column-1, len(f.content))) - lineStart(f.original.content, line) + 1
}

// lineStart returns the offset of a line, from 1.
func lineStart(content []byte, line int) int {
	at := 0
	for range line - 1 {
		i := bytes.IndexByte(content[at:], '\n')
		if i < 0 {
			return len(content)
		}
		at += i + 1
	}
	return at
}

// Replacing returns s with other files in place of some of its own, which have the same paths and imports.
func (s *Snapshot) Replacing(files map[*File]*File) *Snapshot {
	if len(files) == 0 {
		return s
	}
	packages := slices.Clone(s.packages)
	for i, old := range packages {
		if !slices.ContainsFunc(old.Files, func(f *File) bool { return files[f] != nil }) {
			continue
		}
		p := *old
		p.Files = slices.Clone(old.Files)
		for k, f := range p.Files {
			if r := files[f]; r != nil {
				p.Files[k] = r
			}
		}
		packages[i] = &p
	}
	return s.must(packages, s.modules)
}
