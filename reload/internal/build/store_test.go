package build

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

func TestStore(t *testing.T) {
	s := testStore(t)
	a, err := s.Put([]byte("contents"))
	if err != nil {
		t.Fatal(err)
	}
	if b, err := s.Put([]byte("contents")); err != nil || b != a {
		t.Errorf("the same contents twice: %s, %v, want %s", b, err, a)
	}
	if text, err := s.Blob(a); err != nil || string(text) != "contents" {
		t.Errorf("Blob: %q, %v", text, err)
	}
	_, err = s.Blob(strings.Repeat("0", 64))
	wantIs(t, err, fs.ErrNotExist)
	_, err = s.Blob("")
	wantIs(t, err, fs.ErrNotExist)
	// A file that a crash has cut short is written again.
	if err := os.WriteFile(s.BlobPath(a), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Put([]byte("contents")); err != nil {
		t.Fatal(err)
	}
	if text, err := s.Blob(a); err != nil || string(text) != "contents" {
		t.Errorf("Blob: %q, %v", text, err)
	}
}

// buildLimited builds a program in a mount namespace of its own, with a store
// that is full or cannot be written, and prints the error.
func buildLimited(kind, store, dir string) int {
	limit := func() error {
		if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
			return err
		}
		if err := unix.Mount("tmpfs", store, "tmpfs", 0, "size=256k"); err != nil {
			return err
		}
		if kind == "read-only" {
			return unix.Mount("", store, "", unix.MS_REMOUNT|unix.MS_RDONLY, "size=256k")
		}
		return nil
	}
	if err := limit(); err != nil {
		fmt.Println("mount:", err)
		return 1
	}
	s, err := OpenStore(store)
	if err == nil {
		_, err = Build(context.Background(), Options{Dir: dir, Env: goEnv(""), Agent: testAgent, Toolexec: []string{os.Args[0], "toolexec"}, Store: s})
	}
	fmt.Println(err)
	return 0
}

func TestStoreThatTakesNothing(t *testing.T) {
	for kind, want := range map[string]string{"full": "has no space left; free some, or set XDG_CACHE_HOME", "read-only": "cannot be written; make it writable, or set XDG_CACHE_HOME"} {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			store := t.TempDir()
			cmd := exec.Command(os.Args[0], "limited", kind, store, unpack(t, plainProgram))
			cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNS}
			if os.Getuid() != 0 {
				cmd.SysProcAttr.Cloneflags |= syscall.CLONE_NEWUSER
				cmd.SysProcAttr.UidMappings = []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getuid(), Size: 1}}
				cmd.SysProcAttr.GidMappings = []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getgid(), Size: 1}}
			}
			out, err := cmd.CombinedOutput()
			if err != nil {
				t.Fatalf("%v\n%s", err, out)
			}
			if !strings.Contains(string(out), "cache directory "+store+" "+want) {
				t.Errorf("Build says %q, want %q and the directory", out, want)
			}
		})
	}
}

