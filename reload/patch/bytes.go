//go:build go1.25

package patch

// A writer appends the primitives of the grammar to buf.
type writer struct{ buf []byte }

func (w *writer) raw(s string) { w.buf = append(w.buf, s...) }

func (w *writer) u8(v uint8) { w.buf = append(w.buf, v) }

func (w *writer) u32(v uint32) {
	w.buf = append(w.buf, byte(v), byte(v>>8), byte(v>>16), byte(v>>24))
}

func (w *writer) u64(v uint64) {
	w.u32(uint32(v))
	w.u32(uint32(v >> 32))
}

func (w *writer) str(s string) {
	w.u32(uint32(len(s)))
	w.buf = append(w.buf, s...)
}

func (w *writer) bytes(b []byte) {
	w.u32(uint32(len(b)))
	w.buf = append(w.buf, b...)
}

// A reader takes the primitives of the grammar from the front of buf. After the first one that does not fit, failed is
// set, buf is empty, and all that follows reads as zero: callers check failed once, at the end.
type reader struct {
	buf    []byte
	failed bool
}

// take returns the next n bytes, or nil if there are not as many.
func (r *reader) take(n uint64) []byte {
	if n > uint64(len(r.buf)) {
		r.failed = true
		r.buf = nil
		return nil
	}
	b := r.buf[:n:n]
	r.buf = r.buf[n:]
	return b
}

func (r *reader) u32() uint32 {
	b := r.take(4)
	if b == nil {
		return 0
	}
	return uint32(b[0]) | uint32(b[1])<<8 | uint32(b[2])<<16 | uint32(b[3])<<24
}

func (r *reader) u64() uint64 {
	b := r.take(8)
	if b == nil {
		return 0
	}
	lo := uint32(b[0]) | uint32(b[1])<<8 | uint32(b[2])<<16 | uint32(b[3])<<24
	hi := uint32(b[4]) | uint32(b[5])<<8 | uint32(b[6])<<16 | uint32(b[7])<<24
	return uint64(lo) | uint64(hi)<<32
}

func (r *reader) str() string { return string(r.bytes()) }

// bytes returns a part of the input; nil for the empty one.
func (r *reader) bytes() []byte {
	b := r.take(uint64(r.u32()))
	if len(b) == 0 {
		return nil
	}
	return b
}

// count reads the length of a list whose elements take at least size bytes each, and fails if the input cannot hold them.
func (r *reader) count(size int) int {
	n := uint64(r.u32())
	if n*uint64(size) > uint64(len(r.buf)) {
		r.failed = true
		r.buf = nil
		return 0
	}
	return int(n)
}
