package main

import (
	"context"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"portward/internal/bundle"
	"portward/internal/durable"
	"portward/internal/jobs"
	"portward/internal/program"
	"portward/launchd"
)

// demo answers a world that is about to run in the login 501 of a Mac.
func demo(t *testing.T) (*launchdHost, *launchdMem) {
	t.Helper()
	mem := &launchdMem{files: map[jobs.Target]string{}, refuse: map[jobs.Target]error{}}
	w := &world{o: upOptions{root: filepath.Join(t.TempDir(), "a root"), source: "testcard"}, show: &screen{out: &strings.Builder{}}, viewer: "127.0.0.1:4433"}
	h := &launchdHost{w: w, uid: 501, session: "501", connect: func(_, _ []jobs.Target) (jobs.Engine, func(), error) { return mem, func() {}, nil }}
	w.host = h
	check(t, durable.MkdirAll(filepath.Join(w.o.root, "etc"), 0o755))
	return h, mem
}

// Rule: on a Mac the demonstration's jobs have names that nobody else has, are below
// its own root, and are its user's.
func TestDemoJobs(t *testing.T) {
	h, _ := demo(t)
	must(h.open())(t)
	suffix, root := h.suffix(), h.w.o.root
	if !strings.HasPrefix(suffix, ".demo.") || len(suffix) > 20 {
		t.Errorf("the suffix is %q", suffix)
	}
	for _, label := range demoLabels() {
		data := must(os.ReadFile(h.plist(label)))(t)
		if strings.Contains(string(data), launchd.Prefix) || !strings.Contains(string(data), root) {
			t.Errorf("%s names the product's own place", label)
		}
		spec := must(jobs.ParseSpec(label, data))(t)
		if spec.Label != label+suffix || spec.UserName != "" {
			t.Errorf("%s has the label %q, and is %q's", label, spec.Label, spec.UserName)
		}
		for _, name := range spec.MachServices {
			if name != launchd.NetChildService+suffix && name != launchd.CheckInService+suffix {
				t.Errorf("%s has the service %q", label, name)
			}
		}
		if env := spec.Environment; env[launchd.RootVariable] != root || env[program.NamesVariable] != suffix {
			t.Errorf("%s is told %v", label, env)
		}
		if label == launchd.NetChild && (len(spec.Sockets) != 1 || spec.Sockets[0].ServiceName != "4433") {
			t.Errorf("the viewer is at %+v", spec.Sockets)
		}
		if label == launchd.GUIAgent && spec.Environment["PORTWARD_SOURCE"] != "testcard" {
			t.Errorf("the agent shows something else: %v", spec.Environment)
		}
	}
	other, _ := demo(t)
	if other.suffix() == suffix {
		t.Error("two roots, one name")
	}
}

// Rule: its programs are signed, and each is told by what it knows the others.
func TestDemoSettles(t *testing.T) {
	h, _ := demo(t)
	from := map[string]string{}
	for _, name := range programs {
		from[name] = tinyFat(t)
	}
	root := h.w.o.root
	check(t, installWhole(root, from, launchd.Files(), func(string, ...any) {}, h.settle))
	dir := program.BundleDir(root)
	ask := checking{}
	ask.AllowAdHoc = true
	v := must(ask.verify(dir))(t)
	var peers map[string]string
	check(t, json.Unmarshal(must(os.ReadFile(program.PeersPath(root)))(t), &peers))
	for _, p := range v.Programs {
		if !strings.Contains(peers[p.Identifier], p.CDHash) {
			t.Errorf("%s for %s is a stranger", p.Identifier, p.CPU)
		}
	}
	data := must(must(bundle.ReadSeal(dir))(t).Bytes())(t)
	if targets := must(os.ReadFile(filepath.Join(bundle.Layout(dir).Tuf(), "targets.json")))(t); !strings.Contains(string(targets), hashOf(data)) {
		t.Error("what is vouched for is another seal")
	}
}

