package retest

import (
	"bufio"
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/limeade-go/limeade/analysis/edit"
	"github.com/limeade-go/limeade/reload"
	"github.com/limeade-go/limeade/server/session"
)

// A unit is the tests of one package.
type unit struct {
	options Options
	pkg     *listed
	module  *module
	shadow  *shadow
	plain   string // why go test itself runs them; "" if it does not

	session *session.Session
	program *reload.Program // what is built; nil if nothing that compiles is
	process *process        // that runs; nil if none does
	stale   bool            // the last run was not of what the files say
	pending bool            // what was last seen did not compile, which was not said, or came while the tests ran
	passed  bool
}

// update runs the tests if an edit reaches them. Before it says that something does not compile it looks whether there is
// more to come, and what comes while the tests run may break them off.
func (u *unit) update(ctx context.Context, changes chan struct{}) {
	if u.plain != "" {
		u.runPlain(ctx)
		return
	}
	changed, err := u.shadow.sync()
	if err != nil {
		u.fail("setup failed", err.Error())
		return
	}
	if !changed && !u.pending && u.program != nil {
		return
	}
	u.pending = false
	begun := time.Now()
	how, err := u.bring(ctx)
	var source *reload.CompileError
	switch {
	case ctx.Err() != nil:
	case errors.As(err, &source) && soon(ctx, changes):
		u.pending, u.stale = true, true
	case errors.As(err, &source):
		u.fail("build failed", u.shadow.real(source.Output))
	case err != nil:
		u.fail("build failed", u.shadow.real(err.Error()))
	case how != "":
		u.run(ctx, fmt.Sprintf("%s, %d ms", how, time.Since(begun).Milliseconds()), changes)
	}
}

// fail says that there is nothing to run.
func (u *unit) fail(what, why string) {
	u.passed, u.stale = false, true
	fmt.Fprintf(u.options.Out, "# %s\n%s\nFAIL\t%s [%s]\n", u.pkg.ImportPath, strings.TrimRight(why, "\n"), u.pkg.ImportPath, what)
}

// bring makes the process one that runs what the files say, and says how; "" if no code changed.
func (u *unit) bring(ctx context.Context) (how string, err error) {
	if u.program == nil {
		return "built", u.rebuild(ctx)
	}
	if u.process == nil || u.options.Fresh {
		if err := u.start(ctx); err != nil {
			return "", err
		}
		u.stale = true // none was run in it
	}
	a := u.session.Refresh(ctx, u.process.pid)
	switch {
	case a.Error != nil && a.Error.Kind == session.FailureSource:
		var list strings.Builder
		for _, e := range a.Error.Source {
			fmt.Fprintf(&list, "%s:%d:%d: %s\n", e.File, e.Line, e.Column, e.Message)
		}
		return "", &reload.CompileError{Output: list.String()}
	case a.Error != nil || caveat(a):
		return "rebuilt", u.rebuild(ctx)
	case a.Applied:
		return "hot", nil
	case u.stale:
		return "unchanged", nil
	}
	return "", nil
}

// caveat reports whether a process does not do in all what a fresh build would: it keeps values that initialisers gave.
func caveat(a *session.Answer) bool {
	for _, e := range a.Edits {
		if e.Verdict != edit.Hot.String() {
			return true
		}
	}
	return false
}

// rebuild builds the tests and starts them.
func (u *unit) rebuild(ctx context.Context) error {
	p, err := build(ctx, u.options, u.shadow)
	if err != nil {
		return err
	}
	if u.session == nil {
		u.session = session.New()
	}
	u.session.Adopt(p)
	u.program = p
	go func() { _ = p.Tidy() }() // whether old builds are cleared away is no matter of tests
	return u.start(ctx)
}

// start starts the tests as they were built.
func (u *unit) start(ctx context.Context) (err error) {
	u.end()
	u.process, err = startProcess(u.program.Binary, u.pkg.Dir, testArgs(u.options.Args))
	if err == nil {
		err = session.Reachable(ctx, u.process.pid, u.process.ended)
	}
	return err
}

func (u *unit) end() {
	if u.process != nil {
		u.process.kill()
		u.process = nil
	}
}

// run runs the tests.
func (u *unit) run(ctx context.Context, how string, changes chan struct{}) {
	begun := time.Now()
	u.process.exits = u.shadow.hasMain
	running, end := context.WithCancel(ctx)
	var others sync.WaitGroup
	others.Go(func() { u.supersede(running, end, changes) })
	output, code, alive := u.process.run(running)
	brokenOff := !alive && running.Err() != nil
	end()
	others.Wait()
	if !alive {
		u.end()
	}
	if ctx.Err() != nil {
		return
	}
	u.passed, u.stale = code == 0, brokenOff
	text := u.shadow.real(output)
	out := u.options.Out
	if brokenOff {
		how = "broken off: it is not of the last save"
	}
	if !u.passed || verbose(u.options.Args) {
		io.WriteString(out, text)
	}
	verdict := "ok  "
	if !u.passed {
		verdict = "FAIL"
	}
	fmt.Fprintf(out, "%s\t%s\t%s\t(%s)\n", verdict, u.pkg.ImportPath, seconds(time.Since(begun)), how)
}

