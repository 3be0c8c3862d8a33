package watchdog

import (
	"fmt"
	"time"
)

// A move is what the loop does about a note.
type move func(*Dog, note)

// moves is the whole behaviour: a row for each state, a cell for each kind of
// note. Down and Held only see news of a new life, the others only of theirs.
var moves = [states][kinds]move{
	// started, start-failed, exited, checked-in, lost, goodbye, beat, due, healthy-due, restart
	Down:     {begin, fail, end, up, drop, drop, drop, drop, drop, renew},
	Starting: {know, fail, end, up, drop, hear, drop, neverReady, drop, renew},
	Up:       {know, fail, end, again, lose, hear, beat, hang, heal, renew},
	Lost:     {know, fail, end, up, lose, hear, drop, giveUp, drop, renew},
	Dying:    {know, fail, end, drop, drop, drop, drop, giveUp, drop, renew},
	Held:     {begin, fail, end, up, drop, drop, drop, release, drop, renew},
}

// moveFor finds the cell for a note. It drops strangers, and turns to a new
// life when the note begins one.
func (d *Dog) moveFor(n note) move {
	cell := moves[d.is][n.kind]
	switch {
	case n.kind == restart:
		return cell
	case n.kind.timer():
		if n.turn != d.turn || n.life != d.life || d.late(n) {
			return drop
		}
		return cell
	case n.life < d.life || n.life == d.life && !d.alive():
		return drop
	case n.life == d.life:
		return cell
	case !n.kind.begins():
		if n.kind == connLost && n.life == d.early {
			d.early = 0
		}
		return drop
	case !d.alive():
		d.turnTo(n.life)
		return cell
	case n.kind == checkedIn && d.run.told && d.run.end == None:
		return hasten
	}
	d.bury() // the engine has moved on, or tells of no exits
	return d.moveFor(n)
}

// late says whether a timer came so late that the machine must have stood
// still. Then the job stood still, too, and gets all the time again.
func (d *Dog) late(n note) bool {
	by := time.Since(n.at)
	if d.is == Held || by <= max(time.Second, n.after/4) {
		return false
	}
	d.reason = fmt.Sprintf("the machine stood still for %v", round(by))
	d.run.beatAt = time.Now()
	d.arm(n.kind, n.after)
	return true
}

func (d *Dog) turnTo(life Life) {
	if d.life != 0 {
		d.restarts++
	}
	d.life, d.run = life, run{}
}

func drop(_ *Dog, n note) { n.answer(ErrStranger) }

func know(d *Dog, n note) { d.run.pid, d.run.told, d.run.began = n.pid, true, n.at }

func begin(d *Dog, n note) {
	know(d, n)
	d.changeState(Starting)
	d.forestall()
}

func up(d *Dog, n note) {
	if d.run.exit != nil {
		drop(d, n)
		return
	}
	d.run.conns = 1
	if d.run.began.IsZero() {
		d.run.began = time.Now()
	}
	d.changeState(Up)
	d.forestall()
	if d.life > d.asked {
		d.answerWaiting(nil)
	}
	n.answer(nil)
}

func again(d *Dog, n note) {
	d.run.conns++
	n.answer(nil)
}

// hasten takes a check-in that overtook, on another channel, the exit of the
// life before, and waits for that exit.
func hasten(d *Dog, n note) {
	d.early = n.life
	if d.is != Lost {
		d.changeState(Lost)
	}
	n.answer(nil)
}

func lose(d *Dog, _ note) {
	switch d.run.conns--; {
	case d.run.conns > 0:
	case d.run.exit != nil:
		d.bury()
	case d.is == Up:
		d.changeState(Lost)
	}
}

func hear(d *Dog, n note) { d.run.goodbye = n.text }

func beat(d *Dog, _ note) { d.run.beatAt = time.Now() }

func hang(d *Dog, _ note) {
	silent := time.Since(d.run.beatAt)
	if left := d.cfg.BeatWithin - silent; left > 0 {
		d.arm(due, left)
		return
	}
	d.kill(Deadlock, fmt.Sprintf("no beat for %v", round(silent)))
}

func neverReady(d *Dog, _ note) {
	d.kill(NeverReady, fmt.Sprintf("not checked in within %v", d.cfg.StartWithin))
}

// kill ends the present life, evidence first.
func (d *Dog) kill(why Class, text string) {
	d.run.end, d.run.endText = why, text
	d.see(d.death())
	d.strike()
}

func (d *Dog) strike() {
	err := d.env.Kill(d.life)
	d.changeState(Dying)
	if d.reason, d.run.unkilled = d.run.endText, err != nil; err != nil {
		d.reason = "kill: " + err.Error()
	}
}

// giveUp ends the wait for an exit report. What may still run is killed, again
// if the kill went wrong; but not once a later life is known, as some engines
// can only kill by the name of the job.
func giveUp(d *Dog, _ note) {
	if d.early == 0 && d.run.exit == nil && (d.is == Lost || d.run.unkilled) {
		if d.strike(); d.run.told || d.run.unkilled {
			return
		}
	}
	d.bury()
}

func release(d *Dog, _ note) {
	d.until = time.Time{}
	d.changeState(Down)
}

// renew is a restart. What it ends is nobody's fault.
func renew(d *Dog, n note) {
	if d.early != 0 || d.run.exit != nil {
		d.bury()
	}
	d.lift()
	ours := d.alive() && d.run.end == None
	if ours {
		d.run.end, d.run.endText = Asked, "asked to restart" // even when no next life comes of it
	}
	if err := d.env.Kickstart(d.alive()); err != nil {
		n.answer(err)
		return
	}
	d.want, d.asked, d.waiting = Running, d.life, append(d.waiting, n.reply)
	d.run.unkilled = false
	if ours {
		d.changeState(Dying)
	}
}

func (d *Dog) answerWaiting(err error) {
	for _, reply := range d.waiting {
		reply <- err
	}
	d.want, d.waiting = OnDemand, nil
}
