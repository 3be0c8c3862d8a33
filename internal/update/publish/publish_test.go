package publish

import (
	"debug/macho"
	"errors"
	"io"
	"io/fs"
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

// Rule: what machines could not use, or must not take, is not published; nothing
// is signed and nothing stored for it.
func TestRefusals(t *testing.T) {
	t.Parallel()
	tampered := usual("1.0.0").make(t)
	if err := os.WriteFile(bundle.Layout(tampered).Program("netchild"), noise(5, 20<<10), 0o755); err != nil {
		t.Fatal(err)
	}
	mixed := usual("1.0.0")
	mixed.programs["supervisor"], mixed.programs["netchild"] = elfFor(0x3e), elfFor(0xb7)
	arm := usual("1.0.0")
	arm.programs["supervisor"] = elfFor(0xb7)
	for _, c := range []struct {
		name, bundle string
		change       func(*Plan)
		want         string
	}{
		{"seed", usual("1.0.0").without("netchild").make(t), nil, "has no netchild"},
		{"no tool", usual("1.0.0").without("portward").make(t), nil, "has no portward"},
		{"own build", usual("deadbeef0123").make(t), nil, "cannot be published"},
		{"short version", usual("1.2").make(t), nil, "cannot be published"},
		{"build metadata", usual("1.2.3+x").make(t), nil, "cannot be published"},
		{"tampered", tampered, nil, "SHA-256"},
		{"no bundle", t.TempDir(), nil, "seal.json"},
		{"another platform", arm.make(t), nil, "built for linux-arm64, not linux-amd64"},
		{"two platforms", mixed.make(t), nil, "linux-arm64"},
		{"unknown platform", usual("1.0.0").make(t), func(p *Plan) { p.Platform = "" }, "hint: --platform"},
		{"channel", usual("1.0.0").make(t), func(p *Plan) { p.Channel = "../etc" }, `channel "../etc"`},
		{"platform", usual("1.0.0").make(t), func(p *Plan) { p.Platform = "Linux/amd64" }, `platform "Linux/amd64"`},
		{"share", usual("1.0.0").make(t), func(p *Plan) { p.Share = Whole + 1 }, "share"},
	} {
		t.Run(c.name, func(t *testing.T) {
			b := newBench(t)
			_, err := b.publish(c.bundle, c.change)
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("error %v, want one with %q", err, c.want)
			}
			if b.repo.signed != 0 || len(b.repo.targets) != 0 {
				t.Errorf("signed: %v", b.repo.targets)
			}
		})
	}
}

// Rule: without the keys nothing is stored.
func TestKeysBeforeBlobs(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.repo.locked = errors.New("wrong passphrase")
	if _, err := b.publish(usual("1.0.0").make(t), nil); !errors.Is(err, b.repo.locked) || len(b.blobs()) > 0 {
		t.Errorf("%v; stored %q", err, b.blobs())
	}
	b.repo.locked = nil
	b.mustPublish(usual("1.0.0").make(t), nil)
}

// Rule: what lint refuses as the successor of the present release is neither
// stored nor signed, unless somebody insists; each finding is told either way.
func TestPublishLints(t *testing.T) {
	t.Parallel()
	harmful := usual("1.1.0")
	harmful.plist = job("61")
	b := newBench(t)
	b.mustPublish(usual("1.0.0").make(t), nil)
	b.mustPublish(usual("1.0.0").make(t), func(p *Plan) { p.Platform = "linux-arm64" })
	next, blobs, signed := harmful.make(t), b.blobs(), b.repo.signed
	b.told = nil
	_, err := b.publish(next, nil)
	if err == nil || !strings.Contains(err.Error(), "1.1.0 would hurt the people who run 1.0.0") || !strings.Contains(err.Error(), "hint: ") {
		t.Error(err)
	}
	if b.repo.signed != signed || !slices.Equal(b.blobs(), blobs) {
		t.Error("something was stored or signed")
	}
	want := []string{
		"error: Portward.app/Contents/Library/LaunchDaemons/dev.portward.netchild.plist: ThrottleInterval changed",
		"warning: stable/linux-arm64 stays at 1.0.0 until it has a release, too",
	}
	if !slices.Equal(b.told, want) {
		t.Errorf("told %q", b.told)
	}
	b.told = nil
	b.mustPublish(next, func(p *Plan) { p.DespiteLint = true })
	if len(b.told) < 2 || !slices.Equal(b.told[:2], want) {
		t.Errorf("told %q", b.told)
	}
	_, err = b.publish(onLinux(usual("1.2.0"), 0x3e).make(t), nil) // the job is again as it was: changed, too
	if err == nil {
		t.Error("a job changed back")
	}
	b.repo.ends = []tufrepo.Expiry{{Role: "root", Version: 1, Expires: start}, {Role: "timestamp", Version: 1, Expires: start}}
	harmful.version = "1.3.0"
	b.told = nil
	if _, err := b.publish(harmful.make(t), nil); err == nil || len(b.told) != 2 || !strings.HasPrefix(b.told[0], "error: root expired") {
		t.Errorf("%v, %q", err, b.told)
	}
}

