package viewer

import (
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"portward/internal/hub"

	"github.com/coder/websocket"
)

// Rule: who does not say the token sees nothing and is sent away with 1008.
func TestStrangersSeeNothing(t *testing.T) {
	st := play(t, "127.0.0.1:0", 1, selfSigned(t))
	enter(t, st, "1", 16, 16, func([]byte) {})
	for name, text := range map[string]string{
		"wrong token":    `{"type":"hello","token":"the-wrong-token"}`,
		"no token":       `{"type":"hello"}`,
		"empty token":    `{"type":"hello","token":""}`,
		"prefix":         `{"type":"hello","token":"` + testToken[:5] + `"}`,
		"more":           `{"type":"hello","token":"` + testToken + `x"}`,
		"another type":   `{"type":"hullo","token":"` + testToken + `"}`,
		"unknown field":  `{"type":"hello","token":"` + testToken + `","x":1}`,
		"something more": `{"type":"hello","token":"` + testToken + `"}{}`,
		"no JSON":        testToken,
		"nothing":        "",
	} {
		c, _ := dial(t, st.addr, nil)
		c.say(text)
		if code := c.refused(); code != websocket.StatusPolicyViolation {
			t.Errorf("%s: closed with %v", name, code)
		}
	}
	c, _ := dial(t, st.addr, nil)
	c.say(strings.Repeat(" ", 4*maxHello))
	c.refused()
	c, _ = dial(t, st.addr, nil)
	if err := c.Write(c.ctx, websocket.MessageBinary, []byte(`{"type":"hello","token":"`+testToken+`"}`)); err != nil {
		t.Fatal(err)
	}
	if code := c.refused(); code != websocket.StatusPolicyViolation {
		t.Errorf("a binary hello: closed with %v", code)
	}
	if n := st.hub.Viewers(); n != 0 {
		t.Errorf("the hub has %d viewers", n)
	}
}

// Rule: without a token of its own the viewer lets nobody in.
func TestNoTokenAdmitsNobody(t *testing.T) {
	for _, got := range []string{"", "x"} {
		if admits("", got) {
			t.Errorf("%q was let in", got)
		}
	}
	if !admits("x", "x") || admits("x", "y") {
		t.Error("tokens are not compared")
	}
}

// Rule: a page of another origin and a request for another host get nothing,
// however right their token.
func TestOriginAndHost(t *testing.T) {
	st := play(t, "127.0.0.1:0", 1, selfSigned(t))
	_, port, _ := strings.Cut(st.addr, ":")
	for name, c := range map[string]struct {
		header http.Header
		want   int
	}{
		"foreign origin":   {http.Header{"Origin": {"https://evil.example"}}, http.StatusForbidden},
		"plain origin":     {http.Header{"Origin": {"http://" + st.addr}}, http.StatusForbidden},
		"null origin":      {http.Header{"Origin": {"null"}}, http.StatusForbidden},
		"no origin":        {http.Header{"Origin": nil}, http.StatusForbidden},
		"longer origin":    {http.Header{"Origin": {"https://" + st.addr + ".evil.example"}}, http.StatusForbidden},
		"other port":       {http.Header{"Origin": {"https://127.0.0.1:1"}}, http.StatusForbidden},
		"foreign host":     {http.Header{"Host": {"evil.example:" + port}}, http.StatusMisdirectedRequest},
		"rebound host":     {http.Header{"Host": {"evil.example:" + port}, "Origin": {"https://evil.example:" + port}}, http.StatusMisdirectedRequest},
		"host, no port":    {http.Header{"Host": {"127.0.0.1"}, "Origin": {"https://127.0.0.1"}}, http.StatusMisdirectedRequest},
		"the page's, fine": {nil, http.StatusSwitchingProtocols},
	} {
		if _, got := dial(t, st.addr, c.header); got != c.want {
			t.Errorf("%s: status %d, want %d", name, got, c.want)
		}
	}
}

// Rule: the page's files come with all guards and from no other host; nothing
// else is served; no answer repeats the token.
func TestDocuments(t *testing.T) {
	h := New(Config{Token: testToken, Hosts: []string{"localhost:8443"}})
	get := func(method, host, path string) *http.Response {
		r := httptest.NewRequest(method, "https://"+host+path, nil)
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		return w.Result()
	}
	for _, c := range []struct {
		method, host, path string
		want               int
	}{
		{"GET", "localhost:8443", "/", 200},
		{"GET", "LOCALHOST:8443", "/", 200},
		{"HEAD", "localhost:8443", "/", 200},
		{"GET", "localhost:8443", "/app.js", 200},
		{"GET", "localhost:8443", "/style.css", 200},
		{"POST", "localhost:8443", "/", 405},
		{"GET", "localhost:8443", "/index.html", 404},
		{"GET", "localhost:8443", "/page/../doc.go", 404},
		{"GET", "localhost:8443", "/?token=" + testToken, 200},
		{"GET", "localhost:8444", "/", 421},
		{"GET", "evil.example", "/", 421},
		{"GET", "localhost:8443", "/ws", 403},
	} {
		res := get(c.method, c.host, c.path)
		body, _ := io.ReadAll(res.Body)
		if res.StatusCode != c.want {
			t.Errorf("%s %s%s: status %d, want %d", c.method, c.host, c.path, res.StatusCode, c.want)
		}
		if c.method == "HEAD" && len(body) != 0 {
			t.Error("HEAD has a body")
		}
		silent(t, c.path, fmt.Sprint(res.Header, string(body)))
		guards(t, res.Header)
	}
}

