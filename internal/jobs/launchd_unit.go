package jobs

import (
	"context"
	"fmt"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// unit is what this engine knows of one job. Whoever acts on the job holds its
// turn; the fields below are the engine's mu's, so that State need not wait.
type unit struct {
	target Target
	name   string        // as launchctl takes it: "gui/501/LABEL"
	turn   chan struct{} // has one place
	wake   chan struct{} // has one place: the hold has changed

	ours    bool          // loaded by this engine, or found in a session
	refused bool          // an agent that launchd does not take in this session
	path    string        // of its plist
	stop    time.Duration // ExitTimeOut; 0 for ever
	until   time.Time     // held until then
	out     bool          // unloaded for a hold
	kept    bool          // keep is running
	pid     int           // to be held when it is over
	looked  time.Time     // when launchd said so
}

// place is a domain as launchctl takes it.
func (l *Launchd) place(d Domain) (string, error) {
	own := "gui/" + strconv.Itoa(l.o.UID)
	switch id := d.Session(); {
	case d == System && l.o.UID == 0:
		return "system", nil
	case d == System:
		return own, nil
	case d == GUI:
		return "", fmt.Errorf("%q is every session, name one: %w", string(d), ErrNotLoaded)
	case !isUID(id) || l.o.UID != 0 && string(d) != own:
		return "", fmt.Errorf("session %q: %w", id, ErrNoSession)
	}
	return string(d), nil
}

func isUID(s string) bool {
	n, err := strconv.ParseUint(s, 10, 32)
	return err == nil && strconv.FormatUint(n, 10) == s
}

// name checks a target and answers what launchctl calls it. A label that looks
// like an option is none.
func (l *Launchd) name(t Target) (string, error) {
	if err := t.Check(); err != nil {
		return "", err
	}
	if strings.HasPrefix(t.Label(), "-") {
		return "", fmt.Errorf("label %q: %w", t.Label(), ErrMalformed)
	}
	place, err := l.place(t.Domain())
	if err != nil {
		return "", fmt.Errorf("%w: %w", ErrNotLoaded, err)
	}
	return place + "/" + t.Label(), nil
}

// begin waits for the turn at a job. Labels are few, so units are never dropped.
func (l *Launchd) begin(ctx context.Context, t Target) (*unit, error) {
	name, err := l.name(t)
	if err != nil {
		return nil, err
	}
	l.mu.Lock()
	u := l.units[t]
	if u == nil {
		u = &unit{target: t, name: name, turn: make(chan struct{}, 1), wake: make(chan struct{}, 1), stop: DefaultExitTimeOut}
		l.units[t] = u
	}
	l.mu.Unlock()
	return u, l.take(ctx, u)
}

func (l *Launchd) take(ctx context.Context, u *unit) error {
	if l.life.Err() != nil {
		return ErrClosed
	}
	select {
	case u.turn <- struct{}{}:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	case <-l.life.Done():
		return ErrClosed
	}
}

func (u *unit) done() { <-u.turn }

// set changes a unit, and snapshot reads it, under the lock.
func (l *Launchd) set(u *unit, f func(*unit)) {
	l.mu.Lock()
	defer l.mu.Unlock()
	f(u)
}

func (l *Launchd) snapshot(u *unit) unit {
	l.mu.Lock()
	defer l.mu.Unlock()
	return *u
}

// loaded asks by exit code only: the text of print is no API.
func (l *Launchd) loaded(ctx context.Context, name string) (bool, error) {
	a, err := l.run(ctx, "print", name)
	switch {
	case err != nil:
		return false, err
	case a.code == 0:
		return true, nil
	case absent(a.code):
		return false, nil
	}
	return false, refusal(a)
}

// look asks what a loaded job does. `list` knows no domains, it looks where it
// is called from: root asks for a user's job as the user's login would. An empty
// answer is one: the job may be gone, or lie where list does not look.
func (l *Launchd) look(ctx context.Context, t Target) (listing, error) {
	a, err := l.list(ctx, t)
	if err != nil || a.code != 0 {
		return listing{}, err
	}
	return parseListing(a.stdout), nil
}

func (l *Launchd) list(ctx context.Context, t Target) (answer, error) {
	args := []string{"list", t.Label()}
	if id := t.Session(); id != "" && l.o.UID == 0 {
		args = append([]string{"asuser", id, l.o.Launchctl}, args...)
	}
	return l.run(ctx, args...)
}

// load has launchd load a plist, and waits a while for what passes: an earlier
// bootout of the same job that is still at work, also another's.
func (l *Launchd) load(ctx context.Context, u *unit, path string) error {
	place, err := l.place(u.target.Domain())
	if err != nil {
		return err
	}
	ours := l.snapshot(u).ours
	for end := time.Now().Add(l.times.settle); ; {
		there, err := l.loaded(ctx, u.name)
		if err != nil {
			return err
		}
		last := error(ErrAlreadyLoaded)
		if !there {
			a, err := l.run(ctx, "bootstrap", place, path)
			if err != nil || a.code == 0 {
				return err
			}
			last = refusal(a)
			if !passing(a.code) && a.code != codeExists {
				return last
			}
		}
		if there && ours || !time.Now().Before(end) {
			return last
		}
		if !sleep(ctx, l.times.pause) {
			return ctx.Err()
		}
	}
}

// expel has launchd stop and forget a job. It answers when launchd has taken the
// order; bootout itself waits for nothing. An order once given is seen through,
// whatever becomes of ctx: half an order is a job that nobody knows the state of.
func (l *Launchd) expel(ctx context.Context, u *unit) error {
	for end := time.Now().Add(l.times.settle); ; {
		a, err := l.run(context.WithoutCancel(ctx), "bootout", u.name)
		switch {
		case err != nil:
			return err
		case a.code == 0 || passing(a.code) && a.code != codeIO:
			l.set(u, func(u *unit) { u.ours = false }) // the next load waits for what is draining
			return nil
		case a.code != codeIO || !time.Now().Before(end):
			return refusal(a)
		}
		if !sleep(ctx, l.times.pause) {
			return ctx.Err()
		}
	}
}

// awaitGone waits for the end of what was expelled.
func (l *Launchd) awaitGone(ctx context.Context, u *unit) error {
	stop := l.snapshot(u).stop
	for end := time.Now().Add(stop + l.times.settle); ; {
		there, err := l.loaded(ctx, u.name)
		if err != nil || !there {
			return err
		}
		if stop > 0 && !time.Now().Before(end) { // with ExitTimeOut 0 launchd waits for ever, and so do we
			return fmt.Errorf("told to stop, and there after %v: %w\nhint: `sudo launchctl kill KILL %s` ends what does not obey", stop+l.times.settle, ErrBusy, u.name)
		}
		if !sleep(ctx, l.times.pause) {
			return ctx.Err()
		}
	}
}

// plistPath refuses what is not a file's absolute name.
func plistPath(path string) error {
	if !filepath.IsAbs(path) || filepath.Clean(path) != path || strings.ContainsRune(path, 0) {
		return fmt.Errorf("path %q: not absolute and clean: %w", path, ErrMalformed)
	}
	return nil
}
