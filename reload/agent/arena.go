//go:build linux && amd64 && go1.25

package agent

import (
	"errors"
	"syscall"

	"github.com/limeade-go/limeade/reload/agent/internal/rt"
)

// Where patches go. Code in a patch and code of the image must reach each other with 32-bit displacements, and offsets
// of types are positive 31-bit numbers, so the arena lies above the image and ends below arenaReach from its start. It is
// as high as possible: the break and whatever else the kernel puts above the image grow towards it.
const (
	arenaSize  = 256 << 20
	arenaLeast = 16 << 20
	arenaAlign = 2 << 20
	arenaReach = 2<<30 - 64<<20
)

// reserve takes address space for patches.
func reserve(im *rt.Image) (rt.Range, error) {
	for size := uint64(arenaSize); size >= arenaLeast; size /= 2 {
		r, err := reserveSize(im, size)
		if err == nil || err != syscall.ENOMEM {
			return r, err
		}
	}
	return rt.Range{}, errors.New("address space: no room for patches within 2 GiB above the program")
}

// reserveSize tries every gap that is large enough, from the highest down. ENOMEM means that there is none, or that the
// process may not have that much.
func reserveSize(im *rt.Image, size uint64) (rt.Range, error) {
	maps, err := rt.Maps()
	if err != nil {
		return rt.Range{}, err
	}
	top := im.Lo + arenaReach
	for i := len(maps); i >= 0; i-- {
		gap := rt.Range{Lo: im.Hi, Hi: top}
		if i < len(maps) {
			gap.Hi = min(top, maps[i].Lo)
		}
		if i > 0 {
			gap.Lo = max(im.Hi, maps[i-1].Hi)
		}
		if gap.Hi < gap.Lo+size+2*arenaAlign {
			continue
		}
		lo := (gap.Hi - size) &^ (arenaAlign - 1)
		switch err := rt.Reserve(lo, size); err {
		case nil:
			return rt.Range{Lo: lo, Hi: lo + size}, nil
		case syscall.EEXIST: // taken since the list was read
		default:
			return rt.Range{}, err
		}
	}
	return rt.Range{}, syscall.ENOMEM
}
