package session

import (
	"context"
	"path/filepath"
	"reflect"
	"slices"
	"time"

	"github.com/limeade-go/limeade/analysis/snapshot"
	"github.com/limeade-go/limeade/server/watch"
)

// An Event is what somebody who watches gets to know.
type Event struct {
	Kind    EventKind
	Process Process // as Live.Status has it; of Answered, if there is one that is watched
	Answer  *Answer // of Answered
}

// An EventKind says what happened.
type EventKind int

const (
	Came      EventKind = iota // a program is watched from now on
	Went                       // it has ended
	Alone                      // no program is there to be watched
	Elsewhere                  // somebody else refreshed it or rolled it back
	Busy                       // the source changed: a refresh is under way
	Answered                   // what came of it
	Unchanged                  // nothing came of it that is new
	Warned                     // something is not watched; Answer says what
)

// patience is how long source that does not compile is left alone before that is said: more of it may be on its way.
const patience = 250 * time.Millisecond

// busyPause is how long somebody else is given for a refresh before it is tried again.
const busyPause = 50 * time.Millisecond

// A watching keeps the programs of a workspace at what its files say.
type watching struct {
	session *Session
	query   Query
	show    func(Event)
	files   *watch.Watcher
	changes chan watch.Change

	lives  map[int]*Live
	seen   map[int]*snapshot.Snapshot // the files when a refresh was last asked for
	known  map[int]uint32             // generations that were shown
	failed map[int]*Answer            // the last answer of programs that do not run what the files say
	broken map[string]bool            // directories of source errors
	dirs   map[string]bool            // that are watched
	held   []*Answer                  // that are not shown yet: see patience
}

// Watch refreshes the processes that a query is about whenever their source changes, until the context ends. Files that
// are written anew with the same content are no change. A program that is there, or comes, and does not run what the
// files say is refreshed at once; one that somebody else changes is left as it is until the next edit.
func (s *Session) Watch(ctx context.Context, q Query, show func(Event)) error {
	q.Verb = Refresh
	w := &watching{
		session: s, query: q, show: show, changes: make(chan watch.Change, 1),
		lives: map[int]*Live{}, seen: map[int]*snapshot.Snapshot{}, known: map[int]uint32{}, failed: map[int]*Answer{}, broken: map[string]bool{},
	}
	warnings := make(chan *Answer, 16)
	warn := func(what string, err error) {
		a := newAnswer(0)
		a.Error = &Failure{Kind: FailureProcess, Message: what + ": " + err.Error()}
		select {
		case warnings <- a:
		default:
		}
	}
	var err error
	if w.files, err = watch.New(SocketDirs(), w.note, warn); err != nil {
		return err
	}
	defer w.files.Close()
	if w.programs(ctx); len(w.lives) == 0 {
		show(Event{Kind: Alone})
	}
	hold := time.NewTimer(time.Hour)
	for {
		hold.Stop()
		if w.held != nil {
			hold.Reset(patience)
		}
		select {
		case c := <-w.changes:
			if c&watch.Programs != 0 {
				w.programs(ctx)
			}
			if c&watch.Source != 0 {
				w.source(ctx)
			}
		case <-hold.C:
			w.release()
		case a := <-warnings:
			w.show(Event{Kind: Warned, Answer: a})
		case <-ctx.Done():
			return nil
		}
	}
}

// note adds a change to those that were not looked at yet.
func (w *watching) note(c watch.Change) {
	for {
		select {
		case w.changes <- c:
			return
		case before := <-w.changes:
			c |= before
		}
	}
}

// programs finds out which programs run, and what.
func (w *watching) programs(ctx context.Context) {
	pids, _ := PIDs() // what cannot be looked at is not watched; a query would say so
	for pid, l := range w.lives {
		if l.gone() || !slices.Contains(pids, pid) {
			w.show(Event{Kind: Went, Process: l.Status()})
			if w.forget(pid); len(w.lives) == 0 {
				w.show(Event{Kind: Alone})
			}
		}
	}
	for _, pid := range pids {
		if w.query.PID != 0 && w.query.PID != pid {
			continue
		}
		if l := w.lives[pid]; l != nil {
			w.update(ctx, l)
			continue
		}
		l, err := w.session.Live(ctx, pid, w.query.Dirs)
		if err != nil {
			continue // of another workspace, or gone, or not to be refreshed: a query about it says why
		}
		w.add(ctx, l)
		w.follow()
		w.show(Event{Kind: Came, Process: l.Status()})
	}
}

func (w *watching) add(ctx context.Context, l *Live) {
	pid := l.PID()
	w.lives[pid], w.seen[pid], w.known[pid] = l, l.runsNow(), l.Status().Generation
	go func() {
		select {
		case <-l.Ended():
			w.note(watch.Programs)
		case <-ctx.Done():
		}
	}()
}

func (w *watching) forget(pid int) {
	delete(w.lives, pid)
	delete(w.seen, pid)
	delete(w.known, pid)
	delete(w.failed, pid)
	w.session.Keep(w.all())
}

