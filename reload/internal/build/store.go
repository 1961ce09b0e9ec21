package build

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"
)

// A Store is the directory in which builds outlive the process that made
// them. Any process of the same user may open it: what a name points to never
// changes after it has appeared.
//
//	blobs/ab/<sha256>             contents of sources and archives, by their hash
//	builds/<sha256 of build ID>/  manifest.json, foreign, exe/<program>, and what other packages derive from a build
//	generations/                  records of what processes run after a refresh, which are not this package's
//	facts/<key>.json              what the compiler said of a package
//	agent/<sha256>/               copies of the limeade module with this agent in it
//	tmp/                          unfinished work, not to be relied on
//	tidied                        when Tidy pruned last
//	lock                          held shared by writers, alone by Prune
type Store struct {
	dir string
}

// OpenStore returns the store in dir, or the user's one
// (os.UserCacheDir()/limeade) when dir is empty. Nothing is created before the
// first write.
func OpenStore(dir string) (*Store, error) {
	if dir == "" {
		cache, err := os.UserCacheDir()
		if err != nil {
			return nil, fmt.Errorf("no cache directory for builds: %w", err)
		}
		dir = filepath.Join(cache, "limeade")
	}
	dir, err := filepath.Abs(dir)
	if err != nil {
		return nil, fmt.Errorf("cache directory %s: %w", dir, err)
	}
	return &Store{dir: dir}, nil
}

// Dir is the store's directory, absolute.
func (s *Store) Dir() string { return s.dir }

// BuildDir is the directory of everything known about one build. It may not
// exist.
func (s *Store) BuildDir(buildID string) string {
	return filepath.Join(s.dir, "builds", hashOf([]byte(buildID)))
}

// BlobPath is the file that holds the contents with this hash.
func (s *Store) BlobPath(hash string) string {
	if len(hash) < 2 {
		return filepath.Join(s.dir, "blobs", "none")
	}
	return filepath.Join(s.dir, "blobs", hash[:2], hash)
}

// Blob returns the contents with this hash. The error wraps fs.ErrNotExist
// when the store has no such contents.
func (s *Store) Blob(hash string) ([]byte, error) {
	data, err := os.ReadFile(s.BlobPath(hash))
	if err != nil {
		return nil, fmt.Errorf("contents %.12s of a build: %w", hash, err)
	}
	return data, nil
}

// Put keeps contents and returns their hash.
func (s *Store) Put(contents []byte) (string, error) {
	hash := hashOf(contents)
	path := s.BlobPath(hash)
	if fi, err := os.Lstat(path); err == nil && fi.Size() == int64(len(contents)) {
		refresh(path, fi)
		return hash, nil
	}
	return hash, s.WriteFile(path, contents)
}

// putArchive keeps a file that the go command made and never writes again, in
// its cache or its work directory, and returns the hash of its contents. It is
// linked, not copied, where that is possible. The name of a file in the cache is
// the hash of what it holds (cmd/go/internal/cache/cache.go, Go 1.26).
func (s *Store) putArchive(path string) (hash string, err error) {
	if hash = cacheFileHash(path); hash == "" {
		if hash, err = hashFile(path); err != nil {
			return "", err
		}
	}
	fi, err := os.Stat(path)
	if err != nil {
		return "", err
	}
	blob := s.BlobPath(hash)
	if old, err := os.Lstat(blob); err == nil && old.Size() == fi.Size() {
		refresh(blob, old)
		return hash, nil
	}
	if err := os.MkdirAll(filepath.Dir(blob), 0o700); err != nil {
		return "", s.explain(err)
	}
	if temp := fmt.Sprintf("%s.%d", blob, os.Getpid()); os.Link(path, temp) == nil {
		return hash, s.explain(replace(temp, blob))
	}
	src, err := os.Open(path)
	if err != nil {
		return "", err
	}
	defer src.Close()
	return hash, s.write(blob, src, 0o600)
}

// WriteFile writes a file below the store's directory so that a reader sees
// the old contents or the new ones, never a part.
func (s *Store) WriteFile(path string, contents []byte) error {
	return s.write(path, bytes.NewReader(contents), 0o600)
}

func (s *Store) write(path string, contents io.Reader, mode fs.FileMode) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return s.explain(err)
	}
	f, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+".*")
	if err != nil {
		return s.explain(err)
	}
	_, err = io.Copy(f, contents)
	if err == nil {
		err = f.Chmod(mode)
	}
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	if err == nil {
		return s.explain(replace(f.Name(), path))
	}
	os.Remove(f.Name())
	return s.explain(err)
}

// replace renames a finished file to its name, and removes it if that fails.
func replace(temp, path string) error {
	err := os.Rename(temp, path)
	if err != nil {
		os.Remove(temp)
	}
	return err
}

// tempDir makes a directory for unfinished work on the store's file system.
func (s *Store) tempDir(pattern string) (string, error) {
	parent := filepath.Join(s.dir, "tmp")
	if err := os.MkdirAll(parent, 0o700); err != nil {
		return "", s.explain(err)
	}
	dir, err := os.MkdirTemp(parent, pattern)
	return dir, s.explain(err)
}

// explain says what a person can do about a failed write.
func (s *Store) explain(err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, unix.ENOSPC), errors.Is(err, unix.EDQUOT):
		return fmt.Errorf("cache directory %s has no space left; free some, or set XDG_CACHE_HOME to a larger disk: %w", s.dir, err)
	case errors.Is(err, unix.EROFS), errors.Is(err, unix.EACCES), errors.Is(err, unix.EPERM), errors.Is(err, unix.ENOTDIR):
		return fmt.Errorf("cache directory %s cannot be written; make it writable, or set XDG_CACHE_HOME to a directory that is: %w", s.dir, err)
	}
	return fmt.Errorf("cache directory %s: %w", s.dir, err)
}

// lock takes the store's lock, shared or alone, and returns what releases it.
// Alone does not wait: it fails with unix.EWOULDBLOCK when others hold it.
func (s *Store) lock(alone bool) (func(), error) {
	if err := os.MkdirAll(s.dir, 0o700); err != nil {
		return nil, s.explain(err)
	}
	f, err := os.OpenFile(filepath.Join(s.dir, "lock"), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, s.explain(err)
	}
	how := unix.LOCK_SH
	if alone {
		how = unix.LOCK_EX | unix.LOCK_NB
	}
	for {
		if err = unix.Flock(int(f.Fd()), how); err != unix.EINTR {
			break
		}
	}
	if err != nil {
		f.Close()
		return nil, fmt.Errorf("cache directory %s: lock: %w", s.dir, err)
	}
	return func() { f.Close() }, nil
}

// cacheFileHash returns the hash that the name of a file of the Go build cache
// states (<dir>/ab/ab….-d), or "" for any other file.
func cacheFileHash(path string) string {
	hash, ok := strings.CutSuffix(filepath.Base(path), "-d")
	if !ok || len(hash) != 2*sha256.Size || filepath.Base(filepath.Dir(path)) != hash[:2] {
		return ""
	}
	if _, err := hex.DecodeString(hash); err != nil {
		return ""
	}
	return hash
}

func hashOf(contents []byte) string {
	sum := sha256.Sum256(contents)
	return hex.EncodeToString(sum[:])
}

func hashFile(path string) (string, error) {
	f, err := os.Open(path)
	if err != nil {
		return "", err
	}
	defer f.Close()
	h := sha256.New()
	if _, err := io.Copy(h, f); err != nil {
		return "", err
	}
	return hex.EncodeToString(h.Sum(nil)), nil
}
