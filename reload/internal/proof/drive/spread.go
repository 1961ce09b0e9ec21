package drive

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
)

// Quantile is the value below which a share q of the list lies, 0 for an empty list. It sorts a copy.
func Quantile[T cmp.Ordered](list []T, q float64) T {
	var zero T
	if len(list) == 0 {
		return zero
	}
	sorted := slices.Sorted(slices.Values(list))
	i := int(q * float64(len(sorted)))
	return sorted[min(i, len(sorted)-1)]
}

// Medians is a line with the median of each phase of many refreshes.
func Medians(list []Phases) string {
	var b strings.Builder
	for i, phase := range []struct {
		name string
		of   func(Phases) float64
	}{
		{"detect", func(p Phases) float64 { return p.Detect }},
		{"check", func(p Phases) float64 { return p.Check }},
		{"compile", func(p Phases) float64 { return p.Compile }},
		{"link", func(p Phases) float64 { return p.Link }},
		{"inject", func(p Phases) float64 { return p.Inject }},
		{"total", func(p Phases) float64 { return p.Total }},
	} {
		var one []float64
		for _, p := range list {
			one = append(one, phase.of(p))
		}
		if i > 0 {
			b.WriteString(", ")
		}
		fmt.Fprintf(&b, "%s %.1f ms", phase.name, Quantile(one, 0.5))
	}
	return b.String()
}

// Spread is a line of quantiles.
func Spread(list []float64, unit string) string {
	return fmt.Sprintf("p50 %.0f %s, p99 %.0f %s, max %.0f %s", Quantile(list, 0.5), unit, Quantile(list, 0.99), unit,
		Quantile(list, 1), unit)
}
