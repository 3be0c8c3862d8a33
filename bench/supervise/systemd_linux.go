package supervise

import (
	_ "embed"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"portward/bench/harness"
)

//go:embed sandbox.sh
var sandbox string

// systemdPath is where Debian has it.
const systemdPath = "/lib/systemd/systemd"

// systemd is the real one, as pid 1 of namespaces of its own over this machine's files,
// which it cannot change.
func systemd() peer {
	return peer{
		name: "systemd", pkg: "systemd", programs: []string{systemdPath, "unshare", "mount", "pivot_root"},
		prepare: func(s *site) ([]string, error) { return boot(s) },
		processes: func(s *site) []int {
			if pid := inside(s); pid != 0 {
				return []int{pid}
			}
			return nil
		},
	}
}

// boot writes the units and answers the command that boots. The end of that command is
// the end of the whole pid namespace.
func boot(s *site) ([]string, error) {
	if os.Geteuid() != 0 {
		return nil, harness.Absent("not root: systemd cannot be booted")
	}
	if err := s.writeUnits(); err != nil {
		return nil, err
	}
	if err := s.write("sandbox.sh", sandbox, 0o755); err != nil {
		return nil, err
	}
	if err := os.Mkdir(s.path("root"), 0o755); err != nil {
		return nil, err
	}
	group, err := s.group()
	if err != nil {
		return nil, err
	}
	s.cmd = exec.Command("unshare", "--fork", "--kill-child", "--pid", "--mount", "--uts", "--ipc", "--cgroup",
		"--propagation", "private", "sh", s.path("sandbox.sh"), s.dir, s.env.Work)
	s.cmd.SysProcAttr = &syscall.SysProcAttr{UseCgroupFD: true, CgroupFD: int(group.Fd())}
	return s.cmd.Args, nil
}

// writeUnits: what an administrator would write for the child.
func (s *site) writeUnits() error {
	service := fmt.Sprintf("[Unit]\nStartLimitIntervalSec=0\n[Service]\nExecStart=%s %s\n", s.child, s.bell.path)
	switch s.mode {
	case demand:
		service += "Environment=BENCH_SERVES=1\n"
		socket := fmt.Sprintf("[Socket]\nListenSequentialPacket=%s\nTriggerLimitIntervalSec=0\n", s.socket())
		if err := s.write("units/child.socket", socket, 0o644); err != nil {
			return err
		}
	case watchd:
		service += fmt.Sprintf("Type=notify\nWatchdogSec=%dms\nWatchdogSignal=SIGKILL\n", limit.Milliseconds())
		fallthrough
	default:
		service += "Restart=always\nRestartSec=0\n"
	}
	wanted := "child.service"
	if s.mode == demand {
		wanted = "child.socket"
	}
	return errors.Join(s.write("units/child.service", service, 0o644), s.write("wanted", wanted, 0o644))
}

// group makes a cgroup for the sandbox in the unified hierarchy.
func (s *site) group() (*os.File, error) {
	mounts, err := os.ReadFile("/proc/self/mounts")
	if err != nil {
		return nil, err
	}
	for line := range strings.Lines(string(mounts)) {
		if f := strings.Fields(line); len(f) > 2 && f[2] == "cgroup2" {
			return s.groupBelow(f[1])
		}
	}
	return nil, harness.Absent("no cgroup2 is mounted: systemd cannot be booted")
}

func (s *site) groupBelow(hierarchy string) (*os.File, error) {
	path := filepath.Join(hierarchy, filepath.Base(s.env.Work)+"-"+filepath.Base(s.dir))
	if err := os.Mkdir(path, 0o755); err != nil {
		return nil, harness.Absent(fmt.Sprintf("systemd cannot be booted: %v", err))
	}
	s.undo = append(s.undo, func() { removeGroup(path) })
	group, err := os.Open(path)
	if err == nil {
		s.undo = append(s.undo, func() { group.Close() })
	}
	return group, err
}

// removeGroup removes a cgroup and those below it, once their processes are gone.
func removeGroup(path string) {
	for range 100 {
		var all []string
		filepath.WalkDir(path, func(p string, d os.DirEntry, err error) error {
			if err == nil && d.IsDir() {
				all = append(all, p)
			}
			return nil
		})
		for i := len(all) - 1; i >= 0; i-- {
			syscall.Rmdir(all[i])
		}
		if _, err := os.Stat(path); err != nil {
			return
		}
		time.Sleep(20 * time.Millisecond) // the kernel is still taking them down
	}
}

// inside answers pid 1 of the sandbox as we number it, 0 while there is none.
func inside(s *site) int {
	pid := s.cmd.Process.Pid
	text, _ := os.ReadFile(fmt.Sprintf("/proc/%d/task/%d/children", pid, pid))
	child, _, _ := strings.Cut(string(text), " ")
	n, _ := strconv.Atoi(child)
	if comm(n) != "systemd" {
		return 0
	}
	return n
}
