package load

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"time"
)

// items is how many entries the server's cache comes to.
const items = 50

// The answer of web.Quote.
type answer struct {
	Handler       int
	Calls         []struct{ Generation, Answer int }
	Item          int
	Token         string
	Hits, Served  int64
	Conn, Request int64
}

// A result is what one client saw.
type result struct {
	err      error
	requests int
	across   int // requests that saw two generations or more
	lines    int
	tokens   map[int]string // of the cache entries
}

// A client sends requests one after the other over a single connection, which it opens itself: an http.Transport closes
// a connection for reasons of its own, as when its writing goroutine is not scheduled within 50 ms of the response
// (net/http, maxWriteWaitBeforeConnReuse), and opens another one without a word.
type client struct {
	addr string
	now  *clock
	seed int

	conn     int64
	hits     map[int]int64
	served   int64
	requests int64
	tokens   map[int]string
	across   int
}

// run sends requests until stop; the first that is not as it should be ends it.
func (c *client) run(ctx context.Context, stop <-chan struct{}) result {
	c.hits, c.tokens = map[int]int64{}, map[int]string{}
	var d net.Dialer
	conn, err := d.DialContext(ctx, "tcp", c.addr)
	if err != nil {
		return result{err: err}
	}
	defer conn.Close()
	defer context.AfterFunc(ctx, func() { conn.Close() })()
	in := bufio.NewReader(conn)
	tick := time.NewTicker(pace)
	defer tick.Stop()
	for {
		select {
		case <-stop:
			return result{requests: int(c.requests), across: c.across, tokens: c.tokens}
		case <-tick.C:
		}
		if err := c.request(conn, in); err != nil {
			return result{err: fmt.Errorf("client %d, request %d: %w", c.seed, c.requests, err), requests: int(c.requests)}
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
	least := int(c.now.live.Load())
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
	most := int(c.now.begun.Load())
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
func stream(ctx context.Context, base string, now *clock, stop <-chan struct{}) result {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, "GET", base+"/stream", nil)
	if err != nil {
		return result{err: err}
	}
	var transport http.Transport
	resp, err := transport.RoundTrip(req)
	if err != nil {
		return result{err: fmt.Errorf("stream: %w", err)}
	}
	defer resp.Body.Close()
	in := bufio.NewScanner(resp.Body)
	last := 0
	for n := 0; ; n++ {
		select {
		case <-stop:
			return result{lines: n}
		default:
		}
		if !in.Scan() {
			return result{err: fmt.Errorf("stream: ends after %d lines: %v", n, in.Err()), lines: n}
		}
		var k, g, cents int
		if _, err := fmt.Sscan(in.Text(), &k, &g, &cents); err != nil {
			return result{err: fmt.Errorf("stream: %q: %w", in.Text(), err)}
		}
		if k != n || g < last || g > int(now.begun.Load()) || cents != n*100+g {
			return result{err: fmt.Errorf("stream: line %d after generation %d: %q", n, last, in.Text())}
		}
		last = g
	}
}
