package main

import (
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"portward/internal/program"
	"portward/internal/xpcpeer"
)

// The tests in this directory run the real programs. They are built once; what
// a test then runs is a process of its own with a root of its own.

var built struct {
	sync.Once
	dir string
	err error
}

func TestMain(m *testing.M) {
	code := m.Run()
	os.RemoveAll(tiny.dir)
	if built.dir != "" {
		os.RemoveAll(built.dir)
	}
	os.Exit(code)
}

// binDir answers a directory with portward and the bundle's programs.
func binDir(t *testing.T) string {
	t.Helper()
	built.Do(func() {
		if built.dir, built.err = os.MkdirTemp("", "portward-bin-"); built.err != nil {
			return
		}
		if built.err = os.Chmod(built.dir, 0o755); built.err != nil {
			return
		}
		cmd := exec.Command("go", append([]string{"build", "-o", built.dir + "/"}, append(asTests, "portward/cmd/...")...)...)
		cmd.Env = append(os.Environ(), cgoAsTests)
		if out, err := cmd.CombinedOutput(); err != nil {
			built.err = fmt.Errorf("%w\n%s", err, out)
		}
	})
	if built.err != nil {
		t.Fatal(built.err)
	}
	return built.dir
}

// An ordinary user for tests that run as root.
const ordinaryUID = 60123

// newRoot answers a directory for a root that as may use, as root one that
// every user can reach.
func newRoot(t *testing.T, uid int) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "pw-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	root := filepath.Join(dir, "root")
	if err := os.Mkdir(root, 0o700); err != nil {
		t.Fatal(err)
	}
	if os.Geteuid() == 0 {
		if err := os.Chown(root, uid, uid); err != nil {
			t.Fatal(err)
		}
	}
	return root
}

// credential runs a command as uid, where that is not who runs the test.
func credential(cmd *exec.Cmd, uid int) {
	if uid != os.Geteuid() {
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uint32(uid), Gid: uint32(uid)}}
	}
}

// portwardAs runs a verb to its end.
func portwardAs(t *testing.T, uid int, args ...string) (stdout, stderr string, code int) {
	t.Helper()
	cmd := exec.Command(filepath.Join(binDir(t), "portward"), args...)
	var out, errs strings.Builder
	cmd.Stdout, cmd.Stderr = &out, &errs
	cmd.Dir = "/"
	credential(cmd, uid)
	err := cmd.Run()
	if _, exited := err.(*exec.ExitError); err != nil && !exited {
		t.Fatal(err)
	}
	return out.String(), errs.String(), cmd.ProcessState.ExitCode()
}

// A running is an `up` with its own root.
type running struct {
	t    *testing.T
	uid  int
	root string
	cmd  *exec.Cmd
	out  *syncBuffer
	errs *syncBuffer
	done chan struct{} // closed when the process is gone
}

// An up describes how `up` is started. The zero value is: as whoever runs the
// test, two logins with the test card, any free port.
type upSpec struct {
	uid   int // 0 is who runs the test; see ordinaryUID
	root  string
	bin   string // with the programs; empty: binDir
	env   []string
	args  []string
	files []*os.File // left open by the caller
}

// startUp starts `up` and ends it, by force if need be, when the test does.
func startUp(t *testing.T, spec upSpec) *running {
	t.Helper()
	if spec.uid == 0 {
		spec.uid = os.Geteuid()
	}
	if spec.root == "" {
		spec.root = newRoot(t, spec.uid)
	}
	r := &running{t: t, uid: spec.uid, root: spec.root, out: &syncBuffer{}, errs: &syncBuffer{}, done: make(chan struct{})}
	args := append([]string{"up", "--root", spec.root, "--listen", "127.0.0.1:0", "--json"}, spec.args...)
	r.cmd = exec.Command(filepath.Join(cmp.Or(spec.bin, binDir(t)), "portward"), args...)
	r.cmd.Dir = "/"
	r.cmd.Env = append([]string{"PATH=" + os.Getenv("PATH"), "HOME=/nonexistent"}, spec.env...)
	r.cmd.Stdout, r.cmd.Stderr = r.out, r.errs
	r.cmd.ExtraFiles = spec.files
	credential(r.cmd, spec.uid)
	if err := r.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() { r.cmd.Wait(); close(r.done) }()
	t.Cleanup(func() {
		if r.gone() {
			return
		}
		r.cmd.Process.Kill()
		<-r.done
		if t.Failed() {
			t.Logf("up said:\n%s", r.errs)
		}
	})
	return r
}

func (r *running) gone() bool {
	select {
	case <-r.done:
		return true
	default:
		return false
	}
}

// patience is how long a test waits for a condition before it gives up. It is
// no promise of the product's.
const patience = 60 * time.Second

