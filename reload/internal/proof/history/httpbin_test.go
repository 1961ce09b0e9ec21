package history

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptrace"
	"strconv"
	"strings"
)

// httpBin answers all kinds of HTTP requests, and imports little but the standard library.
var httpBin = program{module: "github.com/mccutchen/go-httpbin", main: "cmd/go-httpbin", prepare: func(string) ([]string, user, error) {
	port, err := freePort()
	if err != nil {
		return nil, nil, err
	}
	return []string{"-host", "127.0.0.1", "-port", strconv.Itoa(port)}, &binUser{url: fmt.Sprintf("http://127.0.0.1:%d", port)}, nil
}}

// A binUser keeps one connection open.
type binUser struct {
	url   string
	kept  *http.Client
	pages []binPage // that the process has: it learns its routes when it starts
	used  int
}

// A binPage is a path, with N for a number, and what the answer has.
type binPage struct{ path, want string }

var binPages = []binPage{
	{"/", "httpbin"},
	{"/get?n=N", `"N"`},
	{"/anything/N", "/anything/N"},
	{"/headers", "X-History"},
	{"/base64/aGlzdG9yeQ==", "history"},
	{"/gzip", `"gzipped": true`},
	{"/json", "slideshow"},
	{"/xml", "slideshow"},
	{"/html", "<html"},
	{"/image/svg", "<svg"},
	{"/uuid", "uuid"},
	{"/links/3/1", "/links/3/2"},
	{"/range/26", "abcdefghijklmnopqrstuvwxyz"},
	{"/redirect/2", `"url"`},
	{"/stream/3", `"id": 2`},
	{"/status/200", ""},
	{"/robots.txt", "Disallow"},
	{"/cache", `"url"`},
	{"/encoding/utf8", "∀"},
	{"/dump/request", "X-History: N"},
	{"/drip?numbytes=3&duration=0&delay=0", "***"},
	{"/sse?count=2&duration=0", "data:"},
	{"/status/418", ""},
}

func (u *binUser) Begin(ctx context.Context) error {
	u.kept = &http.Client{Transport: &http.Transport{MaxConnsPerHost: 1}}
	err := untilUp(ctx, func() error {
		_, _, err := get(ctx, u.kept, u.url+"/get")
		return err
	})
	if err != nil {
		return err
	}
	u.pages = nil
	for _, p := range binPages {
		if err := u.fetch(ctx, p); err == nil {
			u.pages = append(u.pages, p)
		}
	}
	if len(u.pages) < len(binPages)/2 {
		return fmt.Errorf("only %d pages are served", len(u.pages))
	}
	return u.Use(ctx)
}

// fetch gets a page, and fails if the answer is not the right one.
func (u *binUser) fetch(ctx context.Context, p binPage) error {
	n := strconv.Itoa(u.used)
	path, want := strings.ReplaceAll(p.path, "N", n), strings.ReplaceAll(p.want, "N", n)
	text, _, err := get(ctx, u.kept, u.url+path, "X-History", n)
	switch {
	case path == "/status/418" && err != nil && strings.Contains(err.Error(), "418"):
		return nil
	case err != nil:
		return err
	case !strings.Contains(text, want) && !strings.Contains(strings.ReplaceAll(text, `":`, `": `), want):
		return fmt.Errorf("%s: %q, want %q", path, text, want)
	}
	return nil
}

func (u *binUser) Use(ctx context.Context) error {
	u.used++
	fresh := 0
	ctx = httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{GotConn: func(c httptrace.GotConnInfo) {
		if !c.Reused {
			fresh++
		}
	}})
	for _, p := range u.pages {
		if err := u.fetch(ctx, p); err != nil {
			return err
		}
	}
	if fresh > 0 {
		return fmt.Errorf("%d connections were opened though there is one", fresh)
	}
	return nil
}
