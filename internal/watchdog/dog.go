// Package watchdog knows whether one job lives, why it died, and when it may
// live again. It must never know what the job does, how it is started, or where
// its files come from.
//
// The job runs on demand: nobody here starts it, except when asked to restart
// it. A death costs no wait until several in a row came fast; then the job is
// held, each time for longer, until a life was healthy for a while.
package watchdog

import (
	"context"
	"errors"
	"time"
)

var (
	ErrStranger = errors.New("not the living process of the job") // of a check-in
	ErrStopped  = errors.New("watchdog stopped")
	ErrOnTrial  = errors.New("a trial is running already")
)

// A Config is the policy. Nothing but BeatWithin may be zero.
type Config struct {
	StartWithin time.Duration // from start to check-in
	Healthy     time.Duration // a life that is up this long wipes the tally
	LostWithin  time.Duration // from a lost connection or a kill to the exit report
	BeatWithin  time.Duration // between two beats; zero: none are expected
	FastDeaths  int           // so many deaths before Healthy in a row, and the job is held
	Backoff     interface {   // for how long; the loop's own
		NextBackOff() time.Duration
		Reset()
	}
}

// Env is the world as the loop sees it. The loop calls one function at a time
// and is deaf meanwhile, so each must return in bounded time and none may call
// a method of the Dog.
type Env struct {
	Kickstart func(kill bool) error       // start the job; kill: SIGKILL it first
	Kill      func(Life) error            // SIGKILL that life; nil, too, when it is over
	Hold      func(until time.Time) error // no start before until; zero lifts it
	Witness   func(Life, Death) Evidence  // keep evidence; at most once for each life
	Report    func(Status)                // the status changed
}

// An Exit is how a process ended: wait4(2).
type Exit struct {
	Code   int // meaningful when Signal is zero
	Signal int
	CPU    time.Duration // user and system time in all
}

// A Death is what the loop knows of the end of a life, or ahead of a kill.
type Death struct {
	Class  Class // None: the witness may know
	Text   string
	Exit   *Exit // nil: none was reported
	At     time.Time
	Uptime time.Duration // since the engine started it, or, where that was not told, since it checked in
}

// Evidence is what a witness saw.
type Evidence struct {
	Class Class // None: cannot say
	Text  string
}

// A Verdict says what became of a life.
type Verdict struct {
	Life   Life
	Class  Class
	Text   string
	At     time.Time
	Uptime time.Duration
}

// A Status is what people are told.
type Status struct {
	State    State
	Want     Want
	Life     Life // the present or latest one; zero: none was seen
	PID      int  // zero: not known, or no process
	Since    time.Time
	Restarts uint64    // lives seen after the first
	Tally    int       // fast deaths in a row
	Until    time.Time // of a hold: the next attempt
	Reason   string    // for the state, where it needs one
	Last     Verdict
}

// A Dog watches one job. Its state belongs to the goroutine of Run; the other
// methods send that one notes, from any goroutine, and wait while it is busy.
type Dog struct {
	cfg   Config
	env   Env
	notes chan note     // unbuffered: what was taken is answered
	done  chan struct{} // closed when Run ends

	want     Want
	is       State
	since    time.Time
	turn     uint64        // counts changes of is
	timers   []*time.Timer // armed in this turn
	life     Life
	run      run
	early    Life // checked in before the news that life ended; zero: none
	restarts uint64

	tally  int
	until  time.Time // of a hold of ours; zero: none
	ahead  bool      // that hold is laid ahead of a death
	reason string
	last   Verdict

	asked   Life // the life to be replaced, while want is Running
	waiting []chan<- error
	trial   *trial
	tick    <-chan time.Time // the trial's; nil: none is on
	told    Status
}

// A run is what is known of the present life.
type run struct {
	pid      int
	told     bool      // the engine told of its start, so it will of its exit
	conns    int       // open check-in connections
	began    time.Time // as the engine says, or else its check-in
	beatAt   time.Time
	healthy  bool
	goodbye  string
	exit     *Exit // told; nil: not yet
	end      Class // why we ended it; None: we did not
	endText  string
	unkilled bool // the kill itself went wrong
	seen     *Evidence
}

// A note is one piece of news for the loop.
type note struct {
	kind  kind
	life  Life
	pid   int
	exit  Exit
	text  string
	reply chan<- error // buffered; nil: nobody waits
	do    func() error // instead of all the above: a question

	turn  uint64    // of a timer: when it was armed, for when, how long before
	at    time.Time // of a start: since when
	after time.Duration
}

func (n note) answer(err error) {
	if n.reply != nil {
		n.reply <- err
	}
}

// New makes a Dog that has seen no life. It does nothing before Run.
func New(cfg Config, env Env) *Dog {
	return &Dog{cfg: cfg, env: env, notes: make(chan note), done: make(chan struct{})}
}

// Run is the loop; call it once. It ends with ctx, answers whoever waits, and
// leaves the job alone: the next supervisor adopts it.
func (d *Dog) Run(ctx context.Context) error {
	d.since = time.Now()
	for {
		if s := d.status(); s != d.told {
			d.told = s
			d.env.Report(s)
		}
		select {
		case <-ctx.Done():
			close(d.done)
			d.disarm()
			d.answerWaiting(ErrStopped)
			d.endTrial(Verdict{}, ErrStopped)
			return context.Cause(ctx)
		case n := <-d.notes:
			if n.do != nil {
				n.answer(n.do())
			} else {
				d.moveFor(n)(d, n)
			}
		case <-d.tick:
			d.observe()
		}
	}
}

// changeState alone writes is. It disarms the timers of the state that ends;
// one that has fired already carries an old turn.
func (d *Dog) changeState(to State) {
	d.observe() // until now the old state lasted
	d.disarm()
	d.is, d.since, d.reason = to, time.Now(), ""
	d.turn++
	switch to {
	case Starting:
		d.arm(due, d.cfg.StartWithin)
	case Up:
		d.run.beatAt = d.since
		d.arm(healthyDue, d.cfg.Healthy)
		if d.cfg.BeatWithin > 0 {
			d.arm(due, d.cfg.BeatWithin)
		}
	case Lost, Dying:
		d.arm(due, d.cfg.LostWithin)
	case Held:
		d.arm(due, time.Until(d.until))
	}
}

func (d *Dog) arm(k kind, after time.Duration) {
	n := note{kind: k, life: d.life, turn: d.turn, at: time.Now().Add(after), after: after}
	d.timers = append(d.timers, time.AfterFunc(after, func() { d.send(n) }))
}

func (d *Dog) disarm() {
	for _, t := range d.timers {
		t.Stop()
	}
	d.timers = nil
}

// alive says whether there is a process, as far as is known.
func (d *Dog) alive() bool { return d.is != Down && d.is != Held }

func (d *Dog) status() Status {
	s := Status{State: d.is, Want: d.want, Life: d.life, Since: d.since, Restarts: d.restarts,
		Tally: d.tally, Until: d.until, Reason: d.reason, Last: d.last}
	if d.alive() {
		s.PID = d.run.pid
	}
	return s
}
