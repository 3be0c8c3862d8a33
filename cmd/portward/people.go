package main

import (
	"fmt"
	"net"
	"os"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"

	"portward/internal/jobs"
	"portward/launchd"
)

// The targets this program speaks of.
var (
	supervisorTarget = jobs.MakeTarget("system", launchd.Supervisor)
	netchildTarget   = jobs.MakeTarget("system", launchd.NetChild)
	rescueTarget     = jobs.MakeTarget("system", launchd.Rescue)
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
	fetch, probe   uint32 // whom the supervisor's own children run as
	sessions       []jobs.Session
	reserved       []net.PacketConn
	socketMode     os.FileMode // of services: who may connect is the service's own policy
}

func newPeople(logins int) (people, error) {
	uid := uint32(os.Geteuid())
	p := people{self: uid, netchild: uid, fetch: uid, probe: uid, socketMode: 0o600}
	next := func() (uint32, error) { return uid, nil }
	if uid == 0 {
		p.socketMode = 0o666
		busy := busyUIDs()
		n := firstUID - 1
		next = func() (uint32, error) {
			for n++; n <= lastUID; n++ {
				if _, err := user.LookupId(strconv.Itoa(n)); err != nil && !busy[n] && p.reserve(n) {
					return uint32(n), nil
				}
			}
			return 0, fmt.Errorf("no unused uid between %d and %d", firstUID, lastUID)
		}
	}
	var err error
	for _, account := range []*uint32{&p.netchild, &p.fetch, &p.probe} {
		if *account, err = next(); err != nil {
			return p, err
		}
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

// busyUIDs answers the uids that a process runs under, real or effective,
// proc(5). (The owner of /proc/PID is root where a process hides.)
func busyUIDs() map[int]bool {
	busy := map[int]bool{}
	files, _ := filepath.Glob("/proc/[0-9]*/status")
	for _, path := range files {
		b, _ := os.ReadFile(path)
		for line := range strings.Lines(string(b)) {
			if ids, ok := strings.CutPrefix(line, "Uid:"); ok {
				for _, id := range strings.Fields(ids) {
					n, _ := strconv.Atoi(id)
					busy[n] = true
				}
			}
		}
	}
	return busy
}

// reserve keeps a uid for this `up` while it lives: a netchild that is idle
// runs nothing under its uid. The reservation is an abstract socket, unix(7),
// which leaves nothing behind.
func (p *people) reserve(uid int) bool {
	c, err := net.ListenPacket("unixgram", fmt.Sprintf("@portward-up-uid-%d", uid))
	if err != nil {
		return false
	}
	p.reserved = append(p.reserved, c)
	return true
}

// leave gives the uids back.
func (p people) leave() {
	for _, c := range p.reserved {
		c.Close()
	}
}

// account is how the engine finds the plists' UserName.
func (p people) account(name string) (uid, gid uint32, ok bool) {
	if name == "_portward" {
		return p.netchild, p.netchild, true
	}
	return 0, 0, false
}
