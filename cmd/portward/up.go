package main

import (
	"cmp"
	"context"
	"errors"
	"flag"
	"fmt"
	"net"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"golang.org/x/term"

	"portward/internal/capture"
	"portward/internal/program"
)

const upUsage = `usage: portward up [flags]

Runs the whole product here: builds its programs, makes a bundle, starts the
embedded job engine and plays logins, until Ctrl-C. Nothing is written outside
the root directory and Go's caches; a later up cleans what an earlier one left,
but for the viewer's certificate and token. rm -r of the root removes it all.

On a Mac launchd keeps the jobs, in the login of whoever runs this and under names
of their own, and the programs are signed by nobody. There is that one login. Its
frames are counted as viewers are told of them (with --idle not at all, for netchild
would stay), without gaps; --repo is for portward install.

  --root DIR          where (default: portward in the user's cache directory,
                      as root /var/lib/portward-up)
  --sessions N        logins to play (default 2, at most 32)
  --source KIND       auto, testcard, static or x11: what the logins show
                      (default auto: X11 where DISPLAY answers)
  --displays :1,:2    the X display of each login, and so many logins; implies
                      --source x11. All screens of a display are shown, each as
                      a picture of its own, "1" and "1.1", whichever :1.0 names;
                      frames, gaps and the exit status are those of the first
  --for DURATION      stop after so long, counted from the supervisor's start
  --json              one JSON report on stdout at the end, and nothing else
  --listen ADDR       the viewer's address (default 127.0.0.1:8443, or any free
                      port where that is taken); 0.0.0.0:PORT is all of them
  --idle D            netchild leaves after so long without a viewer
                      (default: never)
  --healthy D         netchild's healthy stretch: a death after it is not a
                      fast one (default 10s)
  --hang D            how long netchild may stand still (default 3s)
  --repo URL          begin with no netchild at all and install releases from
                      this repository (see portward publish --help); https,
                      and http from this machine itself
  --channel C         of the repository (default stable)
  --trust FILE        the root.json with which trust begins (default: what the
                      repository shows the first time)
  --ca FILE           PEM file with the only authorities to trust for HTTPS
  --proxy URL         how to reach it (default: as HTTPS_PROXY and NO_PROXY say)
  --limit N           bytes per second to download at most (default: no limit)
  --check-every D     between two looks at the repository (default 15s)
  --trial-window D    how long a release must be healthy (default 30s)

Exits 0 only if every login streamed: netchild released a frame of it; 64 for a
wrong command line, 75 when something is in the way now (go run makes 1 of each,
and of Ctrl-C). The report: {version, jobs: [{label, state, lives, restarts}],
sessions: [{id, frames, fps, gaps_ms, gaps_unknown}], payload: {state, version,
trial, denied, error}}; gaps_unknown is there, and true, where nobody measures gaps.
See docs/processes.md.
`

// maxSessions is how many logins are played at most.
const maxSessions = 32

// upOptions is the command line.
type upOptions struct {
	root     string
	sessions int
	source   string
	displays []string
	duration time.Duration
	json     bool
	listen   string // empty: the default
	idle     time.Duration
	healthy  time.Duration
	hang     time.Duration

	repo, channel, trust, ca, proxy string
	limit                           int64
	checkEvery, trialWindow         time.Duration
}

func parseUp(args []string) (upOptions, error) {
	o := upOptions{}
	fs := newFlags("up", upUsage)
	displays := o.define(fs)
	if err := parse(fs, args, upUsage); err != nil {
		return o, err
	}
	if fs.NArg() > 0 {
		return o, fmt.Errorf("up takes no argument %q", fs.Arg(0))
	}
	if *displays != "" {
		o.displays = strings.Split(*displays, ",")
	}
	given := map[string]bool{}
	fs.Visit(func(f *flag.Flag) { given[f.Name] = true })
	err := cmp.Or(o.checkLogins(given), o.checkSource(), o.checkTimes(given), o.checkListen(), o.checkRepository(given))
	if err != nil {
		return o, err
	}
	o.root, err = resolveRoot(fs.Lookup("root").Value.String())
	return o, err
}

// define makes the flags, but for --displays, whose text it answers.
func (o *upOptions) define(fs *flag.FlagSet) (displays *string) {
	fs.IntVar(&o.sessions, "sessions", 2, "")
	fs.StringVar(&o.source, "source", "auto", "")
	durationVar(fs, &o.duration, "for", 0)
	fs.BoolVar(&o.json, "json", false, "")
	fs.StringVar(&o.listen, "listen", "", "")
	durationVar(fs, &o.idle, "idle", 0)
	durationVar(fs, &o.healthy, "healthy", 0)
	durationVar(fs, &o.hang, "hang", 0)
	fs.StringVar(&o.repo, "repo", "", "")
	fs.StringVar(&o.channel, "channel", "", "")
	fs.StringVar(&o.trust, "trust", "", "")
	fs.StringVar(&o.ca, "ca", "", "")
	fs.StringVar(&o.proxy, "proxy", "", "")
	fs.Int64Var(&o.limit, "limit", 0, "")
	durationVar(fs, &o.checkEvery, "check-every", 15*time.Second)
	durationVar(fs, &o.trialWindow, "trial-window", 30*time.Second)
	return fs.String("displays", "", "")
}

