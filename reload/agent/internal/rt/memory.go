//go:build linux && amd64 && go1.25

package rt

import (
	"errors"
	"sort"
	"strconv"
	"sync/atomic"
	"syscall"
)

const pageSize = 4096

// Protections of a mapping, as in mmap(2).
const (
	None      = syscall.PROT_NONE
	Read      = syscall.PROT_READ
	ReadWrite = syscall.PROT_READ | syscall.PROT_WRITE
	ReadExec  = syscall.PROT_READ | syscall.PROT_EXEC
)

// A Mapping is one of the process's mappings.
type Mapping struct {
	Range
	Prot int
}

// Maps reads the process's mappings, by address.
func Maps() ([]Mapping, error) {
	fd, err := syscall.Open("/proc/self/maps", syscall.O_RDONLY|syscall.O_CLOEXEC, 0)
	if err != nil {
		return nil, errors.New("/proc/self/maps: " + err.Error())
	}
	defer syscall.Close(fd)
	text := make([]byte, 0, 64<<10)
	for {
		if cap(text)-len(text) < 4096 {
			text = append(make([]byte, 0, 2*cap(text)), text...)
		}
		n, err := syscall.Read(fd, text[len(text):cap(text)])
		if err == syscall.EINTR {
			continue
		}
		if err != nil {
			return nil, errors.New("/proc/self/maps: " + err.Error())
		}
		if n == 0 {
			break
		}
		text = text[:len(text)+n]
	}
	return parseMaps(text)
}

// parseMaps reads lines as "00400000-00452000 r-xp 00000000 08:02 173521 /bin/x" (proc_pid_maps(5)).
func parseMaps(text []byte) ([]Mapping, error) {
	var list []Mapping
	for len(text) > 0 {
		end := 0
		for end < len(text) && text[end] != '\n' {
			end++
		}
		line := text[:end]
		text = text[min(end+1, len(text)):]
		lo, line, ok1 := hex(line, '-')
		hi, line, ok2 := hex(line, ' ')
		if !ok1 || !ok2 || len(line) < 4 {
			return nil, errors.New("/proc/self/maps: a line cannot be understood")
		}
		m := Mapping{Range: Range{lo, hi}}
		for i, bit := range [3]int{syscall.PROT_READ, syscall.PROT_WRITE, syscall.PROT_EXEC} {
			if line[i] != '-' {
				m.Prot |= bit
			}
		}
		list = append(list, m)
	}
	return list, nil
}

// hex reads a number in hexadecimal that ends with the byte end, and returns what follows.
func hex(line []byte, end byte) (v uint64, rest []byte, ok bool) {
	for i, c := range line {
		switch {
		case c == end:
			return v, line[i+1:], i > 0
		case '0' <= c && c <= '9':
			v = v<<4 | uint64(c-'0')
		case 'a' <= c && c <= 'f':
			v = v<<4 | uint64(c-'a'+10)
		default:
			return 0, nil, false
		}
	}
	return 0, nil, false
}

// mapNoReplace is MAP_FIXED_NOREPLACE (Linux 4.17); an older kernel takes the address as a hint.
const mapNoReplace = 0x100000

// Reserve takes size bytes of address space at addr, without memory or access.
func Reserve(addr, size uint64) error {
	const flags = syscall.MAP_PRIVATE | syscall.MAP_ANON | syscall.MAP_NORESERVE | mapNoReplace
	got, _, errno := syscall.Syscall6(syscall.SYS_MMAP, uintptr(addr), uintptr(size), None, flags, ^uintptr(0), 0)
	if errno != 0 {
		return errno
	}
	if uint64(got) != addr {
		_, _, errno := syscall.Syscall(syscall.SYS_MUNMAP, got, uintptr(size), 0)
		if errno != 0 {
			return errno
		}
		return syscall.EEXIST
	}
	return nil
}

// Discard gives the memory of a reserved range back and takes access away.
func Discard(addr, size uint64) error {
	const flags = syscall.MAP_PRIVATE | syscall.MAP_ANON | syscall.MAP_NORESERVE | syscall.MAP_FIXED
	_, _, errno := syscall.Syscall6(syscall.SYS_MMAP, uintptr(addr), uintptr(size), None, flags, ^uintptr(0), 0)
	if errno != 0 {
		return errno
	}
	return nil
}

// Protect sets the protection of whole pages.
func Protect(addr, size uint64, prot int) error {
	if size == 0 {
		return nil
	}
	_, _, errno := syscall.Syscall(syscall.SYS_MPROTECT, uintptr(addr), uintptr(size), uintptr(prot))
	if errno != 0 {
		return errors.New("mprotect of " + Hex(addr) + ": " + errno.Error())
	}
	return nil
}

// Copy writes b at addr. Nobody else may use these bytes.
//
//go:norace
//go:nocheckptr
func Copy(addr uint64, b []byte) { copy(bytesAt(uintptr(addr), uintptr(len(b))), b) }

