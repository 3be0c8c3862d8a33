package main

import (
	"fmt"
	"os"

	"portward/internal/xpcpeer"
)

// firstPerson is where the uids of people begin; netchild's account is below.
const firstPerson = 500

// orService asks, beside the signature that the system has found good, for the
// agent's own user or an account of the system: no other person's copy of the
// product has anything to do with this agent.
func (a *agent) orService(ev *xpcpeer.Evidence, seen error) error {
	if seen == nil && int(ev.UID) != os.Geteuid() && ev.UID >= firstPerson {
		return fmt.Errorf("uid %d is neither this user nor a service", ev.UID)
	}
	return seen
}
