package jobs

import (
	"syscall"
	"time"
)

// The engine's own brake, beside ThrottleInterval. It keeps a job that cannot
// live from spinning and is meant to stay out of the way of a watchdog, which
// tells a crash from a wish and holds a job long before this becomes felt.
const (
	FastLife    = 200 * time.Millisecond // a life shorter than this is fast
	FastDeaths  = 10                     // fast lives in a row that cost nothing
	RelaunchMin = 100 * time.Millisecond // the first delay
	RelaunchMax = 10 * time.Second       // and where its doubling ends
)

// brake counts what keeps going wrong with one job.
type brake struct {
	fast   int // fast lives in a row
	failed int // failed starts in a row
}

// lived notes a life and answers the delay before the next.
func (b *brake) lived(d time.Duration) time.Duration {
	b.failed = 0
	if d >= FastLife {
		b.fast = 0
		return 0
	}
	b.fast++
	return delay(b.fast - FastDeaths)
}

// refused notes a failed start and answers the delay before the next.
func (b *brake) refused() time.Duration {
	b.failed++
	return delay(b.failed)
}

// delay is none for n < 1, then RelaunchMin, doubled for each more.
func delay(n int) time.Duration {
	if n < 1 {
		return 0
	}
	d := RelaunchMin
	for ; n > 1 && d < RelaunchMax; n-- {
		d *= 2
	}
	return min(d, RelaunchMax)
}

// crashed tells whether x is what launchd calls a crash: a signal that the
// process brought upon itself. A panic in Go ends with status 2 and is none,
// unless GOTRACEBACK=crash turns it into SIGABRT.
func crashed(x Exit) bool {
	switch syscall.Signal(x.Signal) {
	case syscall.SIGILL, syscall.SIGTRAP, syscall.SIGABRT, syscall.SIGBUS,
		syscall.SIGFPE, syscall.SIGSEGV, syscall.SIGSYS:
		return true
	}
	return false
}
