package supervise

import (
	"context"
	"fmt"
	"net"
	"time"

	"portward/bench/harness"
)

// visit is how long a connection is kept: a life that is no quick one.
const visit = 300 * time.Millisecond

func onDemand(env harness.Env) harness.Group {
	g := harness.Group{
		Name: "demand", Title: "a connection until the child that it starts is ready", Unit: harness.Seconds, Rounds: 20,
		Goals: []harness.Goal{
			{Of: "portward", To: "systemd", Least: 5, Text: "at least 5 times faster than systemd's socket activation"},
		},
		Notes: "From just before connect(2) to a SOCK_SEQPACKET socket that the supervisor holds to the child's own time. The child " +
			"inherits the listener and leaves 0.3 s later, at the end of the connection. Portward: a job with MachServices under " +
			"the embedded engine; systemd: a socket unit; floor in C: poll(2), vfork(2), execve(2).",
	}
	for _, p := range []peer{portward(), floor(), systemd()} {
		g.Cases = append(g.Cases, contest(env, p, p.name, demand, ask))
	}
	return g
}

// ask connects, keeps the connection for a visit and waits for the child to be gone.
func ask(ctx context.Context, s *site) ([]float64, error) {
	at := now()
	conn, err := net.Dial("unixpacket", s.socket())
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	if s.last, err = s.bell.await(ctx, 'R'); err != nil {
		return nil, err
	}
	v, err := watch(s.last.pid)
	if err != nil {
		return nil, err
	}
	defer v.close()
	if err := sleep(ctx, visit); err != nil {
		return nil, err
	}
	conn.Close()
	if _, err := v.died(ctx); err != nil {
		return nil, fmt.Errorf("the child stays: %w", err)
	}
	// The supervisor sees to its socket again.
	return []float64{(s.last.at - at).Seconds()}, sleep(ctx, 100*time.Millisecond)
}
