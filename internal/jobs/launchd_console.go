package jobs

import (
	"context"
	"os"
	"os/user"
	"slices"
	"strconv"
	"syscall"
)

// firstUID is where the ids of people begin on a Mac. Below are accounts of the
// system, root at the login window and the assistant of a first start among them.
const firstUID = 500

// ownSessions is the Sessions of whoever gave none. refresh calls it, never twice
// at a time. A login that was seen once stays until its domain is gone: when
// users are switched, the one before goes on behind the other.
func (l *Launchd) ownSessions(ctx context.Context) ([]Session, error) {
	seen := slices.Clone(l.fronts)
	id := strconv.Itoa(l.front())
	if id != "0" && !slices.ContainsFunc(seen, func(s Session) bool { return s.ID == id }) {
		seen = append(seen, person(id))
	}
	var there []Session
	for _, s := range seen {
		a, err := l.run(ctx, "print", "gui/"+s.ID)
		if err != nil {
			return nil, err
		}
		if a.code == 0 {
			there = append(there, s)
		}
	}
	l.fronts = there
	return there, nil
}

// front is whose login this is, or who is in front of the machine; 0 for nobody.
func (l *Launchd) front() int {
	if l.o.UID != 0 {
		return l.o.UID
	}
	fi, err := os.Stat("/dev/console")
	if err != nil {
		return 0
	}
	st, ok := fi.Sys().(*syscall.Stat_t)
	if !ok || st.Uid < firstUID {
		return 0
	}
	return int(st.Uid)
}

func person(id string) Session {
	uid, _ := strconv.ParseUint(id, 10, 32)
	s := Session{ID: id, UID: uint32(uid), User: id, Type: Aqua}
	if u, err := user.LookupId(id); err == nil {
		gid, _ := strconv.ParseUint(u.Gid, 10, 32)
		s.User, s.GID = u.Username, uint32(gid)
	}
	return s
}
