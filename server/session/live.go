package session

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"github.com/limeade-go/limeade/analysis/edit"
	"github.com/limeade-go/limeade/analysis/snapshot"
	"github.com/limeade-go/limeade/reload"
)

// A Live is a running process of which a front end wants to know all the time how the source differs from what it
// runs. Its methods may be called from several goroutines, but not those that compare. All paths are without symbolic
// links, whatever name the go command was given for the module's directory.
type Live struct {
	program *program
	root    string // the module's directory without symbolic links
	ended   chan struct{}

	mu    sync.Mutex // guards the rest
	proc  *reload.Process
	gen   *reload.Generation
	runs  *program           // the build with what joined the process
	old   *snapshot.Snapshot // what it runs
	saved *snapshot.Snapshot // the files as they were at the last Rescan

	// The program and the files at the last comparison of those: with what would join the process.
	next    *program
	nextNow *snapshot.Snapshot
	lives   []lived
}

// A lived is a generation that the process was at: the build, and those that somebody saw.
type lived struct {
	generation uint32
	since      time.Time
	source     *snapshot.Snapshot
}

// PIDs lists the processes of this user that can be refreshed.
func PIDs() ([]int, error) { return reload.PIDs() }

// Live connects to a process. The error wraps ErrUnrelated when its program has nothing to do with any of the
// directories.
func (s *Session) Live(ctx context.Context, pid int, dirs []string) (*Live, error) {
	proc, err := reload.Attach(ctx, pid)
	if err != nil {
		return nil, err
	}
	proc.Close()
	prog, err := s.open(proc.BuildID)
	if err != nil {
		return nil, err
	}
	l := &Live{program: prog, root: resolved(prog.Module.Dir)}
	if !l.Concerns(dirs) {
		return nil, fmt.Errorf("process %d: %w", pid, ErrUnrelated)
	}
	if err := l.take(ctx, proc); err != nil {
		return nil, err
	}
	l.ended, err = Ended(pid)
	return l, err
}

// ErrUnrelated says that a process is of another workspace.
var ErrUnrelated = errors.New("is not of this workspace")

// Ended returns a channel that is closed when a process has ended.
func Ended(pid int) (chan struct{}, error) {
	fd, err := unix.PidfdOpen(pid, unix.PIDFD_NONBLOCK)
	if err != nil {
		return nil, fmt.Errorf("process %d: %w", pid, err)
	}
	f := os.NewFile(uintptr(fd), "pidfd") // the runtime's poller waits for it: that takes no thread
	raw, err := f.SyscallConn()
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	ended := make(chan struct{})
	go func() {
		defer f.Close()
		defer close(ended)
		_ = raw.Read(func(fd uintptr) bool {
			n, err := unix.Poll([]unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}, 0)
			return n != 0 || err != nil && err != unix.EINTR
		})
	}()
	return ended, nil
}

// take notes what the process runs now, and how the files are.
func (l *Live) take(ctx context.Context, proc *reload.Process) error {
	gen, err := l.program.Generation(proc)
	if err != nil {
		return err
	}
	runs, err := l.program.with(gen.Joined)
	if err != nil {
		return err
	}
	source, err := runs.source(gen)
	if err != nil {
		return err
	}
	saved, err := runs.scan(ctx)
	if err != nil {
		return err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.proc, l.gen, l.runs, l.old = proc, gen, runs, source
	l.saved, l.next, l.nextNow = saved, nil, nil
	if len(l.lives) == 0 && proc.Generation > 0 {
		base, err := l.program.baseline()
		if err != nil {
			return err
		}
		l.lives = append(l.lives, lived{0, time.Unix(0, proc.Started), base})
	}
	l.lives = append(l.lives, lived{proc.Generation, time.Unix(0, proc.Live), source})
	return nil
}

// Update asks the process what it runs, and reports whether that is something else than before.
func (l *Live) Update(ctx context.Context) (changed bool, err error) {
	proc, err := reload.Attach(ctx, l.PID())
	if err != nil {
		return false, err
	}
	proc.Close()
	l.mu.Lock()
	changed = proc.Generation != l.proc.Generation
	l.mu.Unlock()
	if !changed {
		return false, nil
	}
	return true, l.take(ctx, proc)
}

// Ended is closed when the process has ended.
func (l *Live) Ended() <-chan struct{} { return l.ended }

// PID of the process.
func (l *Live) PID() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return int(l.proc.PID)
}

// Same reports whether two processes run the same, so that source differs from both in the same.
func (l *Live) Same(m *Live) bool {
	return l == m || l.program == m.program && l.source() == m.source()
}

func (l *Live) source() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.proc.Source
}

// Status is the process without its pending edits and its old code.
func (l *Live) Status() Process {
	l.mu.Lock()
	defer l.mu.Unlock()
	return Process{
		PID: int(l.proc.PID), Package: l.program.Package, Dir: l.program.Module.Dir, BuildID: l.proc.BuildID, Go: l.proc.GoVersion,
		Generation: l.proc.Generation, LiveSince: time.Unix(0, l.proc.Live).UTC(), Pending: []Edit{}, Stale: []Stale{},
	}
}

// MainDir is the directory of the main package.
func (l *Live) MainDir() string { return l.out(l.program.Main().Dir) }

