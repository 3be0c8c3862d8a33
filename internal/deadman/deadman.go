// Package deadman knows how a process ends itself when its work stands still.
// It must never know what the work is, or who watches.
//
// Arm sets two kernel timers: SIGQUIT at the limit, so that the Go runtime
// writes every stack to the crash output (runtime/debug.SetCrashOutput) and
// exits with status 2, and SIGKILL a grace later, for a process that is stopped
// or cannot be made to speak. Each Beat sets both back. No watcher wakes for
// it; a beat costs the caller four short system calls.
//
// The runtime writes stacks in very small pieces: MaxStacks of them (600
// goroutines of 20 frames) took 1.4 to 2 s on a heavily loaded machine. The
// grace must cover that, or SIGKILL cuts the stacks short and is the exit.
//
// The clock is CLOCK_MONOTONIC, which stands still while the machine sleeps.
// The process must leave SIGQUIT to the runtime: after signal.Notify or
// signal.Ignore of it only SIGKILL is left. A debugger that stops the process
// stops its beats, too. macOS has no such timers: Arm answers
// errors.ErrUnsupported and the supervisor waits for messages instead.
package deadman

import (
	"fmt"
	"time"

	"portward/internal/page"
)

// The words of a progress page.
const (
	WordBeat  = iota // time of the last beat, CLOCK_MONOTONIC, ns
	WordCPU          // CPU time of the process at that beat, ns
	WordItems        // beats ever: items of work done
	WordLimit        // the limit, ns
	WordGrace        // the grace after it, ns
	Words            // how many words a progress page has
)

// Progress is what a page says; the zero value when nothing was ever armed.
// Its writer is watched and may lie: it is evidence, not truth.
type Progress struct {
	Beat, CPU    time.Duration // of the last beat: CLOCK_MONOTONIC, process CPU time
	Items        uint64
	Limit, Grace time.Duration
}

// Read reads the page. It can be read after its writer died.
func Read(p *page.Page) Progress {
	ns := func(word int) time.Duration { return time.Duration(p.Load(word)) }
	return Progress{
		Beat: ns(WordBeat), CPU: ns(WordCPU), Items: p.Load(WordItems),
		Limit: ns(WordLimit), Grace: ns(WordGrace),
	}
}

// Now is CLOCK_MONOTONIC, the clock of Progress.Beat; zero where there is none.
func Now() time.Duration { return monotonic() }

// Supported says whether the kernel can watch a process: whether Arm works here.
func Supported() bool { return supported }

// Error is how arming goes wrong.
type Error struct {
	Op  string // "arm", "make stacks" or "read stacks"
	Err error
}

func (e *Error) Error() string { return e.Op + ": " + e.Err.Error() }
func (e *Error) Unwrap() error { return e.Err }

// Arm starts the countdown of this process, with a first beat now. With a page,
// each beat stamps it; the page must have Words words and outlive the Timer.
// To change limits or page, arm a second Timer, then disarm the first.
func Arm(limit, grace time.Duration, p *page.Page) (*Timer, error) {
	if limit <= 0 || grace <= 0 {
		return nil, &Error{"arm", fmt.Errorf("limit %v and grace %v must be more than nothing", limit, grace)}
	}
	t, err := arm(limit, grace)
	if err != nil {
		return nil, &Error{"arm", err}
	}
	if t.page = p; p != nil {
		p.Store(WordLimit, uint64(limit))
		p.Store(WordGrace, uint64(grace))
	}
	t.Beat()
	return t, nil
}
