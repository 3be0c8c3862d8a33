package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"portward/internal/wire"
	"portward/internal/xpcpeer"
	"portward/launchd"
)

// helloWithin is how long netchild may take to answer, its start on demand
// included.
const helloWithin = 30 * time.Second

// A link is the agent's connection to netchild.
type link struct {
	a    *agent
	conn *xpcpeer.Conn
	life uint64 // of the netchild that said welcome last
}

func (l *link) close() {
	if l.conn != nil {
		l.conn.Close()
	}
}

// hello greets netchild, starting it if it does not run. down ends the stretch
// when the connection does.
func (l *link) hello(ctx context.Context, down context.CancelCauseFunc) error {
	l.close()
	l.conn = xpcpeer.Dial(l.a.transport, l.a.p.Name(launchd.NetChildService), xpcpeer.Config{
		Policy:      l.a.isNetchild,
		Requirement: l.a.p.Requirement(launchd.NetChild),
		Log:         l.a.log,
		Events: xpcpeer.Events{
			Message: func(_ *xpcpeer.Conn, m *xpcpeer.Message) {
				if g, err := wire.ParseGoodbye(m.Dict()); err == nil && g.Reason == wire.ReasonIdle {
					down(errIdle)
				}
			},
			Interrupted: func(*xpcpeer.Conn) { down(xpcpeer.ErrInterrupted) },
			Invalid:     func(_ *xpcpeer.Conn, err error) { down(err) },
		},
	})
	ctx, cancel := context.WithTimeout(ctx, helloWithin)
	defer cancel()
	d, err := l.conn.Call(ctx, wire.Hello{
		Min: wire.VersionMin, Max: wire.VersionMax, Build: l.a.p.Build,
		Role: wire.ClaimAgent, Session: l.a.p.Session,
	}.Dict())
	if err != nil {
		return err
	}
	w, err := wire.ParseWelcome(d)
	if r := (wire.Refusal{}); errors.As(err, &r) && r.Code == wire.CodeRelaunch {
		return fmt.Errorf("%w: %s", errRelaunch, r.Text)
	}
	if err != nil {
		return err
	}
	l.life = w.Life
	return l.lease(ctx)
}

// attach hands over the surfaces that there are.
func (l *link) attach(ctx context.Context, s surfaces) error {
	frames, err := s.Connect()
	if err != nil {
		return err
	}
	defer frames.Close()
	var endpoint wire.Handle
	if l.a.door != nil {
		if endpoint, err = l.a.door.Endpoint(); err != nil {
			return err
		}
		defer endpoint.Close()
	}
	g := s.Geometry()
	return l.ok(ctx, wire.Attach{
		Chain: l.a.chain(), Width: uint64(g.Width), Height: uint64(g.Height), Stride: uint64(g.Stride), Format: uint64(g.Format),
		Surfaces: s.Surfaces(), Frames: wire.FD(frames), Agent: endpoint,
	}.Dict())
}

// add hands over one surface more, which it borrows.
func (l *link) add(ctx context.Context, h wire.Handle) error {
	return l.ok(ctx, wire.Add{Chain: l.a.chain(), Surface: h}.Dict())
}

// ok calls netchild for an OK.
func (l *link) ok(ctx context.Context, m wire.Dict) error {
	ctx, cancel := context.WithTimeout(ctx, helloWithin)
	defer cancel()
	d, err := l.conn.Call(ctx, m)
	if err != nil {
		return err
	}
	_, err = wire.ParseOK(d)
	return err
}
