package jobstest

import (
	"bufio"
	"context"
	"fmt"
	"maps"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"portward/internal/jobs"
)

// Patience is how long a case waits for what has to happen.
const Patience = 30 * time.Second

// Harness is an engine to be tested, empty, with what its world looks like.
// Whoever makes it ends it, by t.Cleanup.
type Harness struct {
	Engine jobs.Engine
	// Login and Logout play the world's users.
	Login  func(jobs.Session) error
	Logout func(ctx context.Context, id string) error
	// Dial connects to a name of MachServices, Addr answers where a key of
	// Sockets listens.
	Dial func(service string) (net.Conn, error)
	Addr func(ctx context.Context, t jobs.Target, key string) (string, error)
	// Keys are added to each plist that does not have them.
	Keys map[string]any
}

// An Ability is a part of the contract that not every engine has.
type Ability string

// What rules may need.
const (
	Lives     Ability = "lives"     // lives are numbered, and Watch reports their starts and ends
	Demand    Ability = "demand"    // what the engine holds can be dialled here, and is inherited in the project's own way
	Logins    Ability = "logins"    // Login and Logout are there
	Files     Ability = "files"     // changes of files are never missed
	Continues Ability = "continues" // a stopped process is continued when it is to end
)

// A Lack is an ability that an engine does not have, and why.
type Lack struct {
	Ability Ability
	Reason  string
}

// bench is one case's own: the harness and a directory.
type bench struct {
	*testing.T
	Harness
	ctx    context.Context
	dir    string
	events <-chan jobs.Event
	seen   []jobs.Event
	lacks  []Lack
	pids   map[jobs.Target]int // last seen, where lives are not reported
}

func (b *bench) can(a Ability) bool { return lacking(b.lacks, a) == "" }

func newBench(t *testing.T, open func(*testing.T) Harness) *bench {
	ctx, cancel := context.WithTimeout(context.Background(), 4*Patience)
	t.Cleanup(cancel)
	b := &bench{T: t, ctx: ctx, dir: t.TempDir(), Harness: open(t), pids: map[jobs.Target]int{}}
	if err := os.Chmod(b.dir, 0o777); err != nil { // jobs may run as others
		t.Fatal(err)
	}
	for up := filepath.Dir(b.dir); strings.HasPrefix(up, os.TempDir()+"/"); up = filepath.Dir(up) {
		os.Chmod(up, 0o755)
	}
	watch, stop := context.WithCancel(ctx)
	t.Cleanup(stop)
	var err error
	if b.events, err = b.Engine.Watch(watch); err != nil {
		t.Fatal(err)
	}
	return b
}

// keys is a plist.
type keys map[string]any

// write makes a plist of a child that plays role.
func (b *bench) write(label, role string, more keys) string {
	b.Helper()
	all := maps.Clone(b.Keys)
	if all == nil {
		all = keys{}
	}
	maps.Copy(all, more)
	path, err := Plist(b.dir, label, role, all)
	b.ok(err)
	return path
}

// load bootstraps a child's plist into the system domain.
func (b *bench) load(label, role string, more keys) jobs.Target {
	b.Helper()
	b.ok(b.Engine.Bootstrap(b.ctx, jobs.System, b.write(label, role, more)))
	return jobs.MakeTarget(jobs.System, label)
}

func (b *bench) ok(err error) {
	b.Helper()
	if err != nil {
		b.Fatal(err)
	}
}

// next waits for an event of a target; others of it before are skipped.
func (b *bench) next(t jobs.Target, k jobs.EventKind) jobs.Event {
	b.Helper()
	if !b.can(Lives) && (k == jobs.Started || k == jobs.Exited) {
		return b.look(t, k)
	}
	for i, e := range b.seen {
		if e.Target == t && e.Kind == k {
			b.seen = slices.Delete(b.seen, i, i+1)
			return e
		}
	}
	timeout := time.After(Patience)
	for {
		select {
		case e, open := <-b.events:
			if !open {
				b.Fatalf("watch ended before %s %s", t, k)
			}
			if e.Target == t && e.Kind == k {
				return e
			}
			b.seen = append(b.seen, e)
		case <-timeout:
			s, err := b.Engine.State(b.ctx, t)
			b.Fatalf("no %s of %s; it is %+v (%v); saw %+v; children say %s", k, t, s, err, b.seen, b.stderr())
		}
	}
}

