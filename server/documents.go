package server

import (
	"fmt"
	"maps"

	"go.lsp.dev/protocol"

	"github.com/limeade-go/limeade/server/text"
)

func (s *Server) didOpen(p *protocol.DidOpenTextDocumentParams) error {
	path := pathOf(p.TextDocument.URI)
	if path == "" {
		return nil
	}
	s.mu.Lock()
	s.docs[path] = &text.Document{URI: p.TextDocument.URI, Version: p.TextDocument.Version, Content: []byte(p.TextDocument.Text)}
	s.mu.Unlock()
	s.observer.note(buffersChanged)
	return nil
}

func (s *Server) didChange(p *protocol.DidChangeTextDocumentParams) error {
	path := pathOf(p.TextDocument.URI)
	if path == "" {
		return nil
	}
	s.mu.Lock()
	d := s.docs[path]
	if d != nil {
		s.docs[path] = d.Change(s.encoding, p.TextDocument.Version, p.ContentChanges)
	}
	s.mu.Unlock()
	if d == nil {
		return fmt.Errorf("%s is not open", path)
	}
	s.observer.note(buffersChanged)
	return nil
}

// willSave notes that a file is about to be written: a refresh that is asked for meanwhile waits for it.
func (s *Server) willSave(p *protocol.WillSaveTextDocumentParams) error {
	path := pathOf(p.TextDocument.URI)
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.docs[path] != nil && s.saving[path] == nil {
		s.saving[path] = make(chan struct{})
	}
	return nil
}

func (s *Server) didSave(p *protocol.DidSaveTextDocumentParams) error {
	path := pathOf(p.TextDocument.URI)
	s.mu.Lock()
	if d := s.docs[path]; d != nil {
		saved := *d
		saved.Saved = true
		s.docs[path] = &saved
	}
	s.saved(path)
	refresh := s.settings.RefreshOnSave
	s.mu.Unlock()
	s.observer.note(filesChanged)
	if refresh {
		go s.guard("refresh on save", s.refreshOnSave)
	}
	return nil
}

// saved tells those who wait that a file is written. The caller holds s.mu.
func (s *Server) saved(path string) {
	if done := s.saving[path]; done != nil {
		close(done)
		delete(s.saving, path)
	}
}

func (s *Server) didClose(p *protocol.DidCloseTextDocumentParams) error {
	path := pathOf(p.TextDocument.URI)
	s.mu.Lock()
	delete(s.docs, path)
	s.saved(path)
	s.mu.Unlock()
	s.observer.note(buffersChanged)
	return nil
}

// openDocuments returns what the client has open.
func (s *Server) openDocuments() map[string]*text.Document {
	s.mu.Lock()
	defer s.mu.Unlock()
	return maps.Clone(s.docs)
}

// unsaved returns the contents of documents of which the file may have another.
func unsaved(docs map[string]*text.Document) map[string][]byte {
	buffers := map[string][]byte{}
	for path, d := range docs {
		if !d.Saved {
			buffers[path] = d.Content
		}
	}
	return buffers
}
