package jobstest

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"syscall"

	"howett.net/plist"
)

// Plist writes dir/LABEL.plist of a job that is this very program as a Child
// with a role; more adds keys or replaces them.
func Plist(dir, label, role string, more map[string]any) (path string, err error) {
	exe, err := os.Executable()
	if err != nil {
		return "", err
	}
	all := map[string]any{
		"Label": label, "Program": exe, "StandardErrorPath": filepath.Join(dir, "stderr"),
		"EnvironmentVariables": map[string]string{roleVariable: role, notesVariable: notes(dir, label), "JOBSTEST_ARG": label,
			"GORACE": "atexit_sleep_ms=0"},
	}
	maps.Copy(all, more)
	data, err := plist.Marshal(all, plist.XMLFormat)
	if err != nil {
		return "", err
	}
	path = filepath.Join(dir, label+".plist")
	return path, os.WriteFile(path, data, 0o644)
}

func notes(dir, label string) string { return filepath.Join(dir, label+".notes") }

// Notes answers what the lives of a label have written so far.
func Notes(dir, label string) (all []Note) {
	data, _ := os.ReadFile(notes(dir, label))
	for line := range bytes.Lines(data) {
		var n Note
		if json.Unmarshal(line, &n) == nil {
			all = append(all, n)
		}
	}
	return all
}

// Gone tells whether a process can do nothing any more. A zombie that nobody
// reaps is gone.
func Gone(pid int) bool { s := procState(pid); return s == 0 || s == 'Z' || s == 'X' }

// Stopped tells whether a process is stopped by a signal.
func Stopped(pid int) bool { return procState(pid) == 'T' }

// procState is the third field of proc_pid_stat(5), 0 for no process, and a
// question mark where there is no such file for anybody.
func procState(pid int) byte {
	if syscall.Kill(pid, 0) == syscall.ESRCH {
		return 0
	}
	if _, err := os.Stat("/proc/self/stat"); err != nil {
		return '?'
	}
	data, _ := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	_, rest, ok := bytes.Cut(data, []byte(") "))
	if !ok || len(rest) == 0 {
		return 0
	}
	return rest[0]
}
