package update

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"testing/fstest"
	"time"

	"go.uber.org/goleak"

	"portward/internal/bundle"
	"portward/internal/status"
	"portward/internal/update/pipe"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// A scene is a machine with an installed bundle, a repository with one release,
// and somebody who watches trials.
type scene struct {
	t   testing.TB
	cfg Config
	rel Release

	mu        sync.Mutex
	offered   *bundle.Seal
	from      string // the directory of the offered bundle
	pay       status.Payload
	rescue    bool
	stops     int
	fetches   int
	asked     []string // contents that were fetched
	verify    func(staged string) error
	qualify   error
	trial     func(ctx context.Context, s TrialStep) error
	corrupt   map[string]int // content -> how many times it comes wrong
	expired   error
	offline   error
	behind    bool // what it could not fetch is known to be there
	refreshes int
	onRefresh func(n int)
	vouchNot  bool
	vouchErr  error
	warnings  []string
	onReport  func(status.Payload)
}

func newScene(t testing.TB, version string) *scene {
	t.Helper()
	root := t.TempDir()
	s := &scene{t: t, corrupt: map[string]int{}, verify: func(string) error { return nil }, cfg: Config{
		Live: filepath.Join(root, bundle.Name), Dir: filepath.Join(root, "update"),
		RetainedSeal: filepath.Join(root, "retained", "seal.json"),
		Repo:         true, Channel: "stable", Platform: "test-cpu", Machine: "m", Boot: "boot 1",
		Every: time.Hour, TrialWindow: time.Minute, MaxLease: 8 * time.Hour, Attempts: 3, Backoff: pauses{},
	}}
	s.build(s.cfg.Live, version)
	return s
}

type pauses struct{}

func (pauses) NextBackOff() time.Duration { return time.Minute }
func (pauses) Reset()                     {}

// build makes a bundle whose programs are a few bytes; guiagent is the same in
// all versions.
func (s *scene) build(dst, version string) *bundle.Seal {
	s.t.Helper()
	src := s.t.TempDir()
	programs := map[string]string{}
	for name, text := range map[string]string{"supervisor": version, "netchild": version, "guiagent": "same"} {
		programs[name] = filepath.Join(src, name)
		if err := os.WriteFile(programs[name], []byte(name+" "+text), 0o755); err != nil {
			s.t.Fatal(err)
		}
	}
	seal, err := bundle.Build(dst, programs, fstest.MapFS{"LaunchDaemons/x.plist": {Data: []byte("plist")}}, version, nil)
	if err != nil {
		s.t.Fatal(err)
	}
	layout := bundle.Layout(dst)
	if err := os.Mkdir(layout.Tuf(), 0o755); err != nil {
		s.t.Fatal(err)
	}
	for _, name := range []string{"root.json", "targets.json"} {
		if err := os.WriteFile(filepath.Join(layout.Tuf(), name), []byte("{}"), 0o644); err != nil {
			s.t.Fatal(err)
		}
	}
	return seal
}

// offer publishes a release to all machines.
func (s *scene) offer(version string) *bundle.Seal {
	s.t.Helper()
	s.from = filepath.Join(s.t.TempDir(), "offered")
	s.offered = s.build(s.from, version)
	s.rel = Release{Version: version, Rollout: Rollout{Share: shares}}
	return s.offered
}

func (s *scene) env() Env {
	return Env{
		Fetch: func(ctx context.Context) (*pipe.Client, func(), error) {
			s.mu.Lock()
			defer s.mu.Unlock()
			s.fetches++
			fromRoot, toFetcher := io.Pipe()
			fromFetcher, toRoot := io.Pipe()
			stop := context.AfterFunc(ctx, func() { toRoot.CloseWithError(ctx.Err()); fromRoot.CloseWithError(ctx.Err()) })
			ended := make(chan struct{})
			go func() { defer close(ended); pipe.Serve(fromRoot, toRoot, s) }()
			return pipe.NewClient(fromFetcher, toFetcher), func() { stop(); toFetcher.Close(); toRoot.Close(); <-ended }, nil
		},
		Verify:  func(_ context.Context, staged string) error { return s.verify(staged) },
		Qualify: func(context.Context, string) error { return s.qualify },
		Rescue:  func(_ context.Context, on bool) error { s.rescue = on; return nil },
		Trial: func(ctx context.Context, step TrialStep) error {
			if s.trial != nil {
				return s.trial(ctx, step)
			}
			step.Healthy(step.Window)
			return nil
		},
		Stop: func(context.Context) error { s.stops++; return nil },
		Report: func(p status.Payload) {
			s.mu.Lock()
			s.pay = p
			s.mu.Unlock()
			if s.onReport != nil {
				s.onReport(p)
			}
		},
	}
}

