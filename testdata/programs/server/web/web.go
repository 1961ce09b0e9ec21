// Package web answers requests; it is swapped together with packages price and tax.
package web

import (
	"encoding/json"
	"fmt"
	"log"
	"net/http"
	"strconv"
	"time"

	"limeade.test/server/price"
	"limeade.test/server/state"
	"limeade.test/server/tax"
)

// A Taxer is how the handlers know package tax.
type Taxer interface {
	On(cents int) (generation, tax int)
}

var taxer Taxer = &tax.Rate{Percent: 19}

// A Call is one call of a swapped function: the generation that answered, and its answer.
type Call struct {
	Generation int
	Answer     int
}

// An Answer is the body of a response.
type Answer struct {
	Handler int    // generation of the handler itself
	Calls   []Call // Of and On in turns, in the order of the calls
	Item    int
	Token   string // of the item's cache entry
	Hits    int64  // of that entry
	Served  int64  // requests so far
	Conn    int64  // number of the connection
	Request int64  // number of the request on its connection
}

// Quote calls both swapped functions in turns, with some work between the calls, so that many a request is under way
// when they are swapped.
func Quote(w http.ResponseWriter, r *http.Request) {
	const now = 0 // the proof counts this up
	item, err := strconv.Atoi(r.FormValue("item"))
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	a := Answer{Handler: now, Item: item}
	for range 4 {
		g, cents := price.Of(item)
		a.Calls = append(a.Calls, Call{g, cents})
		busy()
		g, due := taxer.On(cents)
		a.Calls = append(a.Calls, Call{g, due})
		busy()
	}
	a.Token, a.Hits = state.Lookup(item)
	a.Conn, a.Request, a.Served = state.Count(r.Context())
	w.Header().Set("Content-Type", "application/json")
	if err := json.NewEncoder(w).Encode(a); err != nil {
		log.Printf("request %d of connection %d: %v", a.Request, a.Conn, err)
		panic(http.ErrAbortHandler)
	}
}

// busy takes some tens of microseconds, in which the goroutine can be stopped anywhere.
func busy() {
	n := 1
	for i := range 20_000 {
		n = n*31 + i
	}
	state.Sink.Store(int64(n))
}

// Stream sends a line every few milliseconds for as long as the client listens: one request that is open over all
// refreshes.
func Stream(w http.ResponseWriter, r *http.Request) {
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	flush := http.NewResponseController(w)
	for n := 0; ; n++ {
		g, cents := price.Of(n)
		if _, err := fmt.Fprintln(w, n, g, cents); err != nil {
			return
		}
		if err := flush.Flush(); err != nil {
			return
		}
		select {
		case <-tick.C:
		case <-r.Context().Done():
			return
		}
	}
}
