package supervise

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"sync"
	"time"

	"portward/bench/harness"
)

const (
	// settled is how long everything has run before it is measured.
	settled = 20 * time.Second
	// window is how long one look at all of them takes: longer than what wakes any of
	// them regularly.
	window = time.Minute
	// looks is how many are taken.
	looks = 2
)

// An idleWatch looks at all idle supervisors at once, because a look takes its time and
// costs nothing. Its three groups show three sides of the same looks.
type idleWatch struct {
	env harness.Env

	mu    sync.Mutex
	open  int // cases
	idle  []*idler
	taken int // looks
}

// An idler is a supervisor with nothing to do.
type idler struct {
	peer
	name  string
	site  *site
	err   error     // why it is not there
	looks []figures // one for each
}

// figures are of one window.
type figures struct{ wakeups, cpu, pss float64 }

func newIdleWatch(env harness.Env) *idleWatch {
	w := &idleWatch{env: env}
	add := func(name string, p peer) { w.idle = append(w.idle, &idler{name: name, peer: p}) }
	add("portward", product("supervisor"))
	for _, p := range []peer{runit(), s6(), daemontools(), systemd(), supervisord(), monit()} {
		add(p.name, p)
	}
	add("portward, with its engine", product("supervisor", "portward"))
	add("portward, engine alone", portward())
	return w
}

// product is the whole of Portward as portward up plays it; of its processes those
// with the names count.
func product(names ...string) peer {
	return peer{name: "product", prepare: prepareProduct,
		begin: func(ctx context.Context, s *site) error { return awaitSupervisor(ctx, s) },
		processes: func(s *site) []int {
			var all []int
			for _, pid := range tree(s.cmd.Process.Pid) {
				for _, name := range names {
					if comm(pid) == name {
						all = append(all, pid)
					}
				}
			}
			return all
		},
	}
}

func prepareProduct(s *site) ([]string, error) {
	dir, err := s.env.Portward()
	if err != nil {
		return nil, err
	}
	s.mode = unwatched
	return []string{filepath.Join(dir, "portward"), "up", "--root", s.path("root"), "--sessions", "1",
		"--source", "static", "--listen", "127.0.0.1:0"}, nil
}

// awaitSupervisor waits until the product's last process is there: the agent.
func awaitSupervisor(ctx context.Context, s *site) error {
	for {
		for _, pid := range tree(s.cmd.Process.Pid) {
			if comm(pid) == "guiagent" {
				return nil
			}
		}
		if err := sleep(ctx, 50*time.Millisecond); err != nil {
			return fmt.Errorf("no agent: %w", err)
		}
	}
}

// group makes a group of one side of the looks.
func (w *idleWatch) group(g harness.Group, side func(figures) float64) harness.Group {
	g.Rounds = looks
	for _, i := range w.idle {
		g.Cases = append(g.Cases, harness.Case{Name: i.name, Open: func(ctx context.Context) (harness.Turn, error) {
			if err := w.join(ctx, i); err != nil {
				return harness.Turn{}, err
			}
			return harness.Turn{
				Sample: func(ctx context.Context, round int) ([]float64, error) {
					f, err := w.look(ctx, i, round)
					return []float64{side(f)}, err
				},
				Close: w.leave, Version: i.version(),
			}, nil
		}})
	}
	return g
}

// join starts everything for the first case of the first group.
func (w *idleWatch) join(ctx context.Context, i *idler) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.open == 0 && w.taken == 0 {
		for _, each := range w.idle {
			each.site, each.err = each.start(ctx, w.env, keep)
		}
	}
	if i.err != nil {
		return i.err
	}
	w.open++
	return nil
}

// look answers the case's figures of a round; the first to ask takes the look.
func (w *idleWatch) look(ctx context.Context, i *idler, round int) (figures, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if round == w.taken && i.site != nil {
		if err := w.take(ctx); err != nil {
			return figures{}, err
		}
	}
	if round >= len(i.looks) {
		return figures{}, errors.New("was not looked at in an earlier group")
	}
	return i.looks[round], nil
}

func (w *idleWatch) take(ctx context.Context) error {
	if w.taken == 0 {
		if err := sleep(ctx, settled); err != nil {
			return err
		}
	}
	began, before := time.Now(), make([]usage, len(w.idle))
	for n, i := range w.idle {
		before[n] = i.used()
	}
	if err := sleep(ctx, window); err != nil {
		return err
	}
	took := time.Since(began).Seconds()
	for n, i := range w.idle {
		after := i.used()
		i.looks = append(i.looks, figures{
			wakeups: float64(after.wakeups-before[n].wakeups) / took,
			cpu:     (after.cpu - before[n].cpu).Seconds() * 60 / took,
			pss:     i.memory(),
		})
	}
	w.taken++
	return nil
}

func (i *idler) used() usage {
	if i.site == nil {
		return usage{}
	}
	return used(i.own(i.site))
}

func (i *idler) memory() float64 {
	if i.site == nil {
		return 0
	}
	return pss(i.own(i.site))
}

// leave stops everything after the last case of a group.
func (w *idleWatch) leave() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.open--; w.open > 0 {
		return nil
	}
	var errs []error
	for _, i := range w.idle {
		if i.site != nil {
			errs = append(errs, i.site.close())
			i.site = nil
		}
	}
	return errors.Join(errs...)
}

const idleNotes = "The same two windows of a minute for all, who idle side by side after 20 s to settle. Portward is its supervisor as " +
	"it is shipped, in the whole product as portward up plays it with one login and nothing to do; with its engine adds the " +
	"process that plays launchd, which on a Mac is launchd itself; engine alone is the program of the group restart. systemd is pid 1 only, without journald, " +
	"dbus and logind. All others keep one idle child."

func (w *idleWatch) wakeups() harness.Group {
	return w.group(harness.Group{
		Name: "idle", Title: "wake-ups of an idle supervisor, by the second", Unit: harness.Rate,
		Goals: []harness.Goal{{Of: "portward", Most: 0.2, Text: "at most 0.2 wake-ups a second"}},
		Notes: idleNotes + " A wake-up is a voluntary context switch of any of its threads.",
	}, func(f figures) float64 { return f.wakeups })
}

func (w *idleWatch) cpu() harness.Group {
	return w.group(harness.Group{
		Name: "idle-cpu", Title: "CPU time of an idle supervisor, by the minute", Unit: harness.Seconds,
		Notes: idleNotes,
	}, func(f figures) float64 { return f.cpu })
}

func (w *idleWatch) memory() harness.Group {
	return w.group(harness.Group{
		Name: "idle-memory", Title: "memory of an idle supervisor (PSS)", Unit: harness.Bytes,
		Goals: []harness.Goal{{Of: "portward", Most: 12e6, Text: "at most 12 MB"}},
		Notes: idleNotes + " runit, s6 and daemontools are smaller than Portward by a factor of ten and more: small C programs " +
			"without a runtime, that do less.",
	}, func(f figures) float64 { return f.pss })
}
