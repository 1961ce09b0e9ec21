package server

import (
	"path/filepath"
	"strings"

	"go.lsp.dev/uri"
)

// pathOf returns the path of a file without symbolic links, "" for a URI that is of no file. The file need not be there.
func pathOf(u uri.URI) string {
	if !strings.HasPrefix(string(u), "file:") {
		return ""
	}
	path := u.FsPath()
	if !filepath.IsAbs(path) {
		return ""
	}
	path = filepath.Clean(path)
	if real, err := filepath.EvalSymlinks(path); err == nil {
		return real
	}
	if dir, err := filepath.EvalSymlinks(filepath.Dir(path)); err == nil {
		return filepath.Join(dir, filepath.Base(path))
	}
	return path
}

// uriOf names a file as the client does: as it opened it, or else by way of the folder that it is in.
func (s *Server) uriOf(path string) uri.URI {
	s.mu.Lock()
	defer s.mu.Unlock()
	if d := s.docs[path]; d != nil {
		return d.URI
	}
	for real, name := range s.folders {
		if rest, ok := strings.CutPrefix(path, real+string(filepath.Separator)); ok {
			return uri.File(filepath.Join(name, rest))
		}
	}
	return uri.File(path)
}
