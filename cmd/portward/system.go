package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"

	"portward/internal/jobs"
	"portward/internal/program"
	"portward/launchd"
)

const installUsage = `usage: sudo portward install [flags] BUNDLE

Puts BUNDLE, which portward pack made and portward sign signed, into this Mac: the
bundle under /Library/Application Support/Portward, the supervisor's job into
/Library/LaunchDaemons and the agent's into /Library/LaunchAgents, and accounts of
the system's for what is not root. Then it starts them. What macOS asks people for,
it explains. To do it again is harmless; another version than the installed one is
installed by the product itself, or after portward uninstall.

  --repo URL      the repository of releases; the bundle is a seed then, made by
                  portward pack --seed, and fetches the rest
  --trust FILE    that repository's metadata/1.root.json
  --channel C     of the repository (stable)
  --ad-hoc        be content with a bundle that nobody signed; it takes no releases,
                  whose programs would be strangers to its own
`

const uninstallUsage = `usage: sudo portward uninstall [--purge]

Ends the product's jobs on this Mac and removes what portward install put there.
Configuration, state and logs stay.

  --purge  remove those too, and the accounts
`

// An installing is the command line.
type installing struct {
	bundle               string
	repo, trust, channel string
	adHoc                bool
}

func installVerb(args []string) (int, error) {
	o, err := parseInstalling(args)
	if err != nil {
		return program.ExitUsage, err
	}
	return onSystem(func(ctx context.Context, s *system) error { return s.install(ctx, o) })
}

func parseInstalling(args []string) (o installing, err error) {
	flags := toolFlags("install")
	flags.StringVar(&o.repo, "repo", "", "")
	flags.StringVar(&o.trust, "trust", "", "")
	flags.StringVar(&o.channel, "channel", "", "")
	flags.BoolVar(&o.adHoc, "ad-hoc", false, "")
	rest, err := parseMixed(flags, args, installUsage)
	switch {
	case err != nil:
		return o, err
	case len(rest) != 1:
		return o, errors.New("install takes one bundle\nhint: portward install --help")
	case (o.repo == "") != (o.trust == ""):
		return o, errors.New("--repo URL and --trust FILE belong together\nhint: the file is the repository's metadata/1.root.json; get it from whoever publishes, not from the repository")
	case o.adHoc && o.repo != "":
		return o, errStrangers
	case o.channel != "" && o.repo == "":
		return o, errors.New("--channel says something about a repository, and there is none\nhint: --repo URL --trust FILE")
	}
	o.bundle = rest[0]
	if o.repo != "" {
		err = checkAddress(o.repo)
	}
	return o, err
}

// errStrangers: programs that nobody signed know each other by their hashes, which
// are those of one release.
var errStrangers = errors.New("what nobody signed takes no releases: their programs would be strangers to its own\nhint: without a repository, or a bundle signed by a team: portward sign --p12")

func uninstallVerb(args []string) (int, error) {
	flags := toolFlags("uninstall")
	purge := flags.Bool("purge", false, "")
	rest, err := parseMixed(flags, args, uninstallUsage)
	if err == nil && len(rest) > 0 {
		err = fmt.Errorf("uninstall takes no argument %q", rest[0])
	}
	if err != nil {
		return program.ExitUsage, err
	}
	return onSystem(func(ctx context.Context, s *system) error { return s.uninstall(ctx, *purge) })
}

func onSystem(do func(context.Context, *system) error) (int, error) {
	s, err := openSystem()
	if err != nil {
		return program.ExitUsage, err
	}
	defer s.close()
	ctx, cancel := signal.NotifyContext(context.Background(), os.Interrupt)
	defer cancel()
	if err := do(ctx, s); err != nil {
		return exitData, err
	}
	return program.ExitOK, nil
}

// A system is a Mac, as install and uninstall see it.
type system struct {
	prefix   string     // before every path: empty, but in tests
	anchors  [][32]byte // whose signatures are believed: Apple's where empty, as but in tests
	engine   jobs.Engine
	accounts interface {
		ensure(ctx context.Context) (accounts, error) // makes those that are missing
		remove(ctx context.Context) error
	}
	say   func(string, ...any)
	close func()
}

// accounts are whom the product runs as besides root and the people.
type accounts struct{ netchild, fetch, probe uint32 }

func (s *system) root() string { return s.prefix + launchd.Prefix }

// daemon and agent answer where launchd looks for their jobs when the machine
// starts and when somebody logs in.
func (s *system) daemon(label string) string {
	return filepath.Join(s.prefix, "/Library/LaunchDaemons", label+".plist")
}

func (s *system) agent(label string) string {
	return filepath.Join(s.prefix, "/Library/LaunchAgents", label+".plist")
}

// load has launchd keep the jobs from now on, the supervisor's first. It loads
// netchild's itself, when there is one. What macOS has switched off stays off, and
// people are told where they switch it on.
func (s *system) load(ctx context.Context) error {
	if err := s.loadOne(ctx, jobs.System, s.daemon(launchd.Supervisor)); err != nil {
		return err
	}
	if err := s.loadOne(ctx, jobs.GUI, s.agent(launchd.GUIAgent)); err != nil {
		return err
	}
	s.say("macOS tells people that Portward runs in the background: that is expected.")
	s.say("It asks each of them once whether Portward may record the screen. Who wants to be seen\n" +
		"switches it on under System Settings > Privacy & Security > Screen & System Audio Recording;\n" +
		"until then the agent waits.")
	return nil
}

func (s *system) loadOne(ctx context.Context, d jobs.Domain, path string) error {
	switch err := s.engine.Bootstrap(ctx, d, path); {
	case err == nil, errors.Is(err, jobs.ErrAlreadyLoaded):
		return nil
	case errors.Is(err, jobs.ErrDisabled):
		s.say("%s is switched off on this Mac, and installed all the same. Switch Portward on under\n"+
			"System Settings > General > Login Items & Extensions, and it starts.", filepath.Base(path))
		return nil
	case d == jobs.GUI && (errors.Is(err, jobs.ErrNoSession) || errors.Is(err, jobs.ErrSessionType)):
		return nil // it comes with the next login
	default:
		return err
	}
}

// unload ends the jobs: what starts others before what is started. The rescue's
// starts the supervisor, which loads it for a trial, so that it may be there again.
func (s *system) unload(ctx context.Context) error {
	for _, t := range []jobs.Target{
		jobs.MakeTarget(jobs.GUI, launchd.GUIAgent), rescueTarget, supervisorTarget, rescueTarget, netchildTarget,
	} {
		err := s.engine.Bootout(ctx, t)
		if err != nil && !errors.Is(err, jobs.ErrNotLoaded) && !errors.Is(err, jobs.ErrNoSession) {
			return err
		}
	}
	return nil
}
