package object

import (
	"bytes"
	"errors"
	"fmt"
	"strconv"
	"strings"
)

const (
	archiveMagic  = "!<arch>\n"
	memberHdrSize = 60
)

var (
	goObject  = []byte("go object ")
	objectEnd = []byte("\n!\n")
	dollars   = []byte("$$")
)

// member is one file of an archive; data aliases the archive.
type member struct {
	name string
	data []byte
}

// members splits an archive into its files.
func members(archive []byte) ([]member, error) {
	if len(archive) < len(archiveMagic) || string(archive[:len(archiveMagic)]) != archiveMagic {
		return nil, errors.New("not an archive")
	}
	var list []member
	for off := len(archiveMagic); off < len(archive); {
		if len(archive)-off < memberHdrSize {
			return nil, fmt.Errorf("archive member header at %#x is truncated", off)
		}
		hdr := archive[off : off+memberHdrSize]
		name := strings.TrimRight(string(hdr[:16]), " ")
		size, err := strconv.ParseUint(strings.TrimRight(string(hdr[48:58]), " "), 10, 62)
		if err != nil || hdr[58] != '`' || hdr[59] != '\n' {
			return nil, fmt.Errorf("archive member header at %#x is malformed", off)
		}
		off += memberHdrSize
		if size > uint64(len(archive)-off) {
			return nil, fmt.Errorf("archive member %s is truncated", name)
		}
		list = append(list, member{name, archive[off : off+int(size) : off+int(size)]})
		off += int(size + size&1)
	}
	return list, nil
}

// isGoObject reports whether a member was written by the compiler or the assembler.
func (m member) isGoObject() bool {
	return m.name != "__.PKGDEF" && bytes.HasPrefix(m.data, goObject)
}

// goObject splits a Go object into its first line (without the newline) and the object
// file proper.
func (m member) goObject() (line string, file []byte, err error) {
	rest := m.data
	eol := bytes.IndexByte(rest, '\n')
	if eol < 0 {
		return "", nil, errors.New("object header is truncated")
	}
	line, rest = string(rest[:eol]), rest[eol:] // rest begins with a newline
	for inside := false; ; {
		switch {
		case !inside && bytes.HasPrefix(rest, objectEnd):
			return line, rest[len(objectEnd):], nil
		case bytes.HasPrefix(rest[1:], dollars):
			inside = !inside
		}
		next := bytes.IndexByte(rest[1:], '\n')
		if next < 0 {
			return "", nil, errors.New("object header has no end")
		}
		rest = rest[1+next:]
	}
}