// await waits until ok holds.
func (r *running) await(what string, ok func(snapshot) bool) snapshot {
	r.t.Helper()
	var last snapshot
	for end := time.Now().Add(patience); time.Now().Before(end); time.Sleep(20 * time.Millisecond) {
		if r.gone() {
			r.t.Fatalf("up ended while waiting until %s:\n%s", what, r.errs)
		}
		s, err := r.status()
		if err != nil {
			continue
		}
		last = s
		if ok(s) {
			return s
		}
	}
	b, _ := json.MarshalIndent(last, "", " ")
	r.t.Fatalf("waited in vain until %s; the last status: %s\nup said:\n%s", what, b, r.errs)
	return last
}

// status asks the running up. As root a test asks anybody's.
func (r *running) status() (snapshot, error) {
	resp, err := askAs(func(ev *xpcpeer.Evidence) error {
		if int(ev.UID) != r.uid {
			return fmt.Errorf("uid %d serves %s", ev.UID, r.root)
		}
		return nil
	}, r.root, request{Op: "snapshot"})
	return resp.Snapshot, err
}

// poke makes a job fail.
func (r *running) poke(args ...string) {
	r.t.Helper()
	_, errs, code := portwardAs(r.t, r.uid, append([]string{"poke", "--root", r.root}, args...)...)
	if code != 0 {
		r.t.Fatalf("poke %v: exit %d: %s", args, code, errs)
	}
}

// explain answers what explain prints.
func (r *running) explain() string {
	r.t.Helper()
	out, errs, code := portwardAs(r.t, r.uid, "explain", "--root", r.root)
	if code != 0 {
		r.t.Fatalf("explain: exit %d: %s", code, errs)
	}
	return out
}

// stop ends up as Ctrl-C does and checks what every orderly end promises:
// no process, no socket, no temporary file. It answers the report.
func (r *running) stop() report {
	r.t.Helper()
	r.cmd.Process.Signal(os.Interrupt)
	return r.finish(0)
}

// finish waits for the end and checks it.
func (r *running) finish(code int) report {
	r.t.Helper()
	select {
	case <-r.done:
	case <-time.After(2 * patience):
		r.t.Fatalf("up does not end:\n%s", r.errs)
	}
	if got := r.cmd.ProcessState.ExitCode(); got != code {
		r.t.Errorf("exit %d, want %d:\n%s", got, code, r.errs)
	}
	if left := processesOf(r.root); len(left) > 0 {
		r.t.Errorf("processes left: %v", left)
	}
	for _, dir := range []string{program.RunDir(r.root), filepath.Join(r.root, "private"), filepath.Join(r.root, "build")} {
		if _, err := os.Stat(dir); err == nil {
			r.t.Errorf("%s is left", dir)
		}
	}
	r.noRaces()
	return parseReport(r.t, r.out.String())
}

// noRaces looks for what the race detector wrote, in programs that were built with
// it.
func (r *running) noRaces() {
	r.t.Helper()
	logs, _ := filepath.Glob(filepath.Join(r.root, "log", "*"))
	said := map[string]string{"up": r.errs.String()}
	for _, path := range logs {
		b, _ := os.ReadFile(path)
		said[filepath.Base(path)] = string(b)
	}
	for who, text := range said {
		if _, race, found := strings.Cut(text, "WARNING: DATA RACE"); found {
			r.t.Errorf("%s: a data race: %s", who, race[:min(len(race), 4000)])
		}
	}
}

// parseReport reads the report as strictly as it is documented.
func parseReport(t *testing.T, text string) report {
	t.Helper()
	d := json.NewDecoder(strings.NewReader(text))
	d.DisallowUnknownFields()
	var rep report
	if err := d.Decode(&rep); err != nil {
		t.Fatalf("the report: %v\n%s", err, text)
	}
	if rest, _ := io.ReadAll(d.Buffered()); strings.TrimSpace(string(rest)) != "" {
		t.Errorf("more than the report on stdout: %q", rest)
	}
	if rep.Version != reportVersion || rep.Jobs == nil || rep.Sessions == nil {
		t.Errorf("the report is incomplete: %+v", rep)
	}
	return rep
}

// processesOf answers the processes that run an executable below root.
func processesOf(root string) []int {
	var pids []int
	exes, _ := filepath.Glob("/proc/[0-9]*/exe")
	for _, exe := range exes {
		path, err := os.Readlink(exe)
		if err == nil && strings.HasPrefix(path, root+"/") {
			pid, _ := strconv.Atoi(filepath.Base(filepath.Dir(exe)))
			pids = append(pids, pid)
		}
	}
	return pids
}

// job answers one job's line.
func job(s snapshot, label string) jobView {
	for _, j := range s.Jobs {
		if j.Label == label {
			return j
		}
	}
	return jobView{}
}

func session(s snapshot, id string) sessionView {
	for _, x := range s.Sessions {
		if x.ID == id {
			return x
		}
	}
	return sessionView{}
}

// streaming says whether every login has frames and no open gap.
func streaming(s snapshot) bool {
	for _, x := range s.Sessions {
		if x.Frames == 0 || x.Broken {
			return false
		}
	}
	return len(s.Sessions) > 0
}

// A syncBuffer is written by a process and read by a test.
type syncBuffer struct {
	mu sync.Mutex
	b  strings.Builder
}

func (b *syncBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

func (b *syncBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.String()
}
