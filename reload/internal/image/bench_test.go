package image

import "testing"

// BenchmarkIndex measures what a new baseline costs once, and what a later process pays
// to use it.
func BenchmarkIndex(b *testing.B) {
	p := build(b, "go1.26.8", variants[0])
	ix, err := BuildIndex(p.im, p.lib)
	if err != nil {
		b.Fatal(err)
	}
	b.Run("build", func(b *testing.B) {
		for b.Loop() {
			if _, err := BuildIndex(p.im, p.lib); err != nil {
				b.Fatal(err)
			}
		}
		b.ReportMetric(float64(ix.Stats.Symbols), "symbols")
	})
	b.Run("decode", func(b *testing.B) {
		for b.Loop() {
			if _, err := Decode(ix.Encode(), p.im, p.lib); err != nil {
				b.Fatal(err)
			}
		}
		b.ReportMetric(float64(len(ix.Encode())), "bytes")
	})
	b.Run("addr", func(b *testing.B) {
		n := 0
		for b.Loop() {
			for e := range ix.All("") {
				if _, ok := ix.Addr(e.Name, e.ABI); ok {
					n++
				}
			}
		}
		b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(n), "ns/lookup")
	})
}
