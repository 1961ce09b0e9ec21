package stub

import (
	"go/types"
	"strconv"
	"strings"
)

// A Fact is what the compiler found out about a function in a build of the whole package, and what the
// code of its callers relies on.
type Fact struct {
	CanInline bool

	// Params are the ways in which what a parameter points to leaves the function, the receiver first:
	// "heap", "content level=N" (N dereferences on), "result I level=N", "mutates derefs=N",
	// "calls derefs=N". A way that is not among these is taken for "heap".
	Params [][]string
}

// A flow says that what a parameter points to, after some dereferences, gets somewhere
// (cmd/compile/internal/escape/leaks.go, Go 1.25–1.27).
type flow struct {
	param  int
	to     destination
	result int // if to is toResult
	derefs int
}

type destination uint8

const (
	toHeap    destination = iota // it may outlive the call
	toMutator                    // it is written through
	toCallee                     // it is called
	toResult                     // it is returned
)

// flows reads the ways of a fact.
func (f Fact) flows() []flow {
	var list []flow
	for param, ways := range f.Params {
		for _, way := range ways {
			list = append(list, parseFlow(param, way))
		}
	}
	return list
}

func parseFlow(param int, way string) flow {
	words := strings.FieldsFunc(way, func(r rune) bool { return r == ' ' || r == '=' })
	number := func(i int) int {
		if i < len(words) {
			if n, err := strconv.Atoi(words[i]); err == nil && n >= 0 {
				return n
			}
		}
		return 0
	}
	switch {
	case len(words) == 3 && words[0] == "content":
		return flow{param, toHeap, 0, number(2)}
	case len(words) == 3 && words[0] == "mutates":
		return flow{param, toMutator, 0, number(2)}
	case len(words) == 3 && words[0] == "calls":
		return flow{param, toCallee, 0, number(2)}
	case len(words) == 4 && words[0] == "result":
		return flow{param, toResult, number(1), number(3)}
	}
	return flow{param: param, to: toHeap}
}

// fact returns what is known of a function.
func (b *builder) fact(fn *types.Func) (Fact, bool) {
	if b.in.Facts == nil || isGeneric(fn) {
		return Fact{}, false
	}
	return b.in.Facts(linkFunc(fn))
}
