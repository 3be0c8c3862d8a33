package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"syscall"
	"time"

	"github.com/cenkalti/backoff/v4"

	"portward/internal/bundle"
	"portward/internal/config"
	"portward/internal/durable"
	"portward/internal/jobs"
	"portward/internal/program"
	"portward/internal/request"
	"portward/internal/status"
	"portward/internal/update"
	"portward/internal/update/pipe"
	"portward/internal/update/tufrepo"
	"portward/launchd"
)

// updateConfig says where the updater of a product's root finds things.
func updateConfig(root string, cfg config.Config) (update.Config, error) {
	dir := program.UpdateDir(root)
	if err := durable.MkdirAll(dir, 0o700); err != nil {
		return update.Config{}, err
	}
	machine, err := program.MachineID(filepath.Join(dir, "machine"))
	if err != nil {
		return update.Config{}, err
	}
	u := cfg.Update
	return update.Config{
		Live: program.BundleDir(root), Dir: dir, RetainedSeal: program.RetainedSeal(root),
		Repo: u.Repo != "", Channel: u.Channel, Platform: bundle.HostPlatform(),
		Machine: machine, Boot: program.BootID(),
		Every: time.Duration(u.Every), TrialWindow: time.Duration(u.TrialWindow), MaxLease: time.Duration(u.MaxLease),
		Attempts: 3,
		Backoff: backoff.NewExponentialBackOff(
			backoff.WithInitialInterval(2*time.Second),
			backoff.WithMaxInterval(max(time.Duration(u.Every), 2*time.Second)),
			backoff.WithMaxElapsedTime(0),
		),
	}, nil
}

// openUpdater recovers whatever an interrupted update left: the first thing a
// supervisor does.
func (s *supervisor) openUpdater() error {
	cfg, err := updateConfig(s.p.Root, s.cfg)
	if err != nil {
		return err
	}
	rootIn := func(dir string) []byte {
		root, _ := os.ReadFile(filepath.Join(bundle.Layout(dir).Tuf(), "root.json")) // no seal covers it
		return root
	}
	var trust update.Trust
	if trust, err = tufrepo.OpenAny(filepath.Join(cfg.Dir, "trust"), program.Built(),
		rootIn(cfg.Live), nil, rootIn(filepath.Join(cfg.Dir, "beside", bundle.Name))); err != nil {
		s.log("nobody is trusted: %v", err)
		trust = nobody{fmt.Errorf("nobody is trusted: %w", err)}
	}
	s.history = &history{store: s.store, log: s.log}
	s.updater, err = update.Open(cfg, update.Env{
		Fetch: s.fetch, Verify: s.verify, Qualify: s.qualify, Rescue: s.rescueJob, Trial: s.trial, Stop: s.stopAll, Report: s.reportPayload,
	}, trust)
	return err
}

// belongsHere makes sure that this process runs from the live bundle: the
// rescue job may have exchanged it since the engine started it.
func (s *supervisor) belongsHere() error {
	self, _ := os.Executable()
	f, err := os.Open(self)
	if errors.Is(err, os.ErrNotExist) {
		return update.ErrHandOver // and so its bundle is gone
	}
	defer f.Close()
	if live := s.updater.Live(); err == nil && live != nil {
		_, err = live.Identify(f)
	}
	if errors.Is(err, bundle.ErrUnknown) {
		return update.ErrHandOver
	}
	return err
}

// nobody is whom a supervisor trusts whose bundle does not say whom to: what was
// installed runs on, and nothing new is.
type nobody struct{ err error }

func (n nobody) Refresh(time.Time, func(string, int64, string) ([]byte, error)) (bool, error) {
	return false, n.err
}
func (n nobody) Target(string) (pipe.Target, bool) { return pipe.Target{}, false }
func (n nobody) Vouch() (root, targets []byte)     { return nil, nil }
func (n nobody) Vouches(_, _ []byte) error         { return n.err }
func (n nobody) Warnings(time.Time) []string       { return []string{n.err.Error()} }
func (n nobody) Expired(time.Time) error           { return n.err }

// reportPayload publishes what the updater says, and logs once why an attempt
// came to nothing.
func (s *supervisor) reportPayload(p status.Payload) {
	s.publishing.Lock()
	defer s.publishing.Unlock()
	s.history.see(p)
	if p.Error != "" && p.Error != s.payload.Error {
		s.log("the last attempt: %s", p.Error)
	}
	s.payload = p
	if s.public {
		s.publishLocked()
	}
}

// fetch starts the fetcher for the updater.
func (s *supervisor) fetch(ctx context.Context) (*pipe.Client, func(), error) {
	c, end, err := s.startFetcher(ctx)
	return c, func() {
		if err := end(); err != nil && ctx.Err() == nil {
			s.log("the fetcher: %v", errors.Join(err, s.renewCache()))
		}
	}, err
}

// renewCache gives the fetcher an empty cache: what one fetcher did to it is no
// fault of the next.
func (s *supervisor) renewCache() error {
	dir, as := program.FetchDir(s.p.Root), int(s.cfg.Update.FetchUID)
	err := errors.Join(os.RemoveAll(dir), os.Mkdir(dir, 0o700))
	if err == nil && os.Geteuid() == 0 {
		err = os.Chown(dir, as, as)
	}
	return err
}

