package publish

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"path"
	"path/filepath"
	"slices"
	"testing"
	"testing/fstest"
	"time"

	"portward/internal/bundle"
	"portward/internal/durable"
	"portward/internal/update"
	"portward/internal/update/fetch"
	"portward/internal/update/pipe"
	"portward/internal/update/tufrepo"
)

// start is when the tests happen.
var start = time.Date(2026, 11, 30, 12, 0, 0, 0, time.UTC)

// A memRepo is a repository whose signatures are a map; its target files lie
// where those of a real one lie.
type memRepo struct {
	dir              string
	targets          map[string]pipe.Target
	broken           error // of the next Publish
	locked           error // keys, then
	online           string
	root             int64
	signed, resigned int
	ends             []tufrepo.Expiry
}

func (m *memRepo) Unlock() error                   { return m.locked }
func (m *memRepo) Targets() map[string]pipe.Target { return m.targets }
func (m *memRepo) Resign(time.Time) error          { m.resigned++; return nil }
func (m *memRepo) Expiries() []tufrepo.Expiry      { return m.ends }

func (m *memRepo) Stand() tufrepo.Stand {
	return tufrepo.Stand{Root: m.root, Targets: int64(m.signed), Online: m.online}
}

func (m *memRepo) Publish(set map[string]tufrepo.NewTarget, remove []string, now time.Time) error {
	for name, t := range set {
		sha := digest(t.Data)
		file := filepath.Join(m.dir, "targets", path.Dir(name), sha+"."+path.Base(name))
		if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
			return err
		}
		if err := os.WriteFile(file, t.Data, 0o644); err != nil {
			return err
		}
		if m.broken != nil {
			continue
		}
		var custom []byte
		if t.Custom != nil {
			var err error
			if custom, err = json.Marshal(t.Custom); err != nil {
				return err
			}
		}
		m.targets[name] = pipe.Target{Name: name, SHA256: sha, Size: int64(len(t.Data)), Custom: custom}
	}
	if m.broken != nil {
		return m.broken
	}
	m.signed++
	return nil
}

// A bench is a repository and a place for bundles.
type bench struct {
	t    *testing.T
	repo *memRepo
	keys string // where the memory lies
	told []string

	anchors [][32]byte
}

func newBench(t *testing.T) *bench {
	return &bench{t: t, keys: t.TempDir(), repo: &memRepo{dir: t.TempDir(), online: "o", targets: map[string]pipe.Target{}}}
}

// copy answers another repository with the same files.
func (b *bench) copy(t *testing.T) *bench {
	t.Helper()
	c := newBench(t)
	c.repo.targets = maps.Clone(b.repo.targets)
	if err := os.CopyFS(c.repo.dir, os.DirFS(b.repo.dir)); err != nil {
		t.Fatal(err)
	}
	return c
}

// open answers a publisher that has just started.
func (b *bench) open() *Publisher {
	b.t.Helper()
	lock, err := durable.TryLock(filepath.Join(b.repo.dir, ".lock"))
	if err != nil {
		b.t.Fatal(err)
	}
	b.t.Cleanup(func() { lock.Close() })
	o := Options{Repo: b.repo.dir, Keys: tufrepo.KeyDirs{Targets: b.keys}, Now: start, Anchors: b.anchors, Progress: func(s string) { b.told = append(b.told, s) }}
	return &Publisher{o: o, repo: b.repo, lock: lock, store: newStore(b.repo.dir)}
}

// publish publishes to stable/linux-amd64, without patches unless told.
func (b *bench) publish(dir string, change func(*Plan)) (Summary, error) {
	b.t.Helper()
	plan := Plan{Bundle: dir, Channel: "stable", Platform: "linux-amd64", Share: Whole}
	if change != nil {
		change(&plan)
	}
	p := b.open()
	defer p.Close()
	return p.Publish(plan)
}

func (b *bench) mustPublish(dir string, change func(*Plan)) Summary {
	b.t.Helper()
	s, err := b.publish(dir, change)
	if err != nil {
		b.t.Fatal(err)
	}
	return s
}

