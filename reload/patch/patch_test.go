package patch

import (
	"bytes"
	"encoding/binary"
	"hash/crc32"
	"reflect"
	"strings"
	"testing"
)

// full returns a patch with something in every field.
func full() *Patch {
	const origin = 0x70000000
	p := &Patch{
		BuildID: "a/b/c/d", GoVersion: "go1.26.8", Base: 4, Next: 5, Source: "0123456789abcdef", Changed: []string{"example.com/app.F", ""},
		Origin: origin, Text: bytes.Repeat([]byte{0xc3}, 100), ROData: []byte("read only"), Data: make([]byte, 800), BSS: 24,
		Module: origin + 2*PageSize + 8, Typelinks: origin + 2*PageSize + 640, TypelinkCount: 2,
		Writes:  []Write{{0x401000, []byte("12345"), []byte("54321")}, {0x402000, []byte{0}, []byte{1}}},
		Early:   []Write{{0x501000, []byte("12345678"), []byte("87654321")}},
		Itabs:   []Itab{{0x600000, 0x600100, origin + 2*PageSize + 720}},
		Calls:   []uint64{origin + 32},
		Methods: Methods{[]Write{{0x503000, []byte{1, 0, 1, 0}, []byte{2, 0, 2, 0}}}, []uint64{0x600100}, []Cache{{0x700000, 0x700100}}},
		Funcs:   []Func{{"main.f", 0x401000, 0x401020, origin, origin + 32}},
		Windows: []Window{{0x401000, 0x401005}},
		Revived: []uint64{0x600100},
		Vacant:  []string{"main.g", ""},
		Reliant: []Reliant{{origin, origin + 32, 1}},
	}
	for i, f := range p.Runtime.fields() {
		*f = uint64(i + 1)
	}
	return p
}

func TestRoundTrip(t *testing.T) {
	for name, p := range map[string]*Patch{
		"full":     full(),
		"smallest": {Next: 1},
		"only bss": {Next: 1, Origin: PageSize, BSS: 7},
	} {
		b := p.Encode()
		got, err := Decode(b)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if !reflect.DeepEqual(got, p) {
			t.Errorf("%s: decoded\n%+v\nwant\n%+v", name, got, p)
		}
		if again := got.Encode(); !bytes.Equal(again, b) {
			t.Errorf("%s: a second encoding differs", name)
		}
	}
}

// TestDamage: no shorter patch, and none with a byte changed, is taken.
func TestDamage(t *testing.T) {
	b := full().Encode()
	for i := range b {
		if _, err := Decode(b[:i]); code(err) != Corrupt {
			t.Fatalf("the first %d bytes: %v", i, err)
		}
		for _, flip := range []byte{1, 0x80, 0xff} {
			b[i] ^= flip
			if _, err := Decode(b); code(err) != Corrupt {
				t.Fatalf("byte %d changed by %#x: %v", i, flip, err)
			}
			b[i] ^= flip
		}
	}
	if _, err := Decode(append(b, 0)); code(err) != Corrupt {
		t.Errorf("one byte more: %v", err)
	}
	if _, err := Decode(b); err != nil {
		t.Errorf("the whole: %v", err)
	}
}

// TestStructure changes bytes and repairs the checksum, so that the reader itself has to find out.
func TestStructure(t *testing.T) {
	b := full().Encode()
	seal := func(b []byte) []byte {
		return binary.LittleEndian.AppendUint32(b, crc32.Checksum(b, castagnoli))
	}
	body := b[:len(b)-4]
	for i := range body {
		if _, err := Decode(seal(bytes.Clone(body[:i]))); code(err) != Corrupt {
			t.Fatalf("the first %d bytes: %v", i, err)
		}
		damaged := bytes.Clone(body)
		damaged[i] ^= 0xff
		// Some changes make another patch; none may panic.
		if p, err := Decode(seal(damaged)); err == nil && !bytes.Equal(p.Encode(), seal(damaged)) {
			t.Fatalf("byte %d changed: decoded to something else", i)
		}
	}
	if _, err := Decode(seal(append(bytes.Clone(body), 0))); code(err) != Corrupt {
		t.Errorf("one byte more: %v", err)
	}
}

func code(err error) Code {
	if e, ok := err.(*Error); ok {
		return e.Code
	}
	return 0
}