func guards(t *testing.T, h http.Header) {
	t.Helper()
	for key, want := range map[string]string{
		"Content-Security-Policy": "default-src 'none'",
		"X-Content-Type-Options":  "nosniff",
		"Cache-Control":           "no-store",
		"Referrer-Policy":         "no-referrer",
	} {
		if !strings.Contains(h.Get(key), want) {
			t.Errorf("%s is %q", key, h.Get(key))
		}
	}
	if csp := h.Get("Content-Security-Policy"); strings.Contains(csp, "unsafe") || strings.Contains(csp, "*") {
		t.Errorf("policy %s", csp)
	}
}

// Rule: who is silent is let go, and unproven sockets are bounded.
func TestSilentStrangers(t *testing.T) {
	h := hub.New(hub.Config{})
	s := newServer(Config{Hub: h, Token: testToken})
	s.patience.hello = time.Second
	srv := httptest.NewTLSServer(s)
	defer srv.Close()
	addr := strings.TrimPrefix(srv.URL, "https://")
	s.hosts[addr] = true

	silent, _ := dial(t, addr, nil)
	silent.refused()

	s.patience.hello = patience
	until(t, "the place is free again", func() bool { return len(s.strangers) == 0 })
	var open []*client
	for range maxStrangers {
		c, _ := dial(t, addr, nil)
		open = append(open, c)
	}
	if c, status := dial(t, addr, nil); c != nil || status != http.StatusServiceUnavailable {
		t.Errorf("one more: status %d", status)
	}
	for _, c := range open {
		c.CloseNow()
	}
	until(t, "all places are free again", func() bool { return len(s.strangers) == 0 })
}

// Rule: a viewer hears hello with the life, then of sessions before their
// updates; whatever it says later ends the connection.
func TestProtocol(t *testing.T) {
	st := play(t, "127.0.0.1:0", 42, selfSigned(t))
	c := view(t, st.addr)
	m := c.text()
	if m.Type != "hello" || m.Version != 1 || m.Life != 42 || m.Started.IsZero() || m.Now.Before(m.Started) || m.Sessions == nil {
		t.Errorf("hello: %+v", m)
	}
	enter(t, st, "1", 16, 16, func([]byte) {})
	for m = c.text(); len(m.Sessions) == 0; m = c.text() {
	}
	if m.Type != "sessions" || m.Life != 0 || m.Sessions[0].ID != "1" {
		t.Errorf("sessions: %+v", m)
	}
	if u := c.update(); binary.LittleEndian.Uint16(u[2:]) != m.Sessions[0].Index {
		t.Errorf("update % x for %+v", u[:hub.UpdateHeader], m.Sessions)
	}
	c.say(`{"type":"hello","token":"` + testToken + `"}`)
	until(t, "the viewer is gone", func() bool { return st.hub.Viewers() == 0 })
}

// Rule: a viewer that answers no ping, or takes no message, is let go.
func TestDeadViewers(t *testing.T) {
	h := hub.New(hub.Config{})
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	go func() { _ = h.Run(ctx) }()
	for name, p := range map[string]patiences{
		"ping":  {hello: patience, write: time.Second, ping: time.Second},
		"write": {hello: patience, write: time.Second, ping: time.Hour},
	} {
		t.Run(name, func(t *testing.T) {
			s := newServer(Config{Hub: h, Token: testToken, Log: t.Logf})
			s.patience = p
			srv := httptest.NewTLSServer(s)
			defer srv.Close()
			addr := strings.TrimPrefix(srv.URL, "https://")
			s.hosts[addr] = true
			view(t, addr) // never reads, so it neither takes nor answers
			until(t, "the viewer is there", func() bool { return h.Viewers() == 1 })
			if name == "write" {
				bgrx, _ := noise(1, 2000, 1000) // more than sockets hold
				a := enter(t, &stage{hub: h}, "1", 2000, 1000, func(pix []byte) { copy(pix, bgrx) })
				defer a.chain.Close()
			}
			until(t, "the viewer is let go", func() bool { return h.Viewers() == 0 })
		})
	}
}

// Rule: the seats are bounded, and who finds none is told to come later.
func TestSeats(t *testing.T) {
	h := hub.New(hub.Config{})
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	go func() { _ = h.Run(ctx) }()
	s := newServer(Config{Hub: h, Token: testToken})
	s.seats = make(chan struct{}, 2)
	srv := httptest.NewTLSServer(s)
	defer srv.Close()
	addr := strings.TrimPrefix(srv.URL, "https://")
	s.hosts[addr] = true
	first := view(t, addr)
	first.text()
	view(t, addr).text()
	if code := view(t, addr).refused(); code != websocket.StatusTryAgainLater {
		t.Errorf("closed with %v", code)
	}
	first.CloseNow()
	until(t, "a seat is free", func() bool { return len(s.seats) == 1 })
	view(t, addr).text()
}
