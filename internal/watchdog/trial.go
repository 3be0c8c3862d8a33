package watchdog

import (
	"context"
	"fmt"
	"time"
)

// A TrialSpec says what a trial bears.
type TrialSpec struct {
	Deadline time.Duration // fail when not passed by then; zero: never
	// Seen is told of the health so far at each look. It may be nil. The loop
	// calls it and is deaf meanwhile.
	Seen func(healthy time.Duration)
}

// Trial passes, with a verdict of class Healthy, once the job was seen Up for
// window in all, over one life or several. It fails with the verdict of the
// first death that counts, or with NeverReady at the deadline. What counts
// for no death elsewhere counts for none here. Both times are observed ones:
// while the machine stands still, neither goes on. A trial ends with its ctx.
func (d *Dog) Trial(ctx context.Context, spec TrialSpec, window time.Duration) (Verdict, error) {
	ended := make(chan error, 1)
	t := &trial{TrialSpec: spec, ctx: ctx, window: window, ended: ended}
	if err := d.ask(ctx, note{do: func() error { return d.beginTrial(t) }}); err != nil {
		return Verdict{}, err
	}
	select {
	case err := <-ended:
		return t.verdict, err
	case <-ctx.Done():
		return Verdict{}, ctx.Err()
	}
}

type trial struct {
	TrialSpec
	ctx              context.Context // the asker's
	window           time.Duration
	verdict          Verdict      // once ended
	ended            chan<- error // buffered
	healthy, watched time.Duration
	looked           time.Time
	timer            *time.Timer
}

// look is how often a trial is looked at, and the most that one look adds,
// however long ago the one before was.
const look = time.Second

func (d *Dog) beginTrial(t *trial) error {
	if d.trial != nil && d.trial.ctx.Err() == nil {
		return ErrOnTrial
	}
	d.endTrial(Verdict{}, context.Canceled)
	t.looked, t.timer = time.Now(), time.NewTimer(0)
	d.trial, d.tick = t, t.timer.C
	return nil
}

// observe adds the time since the last look, ends a trial that is decided, and
// sets the time of the next look.
func (d *Dog) observe() {
	t := d.trial
	if t == nil {
		return
	}
	now := time.Now()
	seen := min(now.Sub(t.looked), look)
	t.looked = now
	t.watched += seen
	next := look
	if d.is == Up {
		t.healthy += seen
		next = min(next, t.window-t.healthy)
	}
	if t.Deadline > 0 {
		next = min(next, t.Deadline-t.watched)
	}
	if t.Seen != nil {
		t.Seen(t.healthy)
	}
	class := NeverReady
	switch {
	case t.ctx.Err() != nil:
		d.endTrial(Verdict{}, t.ctx.Err())
		return
	case t.healthy >= t.window:
		class = Healthy
	case next > 0:
		t.timer.Reset(next)
		return
	}
	d.endTrial(Verdict{Life: d.life, Class: class, At: now, Uptime: t.healthy,
		Text: fmt.Sprintf("healthy for %v of %v after %v", round(t.healthy), t.window, round(t.watched))}, nil)
}

func (d *Dog) endTrial(v Verdict, err error) {
	if t := d.trial; t != nil {
		t.timer.Stop()
		t.verdict = v
		t.ended <- err
		d.trial, d.tick = nil, nil
	}
}
