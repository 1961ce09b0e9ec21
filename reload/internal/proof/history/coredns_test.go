package history

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// coreDNS answers names from all that needs no network.
var coreDNS = program{module: "github.com/coredns/coredns", main: ".", prepare: func(dir string) ([]string, user, error) {
	ports, err := freePorts(4)
	if err != nil {
		return nil, nil, err
	}
	config := fmt.Sprintf(`.:%d {
	bind 127.0.0.1
	metadata
	errors
	log
	prometheus 127.0.0.1:%d
	health 127.0.0.1:%d
	ready 127.0.0.1:%d
	cache 30 {
		denial 100
	}
	acl {
		block net 192.0.2.0/24
	}
	rewrite stop name exact old.example.org one.example.org answer auto
	hosts {
		10.0.0.1 one.example.org
		10.0.0.2 two.example.org
		fallthrough
	}
	template IN A gen.example.org {
		match "^n(\d+)[.]gen[.]example[.]org[.]$"
		answer "{{ .Name }} 0 IN A 10.9.8.{{ index .Match 1 }}"
	}
	file %s/zone example.net
	loadbalance round_robin
	minimal
	local
	loop
	whoami
}
`, ports[0], ports[1], ports[2], ports[3], dir)
	const zone = `$ORIGIN example.net.
@ 3600 IN SOA ns.example.net. admin.example.net. 1 7200 3600 1209600 3600
@ 3600 IN NS ns.example.net.
ns 3600 IN A 10.5.0.1
www 3600 IN CNAME host.example.net.
host 3600 IN A 10.5.0.2
*.wild 3600 IN A 10.5.0.3
`
	for name, text := range map[string]string{"Corefile": config, "zone": zone} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			return nil, nil, err
		}
	}
	u := &dnsUser{addr: fmt.Sprintf("127.0.0.1:%d", ports[0]), metrics: fmt.Sprintf("http://127.0.0.1:%d/metrics", ports[1]),
		health: fmt.Sprintf("http://127.0.0.1:%d/health", ports[2]), ready: fmt.Sprintf("http://127.0.0.1:%d/ready", ports[3])}
	return []string{"-conf", filepath.Join(dir, "Corefile")}, u, nil
}}

// A dnsUser keeps a TCP connection open, and counts.
type dnsUser struct {
	addr, metrics, health, ready string

	kept     net.Conn
	requests float64 // by the server's own count
	used     int
}

// Record types and codes of DNS (RFC 1035).
const (
	typeA   = 1
	typeSOA = 6

	noError  = 0
	nxDomain = 3
)

func (u *dnsUser) Begin(ctx context.Context) error {
	if u.kept != nil {
		u.kept.Close()
	}
	err := untilUp(ctx, func() error {
		_, _, err := get(ctx, http.DefaultClient, u.ready)
		return err
	})
	if err == nil {
		u.kept, err = net.DialTimeout("tcp", u.addr, patience)
	}
	if err != nil {
		return err
	}
	if u.requests, err = u.count(ctx); err != nil {
		u.requests = 0
	}
	return u.Use(ctx)
}

func (u *dnsUser) count(ctx context.Context) (float64, error) {
	page, _, err := get(ctx, http.DefaultClient, u.metrics)
	if err != nil {
		return 0, err
	}
	return metric(page, "coredns_dns_requests_total", "")
}

func (u *dnsUser) Use(ctx context.Context) error {
	u.used++
	number := byte(u.used % 250)
	asked := 0
	for _, q := range []struct {
		name string
		rr   uint16
		code byte
		want []byte
	}{
		{"one.example.org", typeA, noError, []byte{10, 0, 0, 1}},
		{"old.example.org", typeA, noError, []byte{10, 0, 0, 1}},
		{fmt.Sprintf("n%d.gen.example.org", number), typeA, noError, []byte{10, 9, 8, number}},
		{"www.example.net", typeA, noError, []byte{10, 5, 0, 2}},
		{fmt.Sprintf("n%d.wild.example.net", u.used), typeA, noError, []byte{10, 5, 0, 3}},
		{fmt.Sprintf("n%d.example.net", u.used), typeA, nxDomain, []byte("admin")},
		{"example.net", typeSOA, noError, []byte("admin")},
		{"localhost", typeA, noError, []byte{127, 0, 0, 1}},
	} {
		conn, err := net.DialTimeout("udp", u.addr, patience)
		if err != nil {
			return err
		}
		for _, c := range []net.Conn{conn, u.kept} {
			asked++
			answer, err := query(c, q.name, q.rr)
			if err != nil {
				conn.Close()
				return fmt.Errorf("%s: %w", q.name, err)
			}
			if code := answer[3] & 15; code != q.code || !bytes.Contains(answer[12:], q.want) {
				conn.Close()
				return fmt.Errorf("%s: code %d, answer %q, want %d with %q", q.name, code, answer, q.code, q.want)
			}
		}
		conn.Close()
	}
	requests, err := u.count(ctx)
	if err != nil {
		return err
	}
	if requests < u.requests+float64(asked) {
		return fmt.Errorf("server has counted %v requests, want at least %v", requests, u.requests+float64(asked))
	}
	u.requests = requests
	for _, url := range []string{u.health, u.ready} {
		if text, _, err := get(ctx, http.DefaultClient, url); err != nil || text != "OK" {
			return fmt.Errorf("%s: %q, %v", url, text, err)
		}
	}
	return nil
}

// query sends one question (RFC 1035, 4.1) and gives the whole answer.
func query(conn net.Conn, name string, rr uint16) ([]byte, error) {
	conn.SetDeadline(time.Now().Add(patience))
	const id = 0x4c69
	msg := []byte{id >> 8, id & 255, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0}
	for label := range strings.SplitSeq(name, ".") {
		msg = append(append(msg, byte(len(label))), label...)
	}
	msg = append(msg, 0, byte(rr>>8), byte(rr), 0, 1)
	_, stream := conn.(*net.TCPConn)
	if stream {
		msg = append(binary.BigEndian.AppendUint16(nil, uint16(len(msg))), msg...)
	}
	if _, err := conn.Write(msg); err != nil {
		return nil, err
	}
	answer := make([]byte, 1<<16)
	if stream {
		if _, err := io.ReadFull(conn, answer[:2]); err != nil {
			return nil, err
		}
		answer = answer[:binary.BigEndian.Uint16(answer)]
		if _, err := io.ReadFull(conn, answer); err != nil {
			return nil, err
		}
	} else {
		n, err := conn.Read(answer)
		if err != nil {
			return nil, err
		}
		answer = answer[:n]
	}
	if len(answer) < 12 || binary.BigEndian.Uint16(answer) != id || answer[2]&0x80 == 0 {
		return nil, fmt.Errorf("answers %q", answer)
	}
	return answer, nil
}
