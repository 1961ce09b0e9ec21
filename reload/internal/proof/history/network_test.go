package history

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// patience is how long a user waits for an answer.
const patience = 10 * time.Second

// freePort is a port of the loopback interface that was free a moment ago, for TCP and UDP.
func freePort() (int, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return 0, err
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port, nil
}

// freePorts are several.
func freePorts(n int) ([]int, error) {
	var list []int
	for range n {
		port, err := freePort()
		if err != nil {
			return nil, err
		}
		list = append(list, port)
	}
	return list, nil
}

// untilUp calls f until it gives no error, for a server that has just been started and may not listen yet.
func untilUp(ctx context.Context, f func() error) error {
	end := time.Now().Add(patience)
	for {
		err := f()
		if err == nil || time.Now().After(end) || ctx.Err() != nil {
			return err
		}
		time.Sleep(50 * time.Millisecond)
	}
}

// get asks for a page and gives its body; the status is to be 200.
func get(ctx context.Context, client *http.Client, url string, header ...string) (string, http.Header, error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, "GET", url, nil)
	if err != nil {
		return "", nil, err
	}
	for i := 0; i+1 < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	return do(client, req)
}

// do sends a request that is to be answered by 200.
func do(client *http.Client, req *http.Request) (string, http.Header, error) {
	resp, err := client.Do(req)
	if err != nil {
		return "", nil, err
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(io.LimitReader(resp.Body, 4<<20))
	if err != nil {
		return "", nil, fmt.Errorf("%s: %w", req.URL, err)
	}
	if resp.StatusCode != http.StatusOK {
		return "", nil, fmt.Errorf("%s: %s\n%s", req.URL, resp.Status, text)
	}
	return string(text), resp.Header, nil
}

// metric is the sum of the samples of a metric whose labels contain a text, in Prometheus' text format.
func metric(page, name, label string) (float64, error) {
	sum, found := 0.0, false
	for line := range strings.Lines(page) {
		rest, ok := strings.CutPrefix(line, name)
		if !ok || rest == "" || rest[0] != '{' && rest[0] != ' ' || !strings.Contains(rest, label) {
			continue
		}
		fields := strings.Fields(rest)
		v, err := strconv.ParseFloat(fields[len(fields)-1], 64)
		if err != nil {
			return 0, fmt.Errorf("%s: %w", line, err)
		}
		sum, found = sum+v, true
	}
	if !found {
		return 0, fmt.Errorf("no metric %s with %s", name, label)
	}
	return sum, nil
}
