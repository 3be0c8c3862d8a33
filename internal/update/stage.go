package update

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"syscall"

	"portward/internal/bundle"
	"portward/internal/durable"
	"portward/internal/status"
	"portward/internal/update/pipe"
)

// setGID is the mode of a program that runs with its file's group.
const setGID = "2755"

// stage makes the offered bundle beside the live one and answers once it lies
// there, whole, read again and vouched for. What an earlier attempt at the same
// release left there is used. No inode is written twice, so links into the live
// bundle are safe.
func (u *Updater) stage(ctx context.Context, c *pipe.Client, o offer) (place, error) {
	p := place{path: u.cfg.staging()}
	err := u.fill(ctx, c, o, p.path)
	if err == nil {
		err = u.close(o, p.path)
	}
	if errors.Is(err, syscall.ENOSPC) || errors.Is(err, pipe.ErrNoSpace) {
		return p, errors.Join(err, durable.RemoveAll(p.path)) // others need the space
	}
	if err != nil {
		return p, err
	}
	p = inspect(p.path, u.vouchedAnew)
	if p.err == nil && p.hash != o.hash {
		p.err = fmt.Errorf("its seal has the SHA-256 %s", p.hash)
	}
	if p.err != nil {
		u.linkless = true
		return p, errors.Join(p.err, durable.RemoveAll(p.path)) // the next attempt begins anew
	}
	return p, nil
}