// Rule: a channel's platform does not become another one under its name.
func TestPublishLintsThePlatform(t *testing.T) {
	t.Parallel()
	universal := usual("1.0.0")
	b := newBench(t)
	b.mustPublish(onLinux(universal, 0x3e).make(t), nil)
	p := b.open()
	defer p.Close()
	l := findings{}
	old, err := p.published(shelfOf(b.repo.dir, "stable", "linux-amd64"), b.repo.targets[update.SealName("stable", "linux-amd64")].SHA256)
	if err != nil {
		t.Fatal(err)
	}
	if p.known, err = readIndex(b.repo.dir); err != nil {
		t.Fatal(err)
	}
	next, err := bundleAt(onLinux(usual("1.1.0"), 0xb7).make(t))
	if err != nil {
		t.Fatal(err)
	}
	l.compare(old, next)
	checkFindings(t, l, []string{`error: platform was "linux-amd64" and is "linux-arm64"`})
}

// Rule: a channel only goes up, also past what was recalled.
func TestNotNewer(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	one, two := usual("1.0.0").make(t), usual("1.1.0").make(t)
	b.mustPublish(one, nil)
	b.mustPublish(two, nil)
	other := usual("1.1.0")
	other.programs["netchild"][0] ^= 1
	for _, c := range []struct{ dir, want string }{
		{two, "published already"},
		{one, "not newer than 1.1.0"},
		{other.make(t), "not newer than 1.1.0"},
		{usual("1.1.0-rc.1").make(t), "not newer than 1.1.0"},
	} {
		if _, err := b.publish(c.dir, nil); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("error %v, want one with %q", err, c.want)
		}
	}
	p := b.open()
	if _, err := p.Recall("stable", "", "1.1.0"); err != nil {
		t.Fatal(err)
	}
	p.Close()
	for _, c := range []struct{ dir, want string }{
		{two, "was recalled"},
		{other.make(t), "not newer than 1.1.0"},
		{usual("1.0.5").make(t), "not newer than 1.1.0"},
	} {
		if _, err := b.publish(c.dir, nil); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("error %v, want one with %q", err, c.want)
		}
	}
	b.mustPublish(usual("1.1.1").make(t), nil)
}

