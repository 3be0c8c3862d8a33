//go:build standin && !darwin

package macos_test

import (
	"strings"
	"testing"

	. "portward/internal/macos"
)

func service(t *testing.T, name string) *end {
	return newEnd(t, XPCConnectionCreateMachService(name, 0, XPCListener)).activate()
}

func client(t *testing.T, name string, flags uint64) *end {
	return newEnd(t, XPCConnectionCreateMachService(name, 0, flags)).activate()
}

// Rule: a name nobody has, and for the privileged one that is not root's, is invalid.
func TestUnknownName(t *testing.T) {
	checkLive(t)
	client(t, "nobody's", 0).drop()
	StandinLoad("a user's", false)
	client(t, "a user's", XPCPrivileged).drop()
	c := client(t, "a user's", 0)
	c.quiet()
	c.close()
}

// Rule: what is sent to a job that does not run waits for its listener.
func TestOnDemand(t *testing.T) {
	checkLive(t)
	StandinLoad("on demand", true)
	c := client(t, "on demand", XPCPrivileged)
	answer := c.call(1)
	c.send(2)
	sent := c.sent()
	select {
	case <-sent:
		t.Error("sent to nobody")
	default:
	}
	l := service(t, "on demand")
	p := l.accept().activate()
	m := p.next()
	p.reply(m, 3)
	XPCRelease(m)
	if n := p.message(); n != 2 {
		t.Error(n)
	}
	<-sent
	if got := <-answer; got != 3 {
		t.Error(got)
	}
	c.close()
	p.drop()
	l.close()
}

// Rule: a service's death interrupts its clients, whose connections then lead to
// the next one; the job's removal ends them.
func TestInterruption(t *testing.T) {
	checkLive(t)
	l := service(t, "mortal")
	c := client(t, "mortal", 0)
	c.send(0)
	p := l.accept().activate()
	p.message()
	answer := c.call(1)
	p.message() // unanswered
	if got := <-answer; got != -int64(XPCInterrupted) {
		t.Errorf("a message dropped unanswered: %d", got)
	}
	answer = c.call(2)
	held := p.next()
	StandinKill("mortal")
	c.fails(XPCInterrupted)
	if got := <-answer; got != -int64(XPCInterrupted) {
		t.Errorf("a pending reply got %d", got)
	}
	p.reply(held, 1) // too late, and harmless
	XPCRelease(held)
	p.drop()
	l.drop()

	c.send(3)
	l = service(t, "mortal")
	p = l.accept().activate()
	if n := p.message(); n != 3 {
		t.Error(n)
	}
	StandinUnload("mortal")
	c.fails(XPCInterrupted)
	c.drop()
	p.drop()
	l.drop()
}

// Rule: a peer that the server cancels is an interruption by name and the end by
// endpoint.
func TestServerCancels(t *testing.T) {
	checkLive(t)
	l := service(t, "moody")
	c := client(t, "moody", 0)
	for i := range int64(3) {
		c.send(i)
		p := l.accept().activate()
		if n := p.message(); n != i {
			t.Error(n)
		}
		p.close()
		c.fails(XPCInterrupted)
	}
	c.close()
	l.close()

	l, c, p := pair(t)
	p.close()
	c.drop()
	l.close()
}

// Rule: a name has one listener; a second one is invalid.
func TestSecondListener(t *testing.T) {
	checkLive(t)
	l := service(t, "taken")
	service(t, "taken").drop()
	l.close()
}

// Rule: a listener's requirement keeps a bad client's peer from ever being seen;
// the client is interrupted.
func TestListenerRequirement(t *testing.T) {
	checkLive(t)
	l := newEnd(t, XPCConnectionCreateMachService("guarded", 0, XPCListener))
	require(t, l.conn, `identifier "good"`)
	l.activate()
	bad := client(t, "guarded", 0)
	StandinSetIdentity(bad.conn, "bad")
	answer := bad.call(1)
	bad.fails(XPCInterrupted)
	if got := <-answer; got != -int64(XPCInterrupted) {
		t.Error(got)
	}
	l.quiet()
	good := client(t, "guarded", 0)
	StandinSetIdentity(good.conn, "good")
	good.send(2)
	p := l.accept().activate()
	if n := p.message(); n != 2 {
		t.Error(n)
	}
	good.close()
	p.drop()
	bad.close()
	l.close()
}

