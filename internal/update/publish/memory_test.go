package publish

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// copyOf is an older copy of the repository, and the same publisher's keys.
func (b *bench) copyOf(t *testing.T) *bench {
	t.Helper()
	c := b.copy(t)
	c.keys, c.repo.signed, c.repo.root = b.keys, b.repo.signed, b.repo.root
	return c
}

func refused(t *testing.T, err error, want ...string) {
	t.Helper()
	for _, w := range want {
		if err == nil || !strings.Contains(err.Error(), w) {
			t.Errorf("error %v, want one with %q", err, w)
		}
	}
}

// recall recalls on stable.
func (b *bench) recall(what string) ([]Summary, error) {
	b.t.Helper()
	p := b.open()
	defer p.Close()
	return p.Recall("stable", "", what)
}

// Rule: whoever works from an older copy of the repository signs nothing: not a
// release, a share, a recall or a date. The newest copy goes on.
func TestOlderCopy(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.mustPublish(usual("1.0.0").make(t), nil)
	older := b.copyOf(t)
	b.mustPublish(usual("1.1.0").make(t), nil)

	two := usual("1.2.0").make(t)
	signed := older.repo.signed
	_, err := older.publish(two, nil)
	refused(t, err, "older copy", "version 1, and 2", "hint: get the newest copy back", memoryFile)
	_, err = older.recall("1.0.0")
	refused(t, err, "older copy")
	p := older.open()
	_, err = p.SetShare("stable", "", 1, 0)
	refused(t, err, "older copy")
	refused(t, p.Renew(), "older copy")
	refused(t, p.Resign(), "older copy")
	if older.repo.signed != signed || older.repo.resigned != 0 {
		t.Error("something was signed")
	}
	b.mustPublish(two, nil)
	if p := b.open(); p.Resign() != nil {
		t.Error("the newest copy is refused")
	}
}

// Rule: once machines forget the version, an older copy may go on, but not
// without what was recalled; and one recall brings back all of them, on every
// channel, also of releases that this copy never had.
func TestForgottenRecalls(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	beta := func(p *Plan) { p.Channel = "beta" }
	b.mustPublish(usual("1.0.0").make(t), nil)
	bad := usual("1.1.0").make(t)
	b.mustPublish(bad, beta)
	older := b.copyOf(t)
	one, two := b.mustPublish(bad, nil), b.mustPublish(usual("1.2.0").make(t), nil)
	for _, what := range []string{"1.1.0", "1.2.0"} {
		if _, err := b.recall(what); err != nil {
			t.Fatal(err)
		}
	}
	p := b.open()
	if _, err := p.Recall("beta", "", "1.1.0"); err != nil {
		t.Fatal(err)
	}
	p.Close()

	older.repo.online = "rotated"
	three := usual("1.3.0").make(t)
	signed := older.repo.signed
	_, err := older.publish(three, nil)
	refused(t, err, "beta/linux-amd64", "was recalled", "--channel beta --platform linux-amd64 --recall "+one.Hash[:12])
	p = older.open()
	refused(t, p.Renew(), "was recalled")
	p.Close()
	if older.repo.signed != signed {
		t.Error("something was signed")
	}
	list, err := older.recall(two.Hash)
	if err != nil || len(list) != 2 || list[0].Channel != "stable" || list[1].Channel != "beta" || list[1].Share != 0 {
		t.Fatalf("%+v, %v", list, err)
	}
	hash, r := older.release("linux-amd64")
	if r.Version != "1.0.0" || r.Rollout.Share != Whole || !slices.Equal(r.Bad, []string{two.Hash, one.Hash}) {
		t.Errorf("%s %+v", hash, r)
	}
	older.mustPublish(three, nil)
	if _, r := older.release("linux-amd64"); len(r.Bad) != 2 {
		t.Errorf("%+v", r)
	}
}

