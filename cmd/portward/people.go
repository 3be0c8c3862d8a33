package main

import (
	"fmt"
	"os"
	"os/user"
	"path/filepath"
	"strconv"

	"portward/internal/jobs"
	"portward/launchd"
)

// The targets this program speaks of.
var (
	supervisorTarget = jobs.MakeTarget("system", launchd.Supervisor)
	netchildTarget   = jobs.MakeTarget("system", launchd.NetChild)
)

func agentTarget(session string) jobs.Target {
	return jobs.MakeTarget(jobs.Domain("gui/"+session), launchd.GUIAgent)
}

// firstUID is where unused uids are looked for: systemd's range for dynamic
// users (systemd.exec(5), DynamicUser=), which no distribution gives to people.
const firstUID, lastUID = 61184, 65519

// people are the accounts that the product runs under. As an ordinary user all
// are the caller; as root netchild and each login have an unused uid of their
// own.
type people struct {
	self, netchild uint32
	sessions       []jobs.Session
	socketMode     os.FileMode // of services: who may connect is the service's own policy
}

func newPeople(logins int) (people, error) {
	uid := uint32(os.Geteuid())
	p := people{self: uid, netchild: uid, socketMode: 0o600}
	next := func() (uint32, error) { return uid, nil }
	if uid == 0 {
		p.socketMode = 0o666
		busy := busyUIDs()
		n := firstUID - 1
		next = func() (uint32, error) {
			for n++; n <= lastUID; n++ {
				if _, err := user.LookupId(strconv.Itoa(n)); err != nil && !busy[n] {
					return uint32(n), nil
				}
			}
			return 0, fmt.Errorf("no unused uid between %d and %d", firstUID, lastUID)
		}
	}
	var err error
	if p.netchild, err = next(); err != nil {
		return p, err
	}
	for i := range logins {
		u, err := next()
		if err != nil {
			return p, err
		}
		gid := u
		if uid != 0 {
			gid = uint32(os.Getegid())
		}
		p.sessions = append(p.sessions, jobs.Session{ID: strconv.Itoa(i + 1), UID: u, GID: gid, User: fmt.Sprintf("login%d", i+1)})
	}
	return p, nil
}

// busyUIDs answers the uids that own a process, proc(5).
func busyUIDs() map[int]bool {
	busy := map[int]bool{}
	dirs, _ := filepath.Glob("/proc/[0-9]*")
	for _, d := range dirs {
		if fi, err := os.Stat(d); err == nil {
			busy[int(ownerOf(fi))] = true
		}
	}
	return busy
}

// account is how the engine finds the plists' UserName.
func (p people) account(name string) (uid, gid uint32, ok bool) {
	if name == "_portward" {
		return p.netchild, p.netchild, true
	}
	return 0, 0, false
}
