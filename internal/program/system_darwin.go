package program

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strconv"
	"syscall"

	"golang.org/x/sys/unix"

	"portward/internal/jobs"
	"portward/internal/macos"
	"portward/internal/xpcpeer"
	"portward/launchd"
)

// owner answers whose the product is: root's, and then its jobs live in launchd's
// domain system, or a user's, whose login has a demonstration of it. The owner of
// its directory says so.
func (p *Program) owner() (int, error) {
	info, err := os.Stat(p.Root)
	if err != nil {
		return 0, err
	}
	st, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return 0, fmt.Errorf("%s: %w", p.Root, errors.ErrUnsupported)
	}
	return int(st.Uid), nil
}

// Transport answers the namespace in which the product's services live. Where
// they are daemons', nothing that a user has put before root's names is found.
func (p *Program) Transport() xpcpeer.Transport {
	uid, err := p.owner()
	return xpcpeer.XPC(xpcpeer.XPCOptions{Privileged: err != nil || uid == 0, Log: Log("peers")})
}

// systemEngine is launchd. Only the product's owner may have it do anything.
func (p *Program) systemEngine() (jobs.Engine, error) {
	uid, err := p.owner()
	if err != nil {
		return nil, err
	}
	if uid != os.Geteuid() {
		return nil, fmt.Errorf("%s belongs to uid %d, and this program runs as uid %d", p.Root, uid, os.Geteuid())
	}
	o := jobs.LaunchdOptions{
		UID: uid, Log: Log("launchd"),
		Plist: func(t jobs.Target) string { return p.plistNamed(t.Label()) },
	}
	for _, label := range []string{launchd.Supervisor, launchd.NetChild, launchd.Rescue} {
		o.Jobs = append(o.Jobs, jobs.MakeTarget(jobs.System, p.Name(label)))
	}
	o.Jobs = append(o.Jobs, jobs.MakeTarget(jobs.GUI, p.Name(launchd.GUIAgent)))
	o.Follow = []jobs.Target{jobs.MakeTarget(jobs.System, p.Name(launchd.NetChild))}
	if uid == 0 {
		o.Sessions = Logins
	}
	e, err := jobs.NewLaunchd(o)
	if err != nil {
		return nil, err
	}
	return e, nil
}

// Logins are those that the window server has: people's, behind each other too, and
// the login window.
func Logins(context.Context) ([]jobs.Session, error) {
	users, err := macos.ConsoleUsers()
	if err != nil {
		return nil, err
	}
	var list []jobs.Session
	for _, u := range users {
		if s, ok := sessionOf(u); ok {
			list = append(list, s)
		}
	}
	return list, nil
}

// firstPerson is where the uids of people begin. Those between root and them
// belong to the system, as the assistant's of a first start.
const firstPerson = 500

// sessionOf answers a person's login, or the login window, which is root's until
// somebody is let in.
func sessionOf(u macos.ConsoleUser) (jobs.Session, bool) {
	s := jobs.Session{ID: strconv.FormatUint(uint64(u.UID), 10), UID: u.UID, User: u.Name, Type: jobs.Aqua}
	if !u.LoginDone {
		s.Type = jobs.LoginWindow
	}
	return s, u.LoginDone && u.UID >= firstPerson || !u.LoginDone && u.UID == 0
}

// ownSession is what the engine calls the login of whom this runs as: launchd
// tells its jobs nothing.
func ownSession() string { return strconv.Itoa(os.Geteuid()) }

// learnPeers: every XPC connection asks the system for a requirement. The one of
// a product that a team has signed is that its peers are the same team's; the
// product's file of peers goes before that.
func (p *Program) learnPeers(identifiers []string) error {
	if len(identifiers) == 0 {
		return nil // who speaks to nobody runs also where that file is broken: the rescue
	}
	peers, err := readPeers(PeersPath(p.Root))
	if err != nil {
		return err
	}
	self, err := os.Executable()
	if err != nil {
		return err
	}
	code, err := macos.ReadStaticCode(self)
	if err != nil && len(peers) == 0 {
		return err
	}
	p.peers, p.team = peers, code.TeamIdentifier
	return p.checkPeers(identifiers)
}

// Runs is for Config.Requirement to know: the system asks every peer for the
// signature of one of these programs before its evidence is there. What it runs
// is not shown, and numbers prove nothing. Only a transport that is not XPC
// would get anybody in, and production has none.
func Runs(*xpcpeer.Evidence, Identifier, ...string) error { return nil }

// Socket answers the listening socket of that name in the job's Sockets, which
// launchd holds. Plists of the product have one address for each.
func (p *Program) Socket(name string) (*os.File, error) {
	if f := p.Files[name]; f != nil {
		return f, nil
	}
	fds, err := macos.LaunchActivateSocket(name)
	if err != nil || len(fds) == 0 {
		return nil, err
	}
	for _, fd := range fds {
		syscall.CloseOnExec(fd)
	}
	for _, fd := range fds[1:] {
		syscall.Close(fd)
	}
	return os.NewFile(uintptr(fds[0]), name), nil
}

// BootID names this boot of the machine: sysctl kern.bootsessionuuid.
func BootID() string {
	id, _ := unix.Sysctl("kern.bootsessionuuid")
	return id
}
