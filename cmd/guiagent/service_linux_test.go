package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"portward/internal/capture"
	"portward/internal/program"
	"portward/internal/status"
	"portward/internal/surface"
	"portward/internal/wire"
	"portward/internal/xpcpeer"
	"portward/launchd"
)

// A service stands for netchild: it welcomes agents, or says what it is told to
// say, takes their surfaces and gives every frame back.
type service struct {
	t      *testing.T
	refuse error               // what hellos get instead of a welcome
	once   bool                // welcomes after it refused one
	shown  func(surface.Frame) // if set, called for each frame

	mu       sync.Mutex
	hellos   []wire.Hello
	leases   []wire.Lease
	attaches int
	carried  []int // surfaces of each attach
	adds     int
	sink     *surface.Sink
	conn     *xpcpeer.Conn
	frames   sync.WaitGroup
}

// open serves on a's transport until the test ends.
func (s *service) open(a *agent) {
	s.t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	l, err := xpcpeer.Listen(a.transport, launchd.NetChildService, xpcpeer.Config{
		Policy: func(*xpcpeer.Evidence) error { return nil },
		Accept: func(*xpcpeer.Conn) (xpcpeer.Events, error) {
			return xpcpeer.Events{Message: func(c *xpcpeer.Conn, m *xpcpeer.Message) { s.message(ctx, c, m) }}, nil
		},
	})
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() { cancel(); l.Close(); s.frames.Wait() })
}

func (s *service) message(ctx context.Context, c *xpcpeer.Conn, m *xpcpeer.Message) {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch kind, _ := wire.KindOf(m.Dict()); kind {
	case wire.KindHello:
		h, err := wire.ParseHello(m.Dict())
		if err != nil {
			s.t.Error(err)
		}
		s.hellos = append(s.hellos, h)
		if r := (wire.Refusal{}); errors.As(s.refuse, &r) {
			if s.once {
				s.refuse = nil
			}
			m.Reply(r.Dict())
			return
		}
		m.Reply(wire.Welcome{Version: 1, Life: 1}.Dict())
	case wire.KindAttach:
		at, err := wire.ParseAttach(m.Dict())
		if err != nil {
			s.t.Error(err)
			return
		}
		at.Agent.Close()
		sink, err := surface.Open(surface.Geometry{Width: int(at.Width), Height: int(at.Height), Stride: int(at.Stride), Format: surface.Format(at.Format)}, at.Surfaces, at.Frames, nil)
		if err != nil {
			s.t.Error(err)
			return
		}
		s.attaches++
		s.carried, s.sink, s.conn = append(s.carried, len(at.Surfaces)), sink, c
		s.frames.Go(func() {
			defer sink.Close()
			for {
				f, err := sink.Next(ctx)
				if err != nil {
					return
				}
				if s.shown != nil {
					s.shown(f)
				}
				f.Release()
			}
		})
		m.Reply(wire.OK{}.Dict())
	case wire.KindAdd:
		x, err := wire.ParseAdd(m.Dict())
		if err == nil {
			err = s.sink.Add(x.Surface)
		}
		if err != nil {
			s.t.Error(err)
		}
		s.adds++
		m.Reply(wire.OK{}.Dict())
	case wire.KindLease:
		x, err := wire.ParseLease(m.Dict(), time.Now())
		if err != nil {
			s.t.Error(err)
		}
		s.leases = append(s.leases, x)
	default:
		s.t.Errorf("unexpected %q", kind)
	}
}

func (s *service) seen() (hellos []wire.Hello, leases []wire.Lease, attaches int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.hellos), slices.Clone(s.leases), s.attaches
}

// drop is what the death of a netchild looks like.
func (s *service) drop() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.sink.Close()
	s.conn.Close()
}

func newAgent(t *testing.T) *agent {
	a := agentWith(t, "netchild") // this very process answers at netchild's name
	a.transport, a.loop = xpcpeer.Mem(), newLoop()
	return a
}

// await looks until ok holds.
func await(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(time.Minute); !ok(); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("waited in vain until %s", what)
		}
	}
}

// showing runs show with a test card until the returned function is called.
func showing(t *testing.T, a *agent) (stop func()) {
	t.Helper()
	src, err := capture.OpenTestcard(capture.Options{Session: a.p.Session})
	if err != nil {
		t.Fatal(err)
	}
	stop, _ = showingOf(t, a, src)
	return stop
}

