// Package state is what must live on over all refreshes; it is never swapped.
package state

import (
	"context"
	"crypto/rand"
	"net"
	"sync"
	"sync/atomic"
)

// Sink keeps work from being left out.
var Sink atomic.Int64

// Served counts the requests, Opened the connections.
var Served, Opened atomic.Int64

type entry struct {
	token string
	hits  int64
}

var cache struct {
	sync.Mutex
	items map[int]*entry
}

// Lookup finds an item in the cache and makes it at first, with a random token.
func Lookup(item int) (token string, hits int64) {
	cache.Lock()
	defer cache.Unlock()
	if cache.items == nil {
		cache.items = map[int]*entry{}
	}
	e := cache.items[item]
	if e == nil {
		e = &entry{token: rand.Text()}
		cache.items[item] = e
	}
	e.hits++
	return e.token, e.hits
}

type connKey struct{}

type conn struct {
	number   int64
	requests atomic.Int64
}

// Connect numbers a new connection.
func Connect(ctx context.Context, _ net.Conn) context.Context {
	return context.WithValue(ctx, connKey{}, &conn{number: Opened.Add(1)})
}

// Count counts a request of a connection.
func Count(ctx context.Context) (number, request, served int64) {
	c := ctx.Value(connKey{}).(*conn)
	return c.number, c.requests.Add(1), Served.Add(1)
}
