// Package traffic is the load that proofs put on testdata/programs/server, and holds every answer against what a swap may
// bring about. It must never know how a refresh is made.
package traffic

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"time"
)

const (
	clients = 8                    // keep-alive connections
	pace    = 2 * time.Millisecond // between a client's requests: the compiler needs its share
)

// items is how many entries the server's cache comes to.
const items = 50

// A Clock says which generations there are. What may a request see? A refresh swaps functions of three packages at once: the handler web.Quote, price.Of and
// tax.(*Rate).On. All of them answer with the number of the generation that they belong to, which counts up and never
// comes again.
//
// A request that is under way at the swap keeps its handler's old frame, but the calls that it makes from then on reach
// new bodies. Old handler with new callees is therefore no fault, nor is one answer of Of that is old and the next that
// is new: no two calls stand so close that the world cannot be stopped between them. What an atomic swap cannot do is
// to let anyone who has met one function's new body meet another's old body afterwards. So along the calls that one
// request makes one after the other, handler first and Of and On in turns, the numbers must never fall. In particular,
// On's number between two equal numbers of Of must be equal to them: no request sees Of's generation with another
// generation's On.
//
// That alone would let everything be late. So the numbers are held against time as well: none may be smaller than the
// generation whose refresh had returned before the request was sent, none greater than the one whose refresh had begun
// when the response was read. A request between two refreshes is thus of one generation throughout.
type Clock struct {
	Begun, Live atomic.Int64
}

// The answer of web.Quote.
type answer struct {
	Handler       int
	Calls         []struct{ Generation, Answer int }
	Item          int
	Token         string
	Hits, Served  int64
	Conn, Request int64
}

// A Result is what the clients saw.
type Result struct {
	Requests int
	Across   int // requests that saw two generations or more
	Lines    int // of the stream
	Errs     []error
	tokens   map[int]string // of the cache entries
}

// Add adds what others saw.
func (r *Result) Add(o Result) {
	r.Requests += o.Requests
	r.Across += o.Across
	r.Lines += o.Lines
	r.Errs = append(r.Errs, o.Errs...)
}

// A Load is clients that send requests to one server.
type Load struct {
	stop   chan struct{}
	report chan Result
	wait   sync.WaitGroup
}

// Connections is how many a load opens.
const Connections = clients + 1

// Start puts a server under load.
func Start(ctx context.Context, addr string, now *Clock) *Load {
	l := &Load{stop: make(chan struct{}), report: make(chan Result, Connections)}
	for i := range clients {
		l.wait.Go(func() { l.report <- (&client{addr: addr, now: now, seed: i}).run(ctx, l.stop) })
	}
	l.wait.Go(func() { l.report <- stream(ctx, "http://"+addr, now, l.stop) })
	return l
}

// Failing reports whether a client gave up; why says the result.
func (l *Load) Failing() bool { return len(l.report) > 0 }

// Stop ends the load and returns what all clients saw.
func (l *Load) Stop() Result {
	close(l.stop)
	l.wait.Wait()
	close(l.report)
	all := Result{tokens: map[int]string{}}
	for r := range l.report {
		all.Add(r)
		for item, token := range r.tokens {
			if had, ok := all.tokens[item]; ok && had != token {
				all.Errs = append(all.Errs, fmt.Errorf("item %d: cache entry %s for one client and %s for another: the cache was lost", item, had, token))
			}
			all.tokens[item] = token
		}
	}
	return all
}

// failed is what a client saw that gave up.
func failed(err error) Result { return Result{Errs: []error{err}} }

// A client sends requests one after the other over a single connection, which it opens itself: an http.Transport closes
// a connection for reasons of its own, as when its writing goroutine is not scheduled within 50 ms of the response
// (net/http, maxWriteWaitBeforeConnReuse), and opens another one without a word.
type client struct {
	addr string
	now  *Clock
	seed int

	conn     int64
	hits     map[int]int64
	served   int64
	requests int64
	tokens   map[int]string
	across   int
}

// run sends requests until stop; the first that is not as it should be ends it.
func (c *client) run(ctx context.Context, stop <-chan struct{}) Result {
	c.hits, c.tokens = map[int]int64{}, map[int]string{}
	var d net.Dialer
	conn, err := d.DialContext(ctx, "tcp", c.addr)
	if err != nil {
		return failed(err)
	}
	defer conn.Close()
	defer context.AfterFunc(ctx, func() { conn.Close() })()
	in := bufio.NewReader(conn)
	tick := time.NewTicker(pace)
	defer tick.Stop()
	for {
		select {
		case <-stop:
			return Result{Requests: int(c.requests), Across: c.across, tokens: c.tokens}
		case <-tick.C:
		}
		if err := c.request(conn, in); err != nil {
			return failed(fmt.Errorf("client %d, request %d: %w", c.seed, c.requests, err))
		}
	}
}