// showingOf runs show with that picture; ended has why it ended.
func showingOf(t *testing.T, a *agent, p capture.Picture) (stop func(), ended <-chan error) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	done, why := make(chan struct{}), make(chan error, 1)
	go a.loop.run(ctx, time.Second, nil)
	go func() { defer close(done); why <- a.show(ctx, p); p.Close() }()
	return func() { cancel(); <-done }, why
}

// A forbidden source is a test card that a person forbids after some frames.
type forbidden struct {
	capture.Source
	left int
}

func (f *forbidden) Wait(ctx context.Context) error {
	if f.left--; f.left < 0 {
		return fmt.Errorf("%w: in the menu bar", capture.ErrPermission)
	}
	return f.Source.Wait(ctx)
}

// Rule: what is forbidden while it is shown ends the showing, and is no fault of
// netchild's.
func TestForbiddenMeanwhile(t *testing.T) {
	a := newAgent(t)
	(&service{t: t}).open(a)
	src, err := capture.OpenTestcard(capture.Options{Session: a.p.Session})
	if err != nil {
		t.Fatal(err)
	}
	defer src.Close()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	go a.loop.run(ctx, time.Second, nil)
	if err := a.show(ctx, &forbidden{src, 3}); !errors.Is(err, capture.ErrPermission) {
		t.Errorf("it ended by %v", err)
	}
	if a.linked {
		t.Error("netchild has the displays")
	}
}

// Rule: a probe succeeds once netchild has given a frame back, and not before.
// It is called by nobody and asks for nothing.
func TestProbe(t *testing.T) {
	leaks := goleak.IgnoreCurrent()
	t.Cleanup(func() { goleak.VerifyNone(t, leaks) })
	a := newAgent(t)
	a.p.Session = wire.ProbeSession
	s := &service{t: t, refuse: wire.Refusal{Code: wire.CodeNotPermitted, Text: "not yet"}, once: true}
	s.open(a)
	if code, err := a.probe(t.Context()); code != program.ExitOK || err != nil {
		t.Errorf("exit %d, %v", code, err)
	}
	hellos, leases, attaches := s.seen()
	if len(hellos) != 2 || hellos[1].Role != wire.ClaimAgent || hellos[1].Session != "probe" || len(leases) != 0 || attaches != 1 {
		t.Errorf("it said %+v, leases %v, attached %d times", hellos, leases, attaches)
	}
	if a.frames.Load() != 0 {
		t.Error("frames of the probe were counted")
	}
}

// Rule: a probe that fails says in one line why, the last thing that was in the
// way, within its time; one that is too old at once.
func TestProbeFails(t *testing.T) {
	for name, c := range map[string]struct {
		refuse error
		says   string
		takes  time.Duration
		told   string
		exits  int
	}{
		"nobody there":   {nil, launchd.NetChildService, probeWithin, "", program.ExitAgain},
		"never admitted": {wire.Refusal{Code: wire.CodeNotPermitted, Text: "no session"}, "no session", probeWithin, "", program.ExitAgain},
		"told how long":  {nil, launchd.NetChildService, 35 * time.Second, "35s", program.ExitAgain},
		"told nonsense":  {nil, wire.ProbeVariable, 0, "long", program.ExitConfig},
		"too old":        {wire.Refusal{Code: wire.CodeRelaunch, Text: "speak up"}, "speak up", 0, "", program.ExitAgain},
	} {
		t.Run(name, func(t *testing.T) {
			if c.told != "" {
				t.Setenv(wire.ProbeVariable, c.told)
			}
			synctest.Test(t, func(t *testing.T) {
				a := newAgent(t)
				if c.refuse != nil {
					(&service{t: t, refuse: c.refuse}).open(a)
				}
				began := time.Now()
				code, err := a.probe(t.Context())
				if code != c.exits || err == nil || !strings.Contains(err.Error(), c.says) || strings.Contains(err.Error(), "\n") {
					t.Errorf("exit %d, %v", code, err)
				}
				if d := time.Since(began); d != c.takes {
					t.Errorf("after %v, want %v", d, c.takes)
				}
			})
		})
	}
}

