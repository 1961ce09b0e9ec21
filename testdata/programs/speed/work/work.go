// Package work is three pieces of work of the kind that the standard library does.
package work

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math/bits"
	"strconv"
)

// A Record is something to sort.
type Record struct {
	Key  uint64
	Name string
}

// Digest is a hash of 32 bytes: rounds of additions, rotations and exclusive ors over blocks, as hashes of the
// standard library have them.
func Digest(p []byte) [32]byte {
	s := [8]uint32{0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344, 0xa4093822, 0x299f31d0, 0x082efa98, 0xec4e6c89}
	for len(p) >= 64 {
		block(&s, p[:64])
		p = p[64:]
	}
	var last [64]byte
	copy(last[:], p)
	last[63] ^= byte(len(p))
	block(&s, last[:])
	var out [32]byte
	for i, v := range s {
		binary.LittleEndian.PutUint32(out[4*i:], v)
	}
	return out
}

// block mixes 64 bytes into the state.
func block(s *[8]uint32, p []byte) {
	var w [16]uint32
	for i := range w {
		w[i] = binary.LittleEndian.Uint32(p[4*i:])
	}
	a, b, c, d, e, f, g, h := s[0], s[1], s[2], s[3], s[4], s[5], s[6], s[7]
	for r := range 64 {
		x := w[r&15]
		t := h + (bits.RotateLeft32(e, 7) ^ bits.RotateLeft32(e, 19)) + (e&f ^ ^e&g) + x + uint32(r)*0x9e3779b9
		u := (bits.RotateLeft32(a, 11) ^ bits.RotateLeft32(a, 25)) + (a&b ^ a&c ^ b&c)
		w[r&15] = x + bits.RotateLeft32(w[(r+1)&15], 3) + w[(r+9)&15]
		h, g, f, e, d, c, b, a = g, f, e, d+t, c, b, a, t+u
	}
	s[0] += a
	s[1] += b
	s[2] += c
	s[3] += d
	s[4] += e
	s[5] += f
	s[6] += g
	s[7] += h
}

// Sort orders a list in place: quicksort with a heap sort for lists that resist it, and insertion for short ones.
func Sort(list []Record, less func(a, b *Record) bool) {
	sort(list, less, 2*bits.Len(uint(len(list))))
}

func sort(list []Record, less func(a, b *Record) bool, limit int) {
	for len(list) > 16 {
		if limit == 0 {
			heapSort(list, less)
			return
		}
		limit--
		p := partition(list, less)
		if p < len(list)-p {
			sort(list[:p], less, limit)
			list = list[p:]
		} else {
			sort(list[p:], less, limit)
			list = list[:p]
		}
	}
	for i := 1; i < len(list); i++ {
		for j := i; j > 0 && less(&list[j], &list[j-1]); j-- {
			list[j], list[j-1] = list[j-1], list[j]
		}
	}
}

// partition splits a list in two, neither of them empty, none of the first part greater than any of the second.
func partition(list []Record, less func(a, b *Record) bool) int {
	mid := len(list) / 2
	if less(&list[mid], &list[0]) {
		list[mid], list[0] = list[0], list[mid]
	}
	if less(&list[len(list)-1], &list[mid]) {
		list[len(list)-1], list[mid] = list[mid], list[len(list)-1]
		if less(&list[mid], &list[0]) {
			list[mid], list[0] = list[0], list[mid]
		}
	}
	pivot := list[mid]
	i, j := -1, len(list)
	for {
		for i++; less(&list[i], &pivot); i++ {
		}
		for j--; less(&pivot, &list[j]); j-- {
		}
		if i >= j {
			return j + 1
		}
		list[i], list[j] = list[j], list[i]
	}
}

func heapSort(list []Record, less func(a, b *Record) bool) {
	for i := len(list)/2 - 1; i >= 0; i-- {
		sift(list, less, i)
	}
	for n := len(list) - 1; n > 0; n-- {
		list[0], list[n] = list[n], list[0]
		sift(list[:n], less, 0)
	}
}

func sift(list []Record, less func(a, b *Record) bool, i int) {
	for {
		c := 2*i + 1
		if c >= len(list) {
			return
		}
		if c+1 < len(list) && less(&list[c], &list[c+1]) {
			c++
		}
		if !less(&list[i], &list[c]) {
			return
		}
		list[i], list[c] = list[c], list[i]
		i = c
	}
}

// Parse counts the values of a text in JSON.
func Parse(text []byte) (int, error) {
	p := parser{text: text}
	if err := p.value(0); err != nil {
		return 0, err
	}
	p.space()
	if p.at != len(text) {
		return 0, p.fail("more after the value")
	}
	return p.values, nil
}

var errDepth = errors.New("nested too deep")

type parser struct {
	text   []byte
	at     int
	values int
}

func (p *parser) fail(what string) error { return fmt.Errorf("at %d: %s", p.at, what) }

func (p *parser) space() {
	for p.at < len(p.text) {
		switch p.text[p.at] {
		case ' ', '\t', '\n', '\r':
			p.at++
		default:
			return
		}
	}
}

// next takes the byte c, after blanks.
func (p *parser) next(c byte) bool {
	p.space()
	if p.at < len(p.text) && p.text[p.at] == c {
		p.at++
		return true
	}
	return false
}

func (p *parser) value(depth int) error {
	if depth > 100 {
		return errDepth
	}
	p.values++
	p.space()
	if p.at == len(p.text) {
		return p.fail("no value")
	}
	switch c := p.text[p.at]; {
	case c == '{':
		p.at++
		return p.list('}', func() error {
			p.space()
			if _, err := p.str(); err != nil {
				return err
			}
			if !p.next(':') {
				return p.fail("no colon")
			}
			return p.value(depth + 1)
		})
	case c == '[':
		p.at++
		return p.list(']', func() error { return p.value(depth + 1) })
	case c == '"':
		_, err := p.str()
		return err
	case c == '-' || '0' <= c && c <= '9':
		return p.number()
	}
	for _, word := range []string{"true", "false", "null"} {
		if len(p.text)-p.at >= len(word) && string(p.text[p.at:p.at+len(word)]) == word {
			p.at += len(word)
			return nil
		}
	}
	return p.fail("no value")
}

// list reads elements up to the byte that ends them.
func (p *parser) list(end byte, element func() error) error {
	if p.next(end) {
		return nil
	}
	for {
		if err := element(); err != nil {
			return err
		}
		if p.next(end) {
			return nil
		}
		if !p.next(',') {
			return p.fail("no comma")
		}
	}
}

func (p *parser) str() (string, error) {
	if p.at == len(p.text) || p.text[p.at] != '"' {
		return "", p.fail("no string")
	}
	start := p.at + 1
	for i := start; i < len(p.text); i++ {
		switch p.text[i] {
		case '\\':
			i++
		case '"':
			p.at = i + 1
			return string(p.text[start:i]), nil
		}
	}
	return "", p.fail("string does not end")
}

func (p *parser) number() error {
	start := p.at
	for p.at < len(p.text) {
		switch c := p.text[p.at]; {
		case '0' <= c && c <= '9', c == '-', c == '+', c == '.', c == 'e', c == 'E':
			p.at++
			continue
		}
		break
	}
	if _, err := strconv.ParseFloat(string(p.text[start:p.at]), 64); err != nil {
		return p.fail("no number")
	}
	return nil
}
