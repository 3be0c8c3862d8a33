package viewer

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"net/http"
	"strings"
	"testing"
	"time"

	"portward/internal/hub"

	"github.com/coder/websocket"
)

// A client is what a page would be, with its hands free to misbehave.
type client struct {
	*websocket.Conn
	t   *testing.T
	ctx context.Context
}

// httpClient trusts anyone and leaves no connection behind.
func httpClient(t *testing.T) *http.Client {
	tr := &http.Transport{
		TLSClientConfig:   &tls.Config{InsecureSkipVerify: true},
		DisableKeepAlives: true,
	}
	t.Cleanup(tr.CloseIdleConnections)
	return &http.Client{Transport: tr}
}

// dial opens the WebSocket; header may say other than a page would. The status
// is the HTTP answer's.
func dial(t *testing.T, addr string, header http.Header) (*client, int) {
	t.Helper()
	return dialWith(t, httpClient(t), addr, header)
}

func dialWith(t *testing.T, h *http.Client, addr string, header http.Header) (*client, int) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	t.Cleanup(cancel)
	opts := &websocket.DialOptions{
		HTTPClient: h,
		HTTPHeader: http.Header{"Origin": {"https://" + addr}},
	}
	for k, v := range header {
		opts.HTTPHeader[k] = v
	}
	if h := opts.HTTPHeader.Get("Host"); h != "" {
		opts.Host = h
	}
	conn, res, err := websocket.Dial(ctx, "wss://"+addr+"/ws", opts)
	if err != nil {
		if res == nil {
			t.Fatal(err)
		}
		return nil, res.StatusCode
	}
	t.Cleanup(func() { conn.CloseNow() })
	conn.SetReadLimit(1 << 24)
	return &client{conn, t, ctx}, res.StatusCode
}

// view is dial with the right token.
func view(t *testing.T, addr string) *client {
	t.Helper()
	c, status := dial(t, addr, nil)
	if c == nil {
		t.Fatalf("status %d", status)
	}
	c.say(`{"type":"hello","token":"` + testToken + `"}`)
	return c
}

func (c *client) say(text string) {
	c.t.Helper()
	if err := c.Write(c.ctx, websocket.MessageText, []byte(text)); err != nil {
		c.t.Fatal(err)
	}
}

// text answers the next text message, skipping updates.
func (c *client) text() (m message) {
	c.t.Helper()
	for {
		kind, data, err := c.Read(c.ctx)
		if err != nil {
			c.t.Fatal(err)
		}
		if kind == websocket.MessageText {
			if err := json.Unmarshal(data, &m); err != nil {
				c.t.Fatal(err)
			}
			return m
		}
	}
}

type message struct {
	Type     string
	Version  int
	Life     uint64
	Now      time.Time
	Started  time.Time
	Sessions []hub.SessionState
}

// update answers the next update, skipping text.
func (c *client) update() []byte {
	c.t.Helper()
	for {
		kind, data, err := c.Read(c.ctx)
		if err != nil {
			c.t.Fatal(err)
		}
		if kind == websocket.MessageBinary {
			return data
		}
	}
}

// refused answers the status with which the server closes; any message from it
// is a failure.
func (c *client) refused() websocket.StatusCode {
	c.t.Helper()
	_, data, err := c.Read(c.ctx)
	if err == nil {
		c.t.Errorf("a stranger was told %.80q", data)
	}
	if c.ctx.Err() != nil {
		c.t.Error("the server keeps the connection")
	}
	return websocket.CloseStatus(err)
}

// until polls for a condition.
func until(t *testing.T, what string, done func() bool) {
	t.Helper()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for end := time.Now().Add(patience); !done(); <-tick.C {
		if time.Now().After(end) {
			t.Fatalf("still not: %s", what)
		}
	}
}

// silent is a token that no answer may contain.
func silent(t *testing.T, where, s string) {
	t.Helper()
	if strings.Contains(s, testToken) {
		t.Errorf("%s tells the token", where)
	}
}