// Rule: each netchild is asked for what is left of the agent's lease, and for
// none when it is over.
func TestLeaseIsAsked(t *testing.T) {
	until := time.Now().Add(time.Hour)
	for left, want := range map[time.Time]int{until: 1, time.Now().Add(-time.Second): 0, {}: 0} {
		a := newAgent(t)
		a.lease = left
		s := &service{t: t}
		s.open(a)
		stop := showing(t, a)
		await(t, "frames come back", func() bool { return a.frames.Load() > 0 })
		stop()
		_, leases, _ := s.seen()
		if len(leases) != want || want == 1 && !leases[0].Until.Equal(until) {
			t.Errorf("leases %v, want %d", leases, want)
		}
	}
}

// Rule: what the variable says is a duration that netchild takes, or an error.
func TestReadLease(t *testing.T) {
	now := time.Now()
	for text, want := range map[string]time.Time{"": {}, "90s": now.Add(90 * time.Second), "24h": now.Add(24 * time.Hour)} {
		t.Setenv(leaseVariable, text)
		if got, err := readLease(now); err != nil || !got.Equal(want) {
			t.Errorf("%q: %v, %v", text, got, err)
		}
	}
	for _, text := range []string{"0s", "-1h", "25h", "later", "5"} {
		t.Setenv(leaseVariable, text)
		if got, err := readLease(now); err == nil {
			t.Errorf("%q: %v", text, got)
		}
	}
}

// Rule: an agent without a payload waits for the news that it is there, does not
// dial meanwhile, and says how far it is.
func TestNoPayloadYet(t *testing.T) {
	a := newAgent(t)
	path := program.StatusPath(a.p.Root)
	put := func(p status.Payload) {
		t.Helper()
		if err := status.Write(path, status.Status{Payload: p}); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	put(status.Payload{State: status.NoPayload, Phase: status.Downloading, Progress: &status.Progress{Done: 3_100_000, Total: 12_000_000, Unit: "bytes"}})
	lines := &lines{}
	a.log = lines.log
	stop := showing(t, a)
	defer stop()
	await(t, "it says how far it is", func() bool { return lines.has("no release yet: downloading 3.1 of 12 MB") })
	s := &service{t: t}
	s.open(a) // there, but the status says otherwise yet
	put(status.Payload{State: status.NoPayload, Phase: status.Staging})
	await(t, "it says what comes next", func() bool { return lines.has("no release yet: staging") })
	if hellos, _, _ := s.seen(); len(hellos) != 0 {
		t.Errorf("it dialled: %v", hellos)
	}
	put(status.Payload{State: status.Installed, Phase: status.Idle})
	await(t, "frames come back", func() bool { return a.frames.Load() > 0 })
}

// Rule: a status that cannot be read holds nobody up.
func TestNoStatus(t *testing.T) {
	a := newAgent(t)
	a.log = func(string, ...any) {}
	if a.lacksPayload() || a.awaitPayload(t.Context()) {
		t.Error("a payload was missed, or found, without a status")
	}
	stop := showing(t, a)
	defer stop()
	(&service{t: t}).open(a)
	await(t, "frames come back", func() bool { return a.frames.Load() > 0 })
}

// Rule: what people read while there is no release.
func TestLack(t *testing.T) {
	bytes := func(done, total int64) *status.Progress {
		return &status.Progress{Done: done, Total: total, Unit: "bytes"}
	}
	for want, p := range map[string]status.Payload{
		"no release, and nobody who fetches one":     {},
		"no release yet":                             {Phase: status.Idle},
		"no release yet: offline":                    {Phase: status.Idle, Error: "offline"},
		"no release yet: checking":                   {Phase: status.Checking, Error: "offline"},
		"no release yet: downloading":                {Phase: status.Downloading},
		"no release yet: downloading 0 of 0.4 MB":    {Phase: status.Downloading, Progress: bytes(0, 400_000)},
		"no release yet: downloading 9.9 of 10 MB":   {Phase: status.Downloading, Progress: bytes(9_949_999, 9_950_000)},
		"no release yet: downloading 120 of 1234 MB": {Phase: status.Downloading, Progress: bytes(120_000_000, 1_234_000_000)},
	} {
		if got := lack(p); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}

// lines are what an agent logged.
type lines struct {
	mu  sync.Mutex
	all []string
}

func (l *lines) log(format string, args ...any) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.all = append(l.all, fmt.Sprintf(format, args...))
}

func (l *lines) has(line string) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Contains(l.all, line)
}
