package tufrepo

import (
	"errors"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/theupdateframework/go-tuf/v2/metadata"
)

// Rule: after each rotation clients old and new go on, the new key signs and
// the old one does not; two of three root keys do.
func TestRotate(t *testing.T) {
	t.Parallel()
	p := founded(t)
	p.cheap = true
	p.publish("one", day0)
	trust := p.client()
	p.follows(trust, "one", day0)
	believed := "one"
	for i, step := range []struct{ name, role, lost string }{
		{"targets", "targets", ""},
		{"online", "online", ""},
		{"lost targets", "targets", p.d.Targets},
		{"lost online", "online", p.d.Online},
		{"renew", "", ""},
		{"one root", p.d.Root[1], ""},
		{"lost root", p.d.Root[2], p.d.Root[2]},
		{"all roots", "root", ""},
	} {
		now := day0.Add(time.Duration(i+1) * hour)
		before := p.open().mint.root.Signed
		if step.lost != "" {
			p.lose(step.lost)
		}
		err := error(nil)
		if step.role == "" {
			err = Renew(p.dir, p.d, p.pass, now)
		} else {
			err = Rotate(p.dir, p.d, step.role, p.pass, now)
		}
		if err != nil {
			t.Fatalf("%s: %v", step.name, err)
		}
		after := p.open().mint.root.Signed
		if after.Version != int64(i+2) || len(after.Roles["root"].KeyIDs) != 3 || len(after.Keys) != 5 {
			t.Fatalf("%s: version %d, %d keys", step.name, after.Version, len(after.Keys))
		}
		if same := maps.EqualFunc(before.Keys, after.Keys, func(a, b *metadata.Key) bool { return true }); same != (step.role == "") {
			t.Fatalf("%s: the keys are the same: %v", step.name, same)
		}
		p.follows(trust, believed, now)
		believed = step.name
		p.publish(believed, now)
		p.follows(trust, believed, now)
	}
}

// Rule: while the old key is there a rotation can be stopped after any write,
// or seen after any, and no client is refused.
func TestRotationHasNoGap(t *testing.T) {
	t.Parallel()
	for _, role := range []string{"targets", "online"} {
		p := founded(t)
		p.cheap = true
		p.publish("one", day0)
		trust := p.client()
		r := p.open()
		put, n := r.mint.put, 0
		r.mint.put = func(name string, data []byte) error {
			err := put(name, data)
			p.follows(trust, "one", day0)
			p.open()
			n++
			return err
		}
		next, err := r.mint.successor(day0)
		if err == nil && role == "targets" {
			err = r.rotateRole(next, role, p.d.Targets, day0, "targets")
		} else if err == nil {
			err = r.rotateRole(next, role, p.d.Online, day0, "snapshot", "timestamp")
		}
		if err != nil || n < 3 {
			t.Fatalf("%s: %d writes, %v", role, n, err)
		}
	}
}

// Rule: a rotation without the old key that was stopped once its root was out
// is finished by publishing.
func TestStoppedHandOver(t *testing.T) {
	t.Parallel()
	p := founded(t)
	p.cheap = true
	p.publish("one", day0)
	p.lose(p.d.Targets)
	r := p.open()
	stopped, put := errors.New("stopped"), r.mint.put
	r.mint.put = func(name string, data []byte) error {
		if !strings.HasSuffix(name, "root.json") {
			return stopped
		}
		return put(name, data)
	}
	next, err := r.mint.successor(day0)
	if err == nil {
		err = r.rotateRole(next, "targets", p.d.Targets, day0, "targets")
	}
	if !errors.Is(err, stopped) {
		t.Fatal(err)
	}
	p.publish("two", day0)
	p.follows(p.client(), "two", day0)
}

func (p *publisher) lose(dir string) {
	p.t.Helper()
	if err := os.RemoveAll(dir); err != nil {
		p.t.Fatal(err)
	}
}

// Rule: one root key is not enough, whether the others are lost or locked.
func TestRotateNeedsTheThreshold(t *testing.T) {
	t.Parallel()
	p := founded(t)
	p.lock(p.d.Root[0], "root")
	p.lock(p.d.Root[2], "root")
	locked := func(role, path string) ([]byte, error) {
		if role == "root" && !strings.Contains(path, "/r2/") {
			return nil, nil
		}
		return p.pass(role, path)
	}
	if err := Rotate(p.dir, p.d, "online", locked, day0); !errors.Is(err, errLocked) {
		t.Fatal(err)
	}
	p.lose(p.d.Root[0])
	p.lose(p.d.Root[1])
	for _, role := range []string{"targets", "root", p.d.Root[0], "sideways"} {
		if err := Rotate(p.dir, p.d, role, p.pass, day0); err == nil {
			t.Fatalf("%s was rotated", role)
		}
	}
	if exists(filepath.Join(p.dir, "metadata/2.root.json")) {
		t.Fatal("there is a new root")
	}
}

