package server

import (
	"context"
	"path/filepath"
	"runtime/debug"
	"slices"
	"sync"
	"time"

	"github.com/limeade-go/limeade/analysis/edit"
	"github.com/limeade-go/limeade/server/session"
	"github.com/limeade-go/limeade/server/text"
)

// A change is a set of things that happened since the last view.
type change uint8

const (
	buffersChanged   change = 1 << iota
	filesChanged            // on disk
	processesChanged        // one came, went, or runs something else
	settingsChanged
)

// A view is what the observer found out. It is immutable.
type view struct {
	seq      int // of the last change that it has seen
	programs []programView
	files    map[string]*fileView // with pending edits, by path
	docs     map[string]*text.Document
}

// A programView is one running program and in what the source differs from it.
type programView struct {
	live    *session.Live
	status  session.Process // Pending is of the files on disk
	pending []pendingEdit
	errors  []session.SourceError
}

// A pendingEdit is an edit that no refresh has made live yet.
type pendingEdit struct {
	session.Pending
	saved bool // it is on disk
}

// A fileView is a file with pending edits.
type fileView struct {
	path    string
	content []byte // to which offsets refer
	version int32  // of the document, if it is open
	open    bool
	edits   []pendingEdit // of one program: the first that has any in the file
}

// An observer makes views. Its methods may be called from any goroutine.
type observer struct {
	server *Server
	poke   chan struct{} // something happened
	cancel context.CancelFunc
	done   chan struct{}

	mu      sync.Mutex // guards the rest
	seq     int
	changes change
	view    *view
	newer   chan struct{} // closed when there is another view

	// The rest is the goroutine's own.
	lives   map[int]*session.Live
	differs map[*session.Live]*session.Difference
}

func newObserver(s *Server) *observer {
	return &observer{
		server: s, poke: make(chan struct{}, 1), cancel: func() {}, view: &view{}, newer: make(chan struct{}),
		lives: map[int]*session.Live{}, differs: map[*session.Live]*session.Difference{},
	}
}

// idleTime is after how much rest memory is given back.
const idleTime = 3 * time.Second

// start begins to observe.
func (o *observer) start() {
	ctx, cancel := context.WithCancel(context.Background())
	o.cancel, o.done = cancel, make(chan struct{})
	go func() {
		defer close(o.done)
		idle := time.NewTimer(idleTime)
		for {
			select {
			case <-o.poke:
				o.look(ctx)
				idle.Reset(idleTime)
			case <-idle.C:
				debug.FreeOSMemory()
			case <-ctx.Done():
				return
			}
		}
	}()
}

// close stops observing. It may be called once, also if start was not.
func (o *observer) close() {
	o.cancel()
	if o.done != nil {
		<-o.done
	}
}

// note says that something happened.
func (o *observer) note(c change) {
	o.mu.Lock()
	o.seq++
	o.changes |= c
	o.mu.Unlock()
	select {
	case o.poke <- struct{}{}:
	default:
	}
}

// latest returns the latest view, whatever it has seen.
func (o *observer) latest() *view {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.view
}

