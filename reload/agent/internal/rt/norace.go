//go:build linux && amd64 && go1.25 && !race

package rt

// Without the race detector nobody needs to be told of what happened before what.

func findRace() {}

func release() {}

func acquireAll(*Runtime) {}
