//go:build standin && !darwin

package xpcpeer_test

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"
	"testing"

	. "portward/internal/macos"
	"portward/internal/wire"
	"portward/internal/xpcpeer"
)

const ours = `identifier "good" and anchor trusted`

// identify gives every connection to come an identity that satisfies ours.
func identify(t *testing.T) {
	t.Helper()
	StandinSetDefaultIdentity(`"good"`)
	t.Cleanup(func() { StandinSetDefaultIdentity("") })
}

// Rule: without a requirement, or with one that the system does not understand,
// nobody listens and nobody dials.
func TestXPCNeedsARequirement(t *testing.T) {
	leavesNothing(t)
	tr := xpcpeer.XPC(xpcpeer.XPCOptions{Log: t.Logf})
	endpoint := anonymous(t, tr, ours)
	for _, requirement := range []string{"", "identifier !!syntax", "identifier\x00"} {
		cfg := xpcpeer.Config{Policy: yes, Requirement: requirement}
		if l, err := xpcpeer.Listen(tr, service, cfg); err == nil {
			l.Close()
			t.Errorf("%q: listens", requirement)
		}
		if l, err := xpcpeer.Anonymous(tr, cfg); err == nil {
			l.Close()
			t.Errorf("%q: listens anonymously", requirement)
		}
		byName := xpcpeer.Dial(tr, service, cfg)
		byEndpoint, err := xpcpeer.DialEndpoint(tr, endpoint, cfg)
		if err != nil {
			t.Fatal(err)
		}
		for _, c := range []*xpcpeer.Conn{byName, byEndpoint} {
			if _, err := c.Call(patient(), number(1)); !errors.Is(err, xpcpeer.ErrInvalid) {
				t.Errorf("%q: %v", requirement, err)
			}
			if requirement == "" && !errors.Is(c.Activate(patient()), xpcpeer.ErrRefused) {
				t.Errorf("%q: not refused", requirement)
			}
			end(t, c)
		}
	}
}

func anonymous(t *testing.T, tr xpcpeer.Transport, requirement string) wire.Handle {
	t.Helper()
	l, err := xpcpeer.Anonymous(tr, xpcpeer.Config{Policy: yes, Requirement: requirement})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	ep, err := l.Endpoint()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { ep.Close() })
	return ep
}

// Rule: a listener does not hear of a client that its requirement denies.
func TestXPCListenerDenies(t *testing.T) {
	leavesNothing(t)
	identify(t)
	tr := xpcpeer.Standin(t.Logf)
	w := watch(t, tr, ours, nil)
	StandinSetDefaultIdentity("evil")
	for range 3 {
		c := dialing(t, tr, xpcpeer.Config{Requirement: "deny nobody"})
		if _, err := c.Call(patient(), number(1)); !errors.Is(err, xpcpeer.ErrInterrupted) {
			t.Errorf("denied by %v", err)
		}
	}
	w.nothing(t, "a denied client")
	identify(t)
	if _, err := dialing(t, tr, xpcpeer.Config{Requirement: ours}).Call(patient(), number(1)); err != nil {
		t.Error(err)
	}
}

// Rule: a peer that stops satisfying the requirement is not served any more,
// whether it sends, calls or replies, and the one that notices says so.
func TestXPCDeniesLater(t *testing.T) {
	leavesNothing(t)
	identify(t)
	tr := xpcpeer.Standin(t.Logf)
	w := watch(t, tr, ours, nil)
	send := func(c *xpcpeer.Conn) { c.Send(patient(), number(2)) }
	call := func(c *xpcpeer.Conn) {
		if _, err := c.Call(patient(), number(2)); err == nil {
			t.Error("an impostor was answered")
		}
	}
	for _, impostor := range []func(*xpcpeer.Conn){send, call} {
		heard := make(chan error, 1)
		c := dialing(t, tr, xpcpeer.Config{Requirement: ours, Events: xpcpeer.Events{
			Message: func(*xpcpeer.Conn, *xpcpeer.Message) { t.Error("an impostor was heard") },
			Invalid: func(_ *xpcpeer.Conn, err error) { heard <- err }}})
		if _, err := c.Call(patient(), number(1)); err != nil {
			t.Fatal(err)
		}
		peer, before := come(t, "peer", w.peers), w.messages.Load()
		StandinSetIdentity(xpcpeer.Native(c), "evil")
		impostor(c)
		if err := come(t, "invalid", w.invalid); !errors.Is(err, xpcpeer.ErrRefused) || w.messages.Load() != before {
			t.Errorf("an impostor of a client: %v, %d messages", err, w.messages.Load()-before)
		}
		end(t, peer)

		c = dialing(t, tr, xpcpeer.Config{Requirement: ours, Events: xpcpeer.Events{
			Message: func(*xpcpeer.Conn, *xpcpeer.Message) { t.Error("an impostor was heard") },
			Invalid: func(_ *xpcpeer.Conn, err error) { heard <- err }}})
		if err := c.Activate(patient()); err != nil {
			t.Fatal(err)
		}
		peer = come(t, "peer", w.peers)
		StandinSetIdentity(xpcpeer.Native(peer), "evil")
		impostor(peer)
		if err := come(t, "invalid", heard); !errors.Is(err, xpcpeer.ErrRefused) {
			t.Errorf("an impostor of a server: %v", err)
		}
		end(t, peer)
		come(t, "its end", w.invalid)
	}
}

