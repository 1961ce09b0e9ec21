package analysis

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
)

// The head of an archive that the compiler wrote (cmd/internal/archive/archive.go, and internal/exportdata/exportdata.go):
// the magic, a header of 60 bytes with the member's name in the first 16 and its size in decimal at 48, and in that
// member lines of text up to the one that says that binary export data follow, which end before the last line.
const (
	archiveMagic   = "!<arch>\n"
	memberHeader   = 60
	memberSizeAt   = 48
	memberSizeLen  = 10
	packageMember  = "__.PKGDEF"
	exportBegin    = "\n$$B\n"
	exportEnd      = "\n$$\n"
	maxExportBytes = 1 << 30
)

// exportData returns the export data in what a build left: an archive, or export data alone.
func exportData(r io.Reader) ([]byte, error) {
	head := make([]byte, len(archiveMagic)+memberHeader)
	n, err := io.ReadFull(r, head)
	if n > 0 && !bytes.HasPrefix(head[:n], []byte(archiveMagic)) {
		rest, err := io.ReadAll(io.LimitReader(r, maxExportBytes))
		return append(head[:n], rest...), err
	}
	if err != nil {
		return nil, fmt.Errorf("archive: %w", err)
	}
	member := head[len(archiveMagic):]
	if !bytes.HasPrefix(member, []byte(packageMember)) {
		return nil, fmt.Errorf("archive: the first member is %q, not %s", bytes.TrimSpace(member[:16]), packageMember)
	}
	size, err := strconv.Atoi(strings.TrimSpace(string(member[memberSizeAt : memberSizeAt+memberSizeLen])))
	if err != nil || size < 0 || size > maxExportBytes {
		return nil, fmt.Errorf("archive: the size of %s is %q", packageMember, member[memberSizeAt:memberSizeAt+memberSizeLen])
	}
	var content bytes.Buffer
	if _, err := io.CopyN(&content, r, int64(size)); err != nil {
		return nil, fmt.Errorf("archive: %s: %w", packageMember, err)
	}
	_, data, ok := bytes.Cut(content.Bytes(), []byte(exportBegin))
	if !ok {
		return nil, errors.New("archive: no export data")
	}
	end := bytes.LastIndex(data, []byte(exportEnd))
	if end < 0 {
		return nil, errors.New("archive: the export data do not end")
	}
	return data[:end], nil
}
