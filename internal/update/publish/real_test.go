package publish

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"testing"
	"time"

	"portward/internal/bundle"
	"portward/internal/durable"
	"portward/internal/update"
	"portward/internal/update/fetch"
	"portward/internal/update/pipe"
	"portward/internal/update/tufrepo"
)

// Rule: what was published with real keys is what a machine takes: its trust
// follows each step, its seal is vouched for, and its contents can be had.
func TestMachine(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	repo := filepath.Join(dir, "repo")
	key := func(name string) string { return filepath.Join(dir, name) }
	keys := tufrepo.KeyDirs{Root: []string{key("a"), key("b"), key("c")}, Targets: key("targets"), Online: key("online")}
	// Keys without a passphrase are quicker; a root key must have one.
	pass := func(role, _ string) ([]byte, error) {
		if role == "new root" {
			return []byte("secret"), nil
		}
		return nil, nil
	}
	if err := tufrepo.InitKeys(repo, keys, pass, start); err != nil {
		t.Fatal(err)
	}
	root, err := os.ReadFile(filepath.Join(repo, "metadata", "1.root.json"))
	if err != nil {
		t.Fatal(err)
	}
	trust, err := tufrepo.Open(filepath.Join(dir, "trust"), root, start)
	if err != nil {
		t.Fatal(err)
	}
	m := &machine{t: t, repo: repo, trust: trust, now: start}

	open := func() *Publisher {
		m.now = m.now.Add(time.Minute)
		p, err := Open(Options{Repo: repo, Keys: keys, Pass: pass, Now: m.now})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { p.Close() })
		return p
	}
	publish := func(dir string) {
		p := open()
		defer p.Close()
		if _, err := p.Publish(Plan{Bundle: dir, Channel: "stable", Platform: "linux-amd64", Share: 2500, Deltas: 3}); err != nil {
			t.Fatal(err)
		}
	}
	one, two := usual("1.0.0").make(t), usual("1.1.0").make(t)
	publish(one)
	m.takes("1.0.0", 2500)
	publish(two)
	m.takes("1.1.0", 2500)

	p := open()
	if _, err := p.SetShare("stable", "", Whole, 0); err != nil {
		t.Fatal(err)
	}
	m.takes("1.1.0", Whole)
	p.Close()
	p = open()
	if _, err := p.Recall("stable", "", "1.1.0"); err != nil {
		t.Fatal(err)
	}
	m.takes("1.0.0", Whole)
	p.Close()
	for _, renew := range []func(*Publisher) error{(*Publisher).Resign, (*Publisher).Renew} {
		p := open()
		if err := renew(p); err != nil {
			t.Fatal(err)
		}
		m.takes("1.0.0", Whole)
		p.Close()
	}
	left := filepath.Join(repo, "b", ".tmp-LEFTBYAKILLEDONE")
	if err := os.WriteFile(left, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	open().Close()
	if _, err := os.Stat(left); err == nil {
		t.Error("what a killed publisher left is still served")
	}
	list, err := LintRepo(Check{Repo: repo, Channel: "stable", Now: m.now})
	if err != nil || len(list) > 0 {
		t.Errorf("lint finds %v, %v", list, err)
	}
}

// A machine is a client of the repository's files.
type machine struct {
	t     *testing.T
	repo  string
	trust *tufrepo.Trust
	now   time.Time
}

func (m *machine) get(name string, max int64, have string) ([]byte, error) {
	data, err := readBounded(filepath.Join(m.repo, filepath.FromSlash(name)), max)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, pipe.ErrNotFound
	case err == nil && digest(data) == have:
		return nil, pipe.ErrSame
	}
	return data, err
}

// takes checks what the machine is offered.
func (m *machine) takes(version string, share int) {
	m.t.Helper()
	if _, err := m.trust.Refresh(m.now, m.get); err != nil {
		m.t.Fatal(err)
	}
	seal := m.seal(version, share)
	t, ok := m.trust.Target(update.DeliveryName("stable", "linux-amd64"))
	if !ok {
		m.t.Fatal("no delivery")
	}
	data, err := m.get("targets/stable/linux-amd64/"+t.SHA256+".delivery.json", t.Size, "")
	if err != nil {
		m.t.Fatal(err)
	}
	d, err := fetch.ParseDelivery(data)
	if err != nil {
		m.t.Fatal(err)
	}
	can := map[string]bool{}
	for _, it := range d.Files {
		_, err := newStore(m.repo).content(it)
		can[it.SHA256] = err == nil
	}
	for _, e := range seal.Entries {
		if e.Type == bundle.File && !can[e.SHA256] {
			m.t.Errorf("%s cannot be had", e.Path)
		}
	}
}

