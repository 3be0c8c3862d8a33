//go:build linux

package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"time"

	"portward/internal/wire"
	"portward/internal/xpcpeer"

	"portward/bench/talk"
)

const (
	service    = "portward.bench"
	callWithin = 30 * time.Second
)

// ownUser is the policy of both: whoever runs as we do, as the kernel says.
func ownUser(ev *xpcpeer.Evidence) error {
	if int(ev.UID) != os.Geteuid() {
		return fmt.Errorf("uid %d", ev.UID)
	}
	return nil
}

// startCall is our authenticated connection: a Ping answered by a Pong.
func startCall(o options) (drill, *exec.Cmd, error) {
	peer, err := talk.Other()
	if err != nil {
		return drill{}, nil, err
	}
	c := xpcpeer.Dial(xpcpeer.Unix(o.dir, nil), service, xpcpeer.Config{Policy: ownUser})
	ctx, cancel := context.WithTimeout(context.Background(), callWithin)
	defer cancel()
	for c.Activate(ctx) != nil { // until the other half listens
		if ctx.Err() != nil {
			return drill{}, nil, ctx.Err()
		}
		time.Sleep(time.Millisecond)
		c = xpcpeer.Dial(xpcpeer.Unix(o.dir, nil), service, xpcpeer.Config{Policy: ownUser})
	}
	return drill{one: func() (time.Duration, error) { return call(c) }}, peer, nil
}

func call(c *xpcpeer.Conn) (time.Duration, error) {
	ctx, cancel := context.WithTimeout(context.Background(), callWithin)
	defer cancel()
	began := time.Now()
	d, err := c.Call(ctx, wire.Ping{}.Dict())
	took := time.Since(began)
	if err == nil {
		_, err = wire.ParsePong(d)
	}
	return took, err
}

func serveCall(o options) error {
	_, err := xpcpeer.Listen(xpcpeer.Unix(o.dir, nil), service, xpcpeer.Config{
		Policy: ownUser,
		Accept: func(*xpcpeer.Conn) (xpcpeer.Events, error) {
			return xpcpeer.Events{Message: func(_ *xpcpeer.Conn, m *xpcpeer.Message) {
				m.Reply(wire.Pong{Frames: 1}.Dict())
			}}, nil
		},
	})
	if err != nil {
		return err
	}
	select {}
}
