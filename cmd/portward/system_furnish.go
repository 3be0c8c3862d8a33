package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"

	"portward/internal/bundle"
	"portward/internal/config"
	"portward/internal/durable"
	"portward/internal/program"
	"portward/launchd"
)

// put brings the staged bundle and all that it needs to their places.
func (s *system) put(ctx context.Context, o installing, dir string, v *verified) error {
	live := program.BundleDir(s.root())
	installed, err := bundle.ReadSeal(live)
	if err == nil && installed.Hash() != v.Hash {
		return fmt.Errorf("%s is installed, and it takes releases by itself\nhint: for another one, portward uninstall first: configuration and state stay", installed.Version)
	}
	who, err := s.accounts.ensure(ctx)
	if err != nil {
		return fmt.Errorf("the system's accounts: %w", err)
	}
	if err := s.furnish(who, o, v); err != nil {
		return err
	}
	if !whole(live) {
		if err := s.replace(ctx, live, dir); err != nil {
			return err
		}
	}
	return s.plists(live)
}

// whole says whether a bundle is complete, and says itself whom to trust.
func whole(live string) bool {
	if _, err := bundle.Verify(live); err != nil {
		return false
	}
	files, err := vouching(live)
	return err == nil && checkRoot(files["root.json"]) == nil
}

// replace puts the staged bundle to where none is, or a damaged one. Nothing that
// was started out of that runs on.
func (s *system) replace(ctx context.Context, live, dir string) error {
	switch _, err := os.Lstat(live); {
	case err == nil:
		s.say("what is in %s is damaged, and is replaced", live)
		if err := s.unload(ctx); err != nil {
			return err
		}
		if err := durable.Rename(live, filepath.Join(s.staging(), "before")); err != nil {
			return err
		}
	case !errors.Is(err, fs.ErrNotExist):
		return err
	}
	return durable.Rename(dir, live)
}

// furnish makes what the programs expect under the root, where there are no sockets:
// services are launchd's.
func (s *system) furnish(who accounts, o installing, v *verified) error {
	root := s.root()
	for _, d := range []struct {
		path string
		mode fs.FileMode
		uid  uint32
	}{
		{root, 0o755, 0},
		{filepath.Join(root, "etc"), 0o755, 0},
		{filepath.Join(root, "status"), 0o755, 0},
		{filepath.Join(root, "log"), 0o711, 0},
		{program.EvidenceDir(root), 0o700, 0},
		{program.UpdateDir(root), 0o700, 0},
		{program.RequestDir(root), 0o700, 0},
		{program.FetchDir(root), 0o700, who.fetch},
		{filepath.Dir(program.StateDir(root)), 0o711, 0},
		{program.StateDir(root), 0o700, who.netchild},
	} {
		if err := makeDir(d.path, d.mode, d.uid); err != nil {
			return err
		}
	}
	if err := s.logs(who); err != nil {
		return err
	}
	if err := s.configure(who, o); err != nil {
		return err
	}
	return s.introduce(v)
}

// logs makes the files that the daemons' property lists name: launchd opens each as
// the job's own account, which may make none there. Agents have no such file.
func (s *system) logs(who accounts) error {
	for name, uid := range map[string]uint32{"supervisor": 0, "rescue": 0, "netchild": who.netchild} {
		f, err := os.OpenFile(filepath.Join(s.root(), "log", name+".log"), os.O_WRONLY|os.O_CREATE|syscall.O_NOFOLLOW|syscall.O_NONBLOCK, 0o600)
		if err != nil {
			return err
		}
		err = f.Chmod(0o600)
		if err == nil && os.Geteuid() == 0 {
			err = f.Chown(int(uid), int(uid))
		}
		if err := errors.Join(err, f.Close()); err != nil {
			return err
		}
	}
	return nil
}

// configure writes the configuration, and leaves in it what nobody asked to change.
func (s *system) configure(who accounts, o installing) error {
	cfg, err := config.Load(s.root())
	if err != nil {
		return err
	}
	cfg.Update.FetchUID, cfg.Update.ProbeUID = who.fetch, who.probe
	if o.repo != "" {
		cfg.Update.Repo = o.repo
	}
	if o.channel != "" {
		cfg.Update.Channel = o.channel
	}
	data, err := cfg.Marshal()
	if err != nil {
		return err
	}
	path := config.Path(s.root())
	if err := durable.Write(path, data, 0o640); err != nil { // a proxy's password may be in it
		return err
	}
	if os.Geteuid() == 0 {
		return os.Chown(path, 0, int(who.fetch))
	}
	return nil
}

// introduce tells programs that nobody signed by what they know each other. Those of
// a team know each other by that.
func (s *system) introduce(v *verified) error {
	path := program.PeersPath(s.root())
	peers := peersOf(v)
	if len(peers) == 0 {
		if err := durable.Remove(path); !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		return nil
	}
	data, err := json.MarshalIndent(peers, "", "  ")
	if err != nil {
		return err
	}
	return durable.Write(path, append(data, '\n'), 0o644)
}

// peersOf answers the requirements of programs that have no team, by identifier:
// one of their hashes, of which each processor's program has one.
func peersOf(v *verified) map[string]string {
	hashes := map[string][]string{}
	for _, p := range v.Programs {
		if p.Team == "" {
			hashes[p.Identifier] = append(hashes[p.Identifier], fmt.Sprintf("cdhash H\"%s\"", p.CDHash))
		}
	}
	peers := map[string]string{}
	for id, h := range hashes {
		peers[id] = strings.Join(h, " or ")
	}
	return peers
}

// plists puts the files of the jobs to where launchd finds them when the machine
// starts. Not netchild's and not the rescue's: the supervisor loads them from the
// bundle, each when it is time.
func (s *system) plists(live string) error {
	l := bundle.Layout(live)
	for from, to := range map[string]string{
		filepath.Join(l.LaunchDaemons(), launchd.Supervisor+".plist"): s.daemon(launchd.Supervisor),
		filepath.Join(l.LaunchAgents(), launchd.GUIAgent+".plist"):    s.agent(launchd.GUIAgent),
	} {
		data, err := os.ReadFile(from)
		if err == nil {
			err = s.writeNew(to, data)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// writeNew leaves a file alone that is as it should be: macOS tells people of new
// ones. Half of one never lies there: that directory is not ours to sweep.
func (s *system) writeNew(path string, data []byte) error {
	if was, err := os.ReadFile(path); err == nil && bytes.Equal(was, data) {
		return nil
	}
	if err := durable.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	staged := filepath.Join(s.staging(), filepath.Base(path))
	if err := durable.Write(staged, data, 0o644); err != nil {
		return err
	}
	return durable.Rename(staged, path)
}

func removeIfThere(path string) error {
	if err := durable.Remove(path); !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}
