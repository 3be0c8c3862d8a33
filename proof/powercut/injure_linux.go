package main

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"portward/proof/subject"
	"portward/proof/syscalls"
)

// patience is how long an injured process may take. One that waits for better
// times is ended then, as by a person.
const patience = 2 * time.Second

// An injury is what happens to a process at one of its system calls.
type injury struct {
	name    string
	hits    func(syscalls.Call) bool // which calls it may happen at
	verdict syscalls.Verdict
	lasting bool // at all later ones as well
	again   bool // the next start is killed, too
	blinds  bool // what cannot be read is rightly taken for damaged: nothing that was promised binds
}

var (
	reads     = func(c syscalls.Call) bool { return !c.Changes }
	changes   = func(c syscalls.Call) bool { return c.Changes }
	allocates = func(c syscalls.Call) bool { return c.Allocates }
)

var injuries = []injury{
	{name: "killed", hits: changes, verdict: syscalls.Verdict{Kill: true}},
	{name: "killed twice", hits: changes, verdict: syscalls.Verdict{Kill: true}, again: true},
	{name: "ENOSPC", hits: allocates, verdict: syscalls.Verdict{Errno: syscall.ENOSPC}},
	{name: "ENOSPC for good", hits: allocates, verdict: syscalls.Verdict{Errno: syscall.ENOSPC}, lasting: true},
	{name: "EIO", hits: changes, verdict: syscalls.Verdict{Errno: syscall.EIO}},
	{name: "EIO for good", hits: changes, verdict: syscalls.Verdict{Errno: syscall.EIO}, lasting: true},
	{name: "EIO reading", hits: reads, verdict: syscalls.Verdict{Errno: syscall.EIO}, blinds: true},
}

// A ward is where processes are injured: a directory on the private tmpfs.
type ward struct {
	dir, fixtureDir string
	fixture         *subject.Fixture
	seed            uint64
	workers         int
	injuries        []injury
}

// injure lets the subject suffer each injury at each of its calls, in a random
// order until the time is up.
func (w ward) injure(name string, s subject.Subject, limit time.Duration) ([]report, error) {
	var reports []report
	for i, in := range w.injuries {
		began := time.Now()
		n, err := w.count(name, s, in)
		if err != nil {
			return reports, fmt.Errorf("%s, %s: %w", name, in.name, err)
		}
		order := rand.New(rand.NewPCG(w.seed, uint64(i))).Perm(n)
		t := pool(make([]struct{}, w.workers), turns(order), began.Add(limit), func(_ struct{}, n turn) (string, error) {
			return w.suffer(name, s, in, int(n))
		})
		reports = append(reports, report{"calls", name + ": " + in.name, n, t, time.Since(began)})
	}
	return reports, nil
}

// count answers at how many calls the injury can happen.
func (w ward) count(name string, s subject.Subject, in injury) (int, error) {
	n := 0
	root, err := w.prepared(s)
	if err != nil {
		return 0, err
	}
	defer os.RemoveAll(root)
	_, err = w.run("act", name, root, func(c syscalls.Call) syscalls.Verdict {
		if in.hits(c) {
			n++
		}
		return syscalls.Verdict{}
	})
	if err == nil && n == 0 {
		err = errors.New("it calls nothing")
	}
	return n, err
}

func (w ward) prepared(s subject.Subject) (string, error) {
	root, err := os.MkdirTemp(w.dir, "root-")
	if err != nil {
		return "", err
	}
	return root, s.Prepare(root)
}

// suffer is one process with the injury at its nth call, and what the next
// start makes of it.
func (w ward) suffer(name string, s subject.Subject, in injury, n int) (string, error) {
	root, err := w.prepared(s)
	if err != nil {
		return "", err
	}
	defer os.RemoveAll(root)
	promise, err := w.run("act", name, root, in.at(n))
	if err != nil {
		return "", err
	}
	if in.again {
		if _, err := w.run("start", name, root, in.at(rand.New(rand.NewPCG(w.seed, uint64(n))).IntN(12))); err != nil {
			return "", err
		}
	}
	if in.blinds {
		promise = map[string]string{subject.Proved: subject.Unsure}[promise]
	}
	which, err := w.fixture.Check(root, s, promise)
	if err == nil {
		err = w.fixture.Converge(root, s)
	}
	return which, err
}

// at answers what decides about a process: the injury hits its nth call.
func (in injury) at(n int) func(syscalls.Call) syscalls.Verdict {
	seen := -1
	return func(c syscalls.Call) syscalls.Verdict {
		if in.hits(c) {
			seen++
			if seen == n || in.lasting && seen > n {
				return in.verdict
			}
		}
		return syscalls.Verdict{}
	}
}

// run runs the subject as a process of its own and answers its last promise.
func (w ward) run(what, name, root string, decide func(syscalls.Call) syscalls.Verdict) (string, error) {
	cmd := exec.Command("/proc/self/exe", processWord, what, w.fixtureDir, name, root)
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	cmd.Dir = filepath.Dir(root)
	if err := syscalls.Observe(cmd, root, time.Now().Add(patience), decide); err != nil {
		return "", fmt.Errorf("%w: %s", err, errs.String())
	}
	if bytes.Contains(errs.Bytes(), []byte("panic:")) {
		return "", fmt.Errorf("it panicked: %s", errs.String())
	}
	lines := strings.Fields(out.String())
	if len(lines) == 0 {
		return "", nil
	}
	return lines[len(lines)-1], nil
}