// current returns a view that has seen all that happened so far.
func (o *observer) current(ctx context.Context) (*view, error) {
	o.mu.Lock()
	want := o.seq
	o.mu.Unlock()
	for {
		o.mu.Lock()
		v, newer := o.view, o.newer
		o.mu.Unlock()
		if v.seq >= want {
			return v, nil
		}
		select {
		case <-newer:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

// after returns a view that is newer than another.
func (o *observer) after(ctx context.Context, v *view) (*view, error) {
	for {
		o.mu.Lock()
		next, newer := o.view, o.newer
		o.mu.Unlock()
		if next != v {
			return next, nil
		}
		select {
		case <-newer:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

// look makes a view of what is the case now, and shows it.
func (o *observer) look(ctx context.Context) {
	o.mu.Lock()
	seq, changes, before := o.seq, o.changes, o.view
	o.changes = 0
	o.mu.Unlock()
	if seq == before.seq {
		return
	}
	s := o.server
	v := &view{seq: seq, programs: before.programs, files: before.files, docs: s.openDocuments()} // requests wait for one in any case
	s.guard("comparison", func() {
		defer s.showProgress(ctx, nil, "Comparing with the running program", nil)()
		v = o.fill(ctx, seq, before, changes)
	})
	if ctx.Err() != nil {
		return
	}
	s.show(before, v) // so that an answer that is made of a view comes after what the client is told by itself
	o.mu.Lock()
	o.view = v
	close(o.newer)
	o.newer = make(chan struct{})
	o.mu.Unlock()
}

// fill makes the view of what is the case now.
func (o *observer) fill(ctx context.Context, seq int, before *view, changes change) *view {
	s := o.server
	v := &view{seq: seq, files: map[string]*fileView{}, docs: s.openDocuments()}
	if changes&processesChanged != 0 {
		o.findProcesses(ctx)
		s.follow(o.lives)
	}
	buffers := unsaved(v.docs)
	for _, pid := range o.pids() {
		v.programs = append(v.programs, o.program(ctx, v, o.lives[pid], changes, buffers))
	}
	v.keepBroken(before)
	for path, f := range v.files {
		if d := v.docs[path]; d != nil {
			f.open, f.version = true, d.Version
		}
	}
	return v
}

func (o *observer) pids() []int {
	var pids []int
	for pid := range o.lives {
		pids = append(pids, pid)
	}
	slices.Sort(pids)
	return pids
}

// findProcesses looks which programs of the workspace run, and what.
func (o *observer) findProcesses(ctx context.Context) {
	s := o.server
	folders := s.dirs()
	pids, err := session.PIDs()
	if err != nil {
		s.log.Warn("running programs", "error", err)
	}
	for pid, l := range o.lives {
		if !slices.Contains(pids, pid) || !l.Concerns(folders) {
			delete(o.lives, pid)
			delete(o.differs, l)
		}
	}
	for _, pid := range pids {
		if l := o.lives[pid]; l != nil {
			changed, err := l.Update(ctx)
			if err != nil {
				s.log.Info("process", "pid", pid, "error", err)
			}
			if changed || err != nil {
				delete(o.differs, l)
			}
			continue
		}
		l, err := s.session.Live(ctx, pid, folders)
		if err != nil {
			s.log.Info("process not followed", "pid", pid, "error", err) // it may be anybody's
			continue
		}
		o.lives[pid] = l
		go func() {
			select {
			case <-l.Ended():
				o.note(processesChanged)
			case <-o.done:
			}
		}()
	}
	var lives []*session.Live
	for _, l := range o.lives {
		lives = append(lives, l)
	}
	s.session.Keep(lives)
}

// program compares one program with the source, and adds what it finds to the files of the view.
func (o *observer) program(ctx context.Context, v *view, l *session.Live, changes change, buffers map[string][]byte) programView {
	p := programView{live: l, status: l.Status()}
	for _, other := range v.programs {
		if l.Same(other.live) {
			p.pending, p.errors, p.status.Pending, p.status.Error = other.pending, other.errors, other.status.Pending, other.status.Error
			return p
		}
	}
	fail := func(err error) programView {
		if ctx.Err() == nil {
			o.server.log.Warn("comparison failed", "pid", p.status.PID, "error", err)
			p.status.Error = &session.Failure{Kind: session.FailureProcess, Message: err.Error()}
		}
		return p
	}
	if changes&filesChanged != 0 || o.differs[l] == nil {
		changed, err := l.Rescan(ctx)
		if err != nil {
			return fail(err)
		}
		if changed || o.differs[l] == nil {
			if o.differs[l], err = l.Compare(ctx, nil); err != nil {
				return fail(err)
			}
		}
	}
	saved := o.differs[l]
	now := saved
	if len(buffers) > 0 {
		d, err := l.Compare(ctx, buffers)
		if err != nil {
			return fail(err)
		}
		now = d
	}
	onDisk := map[[2]string]bool{}
	for _, e := range saved.Pending {
		onDisk[[2]string{e.Decl, e.Code}] = true
		p.status.Pending = append(p.status.Pending, e.Edit)
	}
	if len(saved.Errors) > 0 {
		p.status.Error = &session.Failure{
			Kind: session.FailureSource, Message: "the source does not compile", Source: saved.Errors,
		}
	}
	for _, e := range now.Errors {
		e.File = l.Path(e.File)
		p.errors = append(p.errors, e)
	}
	for _, e := range now.Pending {
		shown := pendingEdit{e, onDisk[[2]string{e.Decl, e.Code}]}
		if !shown.saved && e.Code == edit.ImportRefused.Code() {
			continue // it may join the program: that is looked up when it is saved
		}
		p.pending = append(p.pending, shown)
		v.add(shown)
	}
	return p
}

// add adds an edit to its file, unless it is there already, for another program.
func (v *view) add(e pendingEdit) {
	f := v.files[e.Path]
	if f == nil {
		f = &fileView{path: e.Path, content: e.Content}
		v.files[e.Path] = f
	}
	if !slices.ContainsFunc(f.edits, func(o pendingEdit) bool { return o.Decl == e.Decl && o.Code == e.Code && o.Start == e.Start }) {
		f.edits = append(f.edits, e)
	}
}

// keepBroken leaves the files of packages that do not compile at the moment as they were in the view before: nothing is
// known of their edits, and what is shown should not come and go with every keystroke.
func (v *view) keepBroken(before *view) {
	broken := map[string]bool{}
	for _, p := range v.programs {
		for _, e := range p.errors {
			broken[filepath.Dir(e.File)] = true
		}
	}
	if len(v.programs) != len(before.programs) {
		return
	}
	for i, p := range v.programs {
		q := before.programs[i]
		if p.live != q.live || p.status.Generation != q.status.Generation {
			return
		}
	}
	for path, f := range before.files {
		if broken[filepath.Dir(path)] && v.files[path] == nil {
			v.files[path] = f
		}
	}
}
