package publish

import (
	"debug/macho"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"portward/internal/bundle"
	"portward/internal/bundle/sign"
	"portward/internal/update"
	"portward/internal/update/delta"
	"portward/internal/update/fetch"
	"portward/internal/update/tufrepo"
)

// Rule: each kind of harm has its line, and a release without harm has none.
func TestLint(t *testing.T) {
	t.Parallel()
	team, other := selfMade(t, "TEAM123456"), selfMade(t, "OTHERTEAM1")
	signedWith := func(p parts, change func(*claims), entitlements string) parts {
		c := claims{identity: team, identifier: "dev.portward.netchild", runtime: true, entitlements: entitlements}
		if change != nil {
			change(&c)
		}
		p.programs["netchild"] = c.program(t, macho.CpuArm64)
		return p
	}
	const net = "error: Portward.app/Contents/MacOS/netchild: "
	for _, c := range []struct {
		name     string
		old, new parts
		want     []string
	}{
		{"no harm", usual("1.0.0"), usual("1.0.1"), nil},
		{"a later pre-release", usual("1.0.0-rc.1"), usual("1.0.0-rc.2"), nil},
		{"same version", usual("1.0.0"), usual("1.0.0"), []string{"error: version 1.0.0 is not newer than 1.0.0"}},
		{"older", usual("1.10.0"), usual("1.9.0"), []string{"error: version 1.9.0 is not newer than 1.10.0"}},
		{"own build", usual("1.0.0"), usual("deadbeef"), []string{`error: version "deadbeef" is none`, "error: version deadbeef is not newer"}},
		{"a program gone", usual("1.0.0"), usual("1.0.1").without("portward"), []string{"error: portward is gone"}},
		{"an extra program gone", with(usual("1.0.0"), "extra"), usual("1.0.1"), []string{"error: Portward.app/Contents/MacOS/extra is gone"}},
		{"an extra program", usual("1.0.0"), with(usual("1.0.1"), "extra"), nil},
		{"a job changed", usual("1.0.0"), func() parts { p := usual("1.0.1"); p.plist = job("61"); return p }(), []string{"error: Portward.app/Contents/Library/LaunchDaemons/dev.portward.netchild.plist: ThrottleInterval changed"}},
		{"a job rewritten", usual("1.0.0"), func() parts { p := usual("1.0.1"); p.plist += "\n"; return p }(), []string{"it is written differently"}},
		{"minimum kept", minimum(usual("1.0.0"), "0.9.0"), minimum(usual("1.0.1"), "0.9.0"), nil},
		{"minimum raised", minimum(usual("1.0.0"), "0.9.0"), minimum(usual("1.0.1"), "1.0.0"), nil},
		{"minimum older", minimum(usual("1.0.0"), "0.9.0"), minimum(usual("1.0.1"), "0.8.0"), []string{`error: Portward.app/Contents/MacOS/netchild: the oldest peer accepted is older again: minimum was "0.9.0" and is "0.8.0"`}},
		{"minimum gone", minimum(usual("1.0.0"), "0.9.0"), usual("1.0.1"), []string{"error: Portward.app/Contents/MacOS/netchild: the oldest peer"}},
		{"minimum of itself", usual("1.0.0"), minimum(usual("1.0.1"), "1.0.1"), []string{"warning: Portward.app/Contents/MacOS/netchild: minimum 1.0.1: peers of 1.0.0 are told to relaunch"}},
		{"minimum too new", usual("1.0.0"), minimum(usual("1.0.1"), "1.1.0"), []string{"error: Portward.app/Contents/MacOS/netchild: minimum 1.1.0 refuses this very release"}},
		{"signed alike", signedWith(usual("1.0.0"), nil, ""), with(signedWith(usual("1.0.1"), nil, ""), "x"), nil},
		{"identifier", signedWith(usual("1.0.0"), nil, ""), signedWith(usual("1.0.1"), func(c *claims) { c.identifier = "a.out" }, ""), []string{net + `signing identifier was "dev.portward.netchild" and is "a.out"`, net + "designated requirement was"}},
		{"team", signedWith(usual("1.0.0"), nil, ""), signedWith(usual("1.0.1"), func(c *claims) { c.identity = other }, ""), []string{net + `team was "TEAM123456" and is "OTHERTEAM1"`, net + "designated requirement was"}},
		{"nobody's", signedWith(usual("1.0.0"), nil, ""), signedWith(usual("1.0.1"), func(c *claims) { c.identity = sign.AdHoc() }, ""), []string{net + `team was "TEAM123456" and is ""`, net + "designated requirement was"}},
		{"unsigned", signedWith(usual("1.0.0"), nil, ""), signedWith(usual("1.0.1"), func(c *claims) { c.identity = nil }, ""), []string{net + "it was signed and is not"}},
		{"at last signed", signedWith(usual("1.0.0"), func(c *claims) { c.identity = nil }, ""), signedWith(usual("1.0.1"), nil, ""), nil},
		{"runtime", signedWith(usual("1.0.0"), nil, ""), signedWith(usual("1.0.1"), func(c *claims) { c.runtime = false }, ""), []string{net + "the hardened runtime is gone"}},
		{"entitlements", signedWith(usual("1.0.0"), nil, "<key>a</key><true/><key>b</key><true/>"), signedWith(usual("1.0.1"), nil, "<key>b</key><false/><key>c</key><true/>"), []string{"entitlement a changed", "entitlement b changed", "entitlement c changed"}},
		{"platform", onLinux(usual("1.0.0"), 0x3e), onLinux(usual("1.0.1"), 0xb7), []string{`error: platform was "linux-amd64" and is "linux-arm64"`}},
	} {
		t.Run(c.name, func(t *testing.T) {
			list, err := lint(c.old.make(t), c.new.make(t), nil)
			if err != nil {
				t.Fatal(err)
			}
			checkFindings(t, list, c.want)
		})
	}
}

