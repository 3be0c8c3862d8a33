package main

import (
	"context"
	"os"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"portward/internal/program"
	"portward/internal/surface"
	"portward/internal/wire"
	"portward/internal/xpcpeer"
	"portward/launchd"
)

func anybody(*xpcpeer.Evidence) error { return nil }

// A lender stands for the supervisor: it keeps what it is told.
type lender struct {
	conn *xpcpeer.Conn // netchild's end

	mu   sync.Mutex
	told []time.Time
	when []time.Duration
}

// heard answers what it was told so far, and when.
func (s *lender) heard() ([]time.Time, []time.Duration) {
	synctest.Wait()
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.told), slices.Clone(s.when)
}

// newLender must be made in the bubble that looks at it.
func newLender(t *testing.T) *lender {
	t.Helper()
	s := &lender{}
	began := time.Now()
	tr := xpcpeer.Mem()
	l, err := xpcpeer.Listen(tr, "lender", xpcpeer.Config{Policy: anybody, Accept: func(*xpcpeer.Conn) (xpcpeer.Events, error) {
		return xpcpeer.Events{Message: func(_ *xpcpeer.Conn, m *xpcpeer.Message) {
			x, err := wire.ParseLease(m.Dict(), time.Now())
			if err != nil {
				t.Errorf("%v: %v", m.Dict(), err)
			}
			s.mu.Lock()
			defer s.mu.Unlock()
			s.told, s.when = append(s.told, x.Until), append(s.when, time.Since(began))
		}}, nil
	}})
	if err != nil {
		t.Fatal(err)
	}
	s.conn = xpcpeer.Dial(tr, "lender", xpcpeer.Config{Policy: anybody})
	if err := s.conn.Activate(t.Context()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.conn.Close(); <-s.conn.Done(); l.Close() })
	return s
}

// Rule: the supervisor is told the latest of all leases: a longer one at once,
// a shorter one after a second of it, and never two within a second.
func TestLeasesAreTold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l, a, b := newLeases(), &agent{}, &agent{}
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		go l.run(ctx)
		in := func(d time.Duration) time.Time { return time.Now().Add(d).Truncate(time.Second) }
		first, second := in(time.Hour), in(2*time.Hour)
		s := newLender(t)
		expect := func(what string, want ...time.Time) {
			t.Helper()
			if told, _ := s.heard(); !slices.EqualFunc(told, want, time.Time.Equal) {
				t.Fatalf("%s: told %v, want %v", what, told, want)
			}
		}

		l.set(a, first)
		time.Sleep(10 * time.Second)
		expect("nobody to tell")
		l.to(s.conn)
		expect("a lease from before the check-in", first)
		l.set(b, second)
		expect("too soon", first)
		time.Sleep(tellEvery)
		expect("the later one", first, second)

		time.Sleep(10 * time.Second)
		l.set(b, time.Time{})
		time.Sleep(tellEvery / 2)
		l.set(b, second)
		time.Sleep(10 * time.Second)
		expect("an agent that came back", first, second)

		l.set(a, time.Time{})
		time.Sleep(10 * time.Second)
		expect("not the latest", first, second)
		l.set(b, time.Time{})
		time.Sleep(10 * time.Second)
		expect("the end of the last", first, second, time.Time{})

		for i := range 100 { // of one that cannot make up its mind
			l.set(a, first.Add(time.Duration(i)*time.Second))
			time.Sleep(tellEvery / 10)
		}
		time.Sleep(10 * time.Second)
		told, when := s.heard()
		if n := len(told); n > 3+13 || !told[n-1].Equal(first.Add(99*time.Second)) {
			t.Errorf("told %d times, at last %v", n, told[n-1])
		}
		for i := 1; i < len(when); i++ {
			if d := when[i] - when[i-1]; d < tellEvery {
				t.Errorf("told twice within %v", d)
			}
		}

		next := newLender(t) // the supervisor was replaced
		l.to(nil)
		l.set(a, time.Time{})
		time.Sleep(10 * time.Second)
		l.to(next.conn)
		if told, _ := next.heard(); len(told) != 0 {
			t.Errorf("the next supervisor was told %v, before agents could ask", told)
		}
		time.Sleep(tellEvery)
		if told, _ := next.heard(); len(told) != 1 || !told[0].IsZero() {
			t.Errorf("the next supervisor was told %v, want that there is none", told)
		}
		time.Sleep(10 * time.Second)
		third := newLender(t)
		l.to(third.conn)
		time.Sleep(tellEvery / 2)
		l.set(a, first)
		if told, _ := third.heard(); len(told) != 1 || !told[0].Equal(first) {
			t.Errorf("the third was told %v, want what an agent has just asked", told)
		}
	})
}

