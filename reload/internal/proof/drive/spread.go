package drive

import (
	"cmp"
	"fmt"
	"slices"
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

// Spread is a line of quantiles.
func Spread(list []float64, unit string) string {
	return fmt.Sprintf("p50 %.0f %s, p99 %.0f %s, max %.0f %s", Quantile(list, 0.5), unit, Quantile(list, 0.99), unit,
		Quantile(list, 1), unit)
}