func (b *bench) stderr() string {
	data, _ := os.ReadFile(filepath.Join(b.dir, "stderr"))
	return string(data[:min(len(data), 500)])
}

// never fails if an event of that kind has come for the target until now.
func (b *bench) never(t jobs.Target, k jobs.EventKind) {
	b.Helper()
	pid := b.pids[t]
	now := b.state(t) // what happened before this was answered is queued
	if !b.can(Lives) && now.PID != pid && (k == jobs.Started && now.PID != 0 || k == jobs.Exited && pid != 0) {
		b.Fatalf("%s of %s: pid %d became %d", k, t, pid, now.PID)
	}
	for {
		select {
		case e := <-b.events:
			b.seen = append(b.seen, e)
			continue
		default:
		}
		break
	}
	for _, e := range b.seen {
		if e.Target == t && e.Kind == k {
			b.Fatalf("%s of %s: %+v", k, t, e)
		}
	}
}

func (b *bench) state(t jobs.Target) jobs.State {
	b.Helper()
	s, err := b.Engine.State(b.ctx, t)
	b.ok(err)
	if s.PID != 0 {
		b.pids[t] = s.PID
	}
	return s
}

// look makes an event of what State says, where Watch does not report lives: a
// process that was not there the last time, or is not there any more.
func (b *bench) look(t jobs.Target, k jobs.EventKind) (e jobs.Event) {
	b.Helper()
	before := b.pids[t]
	b.until(string(t)+" "+k.String(), func() bool {
		s, err := b.Engine.State(b.ctx, t)
		if err != nil || s.PID == before || s.PID == 0 && k == jobs.Started {
			return false
		}
		e = jobs.Event{Target: t, Kind: k, Time: time.Now(), PID: before}
		if s.Last != nil {
			e.Exit = *s.Last
		}
		return true
	})
	if k == jobs.Started {
		e.PID = b.state(t).PID
	}
	return e
}

// lived checks the number of a life, which is 0 where lives have none.
func (b *bench) lived(got, want uint64) {
	b.Helper()
	if !b.can(Lives) {
		want = 0
	}
	if got != want {
		b.Fatalf("life %d, want %d", got, want)
	}
}

// badEnd waits for the first end of a job that ends badly.
func (b *bench) badEnd(t jobs.Target) (x jobs.Exit) {
	b.Helper()
	if b.can(Lives) {
		e := b.next(t, jobs.Exited)
		b.lived(e.Life, 1)
		return e.Exit
	}
	b.until(string(t)+" has ended", func() bool {
		s := b.state(t)
		if s.Last != nil {
			x = *s.Last
		}
		return s.Last != nil && s.PID == 0
	})
	return x
}

func (b *bench) status(t jobs.Target, want jobs.Status) jobs.State {
	b.Helper()
	s := b.state(t)
	if s.Status != want {
		b.Fatalf("%s is %v, want %v: %+v", t, s.Status, want, s)
	}
	return s
}

// until polls for a condition.
func (b *bench) until(what string, is func() bool) {
	b.Helper()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for end := time.Now().Add(Patience); !is(); <-tick.C {
		if time.Now().After(end) {
			b.Fatalf("not in time: %s; children say %s", what, b.stderr())
		}
	}
}

// note waits for the last note of a role.
func (b *bench) note(label, role string) (n Note) {
	b.Helper()
	b.until(label+" plays "+role, func() bool {
		for _, one := range Notes(b.dir, label) {
			if one.Role == role {
				n = one
			}
		}
		return n.PID != 0
	})
	return n
}

func (b *bench) dial(service string) net.Conn {
	b.Helper()
	c, err := b.Dial(service)
	b.ok(err)
	b.Cleanup(func() { c.Close() })
	b.ok(c.SetDeadline(time.Now().Add(Patience)))
	return c
}

func say(c net.Conn, format string, args ...any) { fmt.Fprintf(c, format+"\n", args...) }

// life asks who answers a connection.
func (b *bench) life(c net.Conn) uint64 {
	b.Helper()
	say(c, "life")
	line, err := bufio.NewReader(c).ReadString('\n')
	b.ok(err)
	n, err := strconv.ParseUint(strings.TrimSpace(line), 10, 64)
	b.ok(err)
	return n
}
