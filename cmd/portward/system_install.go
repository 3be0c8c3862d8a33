package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"portward/internal/bundle"
	"portward/internal/bundle/signature"
	"portward/internal/config"
	"portward/internal/durable"
	"portward/internal/program"
	"portward/internal/update/pipe"
	"portward/internal/update/tufrepo"
)

// stagingName is below the root, where nobody else may write.
const stagingName = "install"

func (s *system) staging() string { return filepath.Join(s.root(), stagingName) }

// install does everything that can fail before the bundle is in its place: it
// copies the bundle, so that nobody else owns the bytes, and looks at the copy.
func (s *system) install(ctx context.Context, o installing) error {
	if err := durable.MkdirAll(s.root(), 0o755); err != nil {
		return err
	}
	return s.alone(func() error { return s.installAlone(ctx, o) })
}

func (s *system) installAlone(ctx context.Context, o installing) error {
	if err := s.renew(); err != nil {
		return err
	}
	dir := filepath.Join(s.staging(), bundle.Name)
	v, err := s.stage(o, dir)
	if err == nil {
		err = s.put(ctx, o, dir, v)
	}
	if err := errors.Join(err, durable.RemoveAll(s.staging())); err != nil {
		return err
	}
	s.say("installed %s in %s", v.Version, s.root())
	return s.load(ctx)
}

// stage copies the bundle to dir and has it vouched for.
func (s *system) stage(o installing, dir string) (*verified, error) {
	if err := checkBundle(o.bundle); err != nil {
		return nil, err
	}
	seal, err := bundle.ReadSeal(o.bundle)
	if err != nil {
		return nil, err
	}
	if err := copySealed(o.bundle, dir, seal); err != nil {
		return nil, err
	}
	if err := vouchFor(o, dir, seal); err != nil {
		return nil, err
	}
	c := checking{Options: signature.Options{AllowAdHoc: o.adHoc, Anchors: s.anchors}}
	v, err := c.verify(dir)
	switch {
	case err != nil:
		return nil, err
	case !v.Signed:
		return nil, fmt.Errorf("%s: its programs are not for Macs", o.bundle)
	}
	return v, s.mayTakeReleases(v)
}

// mayTakeReleases refuses programs that nobody signed where an earlier installation
// has left a repository in the configuration.
func (s *system) mayTakeReleases(v *verified) error {
	cfg, err := config.Load(s.root())
	if err != nil || cfg.Update.Repo == "" || len(peersOf(v)) == 0 {
		return err
	}
	return fmt.Errorf("%s is to get releases from %s, as configured: %w; or take the repository out of %s", v.Bundle, cfg.Update.Repo, errStrangers, config.Path(s.root()))
}

// copySealed copies what the seal lists and nothing else. Whether that is what the
// seal says is seen in the copy, which nobody else can change.
func copySealed(from, to string, seal *bundle.Seal) error {
	root, err := os.OpenRoot(from)
	if err != nil {
		return err
	}
	defer root.Close()
	if err := durable.MkdirAll(to, 0o755); err != nil {
		return err
	}
	for _, e := range seal.Entries {
		path := filepath.Join(to, filepath.FromSlash(e.Path))
		if e.Type == bundle.Dir {
			err = durable.MkdirAll(path, 0o755)
		} else {
			err = copyOne(root, e, path)
		}
		if err != nil {
			return err
		}
	}
	data, err := seal.Bytes()
	if err != nil {
		return err
	}
	return durable.Write(bundle.Layout(to).Seal(), data, 0o644)
}

// copyOne follows a link that stays below root (O_NOFOLLOW keeps no os.Root from it):
// the copy is a file all the same, and its bytes are what is judged.
func copyOne(root *os.Root, e bundle.Entry, to string) error {
	f, err := root.OpenFile(e.Path, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return err
	}
	defer f.Close()
	return durable.WriteFrom(to, io.LimitReader(f, e.Size+1), e.FileMode()) // one more, so that it does not fit the seal
}