// checkLogins settles how many there are and, by their displays, what they show.
func (o *upOptions) checkLogins(given map[string]bool) error {
	if n := len(o.displays); n > 0 {
		if given["source"] && o.source != "x11" {
			return fmt.Errorf("--displays and --source %s contradict each other", o.source)
		}
		if given["sessions"] && n != o.sessions {
			return fmt.Errorf("%s for %s", amount(uint64(n), "display"), amount(uint64(o.sessions), "session"))
		}
		o.source, o.sessions = "x11", n
	}
	if o.sessions < 1 || o.sessions > maxSessions {
		return fmt.Errorf("--sessions %d: between 1 and %d", o.sessions, maxSessions)
	}
	for _, d := range o.displays {
		if err := checkDisplay(d); err != nil {
			return fmt.Errorf("--displays: %w", err)
		}
	}
	return nil
}

// checkDisplay refuses what names no display of this machine.
func checkDisplay(name string) error {
	_, err := capture.X11Screen(name, 0)
	if err == nil {
		return nil
	}
	if _, bad := capture.X11Screen(":"+name, 0); bad == nil {
		return fmt.Errorf("%w\nhint: did you mean :%s?", err, name)
	}
	return err
}

func (o *upOptions) checkSource() error {
	switch o.source {
	case "auto", "testcard", "static":
	case "x11":
		if len(o.displays) == 0 && os.Getenv("DISPLAY") == "" {
			return errors.New("--source x11 without a display\nhint: set DISPLAY or give --displays")
		}
	default:
		return fmt.Errorf("--source %q: auto, testcard, static or x11", o.source)
	}
	return nil
}

func (o *upOptions) checkTimes(given map[string]bool) error {
	for name, d := range map[string]time.Duration{"for": o.duration, "idle": o.idle, "healthy": o.healthy, "hang": o.hang, "check-every": o.checkEvery, "trial-window": o.trialWindow} {
		switch {
		case d < 0 && name == "idle":
			return fmt.Errorf("--%s %v: must not be negative", name, d)
		case d < 0 || d == 0 && given[name] && name != "idle":
			return fmt.Errorf("--%s %v: must be longer than 0", name, d)
		}
	}
	return nil
}

func (o *upOptions) checkListen() error {
	if o.listen == "" {
		return nil
	}
	if _, _, err := net.SplitHostPort(o.listen); err != nil {
		return fmt.Errorf("--listen %s: %w\nhint: --listen 127.0.0.1:0 takes any free port", o.listen, err)
	}
	return nil
}

func (o *upOptions) checkRepository(given map[string]bool) error {
	if o.limit < 0 {
		return fmt.Errorf("--limit %d: it cannot be negative", o.limit)
	}
	if o.repo != "" {
		return checkAddress(o.repo)
	}
	for _, name := range []string{"channel", "trust", "ca", "proxy", "limit", "check-every", "trial-window"} {
		if given[name] {
			return fmt.Errorf("--%s says something about a repository, and there is none\nhint: --repo URL", name)
		}
	}
	return nil
}

func up(args []string) (int, error) {
	o, err := parseUp(args)
	if err != nil {
		return program.ExitUsage, err
	}
	keepOwn()
	ctx, cancel := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
	defer cancel()
	lock, err := takeRoot(o.root)
	if errors.Is(err, errBusy) {
		return program.ExitAgain, err
	}
	if err != nil {
		return program.ExitUsage, err
	}
	w := &world{o: o, show: newScreen(o.json, term.IsTerminal(int(os.Stdout.Fd())))}
	context.AfterFunc(ctx, cancel) // a second Ctrl-C is not held back by the stop
	rep, err := w.run(ctx)
	err = errors.Join(err, lock.leave())
	if bad := (badValue{}); errors.As(err, &bad) {
		return program.ExitUsage, err
	}
	if o.json {
		if werr := rep.write(os.Stdout); err == nil {
			err = werr
		}
	}
	switch {
	case err != nil:
		return program.ExitAgain, err // a port, a disk, a bundle: nothing that cannot happen
	case len(rep.Sessions) == 0 && !rep.uncounted:
		return program.ExitAgain, errors.New("stopped before anybody had logged in")
	case !rep.streamed():
		return program.ExitAgain, fmt.Errorf("not every login streamed: %s\nhint: portward explain; the logs are in %s/log", strings.Join(rep.blank(), ", "), o.root)
	}
	return program.ExitOK, nil
}
