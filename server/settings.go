package server

import (
	"encoding/json"
	"fmt"

	"go.lsp.dev/protocol"
)

// Settings are what a user may choose: in initializationOptions, or with workspace/didChangeConfiguration, there by
// themselves or below "limeade".
type Settings struct {
	// RefreshOnSave makes every save live at once.
	RefreshOnSave bool `json:"refreshOnSave"`
	// BuildFlags are those of go build, for programs that are started from the editor.
	BuildFlags []string `json:"buildFlags"`
	// Package is the main package to run where several could be meant.
	Package string `json:"package"`
	// Severity is how edits are shown that need a restart.
	Severity Severity `json:"severity"`
	// PullDiagnostics lets a client that can do both ask for diagnostics; else they are sent. It counts in
	// initializationOptions only.
	PullDiagnostics bool `json:"pullDiagnostics"`
}

// Severity is the name of a severity, or "off"; "" is "warning".
type Severity string

var severities = map[Severity]protocol.DiagnosticSeverity{
	"":            protocol.DiagnosticSeverityWarning,
	"error":       protocol.DiagnosticSeverityError,
	"warning":     protocol.DiagnosticSeverityWarning,
	"information": protocol.DiagnosticSeverityInformation,
	"hint":        protocol.DiagnosticSeverityHint,
	"off":         0,
}

// with returns the settings with those changed that raw names; the old ones if it makes no sense.
func (s Settings) with(raw []byte) (Settings, error) {
	if len(raw) == 0 {
		return s, nil
	}
	var wrapped struct {
		Limeade json.RawMessage `json:"limeade"`
	}
	if err := json.Unmarshal(raw, &wrapped); err != nil {
		return s, err
	}
	if len(wrapped.Limeade) > 0 {
		raw = wrapped.Limeade
	}
	next := s
	next.BuildFlags = append([]string(nil), s.BuildFlags...)
	if err := json.Unmarshal(raw, &next); err != nil {
		return s, err
	}
	if _, ok := severities[next.Severity]; !ok {
		return s, fmt.Errorf("severity %q: want error, warning, information, hint or off", next.Severity)
	}
	return next, nil
}

func (s *Server) didChangeConfiguration(p *protocol.DidChangeConfigurationParams) error {
	s.mu.Lock()
	next, err := s.settings.with(p.Settings)
	s.settings = next
	s.mu.Unlock()
	s.observer.note(settingsChanged)
	return err
}

func (s *Server) currentSettings() Settings {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.settings
}
