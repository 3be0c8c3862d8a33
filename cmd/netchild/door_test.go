package main

import (
	"testing"

	"portward/internal/surface"
	"portward/internal/wire"
	"portward/internal/xpcpeer"
)

// Rule: nobody has more than half of the places, and whoever has all that others can
// get keeps the probe of a trial out no more than who is not there.
func TestProbesPlace(t *testing.T) {
	const probe = 60133
	n := &netchild{logins: newLogins(), agents: map[*xpcpeer.Conn]*agent{}, accounts: map[string]*surface.Account{}}
	fill := func(uid uint32) (got int) {
		for n.admit(&xpcpeer.Conn{}, &agent{uid: uid}) == nil {
			got++
		}
		return got
	}
	if one, two, three := fill(501), fill(502), fill(503); one != maxAgents/2 || two != maxAgents/2-1 || three != 0 {
		t.Errorf("they get %d, %d, %d of %d", one, two, three, maxAgents)
	}
	if fill(probe) != 0 {
		t.Error("without a trial that uid is like any other")
	}
	n.logins.tell([]wire.SessionInfo{{ID: "1", UID: 501}, {ID: wire.ProbeSession, UID: probe}})
	if fill(501) != 0 || fill(probe) != 1 {
		t.Error("the probe has no place, or not alone")
	}
}
