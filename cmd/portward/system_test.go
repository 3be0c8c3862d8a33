package main

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"portward/internal/bundle"
	"portward/internal/bundle/requirement"
	"portward/internal/bundle/sign"
	"portward/internal/config"
	"portward/internal/jobs"
	"portward/internal/program"
	"portward/internal/update/tufrepo"
	"portward/launchd"
)

// A launchdMem is launchd as install and uninstall know it.
type launchdMem struct {
	jobs.Engine
	files  map[jobs.Target]string
	refuse map[jobs.Target]error
	did    []string
	events chan jobs.Event
}

func (l *launchdMem) Bootstrap(_ context.Context, d jobs.Domain, path string) error {
	t := jobs.MakeTarget(d, strings.TrimSuffix(filepath.Base(path), ".plist"))
	if err := l.refuse[t]; err != nil {
		return err
	}
	if l.files[t] != "" {
		return jobs.ErrAlreadyLoaded
	}
	if _, err := os.Stat(path); err != nil {
		return err
	}
	l.files[t] = path
	l.did = append(l.did, "load "+string(t))
	return nil
}

func (l *launchdMem) Bootout(_ context.Context, t jobs.Target) error {
	if err := l.refuse[t]; err != nil {
		return err
	}
	if l.files[t] == "" {
		return jobs.ErrNotLoaded
	}
	delete(l.files, t)
	l.did = append(l.did, "unload "+string(t))
	return nil
}

func (l *launchdMem) State(_ context.Context, t jobs.Target) (jobs.State, error) {
	l.did = append(l.did, "state "+string(t))
	return jobs.State{Target: t}, nil
}

func (l *launchdMem) Kickstart(_ context.Context, t jobs.Target, _ bool) error {
	l.did = append(l.did, "kickstart "+string(t))
	return nil
}

func (l *launchdMem) Hold(_ context.Context, t jobs.Target, _ time.Time) error {
	l.did = append(l.did, "hold "+string(t))
	return nil
}

func (l *launchdMem) Watch(context.Context) (<-chan jobs.Event, error) { return l.events, nil }

type accountsMem struct{ made, removed int }

func (a *accountsMem) ensure(context.Context) (accounts, error) {
	a.made++
	return accounts{60131, 60132, 60133}, nil
}

func (a *accountsMem) remove(context.Context) error { a.removed++; return nil }

// A mac is a system below a directory, and what it did and said.
type mac struct {
	*system
	launchd *launchdMem
	people  *accountsMem
	said    strings.Builder
}

func newMac(t *testing.T) *mac {
	m := &mac{launchd: &launchdMem{files: map[jobs.Target]string{}, refuse: map[jobs.Target]error{}}, people: &accountsMem{}}
	m.system = &system{
		prefix: t.TempDir(), engine: m.launchd, accounts: m.people, close: func() {},
		say: func(format string, args ...any) { fmt.Fprintf(&m.said, format+"\n", args...) },
	}
	return m
}

// files answers everything below the prefix, with its mode and bytes' length.
func (m *mac) list(t *testing.T) (all []string) {
	t.Helper()
	check(t, filepath.WalkDir(m.prefix, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := d.Info()
		all = append(all, fmt.Sprintf("%s %v %d", strings.TrimPrefix(path, m.prefix), info.Mode(), map[bool]int64{false: info.Size()}[d.IsDir()]))
		return err
	}))
	return all
}

var agentsTarget = jobs.MakeTarget(jobs.GUI, launchd.GUIAgent)

