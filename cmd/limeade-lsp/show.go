package main

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"text/tabwriter"
	"time"

	"github.com/limeade-go/limeade/server/session"
)

func printJSON(v any) {
	enc := json.NewEncoder(os.Stdout)
	enc.SetEscapeHTML(false)
	_ = enc.Encode(v) // standard output is gone: there is nobody to tell
}

// printAnswer shows an answer to a person: what is live and how long it took, each edit, who is still in
// old code, what went wrong.
func printAnswer(verb session.Verb, a *session.Answer) {
	for _, a := range append([]*session.Answer{a}, a.Others...) {
		writeAnswer(os.Stdout, verb, a)
		if a.Error == nil {
			continue
		}
		for _, e := range a.Error.Source {
			fmt.Fprintln(os.Stderr, sourceError(e))
		}
		if len(a.Error.Source) == 0 {
			say("%s", a.Error.Message)
		}
		for _, at := range a.Error.Trace {
			say("  %s", at)
		}
	}
}

func sourceError(e session.SourceError) string {
	return fmt.Sprintf("%s:%d:%d: %s", e.File, e.Line, e.Column, e.Message)
}

// writeAnswer writes all of an answer but what went wrong.
func writeAnswer(to io.Writer, verb session.Verb, a *session.Answer) {
	w := tabwriter.NewWriter(to, 0, 8, 2, ' ', 0)
	defer w.Flush()
	if a.PID != 0 {
		fmt.Fprintln(w, headline(verb, a))
	}
	for _, e := range a.Edits {
		fmt.Fprintf(w, "  %s\t%s\t%s\t%s:%d\t%s\n", e.Verdict, e.Code, e.Decl, e.File, e.Line, e.Message)
	}
	for _, s := range a.Stale {
		fmt.Fprintf(w, "  old code\t\t%s\t\t%d goroutines are still inside; they go on with it until they return\n", s.Func, s.Goroutines)
	}
	for _, h := range a.Hooks {
		fmt.Fprintf(w, "  hook\t\t\t\t%s\n", h)
	}
}

func headline(verb session.Verb, a *session.Answer) string {
	p := a.Phases
	switch {
	case a.Error != nil:
		return fmt.Sprintf("process %d stays at generation %d", a.PID, a.Generation)
	case a.Restarted != "":
		return fmt.Sprintf("process %d takes the place of the one before (%.0f ms: build %.0f), as is required by %s", a.PID, p.Total, p.Compile, a.Restarted)
	case verb == session.Restart:
		return fmt.Sprintf("process %d takes the place of the one before (%.0f ms: build %.0f)", a.PID, p.Total, p.Compile)
	case verb == session.Check && len(a.Edits) > 0:
		return fmt.Sprintf("process %d, generation %d: a refresh would make this live", a.PID, a.Generation)
	case a.Applied:
		return fmt.Sprintf("process %d is at generation %d  (%.0f ms: detect %.0f, check %.0f, compile %.0f, link %.0f, inject %.0f; stopped for %.0f µs)",
			a.PID, a.Generation, p.Total, p.Detect, p.Check, p.Compile, p.Link, p.Inject, p.Pause)
	}
	return fmt.Sprintf("process %d, generation %d: nothing to do", a.PID, a.Generation)
}

func printStatus(s *session.Status) {
	w := tabwriter.NewWriter(os.Stdout, 0, 8, 2, ' ', 0)
	defer w.Flush()
	if len(s.Processes) == 0 {
		fmt.Fprintln(w, "no program of this workspace is running")
	}
	for _, p := range s.Processes {
		if p.Error != nil && p.BuildID == "" {
			fmt.Fprintf(w, "%d\t%s\n", p.PID, p.Error.Message)
			continue
		}
		fmt.Fprintf(w, "%d\t%s\tgeneration %d\tlive since %s\t%s\n", p.PID, p.Package, p.Generation, p.LiveSince.Local().Format(time.DateTime), p.Go)
		for _, e := range p.Pending {
			fmt.Fprintf(w, "  %s\t%s\t%s\t%s:%d\t%s\n", e.Verdict, e.Code, e.Decl, e.File, e.Line, e.Message)
		}
		for _, st := range p.Stale {
			fmt.Fprintf(w, "  old code\t\t%s\t\t%d goroutines are still inside\n", st.Func, st.Goroutines)
		}
		if l := p.Learning; l != nil {
			fmt.Fprintf(w, "  learning what makes refreshes fast: %d of %d packages\n", l.Known, l.Packages)
		}
		if p.Error != nil {
			fmt.Fprintf(w, "  %s\n", p.Error.Message)
		}
	}
}
