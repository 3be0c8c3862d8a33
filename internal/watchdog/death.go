package watchdog

import (
	"fmt"
	"syscall"
	"time"
)

// end buries a life, but gives one that exited with status 0 the time to say
// why: its goodbye comes on another channel, before that closes.
func end(d *Dog, n note) {
	d.run.exit = &n.exit
	if d.run.conns == 0 || d.run.goodbye != "" || d.run.end != None || !n.exit.ok() {
		d.bury()
	} else if d.is != Lost {
		d.changeState(Lost)
	}
}

// fail: a start that fails is a death like any other.
func fail(d *Dog, n note) {
	if d.run.end == None {
		d.run.end, d.run.endText = StartFailed, n.text
	}
	d.bury()
}

func heal(d *Dog, _ note) {
	d.run.healthy = true
	d.tally = 0
	d.cfg.Backoff.Reset()
	d.lift()
}

// bury ends the present life: the verdict, the tally, and what comes next.
func (d *Dog) bury() {
	v := d.judge()
	fast := v.Class.counts() && !d.run.healthy
	d.last, d.run = v, run{}
	d.changeState(Down)
	if fast {
		d.tally++
	}
	switch {
	case fast && d.tally >= d.cfg.FastDeaths:
		d.hold(v)
	case d.ahead:
		d.lift()
	case d.until.After(d.since):
		d.changeState(Held)
		d.reason = "started in spite of a hold that goes on"
	}
	if d.want == Running && v.Life > d.asked {
		d.answerWaiting(fmt.Errorf("life %d ended before its check-in: %v: %s", v.Life, v.Class, v.Text))
	}
	if v.Class.counts() {
		d.endTrial(v, nil)
	}
	if early := d.early; early != 0 {
		d.early = 0
		d.turnTo(early)
		up(d, note{})
	}
}

// death is what we know ourselves of the end of the present life.
func (d *Dog) death() Death {
	exit := d.run.exit
	death := Death{Class: d.run.end, Text: d.run.endText, Exit: exit, At: time.Now()}
	if !d.run.began.IsZero() {
		death.Uptime = max(0, death.At.Sub(d.run.began)) // a clock may have been set back
	}
	switch {
	case death.Class != None:
	case d.run.goodbye != "" && (exit == nil || exit.ok()):
		death.Class, death.Text = Asked, d.run.goodbye
		if d.run.goodbye == "idle" {
			death.Class = Idle
		}
	case exit == nil:
		death.Text = "gone without an exit report"
	default:
		death.Text = exit.describe()
	}
	return death
}

func (e Exit) ok() bool { return e.Signal == 0 && e.Code == 0 }

// describe says how a process ended that was not asked to. Status 0 without a
// goodbye is a death: its clients lost a service they were using.
func (e Exit) describe() string {
	switch {
	case e.Signal != 0:
		return fmt.Sprintf("signal %d (%v)", e.Signal, syscall.Signal(e.Signal))
	case e.ok():
		return "exit status 0 without a goodbye"
	}
	return fmt.Sprintf("exit status %d", e.Code)
}

// see asks the witness, once for each life.
func (d *Dog) see(death Death) Evidence {
	if d.run.seen == nil {
		e := d.env.Witness(d.life, death)
		d.run.seen = &e
	}
	return *d.run.seen
}

// judge lets the evidence decide what we do not know for certain.
func (d *Dog) judge() Verdict {
	death := d.death()
	e := d.see(death)
	v := Verdict{d.life, death.Class, death.Text, death.At, death.Uptime}
	if !v.Class.settled() && e.Class != None {
		v.Class, v.Text = e.Class, e.Text
	}
	if v.Class == None {
		v.Class = Crash
	}
	return v
}

// hold lets nobody start the job for a while.
func (d *Dog) hold(v Verdict) {
	d.ahead = false
	d.until = time.Now().Add(d.cfg.Backoff.NextBackOff())
	err := d.env.Hold(d.until)
	d.changeState(Held)
	d.reason = fmt.Sprintf("%d fast deaths in a row, the last by %v", d.tally, v.Class)
	if err != nil {
		d.reason += "; hold: " + err.Error()
	}
}

// forestall lays the hold ahead of the death that would bring it: a client's
// redial is quicker than the news of that death. The hold outlives any life that
// could need it, and this process, so it has an end of its own.
func (d *Dog) forestall() {
	if d.ahead || d.run.healthy || d.tally+1 < d.cfg.FastDeaths || time.Now().Before(d.until) {
		return
	}
	d.ahead = true
	d.until = time.Now().Add(d.cfg.StartWithin + d.cfg.Healthy + d.cfg.LostWithin)
	if err := d.env.Hold(d.until); err != nil {
		d.reason = "hold: " + err.Error()
	}
}

// lift ends a hold before its time.
func (d *Dog) lift() {
	if d.until.IsZero() {
		return
	}
	d.until, d.ahead = time.Time{}, false
	if d.is == Held {
		d.changeState(Down)
	}
	if err := d.env.Hold(time.Time{}); err != nil {
		d.reason = "lift the hold: " + err.Error()
	}
}
