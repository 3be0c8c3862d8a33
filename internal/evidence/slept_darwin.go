package evidence

import (
	"fmt"
	"time"

	"golang.org/x/sys/unix"
)

// Of these clocks the second stands still while the machine sleeps: clock_gettime(3).
func slept() string {
	var all, awake unix.Timespec
	if unix.ClockGettime(unix.CLOCK_MONOTONIC, &all) != nil || unix.ClockGettime(unix.CLOCK_UPTIME_RAW, &awake) != nil {
		return ""
	}
	return fmt.Sprintf("slept since its start: %v\n", time.Duration(all.Nano()-awake.Nano()).Round(time.Millisecond))
}
