package supervise

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// A usage is what processes have used up so far.
type usage struct {
	wakeups uint64        // voluntary context switches: each is one sleep, and so one waking
	cpu     time.Duration // on a CPU, from schedstat: getrusage counts in ticks
}

// used sums up all threads of the processes. A thread that ended takes its figures
// with it; supervisors that idle end none.
func used(pids []int) usage {
	var sum usage
	for _, pid := range pids {
		threads, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*", pid))
		for _, t := range threads {
			sum.wakeups += number(t+"/status", "voluntary_ctxt_switches:")
			text, _ := os.ReadFile(t + "/schedstat")
			first, _, _ := strings.Cut(string(text), " ")
			ns, _ := strconv.ParseInt(first, 10, 64)
			sum.cpu += time.Duration(ns)
		}
	}
	return sum
}

// pss answers the proportional set size in bytes: shared pages are counted in parts.
func pss(pids []int) float64 {
	sum := uint64(0)
	for _, pid := range pids {
		sum += number(fmt.Sprintf("/proc/%d/smaps_rollup", pid), "Pss:") << 10
	}
	return float64(sum)
}

// number answers the first number after a name at the beginning of a line.
func number(path, name string) uint64 {
	text, _ := os.ReadFile(path)
	for line := range strings.Lines(string(text)) {
		rest, ok := strings.CutPrefix(line, name)
		if fields := strings.Fields(rest); ok && len(fields) > 0 {
			n, _ := strconv.ParseUint(fields[0], 10, 64)
			return n
		}
	}
	return 0
}
