package main

import (
	"fmt"
	"log"
	"net/http"
	"sync"
)

// A Shop counts who comes in.
type Shop struct {
	Name string

	mu       sync.Mutex
	visitors int
}

// Greeting is what a visitor reads.
func (s *Shop) Greeting(n int) string {
	return fmt.Sprintf("Hello, visitor %d of %s", n, s.Name)
}

func (s *Shop) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	s.visitors++
	n := s.visitors
	s.mu.Unlock()
	greeting := s.Greeting(n)
	log.Print(greeting)
	fmt.Fprintln(w, greeting)
}
