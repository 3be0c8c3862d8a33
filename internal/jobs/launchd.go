package jobs

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"syscall"
	"time"
)

// LaunchdOptions of an engine that has launchd keep the jobs. Its functions are
// called by several goroutines; they must not call the engine.
type LaunchdOptions struct {
	// Launchctl is the program, "/bin/launchctl" if empty.
	Launchctl string
	// UID is 0 for the engine of the machine, which has to be root. Otherwise it
	// is the user in whose login everything lives: the domain system too means
	// gui/UID then, which is how a demonstration runs without privileges.
	UID int
	// Sessions answers the logins, oldest first, with the user's id in decimal
	// as ID. The engine of the machine has to be given it; with nil it is the one
	// login of UID.
	Sessions func(context.Context) ([]Session, error)
	// Poll is how often Sessions is asked, and a job that is followed and does not
	// run is looked at; 2 s if 0.
	Poll time.Duration
	// Jobs are what List describes beside the jobs that this engine has loaded:
	// "system/LABEL", or "gui/LABEL" in every session.
	Jobs []Target
	// Plist answers where the file of a job lies that an earlier engine, or
	// launchd itself, has loaded; Hold needs it. With nil it is LABEL.plist in
	// /Library/LaunchDaemons or /Library/LaunchAgents.
	Plist func(Target) string
	// Follow are jobs whose lives are looked for, each under its full name:
	// "system/LABEL" or "gui/UID/LABEL". See Launchd.
	Follow []Target
	// Log may be nil.
	Log func(format string, args ...any)
}

// Launchd is the engine whose jobs launchd keeps. Its methods may be called
// from any goroutine.
//
// Everything is done by launchctl(1), and believed by its exit code. Of texts
// only two numbers of `list LABEL` are read, and one of print where a job is
// followed. So it knows less than other engines, and says so instead of guessing:
//
//   - A job has no life numbers: Life and Restarts are 0, Since is no time. Watch
//     reports Loaded, Unloaded and the sessions, but neither starts nor deaths.
//     Whoever needs them has it followed.
//   - A job that is followed (LaunchdOptions.Follow) is looked at whenever this
//     engine is asked about it or has acted on it, when its process ends, and
//     every Poll while it has none. Watch reports what is new then, and State has
//     its numbers; the first look begins them, with launchd's own count of runs
//     since the load. A life that began and ended between two looks is reported by
//     its end alone, without a process, or as a start that failed if its code is 78;
//     but only if that count tells of it, which stands in a text that is no API.
//     Without it such a life is seen if it ended badly and not as the one before.
//     What was unloaded is told as ended well.
//   - Last is only a bad end. launchd says 0 of a job that ended well and of one
//     that never ended.
//   - List describes the jobs of Options.Jobs and those loaded here.
//   - Kickstart knows a start that failed from launchd's code, or from the exit
//     code 78 that launchd gives to a job whose program is missing.
//
// launchd has no Hold. Here the job is booted out and loaded again when the time
// has come: its service name and its ports are gone meanwhile, and clients,
// instead of waiting in a queue, are told that their connection is invalid. A
// life is never ended for that: while the job runs, its process is watched, and
// the job is booted out when it is over. Between those two moments a client may
// start it again. launchd does not start a job twice within ThrottleInterval,
// so that cannot happen to a life shorter than that, and the hold of a life that
// was longer waits for the next end.
//
// A hold lives in the engine. After Close, or after a death, a held job stays
// unloaded: the next engine finds it as not loaded, and whoever owns it loads
// it, as after an installation. So does launchd at the next start of the machine
// where the file lies in its own directory.
//
// An agent in the domain GUI is loaded into each session once, unless launchd
// has done so at the login. Bootout cannot keep launchd from doing it again at
// the next one: the file in /Library/LaunchAgents has to go.
type Launchd struct {
	o     LaunchdOptions
	run   func(ctx context.Context, args ...string) (answer, error)
	proc  processes
	times launchdTimes
	feed  feed

	life    context.Context // ends with Close
	end     context.CancelFunc
	tasks   sync.WaitGroup
	polling chan struct{} // holds the one who asks for sessions
	entries complaint     // of whoever holds polling: agents that were not loaded

	mu       sync.Mutex
	units    map[Target]*unit
	agents   []*Spec // of the domain GUI
	sessions []Session

	trails map[Target]*trail // of the jobs that are followed
}

