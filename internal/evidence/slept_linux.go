package evidence

import (
	"fmt"
	"time"

	"golang.org/x/sys/unix"
)

func slept() string {
	var all, awake unix.Timespec
	if unix.ClockGettime(unix.CLOCK_BOOTTIME, &all) != nil || unix.ClockGettime(unix.CLOCK_MONOTONIC, &awake) != nil {
		return ""
	}
	return fmt.Sprintf("slept since its start: %v\n", time.Duration(all.Nano()-awake.Nano()).Round(time.Millisecond))
}
