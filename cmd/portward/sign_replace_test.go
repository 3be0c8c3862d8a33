package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"portward/internal/bundle"
	"portward/internal/bundle/sign"
	"portward/internal/bundle/signature"
	"portward/launchd"
)

// packed answers a bundle for Macs that nobody signed, alone in its directory.
func packed(t *testing.T) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "out")
	o := bundle.Options{Programs: map[string]string{}, Plists: launchd.Files(), Version: "1.0.0"}
	for _, name := range programs {
		o.Programs[name] = tinyFat(t)
	}
	must(bundle.BuildWith(dir, o))(t)
	return dir
}

func wantAlone(t *testing.T, dir string) {
	t.Helper()
	if left := must(os.ReadDir(filepath.Dir(dir)))(t); len(left) != 1 || left[0].Name() != filepath.Base(dir) {
		t.Errorf("beside the bundle: %v", left)
	}
}

// Rule: what was signed is read again before it is given away: a change under the
// signer's hands is found, and leaves the bundle as it was.
func TestSignProvesItself(t *testing.T) {
	id, _ := selfMade(t)
	dir := packed(t)
	before := must(bundle.Verify(dir))(t).Hash()
	s := signing{bundle: dir}
	_, err := s.replace(sign.Options{Identity: id, Runtime: true, Progress: func(name string) {
		if name != bundle.Main {
			return
		}
		path := filepath.Join(filepath.Dir(dir), ".out.signing", "Portward.app/Contents/Library/LaunchDaemons/dev.portward.supervisor.plist")
		check(t, os.Remove(path))
		check(t, os.WriteFile(path, []byte("changed"), 0o644))
	}})
	wantRefusal(t, err, "what was signed does not hold")
	if after := must(bundle.Verify(dir))(t); after.Hash() != before {
		t.Error("another bundle lies there")
	}
	wantAlone(t, dir)
}

// Rule: what is signed verifies, below its own root, and the old one is gone; it can
// be signed again, and by a link's name it cannot.
func TestSignReplaces(t *testing.T) {
	id, root := selfMade(t)
	dir := packed(t)
	check(t, os.WriteFile(filepath.Join(dir, ".tmp-0123456789abcdef"), []byte("of a killed --seal"), 0o600))
	for _, name := range []string{dir, dir + "/"} {
		seal := must((&signing{bundle: name}).replace(sign.Options{Identity: id, Runtime: true}))(t)
		ask := checking{Options: signature.Options{Anchors: [][32]byte{root}}, team: testTeam}
		if v := must(ask.verify(dir))(t); v.Hash != seal.Hash() {
			t.Errorf("%+v", v)
		}
		wantAlone(t, dir)
	}
	link := filepath.Join(t.TempDir(), "link")
	check(t, os.Symlink(dir, link))
	for _, name := range []string{link, link + "/"} {
		_, err := (&signing{bundle: name}).replace(sign.Options{Identity: id})
		wantRefusal(t, err, "symbolic link")
	}
}

// Rule: a sign that is killed at any moment leaves a whole bundle, the old or the
// signed one, and the next sign puts right whatever else it left.
func TestSignKilled(t *testing.T) {
	portward := filepath.Join(binDir(t), "portward")
	dir := packed(t)
	run := func() *exec.Cmd { return exec.Command(portward, "sign", "--ad-hoc", dir) }
	began := time.Now()
	if out, err := run().CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	whole := time.Since(began)
	const times = 20
	for i := range times {
		cmd := run()
		check(t, cmd.Start())
		kill := time.AfterFunc(whole*time.Duration(i)/times, func() { _ = cmd.Process.Kill() })
		_ = cmd.Wait()
		kill.Stop()
		if _, err := bundle.Verify(dir); err != nil {
			t.Errorf("after %d of %d: %v", i, times, err)
		}
	}
	must((&signing{bundle: dir}).replace(sign.Options{Identity: sign.AdHoc(), Runtime: true}))(t)
	must((&checking{Options: signature.Options{AllowAdHoc: true}}).verify(dir))(t)
	wantAlone(t, dir)
}