// fill makes the directories, links what the live bundle has already, and
// fetches the rest.
func (u *Updater) fill(ctx context.Context, c *pipe.Client, o offer, dir string) error {
	if err := durable.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	var missing []bundle.Entry
	for _, e := range o.seal.Entries {
		if err := ctx.Err(); err != nil {
			return err
		}
		got, err := u.reuse(e, filepath.Join(dir, e.Path))
		if err != nil {
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

// reuse answers whether e lies at path now, without the network's help.
func (u *Updater) reuse(e bundle.Entry, path string) (bool, error) {
	live := filepath.Join(u.cfg.Live, e.Path)
	switch {
	case e.Type == bundle.Dir:
		return true, durable.MkdirAll(path, 0o755)
	case e.Mode == setGID && u.cfg.SetGID == 0:
		return false, fmt.Errorf("%s wants a group of its own, and this machine has none for it", e.Path)
	case u.has(path, e):
		return true, nil
	case u.linkless || !u.has(live, e):
		return false, nil
	}
	if err := durable.RemoveAll(path); err != nil {
		return false, err
	}
	return true, linkOrCopy(live, path, modeOf(e))
}

// linkOrCopy makes to, where nothing is, the same file as from.
func linkOrCopy(from, to string, mode fs.FileMode) error {
	err := durable.Link(from, to)
	if !errors.Is(err, errors.ErrUnsupported) {
		return err
	}
	f, err := os.Open(from)
	if err != nil {
		return err
	}
	defer f.Close()
	return durable.WriteFrom(to, f, mode)
}

// has says whether the file at path is what e lists, byte by byte.
func (u *Updater) has(path string, e bundle.Entry) bool {
	f, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NOFOLLOW|syscall.O_NONBLOCK, 0)
	if err != nil {
		return false
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil || info.Size() != e.Size || info.Mode() != modeOf(e) {
		return false
	}
	if st, ok := info.Sys().(*syscall.Stat_t); ok && e.Mode == setGID && int(st.Gid) != u.cfg.SetGID {
		return false
	}
	h := sha256.New()
	_, err = io.Copy(h, io.LimitReader(f, e.Size+1))
	return err == nil && hex.EncodeToString(h.Sum(nil)) == e.SHA256
}

func modeOf(e bundle.Entry) fs.FileMode {
	n, _ := strconv.ParseUint(e.Mode, 8, 32) // a seal has no others
	mode := fs.FileMode(n & 0o777)
	if n&0o2000 != 0 {
		mode |= fs.ModeSetgid
	}
	return mode
}

// write makes path a new inode with the bytes that give writes, if they are
// those that e lists.
func (u *Updater) write(path string, e bundle.Entry, give func(io.Writer) error) error {
	r, w := io.Pipe()
	written := make(chan error, 1)
	go func() {
		err := durable.WriteFrom(path, r, modeOf(e))
		r.CloseWithError(err)
		written <- err
	}()
	h := sha256.New()
	err := give(io.MultiWriter(w, h))
	if got := hex.EncodeToString(h.Sum(nil)); err == nil && got != e.SHA256 {
		err = fmt.Errorf("%w: the SHA-256 is %s", pipe.ErrCorrupt, got)
	}
	w.CloseWithError(err)
	return <-written
}

// fetch gets what is missing through the fetcher, which may patch it together
// from what the live bundle has.
func (u *Updater) fetch(ctx context.Context, c *pipe.Client, o offer, dir string, missing []bundle.Entry) error {
	t := o.delivery
	want := pipe.Want{Name: inRepository(t), SHA256: t.SHA256, Size: t.Size}
	lies := map[string]string{} // contents that are asked for, and where they come to lie
	var need int64
	for _, e := range missing {
		if _, twice := lies[e.SHA256]; !twice {
			lies[e.SHA256] = filepath.Join(dir, e.Path)
			want.Files = append(want.Files, pipe.File{SHA256: e.SHA256, Size: e.Size})
		}
		need += e.Size
	}
	if u.sight.live.seal != nil {
		for _, e := range u.sight.live.seal.Entries {
			if e.Type == bundle.File {
				want.Have = append(want.Have, pipe.Local{SHA256: e.SHA256, Path: filepath.Join(u.cfg.Live, e.Path)})
			}
		}
	}
	plan, err := c.Prepare(want)
	if err != nil {
		return err
	}
	if err := u.checkSpace(need + plan.Scratch); err != nil {
		return err
	}
	var before int64
	for _, e := range missing {
		if err := ctx.Err(); err != nil {
			return err
		}
		path, moved := filepath.Join(dir, e.Path), int64(0)
		told := func(n, _ int64) {
			moved = n
			u.progress(status.Downloading, min(before+n, plan.Download), plan.Download, "bytes")
		}
		if first := lies[e.SHA256]; first != path {
			err = errors.Join(durable.RemoveAll(path), linkOrCopy(first, path, modeOf(e)))
		} else {
			err = u.fetchFile(c, e, path, told)
		}
		if err != nil {
			return fmt.Errorf("%s: %w", e.Path, err)
		}
		before += moved
	}
	return nil
}

// fetchFile asks a second time, for a whole copy, when the first one was wrong:
// a patch may have been.
func (u *Updater) fetchFile(c *pipe.Client, e bundle.Entry, path string, told func(done, total int64)) error {
	var err error
	for _, whole := range []bool{false, true} {
		err = u.write(path, e, func(w io.Writer) error {
			return c.File(pipe.File{SHA256: e.SHA256, Size: e.Size}, whole, w, told)
		})
		if !errors.Is(err, pipe.ErrCorrupt) {
			return err
		}
	}
	return err
}

// checkSpace wants a tenth more than what is needed.
func (u *Updater) checkSpace(need int64) error {
	free, err := durable.Free(u.cfg.Dir)
	if errors.Is(err, errors.ErrUnsupported) {
		return nil
	}
	if want := uint64(need + need/10); err == nil && free < want {
		err = fmt.Errorf("%w: %d MB are free, %d MB are needed", syscall.ENOSPC, free>>20, want>>20+1)
	}
	return err
}

// close gives set-gid programs their group, adds the seal and who vouches for
// it, and puts all of it on the disk.
func (u *Updater) close(o offer, dir string) error {
	layout := bundle.Layout(dir)
	for _, e := range o.seal.Entries {
		if path := filepath.Join(dir, e.Path); e.Mode == setGID && !u.has(path, e) {
			if err := errors.Join(os.Chown(path, -1, u.cfg.SetGID), os.Chmod(path, modeOf(e))); err != nil {
				return err
			}
		}
	}
	root, targets := u.trust.Vouch()
	if err := durable.MkdirAll(layout.Tuf(), 0o755); err != nil {
		return err
	}
	for path, data := range map[string][]byte{
		filepath.Join(layout.Tuf(), "root.json"):    root,
		filepath.Join(layout.Tuf(), "targets.json"): targets,
		layout.Seal(): o.bytes,
	} {
		if err := durable.Write(path, data, 0o644); err != nil {
			return err
		}
	}
	return durable.SyncTree(dir)
}
