package harness

import (
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"strings"
	"time"
)

// A Machine is where and when a run was made.
type Machine struct {
	Time     time.Time `json:"time"`
	CPU      string    `json:"cpu"`
	CPUs     int       `json:"cpus"`
	Memory   string    `json:"memory"`
	Kernel   string    `json:"kernel"`
	System   string    `json:"system"` // the distribution
	Go       string    `json:"go"`
	GCC      string    `json:"gcc"`
	Portward string    `json:"portward"`   // the clone's commit, "+" when it was changed since
	Load     Load      `json:"loadBefore"` // when the run began
	Command  string    `json:"command"`
}

// ThisMachine asks for the facts. What cannot be had is "". The load is that of before
// the run did anything.
func ThisMachine(root, command string, load Load) Machine {
	return Machine{
		Time: time.Now().UTC().Truncate(time.Second),
		CPU:  field("/proc/cpuinfo", "model name", ":"), CPUs: runtime.NumCPU(),
		Memory: field("/proc/meminfo", "MemTotal", ":"),
		Kernel: said("uname", "-sr"),
		System: strings.Trim(field("/etc/os-release", "PRETTY_NAME", "="), `"`),
		Go:     runtime.Version(), GCC: said("gcc", "-dumpfullversion"),
		Portward: commit(root), Load: load, Command: command,
	}
}

// busyLoad is the load for each CPU above which figures are those of a busy machine.
const busyLoad = 0.5

// A Load is what /proc/loadavg says, "" where there is none.
type Load string

// LoadNow asks for it.
func LoadNow() Load { return Load(firstLine("/proc/loadavg")) }

// Busy says what is wrong with a load to measure under, or "".
func (l Load) Busy() string { return l.busy(runtime.NumCPU()) }

func (l Load) busy(cpus int) string {
	minute, _, _ := strings.Cut(string(l), " ")
	load, err := strconv.ParseFloat(minute, 64)
	if err != nil || load <= busyLoad*float64(cpus) {
		return ""
	}
	return fmt.Sprintf("above %v for each of %d CPUs: something else runs, do not trust the figures", busyLoad, cpus)
}

func commit(root string) string {
	id := said("git", "-C", root, "rev-parse", "--short=12", "HEAD")
	if id != "" && said("git", "-C", root, "status", "--porcelain", "--untracked-files=no") != "" {
		id += "+"
	}
	return id
}

// field answers what follows "NAME<sep>" on its line of a file.
func field(path, name, sep string) string {
	text, _ := os.ReadFile(path)
	for line := range strings.Lines(string(text)) {
		if key, value, ok := strings.Cut(line, sep); ok && strings.TrimSpace(key) == name {
			return strings.TrimSpace(value)
		}
	}
	return ""
}

func firstLine(path string) string {
	text, _ := os.ReadFile(path)
	line, _, _ := strings.Cut(string(text), "\n")
	return line
}

// said answers what a tool prints, "" if it cannot.
func said(name string, args ...string) string {
	out, err := exec.Command(name, args...).Output()
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(out))
}