// Rule: an agent that was let in has the lease it asked for last, for as long
// as it is connected; nobody else has one.
func TestAgentsLease(t *testing.T) {
	defer goleak.VerifyNone(t, goleak.IgnoreCurrent())
	n := &netchild{
		p: &program.Program{Life: 3}, bundle: sealNaming(t, "guiagent"), log: t.Logf, transport: xpcpeer.Mem(),
		logins: newLogins(), leases: newLeases(), agents: map[*xpcpeer.Conn]*agent{}, accounts: map[string]*surface.Account{},
	}
	n.logins.tell([]wire.SessionInfo{{ID: "1", UID: uint64(os.Geteuid())}})
	door, err := n.openDoor()
	if err != nil {
		t.Fatal(err)
	}
	defer door.Close()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	enter := func(role, session string) *xpcpeer.Conn {
		t.Helper()
		c := xpcpeer.Dial(n.transport, launchd.NetChildService, xpcpeer.Config{Policy: anybody})
		if role == "" {
			return c
		}
		d, err := c.Call(ctx, wire.Hello{Min: wire.VersionMin, Max: wire.VersionMax, Role: role, Session: session}.Dict())
		if err != nil {
			t.Fatal(err)
		}
		if _, err := wire.ParseWelcome(d); err != nil {
			t.Fatal(err)
		}
		return c
	}
	ask := func(c *xpcpeer.Conn, until time.Time) error {
		t.Helper()
		d, err := c.Call(ctx, wire.Lease{Until: until}.Dict())
		if err != nil {
			t.Fatal(err)
		}
		_, err = wire.ParseOK(d)
		return err
	}
	latest := func() time.Time {
		n.leases.mu.Lock()
		defer n.leases.mu.Unlock()
		return n.leases.latestLocked()
	}

	soon := time.Now().Add(time.Hour)
	for what, c := range map[string]*xpcpeer.Conn{"a stranger": enter("", ""), "a tool": enter(wire.ClaimTool, "")} {
		if ask(c, soon) == nil || !latest().IsZero() {
			t.Errorf("%s got a lease until %v", what, latest())
		}
		c.Close()
		<-c.Done()
	}

	a, b := enter(wire.ClaimAgent, "1"), enter(wire.ClaimAgent, "1")
	if err := ask(a, soon); err != nil || !latest().Equal(soon) {
		t.Errorf("until %v, %v", latest(), err)
	}
	if err := ask(b, soon.Add(1000*time.Hour)); err != nil || latest().After(time.Now().Add(wire.MaxLease)) {
		t.Errorf("until %v, %v", latest(), err)
	}
	b.Close()
	<-b.Done()
	for end := time.Now().Add(time.Minute); !latest().Equal(soon); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("a lease outlived its agent")
		}
	}
	if err := ask(a, time.Time{}); err != nil || !latest().IsZero() {
		t.Errorf("given back: until %v, %v", latest(), err)
	}
	a.Close()
	<-a.Done()
	for end := time.Now().Add(time.Minute); ; time.Sleep(time.Millisecond) {
		n.mu.Lock()
		left := len(n.agents)
		n.mu.Unlock()
		if left == 0 {
			break
		}
		if time.Now().After(end) {
			t.Fatalf("%d agents are left", left)
		}
	}
}
