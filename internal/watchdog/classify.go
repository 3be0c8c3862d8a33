package watchdog

import (
	"bytes"
	"fmt"
	"time"
)

// A Reading is what the progress page of a life says after its end: the last
// beat, the CPU time used by then, and how the kernel timers were set. Times are
// CLOCK_MONOTONIC. The watched one wrote it.
type Reading struct {
	Beat, CPU    time.Duration
	Items        uint64
	Limit, Grace time.Duration
}

// Classify tells a hang from a crash: from the page, the exit, the
// CLOCK_MONOTONIC time now at which the exit was learned, and what the process
// wrote when it died, if anything.
//
// Who dies by the timers exits with status 2, as after a panic, or by SIGKILL;
// but the last beat is older than the limit, where one who works or idles beats
// in a quarter of it. A panic that says so is believed whatever the age: to
// write very many stacks takes longer than a short limit. Who used a quarter of
// the time span on a loaded machine; who waits uses next to none.
func Classify(r Reading, exit Exit, now time.Duration, stacks []byte) (Class, string) {
	const sigQuit, sigKill = 3, 9 // POSIX
	age := now - r.Beat
	quit := exit.Signal == sigQuit || exit.Signal == 0 && exit.Code == 2
	panicked := quit && len(stacks) > 0 && !bytes.HasPrefix(stacks, []byte("SIGQUIT"))
	used := max(0, exit.CPU-r.CPU)
	text := fmt.Sprintf("no progress for %v, limit %v; used %v of CPU time meanwhile", round(age), r.Limit, round(used))
	switch {
	case r.Limit <= 0 || r.Beat <= 0 || age <= r.Limit || panicked || !quit && exit.Signal != sigKill:
		return Crash, exit.describe() + firstLine(stacks)
	case age > r.Limit+r.Grace+max(time.Second, r.Limit):
		return Stall, text + "; the machine stood still"
	case used > age/4:
		return Livelock, text
	case !quit && len(stacks) == 0:
		return Stopped, text + "; wrote no stacks"
	}
	return Deadlock, text
}

// firstLine is the child's own word: kept short and plain.
func firstLine(stacks []byte) string {
	line, _, _ := bytes.Cut(stacks, []byte("\n"))
	if len(line) == 0 {
		return ""
	}
	return fmt.Sprintf(": %+.100q", line)
}

func round(d time.Duration) time.Duration { return d.Round(time.Millisecond) }
