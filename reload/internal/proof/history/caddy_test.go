package history

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
)

// caddy serves pages, proxies to itself, takes its own configuration anew and counts what it was asked.
var caddy = program{module: "github.com/caddyserver/caddy", main: "cmd/caddy", prepare: func(dir string) ([]string, user, error) {
	ports, err := freePorts(3)
	if err != nil {
		return nil, nil, err
	}
	config := fmt.Sprintf(`{
	admin 127.0.0.1:%[1]d
	persist_config off
	skip_install_trust
	auto_https disable_redirects
	storage file_system %[4]s/storage
}
http://127.0.0.1:%[2]d {
	encode gzip
	header X-History yes
	log {
		output file %[4]s/access.log
	}
	handle /hello* {
		respond "hello {query.n}"
	}
	handle_path /files/* {
		root * %[4]s/site
		file_server browse
	}
	handle /page* {
		root * %[4]s/site
		templates
		rewrite * /page.html
		file_server
	}
	handle_path /proxy/* {
		reverse_proxy 127.0.0.1:%[2]d
	}
	handle /old {
		redir * /hello?n=old
	}
	@big expression {query.n}.size() > 3
	handle /match {
		respond @big "big"
		respond "small"
	}
	handle {
		error "nothing here" 404
	}
	handle_errors {
		respond "{err.status_code} {err.message}" 404
	}
}
https://localhost:%[3]d {
	tls internal
	respond "secure {http.request.proto}"
}
`, ports[0], ports[1], ports[2], dir)
	files := map[string]string{
		"Caddyfile":      config,
		"site/page.html": `<p>{{ .Req.URL.Query.Get "n" }} {{ upper "done" }} {{ markdown "*m*" }}</p>`,
		"site/one.txt":   strings.Repeat("one ", 1000),
		"site/two.txt":   "two",
	}
	for name, text := range files {
		file := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
			return nil, nil, err
		}
		if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
			return nil, nil, err
		}
	}
	u := &caddyUser{config: config,
		admin:  fmt.Sprintf("http://127.0.0.1:%d", ports[0]),
		site:   fmt.Sprintf("http://127.0.0.1:%d", ports[1]),
		secure: fmt.Sprintf("https://localhost:%d", ports[2])}
	return []string{"run", "--config", filepath.Join(dir, "Caddyfile"), "--adapter", "caddyfile"}, u, nil
}}

// A caddyUser keeps a configuration value in the server, and counts.
type caddyUser struct {
	admin, site, secure string
	config              string
	loads               float64 // of the configuration, by the server's own count
	used                int
}

var anyCertificate = &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}, ForceAttemptHTTP2: true}}

func (u *caddyUser) Begin(ctx context.Context) error {
	err := untilUp(ctx, func() error {
		_, _, err := get(ctx, http.DefaultClient, u.site+"/hello?n=up")
		return err
	})
	if err == nil {
		err = untilUp(ctx, func() error {
			_, _, err := get(ctx, anyCertificate, u.secure)
			return err
		})
	}
	if err != nil {
		return err
	}
	if u.loads, err = u.count(ctx); err != nil {
		u.loads = 0
	}
	return u.Use(ctx)
}

// count is how often the server was asked for a new configuration.
func (u *caddyUser) count(ctx context.Context) (float64, error) {
	page, _, err := get(ctx, http.DefaultClient, u.admin+"/metrics")
	if err != nil {
		return 0, err
	}
	return metric(page, "caddy_admin_http_requests_total", `path="/load"`)
}

func (u *caddyUser) Use(ctx context.Context) error {
	u.used++
	n := fmt.Sprint(u.used)
	for range 2 { // before the configuration is taken anew, and after it
		for _, page := range []struct{ path, want string }{
			{"/hello?n=" + n, "hello " + n},
			{"/old", "hello old"},
			{"/files/", "one.txt"},
			{"/files/two.txt", "two"},
			{"/files/one.txt", "one one"},
			{"/page?n=" + n, "<p>" + n + " DONE <p><em>m</em></p>"},
			{"/proxy/hello?n=" + n, "hello " + n},
			{"/proxy/files/one.txt", "one one"},
			{"/match?n=12345", "big"},
			{"/match?n=1", "small"},
		} {
			text, header, err := get(ctx, http.DefaultClient, u.site+page.path)
			if err != nil {
				return err
			}
			if !strings.Contains(text, page.want) || header.Get("X-History") != "yes" {
				return fmt.Errorf("%s: %v %q, want %q", page.path, header, text, page.want)
			}
		}
		if _, _, err := get(ctx, http.DefaultClient, u.site+"/nothing"); err == nil || !strings.Contains(err.Error(), "404 nothing here") {
			return fmt.Errorf("a page that is not there: %v", err)
		}
		if text, _, err := get(ctx, anyCertificate, u.secure); err != nil || text != "secure HTTP/2.0" {
			return fmt.Errorf("over TLS: %q, %v", text, err)
		}
		var config map[string]any
		text, _, err := get(ctx, http.DefaultClient, u.admin+"/config/")
		if err == nil {
			err = json.Unmarshal([]byte(text), &config)
		}
		if err != nil || config["apps"] == nil {
			return fmt.Errorf("configuration: %q, %v", text, err)
		}
		req, err := http.NewRequestWithContext(ctx, "POST", u.admin+"/load", strings.NewReader(u.config))
		if err != nil {
			return err
		}
		req.Header.Set("Content-Type", "text/caddyfile")
		req.Header.Set("Cache-Control", "must-revalidate")
		if _, _, err := do(http.DefaultClient, req); err != nil {
			return err
		}
		// The servers of the old configuration close their connections, some at once and some after a while.
		http.DefaultClient.CloseIdleConnections()
		anyCertificate.CloseIdleConnections()
	}
	loads, err := u.count(ctx)
	if err != nil {
		return err
	}
	if loads != u.loads+2 {
		return fmt.Errorf("server says that its configuration was loaded %v times, want %v", loads, u.loads+2)
	}
	u.loads = loads
	return nil
}
