package server

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/fsnotify/fsnotify"
	"go.lsp.dev/protocol"

	"github.com/limeade-go/limeade/server/session"
)

// runs are the programs that the client had started. They end with the server, if that ends in an orderly way: their
// output goes to a file, so that nothing happens to them if the server is killed.
type runs struct {
	mu     sync.Mutex
	list   []*started
	ending bool
}

// A started is a limeade-lsp run that the client asked for.
type started struct {
	pid  int
	done chan struct{} // closed when it has ended, and its output was passed on

	// Of those that do not run in a terminal of the client.
	cmd    *exec.Cmd
	output string       // path of the file with its output
	tail   bytes.Buffer // the last of its output, until the program runs
}

// Output is the parameter of limeade/output: what a program that was started by the client printed.
type Output struct {
	PID  int    `json:"pid"` // of limeade-lsp run
	Text string `json:"text"`
	// Exit is the exit code, once the program has ended; there is no text then.
	Exit *int `json:"exit,omitempty"`
}

// stopGrace is how long a program may take to end when it is asked to.
const stopGrace = 5 * time.Second

// run builds and starts a program, and waits until it can be refreshed.
func (s *Server) run(ctx context.Context, args Arguments) *session.Answer {
	begun := time.Now()
	dir, target, err := s.target(ctx, args)
	if err != nil {
		return session.Failed(0, &session.Failure{Kind: session.FailureUsage, Message: err.Error()})
	}
	start := s.start
	if s.client.terminal {
		start = s.startInTerminal
	}
	r, err := start(ctx, dir, s.runCommand(dir, target, args))
	if err != nil {
		return session.Failed(0, err)
	}
	for v := s.observer.latest(); ; {
		for _, p := range v.programs {
			if parent(p.status.PID) == r.pid {
				return session.Started(p.status.PID, time.Since(begun))
			}
		}
		next := make(chan *view, 1)
		wait, cancel := context.WithCancel(ctx)
		go func() {
			if v, err := s.observer.after(wait, v); err == nil {
				next <- v
			}
		}()
		select {
		case v = <-next:
		case <-r.done:
			cancel()
			return session.Failed(0, r.failure(target))
		case <-ctx.Done():
			r.stop()
			cancel()
			return session.Failed(0, ctx.Err())
		}
		cancel()
	}
}

// failure says why there is no program.
func (r *started) failure(target string) error {
	if r.cmd == nil {
		return &session.Failure{
			Kind: session.FailureProcess, Message: "the program ended before it could be refreshed; its terminal says why",
		}
	}
	code := r.cmd.ProcessState.ExitCode()
	if code == 2 { // as limeade-lsp run says it
		return &session.Failure{Kind: session.FailureSource, Message: strings.TrimSpace("the source does not compile\n" + r.tail.String())}
	}
	return &session.Failure{
		Kind:    session.FailureProcess,
		Message: strings.TrimSpace(fmt.Sprintf("%s ended with exit code %d before it could be refreshed\n%s", target, code, r.tail.String())),
	}
}

// runCommand is the command line of limeade-lsp run.
func (s *Server) runCommand(dir, target string, args Arguments) []string {
	flags := args.Flags
	if flags == nil {
		flags = s.currentSettings().BuildFlags
	}
	argv := append([]string{s.tool, "run", "-C", dir}, flags...)
	argv = append(argv, target)
	if len(args.Args) > 0 {
		argv = append(append(argv, "--"), args.Args...)
	}
	return argv
}

// A TerminalRequest is the parameter of limeade/runInTerminal: what is to be run in a terminal of the client.
type TerminalRequest struct {
	Title   string   `json:"title"`
	Dir     string   `json:"dir"`
	Command []string `json:"command"`
}

// A Terminal is the answer to it.
type Terminal struct {
	PID int `json:"pid"` // of the command
}

