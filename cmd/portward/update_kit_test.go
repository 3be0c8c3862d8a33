//go:build linux

package main

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"
)

// A depot is one signed repository for all tests of updates, and the releases
// in it. Each test has a channel of its own.
type depot struct {
	dir string // with repo, keys, ca.pem; what is built and packed

	mu        sync.Mutex      // held while something is built, packed or published
	built     map[string]bool // by directory
	packed    map[string]bool
	channels  int
	published int
}

var theDepot struct {
	sync.Once
	d   *depot
	err error
}

// openDepot answers the repository. It is made once, and removed with the
// programs that were built.
func openDepot(t *testing.T) *depot {
	t.Helper()
	bin := binDir(t)
	theDepot.Do(func() {
		d := &depot{dir: filepath.Join(bin, "depot"), built: map[string]bool{}, packed: map[string]bool{}}
		theDepot.d = d
		if theDepot.err = os.Mkdir(d.dir, 0o755); theDepot.err != nil {
			return
		}
		if theDepot.err = certify(d.dir); theDepot.err != nil {
			return
		}
		at := func(name string) string { return filepath.Join(d.dir, "keys", name) }
		theDepot.err = d.tool(bin, "keys", "init", "--repo", d.repo(),
			"--root", at("r1")+","+at("r2")+","+at("r3"), "--targets", at("targets"), "--online", at("online"))
	})
	if theDepot.err != nil {
		t.Fatal(theDepot.err)
	}
	return theDepot.d
}

func (d *depot) repo() string { return filepath.Join(d.dir, "repo") }
func (d *depot) ca() string   { return filepath.Join(d.dir, "ca.pem") }

// tool runs a verb of the portward in bin.
func (d *depot) tool(bin string, args ...string) error {
	cmd := exec.Command(filepath.Join(bin, "portward"), args...)
	cmd.Env = append(os.Environ(), "PORTWARD_PASSPHRASE=correct horse")
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("portward %s: %w\n%s", strings.Join(args, " "), err, out)
	}
	return nil
}

// A variant is how one program of a release differs from the good ones: its
// source has one more file or one line that is another, or it is no program.
// Without any of that only the bytes differ.
type variant struct {
	program string    // empty: all
	source  string    // of the additional file, below testdata/bad
	file    string    // of the module, in which
	line    [2]string // this line is that one
	text    string    // instead of a program
}

var variants = map[string]variant{
	"second": {program: "netchild"},
	"all":    {}, // every program has other bytes

	"crash": {program: "netchild", source: "crash.go.txt"},
	"late":  {program: "netchild", source: "late.go.txt"},
	"never": {program: "netchild", source: "never.go.txt"},
	"cold":  {program: "netchild", source: "cold.go.txt"},
	"hang": {program: "netchild", file: "cmd/netchild/main.go", line: [2]string{
		"\tgo fault.Watch(", "\ttime.AfterFunc(500*time.Millisecond, func() { n.hub.Do(ctx, func() { select {} }) })\n\tgo fault.Watch(",
	}},
	"text": {program: "netchild", text: "this is no program\n"},

	"supervisor exits":   {program: "supervisor", source: "exits.go.txt"},
	"supervisor is text": {program: "supervisor", text: "this is no program\n"},
	"supervisor hangs":   {program: "supervisor", source: "hangs.go.txt"},
	"supervisor quits":   {program: "supervisor", source: "quits.go.txt"},

	"fetcher exits": {program: "portward", source: "nofetch.go.txt"},
	"fetcher taken": {program: "portward", source: "taken.go.txt"},
	// Its bundles have a rescue job that looks every 4 s: in three of
	// these a living supervisor has moved its stamp.
	"hurried": {program: "portward", file: "launchd/LaunchDaemons/dev.portward.rescue.plist", line: [2]string{
		"<integer>30</integer>", "<integer>4</integer>",
	}},
}

// binWith answers a directory with the programs, one of them that variant.
func (d *depot) binWith(t *testing.T, name string) string {
	t.Helper()
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.binWithLocked(t, binDir(t), name)
}

func (d *depot) binWithLocked(t *testing.T, base, name string) string {
	t.Helper()
	if name == "" {
		return base
	}
	dir := filepath.Join(d.dir, "bin", filepath.Base(base)+" "+name)
	if d.built[dir] {
		return dir
	}
	v, ok := variants[name]
	if !ok {
		t.Fatalf("no variant %q", name)
	}
	err := os.MkdirAll(dir, 0o755)
	for _, p := range programs {
		if err == nil && v.program != "" && p != v.program {
			err = os.Link(filepath.Join(base, p), filepath.Join(dir, p))
		}
	}
	if err == nil {
		err = d.make(v, filepath.Join(dir, v.program))
	}
	if err != nil {
		t.Fatalf("variant %s: %v", name, err)
	}
	d.built[dir] = true
	return dir
}

