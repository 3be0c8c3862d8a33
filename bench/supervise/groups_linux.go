package supervise

import (
	"context"

	"portward/bench/harness"
)

// Groups answers all groups on supervisors.
func Groups(env harness.Env) []harness.Group {
	idle := newIdleWatch(env)
	return []harness.Group{
		restart(env), again(env), hang(env), onDemand(env),
		idle.wakeups(), idle.cpu(), idle.memory(),
	}
}

// keepers are all that restart a child.
func keepers() []peer {
	return []peer{portward(), floor(), runit(), s6(), daemontools(), systemd(), supervisord(), monit()}
}

// A sampler takes one turn's samples from a supervisor at work.
type sampler func(ctx context.Context, s *site) ([]float64, error)

// contest makes a case of a peer.
func contest(env harness.Env, p peer, name string, m mode, sample sampler) harness.Case {
	return harness.Case{Name: name, Open: func(ctx context.Context) (harness.Turn, error) {
		s, err := p.start(ctx, env, m)
		if err != nil {
			return harness.Turn{}, err
		}
		return harness.Turn{
			Sample:  func(ctx context.Context, _ int) ([]float64, error) { return sample(ctx, s) },
			Close:   s.close,
			Version: p.version(),
		}, nil
	}}
}
