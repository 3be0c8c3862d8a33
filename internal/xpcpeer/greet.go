package xpcpeer

import (
	"fmt"

	"portward/internal/wire"
)

// The handshake. A server asks its policy about the client's evidence, then
// says welcome; the welcome is what proves the server to the client, whose
// policy is asked before anything of its owner's is sent.

// awaitWelcome is the client's side.
func (c *Conn) awaitWelcome(l link) error {
	p, err := l.receive()
	if err != nil {
		return err
	}
	if p.kind == kindFailure {
		return fmt.Errorf("%w: the other side said no", ErrRefused)
	}
	if p.kind != kindWelcome || p.id != protocol {
		p.dict.Close()
		return unexpected(p)
	}
	return c.judge(l)
}

// exchangeWelcomes is for sockets whose ends are alike.
func (c *Conn) exchangeWelcomes(l link) error {
	if err := c.sendWelcome(l); err != nil {
		return err
	}
	return c.awaitWelcome(l)
}

// judge asks the policy about the link's evidence.
func (c *Conn) judge(l link) error {
	e := l.evidence()
	c.mu.Lock()
	c.evidence = e
	c.mu.Unlock()
	if c.cfg.Policy == nil {
		return fmt.Errorf("%w: no policy", ErrRefused)
	}
	if err := c.cfg.Policy(e); err != nil {
		return fmt.Errorf("%w: %w", ErrRefused, err)
	}
	return nil
}

// meet asks the listener's owner for the events of an accepted connection.
func (c *Conn) meet() error {
	if c.cfg.Accept == nil {
		return fmt.Errorf("%w: nobody accepts", ErrRefused)
	}
	events, err := c.cfg.Accept(c)
	if err != nil {
		return fmt.Errorf("%w: %w", ErrRefused, err)
	}
	c.cfg.Events = events
	return nil
}

func (c *Conn) sendWelcome(l link) error {
	p, err := c.transport.pack(packet{kind: kindWelcome, id: protocol})
	if err != nil {
		return err
	}
	return l.send(p)
}

// refuse says no in place of a welcome.
func refuse(t Transport, l link) {
	l.hurry()
	if p, err := t.pack(packet{kind: kindFailure, code: codeRefused}); err == nil {
		l.send(p)
	}
}

func unexpected(p packet) error {
	return fmt.Errorf("%w: unexpected %v", wire.ErrMalformed, p.kind)
}
