package deadman

import (
	"fmt"
	"time"

	"golang.org/x/sys/unix"

	"portward/internal/linux"
	"portward/internal/page"
)

const supported = true

// A Timer is the countdown. Beat and Disarm belong to one goroutine: the loop
// whose progress is watched.
type Timer struct {
	speak, die   linux.TimerID // SIGQUIT, SIGKILL
	limit, grace time.Duration
	page         *page.Page
	off          bool
}

func arm(limit, grace time.Duration) (*Timer, error) {
	speak, err := linux.TimerCreate(unix.CLOCK_MONOTONIC, unix.SIGQUIT)
	if err != nil {
		return nil, fmt.Errorf("timer_create: %w", err)
	}
	die, err := linux.TimerCreate(unix.CLOCK_MONOTONIC, unix.SIGKILL)
	if err != nil {
		linux.TimerDelete(speak)
		return nil, fmt.Errorf("timer_create: %w", err)
	}
	return &Timer{speak: speak, die: die, limit: limit, grace: grace}, nil
}

// Beat says that an item of work is done. It stamps first and sets the timers
// then, so that whoever dies by them has a beat older than the limit; within
// the stamp the time comes last, so that a beat cut short looks old. After
// Disarm it does nothing.
func (t *Timer) Beat() {
	if t.off {
		return
	}
	if t.page != nil {
		t.page.Add(WordItems, 1)
		t.page.Store(WordCPU, uint64(clock(unix.CLOCK_PROCESS_CPUTIME_ID)))
		t.page.Store(WordBeat, uint64(monotonic()))
	}
	// These cannot fail: the timers are ours and the times were checked.
	linux.TimerSettime(t.speak, t.limit)
	linux.TimerSettime(t.die, t.limit+t.grace)
}

// Disarm ends the countdown. A second call does nothing.
func (t *Timer) Disarm() {
	if t.off {
		return
	}
	t.off = true
	linux.TimerDelete(t.speak)
	linux.TimerDelete(t.die)
}

func monotonic() time.Duration { return clock(unix.CLOCK_MONOTONIC) }

func clock(id int32) time.Duration {
	var ts unix.Timespec
	if err := unix.ClockGettime(id, &ts); err != nil {
		return 0
	}
	return time.Duration(ts.Nano())
}
