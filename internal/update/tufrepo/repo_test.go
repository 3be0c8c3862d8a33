package tufrepo

import (
	"crypto/ed25519"
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/secure-systems-lab/go-securesystemslib/encrypted"

	"portward/internal/update/pipe"
)

// A publisher is a repository on disk with its keys, and who was asked for
// which passphrase.
type publisher struct {
	t     *testing.T
	dir   string
	d     KeyDirs
	asked []string
	cheap bool // new keys without a passphrase, where that may be
}

func (p *publisher) pass(role, path string) ([]byte, error) {
	p.asked = append(p.asked, role)
	if strings.HasSuffix(role, "online") || role == "new targets" && p.cheap {
		return nil, nil
	}
	return []byte("secret of " + filepath.Base(filepath.Dir(path))), nil
}

func newPublisher(t *testing.T) *publisher {
	top := t.TempDir()
	at := func(name string) string { return filepath.Join(top, name) }
	d := KeyDirs{Root: []string{at("r1"), at("r2"), at("r3")}, Targets: at("targets"), Online: at("online")}
	return &publisher{t: t, dir: at("repo"), d: d}
}

// founded is InitKeys with keys that lie open, because each passphrase costs a
// tenth of a second.
func founded(t *testing.T) *publisher {
	t.Helper()
	p := newPublisher(t)
	keys := map[string][]ed25519.PrivateKey{}
	for _, place := range p.d.places() {
		key, data, err := makeKey(nil)
		if err == nil {
			err = os.MkdirAll(place.dir, 0o700)
		}
		if err != nil {
			t.Fatal(err)
		}
		write(t, filepath.Join(place.dir, place.role+".key"), data)
		keys[place.role] = append(keys[place.role], key)
	}
	if err := start(p.dir, keys, day0); err != nil {
		t.Fatal(err)
	}
	return p
}

// lock puts a key under its passphrase.
func (p *publisher) lock(dir, role string) {
	p.t.Helper()
	path := filepath.Join(dir, role+".key")
	var f keyFile
	err := json.Unmarshal(read(p.t, path), &f)
	if err == nil {
		secret, _ := p.pass(role, path)
		f.Encrypted, err = encrypted.Encrypt(f.Private, secret)
	}
	f.Private = nil
	data, jsonErr := json.Marshal(f)
	if err := errors.Join(err, jsonErr); err != nil {
		p.t.Fatal(err)
	}
	write(p.t, path, data)
}

func (p *publisher) open() *Repo {
	p.t.Helper()
	r, err := OpenRepo(p.dir, p.d, p.pass)
	if err != nil {
		p.t.Fatal(err)
	}
	return r
}

func (p *publisher) publish(seal string, now time.Time) {
	p.t.Helper()
	if err := p.open().Publish(map[string]NewTarget{sealName: {Data: []byte(seal)}}, nil, now); err != nil {
		p.t.Fatal(err)
	}
}

// get is a static file server.
func (p *publisher) get(name string, max int64, have string) ([]byte, error) {
	data, err := os.ReadFile(filepath.Join(p.dir, name))
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, pipe.ErrNotFound
	case have != "" && hashOf(data) == have:
		return nil, pipe.ErrSame
	}
	return data, err
}

// follows says that a client from the beginning, and one that took everything
// so far, both take the seal.
func (p *publisher) follows(trust *Trust, seal string, now time.Time) {
	p.t.Helper()
	fresh, err := Open(p.t.TempDir(), read(p.t, filepath.Join(p.dir, "metadata/1.root.json")), day0)
	if err != nil {
		p.t.Fatal(err)
	}
	for _, client := range []*Trust{trust, fresh} {
		if _, err := client.Walk(now, p.get); err != nil {
			p.t.Fatal(err)
		}
		if got, _ := client.Target(sealName); got.SHA256 != hashOf([]byte(seal)) {
			p.t.Fatalf("a client believes %+v, not the seal %q", got, seal)
		}
	}
}

func (p *publisher) client() *Trust {
	p.t.Helper()
	trust, err := Open(p.t.TempDir(), read(p.t, filepath.Join(p.dir, "metadata/1.root.json")), day0)
	if err != nil {
		p.t.Fatal(err)
	}
	return trust
}