// Rule: a bundle is installed whole, owned and vouched for, its jobs are where
// launchd looks for them, loaded in their order; to do it again changes nothing.
func TestInstall(t *testing.T) {
	ctx := context.Background()
	m := newMac(t)
	dir := signedBundle(t, sign.AdHoc(), programs...)
	o := installing{bundle: dir, adHoc: true}
	check(t, m.install(ctx, o))
	live := program.BundleDir(m.root())
	seal := must(bundle.Verify(live))(t)
	if was := must(bundle.Verify(dir))(t); seal.Hash() != was.Hash() {
		t.Error("another bundle than the one that was to be installed")
	}
	data := must(seal.Bytes())(t)
	tuf := bundle.Layout(live).Tuf()
	root := must(os.ReadFile(filepath.Join(tuf, "root.json")))(t)
	if targets := must(os.ReadFile(filepath.Join(tuf, "targets.json")))(t); len(root) == 0 || !strings.Contains(string(targets), hashOf(data)) {
		t.Error("nobody vouches for the seal")
	}
	for _, label := range []string{launchd.Supervisor, launchd.GUIAgent} {
		path, inside := m.daemon(label), "LaunchDaemons/"
		if label == launchd.GUIAgent {
			path, inside = m.agent(label), "LaunchAgents/"
		}
		want := must(fs.ReadFile(launchd.Files(), inside+label+".plist"))(t)
		if got := must(os.ReadFile(path))(t); string(got) != string(want) {
			t.Errorf("%s is not the product's", path)
		}
		if info := must(os.Stat(path))(t); info.Mode() != 0o644 || os.Geteuid() == 0 && ownerOf(info) != 0 {
			t.Errorf("%s: %v", path, info.Mode())
		}
	}
	if want := []string{"load " + string(supervisorTarget), "load " + string(agentsTarget)}; !slices.Equal(m.launchd.did, want) {
		t.Errorf("did %q, want %q", m.launchd.did, want)
	}
	if !strings.Contains(m.said.String(), "Screen & System Audio Recording") {
		t.Errorf("nobody explains: %s", &m.said)
	}
	cfg := must(config.Load(m.root()))(t)
	if cfg.Update.FetchUID != 60132 || cfg.Update.ProbeUID != 60133 || cfg.Update.Repo != "" {
		t.Errorf("configured %+v", cfg.Update)
	}
	before := m.list(t)
	check(t, m.install(ctx, o))
	if after := m.list(t); !slices.Equal(before, after) || len(m.launchd.did) != 2 {
		t.Errorf("the second time changed something:\n%q\n%q\n%q", before, after, m.launchd.did)
	}
}

func hashOf(data []byte) string { return fmt.Sprintf("%x", sha256.Sum256(data)) }

// Rule: programs that nobody signed know each other by their hashes, for every
// processor; those of a team need no such file.
func TestInstallIntroduces(t *testing.T) {
	m := newMac(t)
	check(t, m.install(context.Background(), installing{bundle: signedBundle(t, sign.AdHoc(), programs...), adHoc: true}))
	var peers map[string]string
	check(t, json.Unmarshal(must(os.ReadFile(program.PeersPath(m.root())))(t), &peers))
	ask := checking{}
	ask.AllowAdHoc = true
	v := must(ask.verify(program.BundleDir(m.root())))(t)
	for _, p := range v.Programs {
		r := must(requirement.Parse(peers[p.Identifier]))(t)
		if !strings.Contains(r.String(), p.CDHash) {
			t.Errorf("%s (%s) with %s is not known by %s", p.Identifier, p.CPU, p.CDHash, r)
		}
	}
	if len(peers) != len(programs) {
		t.Errorf("peers are %v", peers)
	}
	for i := range v.Programs {
		v.Programs[i].Team = testTeam
	}
	for range 2 {
		check(t, m.introduce(v))
		if _, err := os.Stat(program.PeersPath(m.root())); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("a team's programs are introduced: %v", err)
		}
	}
}