// Rule: every content of a bundle comes out of the store as the seal says, and
// a web server may read all of it.
func TestPublish(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	parts := usual("1.0.0")
	parts.programs["netchild"] = noise(1, 9<<20) // large enough for pieces
	parts.programs["guiagent"] = []byte(strings.Repeat("it packs well ", 1000))
	dir := parts.make(t)
	s := b.mustPublish(dir, func(p *Plan) { p.Share, p.Ramp, p.Security = 2500, time.Hour, true })
	seal, err := bundle.Verify(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range seal.Entries {
		if e.Type != bundle.File {
			continue
		}
		if _, err := b.content(e.SHA256); err != nil {
			t.Errorf("%s: %v", e.Path, err)
		}
	}
	for _, it := range b.delivery().Files {
		if large := it.Blob.Size > fetch.PiecedAbove; large != (len(it.Blob.Pieces) > 0) {
			t.Errorf("a blob of %d bytes has %d pieces", it.Blob.Size, len(it.Blob.Pieces))
		}
		if it.Size == 14000 && (it.Blob.Codec != fetch.Zstd || it.Blob.Size > 1000) {
			t.Errorf("what packs well is stored as %+v", it.Blob)
		}
	}
	hash, r := b.release("linux-amd64")
	want := update.Rollout{Seed: r.Rollout.Seed, Share: 2500, Start: start, Ramp: 3600}
	if hash != seal.Hash() || s.Hash != hash || r.Version != "1.0.0" || !r.Security || r.Rollout != want || r.Rollout.Seed == "" || len(r.History) != 0 {
		t.Errorf("released %s as %+v, want %s", hash, r, seal.Hash())
	}
	checkModes(t, filepath.Join(b.repo.dir, "b"))
}

func checkModes(t *testing.T, dir string) {
	t.Helper()
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		if want := map[bool]fs.FileMode{true: 0o755, false: 0o644}[d.IsDir()]; info.Mode().Perm() != want {
			t.Errorf("%s has mode %v", path, info.Mode())
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

// Rule: what did not change is stored once, what changed a little has a patch
// from each of the last N releases, what a patch does not help has none.
func TestDeltas(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	var seals []*bundle.Seal
	for i, version := range []string{"1.0.0", "1.1.0", "1.2.0", "1.3.0"} {
		parts := usual(version)
		parts.programs["guiagent"] = noise(uint64(1000+i), 20<<10) // another program each time
		dir := parts.make(t)
		s := b.mustPublish(dir, func(p *Plan) { p.Deltas = 2 })
		seal, err := bundle.Verify(dir)
		if err != nil {
			t.Fatal(err)
		}
		seals = append(seals, seal)
		if want := 2 * min(i, 2); s.Deltas != want {
			t.Errorf("%s has %d patches, want %d: %q", version, s.Deltas, want, b.told)
		}
		if want := 6; i > 0 && s.Blobs >= want {
			t.Errorf("%s stored %d blobs anew", version, s.Blobs)
		}
	}
	of := func(i int, program string) string {
		e, _ := find(seals[i], "Portward.app/Contents/MacOS/"+program)
		return e.SHA256
	}
	for _, it := range b.delivery().Files {
		var from []string
		for _, d := range it.Deltas {
			from = append(from, d.From)
			if d.Size*100 >= it.Blob.Size*pays {
				t.Errorf("a patch of %d bytes for a blob of %d", d.Size, it.Blob.Size)
			}
		}
		var want []string
		if it.SHA256 == of(3, "supervisor") {
			want = []string{of(1, "supervisor"), of(2, "supervisor")}
		} else if it.SHA256 == of(3, "netchild") {
			want = []string{of(1, "netchild"), of(2, "netchild")}
		}
		slices.Sort(want)
		if !slices.Equal(from, want) {
			t.Errorf("%.12s has patches from %.12q, want %.12q", it.SHA256, from, want)
		}
	}
	if _, r := b.release("linux-amd64"); !slices.Equal(r.History, []string{seals[2].Hash(), seals[1].Hash(), seals[0].Hash()}) {
		t.Errorf("history %q", r.History)
	}
	b.lintsClean(t)
}

func (b *bench) lintsClean(t *testing.T) {
	t.Helper()
	list, err := lintRepo(Check{Repo: b.repo.dir, Channel: "stable", Now: start}, b.repo)
	if err != nil || len(list) > 0 {
		t.Errorf("lint finds %v, %v", list, err)
	}
}

// Rule: a publisher that died before it signed left nothing that anybody sees,
// and the next one makes the same release of it.
func TestKilledBeforeSigning(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.mustPublish(usual("1.0.0").make(t), patched)
	_, before := b.release("linux-amd64")
	two := usual("1.1.0").make(t)
	b.repo.broken = errors.New("killed")
	if _, err := b.publish(two, patched); !errors.Is(err, b.repo.broken) {
		t.Fatal(err)
	}
	if _, r := b.release("linux-amd64"); r.Version != before.Version {
		t.Errorf("machines see %s", r.Version)
	}
	left := b.blobs()
	b.repo.broken = nil
	if s := b.mustPublish(two, patched); s.Blobs+s.Deltas != 0 || !slices.Equal(left, b.blobs()) {
		t.Errorf("%d blobs and %d patches were made again", s.Blobs, s.Deltas)
	}
	b.lintsClean(t)
}

// Rule: a blob that rotted in the repository is stored again by the next
// release that has its content; nothing is patched from a rotten one.
func TestRottenBlobs(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	one := usual("1.0.0")
	b.mustPublish(one.make(t), patched)
	for _, it := range b.delivery().Files {
		b.damage(it.Blob.SHA256)
	}
	s := b.mustPublish(usual("1.1.0").make(t), patched)
	if s.Deltas != 0 {
		t.Errorf("%d patches from rotten blobs", s.Deltas)
	}
	if _, err := b.content(digest(one.programs["portward"])); err != nil {
		t.Errorf("what both releases have: %v", err)
	}
	b.lintsClean(t)
}

// Rule: promoting a bundle to another channel stores nothing again.
func TestPromotion(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	dir := usual("1.0.0").make(t)
	b.mustPublish(dir, func(p *Plan) { p.Channel = "beta" })
	before := b.blobs()
	if s := b.mustPublish(dir, nil); s.Blobs != 0 || !slices.Equal(before, b.blobs()) {
		t.Errorf("%d blobs again", s.Blobs)
	}
}

// A liar makes patches that make something else.
type liar struct{ delta.Algorithm }

func (liar) Diff(old, new []byte) ([]byte, error) { return []byte("patch"), nil }

func (liar) Patch(old []byte, patch io.Reader, to io.Writer, limit int64) error {
	_, err := to.Write(old)
	return err
}

// Rule: a patch is kept only if it was seen to make the new bytes.
func TestLyingAlgorithm(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	p := b.open()
	d := p.delivering(&Summary{})
	if patch, err := d.patch(liar{}, pair{"a", "b", "liar"}, []byte("old"), []byte("new")); err == nil {
		t.Errorf("kept %q", patch)
	}
	if _, err := d.patch(liar{}, pair{"a", "a", "liar"}, []byte("old"), []byte("old")); err != nil {
		t.Error(err)
	}
}

// Rule: a Mac's release is signed, by somebody whom Apple vouches for, or somebody
// insists.
func TestPublishWantsApplesSignature(t *testing.T) {
	t.Parallel()
	id, anchor := ownRoot(t, "TEAM123456")
	mac := func(by *sign.Identity) string {
		p := usual("1.0.0")
		for name := range p.programs {
			p.programs[name] = fatMachO(macho.CpuAmd64)
		}
		dir := p.make(t)
		if by == nil {
			return dir
		}
		ids := map[string]string{}
		for name := range p.programs {
			ids["Contents/MacOS/"+name] = "dev.portward." + name
		}
		if err := sign.Bundle(bundle.Layout(dir).App(), sign.Options{Identity: by, Identifiers: ids, Runtime: true}); err != nil {
			t.Fatal(err)
		}
		if _, err := bundle.Reseal(dir, nil); err != nil {
			t.Fatal(err)
		}
		return dir
	}
	forMacs := func(p *Plan) { p.Platform = bundle.Universal }
	for name, c := range map[string]struct {
		by      *sign.Identity
		anchors [][32]byte
		says    string // "": it is published
	}{
		"signed":                {id, [][32]byte{anchor}, ""},
		"not signed":            {nil, [][32]byte{anchor}, "Apple's signature"},
		"by nobody":             {sign.AdHoc(), [][32]byte{anchor}, "ad hoc"},
		"by nobody Apple knows": {id, nil, "roots"},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t)
			b.anchors = c.anchors
			dir := mac(c.by)
			_, err := b.publish(dir, forMacs)
			if c.says == "" {
				if err != nil {
					t.Error(err, b.told)
				}
				return
			}
			if err == nil || !strings.Contains(strings.Join(b.told, "\n"), c.says) || b.repo.signed > 0 {
				t.Errorf("%v, told %q", err, b.told)
			}
			b.mustPublish(dir, func(p *Plan) { forMacs(p); p.DespiteLint = true })
		})
	}
}