// patched asks for patches.
func patched(p *Plan) { p.Deltas = 3 }

// release answers what is signed.
func (b *bench) release(platform string) (string, update.Release) {
	b.t.Helper()
	t := b.repo.targets[update.SealName("stable", platform)]
	r, err := update.ParseRelease(t.Custom)
	if err != nil {
		b.t.Fatal(err)
	}
	return t.SHA256, r
}

func (b *bench) delivery() fetch.Delivery {
	b.t.Helper()
	d, err := shelfOf(b.repo.dir, "stable", "linux-amd64").delivery(b.repo.targets[update.DeliveryName("stable", "linux-amd64")].SHA256)
	if err != nil {
		b.t.Fatal(err)
	}
	return d
}

// content answers a bundle's file as a machine would get it from its blob.
func (b *bench) content(sha string) ([]byte, error) {
	for _, it := range b.delivery().Files {
		if it.SHA256 == sha {
			return newStore(b.repo.dir).content(it)
		}
	}
	return nil, errors.New("in no delivery")
}

// A parts says what a bundle is made of.
type parts struct {
	version  string
	programs map[string][]byte
	minimum  map[string]string
	plist    string
}

// usual answers the parts of a release. Its programs are noise, so that they do
// not pack, and differ in a few bytes from those of another version.
func usual(version string) parts {
	p := parts{version: version, programs: map[string][]byte{}, plist: job("60")}
	for i, name := range whole {
		p.programs[name] = noise(uint64(i), 20<<10)
		at := 0
		for _, c := range version {
			at = at*31%1000 + int(c)
		}
		copy(p.programs[name][5000+at:], version)
	}
	p.programs["portward"] = noise(99, 20<<10) // never changes
	return p
}

func noise(seed uint64, n int) []byte {
	r := rand.New(rand.NewPCG(seed, 7))
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(r.Uint32())
	}
	return b
}

func job(interval string) string {
	return `<?xml version="1.0" encoding="UTF-8"?>
<plist version="1.0"><dict>
<key>Label</key><string>dev.portward.netchild</string>
<key>ThrottleInterval</key><integer>` + interval + `</integer>
</dict></plist>
`
}

// make builds the bundle.
func (p parts) make(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	o := bundle.Options{Version: p.version, Minimum: p.minimum, Programs: map[string]string{}, Plists: fstest.MapFS{
		"LaunchDaemons": {Mode: os.ModeDir | 0o755},
		"LaunchDaemons/dev.portward.netchild.plist": {Data: []byte(p.plist)},
	}}
	for name, data := range p.programs {
		o.Programs[name] = filepath.Join(dir, name)
		if err := os.WriteFile(o.Programs[name], data, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	out := filepath.Join(dir, bundle.Name)
	if _, err := bundle.BuildWith(out, o); err != nil {
		t.Fatal(err)
	}
	return out
}

func (p parts) without(name string) parts {
	delete(p.programs, name)
	return p
}

// elfFor answers the beginning of a program for linux.
func elfFor(machine byte) []byte {
	b := make([]byte, 64)
	copy(b, "\x7fELF\x02\x01\x01")
	b[16], b[18], b[20], b[52], b[58] = 2, machine, 1, 64, 64
	return b
}

// blobs answers the names of all blobs.
func (b *bench) blobs() []string {
	b.t.Helper()
	entries, err := os.ReadDir(filepath.Join(b.repo.dir, "b"))
	if err != nil && !isMissing(err) {
		b.t.Fatal(err)
	}
	var list []string
	for _, e := range entries {
		list = append(list, e.Name())
	}
	slices.Sort(list)
	return list
}

// damage flips a byte of a blob.
func (b *bench) damage(sha string) {
	b.t.Helper()
	file := newStore(b.repo.dir).path(sha)
	data, err := os.ReadFile(file)
	if err != nil {
		b.t.Fatal(err)
	}
	data[len(data)/2] ^= 1
	if err := os.WriteFile(file, data, 0o644); err != nil {
		b.t.Fatal(fmt.Errorf("damaging: %w", err))
	}
}
