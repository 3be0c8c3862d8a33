package surface

import (
	"time"

	"portward/internal/linux"
)

// A pace is how fast a receiver is woken: at once if its thread kept its P, one of
// the few leaves of Go's scheduler without which no thread runs Go. Frames that come
// faster than each ten milliseconds are worth a P that is kept for them. With a
// screen's it would be taken away each time, which costs netchild more than all else
// that it does for a frame nobody watches; so then it is given up, unless it turned
// out that Ps are hard to get.
type pace struct {
	began  time.Time
	last   time.Duration // when it woke last, since began
	scarce time.Duration // until when Ps are taken to be so
	brief  bool          // how the next wait is expected to be
}

const (
	keepsFor  = 10 * time.Millisecond // Go's runtime leaves its P to a thread in a system call (retake in runtime/proc.go)
	lateAfter = time.Millisecond
	scarceFor = time.Second
)

// wait sleeps while the word is so.
func (p *pace) wait(word *uint32, is uint32) {
	var late time.Duration
	if p.brief {
		linux.FutexWait(word, is)
	} else {
		late, _ = linux.FutexWaitLong(word, is)
	}
	now := time.Since(p.began)
	if late > lateAfter {
		p.scarce = now + scarceFor
	}
	p.brief, p.last = now-p.last < keepsFor || now < p.scarce, now
}
