package medium

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"os"
	"path/filepath"
	"strconv"
	"syscall"
	"time"

	"github.com/hanwen/go-fuse/v2/fs"
	"github.com/hanwen/go-fuse/v2/fuse"
	"golang.org/x/sys/unix"
)

// A Drive is a Medium that the kernel takes for a disk: a file on a FUSE mount,
// under a loop device.
//
// It is to be made inside Private only: there the kernel takes the mounts back
// when the process ends, however it ends, and the loop device with them
// (LO_FLAGS_AUTOCLEAR: it lives while somebody has it open or mounted).
type Drive struct {
	*Medium
	server *fuse.Server
	loop   *os.File
	dir    string
	kind   FS
	up     bool
}

// Open makes a drive of that size below dir, which must be empty.
func Open(dir string, size int64) (*Drive, error) {
	d := &Drive{Medium: &Medium{}, dir: dir}
	d.Load(&Image{Size: size})
	for _, sub := range []string{d.fuseDir(), d.Root()} {
		if err := os.Mkdir(sub, 0o755); err != nil {
			return nil, err
		}
	}
	if err := d.serve(); err != nil {
		return nil, fmt.Errorf("the FUSE file: %w", err)
	}
	if err := d.attach(); err != nil {
		return nil, errors.Join(fmt.Errorf("a loop device: %w", err), d.server.Unmount())
	}
	return d, nil
}

// Root is where the drive is mounted.
func (d *Drive) Root() string    { return filepath.Join(d.dir, "mnt") }
func (d *Drive) fuseDir() string { return filepath.Join(d.dir, "fuse") }

// Close unmounts what is mounted and gives the loop device back.
func (d *Drive) Close() error {
	err := d.Unmount()
	err = errors.Join(err, d.loop.Close())
	for range 100 { // the loop device lets go of its file a moment later
		if last := d.server.Unmount(); last == nil {
			return err
		}
		time.Sleep(10 * time.Millisecond)
	}
	return errors.Join(err, unix.Unmount(d.fuseDir(), unix.MNT_DETACH))
}

func (d *Drive) serve() error {
	root := &fs.Inode{}
	server, err := fs.Mount(d.fuseDir(), root, &fs.Options{
		MountOptions: fuse.MountOptions{DirectMountStrict: true, MaxWrite: 1 << 20, FsName: "portward-proof", Logger: log.New(io.Discard, "", 0)},
		OnAdd: func(ctx context.Context) {
			root.AddChild("disk", root.NewPersistentInode(ctx, &node{m: d.Medium}, fs.StableAttr{Mode: syscall.S_IFREG}), true)
		},
	})
	if err != nil {
		return err
	}
	d.server = server
	return keepToOurselves("/dev/fuse")
}

// keepToOurselves closes what is open of that name in the children that are
// started later: one of them could keep a dead server's mount alive, and wait
// for it for ever.
func keepToOurselves(name string) error {
	open, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		return err
	}
	for _, f := range open {
		if to, err := os.Readlink("/proc/self/fd/" + f.Name()); err == nil && to == name {
			fd, err := strconv.Atoi(f.Name())
			if err != nil {
				return err
			}
			syscall.CloseOnExec(fd)
		}
	}
	return nil
}

// attach takes a free loop device; between asking for one and taking it
// somebody else may.
func (d *Drive) attach() error {
	back, err := os.OpenFile(filepath.Join(d.fuseDir(), "disk"), os.O_RDWR, 0)
	if err != nil {
		return err
	}
	defer back.Close()
	control, err := os.OpenFile("/dev/loop-control", os.O_RDWR, 0)
	if err != nil {
		return err
	}
	defer control.Close()
	for range 64 {
		n, err := unix.IoctlRetInt(int(control.Fd()), unix.LOOP_CTL_GET_FREE)
		if err != nil {
			return err
		}
		loop, err := os.OpenFile(fmt.Sprintf("/dev/loop%d", n), os.O_RDWR, 0)
		if err != nil {
			return err
		}
		err = unix.IoctlLoopConfigure(int(loop.Fd()), &unix.LoopConfig{
			Fd:   uint32(back.Fd()),
			Info: unix.LoopInfo64{Flags: unix.LO_FLAGS_AUTOCLEAR},
		})
		if err == nil {
			d.loop = loop
			return nil
		}
		loop.Close()
		if !errors.Is(err, unix.EBUSY) {
			return err
		}
	}
	return errors.New("always taken by others")
}

// node is the one file on the FUSE mount. FOPEN_DIRECT_IO: each request of the
// loop device arrives here as it was made, and a write is answered when it is in
// the log.
type node struct {
	fs.Inode
	m *Medium
}

func (n *node) Open(context.Context, uint32) (fs.FileHandle, uint32, syscall.Errno) {
	return nil, fuse.FOPEN_DIRECT_IO, 0
}

func (n *node) Getattr(_ context.Context, _ fs.FileHandle, out *fuse.AttrOut) syscall.Errno {
	out.Mode, out.Size = 0o600, uint64(n.m.size())
	return 0
}

func (n *node) Read(_ context.Context, _ fs.FileHandle, dest []byte, off int64) (fuse.ReadResult, syscall.Errno) {
	return fuse.ReadResultData(dest[:n.m.read(dest, off)]), 0
}

func (n *node) Write(_ context.Context, _ fs.FileHandle, data []byte, off int64) (uint32, syscall.Errno) {
	return uint32(len(data)), n.m.write(data, off)
}

func (n *node) Fsync(context.Context, fs.FileHandle, uint32) syscall.Errno { return n.m.flush() }

// Allocate: a hole would be a write that the log does not know.
func (n *node) Allocate(context.Context, fs.FileHandle, uint64, uint64, uint32) syscall.Errno {
	return syscall.EOPNOTSUPP
}
