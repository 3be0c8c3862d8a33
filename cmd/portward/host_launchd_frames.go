package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net"
	"net/http"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/coder/websocket"

	"portward/internal/jobs"
	"portward/internal/viewer"
)

// An audience learns of frames what every viewer is told first, and leaves. What a
// netchild has counted since it was asked last dies with it, so the numbers are the
// least that there were.
type audience struct {
	addr, state string // of the viewer's port; netchild's directory

	mu     sync.Mutex
	born   time.Time // the netchild whose counts these are
	logins map[string]*counted
	vain   int // so often in a row nothing was heard
}

// counted are a login's frames: of netchilds before, and of the present one.
type counted struct {
	before, now uint64
	fps         float64
}

// A toldAll is the first message of package viewer's protocol, as far as it is of use.
type toldAll struct {
	Type     string    `json:"type"`
	Started  time.Time `json:"started"`
	Sessions []struct {
		ID     string  `json:"id"`
		FPS    float64 `json:"fps"`
		Frames uint64  `json:"frames"`
	} `json:"sessions"`
}

// maxVain is how often nothing may be heard in a row before that is worth a line: a
// netchild that begins or ends is silent, too.
const maxVain = 3

// listen asks once. Whoever asks a port that launchd holds starts netchild, so it has
// to be known to run. It answers what people should know.
func (a *audience) listen(ctx context.Context) error {
	told, err := a.hear(ctx)
	a.mu.Lock()
	defer a.mu.Unlock()
	if err == nil {
		a.vain = 0
		a.countLocked(told)
	} else if a.vain++; a.vain == maxVain {
		return fmt.Errorf("frames are not counted: %w", err)
	}
	return nil
}

// countLocked takes what was told. The streams of a login's further screens are named
// after it and a dot; its first one counts alone, as everywhere.
func (a *audience) countLocked(told toldAll) {
	if a.logins == nil {
		a.logins = map[string]*counted{}
	}
	if !told.Started.Equal(a.born) {
		for _, c := range a.logins {
			c.before, c.now = c.before+c.now, 0
		}
		a.born = told.Started
	}
	sums := map[string]counted{}
	for _, s := range told.Sessions {
		if !strings.Contains(s.ID, ".") {
			sums[s.ID] = counted{now: s.Frames, fps: s.FPS}
		}
	}
	for id := range sums {
		if a.logins[id] == nil {
			a.logins[id] = &counted{}
		}
	}
	for id, c := range a.logins {
		sum := sums[id]
		if sum.now < c.now { // the login is gone, or came anew
			c.before += c.now
		}
		c.now, c.fps = sum.now, sum.fps
	}
}

// views are the logins in order, and that one whether anything is known of it or not.
func (a *audience) views(own string) []sessionView {
	a.mu.Lock()
	defer a.mu.Unlock()
	var views []sessionView
	for _, id := range slices.Sorted(maps.Keys(a.logins)) {
		c := a.logins[id]
		views = append(views, sessionView{ID: id, Frames: c.before + c.now, FPS: round(c.fps, 10), GapsUnknown: true})
	}
	if a.logins[own] == nil {
		views = append(views, sessionView{ID: own, GapsUnknown: true})
	}
	return views
}

// hear is a viewer for as long as it takes to be greeted.
func (a *audience) hear(ctx context.Context) (told toldAll, err error) {
	token, err := viewer.ReadToken(a.state)
	if err != nil {
		return told, err
	}
	client, err := a.client()
	if err != nil {
		return told, err
	}
	defer client.CloseIdleConnections()
	host := "https://" + a.addr
	c, _, err := websocket.Dial(ctx, "wss://"+a.addr+"/ws", &websocket.DialOptions{HTTPClient: client, HTTPHeader: http.Header{"Origin": {host}}})
	if err != nil {
		return told, err
	}
	defer c.CloseNow()
	c.SetReadLimit(1 << 20)
	hello, err := json.Marshal(map[string]string{"type": "hello", "token": token})
	if err == nil {
		err = c.Write(ctx, websocket.MessageText, hello)
	}
	if err != nil {
		return told, err
	}
	kind, data, err := c.Read(ctx)
	if err != nil {
		return told, err
	}
	if kind != websocket.MessageText || json.Unmarshal(data, &told) != nil || told.Type != "hello" {
		return told, errors.New("the viewer's port greets in an unknown way")
	}
	return told, nil
}

// client believes the certificate that netchild keeps, and no other.
func (a *audience) client() (*http.Client, error) {
	pem, err := os.ReadFile(viewer.IdentityFiles(a.state)[0])
	if err != nil {
		return nil, err
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(pem) {
		return nil, errors.New("netchild's certificate cannot be read")
	}
	return &http.Client{Transport: &http.Transport{
		Proxy: nil, DisableKeepAlives: true,
		TLSClientConfig: &tls.Config{RootCAs: pool, ServerName: "localhost", MinVersion: tls.VersionTLS13},
	}}, nil
}

// count says whether a login's frames are counted: not by whom netchild would stay
// for, that leaves without viewers.
func (h *launchdHost) count(string) error {
	if h.w.o.idle > 0 {
		return errors.ErrUnsupported
	}
	return nil
}

// sessions asks netchild, if it runs.
func (h *launchdHost) sessions(ctx context.Context, list []jobs.State) []sessionView {
	if h.count("") != nil {
		return nil
	}
	runs := slices.ContainsFunc(list, func(j jobs.State) bool { return j.Target == netchildTarget && j.PID != 0 })
	if runs {
		if err := h.audience.listen(ctx); err != nil {
			h.w.show.note("%v", err)
		}
	}
	return h.audience.views(h.session)
}

// fromHere answers where this machine itself finds an address that may be all of its
// own.
func fromHere(addr string) string {
	host, port, err := net.SplitHostPort(addr)
	if ip := net.ParseIP(host); err == nil && ip != nil && ip.IsUnspecified() {
		return net.JoinHostPort("127.0.0.1", port)
	}
	return addr
}