func (s *scene) Refresh(time.Time, func(string, int64, string) ([]byte, error)) (bool, error) {
	s.refreshes++
	if s.onRefresh != nil {
		s.onRefresh(s.refreshes)
	}
	return s.offline == nil || s.behind, s.offline
}

func (s *scene) Target(name string) (pipe.Target, bool) {
	if s.offered == nil {
		return pipe.Target{}, false
	}
	custom, err := json.Marshal(s.rel)
	if err != nil {
		s.t.Error(err)
	}
	return pipe.Target{Name: name, SHA256: s.offered.Hash(), Size: 1 << 20, Custom: custom}, true
}

func (s *scene) Vouch() (root, targets []byte) { return []byte("{}"), []byte("{}") }

func (s *scene) Vouches(_, _ []byte) error {
	if s.vouchNot {
		return errors.New("nobody vouches for it")
	}
	return s.vouchErr
}

func (s *scene) Expired(time.Time) error { return s.expired }

func (s *scene) Warnings(time.Time) []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.warnings
}

func (s *scene) Get(name string, _ int64, _ string) ([]byte, error) {
	if want := "targets/stable/test-cpu/" + s.offered.Hash() + ".seal.json"; name != want {
		return nil, fmt.Errorf("asked for %q, want %q: %w", name, want, pipe.ErrNotFound)
	}
	return s.offered.Bytes()
}

func (s *scene) Prepare(pipe.Want) (pipe.Plan, error) { return pipe.Plan{Download: 100}, nil }

func (s *scene) File(f pipe.File, whole bool, to io.Writer, told func(done, total int64)) error {
	told(1, 100)
	s.asked = append(s.asked, f.SHA256)
	for _, e := range s.offered.Entries {
		if e.SHA256 != f.SHA256 {
			continue
		}
		data, err := os.ReadFile(filepath.Join(s.from, e.Path))
		if err == nil && s.corrupt[f.SHA256] > 0 {
			s.corrupt[f.SHA256]--
			data[0] ^= 1
		}
		if err == nil {
			_, err = to.Write(data)
		}
		return err
	}
	return pipe.ErrNotFound
}

// open starts the supervisor's updater once.
func (s *scene) open() (*Updater, error) { return Open(s.cfg, s.env(), s) }

func (s *scene) mustOpen() *Updater {
	s.t.Helper()
	u, err := s.open()
	if err != nil {
		s.t.Fatal(err)
	}
	return u
}

// check lets u check once, as its loop would.
func (s *scene) check(u *Updater, op string) error {
	return u.serve(s.t.Context(), Request{ID: op, Op: op})
}

// mustCheck wants a check to end with a hand-over.
func (s *scene) take() {
	s.t.Helper()
	if err := s.check(s.mustOpen(), "update"); !errors.Is(err, ErrHandOver) {
		s.t.Fatalf("the release was not taken: %v; status %+v", err, s.pay)
	}
}

// settle starts supervisors until one stays, and answers that.
func (s *scene) settle() *Updater {
	s.t.Helper()
	for range 20 {
		u, err := s.open()
		if err == nil && u.onTrial {
			err = u.trial(s.t.Context())
		}
		if err == nil {
			err = u.calm(s.t.Context())
		}
		if err == nil {
			return u
		}
		if !errors.Is(err, ErrHandOver) {
			s.t.Fatal(err)
		}
	}
	s.t.Fatal("no supervisor stays")
	return nil
}

// lives wants that version, whole, at the live path.
func (s *scene) lives(version string) {
	s.t.Helper()
	seal, err := bundle.Verify(s.cfg.Live)
	if err != nil {
		s.t.Fatal(err)
	}
	if seal.Version != version {
		s.t.Errorf("version %s lives, want %s; status %+v", seal.Version, version, s.pay)
	}
}

func (s *scene) hashOf(path string) string {
	seal, err := bundle.Verify(path)
	if err != nil {
		return ""
	}
	return seal.Hash()
}

func hashed(b string) string {
	sum := sha256.Sum256([]byte(b))
	return hex.EncodeToString(sum[:])
}