// Rule: what is published is taken, found by its file name, and gone when it is
// removed; the daily signature needs the online key alone.
func TestPublish(t *testing.T) {
	t.Parallel()
	p := founded(t)
	trust := p.client()
	r := p.open()
	set := map[string]NewTarget{
		sealName:                           {Data: []byte("one"), Custom: map[string]any{"version": "1.0.0"}},
		"stable/linux-amd64/delivery.json": {Data: []byte("{}")},
	}
	if err := r.Publish(set, nil, day0); err != nil {
		t.Fatal(err)
	}
	p.follows(trust, "one", day0)
	for name, got := range r.Targets() {
		data, err := os.ReadFile(filepath.Join(p.dir, got.File()))
		if err != nil || string(data) != string(set[name].Data) {
			t.Errorf("%s: %q, %v", name, data, err)
		}
	}
	p.asked = nil
	alone := *p
	alone.d.Targets, alone.d.Root = "", nil
	if err := alone.open().Resign(day0.Add(5 * day)); err != nil {
		t.Fatal(err)
	}
	if len(alone.asked) != 0 {
		t.Fatalf("asked for %q", alone.asked)
	}
	p.follows(trust, "one", day0.Add(11*day))
	if err := p.open().Publish(nil, []string{"stable/linux-amd64/delivery.json"}, day0.Add(6*day)); err != nil {
		t.Fatal(err)
	}
	p.follows(trust, "one", day0.Add(6*day))
	if _, ok := trust.Target("stable/linux-amd64/delivery.json"); ok || len(p.open().Targets()) != 1 {
		t.Fatal("it is still there")
	}
	if err := alone.open().Publish(nil, nil, day0); err == nil {
		t.Fatal("published without the targets' key")
	}
}

// Rule: a target's file that is there already is believed only as far as its
// bytes go: what is not what its name says is written again, and what cannot be
// is an error that names it, before anything is signed.
func TestPublishLooksAtWhatIsThere(t *testing.T) {
	t.Parallel()
	p := founded(t)
	path := filepath.Join(p.dir, "targets/stable/linux-amd64", hashOf([]byte("one"))+".seal.json")
	for name, spoil := range map[string]func() error{
		"whole":   func() error { return os.WriteFile(path, []byte("one"), 0o644) },
		"flipped": func() error { return os.WriteFile(path, []byte("onf"), 0o644) },
		"torn":    func() error { return os.WriteFile(path, []byte("on"), 0o644) },
		"longer":  func() error { return os.WriteFile(path, []byte("one more"), 0o644) },
		"a link":  func() error { return os.Symlink("/dev/zero", path) },
	} {
		if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o755), os.RemoveAll(path), spoil()); err != nil {
			t.Fatal(err)
		}
		p.publish("one", day0)
		info, err := os.Lstat(path)
		if err != nil || !info.Mode().IsRegular() || string(read(t, path)) != "one" {
			t.Errorf("%s: %v, %v", name, info, err)
		}
	}
	version := p.open().mint.targets.Signed.Version
	if err := errors.Join(os.Remove(path), os.MkdirAll(filepath.Join(path, "full"), 0o755)); err != nil {
		t.Fatal(err)
	}
	err := p.open().Publish(map[string]NewTarget{sealName: {Data: []byte("one")}}, nil, day0)
	if err == nil || !strings.Contains(err.Error(), path) || p.open().mint.targets.Signed.Version != version {
		t.Errorf("a directory in its place: %v", err)
	}
}

// Rule: a wrong passphrase is called that, with the key's file, and signs nothing; the
// right one is asked for once.
func TestUnlock(t *testing.T) {
	p := founded(t)
	p.lock(p.d.Targets, targetsKey)
	wrong, err := OpenRepo(p.dir, p.d, func(string, string) ([]byte, error) { return []byte("sesame"), nil })
	if err != nil {
		t.Fatal(err)
	}
	for _, unlock := range []func() error{wrong.Unlock, func() error { return wrong.Publish(nil, nil, day0) }} {
		if err := unlock(); !errors.Is(err, ErrPassphrase) || !strings.Contains(err.Error(), "wrong passphrase for "+filepath.Join(p.d.Targets, "targets.key")) {
			t.Error(err)
		}
	}
	if v := p.open().mint.targets.Signed.Version; v != 1 {
		t.Errorf("version %d was signed", v)
	}
	p.asked = nil
	r := p.open()
	if err := errors.Join(r.Unlock(), r.Unlock(), r.Publish(nil, nil, day0)); err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(p.asked, []string{targetsKey}) {
		t.Errorf("asked for %q", p.asked)
	}
}

// Rule: names that would leave the repository, or that a server would read
// otherwise, and custom JSON that cannot be signed, are refused before anything
// is written.
func TestPublishRefuses(t *testing.T) {
	w := newWorld(t)
	before := len(w.files)
	for name, custom := range map[string]any{
		"../a": nil, "/a": nil, "a/../b": nil, "": nil, ".": nil, "a//b": nil, "a?b": nil, "a%2fb": nil, "a#b": nil, `a\b`: nil,
		"fraction": map[string]any{"share": 0.5}, "null": map[string]any{"x": nil}, "no JSON": func() {},
	} {
		if err := w.m.publish(map[string]NewTarget{name: {Data: []byte("x"), Custom: custom}}, nil, day0); err == nil {
			t.Errorf("%q was published", name)
		}
	}
	for name := range w.files {
		if strings.HasPrefix(name, "metadata/") && len(w.files) != before && strings.HasPrefix(name, "metadata/2.") {
			t.Fatalf("%s was written", name)
		}
	}
}

