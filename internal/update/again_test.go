package update

import (
	"context"
	"errors"
	"io"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"portward/internal/update/pipe"
)

// Rule: right before the exchange the repository is asked once more, and what it
// does not stand behind any more is not exchanged, whoever asked for it.
func TestLastLook(t *testing.T) {
	unreachable := errors.New("wrong bytes, or none")
	for name, c := range map[string]struct {
		op    string
		turns func(*Updater, *scene)
		want  string // in the answer's error
	}{
		"recalled":         {"update", func(_ *Updater, s *scene) { s.rel.Bad = []string{s.offered.Hash()} }, "2.0.0 waits: it is recalled"},
		"recalled, forced": {"force", func(_ *Updater, s *scene) { s.rel.Bad = []string{s.offered.Hash()} }, "2.0.0 waits: it is recalled"},
		"halted":           {"update", func(_ *Updater, s *scene) { s.rel.Rollout.Share = 0 }, "turn"},
		"denied":           {"force", func(u *Updater, _ *scene) { u.change(func(r *record) { r.deny("x", its) }) }, "2.0.0 is denied: x"},
		"another":          {"force", func(_ *Updater, s *scene) { s.offer("3.0.0") }, "2.0.0: the repository has 3.0.0 by now"},
		"expired":          {"force", func(_ *Updater, s *scene) { s.expired = errors.New("it is too old") }, "too old"},
		"expired, no answer": {"force", func(_ *Updater, s *scene) {
			s.offline, s.expired = unreachable, errors.New("it is too old")
		}, "too old"},
		"known to be behind": {"force", func(_ *Updater, s *scene) { s.offline, s.behind = unreachable, true }, unreachable.Error()},
		"recalled, then no answer": {"update", func(_ *Updater, s *scene) {
			s.offline, s.rel.Bad = unreachable, []string{s.offered.Hash()}
		}, "2.0.0 waits: it is recalled"},
	} {
		t.Run(name, func(t *testing.T) {
			s := newScene(t, "1.0.0")
			s.offer("2.0.0")
			u := s.mustOpen()
			s.onRefresh = func(n int) {
				if n == 2 {
					c.turns(u, s)
				}
			}
			if err := s.check(u, c.op); errors.Is(err, ErrHandOver) {
				t.Fatal("it was exchanged")
			}
			s.lives("1.0.0")
			if a := s.pay.Answers; len(a) != 1 || !strings.Contains(a[0].Error, c.want) || s.rescue {
				t.Errorf("answers %+v, rescue %v", a, s.rescue)
			}
			if name == "another" {
				if err := s.check(u, "update"); !errors.Is(err, ErrHandOver) {
					t.Errorf("the next check does not take what is there: %v", err)
				}
				s.lives("3.0.0")
			}
		})
	}
}

// Rule: a repository that cannot be reached just then stops no good release.
func TestLastLookInAnOutage(t *testing.T) {
	s := newScene(t, "1.0.0")
	s.offer("2.0.0")
	s.onRefresh = func(n int) {
		if n == 2 {
			s.offline = pipe.ErrOffline
		}
	}
	s.take()
	s.lives("2.0.0")
}

// slow is a repository that takes 25 minutes for every file.
type slow struct {
	*scene
	ctx context.Context
}

func (s slow) File(f pipe.File, whole bool, to io.Writer, told func(done, total int64)) error {
	select {
	case <-s.ctx.Done():
		return s.ctx.Err()
	case <-time.After(25 * time.Minute):
		return s.scene.File(f, whole, to, told)
	}
}

// Rule: a check ends, whatever the fetcher says meanwhile and however often it is
// asked; the next one goes on where it ended.
func TestCheckEnds(t *testing.T) {
	s := newScene(t, "1.0.0")
	s.offer("2.0.0") // three files
	synctest.Test(t, func(t *testing.T) {
		s.t = t
		env := s.env()
		env.Fetch = func(ctx context.Context) (*pipe.Client, func(), error) {
			s.mu.Lock()
			s.fetches++
			s.mu.Unlock()
			fromRoot, toFetcher := io.Pipe()
			fromFetcher, toRoot := io.Pipe()
			context.AfterFunc(ctx, func() { toRoot.CloseWithError(io.EOF); fromRoot.Close() })
			ended := make(chan struct{})
			go func() { defer close(ended); pipe.Serve(fromRoot, toRoot, slow{s, ctx}) }()
			return pipe.NewClient(fromFetcher, toFetcher), func() { <-ended }, nil
		}
		u, err := Open(s.cfg, env, s)
		if err != nil {
			t.Fatal(err)
		}
		stop := s.run(u)
		s.pass(59 * time.Minute)
		if s.fetches != 1 || s.pay.Error != "" {
			t.Errorf("%d checks, %q", s.fetches, s.pay.Error)
		}
		s.pass(checkWithin - 59*time.Minute + 30*time.Second)
		if s.lives("1.0.0"); !strings.Contains(s.pay.Error, "not done after") {
			t.Errorf("%q", s.pay.Error)
		}
		s.pass(30 * time.Minute)
		if s.lives("2.0.0"); s.fetches != 2 {
			t.Errorf("%d checks", s.fetches)
		}
		stop()
	})
}

// Rule: what will expire is told in time, also where nobody can be reached; and
// where there is no repository, it is nobody's concern.
func TestWarningsInTime(t *testing.T) {
	for _, repo := range []bool{true, false} {
		s := newScene(t, "1.0.0")
		s.offer("1.0.0")
		s.cfg.Repo, s.cfg.Every, s.offline = repo, 1000*time.Hour, pipe.ErrOffline
		s.cfg.Backoff = pauses{}
		synctest.Test(t, func(t *testing.T) {
			s.t = t
			u := s.mustOpen()
			u.cfg.Backoff = never{}
			stop := s.run(u)
			s.pass(100 * time.Hour)
			before := s.fetches
			s.warnings = []string{"it expires"}
			s.pass(reportEvery + time.Minute)
			if got := slices.Equal(s.pay.Warnings, s.warnings); got != repo || s.fetches != before {
				t.Errorf("repository %v: warnings %q after %d checks", repo, s.pay.Warnings, s.fetches-before)
			}
			stop()
		})
	}
}

type never struct{}

func (never) NextBackOff() time.Duration { return 1000 * time.Hour }
func (never) Reset()                     {}
