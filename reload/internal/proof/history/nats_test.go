package history

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// natsServer is used by its own protocol, which a line-oriented client speaks without a library
// (https://docs.nats.io/reference/reference-protocols/nats-protocol).
var natsServer = program{module: "github.com/nats-io/nats-server", main: ".", prepare: func(dir string) ([]string, user, error) {
	ports, err := freePorts(2)
	if err != nil {
		return nil, nil, err
	}
	u := &natsUser{addr: fmt.Sprintf("127.0.0.1:%d", ports[0]), monitor: fmt.Sprintf("http://127.0.0.1:%d", ports[1]), stored: map[string]int{}}
	return []string{"-a", "127.0.0.1", "-p", strconv.Itoa(ports[0]), "-m", strconv.Itoa(ports[1]), "-js", "-sd", filepath.Join(dir, "store")}, u, nil
}}

// A natsUser keeps one connection with a subscription open, and two streams, in memory and on disk.
type natsUser struct {
	addr, monitor string
	kept          *natsConn
	server        string // the process's own name for itself
	started       string
	messages      int            // that the server has taken by its own count
	stored        map[string]int // messages in each stream
	used          int
}

var natsStreams = map[string]string{"MEM": "memory", "FILE": "file"}

func (u *natsUser) Begin(ctx context.Context) error {
	if u.kept != nil {
		u.kept.Close()
	}
	err := untilUp(ctx, func() (err error) {
		u.kept, err = natsConnect(u.addr)
		return err
	})
	if err != nil {
		return err
	}
	if err := u.kept.subscribe("history.>"); err != nil {
		return err
	}
	v, err := u.varz(ctx)
	if err != nil {
		return err
	}
	u.server, u.started, u.messages = v.ID, v.Start, v.InMsgs
	for name, storage := range natsStreams {
		config := fmt.Sprintf(`{"name":%q,"subjects":["store.%s.>"],"storage":%q,"retention":"limits","allow_direct":true,"num_replicas":1}`, name, name, storage)
		if _, err := u.kept.ask("$JS.API.STREAM.CREATE."+name, config); err != nil {
			return err
		}
		consumer := fmt.Sprintf(`{"stream_name":%q,"config":{"durable_name":"C","ack_policy":"explicit","deliver_policy":"last"}}`, name)
		if _, err := u.kept.ask("$JS.API.CONSUMER.DURABLE.CREATE."+name+".C", consumer); err != nil {
			return err
		}
		var info natsInfo
		if err := u.kept.api("$JS.API.STREAM.INFO."+name, "", &info); err != nil {
			return err
		}
		u.stored[name] = info.State.Messages
	}
	return u.Use(ctx)
}

type natsInfo struct {
	State struct {
		Messages int
		LastSeq  int `json:"last_seq"`
	}
	Error *struct{ Description string }
}

type varz struct {
	ID     string `json:"server_id"`
	Start  string `json:"start"`
	InMsgs int    `json:"in_msgs"`
}

func (u *natsUser) varz(ctx context.Context) (v varz, err error) {
	text, _, err := get(ctx, http.DefaultClient, u.monitor+"/varz")
	if err != nil {
		return v, err
	}
	return v, json.Unmarshal([]byte(text), &v)
}

func (u *natsUser) Use(ctx context.Context) error {
	u.used++
	fresh, err := natsConnect(u.addr)
	if err != nil {
		return err
	}
	defer fresh.Close()
	body := fmt.Sprintf("message %d\r\nwith two lines", u.used)
	if err := fresh.publish("history.echo", "", body); err != nil {
		return err
	}
	if subject, said, err := u.kept.message(); err != nil || subject != "history.echo" || said != body {
		return fmt.Errorf("subscriber got %q on %q, %v, want %q", said, subject, err, body)
	}
	for name := range natsStreams {
		u.stored[name]++
		var ack struct {
			Stream string
			Seq    int
			Error  *struct{ Description string }
		}
		if err := fresh.api("store."+name+".a", body, &ack); err != nil {
			return err
		}
		if ack.Error != nil || ack.Stream != name {
			return fmt.Errorf("stream %s: acknowledged by %+v", name, ack)
		}
		var info natsInfo
		if err := u.kept.api("$JS.API.STREAM.INFO."+name, "", &info); err != nil {
			return err
		}
		if info.Error != nil || info.State.Messages != u.stored[name] {
			return fmt.Errorf("stream %s has %+v, want %d messages", name, info, u.stored[name])
		}
		said, err := fresh.ask("$JS.API.CONSUMER.MSG.NEXT."+name+".C", `{"batch":1,"expires":5000000000}`)
		if err != nil {
			return err
		}
		if said != body {
			return fmt.Errorf("consumer of %s got %q, want %q", name, said, body)
		}
		if err := fresh.publish(fresh.reply, "", "+ACK"); err != nil {
			return err
		}
		if said, err = fresh.ask("$JS.API.DIRECT.GET."+name+".store."+name+".a", ""); err != nil || said != body {
			return fmt.Errorf("stream %s gives %q directly, %v, want %q", name, said, err, body)
		}
	}
	v, err := u.varz(ctx)
	if err != nil {
		return err
	}
	if v.ID != u.server || v.Start != u.started || v.InMsgs <= u.messages {
		return fmt.Errorf("varz says %+v, want server %s of %s with more than %d messages", v, u.server, u.started, u.messages)
	}
	u.messages = v.InMsgs
	for _, page := range []string{"/connz?subs=1&auth=1", "/routez", "/gatewayz", "/leafz", "/subsz?subs=1", "/accountz", "/jsz?streams=1&consumers=1&config=1", "/healthz", "/"} {
		if _, _, err := get(ctx, http.DefaultClient, u.monitor+page); err != nil {
			return err
		}
	}
	return nil
}

