// Package watch notices that source files may have changed, and that programs come, go or are refreshed. It knows
// directories and names of files; what is in them, and what that means to a program, it must never know.
package watch

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/fsnotify/fsnotify"
)

// A Change is a set of things that happened.
type Change uint8

const (
	Source   Change = 1 << iota // files of programs may be others
	Programs                    // a program came, went, or runs something else
)

// Nothing must happen to files for a while before they are looked at. How long is learned from them: a quarter of the
// time for which they have been changing, between these bounds. A save is seen at once, and a checkout or a generator
// that writes hundreds of files is waited for.
const (
	minQuiet = 20 * time.Millisecond
	maxQuiet = 500 * time.Millisecond
	maxBurst = 3 * time.Second  // after which they are looked at though they go on changing
	maxGit   = 20 * time.Second // for which a lock is taken to be that of a git which runs
)

// A Watcher notices what happens to files: in the directories where agents listen, that programs come, go and are
// refreshed; in those of running programs, that the source changes.
type Watcher struct {
	note    func(Change)
	warn    func(what string, err error)
	notify  *fsnotify.Watcher
	sockets map[string]bool // directories in which agents listen
	done    chan struct{}

	mu     sync.Mutex
	source map[string]bool // directories of source; true: files of any name are part of a program
	locks  []string        // that git holds while it changes files of theirs
}

// New starts a watcher of directories in which agents listen. What happens is told to note, and what cannot be watched to
// warn; neither may call Close.
func New(sockets []string, note func(Change), warn func(what string, err error)) (*Watcher, error) {
	notify, err := fsnotify.NewWatcher()
	if err != nil {
		return nil, err
	}
	w := &Watcher{note: note, warn: warn, notify: notify, sockets: map[string]bool{}, done: make(chan struct{})}
	for _, dir := range sockets {
		if err := notify.Add(dir); err != nil {
			warn("programs that start are not noticed", err)
			continue
		}
		w.sockets[dir] = true
	}
	go w.run()
	return w, nil
}

// Close ends it.
func (w *Watcher) Close() {
	_ = w.notify.Close()
	<-w.done
}

// run takes events until the watcher is closed.
func (w *Watcher) run() {
	defer close(w.done)
	var pending Change
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
			burst := time.Since(first)
			quiet.Reset(max(0, min(max(minQuiet, burst/4), maxQuiet, maxBurst-burst)))
		case <-quiet.C:
			if pending&Source != 0 && time.Since(first) < maxGit && w.locked() {
				quiet.Reset(minQuiet)
				continue
			}
			w.note(pending)
			pending = 0
		case err, ok := <-w.notify.Errors:
			if !ok {
				return
			}
			w.warn("watching files", err)
			w.note(Source | Programs) // events may be lost
		}
	}
}

func (w *Watcher) meaning(e fsnotify.Event) Change {
	dir := filepath.Dir(e.Name)
	switch {
	case w.sockets[dir] && strings.HasSuffix(e.Name, ".sock"):
		return Programs
	case w.sockets[dir], e.Op == fsnotify.Chmod:
		return 0
	case sourceNames[filepath.Ext(e.Name)]:
		return Source
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if _, ok := w.source[e.Name]; ok || w.source[dir] { // the directory itself may have gone
		return Source
	}
	if e.Has(fsnotify.Create) && w.young(e.Name) {
		return Source
	}
	return 0
}

// young begins to watch a directory that is new, and those in it: it may be that of a package which is imported next. mu
// is held.
func (w *Watcher) young(dir string) bool {
	info, err := os.Lstat(dir)
	if err != nil || !info.IsDir() || filepath.Base(dir)[0] == '.' {
		return false
	}
	if err := w.notify.Add(dir); err != nil {
		w.warn("directory is not watched", err)
		return false
	}
	w.source[dir] = false
	entries, err := os.ReadDir(dir)
	if err != nil {
		return true // it has gone again
	}
	for _, e := range entries {
		if e.IsDir() {
			w.young(filepath.Join(dir, e.Name()))
		}
	}
	return true
}

// sourceNames are how the names of files end that take part in builds, embedded ones apart.
var sourceNames = map[string]bool{
	".go": true, ".mod": true, ".work": true, ".s": true, ".S": true, ".sx": true, ".c": true, ".cc": true, ".cpp": true,
	".cxx": true, ".m": true, ".f": true, ".F": true, ".for": true, ".f90": true, ".swig": true, ".swigcxx": true,
	".h": true, ".hh": true, ".hpp": true, ".hxx": true, ".syso": true,
}

// Follow watches these directories of source, and no others. A value of true says that files of any name count.
func (w *Watcher) Follow(dirs map[string]bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for dir := range w.source {
		if _, ok := dirs[dir]; !ok && !w.sockets[dir] {
			_ = w.notify.Remove(dir) // it may be gone
		}
	}
	source, locks := map[string]bool{}, map[string]bool{}
	for dir, all := range dirs {
		if err := w.notify.Add(dir); err != nil { // again: it may be another of the same name
			w.warn("directory is not watched", err)
			continue
		}
		source[dir] = all
		if lock := gitLock(dir); lock != "" {
			locks[lock] = true
		}
	}
	w.source, w.locks = source, nil
	for lock := range locks {
		w.locks = append(w.locks, lock)
	}
}

// gitLock is the file that is there while git changes the working tree of a directory (gitrepository-layout(5)); "" if it
// is in none.
func gitLock(dir string) string {
	for ; ; dir = filepath.Dir(dir) {
		git := filepath.Join(dir, ".git")
		info, err := os.Stat(git)
		switch {
		case err == nil && info.IsDir():
			return filepath.Join(git, "index.lock")
		case err == nil: // of a worktree or a submodule
			text, err := os.ReadFile(git)
			to, ok := bytes.CutPrefix(bytes.TrimSpace(text), []byte("gitdir: "))
			if err != nil || !ok {
				return ""
			}
			if path := string(to); filepath.IsAbs(path) {
				return filepath.Join(path, "index.lock")
			}
			return filepath.Join(dir, string(to), "index.lock")
		case dir == filepath.Dir(dir):
			return ""
		}
	}
}

// locked reports whether a git is at work.
func (w *Watcher) locked() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, lock := range w.locks {
		if _, err := os.Lstat(lock); err == nil {
			return true
		}
	}
	return false
}
