package server

import (
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/fsnotify/fsnotify"
	"go.lsp.dev/protocol"

	"github.com/limeade-go/limeade/server/session"
)

// settle is how long nothing must happen to files before they are looked at: a checkout changes hundreds of them.
const settle = 40 * time.Millisecond

// maxSettle is how long that is waited for.
const maxSettle = 500 * time.Millisecond

// A watcher notices what happens to files: in the directories where agents listen, that programs come, go and are
// refreshed; in those of running programs, that the source changes. A client that watches files too is asked to tell of
// them, as its file systems may be such that have no events; but it need not be able to.
type watcher struct {
	server *Server
	notify *fsnotify.Watcher // nil if the system has none to give
	socket map[string]bool   // directories in which agents listen
	mu     sync.Mutex
	source map[string]bool // directories of source; true: files of any name are part of a program
	done   chan struct{}
}

func newWatcher(s *Server) *watcher {
	w := &watcher{server: s, socket: map[string]bool{}, source: map[string]bool{}, done: make(chan struct{})}
	var err error
	if w.notify, err = fsnotify.NewWatcher(); err != nil {
		s.log.Error("files are not watched", "error", err)
	}
	return w
}

func (w *watcher) start() {
	if w.notify == nil {
		close(w.done)
		return
	}
	for _, dir := range session.SocketDirs() {
		if err := w.notify.Add(dir); err != nil {
			w.server.log.Warn("programs that start are not noticed", "error", err)
			continue
		}
		w.socket[dir] = true
	}
	go w.run()
}

func (w *watcher) close() {
	if w.notify == nil {
		return
	}
	_ = w.notify.Close()
	select {
	case <-w.done:
	case <-time.After(time.Second): // it was not started
	}
}

// run takes events until the watcher is closed.
func (w *watcher) run() {
	defer close(w.done)
	var pending change
	var first time.Time
	quiet := time.NewTimer(time.Hour)
	quiet.Stop()
	for {
		select {
		case e, ok := <-w.notify.Events:
			if !ok {
				return
			}
			c := w.meaning(e)
			if c == 0 {
				continue
			}
			if pending == 0 {
				first = time.Now()
			}
			pending |= c
			quiet.Reset(min(settle, max(0, maxSettle-time.Since(first))))
		case <-quiet.C:
			w.server.observer.note(pending)
			pending = 0
		case err, ok := <-w.notify.Errors:
			if !ok {
				return
			}
			w.server.log.Warn("watching files", "error", err)
			w.server.observer.note(filesChanged | processesChanged) // events may be lost
		}
	}
}

func (w *watcher) meaning(e fsnotify.Event) change {
	dir := filepath.Dir(e.Name)
	switch {
	case w.socket[dir] && strings.HasSuffix(e.Name, ".sock"):
		return processesChanged
	case w.socket[dir], e.Op == fsnotify.Chmod:
		return 0
	case sourceNames[filepath.Ext(e.Name)]:
		return filesChanged
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.source[dir] || w.source[e.Name] { // the directory itself may have gone
		return filesChanged
	}
	return 0
}

// sourceNames are how the names of files end that take part in builds, embedded ones apart.
var sourceNames = map[string]bool{
	".go": true, ".mod": true, ".work": true, ".s": true, ".S": true, ".sx": true, ".c": true, ".cc": true, ".cpp": true,
	".cxx": true, ".m": true, ".f": true, ".F": true, ".for": true, ".f90": true, ".swig": true, ".swigcxx": true,
	".h": true, ".hh": true, ".hpp": true, ".hxx": true, ".syso": true,
}

// follow watches the directories of programs, and no others.
func (w *watcher) follow(lives map[int]*session.Live) {
	if w.notify == nil {
		return
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	want := map[string]bool{}
	for _, l := range lives {
		for dir, all := range l.Dirs() {
			want[dir] = want[dir] || all
		}
	}
	for dir := range w.source {
		if _, ok := want[dir]; !ok && !w.socket[dir] {
			_ = w.notify.Remove(dir) // it may be gone
		}
	}
	for dir := range want {
		if _, ok := w.source[dir]; ok {
			continue
		}
		if err := w.notify.Add(dir); err != nil {
			w.server.log.Warn("directory is not watched", "error", err)
			delete(want, dir)
		}
	}
	w.source = want
}

// registerWatcher asks the client to tell of files that may be source. That it does so as well as this server's own
// watcher is no waste: it knows of file systems that have no events.
func (s *Server) registerWatcher() {
	const patterns = "**/*.{go,mod,work,s,S,c,cc,cpp,h,hh,hpp,syso}"
	options, err := protocol.Marshal(&protocol.DidChangeWatchedFilesRegistrationOptions{
		Watchers: []protocol.FileSystemWatcher{{GlobPattern: protocol.Pattern(patterns)}},
	})
	if err != nil {
		s.log.Error("watchers", "error", err)
		return
	}
	s.ask(protocol.MethodClientRegisterCapability, &protocol.RegistrationParams{Registrations: []protocol.Registration{{
		ID: "limeade-files", Method: protocol.MethodWorkspaceDidChangeWatchedFiles, RegisterOptions: options,
	}}})
}

func (s *Server) didChangeWatchedFiles(p *protocol.DidChangeWatchedFilesParams) error {
	if len(p.Changes) > 0 {
		s.observer.note(filesChanged)
	}
	return nil
}
