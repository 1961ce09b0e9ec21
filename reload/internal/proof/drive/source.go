package drive

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// CopyProgram copies one of testdata/programs to a folder of its own, where it may be edited.
func CopyProgram(tb testing.TB, name string) string {
	tb.Helper()
	root, err := moduleRoot()
	if err != nil {
		tb.Fatal(err)
	}
	dir := filepath.Join(tb.TempDir(), name)
	if err := os.CopyFS(dir, os.DirFS(filepath.Join(root, "testdata", "programs", name))); err != nil {
		tb.Fatal(err)
	}
	return dir
}

// moduleRoot is the folder of the go.mod above the working directory, which go test makes the package's own.
func moduleRoot() (string, error) {
	dir, err := os.Getwd()
	if err != nil {
		return "", err
	}
	for {
		if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil {
			return dir, nil
		}
		up := filepath.Dir(dir)
		if up == dir {
			return "", os.ErrNotExist
		}
		dir = up
	}
}

// Put replaces a file by a rename, as most editors do: a reader sees the old text or the new.
func Put(file string, text []byte) error {
	tmp := filepath.Join(filepath.Dir(file), "."+strings.TrimPrefix(filepath.Base(file), ".")+".new")
	if err := os.WriteFile(tmp, text, 0o644); err != nil {
		return err
	}
	return os.Rename(tmp, file)
}
