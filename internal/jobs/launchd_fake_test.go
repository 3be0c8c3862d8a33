package jobs

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

// fakeLaunchd is launchd as launchctl shows it, with the codes and texts that
// were seen on Macs. Time is a bubble's.
type fakeLaunchd struct {
	t *testing.T

	mu     sync.Mutex
	jobs   map[string]*fakeJob // by what launchctl calls them
	absent map[string]int      // domains that are not there, and print's code
	script map[string][]answer // by verb: what comes instead, one after the other
	calls  []string
	next   int  // pid
	lives  int  // how many bootouts have ended a running process
	counts bool // print tells how often a job was started
}

type fakeJob struct {
	pid, last int
	runs      int
	drain     time.Duration // how long a bootout takes
	until     time.Time     // is draining until then
}

func newFakeLaunchd(t *testing.T) *fakeLaunchd {
	return &fakeLaunchd{t: t, jobs: map[string]*fakeJob{}, absent: map[string]int{}, script: map[string][]answer{}, next: 100}
}

func (f *fakeLaunchd) run(ctx context.Context, args ...string) (answer, error) {
	if err := ctx.Err(); err != nil {
		return answer{}, err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.calls = append(f.calls, strings.Join(args, " "))
	verb, last := args[0], args[len(args)-1]
	if s := f.script[verb]; len(s) > 0 {
		f.script[verb] = s[1:]
		return s[0], nil
	}
	switch verb {
	case "bootstrap":
		return f.bootstrap(args[1], strings.TrimSuffix(filepath.Base(last), ".plist")), nil
	case "list":
		return f.list("system/" + last), nil
	case "asuser":
		return f.list("gui/" + args[1] + "/" + last), nil
	}
	if j := f.job(last); verb != "print" || strings.Count(last, "/") == 2 || strings.HasPrefix(last, "system/") {
		return f.act(verb, last, j, args), nil
	}
	return answer{code: f.absent[last]}, nil
}

// job forgets what has drained.
func (f *fakeLaunchd) job(name string) *fakeJob {
	j := f.jobs[name]
	if j != nil && !j.until.IsZero() && !time.Now().Before(j.until) {
		delete(f.jobs, name)
		return nil
	}
	return j
}

func (f *fakeLaunchd) bootstrap(domain, label string) answer {
	if f.absent[domain] != 0 {
		return answer{code: codeUnsupported, stderr: "Bootstrap failed: 125: Domain does not support specified action\n"}
	}
	if f.job(domain+"/"+label) != nil {
		return answer{code: codeIO, stderr: "Bootstrap failed: 5: Input/output error\nTry re-running the command as root for richer errors.\n"}
	}
	f.jobs[domain+"/"+label] = &fakeJob{drain: 5 * time.Second}
	return answer{}
}

func (f *fakeLaunchd) act(verb, name string, j *fakeJob, args []string) answer {
	domain := name[:strings.LastIndexByte(name, '/')]
	switch {
	case f.absent[domain] != 0:
		return answer{code: f.absent[domain], stderr: "Could not find domain for\n"}
	case j == nil && verb == "bootout":
		return answer{code: codeSearch, stderr: "Boot-out failed: 3: No such process\n"}
	case j == nil:
		return answer{code: codeNoService, stderr: fmt.Sprintf("Could not find service %q in domain for system\n", name)}
	case verb == "bootout":
		j.until = time.Now()
		if j.pid != 0 {
			f.lives++
			j.until = j.until.Add(j.drain)
		}
		return answer{}
	case verb == "kickstart":
		if j.pid == 0 || strings.Contains(strings.Join(args, " "), "-k") {
			f.begins(j)
		}
		return answer{stdout: fmt.Sprintf("%d\n", j.pid)}
	}
	if f.counts {
		return answer{stdout: fmt.Sprintf("NOT API = {\n\tstate = x\n\n\truns = %d\n\tpid = 1\n\tx = {\n\t\truns = 7\n\t}\n}\n", j.runs)}
	}
	return answer{stdout: "NOT API = {\n\t\"PID\" = 1;\n}\n"}
}

func (f *fakeLaunchd) list(name string) answer {
	j := f.job(name)
	if j == nil {
		return answer{code: codeNoService, stderr: "Could not find service in domain for port\n"}
	}
	pid := ""
	if j.pid != 0 {
		pid = fmt.Sprintf("\t\"PID\" = %d;\n", j.pid)
	}
	return answer{stdout: fmt.Sprintf("{\n\t\"LimitLoadToSessionType\" = \"System\";\n\t\"LastExitStatus\" = %d;\n%s\t\"Program\" = \"/x\";\n};\n", j.last, pid)}
}

// dies ends a job's process, as its raw wait status says.
func (f *fakeLaunchd) dies(name string, status int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.jobs[name].pid, f.jobs[name].last = 0, status
}

// starts begins a life that nobody of ours has asked for.
func (f *fakeLaunchd) starts(name string) int {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.begins(f.jobs[name])
	return f.next
}

func (f *fakeLaunchd) begins(j *fakeJob) {
	f.next++
	j.pid = f.next
	j.runs++
}

// flashes has a life begin and end that nobody can see.
func (f *fakeLaunchd) flashes(name string, status int) {
	f.starts(name)
	f.dies(name, status)
}

func (f *fakeLaunchd) alive(pid int) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, j := range f.jobs {
		if j.pid == pid && pid != 0 {
			return true
		}
	}
	return false
}

// await is what the kernel does.
func (f *fakeLaunchd) await(ctx context.Context, pid int) {
	for f.alive(pid) && sleep(ctx, time.Millisecond) {
	}
}

func (f *fakeLaunchd) count(prefix string) (n int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, c := range f.calls {
		if strings.HasPrefix(c, prefix) {
			n++
		}
	}
	return n
}

func (f *fakeLaunchd) plays(verb string, answers ...answer) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.script[verb] = answers
}

// engine makes the engine of the machine over f, with the sessions that answers.
func (f *fakeLaunchd) engine(o LaunchdOptions) *Launchd {
	if o.Sessions == nil {
		o.Sessions = func(context.Context) ([]Session, error) { return nil, nil }
	}
	if o.Log == nil {
		o.Log = f.t.Logf
	}
	o.Launchctl = "/bin/launchctl"
	return newLaunchd(o, f.run, processes{f.alive, f.await}, launchdPace())
}

// file writes a property list and answers its path.
func (f *fakeLaunchd) file(label, more string) string {
	f.t.Helper()
	path := filepath.Join(f.t.TempDir(), label+".plist")
	text := `<plist version="1.0"><dict><key>Label</key><string>` + label + `</string><key>Program</key><string>/x</string>` +
		`<key>ExitTimeOut</key><integer>5</integer>` + more + `</dict></plist>`
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		f.t.Fatal(err)
	}
	return path
}
