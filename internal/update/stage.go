package update

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"syscall"

	"portward/internal/bundle"
	"portward/internal/durable"
	"portward/internal/status"
	"portward/internal/update/pipe"
)

// stage makes the offered bundle beside the live one. Nil means that it lies
// there, whole, read again and vouched for. What an earlier attempt at the same
// release left there is used. No inode is written twice, so links into the live
// bundle are safe; nothing needs to survive before all of it is synced.
func (u *Updater) stage(ctx context.Context, c *pipe.Client, o offer) error {
	dir := u.cfg.beside()
	u.sight.beside = place{}
	err := u.fill(ctx, c, o, dir)
	if errors.Is(err, syscall.ENOSPC) || errors.Is(err, pipe.ErrNoSpace) {
		return errors.Join(err, durable.RemoveAll(dir)) // others need the space
	}
	if err != nil {
		return err
	}
	root, targets := u.trust.Vouch()
	if err := bundle.Finish(dir, o.seal, root, targets); err != nil {
		return errors.Join(err, durable.RemoveAll(dir)) // what once failed to be synced reads well and is not on the disk
	}
	p := inspect(dir, u.vouchedAnew)
	if p.err == nil && p.hash != o.hash() {
		p.err = fmt.Errorf("its seal has the SHA-256 %s", p.hash)
	}
	if p.err != nil {
		return errors.Join(p.err, durable.RemoveAll(dir)) // the next attempt begins anew
	}
	u.sight.beside = p
	return nil
}

// fill makes the directories, links what the live bundle has already, and
// fetches the rest.
func (u *Updater) fill(ctx context.Context, c *pipe.Client, o offer, dir string) error {
	if err := durable.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	var missing []bundle.Entry
	for _, e := range o.seal.Entries {
		if e.Mode == "2755" {
			return fmt.Errorf("%s is set-gid: such programs are installed beside the bundle", e.Path)
		}
		got, err := reuse(e, u.cfg.Live, dir)
		if err = errors.Join(err, ctx.Err()); err != nil {
			return err
		}
		if !got {
			missing = append(missing, e)
		}
	}
	if len(missing) == 0 {
		return nil
	}
	return u.fetch(ctx, c, o, dir, missing)
}

// reuse answers whether e lies in the bundle at to now: because it did, or by
// what the bundle at from has. What killed writers left there is swept.
func reuse(e bundle.Entry, from, to string) (bool, error) {
	from, to = filepath.Join(from, e.Path), filepath.Join(to, e.Path)
	switch {
	case e.Type == bundle.Dir:
		return true, errors.Join(durable.MkdirAll(to, 0o755), durable.Sweep(to))
	case e.LiesAt(to):
		return true, nil
	case !e.LiesAt(from):
		return false, nil
	}
	return true, durable.Copy(from, to, e.FileMode())
}

// fetch gets what is missing through the fetcher, which may patch it together
// from what the live bundle has.
func (u *Updater) fetch(ctx context.Context, c *pipe.Client, o offer, dir string, missing []bundle.Entry) error {
	want := pipe.Want{Name: o.delivery.File(), SHA256: o.delivery.SHA256, Size: o.delivery.Size}
	var need int64
	for _, e := range missing {
		want.Files = append(want.Files, pipe.File{SHA256: e.SHA256, Size: e.Size})
		need += e.Size
	}
	if live := u.sight.live.seal; live != nil {
		for _, e := range live.Entries {
			if e.Type == bundle.File {
				want.Have = append(want.Have, pipe.Local{SHA256: e.SHA256, Path: filepath.Join(u.cfg.Live, e.Path)})
			}
		}
	}
	plan, err := c.Prepare(want)
	if err == nil {
		need += plan.Scratch
		err = durable.WantFree(u.cfg.Dir, uint64(need+need/10))
	}
	var before, moved int64
	told := func(n, _ int64) {
		moved = n
		u.progress(status.Downloading, min(before+n, plan.Download), plan.Download, "bytes")
	}
	for _, e := range missing {
		if err = errors.Join(err, ctx.Err()); err != nil {
			return err
		}
		path := filepath.Join(dir, e.Path)
		if err = fetchFile(c, e, path, false, told); errors.Is(err, pipe.ErrCorrupt) { // a patch may have been wrong
			err = fetchFile(c, e, path, true, told)
		}
		if err != nil {
			return fmt.Errorf("%s: %w", e.Path, err)
		}
		before, moved = before+moved, 0
	}
	return nil
}

// fetchFile makes path a new inode with the bytes that e lists, and looks at
// them on their way.
func fetchFile(c *pipe.Client, e bundle.Entry, path string, whole bool, told func(done, total int64)) error {
	if err := durable.RemoveAll(path); err != nil {
		return err
	}
	f, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	h := sha256.New()
	err = c.File(pipe.File{SHA256: e.SHA256, Size: e.Size}, whole, io.MultiWriter(f, h), told)
	err = errors.Join(err, f.Chmod(e.FileMode()), f.Close())
	if got := hex.EncodeToString(h.Sum(nil)); err == nil && got != e.SHA256 {
		err = fmt.Errorf("%w: the SHA-256 is %s", pipe.ErrCorrupt, got)
	}
	return err
}
