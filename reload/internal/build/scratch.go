package build

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// A scratch is a directory for files that live as long as their process at
// most. It lies in memory if the machine offers that, so what a killed process
// leaves must be found and removed: while the process lives, it holds a lock on
// the directory.
type scratch struct {
	dir  string
	lock *os.File
}

const scratchPrefix = "limeade-build-"

// scratchParent is where scratch directories lie.
func scratchParent() string {
	const shm = "/dev/shm"
	var fs unix.Statfs_t
	if unix.Statfs(shm, &fs) == nil && fs.Type == unix.TMPFS_MAGIC && fs.Bavail*uint64(fs.Bsize) > 256<<20 && unix.Access(shm, unix.W_OK) == nil {
		return shm
	}
	return os.TempDir()
}

func newScratch() (*scratch, error) {
	dir, err := os.MkdirTemp(scratchParent(), scratchPrefix+"*")
	if err != nil {
		return nil, err
	}
	lock, err := os.Open(dir)
	if err == nil {
		if err = unix.Flock(int(lock.Fd()), unix.LOCK_SH); err != nil {
			lock.Close()
		}
	}
	if err != nil {
		return nil, errors.Join(err, os.RemoveAll(dir))
	}
	return &scratch{dir: dir, lock: lock}, nil
}

func (s *scratch) close() error {
	return errors.Join(os.RemoveAll(s.dir), s.lock.Close())
}

// sweepScratch removes this user's scratch directories that were made before a
// time and that no process holds. A failure to do so harms nobody.
func sweepScratch(parent string, before time.Time) {
	entries, err := os.ReadDir(parent)
	if err != nil {
		return
	}
	for _, e := range entries {
		info, err := e.Info()
		if err != nil || !info.IsDir() || !strings.HasPrefix(e.Name(), scratchPrefix) || info.ModTime().After(before) {
			continue
		}
		if st, ok := info.Sys().(*syscall.Stat_t); !ok || int(st.Uid) != os.Getuid() {
			continue
		}
		dir := filepath.Join(parent, e.Name())
		lock, err := os.Open(dir)
		if err != nil {
			continue
		}
		if unix.Flock(int(lock.Fd()), unix.LOCK_EX|unix.LOCK_NB) == nil {
			os.RemoveAll(dir)
		}
		lock.Close()
	}
}
