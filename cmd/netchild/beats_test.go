package main

import (
	"context"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"portward/internal/hub"
	"portward/internal/program"
	"portward/internal/wire"
	"portward/internal/xpcpeer"
	"portward/launchd"
)

// Rule: without a page to stamp, netchild tells the supervisor that it gets on:
// often enough when it is idle, not more often than eight times within the limit
// when it is not; and it takes the life that the supervisor says it is.
func TestBeatsInMessages(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const limit = 4 * time.Second
		var beats atomic.Int64
		lives := make(chan uint64, 2)
		tr := xpcpeer.Mem()
		yes := func(*xpcpeer.Evidence) error { return nil }
		l, err := xpcpeer.Listen(tr, launchd.CheckInService, xpcpeer.Config{Policy: yes, Accept: func(*xpcpeer.Conn) (xpcpeer.Events, error) {
			return xpcpeer.Events{Message: func(_ *xpcpeer.Conn, m *xpcpeer.Message) {
				if in, err := wire.ParseCheckIn(m.Dict()); err == nil {
					lives <- in.Life
					m.Reply(wire.Terms{Version: 1, Life: 7, HangLimit: limit, HangGrace: limit}.Dict())
				} else if _, err := wire.ParseBeat(m.Dict()); err == nil {
					beats.Add(1)
				}
			}}, nil
		}})
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
		n := &netchild{p: &program.Program{Build: "test"}, log: t.Logf, transport: tr, logins: newLogins(), leases: newLeases()}
		n.hub = hub.New(hub.Config{Beat: n.beat, Log: n.log})
		ctx, cancel := context.WithCancel(t.Context())
		go n.hub.Run(ctx)
		if _, err := n.checkInOnce(ctx, xpcpeer.Config{Policy: yes}); err != nil {
			t.Fatal(err)
		}
		time.Sleep(10 * limit)
		if got := beats.Load(); got < 30 || got > 81 {
			t.Errorf("%d beats of an idle netchild in ten limits", got)
		}
		before := beats.Load()
		for range 10000 {
			n.beat()
			time.Sleep(limit / 1000)
		}
		if got := beats.Load() - before; got < 60 || got > 81 {
			t.Errorf("%d beats of a busy netchild in ten limits", got)
		}
		if _, err := n.checkInOnce(ctx, xpcpeer.Config{Policy: yes}); err != nil {
			t.Fatal(err)
		}
		if first, second := <-lives, <-lives; first != 0 || second != 7 || n.life.Load() != 7 {
			t.Errorf("checked in as life %d, then %d", first, second)
		}
		cancel()
		n.supervisor.Close()
		<-n.supervisor.Done()
		synctest.Wait()
	})
}