// Rule: what no client would take is not published.
func TestPublishProvesItself(t *testing.T) {
	w := newWorld(t)
	w.m.proofs = [][]byte{w.files["metadata/1.root.json"]}
	w.m.targetsKeys = newKeys(t, 1)
	if err := w.m.publish(nil, nil, day0); err == nil || w.files["metadata/2.targets.json"] != nil {
		t.Fatalf("published with a foreign key: %v", err)
	}
}

// Rule: blobs, targets, snapshot, timestamp: whoever sees a file finds what it
// lists; and a publisher that was stopped anywhere in between goes on.
func TestPublishingOrder(t *testing.T) {
	stopped := errors.New("stopped")
	for n := range 5 {
		w := newWorld(t)
		trust := w.trusting(day0)
		var wrote []string
		put := w.m.put
		w.m.put = func(name string, data []byte) error {
			if len(wrote) == n {
				return stopped
			}
			wrote = append(wrote, name)
			return put(name, data)
		}
		err := w.m.publish(map[string]NewTarget{sealName: {Data: []byte("two")}}, nil, day0)
		want := []string{"targets/stable/linux-amd64/" + hashOf([]byte("two")) + ".seal.json", "metadata/2.targets.json", "metadata/2.snapshot.json", "metadata/timestamp.json"}[:min(n, 4)]
		if (n < 4) != errors.Is(err, stopped) || !slices.Equal(wrote, want) {
			t.Fatalf("wrote %q, %v", wrote, err)
		}
		w.refresh(trust, day0)
		w.m.put = put
		w.publish("three", day0)
		w.refresh(trust, day0)
		w.believes(trust, "three")
		w.believes(w.trusting(day0), "three")
	}
}

// Rule: what somebody else changed in the repository is not signed for him.
func TestOpenRepoChecksWhatItFinds(t *testing.T) {
	t.Parallel()
	p := founded(t)
	p.publish("one", day0)
	for _, file := range []string{"1.root.json", "timestamp.json", "2.snapshot.json", "2.targets.json"} {
		path := filepath.Join(p.dir, "metadata", file)
		good := read(t, path)
		for _, bad := range [][]byte{nil, good[:len(good)/2], []byte(strings.Replace(string(good), `"expires":"20`, `"expires":"21`, 1)), []byte("{}")} {
			write(t, path, bad)
			if _, err := OpenRepo(p.dir, p.d, p.pass); err == nil {
				t.Errorf("%s as %.40q was opened", file, bad)
			}
		}
		write(t, path, good)
	}
	p.open()
}

// Rule: a key that is not the one the root names is not used, and a wrong
// passphrase is an error, not a missing key.
func TestWrongKeys(t *testing.T) {
	t.Parallel()
	p, other := founded(t), founded(t)
	p.lock(p.d.Targets, "targets")
	mixed := *p
	mixed.d.Online = other.d.Online
	if err := mixed.open().Resign(day0); !errors.Is(err, fs.ErrNotExist) {
		t.Fatal(err)
	}
	wrong := func(string, string) ([]byte, error) { return []byte("guess"), nil }
	if err := Rotate(p.dir, p.d, "targets", wrong, day0); err == nil {
		t.Fatal("rotated with a wrong passphrase")
	}
	if exists(filepath.Join(p.dir, "metadata/2.root.json")) || exists(filepath.Join(p.d.Targets, "targets.2.key")) {
		t.Fatal("something was left of it")
	}
}

// Rule: a throw-away repository vouches for what it is given, by the rules of a
// real one, and for nothing else.
func TestThrowAway(t *testing.T) {
	m, err := ThrowAway(day0)
	if err != nil {
		t.Fatal(err)
	}
	root, targets, err := m.Vouch([]byte("seal"))
	if err != nil {
		t.Fatal(err)
	}
	trust, err := Open(t.TempDir(), root, day0)
	if err != nil {
		t.Fatal(err)
	}
	if err := trust.Vouches(targets, []byte("seal")); err != nil {
		t.Fatal(err)
	}
	if trust.Vouches(targets, []byte("another")) == nil {
		t.Fatal("it vouches for another seal")
	}
	if err := m.Publish(map[string]NewTarget{sealName: {Data: []byte("one")}}, nil, day0); err != nil {
		t.Fatal(err)
	}
	if changed, err := trust.Refresh(day0, m.Get); !changed || err != nil {
		t.Fatal(changed, err)
	}
	if err := m.Resign(day0.Add(day)); err != nil {
		t.Fatal(err)
	}
	if changed, err := trust.Refresh(day0.Add(day), m.Get); !changed || err != nil {
		t.Fatal(changed, err)
	}
	if changed, err := trust.Refresh(day0.Add(day), m.Get); changed || err != nil {
		t.Fatal(changed, err)
	}
}