// Rule: without any repository, each algorithm's patch of what changed is tried.
func TestLintPatches(t *testing.T) {
	t.Parallel()
	old, err := bundleAt(usual("1.0.0").make(t))
	if err != nil {
		t.Fatal(err)
	}
	next, err := bundleAt(usual("1.0.1").make(t))
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		next side
		with delta.Algorithm
		want []string
	}{
		"all are good":      {next, delta.All()[0], nil},
		"one lies":          {next, liar{delta.All()[0]}, slices.Repeat([]string{"patch does not round-trip: it makes something else"}, 3)},
		"one cannot":        {next, sulking{delta.All()[0]}, slices.Repeat([]string{"warning: Portward.app/Contents/MacOS/"}, 3)},
		"nothing to patch":  {old, liar{delta.All()[0]}, nil},
		"nothing to be had": {side{next.seal, func(bundle.Entry) ([]byte, error) { return nil, os.ErrNotExist }}, delta.All()[0], slices.Repeat([]string{"error: Portward.app/Contents/MacOS/"}, 3)},
	} {
		t.Run(name, func(t *testing.T) {
			var l findings
			l.patches([]delta.Algorithm{c.with}, old, c.next)
			checkFindings(t, l, c.want)
		})
	}
	var l findings
	l.patches(delta.All(), side{old.seal, func(bundle.Entry) ([]byte, error) { return nil, os.ErrNotExist }}, next)
	checkFindings(t, l, slices.Repeat([]string{"no patch from it is tried"}, 3))
}

// sulking makes no patches.
type sulking struct{ delta.Algorithm }

func (sulking) Diff(old, new []byte) ([]byte, error) { return nil, delta.ErrTooLarge }

func with(p parts, name string) parts {
	p.programs[name] = noise(77, 100)
	return p
}

func minimum(p parts, of string) parts {
	p.minimum = map[string]string{"netchild": of}
	return p
}

func onLinux(p parts, machine byte) parts {
	p.programs["netchild"] = elfFor(machine)
	return p
}

// checkFindings: each wanted text in its own finding, and no other.
func checkFindings(t *testing.T, list []Finding, want []string) {
	t.Helper()
	for i, f := range list {
		if i >= len(want) || !strings.Contains(f.String(), want[i]) {
			t.Errorf("unexpected: %s", f)
		}
	}
	if len(list) < len(want) {
		t.Errorf("only %d findings: %v, want %q", len(list), list, want)
	}
	refuse := slices.ContainsFunc(list, func(f Finding) bool { return strings.HasPrefix(f.String(), "error: ") })
	if refuse != Refused(list) {
		t.Error("Refused says otherwise")
	}
}

// Rule: a new bundle that does not verify is refused, an old one is nothing to
// compare with.
func TestLintDamaged(t *testing.T) {
	t.Parallel()
	good, bad := usual("1.0.0").make(t), usual("1.0.1").make(t)
	if err := os.Chmod(bundle.Layout(bad).Program("netchild"), 0o777); err != nil {
		t.Fatal(err)
	}
	if list, err := Lint(good, bad); err != nil || !Refused(list) {
		t.Errorf("%v, %v", list, err)
	}
	if _, err := Lint(bad, good); err == nil {
		t.Error("compared with a damaged bundle")
	}
}