// A natsConn is one connection.
type natsConn struct {
	net.Conn
	in    *bufio.Reader
	inbox string
	reply string // of the last message
	asked int
	other []natsMessage // that came while something else was waited for
}

type natsMessage struct{ subject, body string }

func natsConnect(addr string) (*natsConn, error) {
	conn, err := net.DialTimeout("tcp", addr, patience)
	if err != nil {
		return nil, err
	}
	c := &natsConn{Conn: conn, in: bufio.NewReader(conn)}
	c.inbox = "_INBOX." + strings.NewReplacer(":", "_", ".", "_").Replace(conn.LocalAddr().String())
	conn.SetDeadline(time.Now().Add(patience))
	if line, err := c.in.ReadString('\n'); err != nil || !strings.HasPrefix(line, "INFO {") {
		conn.Close()
		return nil, fmt.Errorf("server greets with %q, %v", line, err)
	}
	_, err = io.WriteString(c, `CONNECT {"verbose":false,"pedantic":true,"lang":"go","version":"0","protocol":1,"headers":true,"no_responders":true,"name":"history"}`+"\r\n")
	if err == nil {
		err = c.subscribe(c.inbox + ".*")
	}
	if err != nil {
		conn.Close()
		return nil, err
	}
	return c, nil
}

// subscribe returns when the server has the subscription.
func (c *natsConn) subscribe(subject string) error {
	c.asked++
	c.SetDeadline(time.Now().Add(patience))
	if _, err := fmt.Fprintf(c, "SUB %s %d\r\nPING\r\n", subject, c.asked); err != nil {
		return err
	}
	for {
		m, pong, err := c.next()
		switch {
		case err != nil:
			return fmt.Errorf("SUB %s: %w", subject, err)
		case pong:
			return nil
		}
		c.other = append(c.other, m)
	}
}

func (c *natsConn) publish(subject, reply, body string) error {
	c.SetDeadline(time.Now().Add(patience))
	_, err := fmt.Fprintf(c, "PUB %s %s %d\r\n%s\r\n", subject, reply, len(body), body)
	return err
}

// ask publishes and waits for the answer.
func (c *natsConn) ask(subject, body string) (string, error) {
	c.asked++
	inbox := fmt.Sprintf("%s.%d", c.inbox, c.asked)
	if err := c.publish(subject, inbox, body); err != nil {
		return "", err
	}
	for {
		m, pong, err := c.next()
		switch {
		case err != nil:
			return "", fmt.Errorf("%s: %w", subject, err)
		case pong:
		case m.subject == inbox, strings.HasPrefix(m.subject, "store."):
			return m.body, nil
		default:
			c.other = append(c.other, m)
		}
	}
}

// api asks for an answer in JSON.
func (c *natsConn) api(subject, body string, into any) error {
	text, err := c.ask(subject, body)
	if err != nil {
		return err
	}
	if err := json.Unmarshal([]byte(text), into); err != nil {
		return fmt.Errorf("%s: %w: %q", subject, err, text)
	}
	return nil
}

// message waits for one that nobody asked for.
func (c *natsConn) message() (subject, body string, err error) {
	c.SetDeadline(time.Now().Add(patience))
	for len(c.other) == 0 {
		m, pong, err := c.next()
		if err != nil {
			return "", "", err
		}
		if !pong {
			c.other = append(c.other, m)
		}
	}
	m := c.other[0]
	c.other = c.other[1:]
	return m.subject, m.body, nil
}

// next reads one message, or a PONG, and answers what the server asks meanwhile.
func (c *natsConn) next() (m natsMessage, pong bool, err error) {
	for {
		line, err := c.in.ReadString('\n')
		if err != nil {
			return m, false, err
		}
		words := strings.Fields(line)
		if len(words) == 0 {
			return m, false, errors.New("server sends an empty line")
		}
		switch words[0] {
		case "PING":
			if _, err := io.WriteString(c, "PONG\r\n"); err != nil {
				return m, false, err
			}
		case "PONG":
			return m, true, nil
		case "INFO", "+OK":
		case "MSG", "HMSG":
			n, err := strconv.Atoi(words[len(words)-1])
			if err != nil || len(words) < 4 {
				return m, false, fmt.Errorf("server sends %q", line)
			}
			body := make([]byte, n+2)
			if _, err := io.ReadFull(c.in, body); err != nil {
				return m, false, err
			}
			skip := 0
			last := len(words) - 1
			if words[0] == "HMSG" {
				last--
				if skip, err = strconv.Atoi(words[last]); err != nil {
					return m, false, err
				}
			}
			c.reply = ""
			if last > 3 {
				c.reply = words[3]
			}
			return natsMessage{words[1], string(body[skip:n])}, false, nil
		default:
			return m, false, fmt.Errorf("server sends %q", line)
		}
	}
}
