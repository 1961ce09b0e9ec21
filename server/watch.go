package server

import (
	"go.lsp.dev/protocol"

	"github.com/limeade-go/limeade/server/session"
	"github.com/limeade-go/limeade/server/watch"
)

// startWatcher begins to look at files. A client that watches files too is asked to tell of them, as its file systems may
// be such that have no events; but it need not be able to.
func (s *Server) startWatcher() {
	note := func(c watch.Change) {
		var noted change
		if c&watch.Source != 0 {
			noted |= filesChanged
		}
		if c&watch.Programs != 0 {
			noted |= processesChanged
		}
		s.observer.note(noted)
	}
	warn := func(what string, err error) { s.log.Warn(what, "error", err) }
	var err error
	if s.files, err = watch.New(session.SocketDirs(), note, warn); err != nil {
		s.log.Error("files are not watched", "error", err)
	}
}

// follow watches the directories of programs, and no others.
func (s *Server) follow(lives map[int]*session.Live) {
	if s.files == nil {
		return
	}
	dirs := map[string]bool{}
	for _, l := range lives {
		for dir, all := range l.Dirs() {
			dirs[dir] = dirs[dir] || all
		}
	}
	s.files.Follow(dirs)
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