// startInTerminal has the client start limeade-lsp run. The program is the terminal's, then: it does not end with the
// server, and this does not see its output.
func (s *Server) startInTerminal(ctx context.Context, dir string, argv []string) (*started, error) {
	var t Terminal
	p := &TerminalRequest{Title: "Limeade: " + filepath.Base(dir), Dir: dir, Command: argv}
	if err := protocol.Call(ctx, s.conn, methodRunInTerminal, p, &t); err != nil {
		return nil, fmt.Errorf("no terminal: %w", err)
	}
	ended, err := session.Ended(t.PID)
	if err != nil {
		return nil, err
	}
	return &started{pid: t.PID, done: ended}, nil
}

// start starts limeade-lsp run.
func (s *Server) start(_ context.Context, dir string, argv []string) (*started, error) {
	cache, err := os.UserCacheDir()
	if err != nil {
		return nil, err
	}
	cache = filepath.Join(cache, "limeade", "output")
	if err := os.MkdirAll(cache, 0o700); err != nil {
		return nil, err
	}
	out, err := os.CreateTemp(cache, "*.log")
	if err != nil {
		return nil, err
	}
	defer out.Close()
	appending, err := os.OpenFile(out.Name(), os.O_WRONLY|os.O_APPEND, 0)
	if err != nil {
		return nil, err
	}
	defer appending.Close()
	r := &started{cmd: exec.Command(argv[0], argv[1:]...), output: out.Name(), done: make(chan struct{})}
	r.cmd.Stdout, r.cmd.Stderr = appending, appending
	r.cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true} // no terminal is its own
	s.runs.mu.Lock()
	defer s.runs.mu.Unlock()
	if s.runs.ending {
		return nil, errors.New("the server is shutting down")
	}
	changes, err := fsnotify.NewWatcher()
	if err == nil {
		err = changes.Add(r.output)
	}
	if err == nil {
		err = r.cmd.Start()
	}
	if err != nil {
		return nil, errors.Join(err, os.Remove(r.output))
	}
	r.pid = r.cmd.Process.Pid
	s.runs.list = append(s.runs.list, r)
	go s.passOn(r, changes)
	return r, nil
}

// passOn gives what a program prints to the client, until the program has ended.
func (s *Server) passOn(r *started, changes *fsnotify.Watcher) {
	defer close(r.done)
	defer os.Remove(r.output)
	defer changes.Close()
	ended := make(chan struct{})
	go func() {
		_ = r.cmd.Wait() // the state says it
		close(ended)
	}()
	f, err := os.Open(r.output)
	if err != nil {
		s.log.Error("output", "error", err)
		<-ended
		return
	}
	defer f.Close()
	for open := true; open; {
		select {
		case <-changes.Events:
		case <-changes.Errors:
		case <-ended:
			open = false
		}
		s.copyOutput(r, f)
	}
	code := r.cmd.ProcessState.ExitCode()
	if s.client.status {
		s.sendOutput(Output{PID: r.pid, Exit: &code})
	}
	s.runs.mu.Lock()
	defer s.runs.mu.Unlock()
	for i, o := range s.runs.list {
		if o == r {
			s.runs.list = append(s.runs.list[:i], s.runs.list[i+1:]...)
			break
		}
	}
}

// Bounds of what is kept of output: in the file, and for the message about a program that did not start.
const (
	maxOutput = 64 << 20
	maxTail   = 4 << 10
)

func (s *Server) copyOutput(r *started, f *os.File) {
	buf := make([]byte, 32<<10)
	for {
		n, err := f.Read(buf)
		if n > 0 {
			if r.tail.Write(buf[:n]); r.tail.Len() > maxTail {
				r.tail.Next(r.tail.Len() - maxTail)
			}
			s.sendOutput(Output{PID: r.pid, Text: strings.ToValidUTF8(string(buf[:n]), "\uFFFD")})
		}
		if err != nil {
			break
		}
	}
	if at, err := f.Seek(0, 1); err == nil && at > maxOutput && os.Truncate(r.output, 0) == nil {
		_, _ = f.Seek(0, 0)
	}
}