// processes are the machine's, as far as they are looked at from here.
type processes struct {
	alive func(pid int) bool // cheap; a wrong yes costs only time
	await func(ctx context.Context, pid int)
}

var _ Engine = (*Launchd)(nil)

// launchdTimes are how long things take on a Mac.
type launchdTimes struct {
	settle time.Duration // what a passing refusal is waited for
	pause  time.Duration // between two tries or two looks
	watch  time.Duration // between two looks at a process to be held
}

// settle: launchd was seen to refuse a bootstrap for five seconds after a
// bootout. The bound is twice that.
func launchdPace() launchdTimes {
	return launchdTimes{settle: 10 * time.Second, pause: 250 * time.Millisecond, watch: 20 * time.Millisecond}
}

// NewLaunchd makes the engine. It lives until Close.
func NewLaunchd(o LaunchdOptions) (*Launchd, error) {
	if o.Launchctl == "" {
		o.Launchctl = "/bin/launchctl"
	}
	fi, err := os.Stat(o.Launchctl)
	switch {
	case err != nil:
		return nil, wrap("start", "launchd engine", fmt.Errorf("%w\nhint: launchd is a part of macOS", err))
	case !filepath.IsAbs(o.Launchctl) || !fi.Mode().IsRegular() || fi.Mode()&0o111 == 0:
		return nil, wrap("start", "launchd engine", fmt.Errorf("%s is not the absolute path of a program", o.Launchctl))
	case o.UID == 0 && o.Sessions == nil:
		return nil, wrap("start", "launchd engine", errors.New("nobody tells the machine's engine of its logins"))
	}
	return newLaunchd(o, launchctl{o.Launchctl, launchctlWithin}.run, processes{alive, awaitEnd}, launchdPace()), nil
}

func newLaunchd(o LaunchdOptions, run func(context.Context, ...string) (answer, error), proc processes, times launchdTimes) *Launchd {
	if o.Poll <= 0 {
		o.Poll = 2 * time.Second
	}
	if o.Plist == nil {
		o.Plist = installedPlist
	}
	l := &Launchd{o: o, run: run, proc: proc, times: times, polling: make(chan struct{}, 1), units: map[Target]*unit{}, trails: follows(o.Follow)}
	if l.o.Sessions == nil {
		l.o.Sessions = l.ownSession
	}
	l.life, l.end = context.WithCancel(context.Background())
	l.tasks.Go(l.pollSessions)
	for _, tr := range l.trails {
		l.tasks.Go(func() { l.walk(tr) })
	}
	return l
}

// Close ends the engine and every watch. It touches no job: those are launchd's,
// and a held one stays unloaded.
func (l *Launchd) Close() {
	l.mu.Lock()
	l.end()
	l.mu.Unlock()
	l.tasks.Wait()
	l.feed.close()
}

// Watch is Engine's, as far as launchd tells: see Launchd.
func (l *Launchd) Watch(ctx context.Context) (<-chan Event, error) {
	events, err := l.feed.watch(ctx)
	return events, wrap("watch", "jobs", err)
}

func (l *Launchd) emit(k EventKind, t Target, s *Session) {
	l.feed.send(Event{Kind: k, Target: t, Session: s, Time: time.Now()})
}

func (l *Launchd) logf(format string, args ...any) {
	if l.o.Log != nil {
		l.o.Log(format, args...)
	}
}

func installedPlist(t Target) string {
	dir := "/Library/LaunchDaemons"
	if t.Session() != "" {
		dir = "/Library/LaunchAgents"
	}
	return filepath.Join(dir, t.Label()+".plist")
}

// alive tells whether there is such a process, another's too.
func alive(pid int) bool { return pid > 0 && syscall.Kill(pid, 0) != syscall.ESRCH }

// sleep waits, and tells whether ctx has not ended.
func sleep(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-t.C:
		return true
	}
}