// Rule: what cannot be installed leaves the Mac as it was.
func TestInstallRefuses(t *testing.T) {
	ctx := context.Background()
	good := signedBundle(t, sign.AdHoc(), programs...)
	seed := signedBundle(t, sign.AdHoc(), "supervisor", "guiagent", "portward")
	id, root := selfMade(t)
	other, _ := selfMade(t)
	stranger := signedBundle(t, other, programs...)
	ours, oursSeed := signedBundle(t, id, programs...), signedBundle(t, id, "supervisor", "guiagent", "portward")
	harmed := func(harm func(*testing.T, string)) string {
		dir := filepath.Join(t.TempDir(), bundle.Name)
		copyTree(t, good, dir)
		harm(t, dir)
		return dir
	}
	bad := filepath.Join(t.TempDir(), "bad.json")
	check(t, os.WriteFile(bad, []byte("{}"), 0o600))
	net := bundle.Layout("").Program("netchild")
	for name, c := range map[string]struct {
		o    installing
		says string
	}{
		"nothing there":      {installing{bundle: "nowhere"}, "nowhere"},
		"signed by nobody":   {installing{bundle: good}, "signed ad hoc"},
		"no root of Apple's": {installing{bundle: stranger}, "roots"},
		"a byte changed": {installing{adHoc: true, bundle: harmed(func(t *testing.T, dir string) {
			data := must(os.ReadFile(dir + "/" + net))(t)
			data[9000] ^= 1
			check(t, os.WriteFile(dir+"/"+net, data, 0o755))
		})}, "netchild"},
		"a program gone":            {installing{adHoc: true, bundle: harmed(remove(net))}, "netchild"},
		"longer than it says":       {installing{adHoc: true, bundle: harmed(func(t *testing.T, dir string) { grow(t, dir+"/"+net) })}, "netchild"},
		"a link in its place":       {installing{adHoc: true, bundle: harmed(func(t *testing.T, dir string) { linkInstead(t, dir+"/"+net) })}, "netchild"},
		"a seed of nobody":          {installing{adHoc: true, bundle: seed}, "--trust FILE say from where"},
		"trust in nothing":          {installing{bundle: oursSeed, repo: "https://x.test", trust: bad}, "--trust"},
		"whole, of another's":       {installing{bundle: ours, repo: "https://x.test", trust: trustFile(t)}, "nobody of that repository vouches"},
		"for another system":        {installing{adHoc: true, bundle: linuxBundle(t)}, "not for Macs"},
		"trust that is not there":   {installing{bundle: oursSeed, repo: "https://x.test", trust: "nowhere"}, "nowhere"},
		"a seed that nobody signed": {installing{bundle: seed, repo: "https://x.test", trust: trustFile(t)}, "signed ad hoc"},
	} {
		t.Run(name, func(t *testing.T) {
			m := newMac(t)
			m.anchors = [][32]byte{root}
			wantRefusal(t, m.install(ctx, c.o), c.says)
			for _, line := range m.list(t) {
				if path, _, _ := strings.Cut(line, " "); strings.HasSuffix(path, "json") || strings.HasSuffix(path, "plist") || strings.Contains(path, "current") || strings.Contains(path, stagingName+"/") {
					t.Errorf("left: %s", line)
				}
			}
			if len(m.launchd.did) > 0 || m.people.made > 0 {
				t.Errorf("did %q, made %d accounts", m.launchd.did, m.people.made)
			}
		})
	}
}

func grow(t *testing.T, path string) {
	f := must(os.OpenFile(path, os.O_APPEND|os.O_WRONLY, 0))(t)
	must(f.WriteString("more"))(t)
	check(t, f.Close())
}

func linkInstead(t *testing.T, path string) {
	check(t, os.Rename(path, path+"-there"))
	check(t, os.Symlink(path+"-there", path))
}

// trustFile answers a root that is one.
func trustFile(t *testing.T) string {
	t.Helper()
	files := must(throwAway(&bundle.Seal{Version: "1.0.0"}))(t)
	path := filepath.Join(t.TempDir(), "root.json")
	check(t, os.WriteFile(path, files["root.json"], 0o600))
	return path
}

// Rule: a seed believes the keys that it is given, is configured for their
// repository, and nobody else vouches for it. What is there stays where nobody asked
// for something else.
func TestInstallSeed(t *testing.T) {
	ctx := context.Background()
	m, seed := macWithSeed(t)
	trust := trustFile(t)
	check(t, m.install(ctx, installing{bundle: seed, repo: "https://x.test/r", trust: trust, channel: "beta"}))
	tuf := bundle.Layout(program.BundleDir(m.root())).Tuf()
	if got, want := must(os.ReadFile(tuf+"/root.json"))(t), must(os.ReadFile(trust))(t); string(got) != string(want) {
		t.Error("other keys are trusted")
	}
	if _, err := os.Stat(tuf + "/targets.json"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("somebody vouches for the seed: %v", err)
	}
	if _, err := tufrepo.OpenAny(filepath.Join(t.TempDir(), "trust"), program.Built(), must(os.ReadFile(trust))(t)); err != nil {
		t.Error(err)
	}
	if _, err := os.Stat(program.PeersPath(m.root())); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a team's programs are introduced: %v", err)
	}
	check(t, m.install(ctx, installing{bundle: seed, repo: "https://x.test/r", trust: trust}))
	if u := must(config.Load(m.root()))(t).Update; u.Repo != "https://x.test/r" || u.Channel != "beta" {
		t.Errorf("configured %+v", u)
	}
}