// Store writes b at addr while others may read it: in one go if b is an aligned word.
//
//go:norace
//go:nocheckptr
func Store(addr uint64, b []byte) {
	switch {
	case len(b) == 8 && addr%8 == 0:
		v := uint64(b[0]) | uint64(b[1])<<8 | uint64(b[2])<<16 | uint64(b[3])<<24 |
			uint64(b[4])<<32 | uint64(b[5])<<40 | uint64(b[6])<<48 | uint64(b[7])<<56
		atomic.StoreUint64((*uint64)(pointer(uintptr(addr))), v)
	case len(b) == 4 && addr%4 == 0:
		v := uint32(b[0]) | uint32(b[1])<<8 | uint32(b[2])<<16 | uint32(b[3])<<24
		atomic.StoreUint32((*uint32)(pointer(uintptr(addr))), v)
	default:
		Copy(addr, b)
	}
}

// Equal reports whether the bytes at addr are b. They must be readable.
//
//go:norace
//go:nocheckptr
func Equal(addr uint64, b []byte) bool {
	return string(bytesAt(uintptr(addr), uintptr(len(b)))) == string(b)
}

// Readable reports an error if one of the ranges, sorted by address, is not mapped for reading.
func Readable(ranges []Range) error {
	_, err := regions(ranges)
	return err
}

// readable reports whether the n bytes at addr may be read.
func readable(maps []Mapping, addr, n uint64) bool {
	i := sort.Search(len(maps), func(i int) bool { return maps[i].Hi > addr })
	for ; i < len(maps) && maps[i].Lo <= addr && maps[i].Prot&Read != 0; i++ {
		if n <= maps[i].Hi-addr {
			return true
		}
		n -= maps[i].Hi - addr
		addr = maps[i].Hi
	}
	return false
}

// regions returns the whole pages of the ranges with the protection that they have.
func regions(ranges []Range) ([]Mapping, error) {
	if len(ranges) == 0 {
		return nil, nil
	}
	maps, err := Maps()
	if err != nil {
		return nil, err
	}
	var out []Mapping
	next := 0
	for _, r := range ranges {
		lo, hi := r.Lo&^(pageSize-1), (r.Hi+pageSize-1)&^(pageSize-1)
		if n := len(out); n > 0 && lo < out[n-1].Hi {
			lo = out[n-1].Hi
		}
		for lo < hi {
			for next < len(maps) && maps[next].Hi <= lo {
				next++
			}
			if next == len(maps) || maps[next].Lo > lo || maps[next].Prot&Read == 0 {
				return nil, errors.New("memory at " + Hex(lo) + " is not mapped for reading")
			}
			m := Mapping{Range{lo, min(hi, maps[next].Hi)}, maps[next].Prot}
			if n := len(out); n > 0 && out[n-1].Hi == lo && out[n-1].Prot == m.Prot {
				out[n-1].Hi = m.Hi
			} else {
				out = append(out, m)
			}
			lo = m.Hi
		}
	}
	return out, nil
}

// An Opening is a set of pages that were made writable.
type Opening struct{ regions []Mapping }

// Open makes the pages of the ranges, sorted by address, writable. Nothing else is taken from a page: code stays
// executable, because signal handlers and the runtime's monitor thread go on running. It fails, with everything as it
// was, if a range is not mapped and readable.
func Open(ranges []Range) (*Opening, error) {
	list, err := regions(ranges)
	if err != nil {
		return nil, err
	}
	o := &Opening{list}
	for i, m := range o.regions {
		if m.Prot&syscall.PROT_WRITE != 0 {
			continue
		}
		if err := Protect(m.Lo, m.Hi-m.Lo, m.Prot|ReadWrite); err != nil {
			o.regions = o.regions[:i]
			return nil, errors.Join(err, o.Close())
		}
	}
	return o, nil
}

// Close gives the pages their protection back.
func (o *Opening) Close() error {
	var errs []error
	for _, m := range o.regions {
		if m.Prot&syscall.PROT_WRITE == 0 {
			errs = append(errs, Protect(m.Lo, m.Hi-m.Lo, m.Prot))
		}
	}
	return errors.Join(errs...)
}

// Hex is 0x and the hexadecimal digits of v.
func Hex(v uint64) string { return "0x" + strconv.FormatUint(v, 16) }

// Commands of membarrier(2), Linux 4.16.
const (
	sysMembarrier           = 324
	membarrierSyncCore      = 1 << 5 // MEMBARRIER_CMD_PRIVATE_EXPEDITED_SYNC_CORE
	membarrierRegister      = 1 << 6
	membarrierCmdQuery      = 0
	membarrierCoreSupported = membarrierSyncCore | membarrierRegister
)

// syncCores is whether the kernel can make every core that runs a thread of ours throw away what it has fetched.
var syncCores bool

// PrepareCode asks the kernel for that; it is slow the first time.
func PrepareCode() {
	if syncCores {
		return
	}
	have, _, errno := syscall.Syscall(sysMembarrier, membarrierCmdQuery, 0, 0)
	if errno != 0 || have&membarrierCoreSupported != membarrierCoreSupported {
		return
	}
	_, _, errno = syscall.Syscall(sysMembarrier, membarrierRegister, 0, 0)
	syncCores = errno == 0
}

// publishCode makes bytes written so far the ones that every core executes. Without membarrier, the interrupts by which
// mprotect flushes the other cores' translations have the same effect a moment later.
//
//go:nosplit
//go:norace
func publishCode() {
	if syncCores {
		syscall.RawSyscall(sysMembarrier, membarrierSyncCore, 0, 0)
	}
}