// startFetcher starts the fetcher: the tool for people, as an account that may do
// nothing but speak to the network. end answers how it ended.
func (s *supervisor) startFetcher(ctx context.Context) (c *pipe.Client, end func() error, err error) {
	as := s.cfg.Update.FetchUID
	if os.Geteuid() == 0 && as == 0 {
		return nil, nil, errNoAccount
	}
	hear, say, end, err := s.p.Talk(ctx, &program.Child{
		Path: bundle.Layout(program.BundleDir(s.p.Root)).Program("portward"), Args: []string{"fetch", "--root", s.p.Root},
		As: as, Env: proxies(),
	})
	if err != nil {
		return nil, nil, fmt.Errorf("the fetcher: %w", err)
	}
	return pipe.NewClient(hear, say), end, nil
}

var errNoAccount = errors.New("no accounts for the fetcher and the probe\nhint: update.fetch_uid and update.probe_uid in the configuration")

// proxies answers what the environment says of them: all of it that the fetcher
// gets.
func proxies() (env []string) {
	for _, name := range []string{"HTTPS_PROXY", "HTTP_PROXY", "NO_PROXY", "https_proxy", "http_proxy", "no_proxy", "SSL_CERT_FILE", "SSL_CERT_DIR"} {
		if v, ok := os.LookupEnv(name); ok {
			env = append(env, name+"="+v)
		}
	}
	return env
}

// rescueJob loads or unloads the job that undoes a trial which this program's
// successor cannot undo itself, not even after the machine started anew.
func (s *supervisor) rescueJob(ctx context.Context, on bool) error {
	boot := atBoot(bootDir(), s.p.Plist(rescueTarget), on)
	if on {
		return errors.Join(boot, s.load(ctx, rescueTarget))
	}
	return errors.Join(boot, s.unload(ctx, rescueTarget))
}

// stopWithin is how long a job may take to stop in order.
const stopWithin = 5 * time.Second

// stopAll ends every process of the bundle but this one. netchild is held
// meanwhile, so that its next start is a cold one, with this process gone. Agents
// are not: their engine starts each again as soon as it is over, out of the same
// bundle, and the new one finds no netchild.
func (s *supervisor) stopAll(ctx context.Context) error {
	s.log("everything stops, and starts again on demand")
	if err := s.engine.Hold(ctx, netchild, time.Now().Add(3*stopWithin)); err != nil && !errors.Is(err, jobs.ErrNotLoaded) {
		return err
	}
	defer s.engine.Hold(context.WithoutCancel(ctx), netchild, time.Time{})
	list, err := s.engine.List(ctx)
	if err != nil {
		return err
	}
	list = slices.DeleteFunc(list, func(j jobs.State) bool {
		return j.PID == 0 || j.Target != netchild && j.Target.Label() != launchd.GUIAgent
	})
	for _, j := range list {
		if j.Target == netchild {
			s.ended(j)
		}
		s.signal(ctx, j, syscall.SIGTERM)
	}
	deadline := time.Now().Add(stopWithin)
	for _, j := range list {
		if err := s.awaitEnd(ctx, j, deadline); err != nil {
			return err
		}
	}
	return nil
}

// awaitEnd waits until the process that j describes is over. It kills it at the
// deadline, and gives that stopWithin: what is stuck in the kernel then is
// waited for no longer.
func (s *supervisor) awaitEnd(ctx context.Context, j jobs.State, deadline time.Time) error {
	for {
		now, err := s.engine.State(ctx, j.Target)
		if err != nil || now.PID != j.PID || now.Life != j.Life {
			return ctx.Err()
		}
		if late := time.Since(deadline); late > 0 {
			if err := s.signal(ctx, j, syscall.SIGKILL); err != nil || late > stopWithin {
				return err
			}
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// signal sends sig to the process that j describes, unless it is over. The
// process is held by pidfd before the engine is asked again whether the pid is
// still that life's, so that a pid used anew is never hit.
func (s *supervisor) signal(ctx context.Context, j jobs.State, sig syscall.Signal) error {
	p, err := os.FindProcess(j.PID)
	if err != nil {
		return err
	}
	defer p.Release()
	again, err := s.engine.State(ctx, j.Target)
	if err != nil || again.Life != j.Life || again.PID != j.PID {
		return err
	}
	if err := p.Signal(sig); !errors.Is(err, os.ErrProcessDone) {
		return err
	}
	return nil // dead, and not told yet
}

// hearRequests hands what root asks for to the updater until ctx ends.
func (s *supervisor) hearRequests(ctx context.Context) {
	take := func(r request.Request) {
		s.log("asked to %s %s (%s)", r.Op, r.Arg, r.ID)
		s.updater.Ask(update.Request(r))
	}
	refused := func(id string, err error) { s.log("request %s: %v", id, err) }
	for {
		err := request.Watch(ctx, program.RequestDir(s.p.Root), take, refused)
		if ctx.Err() != nil {
			return
		}
		s.log("requests: %v", err)
		select {
		case <-ctx.Done():
			return
		case <-time.After(time.Minute):
		}
	}
}
