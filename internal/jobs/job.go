package jobs

import (
	"syscall"
	"time"
)

// phase is what a job is.
type phase uint8

const (
	idle     phase = iota // no process
	starting              // with the starter
	running               // a process, until it was waited for
)

// job is one target. Only the loop touches it: handlers note what happened or
// is asked for, and settle alone acts.
//
//	       settle: wanted, and not before its time
//	idle ----------------------------------------> starting
//	 ^  ^             begun: failed                  |
//	 |  +--------------------------------------------+
//	 |                                               | begun
//	 +------------------ ended ------------------ running
//
// An idle job that is told to stop is unloaded; a starting one first runs.
type job struct {
	target  Target
	spec    *Spec
	session *Session
	held    []listener

	// is
	phase    phase
	life     uint64
	proc     process
	since    time.Time // beginning of running, or of not running
	began    time.Time // the last start, failed ones too
	last     *Exit
	died     bool // the last life was no success
	restarts uint64
	brake    brake
	token    uint64 // of the poll that is armed, 0: none

	// want
	kicks     []kick    // Kickstarts that wait for a life
	once      bool      // RunAtLoad, or a WatchPaths entry changed
	again     bool      // KeepAlive, judged by the last exit
	demand    bool      // a connection is queued
	tick      bool      // StartInterval came round
	tickAt    time.Time // when it does next; zero: never
	killNext  bool      // the life that is being started is to be killed
	stop      bool      // end and unload
	told      bool      // SIGTERM was sent
	killAt    time.Time // zero: never
	notBefore time.Time // the engine's own delay
	heldUntil time.Time
	gone      []*pending
}

// kick is a Kickstart that is answered by a life above after.
type kick struct {
	after uint64
	reply chan<- error
}

// pending calls done when so many jobs are gone.
type pending struct {
	left int
	done func()
}

func (p *pending) one() {
	if p.left--; p.left == 0 {
		p.done()
	}
}

// state is the job as others see it.
func (j *job) state(now time.Time, wanted bool) State {
	s := State{
		Target: j.target, Life: j.life, Since: j.since, Restarts: j.restarts,
		Last: j.last, Status: Waiting,
	}
	if j.proc != nil {
		s.PID = j.proc.pid()
	}
	if j.isHeld(now) {
		s.HeldUntil = j.heldUntil
	}
	switch {
	case j.stop:
		s.Status = Stopping
	case j.phase != idle:
		s.Status = Running
	case j.isHeld(now):
		s.Status = Held
	case wanted:
		s.Status = Throttled
	}
	return s
}

func (j *job) isHeld(now time.Time) bool { return now.Before(j.heldUntil) }

// startAt is the first moment at which a wanted job may start. A tick cannot
// spin, so the delay against spinning is not for it.
func (j *job) startAt() time.Time {
	switch {
	case len(j.kicks) > 0:
		return j.heldUntil
	case j.tick:
		return latest(j.heldUntil, j.throttled())
	}
	return latest(j.heldUntil, j.notBefore, j.throttled())
}

func (j *job) throttled() time.Time {
	if j.life == 0 {
		return time.Time{}
	}
	return j.began.Add(j.spec.ThrottleInterval)
}

func latest(times ...time.Time) (t time.Time) {
	for _, u := range times {
		if u.After(t) {
			t = u
		}
	}
	return t
}

// pass lets StartInterval's ticks until now go by and answers whether there
// was one; several are one. They lie on a grid that begins with the load, so
// that neither a life nor a late look moves them.
func (j *job) pass(now time.Time) bool {
	if j.tickAt.IsZero() || now.Before(j.tickAt) {
		return false
	}
	every := j.spec.StartInterval
	j.tickAt = j.tickAt.Add(now.Sub(j.tickAt).Truncate(every) + every)
	return true
}

// due is when settle has something to do by itself; zero: never.
func (j *job) due(wanted bool) time.Time {
	switch {
	case j.phase == running:
		return j.killAt
	case j.phase == starting:
		return time.Time{}
	case wanted && (j.tickAt.IsZero() || j.startAt().Before(j.tickAt)):
		return j.startAt()
	}
	return j.tickAt
}

// answer replies to the Kickstarts that the present life settles.
func (j *job) answer(err error) {
	var rest []kick
	for _, k := range j.kicks {
		if k.after < j.life {
			k.reply <- err
		} else {
			rest = append(rest, k)
		}
	}
	j.kicks = rest
}

// refuse replies to those that wait for a life that will not begin.
func (j *job) refuse(err error) {
	var rest []kick
	for _, k := range j.kicks {
		if k.after >= j.life {
			k.reply <- err
		} else {
			rest = append(rest, k)
		}
	}
	j.kicks = rest
}

// terminate asks a running job to end, and sees to it when its time is over.
func (j *job) terminate(now time.Time) {
	if !j.told {
		j.told = true
		j.proc.signal(syscall.SIGTERM)
		j.proc.signal(syscall.SIGCONT)
		if j.spec.ExitTimeOut > 0 {
			j.killAt = now.Add(j.spec.ExitTimeOut)
		}
	}
	if !j.killAt.IsZero() && !now.Before(j.killAt) {
		j.killAt = time.Time{}
		j.proc.signal(syscall.SIGKILL)
	}
}
