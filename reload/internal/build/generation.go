package build

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"
)

// A Generation is what a process runs after a refresh: the source of its
// build, changed by every refresh up to this one. Its digest is the name under
// which the process knows it, so any later process can tell from that name what
// the next edit must be compared with.
type Generation struct {
	BuildID string
	Parent  string            `json:",omitempty"` // digest of the generation before, "" for the build itself
	Files   map[string]string // absolute path → hash of its contents, for Go files that differ from the build's; "" when removed
	Archive map[string]string `json:",omitempty"` // import path → hash of the archive, for packages that the build did not have
	Data    json.RawMessage   `json:",omitempty"` // what the maker of the patch must remember
	Made    time.Time
}

// PutGeneration keeps a generation and returns its digest. The contents that
// it names must be in the store.
func (s *Store) PutGeneration(g *Generation) (string, error) {
	text, err := json.Marshal(g)
	if err != nil {
		return "", fmt.Errorf("generation of build %s: %w", g.BuildID, err)
	}
	digest := hashOf(text)
	return digest, s.WriteFile(s.generationFile(digest), text)
}

// Generation returns a kept generation. The error wraps fs.ErrNotExist when
// there is none with this digest.
func (s *Store) Generation(digest string) (*Generation, error) {
	text, err := os.ReadFile(s.generationFile(digest))
	if err != nil {
		if errors.Is(err, fs.ErrNotExist) {
			return nil, fmt.Errorf("generation %.12s is not known here; restart the program: %w", digest, fs.ErrNotExist)
		}
		return nil, fmt.Errorf("generation %.12s: %w", digest, err)
	}
	g := new(Generation)
	if err := json.Unmarshal(text, g); err != nil {
		return nil, fmt.Errorf("generation %.12s: %w", digest, err)
	}
	return g, nil
}

func (s *Store) generationFile(digest string) string {
	return filepath.Join(s.dir, "generations", filepath.Base(digest)+".json")
}
