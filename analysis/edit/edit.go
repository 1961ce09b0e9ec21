// Package edit knows the kinds of edits to Go source, and for each of them whether a running program can take it, under
// which code that is reported, and what a person is told. It must never know how an edit is found or applied.
package edit

import (
	"cmp"
	"encoding/json"
	"fmt"
	"slices"
)

// Verdict says whether an edit can be made live.
type Verdict uint8

// The verdicts, from the best to the worst.
const (
	Hot     Verdict = iota // live at the next call, nothing to know
	Caveat                 // live, with something to know
	Restart                // refused: the process stays as it is
)

var verdictNames = [...]string{"hot", "caveat", "restart"}

func (v Verdict) String() string { return verdictNames[v] }

// MarshalText writes v as String does.
func (v Verdict) MarshalText() ([]byte, error) { return []byte(v.String()), nil }

// UnmarshalText reads what MarshalText writes.
func (v *Verdict) UnmarshalText(text []byte) error {
	i := slices.Index(verdictNames[:], string(text))
	if i < 0 {
		return fmt.Errorf("verdict %q: not one of %v", text, verdictNames)
	}
	*v = Verdict(i)
	return nil
}

// Edit is one edit of one declaration, file or package, as the answers of check and refresh show it.
type Edit struct {
	Decl   string // link name of the declaration; import path or file where there is none
	Kind   Kind
	File   string // in the new source, relative to the main module's directory, with slashes
	Line   int    // from 1
	Column int    // from 1, in bytes
	Detail string // what exactly, part of the message: "" if the kind says it all
}

// Verdict returns the verdict of e's kind.
func (e Edit) Verdict() Verdict { return e.Kind.Verdict() }

// Message says what changed, why the verdict is what it is and, unless it is hot, what would do.
func (e Edit) Message() string {
	row := &kinds[e.Kind]
	what := row.what
	if e.Detail != "" {
		what += " (" + e.Detail + ")"
	}
	if row.verdict == Hot {
		return what + ": " + row.why
	}
	return what + ": " + row.why + "; " + row.do
}

// wire is the JSON of an edit, the contract of the command line.
type wire struct {
	Decl    string  `json:"decl"`
	Kind    string  `json:"kind"`
	Verdict Verdict `json:"verdict"`
	Code    string  `json:"code"`
	File    string  `json:"file"`
	Line    int     `json:"line"`
	Column  int     `json:"column"`
	Message string  `json:"message"`
}

// MarshalJSON writes the object {"decl", "kind", "verdict", "code", "file", "line", "column", "message"}.
func (e Edit) MarshalJSON() ([]byte, error) {
	return json.Marshal(wire{e.Decl, e.Kind.String(), e.Verdict(), e.Kind.Code(), e.File, e.Line, e.Column, e.Message()})
}

// Sort puts edits in the order in which they are shown: by file, line and column.
func Sort(edits []Edit) {
	slices.SortStableFunc(edits, func(a, b Edit) int {
		return cmp.Or(cmp.Compare(a.File, b.File), cmp.Compare(a.Line, b.Line), cmp.Compare(a.Column, b.Column),
			cmp.Compare(a.Decl, b.Decl), cmp.Compare(a.Kind.Code(), b.Kind.Code()), cmp.Compare(a.Detail, b.Detail))
	})
}

// Worst returns the worst verdict among edits, Hot if there are none: one edit that needs a restart refuses all.
func Worst(edits []Edit) Verdict {
	worst := Hot
	for _, e := range edits {
		worst = max(worst, e.Verdict())
	}
	return worst
}
