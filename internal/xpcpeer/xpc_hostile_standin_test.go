//go:build standin && !darwin

package xpcpeer_test

import (
	"errors"
	"os"
	"strings"
	"sync/atomic"
	"testing"

	. "portward/internal/macos"
	"portward/internal/wire"
	"portward/internal/xpcpeer"
)

// A watched listener counts what its owner was asked and told.
type watched struct {
	*xpcpeer.Listener
	asked, accepted, messages atomic.Int64
	peers                     chan *xpcpeer.Conn
	invalid                   chan error
}

func (w *watched) nothing(t *testing.T, what string) {
	t.Helper()
	if a, b, c := w.asked.Load(), w.accepted.Load(), w.messages.Load(); a+b+c > 0 {
		t.Errorf("%s: asked %d times, accepted %d peers, %d messages", what, a, b, c)
	}
}

// watch serves the test's service; a nil gate is open.
func watch(t *testing.T, tr xpcpeer.Transport, requirement string, gate chan struct{}) *watched {
	t.Helper()
	w := &watched{peers: make(chan *xpcpeer.Conn, 100), invalid: make(chan error, 100)}
	l, err := xpcpeer.Listen(tr, service, xpcpeer.Config{
		Requirement: requirement,
		Policy:      func(*xpcpeer.Evidence) error { w.asked.Add(1); return nil },
		Accept: func(c *xpcpeer.Conn) (xpcpeer.Events, error) {
			w.accepted.Add(1)
			w.peers <- c
			if gate != nil {
				<-gate
			}
			return xpcpeer.Events{
				Message: func(_ *xpcpeer.Conn, m *xpcpeer.Message) { w.messages.Add(1); m.Reply(m.Dict()) },
				Invalid: func(_ *xpcpeer.Conn, err error) { w.invalid <- err },
			}, nil
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	w.Listener = l
	t.Cleanup(func() {
		l.Close()
		for len(w.peers) > 0 {
			end(t, <-w.peers)
		}
	})
	return w
}

func dialing(t *testing.T, tr xpcpeer.Transport, cfg xpcpeer.Config) *xpcpeer.Conn {
	t.Helper()
	if cfg.Policy == nil {
		cfg.Policy = yes
	}
	c := xpcpeer.Dial(tr, service, cfg)
	t.Cleanup(func() { end(t, c) })
	return c
}

// Rule: who does not begin with a hello is nobody: neither policy nor owner hear
// of it, and it is told nothing.
func TestXPCNoHello(t *testing.T) {
	leavesNothing(t)
	tr := xpcpeer.Standin(t.Logf)
	w := watch(t, tr, "", nil)
	for what, first := range map[string]Ref{
		"nothing":            XPCDictionaryCreate(),
		"a message":          object(map[string]Ref{"n": XPCInt64Create(1)}),
		"a welcome":          object(welcomed()),
		"a failure":          object(map[string]Ref{"portward.failure": XPCStringCreate("refused")}),
		"another type":       object(map[string]Ref{"portward.hello": XPCInt64Create(1)}),
		"a dictionary":       object(map[string]Ref{"portward.hello": XPCDictionaryCreate()}),
		"another protocol":   object(map[string]Ref{"portward.hello": XPCUint64Create(2)}),
		"more than a hello":  object(map[string]Ref{"portward.hello": XPCUint64Create(1), "n": XPCInt64Create(1)}),
		"a hello in a hello": object(map[string]Ref{"portward.hello": hello()}),
	} {
		if said := nativeClient(t, tr).ask(t, first); said != "interrupted" {
			t.Errorf("%s was answered: %s", what, said)
		}
	}
	silent := nativeClient(t, tr)
	silent.send(hello())
	if e := come(t, "the end of a hello that wants no answer", silent.events); e != "interrupted" {
		t.Error(e)
	}
	w.nothing(t, "no hello")
	if _, err := dialing(t, tr, xpcpeer.Config{}).Call(patient(), number(1)); err != nil {
		t.Fatal(err)
	}
}

// Rule: a client that speaks before it is welcome is not served.
func TestXPCBeforeTheWelcome(t *testing.T) {
	leavesNothing(t)
	tr, gate := xpcpeer.Standin(t.Logf), make(chan struct{})
	w := watch(t, tr, "", gate)
	for _, second := range []Ref{hello(), object(map[string]Ref{"n": XPCInt64Create(1)})} {
		n := nativeClient(t, tr)
		m := hello()
		XPCConnectionSendMessageWithReply(n.conn, m, 0, func(Ref) {})
		XPCRelease(m)
		n.send(second)
		if e := come(t, "the end", n.events); e != "interrupted" {
			t.Error(e)
		}
	}
	close(gate)
	for range 2 {
		if err := come(t, "invalid", w.invalid); !errors.Is(err, wire.ErrMalformed) {
			t.Error(err)
		}
	}
	if n := w.messages.Load(); n > 0 {
		t.Errorf("%d messages", n)
	}
}

func deep(n int, wrap func(Ref) Ref) Ref {
	v := XPCBoolCreate(true)
	for range n {
		v = wrap(v)
	}
	return object(map[string]Ref{"v": v})
}

func inArray(v Ref) Ref      { return list(1, func() Ref { return v }) }
func inDictionary(v Ref) Ref { return object(map[string]Ref{"d": v}) }

// badMessages are made by functions, for each is sent only once. who lends its
// connection for one of them.
func badMessages(who Ref) map[string]func() Ref {
	one := func(key string, v func() Ref) func() Ref {
		return func() Ref { return object(map[string]Ref{key: v()}) }
	}
	text := func(s string) func() Ref { return func() Ref { return XPCStringCreate(s) } }
	fd := func() Ref { return XPCFDCreate(int(os.Stdin.Fd())) }
	return map[string]func() Ref{
		"a second hello":          hello,
		"a welcome":               func() Ref { return object(welcomed()) },
		"a failure":               one("portward.failure", text("refused")),
		"a key of ours":           one("portward.new", text("")),
		"a key of ours within":    one("d", one("portward.new", text(""))),
		"null":                    one("v", StandinNullCreate),
		"a connection":            one("v", func() Ref { return XPCRetain(who) }),
		"an error":                one("a", func() Ref { return list(1, StandinNullCreate) }),
		"no UTF-8":                one("v", text("\xff")),
		"a key that is no UTF-8":  one("\xff", text("")),
		"an empty key":            one("", text("")),
		"a long key":              one(strings.Repeat("k", wire.MaxKey+1), text("")),
		"a long text":             one("v", text(strings.Repeat("x", wire.MaxMessage+1))),
		"long data":               one("v", func() Ref { return XPCDataCreate(make([]byte, wire.MaxMessage+1)) }),
		"too many":                one("a", func() Ref { return list(wire.MaxEntries+1, XPCDictionaryCreate) }),
		"too many in all":         one("a", func() Ref { return list(30, func() Ref { return list(30, XPCDictionaryCreate) }) }),
		"too deep":                func() Ref { return deep(wire.MaxDepth, inDictionary) },
		"far too deep":            func() Ref { return deep(10_000, inArray) },
		"too many descriptors":    one("a", func() Ref { return list(wire.MaxHandles+1, fd) }),
		"descriptors, then null":  one("a", func() Ref { return list(1, func() Ref { return withNull(list(3, fd)) }) }),
		"too many other objects":  one("a", func() Ref { return list(wire.MaxHandles+1, StandinOtherCreate) }),
		"a surface that is none":  one("s", one("portward.surface", text("pixels"))),
		"a surface on its own":    one("portward.surface", fd),
		"a surface and something": one("s", func() Ref { return object(map[string]Ref{"portward.surface": fd(), "n": fd()}) }),
	}
}

func withNull(a Ref) Ref {
	null := StandinNullCreate()
	XPCArrayAppendValue(a, null)
	XPCRelease(null)
	return a
}

// Rule: a message that breaks the rules ends the connection it came by, is not
// acted on, costs neither descriptor nor object, and nobody else notices.
func TestXPCHostileClient(t *testing.T) {
	leavesNoFile(t)
	leavesNothing(t)
	tr := xpcpeer.Standin(t.Logf)
	w := watch(t, tr, "", nil)
	good := dialing(t, tr, xpcpeer.Config{})
	lent := nativeClient(t, tr)
	for what, bad := range badMessages(lent.conn) {
		for _, call := range []bool{false, true} {
			n := nativeClient(t, tr)
			if said := n.ask(t, hello()); said != "portward.welcome" {
				t.Fatal(said)
			}
			before := w.messages.Load()
			if !call {
				n.send(bad())
			} else if said := n.ask(t, bad()); said != "interrupted" {
				t.Errorf("%s was answered: %s", what, said)
			}
			if err := come(t, "invalid", w.invalid); !errors.Is(err, wire.ErrMalformed) || !errors.Is(err, xpcpeer.ErrInvalid) {
				t.Errorf("%s: %v", what, err)
			}
			if w.messages.Load() != before {
				t.Errorf("%s was delivered", what)
			}
		}
		if _, err := good.Call(patient(), number(1)); err != nil {
			t.Fatal(err)
		}
	}
}

// Rule: a client believes nothing before a welcome of its protocol, and dies of
// a lie, while an end without a word is an interruption.
func TestXPCHostileServer(t *testing.T) {
	leavesNothing(t)
	for what, c := range map[string]struct {
		reply func() map[string]Ref
		want  error
	}{
		"nothing":           {func() map[string]Ref { return nil }, wire.ErrMalformed},
		"a message":         {func() map[string]Ref { return map[string]Ref{"n": XPCInt64Create(1)} }, wire.ErrMalformed},
		"another type":      {func() map[string]Ref { return map[string]Ref{"portward.welcome": XPCStringCreate("1")} }, wire.ErrMalformed},
		"protocol 2":        {func() map[string]Ref { return map[string]Ref{"portward.welcome": XPCUint64Create(2)} }, wire.ErrMalformed},
		"more":              {func() map[string]Ref { m := welcomed(); m["n"] = XPCInt64Create(1); return m }, wire.ErrMalformed},
		"a refusal":         {func() map[string]Ref { return map[string]Ref{"portward.failure": XPCStringCreate("refused")} }, xpcpeer.ErrRefused},
		"a refusal of null": {func() map[string]Ref { return map[string]Ref{"portward.failure": StandinNullCreate()} }, wire.ErrMalformed},
		"silence":           {nil, xpcpeer.ErrInterrupted},
	} {
		tr := xpcpeer.Standin(t.Logf)
		peers := nativeServer(t, tr)
		c2 := dialing(t, tr, xpcpeer.Config{})
		result := make(chan error, 1)
		go func() {
			_, err := c2.Call(patient(), number(1))
			result <- err
		}()
		peer := come(t, "peer", peers)
		if c.reply != nil {
			peer.answer(t, c.reply())
		} else {
			peer.drop(t)
		}
		if err := come(t, what, result); !errors.Is(err, c.want) {
			t.Errorf("%s: %v", what, err)
		}
		if len(peer.got) > 0 {
			t.Errorf("%s: the server was sent a message", what)
		}
	}
}

// Rule: messages that overtake the welcome wait for it, and not without end.
func TestXPCMessagesBeforeTheWelcome(t *testing.T) {
	leavesNothing(t)
	tr := xpcpeer.Standin(t.Logf)
	peers := nativeServer(t, tr)
	got, invalid := make(chan wire.Dict, 100), make(chan error, 2)
	events := xpcpeer.Events{
		Message: func(_ *xpcpeer.Conn, m *xpcpeer.Message) { got <- m.Dict() },
		Invalid: func(_ *xpcpeer.Conn, err error) { invalid <- err },
	}
	for _, n := range []int{3, 300} {
		c := dialing(t, tr, xpcpeer.Config{Events: events})
		go c.Activate(patient())
		peer := come(t, "peer", peers)
		for i := range n {
			peer.send(object(map[string]Ref{"n": XPCInt64Create(int64(i))}))
		}
		if n == 300 {
			peer.drop(t)
			if err := come(t, "invalid", invalid); !errors.Is(err, wire.ErrMalformed) || len(got) > 0 {
				t.Errorf("%v, and %d messages", err, len(got))
			}
			break
		}
		peer.answer(t, welcomed())
		for i := range n {
			if v, _ := wire.Get[int64](come(t, "message", got), "n"); v != int64(i) {
				t.Errorf("message %d, want %d", v, i)
			}
		}
	}
}

// Rule: a reply is a dictionary of ours, or the one failure; others end the
// connection. A call that the peer drops is unanswered, and costs nothing else.
func TestXPCHostileReplies(t *testing.T) {
	leavesNothing(t)
	tr := xpcpeer.Standin(t.Logf)
	peers := nativeServer(t, tr)
	for what, c := range map[string]struct {
		reply func() map[string]Ref
		want  error
		dies  bool
	}{
		"a failure": {func() map[string]Ref { return map[string]Ref{"portward.failure": XPCStringCreate("new")} }, xpcpeer.ErrUnanswered, false},
		"a failure and more": {func() map[string]Ref {
			return map[string]Ref{"portward.failure": XPCStringCreate(""), "n": StandinNullCreate()}
		}, wire.ErrMalformed, true},
		"a welcome": {welcomed, wire.ErrMalformed, true},
		"null":      {func() map[string]Ref { return map[string]Ref{"n": StandinNullCreate()} }, wire.ErrMalformed, true},
		"silence":   {nil, xpcpeer.ErrUnanswered, false},
	} {
		conn := dialing(t, tr, xpcpeer.Config{})
		result := make(chan error, 1)
		call := func() {
			_, err := conn.Call(patient(), number(1))
			result <- err
		}
		go call()
		peer := come(t, "peer", peers)
		peer.answer(t, welcomed())
		if c.reply != nil {
			peer.answer(t, c.reply())
		} else {
			peer.drop(t)
		}
		if err := come(t, what, result); !errors.Is(err, c.want) || errors.Is(err, xpcpeer.ErrInvalid) != c.dies {
			t.Errorf("%s: %v", what, err)
		}
		if c.dies {
			continue
		}
		go call()
		peer.answer(t, map[string]Ref{"n": XPCInt64Create(1)})
		if err := come(t, "the next call", result); err != nil {
			t.Errorf("after %s: %v", what, err)
		}
	}
}
