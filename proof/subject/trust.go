package subject

import (
	"bytes"
	"encoding/json"
	"errors"
	"os"
	"time"

	"portward/internal/bundle"
	"portward/internal/update"
	"portward/internal/update/pipe"
)

const (
	channel  = "stable"
	platform = "linux-amd64"
)

// vouch answers what a bundle carries to prove where it is from. Long enough
// for a disk to lose a part of it.
func vouch() (root, targets []byte) {
	return bytes.Repeat([]byte("root "), 900), bytes.Repeat([]byte("targets "), 700)
}

// trust believes that the fixture's bundles are the publisher's, and that the
// one called present is the present release.
type trust struct {
	f       *Fixture
	present string
}

func (t trust) Refresh(time.Time, func(string, int64, string) ([]byte, error)) (bool, error) {
	return false, nil
}

func (t trust) Target(name string) (pipe.Target, bool) {
	if name == update.DeliveryName(channel, platform) {
		return pipe.Target{Name: name, SHA256: t.f.hash(t.present), Size: 1}, true
	}
	data, err := t.f.sealBytes(t.present)
	if name != update.SealName(channel, platform) || err != nil {
		return pipe.Target{}, false
	}
	custom, err := json.Marshal(update.Release{Version: versions[t.present], Rollout: update.Rollout{Seed: "x", Share: 10000}})
	return pipe.Target{Name: name, SHA256: t.f.hash(t.present), Size: int64(len(data)), Custom: custom}, err == nil
}

func (t trust) Vouch() (root, targets []byte) { return vouch() }

func (t trust) Vouches(targets, seal []byte) error {
	s, err := bundle.ParseSeal(seal)
	if err != nil {
		return err
	}
	if _, want := vouch(); !bytes.Equal(targets, want) || t.f.seals[s.Hash()] == "" {
		return errors.New("nobody vouches for it")
	}
	return nil
}

func (t trust) Warnings(time.Time) []string { return nil }
func (t trust) Expired(time.Time) error     { return nil }

func (f *Fixture) hash(which string) string {
	for hash, w := range f.seals {
		if w == which {
			return hash
		}
	}
	return ""
}

func (f *Fixture) sealBytes(which string) ([]byte, error) {
	return os.ReadFile(bundle.Layout(f.bundle(which)).Seal())
}