func (s *Server) sendOutput(o Output) {
	if !s.client.status {
		s.notify(protocol.MethodWindowLogMessage, &protocol.LogMessageParams{
			Type: protocol.MessageTypeLog, Message: strings.TrimSuffix(o.Text, "\n"),
		})
		return
	}
	s.notify(methodOutput, o)
}

// stop ends a program: first it is asked to.
func (r *started) stop() {
	children := childrenOf(r.pid)
	_ = syscall.Kill(r.pid, syscall.SIGTERM) // it may be gone; it passes it on
	select {
	case <-r.done:
		return
	case <-time.After(stopGrace):
	}
	for _, pid := range children {
		_ = syscall.Kill(pid, syscall.SIGKILL)
	}
	_ = syscall.Kill(r.pid, syscall.SIGKILL)
	<-r.done
}

// end ends all programs.
func (r *runs) end() {
	r.mu.Lock()
	r.ending = true
	list := append([]*started(nil), r.list...)
	r.mu.Unlock()
	var wg sync.WaitGroup
	for _, p := range list {
		wg.Go(p.stop)
	}
	wg.Wait()
}

// parent returns the process that started another, 0 if that is not known.
func parent(pid int) int {
	data, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
	if err != nil {
		return 0
	}
	// pid (name) state ppid …; the name may hold anything.
	fields := strings.Fields(string(data[bytes.LastIndexByte(data, ')')+1:]))
	if len(fields) < 2 {
		return 0
	}
	ppid, _ := strconv.Atoi(fields[1])
	return ppid
}

func childrenOf(pid int) []int {
	var list []int
	data, _ := os.ReadFile(fmt.Sprintf("/proc/%d/task/%d/children", pid, pid)) // of the thread that started them: any
	for _, f := range strings.Fields(string(data)) {
		if child, err := strconv.Atoi(f); err == nil {
			list = append(list, child)
		}
	}
	return list
}

// target finds out what to run: what the client says, else what the settings say, else the one main package there is.
func (s *Server) target(ctx context.Context, args Arguments) (dir, target string, err error) {
	dir, target = args.Dir, args.Package
	folders := s.dirs()
	if target == "" {
		target = s.currentSettings().Package
	}
	if target != "" {
		if dir == "" && len(folders) > 0 {
			dir = folders[0]
		}
		return dir, target, nil
	}
	if dir != "" {
		folders = []string{dir}
	}
	var mains []string
	for _, folder := range folders {
		list, err := mainPackages(ctx, folder)
		if err != nil {
			return "", "", err
		}
		mains = append(mains, list...)
	}
	switch len(mains) {
	case 0:
		return "", "", fmt.Errorf("there is no main package in %s", strings.Join(folders, ", "))
	case 1:
		return mains[0], ".", nil
	}
	return "", "", fmt.Errorf("there are several main packages: %s; say which, or choose one in the settings (package)", strings.Join(mains, ", "))
}

// mainPackages lists the directories of the main packages of the modules in dir.
func mainPackages(ctx context.Context, dir string) ([]string, error) {
	modules, err := list(ctx, dir, "-m", "-f", "{{.Dir}}")
	if err != nil {
		return nil, err
	}
	var mains []string
	for _, module := range modules {
		found, err := list(ctx, module, "-e", "-f", `{{if eq .Name "main"}}{{.Dir}}{{end}}`, "./...")
		if err != nil {
			return nil, err
		}
		mains = append(mains, found...)
	}
	return mains, nil
}

// list runs go list and returns the lines that it prints.
func list(ctx context.Context, dir string, args ...string) ([]string, error) {
	cmd := exec.CommandContext(ctx, "go", append([]string{"list"}, args...)...)
	cmd.Dir = dir
	out, err := cmd.Output()
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		return nil, fmt.Errorf("go list in %s: %s", dir, bytes.TrimSpace(exit.Stderr))
	} else if err != nil {
		return nil, err
	}
	return strings.Fields(string(out)), nil
}
