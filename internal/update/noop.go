package update

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"time"

	"portward/internal/bundle"
	"portward/internal/durable"
	"portward/internal/status"
	"portward/internal/update/pipe"
)

// NoOp is how a new supervisor proves that it can update: inside scratch, an
// empty directory, it takes the bundle at bundleDir through the whole walk, the
// pipe, the exchange and both halves of a trial included, over a bundle that
// lacks one file of it. Nothing outside scratch is changed.
func NoOp(ctx context.Context, scratch, bundleDir string) error {
	seal, err := bundle.Verify(bundleDir)
	if err != nil {
		return err
	}
	n := &noop{dir: bundleDir, seal: seal}
	cfg := Config{
		Live: filepath.Join(scratch, bundle.Name), Dir: filepath.Join(scratch, "update"),
		RetainedSeal: filepath.Join(scratch, "retained", "seal.json"), Attempts: 1,
	}
	if err = n.older(cfg.Live); err == nil {
		err = n.walk(ctx, cfg)
	}
	if err != nil {
		return fmt.Errorf("no-op: %w", err)
	}
	return nil
}

// A noop is the Trust, the world and the repository of a no-op update: it
// vouches for one seal and delivers its files.
type noop struct {
	dir  string
	seal *bundle.Seal
}

// older lays the bundle without its first plain file into the live place, by
// links where they can be.
func (n *noop) older(live string) error {
	i := slices.IndexFunc(n.seal.Entries, func(e bundle.Entry) bool { return e.Type == bundle.File && e.Identifier == "" })
	if i < 0 {
		return errors.New("the bundle has no plain file")
	}
	old := &bundle.Seal{Version: n.seal.Version, Entries: slices.Delete(slices.Clone(n.seal.Entries), i, i+1)}
	err := durable.MkdirAll(live, 0o755)
	for _, e := range old.Entries {
		if err == nil {
			_, err = reuse(e, n.dir, live)
		}
	}
	if err == nil {
		err = bundle.Finish(live, old, []byte("{}"), []byte("{}"))
	}
	return err
}

// walk starts one updater after another: each but the last hands over.
func (n *noop) walk(ctx context.Context, cfg Config) error {
	for range 3 {
		u, err := Open(cfg, n.env(), n)
		switch {
		case err != nil:
		case u.onTrial:
			err = u.trial(ctx)
		default:
			_, err = u.check(ctx, Request{Op: "force"})
		}
		switch {
		case err == nil && u.rec.State == Committed && u.sight.live.hash == n.seal.Hash():
			return nil
		case err == nil:
			return fmt.Errorf("it came to rest, and is not committed: %q", u.rec.State)
		case !errors.Is(err, ErrHandOver):
			return err
		}
	}
	return errors.New("it does not come to rest")
}

func (n *noop) env() Env {
	return Env{
		Fetch: func(ctx context.Context) (*pipe.Client, func(), error) {
			fromRoot, toFetcher := io.Pipe()
			fromFetcher, toRoot := io.Pipe()
			ended := make(chan struct{})
			go func() { defer close(ended); pipe.Serve(fromRoot, toRoot, n) }()
			return pipe.NewClient(fromFetcher, toFetcher), func() { toFetcher.Close(); <-ended }, nil
		},
		Qualify: func(context.Context, string) error { return nil },
		Rescue:  func(context.Context, bool) error { return nil },
		Trial:   func(_ context.Context, s TrialStep) error { s.Healthy(s.Window); return nil },
		Stop:    func(context.Context) error { return nil },
		Report:  func(status.Payload) {},
	}
}

func (n *noop) Refresh(time.Time, func(string, int64, string) ([]byte, error)) (bool, error) {
	return true, nil
}

func (n *noop) Target(name string) (pipe.Target, bool) {
	custom, err := json.Marshal(Release{Version: n.seal.Version})
	return pipe.Target{Name: name, SHA256: n.seal.Hash(), Size: maxSeal, Custom: custom}, err == nil
}

func (n *noop) Vouch() (root, targets []byte) { return []byte("{}"), []byte("{}") }
func (n *noop) Vouches(_, _ []byte) error     { return nil }
func (n *noop) Warnings(time.Time) []string   { return nil }
func (n *noop) Expired(time.Time) error       { return nil }

func (n *noop) Get(string, int64, string) ([]byte, error) { return n.seal.Bytes() }

func (n *noop) Prepare(pipe.Want) (pipe.Plan, error) { return pipe.Plan{}, nil }

func (n *noop) File(f pipe.File, _ bool, to io.Writer, _ func(done, total int64)) error {
	i := slices.IndexFunc(n.seal.Entries, func(e bundle.Entry) bool { return e.SHA256 == f.SHA256 })
	if i < 0 {
		return pipe.ErrNotFound
	}
	data, err := os.ReadFile(filepath.Join(n.dir, n.seal.Entries[i].Path))
	if err == nil {
		_, err = to.Write(data)
	}
	return err
}
