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
		RetainedSeal: filepath.Join(scratch, "retained", "seal.json"),
		Attempts:     1, SetGID: os.Getegid(), Every: time.Hour,
	}
	if err := n.older(cfg); err != nil {
		return fmt.Errorf("no-op: %w", err)
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	for i, step := range []func(*Updater) error{
		func(u *Updater) error { _, err := u.check(ctx, Request{Op: "force"}); return err },
		func(u *Updater) error { return u.trial(ctx) },
		func(u *Updater) error { return u.trial(ctx) },
	} {
		u, err := Open(cfg, n.env(), n)
		if err == nil {
			err = step(u)
		}
		if last := i == 2; last && err == nil && u.rec.State == Committed && u.rec.To == seal.Hash() {
			return nil
		} else if last || !errors.Is(err, ErrHandOver) {
			return fmt.Errorf("no-op: step %d did not end as it must: %w", i, err)
		}
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
func (n *noop) older(cfg Config) error {
	i := slices.IndexFunc(n.seal.Entries, func(e bundle.Entry) bool { return e.Type == bundle.File && e.Identifier == "" })
	if i < 0 {
		return errors.New("the bundle has no plain file")
	}
	old := &bundle.Seal{Version: n.seal.Version, Entries: slices.Delete(slices.Clone(n.seal.Entries), i, i+1)}
	data, err := old.Bytes()
	if err != nil {
		return err
	}
	to := cfg.Live
	cfg.Live = n.dir // where reuse looks
	u := &Updater{cfg: cfg, trust: n}
	if err := durable.MkdirAll(to, 0o755); err != nil {
		return err
	}
	for _, e := range old.Entries {
		if got, err := u.reuse(e, filepath.Join(to, e.Path)); err != nil || !got {
			return errors.Join(fmt.Errorf("%s cannot be copied", e.Path), err)
		}
	}
	return u.close(offer{seal: old, bytes: data}, to)
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

func (n *noop) Vouch() (root, targets []byte)   { return []byte("{}"), []byte("{}") }
func (n *noop) Vouches(targets, _ []byte) error { return nil }
func (n *noop) Warnings(time.Time) []string     { return nil }
func (n *noop) Expired(time.Time) error         { return nil }

func (n *noop) Get(string, int64, string) ([]byte, error) { return n.seal.Bytes() }

func (n *noop) Prepare(pipe.Want) (pipe.Plan, error) { return pipe.Plan{}, nil }

func (n *noop) File(f pipe.File, _ bool, to io.Writer, _ func(done, total int64)) error {
	i := slices.IndexFunc(n.seal.Entries, func(e bundle.Entry) bool { return e.SHA256 == f.SHA256 })
	if i < 0 {
		return pipe.ErrNotFound
	}
	file, err := os.Open(filepath.Join(n.dir, n.seal.Entries[i].Path))
	if err != nil {
		return err
	}
	defer file.Close()
	_, err = io.Copy(to, file)
	return err
}
