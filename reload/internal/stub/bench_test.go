package stub

import (
	"go/types"
	"testing"
)

func BenchmarkBuildX(b *testing.B) {
	tc := newToolchain(b, "")
	tc.list(b, "", "net/http")
	c := tc.check(b, "net/http")
	fns := c.funcs()
	b.ResetTimer()
	b.ReportAllocs()
	for i := range b.N {
		in := c.input()
		in.Keep = []*types.Func{fns[i*7%len(fns)]}
		if _, err := Build(in); err != nil {
			b.Fatal(err)
		}
	}
}