// Rule: a peer's own requirement destroys messages that do not satisfy it and
// says so; a client's replaces the reply.
func TestPeerRequirement(t *testing.T) {
	checkLive(t)
	l, c := anonymous(t)
	require(t, c.conn, `identifier "server"`)
	StandinSetIdentity(l.conn, "impostor")
	c.activate()
	answer := c.call(1)
	p := l.accept()
	require(t, p.conn, "deny")
	p.activate()
	p.fails(XPCPeerRequirement)
	if got := <-answer; got != -int64(XPCInterrupted) {
		t.Errorf("the call of a bad client got %d", got)
	}
	p.close()
	c.drop()

	endpoint := XPCEndpointCreate(l.conn)
	c = newEnd(t, XPCConnectionCreateFromEndpoint(endpoint))
	XPCRelease(endpoint)
	require(t, c.conn, `identifier "server"`)
	c.activate()
	answer = c.call(2)
	p = l.accept().activate()
	m := p.next()
	p.reply(m, 3)
	XPCRelease(m)
	if got := <-answer; got != -int64(XPCPeerRequirement) {
		t.Errorf("the reply of a bad server: %d", got)
	}
	p.send(4)
	c.fails(XPCPeerRequirement)
	c.close()
	p.drop()
	l.close()
}

func require(t *testing.T, conn Ref, text string) {
	t.Helper()
	if err := XPCConnectionSetPeerCodeSigningRequirement(conn, text); err != nil {
		t.Fatal(err)
	}
}

// Rule: a requirement that does not parse is an error at once, and does not count
// as set.
func TestRequirementSyntax(t *testing.T) {
	checkLive(t)
	l := newEnd(t, XPCConnectionCreate(0))
	if err := XPCConnectionSetPeerCodeSigningRequirement(l.conn, "a !!syntax b"); err == nil || !strings.Contains(err.Error(), "22") {
		t.Error(err)
	}
	require(t, l.conn, "always")
	l.activate().close()
}

// Rule: who the other side is is known at once on an accepted peer, and after
// the first exchange on a client's connection.
func TestCredentials(t *testing.T) {
	checkLive(t)
	l, c := anonymous(t)
	StandinSetCredentials(c.conn, 77, 501, 20)
	StandinSetCredentials(l.conn, 78, 0, 0)
	c.activate()
	if XPCConnectionGetPID(c.conn) != 0 || XPCConnectionGetEUID(c.conn) != 1<<32-1 {
		t.Error("a client knows its server before they met")
	}
	answer := c.call(1)
	p := l.accept()
	if XPCConnectionGetPID(p.conn) != 77 || XPCConnectionGetEUID(p.conn) != 501 || XPCConnectionGetEGID(p.conn) != 20 {
		t.Error("an accepted peer does not know its client")
	}
	p.activate()
	m := p.next()
	p.reply(m, 2)
	XPCRelease(m)
	<-answer
	if XPCConnectionGetPID(c.conn) != 78 || XPCConnectionGetEUID(c.conn) != 0 {
		t.Error("a client does not know its server after an exchange")
	}
	c.close()
	p.drop()
	l.close()
}

// Rule: errors without a name of ours, and objects of unknown types, are told apart.
func TestUnknownObjects(t *testing.T) {
	checkLive(t)
	o := StandinOtherCreate()
	if XPCTypeOf(o) != XPCTypeOther || XPCErrorOf(o) != XPCNotError {
		t.Error(XPCTypeOf(o), XPCErrorOf(o))
	}
	XPCRelease(o)
	l, c, p := pair(t)
	StandinTerminate(p.conn)
	p.fails(XPCTerminationImminent)
	c.close()
	p.drop()
	l.close()
}

// Rule: at most so many messages wait at a receiver; the rest, and the barriers
// behind it, wait at the sender.
func TestBarrierWaits(t *testing.T) {
	checkLive(t)
	l, c, p := pair(t)
	XPCConnectionSuspend(p.conn)
	for i := range int64(100) {
		c.send(i)
	}
	sent := c.sent()
	select {
	case <-sent:
		t.Error("a barrier overtook its messages")
	default:
	}
	XPCConnectionResume(p.conn)
	<-sent
	for i := range int64(100) {
		if n := p.message(); n != i {
			t.Fatal(n)
		}
	}
	c.close()
	p.drop()
	l.close()
}