// Rule: the demonstration leaves no job behind, not even one whose `up` was killed,
// and one that stays does not save the others.
func TestDemoLeavesNothing(t *testing.T) {
	ctx := context.Background()
	h, mem := demo(t)
	load := func(e engine) {
		check(t, e.Bootstrap(ctx, jobs.System, h.plist(launchd.Supervisor)))
		mem.files[h.here(launchd.NetChild)] = "x" // as the supervisor does
		mem.files[h.here(launchd.GUIAgent)] = "x"
		mem.files["system/dev.portward.netchild"] = "installed"
	}
	e := must(h.open())(t)
	load(e)
	check(t, e.Close(ctx))
	e = must(h.open())(t)
	load(e) // and is killed
	check(t, h.sweep(ctx))
	if len(mem.files) != 1 {
		t.Errorf("left: %v", mem.files)
	}
	load(must(h.open())(t))
	mem.refuse[h.here(launchd.Supervisor)] = jobs.ErrBusy
	if err := h.sweep(ctx); !errors.Is(err, jobs.ErrBusy) || len(mem.files) != 2 {
		t.Errorf("%v, left %v", err, mem.files)
	}
}

// Rule: whoever uses the demonstration's engine speaks of jobs by the product's names,
// and hears of them by those.
func TestDemoNames(t *testing.T) {
	h, mem := demo(t)
	mem.events = make(chan jobs.Event, 1)
	e := must(h.open())(t)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	events := must(e.Watch(ctx))(t)
	mem.events <- jobs.Event{Kind: jobs.Loaded, Target: h.here(launchd.Supervisor)}
	if ev := <-events; ev.Target != supervisorTarget {
		t.Errorf("heard of %s", ev.Target)
	}
	close(mem.events)
	if st, err := e.State(ctx, supervisorTarget); st.Target != supervisorTarget || err != nil {
		t.Errorf("%+v, %v", st, err)
	}
	check(t, e.Kickstart(ctx, supervisorTarget, false))
	check(t, e.Hold(ctx, supervisorTarget, time.Time{}))
	for i, what := range []string{"state ", "kickstart ", "hold "} {
		if want := what + string(h.here(launchd.Supervisor)); len(mem.did) <= i || mem.did[i] != want {
			t.Errorf("did %q, want %q", mem.did, want)
		}
	}
}

// Rule: launchd tells of no deaths, so a supervisor that does not come up is told by
// the clock, with what it said last and where there is more.
func TestDemoSupervisorThatDies(t *testing.T) {
	h, mem := demo(t)
	mem.events = make(chan jobs.Event)
	defer close(mem.events)
	w, root := h.w, h.w.o.root
	w.engine = must(h.open())(t)
	log := filepath.Join(root, "log", "supervisor.log")
	for _, dir := range []string{filepath.Dir(log), filepath.Dir(program.StatusPath(root))} {
		check(t, durable.MkdirAll(dir, 0o755))
	}
	check(t, os.WriteFile(log, []byte("first\nsupervisor: no such peer\n"), 0o600))
	ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
	defer cancel()
	err := w.awaitSupervisor(ctx)
	wantRefusal(t, err, "supervisor: no such peer")
	wantRefusal(t, err, "hint: see "+log)
}

// Rule: where a table costs processes, it is drawn less often.
func TestPace(t *testing.T) {
	for want, w := range map[time.Duration]*world{
		sumEvery: {show: &screen{}, costly: true}, drawEvery: {show: &screen{live: true}}, drawCostly: {show: &screen{live: true}, costly: true},
	} {
		if got := w.pace(); got != want {
			t.Errorf("%v, want %v", got, want)
		}
	}
}

// Rule: what a Mac's demonstration cannot do is told before anything is made.
func TestDemoRefuses(t *testing.T) {
	for name, change := range map[string]func(*launchdHost){
		"root":   func(h *launchdHost) { h.uid = 0 },
		"--repo": func(h *launchdHost) { h.w.o.repo = "https://x.test" },
		"x11":    func(h *launchdHost) { h.w.o.source = "x11" },
	} {
		h, _ := demo(t)
		change(h)
		err := h.sweep(context.Background())
		if bad := (badValue{}); !errors.As(err, &bad) || !strings.Contains(err.Error(), name) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