func (m *machine) seal(version string, share int) *bundle.Seal {
	m.t.Helper()
	t, ok := m.trust.Target(update.SealName("stable", "linux-amd64"))
	if !ok {
		m.t.Fatal("no seal")
	}
	r, err := update.ParseRelease(t.Custom)
	if err != nil || r.Version != version || r.Rollout.Share != share {
		m.t.Errorf("the release is %+v, %v", r, err)
	}
	data, err := m.get("targets/stable/linux-amd64/"+t.SHA256+".seal.json", t.Size, "")
	if err != nil {
		m.t.Fatal(err)
	}
	seal, err := bundle.ParseSeal(data)
	if err != nil || seal.Hash() != t.SHA256 || seal.Version != version {
		m.t.Fatalf("the seal is %s of version %s, %v", t.SHA256, seal.Version, err)
	}
	if _, targets := m.trust.Vouch(); m.trust.Vouches(targets, data) != nil {
		m.t.Error("nobody vouches for the seal")
	}
	return seal
}

// Rule: a new targets key does not sign an older copy either; a new online key is
// how such a copy goes on, and then it is the other that is behind.
func TestRotateOlderCopy(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	key := func(name string) string { return filepath.Join(dir, name) }
	o := Options{Repo: filepath.Join(dir, "repo"), Now: start, Progress: func(string) {}}
	o.Keys = tufrepo.KeyDirs{Root: []string{key("a"), key("b"), key("c")}, Targets: key("targets"), Online: key("online")}
	o.Pass = func(role, _ string) ([]byte, error) {
		return map[string][]byte{"new root": []byte("secret"), "root": []byte("secret")}[role], nil
	}
	if err := tufrepo.InitKeys(o.Repo, o.Keys, o.Pass, start); err != nil {
		t.Fatal(err)
	}
	renew := func(o Options) error {
		p, err := Open(o)
		if err != nil {
			t.Fatal(err)
		}
		defer p.Close()
		return p.Renew()
	}
	older := o
	older.Repo = filepath.Join(dir, "older")
	if err := os.CopyFS(older.Repo, os.DirFS(o.Repo)); err != nil {
		t.Fatal(err)
	}
	if err := renew(o); err != nil {
		t.Fatal(err)
	}
	refused(t, Rotate(older, "targets"), "older copy")
	refused(t, renew(older), "older copy")
	if err := Rotate(older, "online"); err != nil {
		t.Fatal(err)
	}
	if err := renew(older); err != nil {
		t.Fatal(err)
	}
	for _, err := range []error{renew(o), Rotate(o, "online"), Rotate(o, "targets")} {
		refused(t, err, "its root is version 1, and 2 was there")
	}
}

// Rule: two publishers come one after the other, and what is no repository is
// not made one.
func TestLock(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	if _, err := Open(Options{Repo: dir, Now: start}); err == nil {
		t.Error("an empty directory is a repository")
	}
	if entries, _ := os.ReadDir(dir); len(entries) > 0 {
		t.Errorf("left %v", entries)
	}
	if err := os.Mkdir(filepath.Join(dir, "metadata"), 0o755); err != nil {
		t.Fatal(err)
	}
	first, err := Lock(dir, func(string) { t.Error("waits for nobody") })
	if err != nil {
		t.Fatal(err)
	}
	waits, got := make(chan string, 1), make(chan *durable.FileLock)
	go func() {
		second, err := Lock(dir, func(s string) { waits <- s })
		if err != nil {
			t.Error(err)
		}
		got <- second
	}()
	<-waits
	select {
	case <-got:
		t.Fatal("two at once")
	default:
	}
	if err := first.Close(); err != nil {
		t.Fatal(err)
	}
	(<-got).Close()
}