// Rule: a copy from before a root is no copy to go on with, whatever its keys.
func TestCopyWithoutARoot(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.mustPublish(usual("1.0.0").make(t), nil)
	older := b.copyOf(t)
	b.repo.root, b.repo.online = 2, "rotated"
	b.mustPublish(usual("1.1.0").make(t), nil)
	_, err := older.publish(usual("1.2.0").make(t), nil)
	refused(t, err, "its root is version 0, and 2")
}

// Rule: what failed is not remembered as published; a recall is once the keys
// are there, since from then on it may have been seen. What cannot be remembered
// is not signed.
func TestMemoryOfFailures(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.mustPublish(usual("1.0.0").make(t), nil)
	locked, broken := errors.New("wrong passphrase"), errors.New("the disk is full")
	b.repo.locked = locked
	if _, err := b.recall("1.0.0"); !errors.Is(err, locked) {
		t.Fatal(err)
	}
	b.repo.locked = nil
	two := usual("1.1.0").make(t)
	b.mustPublish(two, nil)
	b.repo.broken = broken
	if _, err := b.recall("1.1.0"); !errors.Is(err, broken) {
		t.Fatal(err)
	}
	b.repo.broken = nil
	_, err := b.publish(usual("1.2.0").make(t), nil)
	refused(t, err, "was recalled")
	if _, err := b.recall("1.1.0"); err != nil {
		t.Fatal(err)
	}
	signed := b.repo.signed
	if err := os.RemoveAll(b.keys); err != nil {
		t.Fatal(err)
	}
	_, err = b.publish(usual("1.2.0").make(t), nil)
	refused(t, err, "remembering what was published")
	if b.repo.signed != signed {
		t.Error("it was signed all the same")
	}
}

// Rule: a memory that cannot be read stops everything, and the error names it;
// without one the repository's own word counts, and is remembered.
func TestMemoryFile(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.mustPublish(usual("1.0.0").make(t), nil)
	if _, err := b.recall("1.0.0"); err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(b.keys, memoryFile)
	good, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if info, err := os.Stat(file); err != nil || info.Mode() != 0o600 {
		t.Errorf("%v, %v", info.Mode(), err)
	}
	two := usual("1.1.0").make(t)
	for _, text := range []string{"", "{", "null nonsense", string(good[:len(good)/2])} {
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		_, err := b.publish(two, nil)
		refused(t, err, file, "hint: remove it")
	}
	if err := os.Remove(file); err != nil {
		t.Fatal(err)
	}
	b.mustPublish(two, nil)
	m, err := remember(b.keys)
	if err != nil || m.Stand != b.repo.Stand() || len(m.Recalled["stable/linux-amd64"]) != 1 {
		t.Errorf("%+v, %v", m, err)
	}
}

// Rule: of a list that is full the oldest recall may go.
func TestFullList(t *testing.T) {
	t.Parallel()
	full := make([]string, maxBad)
	for i := range full {
		full[i] = digest([]byte{byte(i)})
	}
	m := &memory{Recalled: recalls{"a/b": full}}
	next := merge([]string{"new"}, full)
	if len(next) != maxBad || next[0] != "new" || len(m.lost("a/b", next)) != 0 || len(m.lost("a/b", next[:maxBad-1])) != 2 {
		t.Errorf("%d, %q lost", len(next), m.lost("a/b", next))
	}
}

// FuzzMemory: whatever lies there, it is read or refused.
func FuzzMemory(f *testing.F) {
	f.Add([]byte(`{"stand":{"root":1,"targets":2,"online":"x"},"recalled":{"a/b":["c"]}}`))
	f.Add([]byte(`null`))
	dir := f.TempDir()
	f.Fuzz(func(t *testing.T, data []byte) {
		if err := os.WriteFile(filepath.Join(dir, memoryFile), data, 0o600); err != nil {
			t.Fatal(err)
		}
		if m, err := remember(dir); err == nil {
			m.lost("a/b", nil)
			m.learn(nil)
		}
	})
}
