package server

import (
	"context"
	"encoding/json"
	"maps"
	"os"
	"slices"

	"go.lsp.dev/protocol"
	"go.lsp.dev/uri"
	"go.uber.org/zap/zapcore"

	"github.com/limeade-go/limeade/server/session"
	"github.com/limeade-go/limeade/server/text"
)

// A client is what the client said of itself.
type client struct {
	watchesFiles        bool // and can be told which, later
	asksForDiagnostics  bool // and is not to be sent any
	refreshesDiagnostic bool
	refreshesLenses     bool
	showsProgress       bool
	relatedInformation  bool
	versions            bool // of the documents that diagnostics are about
	documentChanges     bool
	markdown            bool // in hovers
	codeActionLiterals  bool
	status              bool // wants limeade/status and limeade/output
	terminal            bool // has terminals for limeade/runInTerminal
}

func is(b *bool) bool { return b != nil && *b }

func clientOf(p *protocol.InitializeParams, o Settings) client {
	var c client
	w, t, win := p.Capabilities.Workspace, p.Capabilities.TextDocument, p.Capabilities.Window
	if w == nil {
		w = &protocol.WorkspaceClientCapabilities{}
	}
	if t == nil {
		t = &protocol.TextDocumentClientCapabilities{}
	}
	c.watchesFiles = w.DidChangeWatchedFiles != nil && is(w.DidChangeWatchedFiles.DynamicRegistration)
	c.refreshesLenses = w.CodeLens != nil && is(w.CodeLens.RefreshSupport)
	c.refreshesDiagnostic = w.Diagnostics != nil && is(w.Diagnostics.RefreshSupport)
	c.documentChanges = w.WorkspaceEdit != nil && is(w.WorkspaceEdit.DocumentChanges)
	c.showsProgress = win != nil && is(win.WorkDoneProgress)
	if d := t.PublishDiagnostics; d != nil {
		c.relatedInformation = is(d.RelatedInformation)
		c.versions = is(d.VersionSupport)
	}
	c.asksForDiagnostics = t.Diagnostic != nil && (o.PullDiagnostics || t.PublishDiagnostics == nil)
	if c.asksForDiagnostics {
		c.relatedInformation = c.relatedInformation || is(t.Diagnostic.RelatedInformation)
	}
	if t.Hover != nil {
		c.markdown = slices.Contains(t.Hover.ContentFormat, protocol.MarkupKindMarkdown)
	}
	c.codeActionLiterals = t.CodeAction != nil && len(t.CodeAction.CodeActionLiteralSupport.CodeActionKind.ValueSet) > 0
	var experimental struct{ LimeadeStatus, LimeadeTerminal bool }
	if len(p.Capabilities.Experimental) > 0 {
		_ = json.Unmarshal(p.Capabilities.Experimental, &experimental) // something else than ours may be there
	}
	c.status, c.terminal = experimental.LimeadeStatus, experimental.LimeadeTerminal
	return c
}

func (s *Server) initialize(_ context.Context, p *protocol.InitializeParams) (*protocol.InitializeResult, error) {
	settings, err := s.settings.with(p.InitializationOptions)
	if err != nil {
		s.log.Warn("initializationOptions", "error", err)
	}
	s.client = clientOf(p, settings)
	if g := p.Capabilities.General; g != nil && slices.Contains(g.PositionEncodings, protocol.PositionEncodingKindUTF8) {
		s.encoding = text.UTF8
	}
	s.trace(p.Trace)
	if p.ProcessID != nil {
		s.endWith(int(*p.ProcessID))
	}
	s.mu.Lock()
	s.phase, s.settings, s.folders = running, settings, foldersOf(p)
	s.mu.Unlock()
	s.observer.start()
	s.observer.note(processesChanged)
	return &protocol.InitializeResult{
		Capabilities: s.capabilities(),
		ServerInfo:   protocol.ServerInfo{Name: "limeade-lsp", Version: protocol.NewOptional(s.version)},
	}, nil
}

// endWith ends the server when the client's process does: its end of the streams may have been inherited by another.
func (s *Server) endWith(pid int) {
	ended, err := session.Ended(pid)
	if err != nil {
		s.log.Info("the client's process is not followed", "error", err) // it may be in a container
		return
	}
	go func() {
		<-ended
		s.stop()
	}()
}

