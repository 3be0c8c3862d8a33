package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"portward/internal/capture"
	"portward/internal/config"
	"portward/internal/evidence"
	"portward/internal/jobs"
	"portward/internal/program"
	"portward/internal/status"
	"portward/internal/xpcpeer"
	"portward/launchd"
)

// How long everything may take to stop in order, and the supervisor to come up.
const (
	stopWithin       = 30 * time.Second
	supervisorWithin = time.Minute
)

// A world is the whole product, running.
type world struct {
	o      upOptions
	show   *screen
	people people
	host   host
	engine engine
	viewer string // host:port

	plists   fs.FS             // LaunchDaemons and LaunchAgents; nil: the product's
	programs map[string]string // where they are; nil: they are found, or built
	lent     *lent             // descriptors that jobs inherit from here
	seen     *evidence.Store
	news     news

	uncounted bool // nobody counts frames here
	costly    bool // a look at the jobs costs processes

	mu    sync.Mutex
	began time.Time // the supervisor was up
	rates map[string]*rate
}

// run makes the world, lives in it until ctx ends or its time is up, and takes
// it down. The report tells what was.
func (w *world) run(ctx context.Context) (report, error) {
	w.rates = map[string]*rate{}
	if err := w.make(ctx); err != nil {
		return newReport(snapshot{}, 0), err
	}
	stopLog, err := w.remember()
	if err != nil {
		return newReport(snapshot{}, 0), err
	}
	door, err := w.openControl()
	if errors.Is(err, errors.ErrUnsupported) {
		if door, err = openDoor(w.o.root, w.do); err != nil { // a socket's path has some hundred bytes at most
			w.show.say("status and poke do not reach this one: %v", err)
			door, err = closedDoor{}, nil
		}
	}
	if err != nil {
		return newReport(snapshot{}, 0), errors.Join(err, w.close())
	}
	stopNews, err := w.follow()
	if err != nil {
		return newReport(snapshot{}, 0), errors.Join(err, door.Close(), w.close())
	}
	err = w.live(ctx)
	s := w.snapshot()
	d := time.Duration(0)
	if !w.began.IsZero() {
		d = time.Since(w.began)
	}
	w.show.end()
	w.show.say("stopping")
	stopNews()
	err = errors.Join(err, door.Close(), w.close())
	stopLog()
	if w.o.repo != "" && s.Payload.State == status.NoPayload && err == nil {
		err = noRelease(s.Payload)
	}
	if text := hangsInWords(s); text != "" {
		w.show.say("%s", text)
	}
	for _, x := range s.Sessions {
		w.show.say("login %s had %d frames in %v; %s", x.ID, x.Frames, d.Round(100*time.Millisecond), gapsInWords(x))
	}
	rep := newReport(s, d)
	rep.uncounted = w.uncounted
	return rep, err
}

// A closedDoor is where nobody can ask.
type closedDoor struct{}

func (closedDoor) Close() error { return nil }

// make does everything up to the running engine; nothing is started yet.
func (w *world) make(ctx context.Context) error {
	root := w.o.root
	if err := w.check(); err != nil {
		return err
	}
	w.host = newHost(w)
	if err := w.host.sweep(ctx); err != nil {
		return err
	}
	from, err := w.programs, error(nil)
	if from == nil {
		from, err = findPrograms(ctx, filepath.Join(root, "build"), w.show.say)
	}
	if err != nil {
		return err
	}
	if w.people, err = w.host.people(); err != nil {
		return err
	}
	if err := w.furnish(); err != nil {
		return err
	}
	if err := w.install(ctx, from); err != nil { // its fetcher needs an account and the configuration
		return fmt.Errorf("the bundle: %w", err)
	}
	if err := w.forget(); err != nil {
		return err
	}
	w.lent = newLent()
	w.engine, err = w.host.open()
	return err
}

// forget begins what this run tells: nothing of it can fail any more that a flag
// or a repository is to blame for, so the last one's evidence has served.
func (w *world) forget() error {
	root := w.o.root
	err := (&rootLock{dir: root}).forget()
	for _, dir := range []string{program.EvidenceDir(root), filepath.Join(root, "log")} { // stacks are in both; the engine opens the logs
		err = errors.Join(err, makeDir(dir, 0o700, w.people.self))
	}
	return err
}

// bind makes the socket of a service. Who is served is the service's own policy;
// but root's only door is closed to everybody else before that.
func (w *world) bind(name string) (*os.File, error) {
	dir := program.RunDir(w.o.root)
	if name != launchd.CheckInService {
		return xpcpeer.BindUnix(dir, name, w.people.socketMode)
	}
	f, err := xpcpeer.BindUnix(dir, name, 0o600)
	if err != nil {
		return nil, err
	}
	if err := give(filepath.Join(dir, name), w.people.netchild); err != nil {
		f.Close()
		return nil, err
	}
	return f, nil
}

