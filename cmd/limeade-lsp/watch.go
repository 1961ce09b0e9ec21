package main

import (
	"bytes"
	"flag"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"time"
	"unicode"

	"golang.org/x/sys/unix"

	"github.com/limeade-go/limeade/server/session"
)

func watchCommand(args []string) int {
	t, err := parseTarget(session.Refresh, args, func(t *target, fs *flag.FlagSet) {
		fs.BoolVar(&t.AutoRestart, "auto-restart", false, "")
	})
	if err == nil && t.json {
		err = fmt.Errorf("flag --json is not for it")
	}
	if err != nil {
		return misused("watch: %v", err)
	}
	ctx, stop := interruptible()
	defer stop()
	s := session.New()
	defer s.Close()
	v := newWatchView(os.Stdout)
	defer v.close()
	if err := s.Watch(ctx, t.Query, v.show); err != nil {
		say("watch: %v", err)
		return 3
	}
	return 0
}

// A watchView shows what happens while somebody watches. What is done stays as lines; in a terminal the state of the
// programs stands below them and is drawn again and again, elsewhere every change of it is lines too.
type watchView struct {
	out      *os.File
	terminal bool
	drawn    int // lines of the state on the screen
	busy     bool
	programs []*watched // by process
}

// A watched is the state of a program.
type watched struct {
	session.Process
	took   float64         // of the last refresh, in ms; 0 if there was none
	failed *session.Answer // why it does not run what the files say; nil if it does
}

func newWatchView(out *os.File) *watchView {
	_, err := unix.IoctlGetTermios(int(out.Fd()), unix.TCGETS)
	return &watchView{out: out, terminal: err == nil && os.Getenv("TERM") != "dumb"}
}

func (v *watchView) show(e session.Event) {
	var lines bytes.Buffer
	v.busy = e.Kind == session.Busy
	switch e.Kind {
	case session.Came:
		v.set(e.Process, nil)
		fmt.Fprintf(&lines, "process %d of %s is watched, at generation %d\n", e.Process.PID, e.Process.Package, e.Process.Generation)
	case session.Went:
		v.remove(e.Process.PID)
		fmt.Fprintf(&lines, "process %d has ended\n", e.Process.PID)
	case session.Alone:
		fmt.Fprintln(&lines, "no program of this workspace is running; start one with: limeade-lsp run PACKAGE")
	case session.Elsewhere:
		v.set(e.Process, nil)
		fmt.Fprintf(&lines, "process %d is at generation %d, by somebody else's doing\n", e.Process.PID, e.Process.Generation)
	case session.Warned:
		fmt.Fprintln(&lines, e.Answer.Error.Message)
	case session.Answered:
		v.answered(&lines, e)
	}
	v.erase()
	_, _ = v.out.Write(lines.Bytes()) // a terminal that is gone ends this by a signal
	v.draw()
}

func (v *watchView) answered(lines io.Writer, e session.Event) {
	if e.Answer.Restarted != "" {
		v.programs = slices.DeleteFunc(v.programs, func(p *watched) bool { return p.gone() })
	}
	if e.Process.PID != 0 {
		v.set(e.Process, e.Answer)
	}
	if e.Answer.Error == nil || !v.terminal || e.Process.PID == 0 {
		writeAnswer(lines, session.Refresh, e.Answer)
		writeReasons(lines, e.Answer)
	}
}

// writeReasons writes why nothing was done.
func writeReasons(w io.Writer, a *session.Answer) {
	if a.Error == nil {
		return
	}
	for _, e := range a.Error.Source {
		fmt.Fprintf(w, "  %s\n", sourceError(e))
	}
	fmt.Fprintf(w, "  %s\n", a.Error.Message)
}

// gone reports whether the process is no more.
func (p *watched) gone() bool { return unix.Kill(p.PID, 0) == unix.ESRCH }

func (v *watchView) remove(pid int) {
	v.programs = slices.DeleteFunc(v.programs, func(p *watched) bool { return p.PID == pid })
}

func (v *watchView) set(p session.Process, a *session.Answer) {
	w := &watched{Process: p}
	i := slices.IndexFunc(v.programs, func(o *watched) bool { return o.PID >= p.PID })
	switch {
	case i < 0:
		v.programs = append(v.programs, w)
	case v.programs[i].PID == p.PID:
		w.took = v.programs[i].took
		v.programs[i] = w
	default:
		v.programs = slices.Insert(v.programs, i, w)
	}
	if a != nil && a.Error != nil {
		w.failed = a
	} else if a != nil && a.Applied {
		w.took = a.Phases.Total
	}
}

// draw puts the state below what was written.
func (v *watchView) draw() {
	if !v.terminal {
		return
	}
	var state bytes.Buffer
	for _, p := range v.programs {
		fmt.Fprintf(&state, "─ %d  %s  generation %d since %s", p.PID, p.Package, p.Generation, p.LiveSince.Local().Format(time.TimeOnly))
		if p.took != 0 {
			fmt.Fprintf(&state, "  %.0f ms", p.took)
		}
		switch {
		case v.busy:
			fmt.Fprintln(&state, "  refreshing")
		case p.failed == nil:
			fmt.Fprintln(&state, "  runs what the files say")
		default:
			fmt.Fprintln(&state, "  does not run what the files say")
			_, rest, _ := strings.Cut(answerText(p.failed), "\n") // the line above says what its first does
			state.WriteString(rest)
			writeReasons(&state, p.failed)
		}
	}
	lines := strings.SplitAfter(state.String(), "\n")
	lines = lines[:len(lines)-1]
	if rows := v.rows(); len(lines) > rows {
		lines = append(lines[:rows-1], fmt.Sprintf("  … %d lines more: limeade-lsp status\n", len(lines)-rows+1))
	}
	v.drawn = len(lines)
	// Without wrapping (DECAWM) a line is a line, however narrow the terminal is.
	fmt.Fprintf(v.out, "\x1b[?7l%s\x1b[?7h", strings.Map(visible, strings.Join(lines, "")))
}

func answerText(a *session.Answer) string {
	var b strings.Builder
	writeAnswer(&b, session.Refresh, a)
	return b.String()
}

// visible keeps what stands in a source from controlling the terminal.
func visible(r rune) rune {
	if r != '\n' && unicode.IsControl(r) {
		return '·'
	}
	return r
}

// erase takes the state off the screen.
func (v *watchView) erase() {
	if v.drawn > 0 {
		fmt.Fprintf(v.out, "\x1b[%dA\r\x1b[J", v.drawn)
		v.drawn = 0
	}
}

// rows is how many lines there may be below all else.
func (v *watchView) rows() int {
	const least = 4
	size, err := unix.IoctlGetWinsize(int(v.out.Fd()), unix.TIOCGWINSZ)
	if err != nil {
		return least
	}
	return max(least, int(size.Row)-1)
}

// close leaves the terminal with what was done on it.
func (v *watchView) close() { v.erase() }
