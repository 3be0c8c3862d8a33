package main

import (
	"bytes"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"portward/internal/bundle"
	"portward/internal/bundle/sign"
	"portward/internal/bundle/signature"
	"portward/internal/durable"
	"portward/internal/program"
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
	wantRefusal(t, err, "what was signed does not hold: bundle "+dir)
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

// Rule: two do not sign one bundle at once, by whatever name, and the second says so;
// a lock that a killed one left is nobody's.
func TestSignAlone(t *testing.T) {
	dir := packed(t)
	before := must(bundle.Verify(dir))(t).Hash()
	lock := filepath.Join(filepath.Dir(dir), ".out.signing.lock")
	held := must(durable.TryLock(lock))(t)
	for _, s := range []*signing{{bundle: dir, adHoc: true}, {bundle: dir + "/.", adHoc: true}, {bundle: dir, seal: true}} {
		_, _, err := s.do()
		wantRefusal(t, err, "another portward sign is at work on it")
		if code, err := s.run(); code != program.ExitAgain || err == nil {
			t.Errorf("%d, %v", code, err)
		}
	}
	if must(bundle.Verify(dir))(t).Hash() != before {
		t.Error("another bundle lies there")
	}
	check(t, held.Close())
	_, _, err := (&signing{bundle: dir, adHoc: true}).do()
	check(t, err)
	wantAlone(t, dir)
}

// Rule: where two directories cannot trade places nothing is begun, if that can be
// known, and the bundle stays as it was.
func TestSignWithoutExchange(t *testing.T) {
	dir := packed(t)
	before := must(bundle.Verify(dir))(t).Hash()
	for _, c := range []struct {
		err   error
		after int // exchanges that can be done
	}{{errors.ErrUnsupported, 0}, {syscall.EXDEV, 1}, {syscall.EBUSY, 1}} {
		done, signed := 0, 0
		s := signing{bundle: dir, swap: func(a, b string) error {
			if done++; done > c.after {
				return &os.LinkError{Op: "exchange", Old: a, New: b, Err: c.err}
			}
			return durable.Exchange(a, b)
		}}
		_, err := s.replace(sign.Options{Identity: sign.AdHoc(), Progress: func(string) { signed++ }})
		wantRefusal(t, err, dir+": where it lies, two directories cannot trade places in one step")
		wantRefusal(t, err, "hint: sign a copy of it")
		if strings.Contains(err.Error(), ".signing") || !errors.Is(err, c.err) {
			t.Error(err)
		}
		if c.after == 0 && signed > 0 {
			t.Errorf("%d programs were signed", signed)
		}
		if must(bundle.Verify(dir))(t).Hash() != before {
			t.Error("another bundle lies there")
		}
		wantAlone(t, dir)
	}
}

// Rule: who cannot write beside the bundle is told that, and of no file that nobody
// made.
func TestSignWithoutRoom(t *testing.T) {
	dir := packed(t)
	check(t, os.Mkdir(filepath.Join(filepath.Dir(dir), ".out.signing.lock"), 0o700))
	_, err := (&signing{bundle: dir}).replace(sign.Options{Identity: sign.AdHoc()})
	wantRefusal(t, err, dir+": beside it there is no place for a copy")
	if strings.Contains(err.Error(), ".signing") {
		t.Error(err)
	}
}

// Rule: --seal seals what is signed, whole and by its names, or nothing changes: who
// made the seal again lends nobody the product's names.
func TestSealAgain(t *testing.T) {
	id, root := selfMade(t)
	good := signedBundle(t, id, programs...)
	nobody := signedBundle(t, sign.AdHoc(), programs...)
	anchors := [][32]byte{root}
	for name, c := range map[string]struct {
		of      string
		harm    func(*testing.T, string)
		anchors [][32]byte
		says    string
	}{
		"as it was":           {good, func(*testing.T, string) {}, anchors, ""},
		"of nobody":           {nobody, func(*testing.T, string) {}, nil, ""},
		"of somebody unknown": {good, func(*testing.T, string) {}, nil, "none of the roots"},
		"a ticket":            {good, put("Contents/CodeResources", "s8chticket"), anchors, ""},
		"a byte":              {good, flipByte("netchild"), anchors, "MacOS/netchild"},
		"a file more":         {good, put("Contents/Resources/more", "more"), anchors, "Resources/more"},
		"a program of Linux":  {good, put("Contents/MacOS/netchild", anyELF), anchors, "netchild"},
		"no signature of the app": {good, func(t *testing.T, dir string) {
			check(t, os.RemoveAll(filepath.Join(dir, bundle.App, "Contents/_CodeSignature")))
		}, anchors, "not signed as an app"},
		"signed under other names": {good, func(t *testing.T, dir string) {
			ids := map[string]string{"Contents/MacOS/netchild": "dev.portward.supervisor"}
			check(t, sign.Bundle(bundle.Layout(dir).App(), sign.Options{Identity: id, Identifiers: ids}))
		}, anchors, "the seal"},
		"nobody's program": {good, func(t *testing.T, dir string) {
			data := must(os.ReadFile(bundle.Layout(nobody).Program("netchild")))(t)
			check(t, os.WriteFile(bundle.Layout(dir).Program("netchild"), data, 0o755))
		}, anchors, "MacOS/netchild"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := filepath.Join(t.TempDir(), "out")
			copyTree(t, c.of, dir)
			c.harm(t, dir)
			before := must(os.ReadFile(bundle.Layout(dir).Seal()))(t)
			_, err := (&signing{bundle: dir, anchors: c.anchors}).sealAgain()
			wantAlone(t, dir)
			if c.says == "" {
				check(t, err)
				must((&checking{Options: signature.Options{AllowAdHoc: true, Anchors: c.anchors}}).verify(dir))(t)
				return
			}
			wantRefusal(t, err, c.says)
			if strings.Contains(err.Error(), ".signing") {
				t.Error(err)
			}
			if after := must(os.ReadFile(bundle.Layout(dir).Seal()))(t); !bytes.Equal(after, before) {
				t.Error("it was sealed")
			}
		})
	}
}

// put writes a file into the app.
func put(inside, text string) func(*testing.T, string) {
	return func(t *testing.T, dir string) {
		path := filepath.Join(dir, bundle.App, inside)
		mode := os.FileMode(0o644)
		if info, err := os.Stat(path); err == nil {
			mode = info.Mode()
		}
		check(t, os.WriteFile(path, []byte(text), mode))
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