func TestPrune(t *testing.T) {
	o := testOptions(t, unpack(t, `
-- go.mod --
module example.com/app

go 1.24
-- main.go --
package main

import (
	"bufio"
	"os"
)

func main() {
	os.Stdout.WriteString("running\n")
	bufio.NewReader(os.Stdin).ReadString('\n')
}
`))
	s := o.Store
	running := mustBuild(t, o)
	cmd := exec.Command(running.Binary)
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer cmd.Wait()
	defer in.Close()
	if line, err := bufio.NewReader(out).ReadString('\n'); err != nil || line != "running\n" {
		t.Fatalf("%q, %v", line, err)
	}

	var others []*Baseline
	for _, text := range []string{"one", "two"} {
		o.Dir = unpack(t, "-- go.mod --\nmodule example.com/app\n-- main.go --\npackage main\n\nfunc main() { println(\""+text+"\") }\n")
		others = append(others, mustBuild(t, o))
	}
	record := filepath.Join(s.Dir(), "generations", "digest")
	if err := s.WriteFile(record, []byte("what a process runs")); err != nil {
		t.Fatal(err)
	}
	contents, err := s.Put([]byte("a file of a later generation"))
	if err != nil {
		t.Fatal(err)
	}
	have := func(b *Baseline) bool {
		_, err := Load(s, b.BuildID)
		return err == nil
	}

	// Nothing is old, nothing is too large.
	if err := s.Prune(Limits{}); err != nil {
		t.Fatal(err)
	}
	if !have(running) || !have(others[0]) || !have(others[1]) {
		t.Fatal("a young build is gone")
	}
	// While somebody builds, nothing goes.
	unlock, err := s.lock(false)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Prune(Limits{Age: time.Nanosecond}); err != nil {
		t.Fatal(err)
	}
	unlock()
	if !have(others[0]) {
		t.Fatal("a build is gone while another one is being made")
	}
	// The older one goes for its size, the one in use stays.
	size := int64(0)
	for _, b := range []*Baseline{running, others[1]} {
		err := filepath.WalkDir(s.BuildDir(b.BuildID), func(path string, d fs.DirEntry, err error) error {
			size += sizeOf(path)
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	for hash := range running.names() {
		size += sizeOf(s.BlobPath(hash))
	}
	for hash := range others[1].names() {
		if !running.names()[hash] {
			size += sizeOf(s.BlobPath(hash))
		}
	}
	if err := s.Prune(Limits{Bytes: size}); err != nil {
		t.Fatal(err)
	}
	if !have(running) || have(others[0]) || !have(others[1]) {
		t.Fatalf("after %d bytes: running %v, older %v, newer %v", size, have(running), have(others[0]), have(others[1]))
	}
	if err := s.Prune(Limits{Age: time.Nanosecond}); err != nil {
		t.Fatal(err)
	}
	if !have(running) || have(others[1]) {
		t.Errorf("running build %v, old build %v", have(running), have(others[1]))
	}
	for _, path := range []string{record, s.BlobPath(contents)} {
		if _, err := os.Stat(path); err != nil {
			t.Errorf("it is younger than a kept build, and gone: %v", err)
		}
	}
	checkExact(t, running)

	// Contents that nobody names stay for as long as somebody may be about to.
	hash := others[0].Main().Archive
	if _, err := os.Stat(s.BlobPath(hash)); err != nil {
		t.Errorf("young contents are gone: %v", err)
	}
	if changedBefore(s.BlobPath(hash), time.Hour) || !changedBefore(s.BlobPath(hash), 0) {
		t.Error("age of a new file")
	}
	names := running.names()
	if err := s.each(filepath.Join("blobs", hash[:2]), func(path string, info fs.FileInfo) bool { return !names[info.Name()] }); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(s.BlobPath(hash)); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("contents that nobody names are there: %v", err)
	}
}

// TestTidy checks that old builds go, once a day, and not the one that is about to be started.
func TestTidy(t *testing.T) {
	s, err := OpenStore(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	add := func(id string) {
		b := &Baseline{Schema: schema, BuildID: id, Built: time.Now().Add(-2 * keepAge), store: s}
		if err := b.save(); err != nil {
			t.Fatal(err)
		}
	}
	tidied := func(want string) {
		t.Helper()
		if err := s.Tidy("starting"); err != nil {
			t.Fatal(err)
		}
		var have []string
		for _, id := range []string{"starting", "old", "older"} {
			if _, err := Load(s, id); err == nil {
				have = append(have, id)
			}
		}
		if got := strings.Join(have, " "); got != want {
			t.Errorf("there are %q, want %q", got, want)
		}
	}
	add("starting")
	add("old")
	tidied("starting")
	add("older")
	tidied("starting older")
	yesterday := time.Now().Add(-tidyEvery)
	if err := os.Chtimes(filepath.Join(s.Dir(), "tidied"), yesterday, yesterday); err != nil {
		t.Fatal(err)
	}
	tidied("starting")
}

func TestSweepScratch(t *testing.T) {
	parent := t.TempDir()
	for _, name := range []string{scratchPrefix + "left", scratchPrefix + "held", "other"} {
		if err := os.Mkdir(filepath.Join(parent, name), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	held, err := os.Open(filepath.Join(parent, scratchPrefix+"held"))
	if err != nil {
		t.Fatal(err)
	}
	defer held.Close()
	if err := unix.Flock(int(held.Fd()), unix.LOCK_SH); err != nil {
		t.Fatal(err)
	}
	names := func() (names []string) {
		entries, err := os.ReadDir(parent)
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range entries {
			names = append(names, e.Name())
		}
		return names
	}
	sweepScratch(parent, time.Now().Add(-time.Minute))
	if len(names()) != 3 {
		t.Errorf("a directory that was just made is gone: %q", names())
	}
	sweepScratch(parent, time.Now().Add(time.Minute))
	if want := []string{scratchPrefix + "held", "other"}; !slices.Equal(names(), want) {
		t.Errorf("left: %q, want %q", names(), want)
	}
}

func TestReadBuildID(t *testing.T) {
	for _, path := range []string{os.Args[0]} {
		want, err := exec.Command("go", "tool", "buildid", path).Output()
		if err != nil {
			t.Fatal(err)
		}
		if id, err := ReadBuildID(path); err != nil || id != strings.TrimSpace(string(want)) {
			t.Errorf("%s: %q, %v, want %q", path, id, err, want)
		}
	}
	_, err := ReadBuildID("store_test.go")
	wantError(t, err, "store_test.go", "not a program")
}
