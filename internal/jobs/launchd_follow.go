package jobs

import (
	"cmp"
	"context"
	"fmt"
	"time"
)

// maxMissed bounds how many lives that nobody saw are told after one look.
const maxMissed = 16

// A trail is what is known of the lives of a job that is followed. Whoever looks
// has its turn, so that news come in the order in which they were seen; the fields
// below are the engine's mu's.
type trail struct {
	target Target
	turn   chan struct{} // has one place
	wake   chan struct{} // has one place: there is a process

	looked   bool
	life     uint64 // the present one, or the last
	pid      int    // 0: none runs
	since    time.Time
	last     *Exit
	restarts uint64
	runs     int // accounted for, of those that launchd counts
}

// A sight is what one look has shown.
type sight struct {
	loaded bool
	mute   bool // and no more is known of it
	runs   int  // since the load; -1: not told
	listing
}

// follows makes the trails, which are never dropped.
func follows(targets []Target) map[Target]*trail {
	all := map[Target]*trail{}
	for _, t := range targets {
		all[t] = &trail{target: t, turn: make(chan struct{}, 1), wake: make(chan struct{}, 1)}
	}
	return all
}

// followed has a job that is followed looked at, and its news told. Of other jobs
// it knows nothing. A look that failed is made up for by the next one.
func (l *Launchd) followed(ctx context.Context, t Target) {
	if tr := l.trails[t]; tr != nil {
		if _, _, err := l.lookAlong(ctx, tr); err != nil && ctx.Err() == nil {
			l.logf("following %s: %v", t, err)
		}
	}
}

// lookAlong looks at a job, tells the news, and answers what is known then.
func (l *Launchd) lookAlong(ctx context.Context, tr *trail) (sight, trail, error) {
	select {
	case tr.turn <- struct{}{}:
		defer func() { <-tr.turn }()
	case <-ctx.Done():
		return sight{}, trail{}, ctx.Err()
	case <-l.life.Done():
		return sight{}, trail{}, ErrClosed
	}
	s, err := l.see(ctx, tr.target)
	if err != nil {
		return sight{}, trail{}, err
	}
	l.mu.Lock()
	news := tr.learn(s, time.Now())
	now := *tr
	l.mu.Unlock()
	for _, e := range news {
		l.feed.send(e)
	}
	if now.pid != 0 {
		wake(tr.wake)
	}
	return s, now, nil
}

// see asks launchd. The count comes first: a start between the two questions is
// seen as a process then, and never as an end.
func (l *Launchd) see(ctx context.Context, t Target) (sight, error) {
	name, err := l.name(t)
	if err != nil {
		return sight{}, err
	}
	a, err := l.run(ctx, "print", name)
	switch {
	case err != nil:
		return sight{}, err
	case absent(a.code):
		return sight{}, nil
	case a.code != 0:
		return sight{}, refusal(a)
	}
	runs := parseRuns(a.stdout)
	a, err = l.list(ctx, t)
	return sight{true, a.code != 0, runs, parseListing(a.stdout)}, err
}

// learn compares a look with what was known, and answers what is new. The first
// look begins the trail: what was before it is nobody's news.
func (tr *trail) learn(s sight, now time.Time) (news []Event) {
	tell := func(k EventKind, pid int, x Exit) {
		e := Event{Kind: k, Target: tr.target, Life: tr.life, PID: pid, Exit: x, Time: now}
		if k == StartFailed {
			e.Err = fmt.Sprintf("%v, which launchd says of a missing program, too", x)
		}
		news = append(news, e)
	}
	if s.mute {
		return nil
	}
	if !tr.looked {
		tr.looked, tr.runs, tr.pid, tr.last, tr.since = true, max(s.runs, 0), s.pid, s.last, now
		tr.life = uint64(max(s.runs, min(s.pid, 1)))
		return nil
	}
	fresh := s.pid != 0 && s.pid != tr.pid
	exit := *cmp.Or(s.last, &Exit{}) // launchd notes bad ends only
	missed := tr.missed(s, fresh)
	if tr.pid != 0 && s.pid != tr.pid {
		tell(Exited, tr.pid, exit)
	}
	for range missed {
		if tr.began(exit); exit.Code == configExit {
			tell(StartFailed, 0, exit)
			continue
		}
		tell(Exited, 0, exit)
	}
	if fresh {
		tr.began(exit)
		tell(Started, s.pid, Exit{})
	}
	if s.pid != tr.pid || missed > 0 {
		tr.since = now
	}
	tr.pid, tr.last = s.pid, s.last
	return news
}

// began counts a life whose predecessor ended like that.
func (tr *trail) began(before Exit) {
	if tr.life > 0 && !before.Success() {
		tr.restarts++
	}
	tr.life++
}

// missed answers how many lives began and ended since the last look. Where launchd
// does not count, an end that is unlike the one before is one.
func (tr *trail) missed(s sight, fresh bool) int {
	seen := 0
	if fresh {
		seen = 1
	}
	switch {
	case !s.loaded: // a count begins anew with the next load
		tr.runs = 0
		return 0
	case s.runs < 0 && s.pid == 0 && tr.pid == 0 && s.last != nil && *s.last != *cmp.Or(tr.last, &Exit{}):
		return 1
	case s.runs < 0:
		return 0
	case s.runs < tr.runs: // loaded anew since
		tr.runs = s.runs
		return 0
	}
	n := s.runs - tr.runs - seen
	tr.runs = max(s.runs, tr.runs+seen) // a count may be older than the process
	return min(max(n, 0), maxMissed)
}

// walk looks at a job until Close: when its process has ended, and every Poll
// while there is none.
func (l *Launchd) walk(tr *trail) {
	var trouble complaint
	for over := 0; ; {
		s, _, err := l.lookAlong(l.life, tr)
		if l.life.Err() != nil {
			return
		}
		trouble.say(l.logf, "following "+string(tr.target), err)
		switch {
		case s.pid == 0:
			doze(l.life, tr.wake, l.o.Poll)
		case s.pid == over: // and launchd has yet to notice
			sleep(l.life, l.times.pause)
		default:
			ctx, cancel := context.WithTimeout(l.life, maxDoze)
			l.proc.await(ctx, s.pid)
			if ctx.Err() == nil {
				over = s.pid
			}
			cancel()
		}
	}
}

// trace fills in what is known of a job that is followed.
func (tr trail) trace(s State) State {
	s.Life, s.Since, s.Restarts = tr.life, tr.since, tr.restarts
	return s
}
