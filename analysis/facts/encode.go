package facts

import (
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/limeade-go/limeade/analysis/decl"
)

// The form of a package that is kept: unsigned varints, strings with their length before them, lists with their number
// before them, fingerprints as 8 bytes, all fields in the order in which the types declare them. The first byte is the
// version of the form and of what the facts mean.
const encoding = 12

// Append appends the kept form of p to b.
func (p *Package) Append(b []byte) []byte {
	w := writer{append(b, encoding)}
	w.str(p.Path)
	w.fixed(uint64(p.API))
	w.uint(len(p.Names))
	for _, name := range p.Names {
		w.str(name)
	}
	w.uint(len(p.Decls))
	for i := range p.Decls {
		w.decl(&p.Decls[i])
	}
	w.uint(len(p.Locals))
	for _, l := range p.Locals {
		w.str(l.Owner)
		w.str(l.Name)
		w.fixed(uint64(l.Shape))
	}
	w.uint(len(p.Promotions))
	for _, m := range p.Promotions {
		w.str(m.Type)
		w.str(m.Method)
		w.str(m.Target)
	}
	w.uint(len(p.Linked))
	for _, name := range p.Linked {
		w.str(name)
	}
	return w.b
}

type writer struct{ b []byte }

func (w *writer) uint(n int)     { w.b = binary.AppendUvarint(w.b, uint64(n)) }
func (w *writer) fixed(u uint64) { w.b = binary.LittleEndian.AppendUint64(w.b, u) }

func (w *writer) str(s string) {
	w.uint(len(s))
	w.b = append(w.b, s...)
}

func (w *writer) decl(d *Decl) {
	w.str(d.Name)
	w.b = append(w.b, byte(d.Kind))
	w.uint(int(d.Flags))
	w.fixed(uint64(d.Type))
	w.fixed(uint64(d.Value))
	w.uint(int(d.Call))
	w.uint(d.Size)
	w.uint(len(d.Refs))
	for _, r := range d.Refs {
		w.uint(int(r))
	}
	for _, list := range [][]uint32{d.Dynamic, d.Holds, d.Values, d.Instances, d.Imports, d.Unnamed, d.Exposes, d.Parts, d.Taken, d.Made} {
		w.uint(len(list))
		for _, n := range list {
			w.uint(int(n))
		}
	}
	w.uint(len(d.Closures))
	for _, c := range d.Closures {
		w.str(c.Name)
		w.b = append(w.b, byte(c.Kind))
		w.uint(c.Literal)
		w.str(c.Sig)
		w.uint(len(c.Captures))
		for _, v := range c.Captures {
			w.str(v.Name)
			w.str(v.Type)
			w.b = append(w.b, byte(v.Mode))
		}
		w.fixed(uint64(c.Body))
		w.b = append(w.b, boolByte(c.Brief), boolByte(c.Deep))
		w.uint(len(c.Words))
		for _, word := range c.Words {
			w.uint(int(word))
		}
	}
}

func boolByte(b bool) byte {
	if b {
		return 1
	}
	return 0
}

// Decode reads one package from the front of b and returns what follows it.
func Decode(b []byte) (p *Package, rest []byte, err error) {
	r := reader{b: b}
	if v := r.byte(); r.err == nil && v != encoding {
		return nil, nil, fmt.Errorf("facts: encoding %d, want %d", v, encoding)
	}
	p = &Package{Path: r.str(), API: Fingerprint(r.fixed())}
	for range r.count() {
		p.Names = append(p.Names, r.str())
	}
	r.names = uint64(len(p.Names))
	for range r.count() {
		p.Decls = append(p.Decls, r.decl())
	}
	for range r.count() {
		p.Locals = append(p.Locals, LocalType{r.str(), r.str(), Fingerprint(r.fixed())})
	}
	for range r.count() {
		p.Promotions = append(p.Promotions, Promotion{r.str(), r.str(), r.str()})
	}
	for range r.count() {
		p.Linked = append(p.Linked, r.str())
	}
	if r.err != nil {
		return nil, nil, fmt.Errorf("facts: %w", r.err)
	}
	p.index()
	return p, r.b, nil
}

var (
	errShort  = errors.New("ends too early")
	errBroken = errors.New("does not make sense")
)

// A reader takes values from the front of b; after an error it returns zeros.
type reader struct {
	b     []byte
	names uint64 // how many there are
	err   error
}

func (r *reader) fail(err error) {
	if r.err == nil {
		r.err = err
	}
	r.b = nil
}

func (r *reader) byte() byte {
	if len(r.b) == 0 {
		r.fail(errShort)
		return 0
	}
	c := r.b[0]
	r.b = r.b[1:]
	return c
}

func (r *reader) uint() uint64 {
	u, n := binary.Uvarint(r.b)
	if n <= 0 {
		r.fail(errShort)
		return 0
	}
	r.b = r.b[n:]
	return u
}

// count reads the length of a list, each element of which takes one byte at least.
func (r *reader) count() int {
	n := r.uint()
	if n > uint64(len(r.b)) {
		r.fail(errShort)
		return 0
	}
	return int(n)
}

func (r *reader) fixed() uint64 {
	if len(r.b) < 8 {
		r.fail(errShort)
		return 0
	}
	u := binary.LittleEndian.Uint64(r.b)
	r.b = r.b[8:]
	return u
}

func (r *reader) str() string {
	n := r.count()
	s := string(r.b[:n])
	r.b = r.b[n:]
	return s
}

// enum reads a byte that is at most the largest value of its type.
func (r *reader) enum(largest byte) byte {
	c := r.byte()
	if c > largest {
		r.fail(errBroken)
		return 0
	}
	return c
}

// name reads a number of a name, shifted by some bits of something else.
func (r *reader) name(shift uint) uint64 {
	u := r.uint()
	if u>>shift >= r.names {
		r.fail(errBroken)
		return 0
	}
	return u
}

func (r *reader) decl() Decl {
	d := Decl{Name: r.str(), Kind: decl.Kind(r.enum(byte(decl.Type))), Flags: Flags(r.uint()), Type: Fingerprint(r.fixed()), Value: Fingerprint(r.fixed())}
	d.Call = uint32(r.name(0))
	d.Size = int(min(r.uint(), MaxSize))
	for range r.count() {
		d.Refs = append(d.Refs, Ref(r.name(8)))
	}
	for _, list := range []*[]uint32{&d.Dynamic, &d.Holds, &d.Values, &d.Instances, &d.Imports, &d.Unnamed, &d.Exposes, &d.Parts, &d.Taken, &d.Made} {
		for range r.count() {
			*list = append(*list, uint32(r.name(0)))
		}
	}
	for range r.count() {
		c := &Closure{Name: r.str(), Kind: ClosureKind(r.enum(byte(Synthetic))), Literal: int(r.uint()), Sig: r.str()}
		for range r.count() {
			c.Captures = append(c.Captures, Capture{Name: r.str(), Type: r.str(), Mode: Mode(r.enum(byte(Unproven)))})
		}
		c.Body = decl.Hash(r.fixed())
		c.Brief, c.Deep = r.enum(1) == 1, r.enum(1) == 1
		for range r.count() {
			c.Words = append(c.Words, uint32(r.uint()))
		}
		d.Closures = append(d.Closures, c)
	}
	return d
}