// Rule: a reply of an impostor is none.
func TestXPCDeniesReplies(t *testing.T) {
	leavesNothing(t)
	identify(t)
	tr := xpcpeer.Standin(t.Logf)
	w := watch(t, tr, ours, nil)
	c := dialing(t, tr, xpcpeer.Config{Requirement: ours})
	if err := c.Activate(patient()); err != nil {
		t.Fatal(err)
	}
	StandinSetIdentity(xpcpeer.Native(come(t, "peer", w.peers)), "evil")
	if _, err := c.Call(patient(), number(1)); !errors.Is(err, xpcpeer.ErrRefused) || !errors.Is(err, xpcpeer.ErrInvalid) {
		t.Error(err)
	}
}

// Rule: nothing of the user's is sent to a server whose welcome the requirement
// denies, however the client reaches it.
func TestXPCClientDenies(t *testing.T) {
	leavesNothing(t)
	StandinSetDefaultIdentity("evil")
	t.Cleanup(func() { StandinSetDefaultIdentity("") })
	tr := xpcpeer.Standin(t.Logf)
	w := watch(t, tr, "evil is fine", nil)
	c := dialing(t, tr, xpcpeer.Config{Requirement: ours, Policy: func(*xpcpeer.Evidence) error {
		t.Error("the policy was asked about an impostor")
		return nil
	}})
	if _, err := c.Call(patient(), number(1)); !errors.Is(err, xpcpeer.ErrRefused) || !errors.Is(err, xpcpeer.ErrInvalid) {
		t.Error(err)
	}
	come(t, "the server's end", w.invalid)
	hidden, err := xpcpeer.DialEndpoint(tr, anonymous(t, tr, "evil is fine"), xpcpeer.Config{Policy: yes, Requirement: ours})
	if err != nil {
		t.Fatal(err)
	}
	defer end(t, hidden)
	if _, err := hidden.Call(patient(), number(1)); !errors.Is(err, xpcpeer.ErrRefused) {
		t.Error(err)
	}
	if n := w.messages.Load(); n > 0 {
		t.Errorf("%d messages reached an impostor", n)
	}
}

// Rule: a loaded job that does not run is waited for: that is how launchd starts it.
func TestXPCOnDemand(t *testing.T) {
	leavesNothing(t)
	tr := xpcpeer.Standin(t.Logf)
	StandinLoad(xpcpeer.ServiceName(tr, service), true)
	c := dialing(t, xpcpeer.Privileged(tr), xpcpeer.Config{})
	result := make(chan error, 1)
	go func() {
		_, err := c.Call(patient(), number(1))
		result <- err
	}()
	watch(t, tr, "", nil)
	if err := come(t, "the answer", result); err != nil {
		t.Error(err)
	}
}

// Rule: with Privileged a name outside of root's namespace does not exist.
func TestXPCPrivileged(t *testing.T) {
	leavesNothing(t)
	tr := xpcpeer.Standin(t.Logf)
	StandinLoad(xpcpeer.ServiceName(tr, service), false)
	c := dialing(t, xpcpeer.Privileged(tr), xpcpeer.Config{})
	if _, err := c.Call(patient(), number(1)); !errors.Is(err, fs.ErrNotExist) || !errors.Is(err, xpcpeer.ErrInvalid) {
		t.Error(err)
	}
}

// Rule: the death of the service's process is an interruption; of an endpoint's,
// the end; the evidence is that of the next life.
func TestXPCProcessDies(t *testing.T) {
	leavesNothing(t)
	tr := xpcpeer.Standin(t.Logf)
	w := watch(t, tr, "", nil)
	interrupted := make(chan struct{}, 1)
	c := dialing(t, tr, xpcpeer.Config{Events: xpcpeer.Events{Interrupted: func(*xpcpeer.Conn) { interrupted <- struct{}{} }}})
	if _, err := c.Call(patient(), number(1)); err != nil {
		t.Fatal(err)
	}
	// The listener hears of it too, as it lives on here, and listens again.
	StandinKill(xpcpeer.ServiceName(tr, service))
	come(t, "interruption", interrupted)
	come(t, "the server's end", w.invalid)
	eventually(t, "the next life", func() bool {
		_, err := c.Call(patient(), number(2))
		return err == nil
	})
	l, err := xpcpeer.Anonymous(tr, xpcpeer.Config{Policy: yes})
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	ep, err := l.Endpoint()
	if err != nil {
		t.Fatal(err)
	}
	defer ep.Close()
	StandinDie(xpcpeer.NativeListener(l))
	late, err := xpcpeer.DialEndpoint(tr, ep, xpcpeer.Config{Policy: yes})
	if err != nil {
		t.Fatal(err)
	}
	defer end(t, late)
	if _, err := late.Call(patient(), number(1)); !errors.Is(err, xpcpeer.ErrInvalid) {
		t.Error(err)
	}
}

