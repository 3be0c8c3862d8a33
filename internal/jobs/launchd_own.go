package jobs

import (
	"context"
	"os/user"
	"strconv"
)

// ownSession is the Sessions of a user's engine that was given none: the user's
// login, while launchd has its domain.
func (l *Launchd) ownSession(ctx context.Context) ([]Session, error) {
	id := strconv.Itoa(l.o.UID)
	a, err := l.run(ctx, "print", "gui/"+id)
	if err != nil || a.code != 0 {
		return nil, err
	}
	return []Session{person(id)}, nil
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
