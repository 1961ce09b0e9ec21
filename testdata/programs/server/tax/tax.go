// Package tax is swapped together with packages price and web.
package tax

// A Rate is a share of a price.
type Rate struct{ Percent int }

// On gives the tax on a price and the generation of the source that computed it. It is called through an interface.
//
//go:noinline
func (r *Rate) On(cents int) (generation, tax int) {
	const now = 0 // the proof counts this up
	return now, cents*r.Percent + now
}