// furnish makes the directories and files that the programs expect under root.
func (w *world) furnish() error {
	root, p := w.o.root, w.people
	dirs := []struct {
		path string
		mode os.FileMode
		uid  uint32
	}{
		{program.RunDir(root), 0o711, p.self},
		{filepath.Join(root, "etc"), 0o755, p.self},
		{filepath.Join(root, "status"), 0o755, p.self},
		{filepath.Join(root, "private"), 0o711, p.self},
		{program.PrivateDir(root, string(netchildTarget)), 0o700, p.netchild},
		{program.PrivateDir(root, string(supervisorTarget)), 0o700, p.self},
		{program.UpdateDir(root), 0o700, p.self},
		{program.RequestDir(root), 0o700, p.self},
		{program.FetchDir(root), 0o700, p.fetch},
	}
	for _, s := range p.sessions {
		dirs = append(dirs, struct {
			path string
			mode os.FileMode
			uid  uint32
		}{program.PrivateDir(root, string(agentTarget(s.ID))), 0o700, s.UID})
	}
	for _, d := range dirs {
		if err := makeDir(d.path, d.mode, d.uid); err != nil {
			return err
		}
	}
	if err := renewState(root, p.netchild); err != nil {
		return err
	}
	cfg, err := w.settings()
	if err != nil {
		return err
	}
	if cfg.Update.CA, err = w.copyCA(); err != nil {
		return err
	}
	b, err := cfg.Marshal()
	if err != nil {
		return err
	}
	if err := os.WriteFile(config.Path(root), b, 0o640); err != nil { // a proxy's password may be in it
		return err
	}
	if os.Geteuid() == 0 {
		return os.Chown(config.Path(root), 0, int(p.fetch))
	}
	return nil
}

// live starts the jobs and logs the people in, then shows what happens.
func (w *world) live(ctx context.Context) error {
	if err := w.engine.Bootstrap(ctx, jobs.System, w.host.plist(launchd.Supervisor)); err != nil {
		return fmt.Errorf("the supervisor's job: %w", err)
	}
	if err := w.awaitSupervisor(ctx); err != nil {
		return err
	}
	if err := w.engine.Bootstrap(ctx, jobs.GUI, w.host.plist(launchd.GUIAgent)); err != nil {
		return fmt.Errorf("the agents' job: %w", err)
	}
	for i, s := range w.people.sessions {
		s.Env = w.sessionEnv(i)
		if err := w.host.count(s.ID); errors.Is(err, errors.ErrUnsupported) {
			w.uncounted = true
		} else if err != nil {
			return err
		}
		if err := w.engine.Login(s); err != nil {
			return fmt.Errorf("login %s: %w", s.ID, err)
		}
	}
	return w.watch(ctx)
}

// sessionEnv is what a login adds to its jobs' environment.
func (w *world) sessionEnv(i int) []string {
	env := []string{"PORTWARD_SOURCE=" + w.o.source}
	if lease := os.Getenv("PORTWARD_LEASE"); lease != "" {
		env = append(env, "PORTWARD_LEASE="+lease)
	}
	display := os.Getenv("DISPLAY")
	if len(w.o.displays) > 0 {
		display = w.o.displays[i]
	}
	if display != "" && w.o.source != "testcard" {
		env = append(env, "DISPLAY="+display)
		if x := os.Getenv("XAUTHORITY"); x != "" {
			env = append(env, "XAUTHORITY="+x)
		}
		instead := map[string]string{"auto": "shows the test card", "x11": "waits for it"}[w.o.source]
		if instead != "" && !capture.Answers(display) {
			w.show.say("display %s does not answer; login %s %s", display, w.people.sessions[i].ID, instead)
		}
	}
	return env
}

// awaitSupervisor waits until the supervisor has published its status, or has
// died too often to hope for it.
func (w *world) awaitSupervisor(ctx context.Context) error {
	w.show.say("waiting for the supervisor")
	ctx, cancel := context.WithTimeout(ctx, supervisorWithin)
	defer cancel()
	news, err := status.Watch(ctx, program.StatusPath(w.o.root))
	if err != nil {
		return err
	}
	events, err := w.engine.Watch(ctx)
	if err != nil {
		return err
	}
	for deaths := 0; ; {
		select {
		case <-ctx.Done():
			if errors.Is(ctx.Err(), context.DeadlineExceeded) { // launchd's engine does not see every death
				return w.noSupervisor(fmt.Sprintf("was not up within %v", supervisorWithin))
			}
			return fmt.Errorf("the supervisor did not come up: %w", ctx.Err())
		case st, ok := <-news:
			if ok && st.Payload.State == status.Damaged {
				return fmt.Errorf("the bundle: %s", st.Payload.Error)
			}
			if ok {
				w.mu.Lock()
				w.began = time.Now()
				w.mu.Unlock()
				return nil
			}
			news = nil
		case ev := <-events:
			if ev.Target == supervisorTarget && (ev.Kind == jobs.StartFailed || ev.Kind == jobs.Exited) {
				if deaths++; deaths == 3 {
					return w.noSupervisor(fmt.Sprintf("does not start (%v %s)", ev.Exit, ev.Err))
				}
			}
		}
	}
}

// noSupervisor says what there is to say of one that did not come up.
func (w *world) noSupervisor(what string) error {
	log := filepath.Join(w.o.root, "log", "supervisor.log")
	return fmt.Errorf("the supervisor %s\n%s\nhint: see %s", what, lastWords(log), log)
}

// lastWords answers the last line of a log.
func lastWords(path string) string {
	b, _ := os.ReadFile(path)
	lines := strings.Split(strings.TrimSpace(string(b)), "\n")
	return lines[len(lines)-1]
}

// close takes everything down in order: agents, netchild, the supervisor.
func (w *world) close() error {
	ctx, cancel := context.WithTimeout(context.Background(), stopWithin)
	defer cancel()
	err := w.engine.Close(ctx)
	w.lent.close()
	w.people.leave()
	return err
}
