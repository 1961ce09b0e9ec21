// Command limeade-lsp makes edits to Go source live in the program that is already running. It knows
// flags, subcommands and how to show an answer in a terminal; everything else is in its packages.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"

	"github.com/limeade-go/limeade/analysis/edit"
	"github.com/limeade-go/limeade/reload"
	"github.com/limeade-go/limeade/server/session"
)

const usage = `limeade-lsp makes edits to Go source live in the program that is already running.

usage:

  limeade-lsp [serve] [--stdio]                                language server on standard input and output
  limeade-lsp run   [-C DIR] [--auto-restart] [build flags] PACKAGE [-- ARGS]
                                                               build, start, pass on stdio, signals and exit code
  limeade-lsp build [-C DIR] [-o FILE] [build flags] PACKAGE   the same build, not started
  limeade-lsp check    [-C DIR] [--pid N] [--json]             what a refresh would do; nothing is changed
  limeade-lsp refresh  [-C DIR] [--pid N] [--trial 5s] [--json]
                                                               make the edited source live; with --trial, roll it back if it does
                                                               harm within that time
  limeade-lsp restart  [-C DIR] [--pid N] [--json]             build anew, then end the program and start the new one
  limeade-lsp rollback [-C DIR] [--pid N] [--json]             undo the last refresh
  limeade-lsp status   [-C DIR] [--pid N] [--json]             processes, generation, pending edits
  limeade-lsp watch    [-C DIR] [--pid N] [--auto-restart]     refresh at every save, from any editor, until ctrl-c
  limeade-lsp test     [-C DIR] [--fresh] [build flags] [PACKAGES] [-- TEST FLAGS]
                                                               run tests, and again those that a save reaches, until ctrl-c
  limeade-lsp explain LMDnnnn                                  what a code means, and what to do
  limeade-lsp demo                                             a built-in program, edited while it runs

With --reset VAR (any number of them), check and refresh initialise a package variable anew, such as
example.com/app/p.table, p.table or table, whatever was written to it; with --rerun-init they run the
init functions that were added or changed. With --auto-restart, a refresh restarts the program where an edit requires it, and says which.
Exit codes of check and refresh: 0 live, or nothing to do; 1 refused: a restart is required, or a hook of
the program, another program or a trial was against it; 2 the source does not compile; 3 no process, or the
agent failed and the process is as before; 64 usage.
`

// exitUsage is the exit code for a command line that makes no sense (sysexits.h, EX_USAGE).
const exitUsage = 64

func main() { os.Exit(dispatch(os.Args[1:])) }

func dispatch(args []string) int {
	if len(args) == 0 || args[0] == "--stdio" || args[0] == "-stdio" {
		args = append([]string{"serve"}, args...)
	}
	switch verb, rest := args[0], args[1:]; verb {
	case "serve":
		return serveCommand(rest)
	case "run":
		return runCommand(rest)
	case "build":
		return buildCommand(rest)
	case "check", "refresh", "rollback", "restart":
		return queryCommand(session.Verb(verb), rest)
	case "status":
		return statusCommand(rest)
	case "test":
		return testCommand(rest)
	case "watch":
		return watchCommand(rest)
	case "explain":
		return explainCommand(rest)
	case "demo":
		return demoCommand(rest)
	case "toolexec": // go build calls it: see reload.NewBuild
		return reload.Toolexec(rest)
	case "help", "-h", "-help", "--help":
		fmt.Print(usage)
		return 0
	default:
		return misused("unknown command %q; see limeade-lsp help", verb)
	}
}

// say tells a person something, on standard error.
func say(format string, args ...any) {
	for line := range strings.Lines(fmt.Sprintf(format, args...)) {
		fmt.Fprintln(os.Stderr, "limeade: "+strings.TrimRight(line, "\n"))
	}
}

func misused(format string, args ...any) int {
	say(format, args...)
	return exitUsage
}

// A target is what most commands are about.
type target struct {
	session.Query
	dir  string
	json bool
}

// parseTarget reads the flags of check, refresh, rollback, status and watch, with those that only one of them has.
func parseTarget(verb session.Verb, args []string, own ...func(*target, *flag.FlagSet)) (target, error) {
	t := target{Query: session.Query{Verb: verb}}
	fs := flag.NewFlagSet(string(verb), flag.ContinueOnError)
	fs.SetOutput(io.Discard)
	fs.StringVar(&t.dir, "C", ".", "")
	fs.IntVar(&t.PID, "pid", 0, "")
	fs.BoolVar(&t.json, "json", false, "")
	for _, add := range own {
		add(&t, fs)
	}
	if err := fs.Parse(args); err != nil {
		return t, err
	}
	if fs.NArg() > 0 {
		return t, fmt.Errorf("unexpected argument %q", fs.Arg(0))
	}
	if t.PID < 0 {
		return t, fmt.Errorf("%d is not a process", t.PID)
	}
	dir, err := filepath.Abs(t.dir)
	if err != nil {
		return t, err
	}
	if info, err := os.Stat(dir); err != nil || !info.IsDir() {
		return t, fmt.Errorf("%s is not a directory", t.dir)
	}
	t.Dirs = []string{dir}
	return t, nil
}

// wishFlags are those of check and refresh alone.
func wishFlags(t *target, fs *flag.FlagSet) {
	fs.Func("reset", "", func(name string) error {
		if name == "" {
			return errors.New("no variable is named")
		}
		t.Reset = append(t.Reset, name)
		return nil
	})
	fs.BoolVar(&t.RerunInit, "rerun-init", false, "")
}

// interruptible is a context that ends when a person asks for it.
func interruptible() (context.Context, context.CancelFunc) {
	return signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
}

func queryCommand(verb session.Verb, args []string) int {
	var own []func(*target, *flag.FlagSet)
	if verb == session.Check || verb == session.Refresh {
		own = append(own, wishFlags)
	}
	if verb == session.Refresh {
		own = append(own, func(t *target, fs *flag.FlagSet) { fs.DurationVar(&t.Trial, "trial", 0, "") })
	}
	t, err := parseTarget(verb, args, own...)
	if err == nil && t.Trial < 0 {
		err = fmt.Errorf("a trial of %v", t.Trial)
	}
	if err != nil {
		return misused("%s: %v", verb, err)
	}
	ctx, stop := interruptible()
	defer stop()
	var answer *session.Answer
	reply, err := session.Ask(ctx, t.Query)
	if err != nil {
		answer = session.Failed(t.PID, err)
	} else {
		answer = reply.Answer(t.Query)
	}
	if t.json {
		printJSON(answer)
	} else {
		printAnswer(verb, answer)
	}
	return answer.ExitCode()
}

func statusCommand(args []string) int {
	t, err := parseTarget(session.GetState, args)
	if err != nil {
		return misused("status: %v", err)
	}
	ctx, stop := interruptible()
	defer stop()
	reply, err := session.Ask(ctx, t.Query)
	if err != nil {
		say("%v", err)
		return 3
	}
	if t.json {
		printJSON(reply.Status())
	} else {
		printStatus(reply.Status())
	}
	return 0
}

func explainCommand(args []string) int {
	if len(args) != 1 {
		return misused("usage: limeade-lsp explain LMDnnnn")
	}
	kind, ok := edit.ByCode(strings.ToUpper(args[0]))
	if !ok {
		return misused("%s is not a code of limeade; they look like %s", args[0], edit.FuncBody.Code())
	}
	fmt.Println(strings.TrimRight(kind.Explain(), "\n"))
	return 0
}
