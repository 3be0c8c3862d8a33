//go:build darwin || standin

package macos

import (
	"errors"
	"sync"
)

var session = sync.OnceValues(need[sessionSymbols])

// A ConsoleUser is a graphical session: somebody's, or the login window's.
type ConsoleUser struct {
	UID       uint32
	Name      string
	LoginDone bool // false: the login window
}

// ConsoleUsers is what SCDynamicStoreCopyValue, SCDynamicStore.h, macOS 10.1,
// has under State:/Users/ConsoleUser. The keys are the window server's own
// names, with their one S and two. None if nobody is there.
func ConsoleUsers() ([]ConsoleUser, error) {
	s, err := session()
	if err != nil {
		return nil, err
	}
	c, err := cf()
	if err != nil {
		return nil, err
	}
	name, key := c.cfString("portward"), c.cfString("State:/Users/ConsoleUser")
	defer CFRelease(name)
	defer CFRelease(key)
	store := s.SCDynamicStoreCreate(0, name, 0, 0)
	if store == 0 {
		return nil, errors.New("dynamic store: no connection")
	}
	defer CFRelease(store)
	state := s.SCDynamicStoreCopyValue(store, key)
	defer CFRelease(state)
	var users []ConsoleUser
	for _, d := range c.items(c.get(state, "SessionInfo")) {
		if u, ok := c.consoleUser(d); ok {
			users = append(users, u)
		}
	}
	return users, nil
}

// consoleUser wants at least an owner.
func (c *cfSymbols) consoleUser(d Ref) (ConsoleUser, bool) {
	uid, ok := c.number(c.get(d, "kCGSSessionUserIDKey"))
	done, _ := c.number(c.get(d, "kCGSessionLoginDoneKey"))
	return ConsoleUser{
		UID:       uint32(uid),
		Name:      c.text(c.get(d, "kCGSSessionUserNameKey")),
		LoginDone: done != 0,
	}, ok && uid >= 0 && uid <= 1<<32-1
}
