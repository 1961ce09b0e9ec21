// Package price is swapped together with packages tax and web.
package price

// Of gives the price of an item and the generation of the source that computed it.
//
//go:noinline
func Of(item int) (generation, cents int) {
	const now = 0 // the proof counts this up
	return now, item*100 + now
}