// vouchFor lays beside the bundle who vouches for it: the keys of the repository for
// a seed, which is all that one believes; what came with the bundle; or, for one
// that never gets another release, keys that nobody keeps.
func vouchFor(o installing, dir string, seal *bundle.Seal) error {
	files, err := vouching(o.bundle)
	if err != nil {
		return err
	}
	switch {
	case o.trust != "":
		root, err := os.ReadFile(o.trust)
		if err != nil {
			return err
		}
		if err := checkRoot(root); err != nil {
			return fmt.Errorf("--trust: %w\nhint: it names a repository's metadata/1.root.json", err)
		}
		files["root.json"] = root
		if files["targets.json"] == nil && seal.Has("netchild") {
			return fmt.Errorf("%s: nobody of that repository vouches for it\nhint: install a seed, made by portward pack --seed", o.bundle)
		}
	case files["root.json"] == nil && !seal.Has("netchild"):
		return fmt.Errorf("%s is a seed, which fetches the rest\nhint: --repo URL --trust FILE say from where", o.bundle)
	case files["root.json"] == nil:
		if files, err = throwAway(seal); err != nil {
			return err
		}
	}
	if err := vouched(files, seal); err != nil {
		return fmt.Errorf("%s: its tuf/ does not vouch for it: %w\nhint: pack it again, or install a seed, made by portward pack --seed", o.bundle, err)
	}
	return vouch(dir, files)
}

// vouching reads what lies in the bundle at dir to vouch for it. Its owner is not
// root, who reads: no link is followed, no pipe waited for.
func vouching(dir string) (map[string][]byte, error) {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, err
	}
	defer root.Close()
	tuf, err := filepath.Rel(dir, bundle.Layout(dir).Tuf())
	if err != nil {
		return nil, err
	}
	files := map[string][]byte{}
	if info, err := root.Lstat(tuf); err == nil && !info.IsDir() {
		return nil, fmt.Errorf("%s: %s is no directory", dir, tuf)
	}
	for _, name := range []string{"root.json", "targets.json"} {
		data, err := readPlain(root, tuf+"/"+name)
		if err == nil {
			files[name] = data
		} else if !errors.Is(err, fs.ErrNotExist) {
			return nil, fmt.Errorf("%s: %w", dir, err)
		}
	}
	return files, nil
}

// readPlain reads a regular file of what a bundle holds of one at most. An os.Root
// follows a link that stays below it, O_NOFOLLOW or not, so the name is looked at
// again.
func readPlain(root *os.Root, name string) ([]byte, error) {
	f, err := root.OpenFile(name, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	named, err := root.Lstat(name)
	if err == nil && !(info.Mode().IsRegular() && os.SameFile(info, named)) {
		err = fmt.Errorf("%s: not a regular file", name)
	}
	if err != nil {
		return nil, err
	}
	data, err := io.ReadAll(io.LimitReader(f, pipe.MaxGet+1))
	if err == nil && len(data) > pipe.MaxGet {
		err = fmt.Errorf("%s: more than %d bytes", name, pipe.MaxGet)
	}
	return data, err
}

// vouched makes sure that the root is one, and that targets, where there are any,
// are its own and name the seal: a supervisor would trust nobody else.
func vouched(files map[string][]byte, seal *bundle.Seal) error {
	trust, done, err := trusting(files["root.json"])
	if err != nil {
		return err
	}
	defer done()
	data, err := seal.Bytes()
	if err != nil || files["targets.json"] == nil {
		return err
	}
	return trust.Vouches(files["targets.json"], data)
}

func checkRoot(root []byte) error {
	_, done, err := trusting(root)
	if err == nil {
		done()
	}
	return err
}

// trusting answers whom a root says to trust, and how to let go of that.
func trusting(root []byte) (*tufrepo.Trust, func(), error) {
	scratch, err := os.MkdirTemp("", "portward-trust-")
	if err != nil {
		return nil, nil, err
	}
	done := func() { os.RemoveAll(scratch) }
	trust, err := tufrepo.OpenAny(filepath.Join(scratch, "trust"), program.Built(), root)
	if err != nil {
		done()
		return nil, nil, err
	}
	return trust, done, nil
}

// throwAway answers metadata for the seal, signed by keys that nobody keeps.
func throwAway(seal *bundle.Seal) (map[string][]byte, error) {
	minted, err := tufrepo.ThrowAway(time.Now())
	if err != nil {
		return nil, err
	}
	data, err := seal.Bytes()
	if err != nil {
		return nil, err
	}
	root, targets, err := minted.Vouch(data)
	return map[string][]byte{"root.json": root, "targets.json": targets}, err
}
