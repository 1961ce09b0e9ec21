package session

import (
	"fmt"
	"strings"
	"time"

	"github.com/limeade-go/limeade/analysis/edit"
)

// An Edit is one difference between what a process runs and what the files say, as every front end
// shows it. Lines and columns count from 1; File is relative to the module's root.
type Edit struct {
	Decl    string `json:"decl"`
	Kind    string `json:"kind"`
	Verdict string `json:"verdict"` // hot, caveat or restart
	Code    string `json:"code"`
	File    string `json:"file"`
	Line    int    `json:"line"`
	Column  int    `json:"column"`
	Message string `json:"message"`
}

// A Stale is old code that goroutines are still inside of.
type Stale struct {
	Func       string `json:"func"`
	Goroutines int    `json:"goroutines"`
}

// Phases are the parts of a refresh, in milliseconds; the pause is the time that the world stood still,
// in microseconds.
type Phases struct {
	Detect  float64 `json:"detect_ms"`
	Join    float64 `json:"join_ms"` // the go command was asked for packages that the program lacks
	Check   float64 `json:"check_ms"`
	Compile float64 `json:"compile_ms"`
	Link    float64 `json:"link_ms"`
	Hooks   float64 `json:"hooks_ms"` // of the program itself: see package limeade
	Inject  float64 `json:"inject_ms"`
	Pause   float64 `json:"pause_us"`
	Total   float64 `json:"total_ms"`
}

// An Answer is what check, refresh and rollback say of one process.
type Answer struct {
	Generation uint32   `json:"generation"`
	Applied    bool     `json:"applied"`
	PID        int      `json:"pid"`
	Edits      []Edit   `json:"edits"`
	Stale      []Stale  `json:"stale"`           // null: not known
	Hooks      []string `json:"hooks,omitempty"` // what went wrong in hooks of the program
	Phases     Phases   `json:"phases"`
	Error      *Failure `json:"error"`

	// Restarted says which edits required a restart that a refresh made: then PID is that of the new process, and Edits
	// are in what the old one differed.
	Restarted string `json:"restarted,omitempty"`

	// Others are the answers of further processes, where a refresh reached more than one.
	Others []*Answer `json:"others,omitempty"`
}

// A Failure says why a request did not do what it was for.
type Failure struct {
	Kind    FailureKind   `json:"kind"`
	Message string        `json:"message"`
	Source  []SourceError `json:"source,omitempty"` // of FailureSource
	Trace   []string      `json:"trace,omitempty"`  // of FailureTrial: what a panic passed, innermost first
}

func (f *Failure) Error() string { return f.Message }

// A SourceError is an error of the compiler. File is relative to the module's root.
type SourceError struct {
	File    string `json:"file"`
	Line    int    `json:"line"`
	Column  int    `json:"column"`
	Message string `json:"message"`
}

// A FailureKind decides a command's exit code.
type FailureKind string

const (
	FailureRefused FailureKind = "refused" // a restart is required
	FailureVetoed  FailureKind = "vetoed"  // a hook of the program does not want it now
	// FailureWithheld says that the process could be refreshed, but another one of the same refresh could not.
	FailureWithheld FailureKind = "withheld"
	FailureTrial    FailureKind = "trial"   // a refresh on trial did harm, and was rolled back
	FailureSource   FailureKind = "source"  // the source does not compile
	FailureProcess  FailureKind = "process" // no process, or its agent failed; it is as before
	FailureUsage    FailureKind = "usage"
)

// ExitCode is the exit code of check and refresh for a failure; 0 for none.
func (f *Failure) ExitCode() int {
	switch {
	case f == nil:
		return 0
	case f.Kind == FailureRefused || f.Kind == FailureVetoed || f.Kind == FailureWithheld || f.Kind == FailureTrial:
		return 1
	case f.Kind == FailureSource:
		return 2
	case f.Kind == FailureUsage:
		return 64
	}
	return 3
}

// weight orders failures: what stood in the way of others goes before what was withheld for it.
func (f *Failure) weight() int {
	w := 2 * f.ExitCode()
	if f != nil && f.Kind == FailureWithheld {
		w--
	}
	return w
}

// Status is what status says.
type Status struct {
	Processes []Process `json:"processes"`
}

// A Process is one running program of a workspace.
type Process struct {
	PID        int       `json:"pid"`
	Package    string    `json:"package"`
	Dir        string    `json:"dir"`
	BuildID    string    `json:"build_id"`
	Go         string    `json:"go"`
	Generation uint32    `json:"generation"`
	LiveSince  time.Time `json:"live_since"`
	Pending    []Edit    `json:"pending"`
	Stale      []Stale   `json:"stale"`
	Learning   *Learning `json:"learning,omitempty"` // while it goes on, refreshes can take longer
	Error      *Failure  `json:"error,omitempty"`    // why pending edits are not known
}

// cause says what a refused refresh needs a restart for.
func (a *Answer) cause() string {
	var edits []string
	for _, e := range a.Edits {
		if e.Verdict == edit.Restart.String() {
			edits = append(edits, fmt.Sprintf("%s (%s, %s:%d)", e.Decl, e.Code, e.File, e.Line))
		}
	}
	if len(edits) == 0 {
		return a.Error.Message // the linker or the agent refused it
	}
	return strings.Join(edits, ", ")
}

// ExitCode is the exit code of a command with this answer: the worst of those of its processes.
func (a *Answer) ExitCode() int { return a.Error.ExitCode() }

// Failed is the answer when nothing could even be asked.
func Failed(pid int, err error) *Answer {
	a := newAnswer(pid)
	a.Error = failureOf(err)
	return a
}

// Started is the answer about a process that runs what was just built.
func Started(pid int, took time.Duration) *Answer {
	a := newAnswer(pid)
	a.Applied = true
	a.Phases.Total = ms(took)
	return a
}

// Status is the reply to a status query.
func (r *Reply) Status() *Status {
	if r.Processes == nil {
		return &Status{Processes: []Process{}}
	}
	return &Status{Processes: r.Processes}
}