// overtime is how long tests go on that do not run what the files say any more. They may hang, and the save may be what
// ends that.
const overtime = 2 * time.Second

// supersede ends a run, after some time, when an edit comes that reaches it.
func (u *unit) supersede(running context.Context, end func(), changes chan struct{}) {
	var over <-chan time.Time
	taken := false
	for {
		select {
		case <-changes:
			taken = true
			if err := u.module.scan(); err != nil {
				continue // who looks next says so
			}
			if changed, err := u.shadow.sync(); changed || err != nil {
				u.pending = true
				if over == nil {
					over = time.After(overtime)
				}
			}
		case <-over:
			end()
		case <-running.Done():
			if taken {
				again(changes)
			}
			return
		}
	}
}

// runPlain has go test run the tests; its cache knows whether it must.
func (u *unit) runPlain(ctx context.Context) {
	args := append([]string{"test"}, u.options.Flags...)
	args = append(append(args, u.pkg.ImportPath), u.options.Args...)
	cmd := exec.CommandContext(ctx, "go", args...)
	cmd.Dir = u.options.Dir
	cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) }
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	err := cmd.Run()
	if ctx.Err() != nil {
		return
	}
	text := strings.TrimRight(out.String(), "\n")
	u.passed = err == nil
	if !strings.HasSuffix(text, "(cached)") || u.stale == u.passed {
		fmt.Fprintf(u.options.Out, "%s\t(by go test: %s)\n", text, u.plain)
	}
	u.stale = !u.passed
}

func (u *unit) close() {
	u.end()
	if u.session != nil {
		u.session.Close()
	}
	if u.shadow != nil {
		u.shadow.close()
	}
}

// A process is a test binary that runs.
type process struct {
	cmd      *exec.Cmd
	pid      int
	commands *os.File
	exits    bool          // there is a TestMain, which may end it
	mark     string        // begins the line at the end of a run
	lines    chan string   // that it prints; closed when it prints no more
	ended    chan struct{} // closed when it has ended
	kill     func()
}

// leftover is how long what a process has started may go on printing when it has ended.
const leftover = 2 * time.Second

func startProcess(binary, dir string, args []string) (*process, error) {
	p := &process{mark: rand.Text() + " ", lines: make(chan string, 64), ended: make(chan struct{})}
	in, commands, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	defer in.Close()
	output, out, err := os.Pipe()
	if err != nil {
		commands.Close()
		return nil, err
	}
	defer out.Close()
	p.commands = commands
	p.cmd = exec.Command(binary, args...)
	p.cmd.Dir = dir
	p.cmd.Env = append(os.Environ(), "PWD="+dir, "LIMEADE_TEST_END="+p.mark)
	p.cmd.Stdout, p.cmd.Stderr = out, out
	p.cmd.ExtraFiles = []*os.File{in}
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := p.cmd.Start(); err != nil {
		commands.Close()
		output.Close()
		return nil, err
	}
	p.pid = p.cmd.Process.Pid
	go func() {
		_ = p.cmd.Wait() // the state says it
		close(p.ended)
		time.Sleep(leftover)
		output.Close()
	}()
	go func() {
		defer close(p.lines)
		for r := bufio.NewReader(output); ; {
			line, err := r.ReadString('\n')
			if line != "" {
				p.lines <- line
			}
			if err != nil {
				return
			}
		}
	}()
	p.kill = sync.OnceFunc(func() {
		commands.Close()
		_ = syscall.Kill(-p.pid, syscall.SIGKILL) // it may be gone already
		<-p.ended
		output.Close()
		for range p.lines {
		}
	})
	return p, nil
}

// run has the tests run once, and returns what they printed, the exit code, and whether the process goes on.
func (p *process) run(ctx context.Context) (output string, code int, alive bool) {
	if _, err := io.WriteString(p.commands, "run\n"); err != nil {
		return fmt.Sprintf("the tests cannot be told to run: %v\n", err), 1, false
	}
	var b strings.Builder
	for {
		select {
		case line, ok := <-p.lines:
			if !ok {
				<-p.ended
				return p.lastWords(b.String())
			}
			if rest, ok := strings.CutPrefix(line, p.mark); ok {
				code, err := strconv.Atoi(strings.TrimSpace(rest))
				if err != nil {
					code = 1
				}
				return strings.TrimSuffix(b.String(), "\n"), code, true
			}
			b.WriteString(line)
		case <-ctx.Done():
			return b.String(), 1, false
		}
	}
}

// lastWords is the outcome of a run in which the process ended. Only a TestMain may do that with success.
func (p *process) lastWords(output string) (string, int, bool) {
	state := p.cmd.ProcessState
	if state.Success() && p.exits {
		return output, 0, false
	}
	if state.Success() || !strings.Contains("\n"+output, "\nFAIL") {
		output += fmt.Sprintf("the tests ended their process: %v\n", state)
	}
	return output, 1, false
}