// TestContradictions: a patch that contradicts itself is refused.
func TestContradictions(t *testing.T) {
	for _, test := range []struct {
		edit func(p *Patch)
		want string
	}{
		{func(p *Patch) { p.Next = p.Base }, "generation"},
		{func(p *Patch) { p.Base, p.Next = 1<<32-1, 0 }, "generation"},
		{func(p *Patch) { p.Source = strings.Repeat("x", MaxSource+1) }, "source digest"},
		{func(p *Patch) { p.Origin += 8 }, "page aligned"},
		{func(p *Patch) { p.Origin = 1<<64 - PageSize }, "not an address"},
		{func(p *Patch) { p.BSS = MaxSize }, "256 MiB"},
		{func(p *Patch) { p.BSS = 1<<64 - 1 }, "256 MiB"},
		{func(p *Patch) { p.Module = p.ROAddr() }, "module lies outside"},
		{func(p *Patch) { p.Module = p.End() - 7 }, "module lies outside"},
		{func(p *Patch) { p.Module = 0 }, "no module"},
		{func(p *Patch) { p.TypelinkCount = 1 << 31 }, "typelinks lie outside"},
		{func(p *Patch) { p.Typelinks = p.Origin }, "typelinks lie outside"},
		{func(p *Patch) { p.Writes[0].New = nil }, "unequal"},
		{func(p *Patch) { p.Writes[1].Expect, p.Writes[1].New = nil, nil }, "empty"},
		{func(p *Patch) { p.Early[0].Addr = 0 }, "no valid address"},
		{func(p *Patch) { p.Early[0].Addr = 1<<64 - 1 }, "no valid address"},
		{func(p *Patch) { p.Itabs[0].Slot++ }, "itab slot"},
		{func(p *Patch) { p.Itabs[0].Slot = p.Origin }, "itab slot"},
		{func(p *Patch) { p.Itabs[0].Type = 0 }, "itab slot"},
		{func(p *Patch) { p.Calls[0] = p.ROAddr() }, "call lies outside"},
		{func(p *Patch) { p.Funcs[0].NewHi = p.Funcs[0].NewLo }, "empty range"},
		{func(p *Patch) { p.Funcs[0].OldHi = 0 }, "empty range"},
		{func(p *Patch) { p.Windows[0].Hi = p.Windows[0].Lo }, "empty range"},
	} {
		p := full()
		test.edit(p)
		_, err := Decode(p.Encode())
		if code(err) != Corrupt || !strings.Contains(err.Error(), test.want) {
			t.Errorf("error is %v, want %q", err, test.want)
		}
	}
	if _, err := Decode(make([]byte, MaxSize+1)); code(err) != Corrupt {
		t.Errorf("a huge input: %v", err)
	}
}

// TestRuntimeFields: the list of fields is all of the struct, in order.
func TestRuntimeFields(t *testing.T) {
	var r Runtime
	for i, f := range r.fields() {
		*f = uint64(i + 1)
	}
	v := reflect.ValueOf(r)
	if v.NumField() != len(r.fields()) {
		t.Errorf("Runtime has %d fields, the format %d", v.NumField(), len(r.fields()))
	}
	last := uint64(0)
	for i := range v.NumField() {
		if n := v.Field(i).Uint(); n <= last {
			t.Errorf("field %s is number %d of the format, after %d", v.Type().Field(i).Name, n, last)
		} else {
			last = n
		}
	}
}

func TestPlaces(t *testing.T) {
	p := &Patch{Origin: 0x1000, Text: make([]byte, 1), ROData: make([]byte, PageSize), Data: make([]byte, 8), BSS: PageSize}
	for _, test := range []struct {
		name      string
		got, want uint64
	}{
		{"ROAddr", p.ROAddr(), 0x2000}, {"DataAddr", p.DataAddr(), 0x3000}, {"BSSAddr", p.BSSAddr(), 0x3008}, {"End", p.End(), 0x5000},
	} {
		if test.got != test.want {
			t.Errorf("%s is %#x, want %#x", test.name, test.got, test.want)
		}
	}
}

func FuzzDecode(f *testing.F) {
	whole := full().Encode()
	f.Add(whole[:len(whole)-4])
	f.Add((&Patch{Next: 1}).Encode())
	f.Add([]byte(magic))
	f.Add([]byte{})
	huge := bytes.Clone(whole)
	for i := 12; i+4 < len(huge); i += 97 {
		binary.LittleEndian.PutUint32(huge[i:], 1<<32-1)
	}
	f.Add(huge)
	f.Fuzz(func(t *testing.T, body []byte) {
		// The checksum is made right: it would hide the reader from the fuzzer.
		b := binary.LittleEndian.AppendUint32(bytes.Clone(body), crc32.Checksum(body, castagnoli))
		p, err := Decode(b)
		if err != nil {
			if code(err) != Corrupt {
				t.Fatalf("error is %v", err)
			}
			return
		}
		if !bytes.Equal(p.Encode(), b) {
			t.Fatal("decoded patch encodes to something else")
		}
	})
}
