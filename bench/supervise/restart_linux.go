package supervise

import (
	"context"
	"fmt"
	"time"

	"golang.org/x/sys/unix"

	"portward/bench/harness"
)

const (
	// calm is how old a child is at least before it is killed, so that no supervisor
	// takes it for one that cannot live: runit, s6 and daemontools want 1 s.
	calm = 1500 * time.Millisecond
	// quick is how old it is when it is killed again.
	quick = 60 * time.Millisecond
	// first names the first crash of two, in the group of the second.
	first = "portward, the first"
)

func restart(env harness.Env) harness.Group {
	g := harness.Group{
		Name: "restart", Title: "SIGKILL of a kept child until the next one is ready", Unit: harness.Seconds, Rounds: 30,
		Plot: harness.Plot{Log: true},
		Goals: []harness.Goal{
			{Of: "portward", To: "floor in C", Most: 2, Text: "at most twice the C floor's fork and exec"},
			{Of: "portward", To: "systemd", Least: 10, Text: "at least 10 times faster than systemd"},
			{Of: "portward", To: "supervisor", Least: 500, Text: "at least 500 times faster than supervisor"},
		},
		Notes: "From just before kill(2) to the time that the child itself takes as the first thing in main; a static C program " +
			"of 700 KiB. Portward is its embedded job engine alone, with a KeepAlive job. All supervisors run at once and take " +
			"turns; every child is older than 1.5 s when it is killed, longer than runit, s6 and daemontools ask for before they " +
			"slow down. systemd is pid 1 of a booted sandbox, RestartSec=0. supervisor looks once a second by its own choice, " +
			"monit cannot look more often.",
	}
	for _, p := range keepers() {
		g.Cases = append(g.Cases, contest(env, p, p.name, keep, crash))
	}
	return g
}

func again(env harness.Env) harness.Group {
	g := harness.Group{
		Name: "again", Title: "a second SIGKILL 60 ms after the child was ready again", Unit: harness.Seconds, Rounds: 8,
		Plot: harness.Plot{Log: true},
		Goals: []harness.Goal{
			{Of: "portward", To: first, Most: 2, Text: "at most twice the first crash"},
		},
		Notes: "As restart, but of two kills in a row the second one counts. runit, s6, daemontools and supervisor wait about a " +
			"second or more here: that is their policy against children that cannot live, not their speed. Portward's " +
			"engine begins to wait after ten quick deaths in a row.",
	}
	for _, p := range keepers() {
		g.Cases = append(g.Cases, contest(env, p, p.name, keep, crashTwice))
	}
	g.Cases = append(g.Cases, contest(env, portward(), first, keep, crash))
	return g
}

// crash kills a child that has lived for long enough.
func crash(ctx context.Context, s *site) ([]float64, error) {
	took, err := s.kill(ctx, calm)
	return []float64{took}, err
}

func crashTwice(ctx context.Context, s *site) ([]float64, error) {
	if _, err := s.kill(ctx, calm); err != nil {
		return nil, err
	}
	took, err := s.kill(ctx, quick)
	return []float64{took}, err
}

// kill kills the child when it is so old and answers the seconds until the next one
// was ready.
func (s *site) kill(ctx context.Context, age time.Duration) (float64, error) {
	if err := sleep(ctx, age-(now()-s.last.at)); err != nil {
		return 0, err
	}
	v, err := watch(s.last.pid)
	if err != nil {
		return 0, fmt.Errorf("the child is gone: %w", err)
	}
	defer v.close()
	at, err := v.signal(unix.SIGKILL)
	if err != nil {
		return 0, err
	}
	if s.last, err = s.bell.await(ctx, 'R'); err != nil {
		return 0, err
	}
	return (s.last.at - at).Seconds(), nil
}