// Rule: a name that another listener has is asked for again, and got when it is
// free; meanwhile the owner's log says so.
func TestXPCNameTaken(t *testing.T) {
	leavesNothing(t)
	tr := xpcpeer.XPC(xpcpeer.XPCOptions{Log: t.Logf})
	lines, served := make(chan string, 1000), make(chan int, 1)
	serve := func(number int) *xpcpeer.Listener {
		l, err := xpcpeer.Listen(tr, "taken."+service, xpcpeer.Config{
			Policy: yes, Requirement: xpcpeer.Anybody,
			Log: func(f string, args ...any) { lines <- fmt.Sprintf(f, args...) },
			Accept: func(*xpcpeer.Conn) (xpcpeer.Events, error) {
				served <- number
				return xpcpeer.Events{}, nil
			}})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { l.Close() })
		return l
	}
	first := serve(1)
	serve(2)
	if line := come(t, "a line", lines); !strings.Contains(line, "launchd does not give") {
		t.Error(line)
	}
	first.Close()
	c := xpcpeer.Dial(tr, "taken."+service, xpcpeer.Config{Policy: yes, Requirement: xpcpeer.Anybody})
	defer end(t, c)
	if err := c.Activate(patient()); err != nil || <-served != 2 {
		t.Error(err)
	}
}

// Rule: evidence is what libxpc says of the sender of the hello.
func TestXPCEvidence(t *testing.T) {
	leavesNothing(t)
	tr := xpcpeer.Standin(t.Logf)
	w := watch(t, tr, "", nil)
	n := nativeClient(t, tr)
	StandinSetCredentials(n.conn, 4711, 501, 20)
	if said := n.ask(t, hello()); said != "portward.welcome" {
		t.Fatal(said)
	}
	e := come(t, "peer", w.peers).Evidence()
	if e.PID != 4711 || e.UID != 501 || e.GID != 20 {
		t.Errorf("evidence %+v", e)
	}
	if _, err := e.Executable(); !errors.Is(err, xpcpeer.ErrNoProof) {
		t.Error(err)
	}
}

// Rule: that the system would like us to leave is no end of a connection.
func TestXPCTermination(t *testing.T) {
	leavesNothing(t)
	tr := xpcpeer.Standin(t.Logf)
	w := watch(t, tr, "", nil)
	c := dialing(t, tr, xpcpeer.Config{})
	if err := c.Activate(patient()); err != nil {
		t.Fatal(err)
	}
	StandinTerminate(xpcpeer.Native(come(t, "peer", w.peers)))
	StandinTerminate(xpcpeer.Native(c))
	if _, err := c.Call(patient(), number(1)); err != nil {
		t.Error(err)
	}
}

// Rule: an object that only a surface's owner can read travels as it is, counted;
// kinds that do not fit their object do not leave.
func TestXPCSurfaceObjects(t *testing.T) {
	leavesNothing(t)
	tr := xpcpeer.Standin(t.Logf)
	watch(t, tr, "", nil)
	c := dialing(t, tr, xpcpeer.Config{})
	surface, endpoint := &foreign{StandinOtherCreate()}, anonymous(t, tr, "")
	d, err := c.Call(patient(), wire.Dict{"s": wire.Handle{Kind: wire.HandleSurface, Object: surface}})
	if err != nil {
		t.Fatal(err)
	}
	h, ok := d.Take("s", wire.HandleSurface)
	if !ok {
		t.Fatalf("got %v", d)
	}
	ref := h.Object.(interface{ Retain() Ref }).Retain()
	if XPCTypeOf(ref) != XPCTypeOther {
		t.Errorf("a surface is a %v", XPCTypeOf(ref))
	}
	XPCRelease(ref)
	if h.Close() != nil || !errors.Is(h.Close(), os.ErrClosed) {
		t.Error("it is not closed once")
	}
	for _, h := range []wire.Handle{
		h, // closed
		{Kind: wire.HandleSurface, Object: endpoint.Object},
		{Kind: wire.HandleFD, Object: surface},
		{Kind: wire.HandleEndpoint, Object: surface},
		{Kind: wire.HandleEndpoint, Object: os.Stdin},
	} {
		if err := c.Send(patient(), wire.Dict{"h": h}); !errors.Is(err, wire.ErrMalformed) {
			t.Errorf("sent %v: %v", h, err)
		}
		if _, err := xpcpeer.DialEndpoint(tr, h, xpcpeer.Config{}); !errors.Is(err, wire.ErrMalformed) {
			t.Errorf("dialled %v: %v", h, err)
		}
	}
	surface.Close()
}

// A foreign is a surface's owner's type.
type foreign struct{ ref Ref }

func (f *foreign) Retain() Ref  { return XPCRetain(f.ref) }
func (f *foreign) Close() error { XPCRelease(f.ref); return nil }