// Rule: directories of bundles are compared platform by platform, and none may
// be forgotten. What a sign that was killed has left there is no platform.
func TestLintAll(t *testing.T) {
	t.Parallel()
	tree := func(bundles map[string]parts) string {
		dir := t.TempDir()
		for platform, p := range bundles {
			if err := os.Rename(p.make(t), filepath.Join(dir, platform)); err != nil {
				t.Fatal(err)
			}
		}
		return dir
	}
	old := tree(map[string]parts{"linux-amd64": usual("1.0.0"), "linux-arm64": usual("1.0.0")})
	list, bundles, err := LintAll(old, tree(map[string]parts{"linux-amd64": usual("1.0.0")}))
	if err != nil || len(bundles) != 1 {
		t.Fatal(bundles, err)
	}
	checkFindings(t, list, []string{"error: linux-amd64: version 1.0.0 is not newer", "error: platform missing"})
	list, bundles, err = LintAll(old, tree(map[string]parts{"linux-amd64": usual("1.0.1"), "linux-arm64": usual("1.0.1"), "darwin-arm64": usual("1.0.1")}))
	if err != nil || len(bundles) != 3 {
		t.Fatal(bundles, err)
	}
	checkFindings(t, list, nil)
	const left = ".linux-amd64.signing"
	unsigned := tree(map[string]parts{"linux-amd64": usual("1.0.0"), left: usual("1.0.0")})
	signed := tree(map[string]parts{"linux-amd64": usual("1.0.1"), left: usual("1.0.1")})
	for _, dir := range []string{unsigned, signed} {
		if err := os.WriteFile(filepath.Join(dir, left+".lock"), nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	list, bundles, err = LintAll(unsigned, signed)
	if err != nil || !slices.Equal(bundles, []string{filepath.Join(signed, "linux-amd64")}) {
		t.Errorf("%q, %v", bundles, err)
	}
	checkFindings(t, list, nil)
	if _, _, err := LintAll(old, tree(map[string]parts{left: usual("1.0.1")})); err == nil {
		t.Error("what is left of a sign is a release")
	}
	if _, _, err := LintAll(old, t.TempDir()); err == nil {
		t.Error("an empty directory is a release")
	}
	single := usual("1.0.0").make(t)
	if _, bundles, err := LintAll(filepath.Dir(single), single); err != nil || !slices.Equal(bundles, []string{single}) {
		t.Errorf("%q, %v", bundles, err)
	}
}

// Rule: what a machine would stumble over in a repository is found: what is
// gone, rotten, does not apply, or is over.
func TestLintRepo(t *testing.T) {
	t.Parallel()
	whole := newBench(t)
	whole.mustPublish(usual("1.0.0").make(t), patched)
	whole.mustPublish(usual("1.1.0").make(t), patched)
	firstDelta := func(b *bench) string {
		for _, it := range b.delivery().Files {
			if len(it.Deltas) > 0 {
				return it.Deltas[0].SHA256
			}
		}
		b.t.Fatal("no patch")
		return ""
	}
	for _, c := range []struct {
		name string
		harm func(b *bench)
		want []string
	}{
		{"nothing", func(b *bench) {}, nil},
		{"a rotten blob", func(b *bench) { b.damage(b.delivery().Files[0].Blob.SHA256) }, []string{"damaged"}},
		{"a missing blob", func(b *bench) { os.Remove(newStore(b.repo.dir).path(b.delivery().Files[0].Blob.SHA256)) }, []string{"no such file"}},
		{"a rotten patch", func(b *bench) { b.damage(firstDelta(b)) }, []string{"does not round-trip"}},
		{"a wrong patch", func(b *bench) {
			b.deliver(b.mispatched())
		}, []string{"does not round-trip: it "}},
		{"no delivery", func(b *bench) { delete(b.repo.targets, update.DeliveryName("stable", "linux-amd64")) }, []string{"error: stable/linux-amd64: the delivery"}},
		{"another delivery", func(b *bench) {
			b.deliver(nil)
		}, slices.Repeat([]string{"is in no delivery"}, 6)},
		{"expired", func(b *bench) {
			b.repo.ends = []tufrepo.Expiry{{Role: "timestamp", Version: 1, Expires: start}}
		}, []string{"error: timestamp expired"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			b := whole.copy(t)
			c.harm(b)
			list, err := lintRepo(Check{Repo: b.repo.dir, Channel: "stable", Now: start}, b.repo)
			if err != nil {
				t.Fatal(err)
			}
			if len(list) > 1 && c.name == "a rotten blob" {
				list = list[:1] // it may be what a patch leads from, too
			}
			checkFindings(t, list, c.want)
		})
	}
}

// deliver signs another delivery of the same release.
func (b *bench) deliver(items map[string]fetch.Item) {
	data, err := encode(items)
	if err != nil {
		b.t.Fatal(err)
	}
	name := update.DeliveryName("stable", "linux-amd64")
	if err := b.repo.Publish(map[string]tufrepo.NewTarget{name: {Data: data}}, nil, start); err != nil {
		b.t.Fatal(err)
	}
}

// mispatched answers the present delivery, where one patch makes a program of
// another.
func (b *bench) mispatched() map[string]fetch.Item {
	items, wrong := map[string]fetch.Item{}, false
	s := newStore(b.repo.dir)
	known, err := readIndex(b.repo.dir)
	if err != nil {
		b.t.Fatal(err)
	}
	for _, it := range b.delivery().Files {
		if len(it.Deltas) > 0 && !wrong {
			d := &it.Deltas[0]
			a, _ := delta.ByName(d.Algorithm)
			old, err := s.content(known.items[d.From])
			if err != nil {
				b.t.Fatal(err)
			}
			patch, err := a.Diff(old, noise(55, int(it.Size)))
			if err != nil {
				b.t.Fatal(err)
			}
			if d.SHA256, _, err = s.put(patch); err != nil {
				b.t.Fatal(err)
			}
			d.Size, wrong = int64(len(patch)), true
		}
		items[it.SHA256] = it
	}
	return items
}

// Rule: what only a seal can tell is found too.
func TestLintSeals(t *testing.T) {
	t.Parallel()
	seal := func(version string, change func(e *bundle.Entry)) *bundle.Seal {
		s := &bundle.Seal{Version: version}
		for _, name := range whole {
			e := bundle.Entry{Path: "Portward.app/Contents/MacOS/" + name, Type: bundle.File, Mode: "0755", Identifier: "dev.portward." + name}
			if name == "guiagent" && change != nil {
				change(&e)
			}
			s.Entries = append(s.Entries, e)
		}
		return s
	}
	for _, c := range []struct {
		change func(e *bundle.Entry)
		want   []string
	}{
		{nil, nil},
		{func(e *bundle.Entry) { e.Mode = "2755" }, []string{`error: Portward.app/Contents/MacOS/guiagent: mode was "0755" and is "2755"`}},
		{func(e *bundle.Entry) { e.Identifier = "dev.portward.agent" }, []string{`error: Portward.app/Contents/MacOS/guiagent: identifier was "dev.portward.guiagent" and is "dev.portward.agent"`}},
		{func(e *bundle.Entry) { e.Type = bundle.Dir }, []string{"error: guiagent is gone", "error: Portward.app/Contents/MacOS/guiagent was a file and is a dir"}},
		{func(e *bundle.Entry) { e.XAttrs = []string{"user.x"} }, []string{"warning: Portward.app/Contents/MacOS/guiagent: extended attribute user.x"}},
		{func(e *bundle.Entry) {
			e.Path = "Portward.app/Contents/Library/LaunchAgents/new.plist"
			e.Identifier = ""
		}, []string{"error: guiagent is gone", "error: Portward.app/Contents/Library/LaunchAgents/new.plist is new"}},
	} {
		var l findings
		l.seals(seal("1.0.0", nil), seal("1.0.1", c.change))
		checkFindings(t, l, c.want)
	}
}

// Rule: a platform that the channel has is not left behind by a release, unless
// it has that version already.
func TestLintRepoPlatforms(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.mustPublish(onLinux(usual("1.0.0"), 0x3e).make(t), nil)
	b.mustPublish(onLinux(usual("1.0.0"), 0xb7).make(t), func(p *Plan) { p.Platform = "" })
	next := onLinux(usual("1.1.0"), 0x3e).make(t)
	check := func(want []string, dirs ...string) {
		t.Helper()
		list, err := lintRepo(Check{Repo: b.repo.dir, Channel: "stable", New: dirs, Now: start.Add(time.Hour)}, b.repo)
		if err != nil {
			t.Fatal(err)
		}
		checkFindings(t, list, want)
	}
	check([]string{"error: platform missing: stable/linux-arm64 is at 1.0.0"}, next)
	arm := onLinux(usual("1.1.0"), 0xb7).make(t)
	check(nil, next, arm)
	b.mustPublish(arm, func(p *Plan) { p.Platform = "" })
	check(nil, next)
}
