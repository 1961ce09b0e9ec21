package server

import (
	"maps"
	"slices"
)

// Methods lists the requests and the notifications that a server takes.
func Methods() (requests, notifications []string) {
	return slices.Sorted(maps.Keys(calls)), slices.Sorted(maps.Keys(notes))
}