// make makes the variant's program at to; its source is the module's as it is
// here, behind an overlay.
func (d *depot) make(v variant, to string) error {
	if v.text != "" {
		return os.WriteFile(to, []byte(v.text), 0o755)
	}
	scratch, err := os.MkdirTemp(d.dir, "overlay-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(scratch)
	overlay, err := v.overlay(scratch)
	if err != nil {
		return err
	}
	what := "portward/cmd/" + v.program
	if v.program == "" {
		to, what = filepath.Clean(to)+"/", "portward/cmd/..."
	}
	cmd := exec.Command("go", "build", "-overlay", overlay, "-ldflags=-s -w", "-o", to, what)
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("%w\n%s", err, out)
	}
	return nil
}

// overlay writes what go build takes instead of the module's files, and answers
// the list of it.
func (v variant) overlay(scratch string) (string, error) {
	top, err := filepath.Abs("../..")
	if err != nil {
		return "", err
	}
	replace := map[string]string{}
	if v.source != "" {
		replace[filepath.Join(top, "cmd", v.program, "zz_bad.go")] = filepath.Join(top, "cmd/portward/testdata/bad", v.source)
	}
	if v.file != "" {
		b, err := os.ReadFile(filepath.Join(top, v.file))
		if err != nil {
			return "", err
		}
		if strings.Count(string(b), v.line[0]) != 1 {
			return "", fmt.Errorf("%s has no line %q", v.file, v.line[0])
		}
		changed := filepath.Join(scratch, filepath.Base(v.file))
		if err := os.WriteFile(changed, []byte(strings.Replace(string(b), v.line[0], v.line[1], 1)), 0o644); err != nil {
			return "", err
		}
		replace[filepath.Join(top, v.file)] = changed
	}
	list, err := json.Marshal(map[string]any{"Replace": replace})
	if err != nil {
		return "", err
	}
	path := filepath.Join(scratch, "overlay.json")
	return path, os.WriteFile(path, list, 0o644)
}

// An ownChannel is a test's own share of the depot.
type ownChannel struct {
	t    *testing.T
	d    *depot
	name string
	bin  string // the good programs, which also run, pack and publish
}

// openChannel answers a new channel, with version 1.0.0 in it.
func openChannel(t *testing.T, name string) *ownChannel {
	t.Helper()
	c := emptyChannel(t, name)
	c.offer("1.0.0", "")
	return c
}

func emptyChannel(t *testing.T, name string) *ownChannel {
	t.Helper()
	d := openDepot(t)
	d.mu.Lock()
	defer d.mu.Unlock()
	d.channels++
	return &ownChannel{t: t, d: d, name: fmt.Sprintf("%s-%d", name, d.channels), bin: binDir(t)}
}

// offer packs a version of the good programs or of a variant, once, and
// publishes it on the channel.
func (c *ownChannel) offer(version, variant string, flags ...string) {
	c.t.Helper()
	d := c.d
	d.mu.Lock()
	defer d.mu.Unlock()
	from := d.binWithLocked(c.t, c.bin, variant)
	out := filepath.Join(d.dir, "packed", filepath.Base(from)+" "+version)
	if !d.packed[out] {
		if err := d.tool(c.bin, "pack", "--version", version, "--from", from, out); err != nil {
			c.t.Fatal(err)
		}
		d.packed[out] = true
	}
	fixed := []string{"--platform", runtime.GOOS + "-" + runtime.GOARCH, "--deltas", "0"}
	c.publishLocked(append(append(fixed, flags...), out)...)
}

// publish changes what is published on the channel.
func (c *ownChannel) publish(flags ...string) {
	c.t.Helper()
	c.d.mu.Lock()
	defer c.d.mu.Unlock()
	c.publishLocked(flags...)
}

// publishLocked gives the file that changes a time that no earlier one had:
// nginx makes an ETag of a file's size and the second of its time, and tests
// publish more often than once a second.
func (c *ownChannel) publishLocked(flags ...string) {
	c.t.Helper()
	d := c.d
	if err := d.tool(c.bin, append([]string{"publish", "--repo", d.repo(), "--keys", filepath.Join(d.dir, "keys"), "--channel", c.name}, flags...)...); err != nil {
		c.t.Fatal(err)
	}
	d.published++
	at := time.Now().Add(-24 * time.Hour).Add(time.Duration(d.published) * time.Minute)
	if err := os.Chtimes(filepath.Join(d.repo(), "metadata", "timestamp.json"), at, at); err != nil {
		c.t.Fatal(err)
	}
}

// up starts a machine on the channel, with the seed.
func (c *ownChannel) up(n *nginx, spec upSpec, args ...string) *running {
	c.t.Helper()
	if spec.bin == "" {
		spec.bin = c.bin
	}
	spec.args = append([]string{
		"--source", "testcard", "--repo", n.url(), "--ca", c.d.ca(), "--channel", c.name, "--check-every", "1s", "--healthy", "200ms",
	}, args...)
	r := startUp(c.t, spec)
	c.t.Cleanup(func() {
		if c.t.Failed() {
			c.t.Logf("the supervisor's log ends with:\n%s", tailOf(filepath.Join(r.root, "log", "supervisor.log")))
		}
	})
	return r
}

// tailOf answers the last lines of a log.
func tailOf(path string) string {
	b, _ := os.ReadFile(path)
	const most = 8 << 10
	return string(b[max(0, len(b)-most):])
}