// request sends one request and checks its answer.
func (c *client) request(conn io.Writer, in *bufio.Reader) error {
	item := (c.seed*7 + int(c.requests)) % items
	req, err := http.NewRequest("GET", fmt.Sprintf("http://%s/quote?item=%d", c.addr, item), nil)
	if err != nil {
		return err
	}
	least := int(c.now.Live.Load())
	if err := req.Write(conn); err != nil {
		return err
	}
	resp, err := http.ReadResponse(in, req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		return err
	}
	most := int(c.now.Begun.Load())
	if resp.StatusCode != http.StatusOK || resp.Close {
		return fmt.Errorf("%s, close %t: %s", resp.Status, resp.Close, body)
	}
	var a answer
	if err := json.Unmarshal(body, &a); err != nil {
		return fmt.Errorf("%w: %s", err, body)
	}
	c.requests++
	if err := a.check(item, least, most); err != nil {
		return fmt.Errorf("%w: %s", err, body)
	}
	if a.Calls[len(a.Calls)-1].Generation != a.Handler {
		c.across++
	}
	return c.state(a)
}

// check holds the generations of one answer against each other, and against the time of the request.
func (a *answer) check(item, least, most int) error {
	if a.Item != item || len(a.Calls) != 8 {
		return fmt.Errorf("answer to another request")
	}
	if a.Handler < least || a.Handler > most {
		return fmt.Errorf("handler of generation %d, want %d to %d", a.Handler, least, most)
	}
	last, cents := a.Handler, 0
	for i, call := range a.Calls {
		g := call.Generation
		if g < last {
			return fmt.Errorf("call %d is answered by generation %d after generation %d: a mix", i, g, last)
		}
		if g > most {
			return fmt.Errorf("call %d is answered by generation %d, which does not exist before %d", i, g, most)
		}
		want := item*100 + g
		if i%2 == 1 {
			want = cents*19 + g
		}
		if call.Answer != want {
			return fmt.Errorf("call %d of generation %d answers %d, want %d", i, g, call.Answer, want)
		}
		last, cents = g, call.Answer
	}
	return nil
}

// state checks that what the server keeps lives on: the connection, its count of requests, the cache and the counter.
func (c *client) state(a answer) error {
	if c.conn == 0 {
		c.conn = a.Conn
	}
	if a.Conn != c.conn || a.Request != c.requests {
		return fmt.Errorf("request %d of connection %d, want %d of %d", a.Request, a.Conn, c.requests, c.conn)
	}
	if had, ok := c.tokens[a.Item]; ok && had != a.Token {
		return fmt.Errorf("item %d: cache entry %s, was %s", a.Item, a.Token, had)
	}
	c.tokens[a.Item] = a.Token
	if a.Hits <= c.hits[a.Item] || a.Served <= c.served {
		return fmt.Errorf("counters fall: %d hits after %d, %d served after %d", a.Hits, c.hits[a.Item], a.Served, c.served)
	}
	c.hits[a.Item], c.served = a.Hits, a.Served
	return nil
}

// stream reads one response that goes on over all refreshes.
func stream(ctx context.Context, base string, now *Clock, stop <-chan struct{}) Result {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, "GET", base+"/stream", nil)
	if err != nil {
		return failed(err)
	}
	var transport http.Transport
	resp, err := transport.RoundTrip(req)
	if err != nil {
		return failed(fmt.Errorf("stream: %w", err))
	}
	defer resp.Body.Close()
	in := bufio.NewScanner(resp.Body)
	last := 0
	for n := 0; ; n++ {
		select {
		case <-stop:
			return Result{Lines: n}
		default:
		}
		if !in.Scan() {
			return failed(fmt.Errorf("stream: ends after %d lines: %v", n, in.Err()))
		}
		var k, g, cents int
		if _, err := fmt.Sscan(in.Text(), &k, &g, &cents); err != nil {
			return failed(fmt.Errorf("stream: %q: %w", in.Text(), err))
		}
		if k != n || g < last || g > int(now.Begun.Load()) || cents != n*100+g {
			return failed(fmt.Errorf("stream: line %d after generation %d: %q", n, last, in.Text()))
		}
		last = g
	}
}
