package evidence

import (
	"fmt"
	"os"
	"strings"
)

// Machine tells what the machine was doing, proc(5): load and, where the
// kernel counts it, the share of time that work waited for CPU, memory and
// disks. It is empty where there is no /proc.
func Machine() string {
	var b strings.Builder
	for _, path := range []string{"/proc/loadavg", "/proc/pressure/cpu", "/proc/pressure/memory", "/proc/pressure/io", "/proc/uptime"} {
		if text, err := os.ReadFile(path); err == nil {
			fmt.Fprintf(&b, "%s: %s\n", path, strings.ReplaceAll(strings.TrimSpace(string(text)), "\n", "; "))
		}
	}
	return b.String()
}