func ptr[T any](v T) *T { return &v }

func (s *Server) capabilities() protocol.ServerCapabilities {
	c := protocol.ServerCapabilities{
		PositionEncoding: s.encoding.Kind(),
		TextDocumentSync: &protocol.TextDocumentSyncOptions{
			OpenClose: ptr(true),
			Change:    ptr(protocol.TextDocumentSyncKindIncremental),
			WillSave:  ptr(true),
			Save:      &protocol.SaveOptions{IncludeText: ptr(false)},
		},
		HoverProvider:    protocol.Boolean(true),
		CodeLensProvider: &protocol.CodeLensOptions{ResolveProvider: ptr(false)},
		CodeActionProvider: &protocol.CodeActionOptions{
			CodeActionKinds: []protocol.CodeActionKind{protocol.CodeActionKindQuickFix},
		},
		ExecuteCommandProvider: protocol.ExecuteCommandOptions{
			WorkDoneProgressOptions: protocol.WorkDoneProgressOptions{WorkDoneProgress: ptr(true)},
			Commands:                commandNames(),
		},
		Workspace: &protocol.WorkspaceOptions{WorkspaceFolders: &protocol.WorkspaceFoldersServerCapabilities{
			Supported: ptr(true), ChangeNotifications: protocol.Boolean(true),
		}},
	}
	if s.client.asksForDiagnostics {
		c.DiagnosticProvider = &protocol.DiagnosticOptions{
			Identifier: ptr(source), InterFileDependencies: true, WorkspaceDiagnostics: true,
		}
	}
	return c
}

func (s *Server) initialized(*protocol.InitializedParams) error {
	if s.client.watchesFiles {
		go s.registerWatcher() // the answer comes on the goroutine that runs this
	}
	return nil
}

func (s *Server) shutdown(context.Context, *none) (any, error) {
	s.mu.Lock()
	s.phase = shut
	s.mu.Unlock()
	s.requests.cancelAll()
	return nil, nil
}

func (s *Server) setTrace(p *protocol.SetTraceParams) error {
	s.trace(p.Value)
	return nil
}

// trace sets how much is logged.
func (s *Server) trace(v protocol.TraceValue) {
	switch v {
	case protocol.TraceValueVerbose:
		s.logLevel.SetLevel(zapcore.DebugLevel)
	case protocol.TraceValueMessages:
		s.logLevel.SetLevel(zapcore.InfoLevel)
	default:
		s.logLevel.SetLevel(zapcore.WarnLevel)
	}
}

// foldersOf returns the directories of the workspace.
func foldersOf(p *protocol.InitializeParams) map[string]string {
	folders := map[string]string{}
	add := func(u uri.URI) {
		if path := pathOf(u); path != "" {
			folders[path] = u.FsPath()
		}
	}
	if list, ok := p.WorkspaceFolders.Get(); ok {
		for _, f := range list {
			add(f.URI)
		}
	}
	//lint:ignore SA1019 old clients have nothing else
	if root := p.RootURI; len(folders) == 0 && root != nil {
		add(*root)
	}
	//lint:ignore SA1019 older ones have nothing else
	if path, ok := p.RootPath.Get(); ok && path != "" && len(folders) == 0 {
		add(uri.File(path))
	}
	if dir, err := os.Getwd(); err == nil && len(folders) == 0 { // a file was opened alone
		add(uri.File(dir))
	}
	return folders
}

// dirs lists the directories of the workspace.
func (s *Server) dirs() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Sorted(maps.Keys(s.folders))
}

func (s *Server) didChangeWorkspaceFolders(p *protocol.DidChangeWorkspaceFoldersParams) error {
	s.mu.Lock()
	for _, f := range p.Event.Removed {
		delete(s.folders, pathOf(f.URI))
	}
	for _, f := range p.Event.Added {
		if path := pathOf(f.URI); path != "" {
			s.folders[path] = f.URI.FsPath()
		}
	}
	s.mu.Unlock()
	s.observer.note(processesChanged)
	return nil
}
