package main

import "fmt"

// report has a mistake that go vet finds, and gopls shows.
func report(n int) string {
	return fmt.Sprintf("%s visitors", n)
}