// macWithSeed answers a Mac and a seed that is signed as it believes.
func macWithSeed(t *testing.T) (*mac, string) {
	m := newMac(t)
	id, root := selfMade(t)
	m.anchors = [][32]byte{root}
	return m, signedBundle(t, id, "supervisor", "guiagent", "portward")
}

// Rule: what nobody signed is not put where releases come from: it knows its own
// hashes, and would meet strangers. Not even where an earlier one took them.
func TestNobodysTakesNoReleases(t *testing.T) {
	ctx := context.Background()
	if _, err := parseInstalling([]string{"--ad-hoc", "--repo", "https://x.test", "--trust", "file", "bundle"}); !errors.Is(err, errStrangers) {
		t.Errorf("both are taken: %v", err)
	}
	m, seed := macWithSeed(t)
	check(t, m.install(ctx, installing{bundle: seed, repo: "https://x.test", trust: trustFile(t)}))
	check(t, m.uninstall(ctx, false))
	before, did := m.list(t), m.launchd.did
	nobodys := installing{bundle: signedBundle(t, sign.AdHoc(), programs...), adHoc: true}
	wantRefusal(t, m.install(ctx, nobodys), "strangers")
	if after := m.list(t); !slices.Equal(before, after) || !slices.Equal(did, m.launchd.did) {
		t.Errorf("it changed something: %q, %q", before, after)
	}
	check(t, m.uninstall(ctx, true))
	check(t, m.install(ctx, nobodys))
}

// Rule: launchd opens a daemon's log as the daemon's account, which may make none:
// each is there, nobody else's to read, and what is in it stays.
func TestInstallLogs(t *testing.T) {
	m, o := newMac(t), installing{bundle: signedBundle(t, sign.AdHoc(), programs...), adHoc: true}
	check(t, m.install(context.Background(), o))
	netchild := filepath.Join(m.root(), "log", "netchild.log")
	check(t, os.WriteFile(netchild, []byte("said before"), 0))
	check(t, os.Chmod(netchild, 0o644))
	check(t, m.install(context.Background(), o))
	if info := must(os.Stat(filepath.Dir(netchild)))(t); info.Mode().Perm() != 0o711 {
		t.Errorf("log: %v, and accounts have to get in", info.Mode())
	}
	check(t, fs.WalkDir(launchd.Files(), "LaunchDaemons", func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		spec := must(jobs.ParseSpec(path, must(fs.ReadFile(launchd.Files(), path))(t)))(t)
		log := m.prefix + spec.StandardErrorPath
		info := must(os.Stat(log))(t)
		owner := map[string]uint32{"": 0, "_portward": 60131}[spec.UserName]
		if info.Mode() != 0o600 || os.Geteuid() == 0 && ownerOf(info) != owner {
			t.Errorf("%s of %q: %v, uid %d", log, spec.UserName, info.Mode(), ownerOf(info))
		}
		return nil
	}))
	if text := must(os.ReadFile(netchild))(t); string(text) != "said before" {
		t.Errorf("the log is %q", text)
	}
}

// Rule: another version is not put over an installed one.
func TestInstallOver(t *testing.T) {
	m, other := macWithSeed(t)
	check(t, m.install(context.Background(), installing{bundle: signedBundle(t, sign.AdHoc(), programs...), adHoc: true}))
	before := m.list(t)
	err := m.install(context.Background(), installing{bundle: other, repo: "https://x.test", trust: trustFile(t)})
	wantRefusal(t, err, "portward uninstall first")
	if after := m.list(t); !slices.Equal(before, after) {
		t.Errorf("it changed something: %q, %q", before, after)
	}
}