// Rule: what init refuses, rotate and renew do: two keys on one medium, by
// whatever name it is called, or a key in what is published. Nothing is changed.
func TestRotateRefusesOneDirectoryForTwoKeys(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		role  string
		spoil func(p *publisher)
	}{
		"targets beside a root":       {"targets", func(p *publisher) { p.d.Targets = p.d.Root[0] }},
		"a root that is not told of":  {"targets", func(p *publisher) { p.d.Targets, p.d.Root = p.d.Root[2], p.d.Root[:2] }},
		"online beside targets":       {"online", func(p *publisher) { p.d.Online = p.d.Targets }},
		"online beside other targets": {"online", func(p *publisher) { p.d.Online, p.d.Targets = p.d.Targets, "" }},
		"online by another name":      {"online", func(p *publisher) { p.d.Online = p.alias(p.d.Root[1]) }},
		"one root twice":              {"root", func(p *publisher) { p.d.Root[2] = p.d.Root[0] + "/." }},
		"a new root beside targets":   {"root", func(p *publisher) { p.lose(p.d.Root[1]); p.d.Root[1] = p.d.Targets }},
		"published":                   {"targets", func(p *publisher) { p.d.Targets = filepath.Join(p.dir, "keys") }},
		"renewed by one root twice":   {"", func(p *publisher) { p.d.Root = []string{p.d.Root[0], p.alias(p.d.Root[0])} }},
	} {
		t.Run(name, func(t *testing.T) {
			p := founded(t)
			p.cheap = true
			c.spoil(p)
			before := p.keyFiles()
			err := error(nil)
			if c.role == "" {
				err = Renew(p.dir, p.d, p.pass, day0)
			} else {
				err = Rotate(p.dir, p.d, c.role, p.pass, day0)
			}
			if err == nil || !strings.Contains(err.Error(), "key") || strings.Contains(err.Error(), "no client") {
				t.Fatalf("the answer was %v", err)
			}
			if after := p.keyFiles(); !slices.Equal(before, after) || exists(filepath.Join(p.dir, "metadata/2.root.json")) {
				t.Fatalf("there are %q, there were %q", after, before)
			}
		})
	}
}

// alias is another name of a directory.
func (p *publisher) alias(dir string) string {
	p.t.Helper()
	if err := os.Symlink(dir, dir+"-too"); err != nil {
		p.t.Fatal(err)
	}
	return dir + "-too"
}

// keyFiles are all that there are, wherever they lie.
func (p *publisher) keyFiles() []string {
	p.t.Helper()
	var list []string
	err := filepath.WalkDir(filepath.Dir(p.dir), func(path string, d fs.DirEntry, err error) error {
		if strings.HasSuffix(path, ".key") {
			list = append(list, path)
		}
		return err
	})
	if err != nil {
		p.t.Fatal(err)
	}
	return list
}

// Rule: a directory that was lost, and one that is new, may take a new key.
func TestRotateIntoANewDirectory(t *testing.T) {
	t.Parallel()
	p := founded(t)
	p.cheap = true
	p.lose(p.d.Online)
	p.lose(p.d.Root[2])
	p.d.Online += "/new"
	if err := Rotate(p.dir, p.d, "online", p.pass, day0); err != nil {
		t.Fatal(err)
	}
	p.publish("one", day0)
}

// Rule: a copy is behind when machines would call it old: not once the online
// key is another one, but always without a root that they know.
func TestStand(t *testing.T) {
	t.Parallel()
	p := founded(t)
	p.cheap = true
	first := p.open().Stand()
	p.publish("one", day0)
	second := p.open().Stand()
	rotated := func(role string) Stand {
		if err := Rotate(p.dir, p.d, role, p.pass, day0); err != nil {
			t.Fatal(err)
		}
		return p.open().Stand()
	}
	third, fourth := rotated("targets"), rotated("online")
	for i, stands := range [][]Stand{{first, second, third}, {third, fourth}, {first, fourth}} {
		for j := range stands[1:] {
			if !stands[j].IsBehind(stands[j+1]) || stands[j+1].IsBehind(stands[j]) || stands[j].IsBehind(stands[j]) {
				t.Errorf("%d: %+v, %+v", i, stands[j], stands[j+1])
			}
		}
	}
	lost := fourth
	lost.Targets = 1
	if lost.IsBehind(Stand{third.Root, 99, third.Online}) {
		t.Error("with another online key the version of targets still counts")
	}
}