func (w *watching) all() []*Live {
	var list []*Live
	for _, l := range w.lives {
		list = append(list, l)
	}
	return list
}

// update asks a process what it runs.
func (w *watching) update(ctx context.Context, l *Live) {
	_, err := l.Rescan(ctx)
	handled := err == nil && sameSource(w.seen[l.PID()], l.files())
	if _, err := l.Update(ctx); err != nil {
		return // it ends, or is stopped
	}
	if p := l.Status(); p.Generation != w.known[p.PID] {
		if handled {
			w.seen[p.PID] = l.files() // of other packages, maybe
		}
		w.known[p.PID] = p.Generation
		delete(w.failed, p.PID)
		w.show(Event{Kind: Elsewhere, Process: p})
	}
}

// source refreshes the programs if their source is not what it was when that was last done, or if what it was could not
// be made live.
func (w *watching) source(ctx context.Context) {
	changed := w.held != nil
	for pid, l := range w.lives {
		_, err := l.Rescan(ctx)
		changed = changed || err != nil || w.failed[pid] != nil || !sameSource(w.seen[pid], l.files())
	}
	if changed {
		w.held = nil
		w.refresh(ctx)
		w.follow()
	}
}

// refresh makes the source live.
func (w *watching) refresh(ctx context.Context) {
	w.show(Event{Kind: Busy})
	for pid, l := range w.lives {
		w.seen[pid] = l.files() // or newer: then there is another event
	}
	answers := w.ask(ctx)
	clear(w.broken)
	compiles := true
	for _, a := range answers {
		if a.Error != nil && a.Error.Kind == FailureSource {
			compiles = false
			for _, e := range a.Error.Source {
				if l := w.lives[a.PID]; l != nil {
					w.broken[filepath.Dir(l.Path(e.File))] = true
				}
			}
		}
	}
	if ctx.Err() != nil {
		return
	}
	w.held = answers
	if compiles {
		w.release()
	}
}

func (w *watching) ask(ctx context.Context) []*Answer {
	for {
		reply, err := w.session.Ask(ctx, w.query)
		if err != nil {
			return []*Answer{Failed(w.query.PID, err)}
		}
		isBusy := func(a *Answer) bool { return a.Error != nil && a.Error.Message == errBusy.Message }
		if !slices.ContainsFunc(reply.Answers, isBusy) {
			return reply.Answers
		}
		select {
		case <-time.After(busyPause):
		case <-ctx.Done():
			return nil
		}
	}
}

// release shows the answers that were held back.
func (w *watching) release() {
	ctx := context.Background()
	for _, a := range w.held {
		if a.Restarted != "" {
			w.replaced(ctx, a)
		}
		l := w.lives[a.PID]
		e := Event{Kind: Answered, Answer: a}
		if l != nil {
			w.known[a.PID] = a.Generation
			if _, err := l.Update(ctx); err == nil {
				w.known[a.PID] = l.Status().Generation
				if sameSource(l.runsNow(), l.files()) {
					w.seen[a.PID] = l.files() // of other packages, maybe
				}
			}
			e.Process = l.Status()
		}
		before := w.failed[a.PID]
		delete(w.failed, a.PID)
		if a.Error != nil {
			w.failed[a.PID] = a
		}
		if !a.Applied && sameOutcome(before, a) {
			e = Event{Kind: Unchanged, Process: e.Process}
		}
		w.show(e)
	}
	w.held = nil
}

// sameOutcome reports whether an answer says nothing that one before, nil if there was nothing to say, did not.
func sameOutcome(before, a *Answer) bool {
	if before == nil {
		before = newAnswer(a.PID)
	}
	return reflect.DeepEqual(before.Error, a.Error) && reflect.DeepEqual(before.Edits, a.Edits)
}

// replaced puts the process that came of a restart into the place of the one before.
func (w *watching) replaced(ctx context.Context, a *Answer) {
	for pid, l := range w.lives {
		if l.gone() {
			w.forget(pid)
		}
	}
	if l, err := w.session.Live(ctx, a.PID, w.query.Dirs); err == nil && w.lives[a.PID] == nil {
		w.add(ctx, l)
		w.follow()
	}
}

// follow watches the directories of all programs.
func (w *watching) follow() {
	dirs := map[string]bool{}
	for _, l := range w.lives {
		for dir, all := range l.Dirs() {
			dirs[dir] = dirs[dir] || all
		}
	}
	for dir := range w.broken {
		if _, ok := dirs[dir]; !ok {
			dirs[dir] = false // of its files, those that it has
		}
	}
	w.files.Follow(dirs)
	for dir := range dirs {
		if _, ok := w.dirs[dir]; !ok {
			w.note(watch.Source) // what happened before it was watched
		}
	}
	w.dirs = dirs
}

// runsNow returns what the process ran when it was last asked.
func (l *Live) runsNow() *snapshot.Snapshot {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.old
}

// files returns the files as they were when they were last looked at.
func (l *Live) files() *snapshot.Snapshot {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.saved
}

// gone reports whether the process has ended.
func (l *Live) gone() bool {
	select {
	case <-l.ended:
		return true
	default:
		return false
	}
}
