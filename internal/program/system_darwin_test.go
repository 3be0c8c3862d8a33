package program

import (
	"os"
	"strconv"
	"testing"

	"portward/internal/jobs"
	"portward/internal/macos"
)

// Rule: people's logins are sessions, and so is root's login window; accounts of
// the system have none, nor has who is not let in yet.
func TestSessionOf(t *testing.T) {
	for _, c := range []struct {
		user macos.ConsoleUser
		kind jobs.SessionType // "": none
	}{
		{macos.ConsoleUser{UID: 501, Name: "a", LoginDone: true}, jobs.Aqua},
		{macos.ConsoleUser{UID: 501, Name: "a"}, ""},
		{macos.ConsoleUser{UID: 0}, jobs.LoginWindow},
		{macos.ConsoleUser{UID: 248, LoginDone: true}, ""}, // _mbsetupuser
	} {
		s, ok := sessionOf(c.user)
		if ok != (c.kind != "") || ok && (s.Type != c.kind || s.ID != strconv.Itoa(int(c.user.UID)) || s.UID != c.user.UID) {
			t.Errorf("%+v: %+v, %v", c.user, s, ok)
		}
	}
}

// Rule: nobody but its owner has launchd do anything for a product.
func TestOwner(t *testing.T) {
	p := &Program{Root: "/"}
	if uid, err := p.owner(); uid != 0 || err != nil {
		t.Errorf("%d, %v", uid, err)
	}
	if _, err := p.systemEngine(); (err == nil) != (os.Geteuid() == 0) {
		t.Error(err)
	}
}
