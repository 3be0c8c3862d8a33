package evidence

import (
	"fmt"
	"os"
	"strings"
)

// Machine tells what the machine was doing: load and, where the kernel counts
// it, the share of time that work waited for CPU, memory and disks, proc(5); and
// how long it has slept since it started, by which two deaths can be compared:
// CLOCK_BOOTTIME less CLOCK_MONOTONIC, clock_gettime(2). It tells what it can.
func Machine() string {
	var b strings.Builder
	for _, path := range []string{"/proc/loadavg", "/proc/pressure/cpu", "/proc/pressure/memory", "/proc/pressure/io", "/proc/uptime"} {
		if text, err := os.ReadFile(path); err == nil {
			fmt.Fprintf(&b, "%s: %s\n", path, strings.ReplaceAll(strings.TrimSpace(string(text)), "\n", "; "))
		}
	}
	b.WriteString(slept())
	return b.String()
}