// Rule: a job that somebody has switched off is no failure, and is explained; so is
// that nobody is logged in. Anything else is told.
func TestInstallExplains(t *testing.T) {
	dir := signedBundle(t, sign.AdHoc(), programs...)
	for _, c := range []struct {
		target jobs.Target
		err    error
		says   string
		fails  bool
	}{
		{supervisorTarget, jobs.ErrDisabled, "Login Items & Extensions", false},
		{agentsTarget, jobs.ErrDisabled, "Login Items & Extensions", false},
		{agentsTarget, jobs.ErrNoSession, "", false},
		{supervisorTarget, jobs.ErrStart, "", true},
		{supervisorTarget, jobs.ErrNoSession, "", true},
	} {
		m := newMac(t)
		m.launchd.refuse[c.target] = fmt.Errorf("bootstrap %s: %w", c.target, c.err)
		err := m.install(context.Background(), installing{bundle: dir, adHoc: true})
		if (err != nil) != c.fails || !strings.Contains(m.said.String(), c.says) || c.fails && !errors.Is(err, c.err) {
			t.Errorf("%s, %v: %v; said %s", c.target, c.err, err, &m.said)
		}
		m.launchd.refuse = nil
		check(t, m.install(context.Background(), installing{bundle: dir, adHoc: true}))
		if m.launchd.files[supervisorTarget] == "" || m.launchd.files[agentsTarget] == "" {
			t.Errorf("%s, %v: the second time loaded %v", c.target, c.err, m.launchd.files)
		}
	}
}

// Rule: uninstall ends whom it started in the order in which nobody starts them
// again, keeps what is worth keeping unless it is purged, and can be repeated.
func TestUninstall(t *testing.T) {
	ctx := context.Background()
	m := newMac(t)
	check(t, m.uninstall(ctx, false))
	if !strings.Contains(m.said.String(), "nothing is installed") {
		t.Errorf("said %s", &m.said)
	}
	check(t, m.install(ctx, installing{bundle: signedBundle(t, sign.AdHoc(), programs...), adHoc: true}))
	m.launchd.files[netchildTarget], m.launchd.files[rescueTarget] = "x", "x"              // as the supervisor does
	for _, path := range []string{m.daemon(launchd.Rescue), m.agent(launchd.LoginAgent)} { // for a trial; by somebody
		check(t, os.WriteFile(path, nil, 0o644))
	}
	m.launchd.did = nil

	m.launchd.refuse[supervisorTarget] = jobs.ErrBusy
	before := m.list(t)
	wantRefusal(t, m.uninstall(ctx, true), "changing")
	if after := m.list(t); !slices.Equal(before, after) {
		t.Error("something went though the supervisor did not")
	}
	m.launchd.refuse, m.launchd.did = nil, nil
	m.launchd.files[agentsTarget], m.launchd.files[rescueTarget] = "x", "x"

	check(t, m.uninstall(ctx, false))
	var want []string
	for _, target := range []jobs.Target{agentsTarget, rescueTarget, supervisorTarget, netchildTarget} {
		want = append(want, "unload "+string(target))
	}
	if !slices.Equal(m.launchd.did, want) {
		t.Errorf("did %q, want %q", m.launchd.did, want)
	}
	var left []string
	for _, e := range must(os.ReadDir(m.root()))(t) {
		left = append(left, e.Name())
	}
	if !slices.Equal(left, []string{"etc", "evidence", "log", "state"}) || m.people.removed != 0 {
		t.Errorf("%q is left, %d accounts removed", left, m.people.removed)
	}
	for _, path := range []string{m.daemon(launchd.Supervisor), m.daemon(launchd.Rescue), m.agent(launchd.GUIAgent), m.agent(launchd.LoginAgent)} {
		if _, err := os.Stat(path); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%s is left: %v", path, err)
		}
	}
	for range 2 {
		check(t, m.uninstall(ctx, true))
	}
	if _, err := os.Stat(m.root()); !errors.Is(err, fs.ErrNotExist) || m.people.removed != 2 {
		t.Errorf("%v; %d accounts removed", err, m.people.removed)
	}
}
