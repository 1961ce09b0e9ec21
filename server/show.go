package server

import (
	"bytes"
	"encoding/json"

	"go.lsp.dev/protocol"

	"github.com/limeade-go/limeade/server/session"
)

// Methods of this server's own. The first two are sent to clients that have the capability experimental.limeadeStatus,
// the other one to those that have experimental.limeadeTerminal.
const (
	methodStatus        = "limeade/status"
	methodOutput        = "limeade/output"
	methodRunInTerminal = "limeade/runInTerminal"
)

// A Status is the parameter of limeade/status: what a status bar shows.
type Status struct {
	Processes []session.Process `json:"processes"`
	// Working names the command that is being carried out, "" for none.
	Working string `json:"working"`
	// Last is how the last command ended that was to change a process.
	Last *Outcome `json:"last"`
}

// An Outcome is a command and what came of it.
type Outcome struct {
	Command string          `json:"command"` // run, refresh, rollback or restart
	Answer  *session.Answer `json:"answer"`
}

// shown is what the client was told last. The observer's goroutine owns it but for status.
type shown struct {
	lenses []byte

	programs []session.Process // guarded by Server.statusMu, as what follows
	status   []byte
}

// show tells the client what a new view has that the one before did not.
func (s *Server) show(before, v *view) {
	if s.client.asksForDiagnostics {
		if s.client.refreshesDiagnostic && s.differ(before, v) {
			go s.ask(protocol.MethodWorkspaceDiagnosticRefresh, nil)
		}
	} else {
		s.publish(v)
	}
	if s.client.refreshesLenses {
		if lenses := lensDigest(v); !bytes.Equal(lenses, s.shown.lenses) {
			s.shown.lenses = lenses
			go s.ask(protocol.MethodWorkspaceCodeLensRefresh, nil)
		}
	}
	programs := []session.Process{}
	for _, p := range v.programs {
		programs = append(programs, p.status)
	}
	s.statusMu.Lock()
	s.shown.programs = programs
	s.statusMu.Unlock()
	s.sendStatus()
}

// differ reports whether diagnostics of two views differ in files that the client need not ask for by itself.
func (s *Server) differ(before, v *view) bool {
	for path := range before.files {
		if digestOf(s.diagnostics(before, path)) != digestOf(s.diagnostics(v, path)) {
			return true
		}
	}
	for path := range v.files {
		if before.files[path] == nil && len(s.diagnostics(v, path)) > 0 {
			return true
		}
	}
	return false
}

// lensDigest is what code lenses are made of, places apart: a client asks for those when it changes a file.
func lensDigest(v *view) []byte {
	type program struct {
		PID     int
		Main    string
		Pending [][3]string
	}
	var programs []program
	for _, p := range v.programs {
		d := program{p.status.PID, p.live.MainDir(), nil}
		for _, e := range p.pending {
			d.Pending = append(d.Pending, [3]string{e.Decl, e.Verdict, e.Path})
		}
		programs = append(programs, d)
	}
	data, err := json.Marshal(programs)
	if err != nil {
		panic(err) // these types can be written
	}
	return data
}

// sendStatus tells the client how programs are, if that is not what it knows.
func (s *Server) sendStatus() {
	if !s.client.status {
		return
	}
	s.statusMu.Lock()
	defer s.statusMu.Unlock()
	st := Status{Processes: s.shown.programs, Working: s.working, Last: s.last}
	if st.Processes == nil {
		st.Processes = []session.Process{}
	}
	data, err := json.Marshal(st)
	if err != nil {
		s.log.Error("status", "error", err)
		return
	}
	if !bytes.Equal(data, s.shown.status) {
		s.shown.status = data
		s.notify(methodStatus, protocol.LSPAny(data))
	}
}

// begin says that a command is being carried out.
func (s *Server) begin(command string) {
	s.statusMu.Lock()
	s.working = command
	s.statusMu.Unlock()
	s.sendStatus()
}

// finish says how the command ended.
func (s *Server) finish(command string, a *session.Answer) {
	s.statusMu.Lock()
	s.working, s.last = "", &Outcome{command, a}
	s.statusMu.Unlock()
	s.sendStatus()
}
