package jobs

import (
	"fmt"
	"slices"
	"sync"
	"syscall"
	"time"
)

// loop owns every job, session and watcher. All its methods run on its one
// goroutine, and none of them waits for anything.
type loop struct {
	e        *Embedded
	jobs     map[Target]*job
	lives    map[Target]uint64 // the last life of every target there ever was
	agents   []*Spec           // loaded in the domain GUI
	sessions []*session
	watchers []*watcher
	orders   []order // for the starter, oldest first
	tokens   uint64  // the last one given to a poll
	exists   map[string]bool

	closing bool
	killing bool // the deadline of Close has passed

	begun  chan begun
	ended  chan ended
	waits  sync.WaitGroup // one for each running process
	timer  *time.Timer
	change <-chan pathEvent
}

// begun is the starter's answer to an order.
type begun struct {
	target Target
	life   uint64
	proc   process
	err    error
}

// ended is the end of a life that had begun.
type ended struct {
	target Target
	life   uint64
	exit   Exit
}

func (l *loop) run() {
	starter := make(chan order)
	var idle sync.WaitGroup
	idle.Go(func() { l.e.starter(starter, l.begun) })
	defer l.shut(starter, &idle)
	for !l.finished() {
		var to chan<- order
		var next order
		if len(l.orders) > 0 {
			to, next = starter, l.orders[0]
		}
		select {
		case ask := <-l.e.requests:
			ask(l)
		case to <- next:
			l.orders = l.orders[1:]
		case b := <-l.begun:
			l.onBegun(b)
		case x := <-l.ended:
			l.onEnded(x)
		case token := <-l.e.host.ready:
			l.onReady(token)
		case c := <-l.change:
			l.onPath(c)
		case <-l.timer.C:
		}
		for l.settle() {
		}
	}
}

// shut leaves no goroutine and no descriptor.
func (l *loop) shut(starter chan order, idle *sync.WaitGroup) {
	close(starter)
	idle.Wait()
	l.waits.Wait()
	l.timer.Stop()
	l.e.paths.close()
	l.e.host.close()
	l.e.lifelineEnd.Close()
	l.e.lifeline.Close()
	for _, w := range slices.Clone(l.watchers) {
		l.unwatch(w)
	}
	close(l.e.done)
}

// starter begins every life, one after the other, on one thread that lives as
// long as the engine: the death signal is tied to it.
func (e *Embedded) starter(orders <-chan order, answers chan<- begun) {
	e.host.pin()
	for o := range orders {
		p, err := e.begin(o)
		answers <- begun{o.target, o.life, p, err}
	}
}

func (l *loop) finished() bool {
	return l.closing && len(l.jobs) == 0 && len(l.sessions) == 0
}

// settle brings every job nearer to what it should be and sets the timer for
// the next moment at which one has to be looked at. It answers true when a job
// went, because that may be what others waited for.
func (l *loop) settle() bool {
	now := time.Now()
	if l.closing {
		l.stopNext()
	}
	before := len(l.jobs)
	for _, j := range l.jobs {
		l.settleJob(j, now)
	}
	l.setTimer()
	return len(l.jobs) < before
}

func (l *loop) setTimer() {
	var next time.Time
	for _, j := range l.jobs {
		if due := j.due(l.wanted(j)); !due.IsZero() && (next.IsZero() || due.Before(next)) {
			next = due
		}
	}
	l.timer.Stop()
	if !next.IsZero() {
		l.timer.Reset(time.Until(next))
	}
}

func (l *loop) settleJob(j *job, now time.Time) {
	switch {
	case j.phase == starting:
	case j.phase == running && j.stop:
		j.terminate(now)
	case j.phase == running:
	case j.stop:
		l.unload(j)
	case j.pass(now):
		j.tick = true
		l.settleJob(j, now)
	case !l.wanted(j):
		l.poll(j)
	case !now.Before(j.startAt()):
		l.start(j, now)
	}
}

// wanted tells whether an idle job should run.
func (l *loop) wanted(j *job) bool {
	if l.closing || j.stop {
		return false
	}
	return len(j.kicks) > 0 || j.once || j.again || j.demand || j.tick || l.pathState(j)
}

func (l *loop) pathState(j *job) bool {
	for path, want := range j.spec.KeepAlive.PathState {
		if is, known := l.exists[path]; known && is == want {
			return true
		}
	}
	return false
}

// poll asks to be told of a connection to an idle job's sockets.
func (l *loop) poll(j *job) {
	if j.token == 0 && len(j.held) > 0 {
		l.tokens++
		j.token = l.tokens
		l.e.host.poll(j.token, j.held)
	}
}

func (l *loop) unpoll(j *job) {
	if j.token != 0 {
		j.token = 0
		l.e.host.unpoll(j.held)
	}
}

func (l *loop) start(j *job, now time.Time) {
	l.unpoll(j)
	if j.died {
		j.restarts++
	}
	l.lives[j.target]++
	j.life, j.phase, j.began = l.lives[j.target], starting, now
	j.once, j.again, j.demand, j.tick, j.died = false, false, false, false, false
	l.orders = append(l.orders, order{j.target, j.life, j.spec, j.session, j.held})
}

func (l *loop) onBegun(b begun) {
	j := l.jobs[b.target] // a starting job is never unloaded
	now := time.Now()
	j.since = now
	if b.err != nil {
		l.failed(j, b.err, now)
		return
	}
	j.phase, j.proc = running, b.proc
	l.emit(Event{Target: j.target, Life: j.life, Kind: Started, PID: b.proc.pid(), Time: now})
	j.answer(nil)
	l.waits.Go(func() { l.ended <- ended{b.target, b.life, b.proc.wait()} })
	if j.killNext || l.killing {
		j.killNext = false
		b.proc.signal(syscall.SIGKILL)
	}
}

// failed notes a start that did not happen: a death like any other.
func (l *loop) failed(j *job, err error, now time.Time) {
	j.pass(now)
	j.phase, j.died, j.killNext = idle, true, false
	j.notBefore = now.Add(j.brake.refused())
	j.again = j.spec.KeepAlive.atLoad()
	l.e.logf("%s life %d: %v", j.target, j.life, err)
	l.emit(Event{Target: j.target, Life: j.life, Kind: StartFailed, Err: err.Error(), Time: now})
	j.answer(fmt.Errorf("%w: %w", ErrStart, err))
}

func (l *loop) onEnded(x ended) {
	j := l.jobs[x.target]
	if j == nil || j.phase != running || j.life != x.life {
		return // another life's
	}
	now := time.Now()
	l.emit(Event{Target: j.target, Life: j.life, Kind: Exited, PID: j.proc.pid(), Exit: x.exit, Time: now})
	j.pass(now) // what came round while it ran is missed
	j.phase, j.proc, j.killAt = idle, nil, time.Time{}
	j.notBefore = now.Add(j.brake.lived(now.Sub(j.since)))
	j.since, j.last, j.died = now, &x.exit, !x.exit.Success()
	j.again = j.spec.KeepAlive.after(x.exit)
}

func (l *loop) onReady(token uint64) {
	for _, j := range l.jobs {
		if j.token == token {
			j.token, j.demand = 0, true
			l.e.host.unpoll(j.held)
			return
		}
	}
}

func (l *loop) onPath(c pathEvent) {
	l.exists[c.path] = c.exists
	for _, j := range l.jobs {
		if c.changed && j.phase == idle && slices.Contains(j.spec.WatchPaths, c.path) {
			j.once = true
		}
	}
}
