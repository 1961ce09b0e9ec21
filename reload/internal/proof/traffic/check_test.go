package traffic

import (
	"strings"
	"testing"
)

// TestCheck holds answers of many kinds against the invariant: what a correct swap can bring about must pass, a mix must
// not.
func TestCheck(t *testing.T) {
	const item = 3
	for _, c := range []struct {
		name        string
		handler     int
		generations [8]int
		least, most int
		want        string // part of the error, empty when it must pass
	}{
		{"one generation", 5, [8]int{5, 5, 5, 5, 5, 5, 5, 5}, 5, 5, ""},
		{"swapped before the first call", 5, [8]int{6, 6, 6, 6, 6, 6, 6, 6}, 5, 6, ""},
		{"swapped between Of and On", 5, [8]int{5, 5, 5, 6, 6, 6, 6, 6}, 5, 6, ""},
		{"swapped between On and Of, twice", 5, [8]int{5, 5, 6, 6, 6, 6, 7, 7}, 5, 7, ""},
		{"sent while the refresh ran", 6, [8]int{6, 6, 6, 6, 6, 6, 6, 6}, 5, 6, ""},
		{"Of is new, On is old", 5, [8]int{6, 5, 6, 6, 6, 6, 6, 6}, 5, 6, "a mix"},
		{"On between two of Of is old", 5, [8]int{5, 5, 6, 5, 6, 6, 6, 6}, 5, 6, "a mix"},
		{"On between two of Of is new", 5, [8]int{5, 6, 5, 6, 6, 6, 6, 6}, 5, 6, "a mix"},
		{"handler is new, calls are old", 6, [8]int{5, 5, 5, 5, 5, 5, 5, 5}, 5, 6, "a mix"},
		{"late", 4, [8]int{4, 4, 4, 4, 4, 4, 4, 4}, 5, 5, "handler of generation 4"},
		{"early", 5, [8]int{5, 5, 5, 5, 5, 5, 5, 6}, 5, 5, "does not exist"},
	} {
		a := answer{Handler: c.handler, Item: item}
		cents := 0
		for i, g := range c.generations {
			v := item*100 + g
			if i%2 == 1 {
				v = cents*19 + g
			}
			cents = v
			a.Calls = append(a.Calls, struct{ Generation, Answer int }{g, v})
		}
		err := a.check(item, c.least, c.most)
		if c.want == "" && err != nil {
			t.Errorf("%s: %v", c.name, err)
		}
		if c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)) {
			t.Errorf("%s: error %v, want one with %q", c.name, err, c.want)
		}
	}
}
