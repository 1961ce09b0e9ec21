package build

import (
	"bytes"
	"debug/elf"
	"encoding/binary"
	"fmt"
	"io"
	"os"
)

// A Go build ID stands in an ELF note with the name "Go\0\0" and type 4
// (cmd/link/internal/ld/elf.go, ELF_NOTE_GOBUILDID_TAG, Go 1.26).
const buildIDNote = 4

// ReadBuildID returns the Go build ID of an executable. It is "" when the
// program was linked without one (-ldflags=-buildid=).
func ReadBuildID(path string) (string, error) {
	f, err := os.Open(path)
	if err != nil {
		return "", err
	}
	defer f.Close()
	return readBuildID(path, f)
}

func readBuildID(name string, r io.ReaderAt) (string, error) {
	f, err := elf.NewFile(r)
	if err != nil {
		return "", fmt.Errorf("%s: not a program that can be read: %w", name, err)
	}
	for _, p := range f.Progs {
		if p.Type != elf.PT_NOTE || p.Filesz > 1<<20 {
			continue
		}
		data := make([]byte, p.Filesz)
		if _, err := p.ReadAt(data, 0); err != nil {
			return "", fmt.Errorf("%s: notes: %w", name, err)
		}
		if id, ok := findBuildID(data, f.ByteOrder); ok {
			return id, nil
		}
	}
	return "", nil
}

func findBuildID(notes []byte, order binary.ByteOrder) (string, bool) {
	for len(notes) >= 12 {
		nameSize := uint64(order.Uint32(notes))
		descSize := uint64(order.Uint32(notes[4:]))
		kind := order.Uint32(notes[8:])
		notes = notes[12:]
		desc := (nameSize + 3) &^ 3
		if desc+descSize > uint64(len(notes)) {
			return "", false
		}
		if kind == buildIDNote && bytes.Equal(notes[:nameSize], []byte("Go\x00\x00")) {
			return string(notes[desc : desc+descSize]), true
		}
		next := min(desc+(descSize+3)&^3, uint64(len(notes)))
		notes = notes[next:]
	}
	return "", false
}