// Stale asks the process which replaced functions are still running.
func (l *Live) Stale(ctx context.Context) ([]Stale, error) {
	proc, err := reload.Attach(ctx, l.PID())
	if err != nil {
		return nil, err
	}
	defer proc.Close()
	return (&job{proc: proc}).stale(ctx)
}

// Rescan reads what changed on disk, and reports whether anything did.
func (l *Live) Rescan(ctx context.Context) (changed bool, err error) {
	l.mu.Lock()
	runs := l.runs
	l.mu.Unlock()
	now, err := runs.scan(ctx)
	if err != nil {
		return false, err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	changed = now != l.saved
	l.saved = now
	return changed, nil
}

// Dirs returns the directories in which a file may be, or come, that is part of the program and may be edited; true
// stands for those where its name may be any.
func (l *Live) Dirs() map[string]bool {
	l.mu.Lock()
	saved := l.saved
	l.mu.Unlock()
	dirs := map[string]bool{}
	for _, p := range saved.Packages() {
		if !p.Local {
			continue
		}
		dirs[p.Dir] = dirs[p.Dir] || len(p.EmbedPatterns) > 0
		for _, o := range p.Other {
			dirs[filepath.Dir(o.Path)] = dirs[filepath.Dir(o.Path)] || o.Kind == snapshot.Embedded
		}
	}
	for _, m := range saved.Modules() {
		dirs[filepath.Dir(m.Path)] = dirs[filepath.Dir(m.Path)]
	}
	return dirs
}

// Concerns reports whether the program has to do with one of the directories.
func (l *Live) Concerns(dirs []string) bool {
	return concernsAny(dirs, l.program.Module.Dir)
}

// Compare says in what the files differ from what the process runs, with unsaved buffers, by path, in their place. Whether
// a package that the program lacks can join it is looked up for files alone: of a buffer it is refused.
func (l *Live) Compare(ctx context.Context, buffers map[string][]byte) (*Difference, error) {
	d := &Difference{}
	l.mu.Lock()
	j := &job{program: l.runs, proc: l.proc, gen: l.gen, old: l.old, now: l.saved}
	next, nextNow := l.next, l.nextNow
	l.mu.Unlock()
	var err error
	if len(buffers) == 0 {
		var f *Failure
		if err = j.join(ctx); errors.As(err, &f) && f.Kind == FailureSource {
			d.Errors = f.Source
			return d, nil
		} else if err != nil {
			return nil, err
		}
		l.mu.Lock()
		l.next, l.nextNow = j.program, j.now
		l.mu.Unlock()
	} else {
		if next != nil {
			j.program, j.now = next, nextNow
		}
		if j.now, err = l.overlay(ctx, j.now, buffers); err != nil {
			return nil, err
		}
	}
	if sameSource(j.old, j.now) {
		return d, nil
	}
	j.program.analysis.Frugal()
	j.program.compareWith(j.gen)
	if j.report, err = j.program.analysis.Draft(ctx, j.old, j.now); err != nil {
		return nil, err
	}
	for _, e := range j.report.Errors {
		d.Errors = append(d.Errors, SourceError(e))
	}
	settled := len(d.Errors) == 0 && j.settled()
	for _, e := range j.report.Edits {
		if settled && !keeps(e) {
			continue
		}
		p := j.pending(e)
		p.Path = l.out(p.Path)
		if p.Old != nil {
			p.Old.Path = l.out(p.Old.Path)
		}
		d.Pending = append(d.Pending, p)
	}
	return d, nil
}

// keeps reports whether the process keeps something that the files say otherwise, though no code of it changes: worth
// knowing, unlike that something went which nobody uses.
func keeps(e edit.Edit) bool {
	return e.Verdict() == edit.Caveat && e.Kind != edit.FuncDeleted && e.Kind != edit.MethodDeleted
}

func sameSource(a, b *snapshot.Snapshot) bool {
	same := func(o, p snapshot.OtherFile) bool { return o.Path == p.Path && o.Hash == p.Hash }
	if a == b || !slices.EqualFunc(a.Modules(), b.Modules(), same) {
		return a == b
	}
	return slices.EqualFunc(a.Packages(), b.Packages(), (*snapshot.Package).SameSource)
}

// Path is where a file of an edit or error is.
func (l *Live) Path(file string) string {
	return filepath.Join(l.root, filepath.FromSlash(file))
}

// out returns the path without symbolic links of a file that the program has by another.
func (l *Live) out(path string) string { return moved(path, l.program.Module.Dir, l.root) }

// overlay puts buffers into a snapshot of the program's source.
func (l *Live) overlay(ctx context.Context, s *snapshot.Snapshot, buffers map[string][]byte) (*snapshot.Snapshot, error) {
	own := make(map[string][]byte, len(buffers))
	for path, content := range buffers {
		own[moved(path, l.root, l.program.Module.Dir)] = content
	}
	return l.program.disk.Overlay(ctx, s, own)
}

// moved returns a path with one directory in the place of another.
func moved(path, from, to string) string {
	if rest, ok := strings.CutPrefix(path, from); ok && (rest == "" || rest[0] == filepath.Separator) {
		return to + rest
	}
	return path
}
