package build

import (
	"fmt"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
)

// A SourceError is one place at which the source does not compile.
type SourceError struct {
	File    string // absolute
	Line    int    // from 1
	Column  int    // from 1, in bytes; 0 when the tool does not say
	Message string
}

func (e SourceError) String() string {
	if e.Column == 0 {
		return fmt.Sprintf("%s:%d: %s", e.File, e.Line, e.Message)
	}
	return fmt.Sprintf("%s:%d:%d: %s", e.File, e.Line, e.Column, e.Message)
}

// A CompileError says that the user's program does not build.
type CompileError struct {
	Errors []SourceError // may be empty: the linker's errors have no position
	Output string        // as the tool printed it
}

func (e *CompileError) Error() string {
	if len(e.Errors) == 0 {
		return "the program does not build:\n" + strings.TrimRight(e.Output, "\n")
	}
	var b strings.Builder
	for i, s := range e.Errors {
		if i > 0 {
			b.WriteByte('\n')
		}
		b.WriteString(s.String())
	}
	return b.String()
}

// file:line[:col]: message, and behind a position that a line directive made,
// the real one in brackets (cmd/internal/src/pos.go, Pos.Format, Go 1.26).
var errorLine = regexp.MustCompile(`^(?:vet: )?(\S[^:]*):(\d+)(?::(\d+))?(?:\[[^\]]*\])?: (.*)$`)

// parseErrors reads what go build or the compiler printed. A line that begins
// with a tab goes on with the message before it. Files are made absolute with
// place.
func parseErrors(output string, place func(file string) string) []SourceError {
	var errs []SourceError
	for line := range strings.Lines(output) {
		line = strings.TrimSuffix(line, "\n")
		if strings.HasPrefix(line, "\t") && len(errs) > 0 {
			last := &errs[len(errs)-1]
			last.Message += "\n" + line
			continue
		}
		m := errorLine.FindStringSubmatch(line)
		if m == nil {
			continue
		}
		e := SourceError{File: place(m[1]), Message: m[4]}
		e.Line, _ = strconv.Atoi(m[2])
		e.Column, _ = strconv.Atoi(m[3])
		if e.Line > 0 {
			errs = append(errs, e)
		}
	}
	return errs
}

// under returns a place function for tools that name files relative to dir.
func under(dir string) func(string) string {
	return func(file string) string {
		if filepath.IsAbs(file) {
			return filepath.Clean(file)
		}
		return filepath.Join(dir, file)
	}
}
