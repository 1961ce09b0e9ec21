package link

import (
	"cmp"
	"slices"
	"strconv"
	"strings"

	"github.com/limeade-go/limeade/reload/internal/image"
)

// A form is a live function literal.
type form struct {
	entry uint64
	body  Body
	image uint64 // the entry at link time, of one that has the code of the build; 0 for others
}

// liveLiterals returns the function literals whose live code was compiled from a file, by entry.
func (l *linker) liveLiterals(file string) ([]form, error) {
	if list, ok := l.live[file]; ok {
		return list, nil
	}
	var list []form
	for entry, b := range l.state.Bodies {
		if b.File == file && isLiteral(b.Name) && !b.Wrapper {
			list = append(list, form{entry: entry, body: b})
		}
	}
	bias := l.state.Bias
	var found []image.Func
	for _, f := range l.host.funcsIn(file) {
		if _, moved := l.state.Lines[f.Addr()+bias]; !moved && isLiteral(f.Name()) {
			found = append(found, f)
		}
	}
	for fn, lines := range l.state.Lines {
		if lines.File == file {
			if f, ok := l.host.literal(fn - bias); ok {
				found = append(found, f)
			}
		}
	}
	for _, f := range found {
		entry := f.Entry + bias
		if _, ok := l.state.Bodies[entry]; ok {
			continue // it has newer code
		}
		b, err := l.body(f.Name(), entry)
		if err != nil {
			return nil, err
		}
		if b.File == file && !b.Wrapper {
			list = append(list, form{entry, b, f.Entry})
		}
	}
	slices.SortFunc(list, func(a, b form) int { return cmp.Compare(a.entry, b.entry) })
	l.live[file] = list
	return list, nil
}

// literal returns the function literal of the image with a runtime._func at an address.
func (h *Host) literal(fn uint64) (image.Func, bool) {
	h.onceLiterals.Do(func() {
		h.literals = map[uint64]image.Func{}
		for f := range h.Image.Funcs() {
			if isLiteral(f.Name()) {
				h.literals[f.Addr()] = f
			}
		}
	})
	f, ok := h.literals[fn]
	return f, ok
}

func isInstance(name string) bool { return strings.Contains(name, "[") }

// numbers splits the name of a function literal: "p.F.func2.1" gives "p.F" and 2, 1.
func numbers(name string) (of string, n []int) {
	i := strings.LastIndex(name, ".func")
	if at := rangeLiteral.FindStringIndex(name); at != nil {
		i = at[0] + strings.IndexByte(name[at[0]:], '.')
		for part := range strings.SplitSeq(name[i+1:], ".") {
			k, _ := strconv.Atoi(part)
			n = append(n, k)
		}
		return name[:i], n
	}
	for part := range strings.SplitSeq(name[i+len(".func"):], ".") {
		if k, err := strconv.Atoi(part); err == nil {
			n = append(n, k)
		}
	}
	return name[:i], n
}

func compareNumbers(a, b string) int {
	_, x := numbers(a)
	_, y := numbers(b)
	return slices.Compare(x, y)
}
