package medium

import (
	"errors"
	"fmt"
	"os/exec"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// An FS is a kind of file system.
type FS struct {
	Name    string
	Size    int64    // the smallest disk its mkfs is happy with, or a little more
	mkfs    []string // the command, without the device
	options string   // of mount(2)
}

// FileSystems are those that Portward runs on.
var FileSystems = []FS{
	{"ext4", 24 << 20, []string{"mkfs.ext4", "-q", "-F", "-b", "4096", "-J", "size=4", "-E", "nodiscard,lazy_itable_init=0,lazy_journal_init=0"}, ""},
	{"xfs", 300 << 20, []string{"mkfs.xfs", "-q", "-f", "-K"}, "nouuid"},
	{"btrfs", 128 << 20, []string{"mkfs.btrfs", "-q", "-f", "-K", "-M"}, "nodiscard"},
}

// Hasty answers the options with which a file system writes by itself, within a
// second or two, what nobody synced. Those whose journal takes everybody's
// changes along with anybody's fsync need none.
func (f FS) Hasty() []string {
	if f.Name == "btrfs" {
		return []string{"commit=1"}
	}
	return nil
}

// ByName answers one of FileSystems.
func ByName(name string) (FS, error) {
	for _, f := range FileSystems {
		if f.Name == name {
			return f, nil
		}
	}
	return FS{}, fmt.Errorf("unknown file system %q", name)
}

// Format makes a new file system of that kind.
func (d *Drive) Format(kind FS) error {
	d.kind = kind
	d.Load(&Image{Size: kind.Size})
	cmd := exec.Command(kind.mkfs[0], append(kind.mkfs[1:], d.loop.Name())...)
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("%s: %w: %s", kind.mkfs[0], err, strings.TrimSpace(string(out)))
	}
	return nil
}

// Mount mounts what the medium holds, nothing of which the kernel remembers
// from before. options are the caller's, beside those of the kind.
func (d *Drive) Mount(options ...string) error {
	if err := unix.IoctlSetInt(int(d.loop.Fd()), unix.BLKFLSBUF, 0); err != nil {
		return fmt.Errorf("forgetting the last content: %w", err)
	}
	if d.kind.options != "" {
		options = append(options, d.kind.options)
	}
	if err := unix.Mount(d.loop.Name(), d.Root(), d.kind.Name, 0, strings.Join(options, ",")); err != nil {
		return fmt.Errorf("mounting: %w", err)
	}
	d.up = true
	return nil
}

// Unmount is patient: a process that was just started elsewhere in this
// program holds all files open for a moment.
func (d *Drive) Unmount() error {
	if !d.up {
		return nil
	}
	var err error
	for range 2000 {
		if err = unix.Unmount(d.Root(), 0); !errors.Is(err, unix.EBUSY) {
			d.up = err != nil
			return err
		}
		time.Sleep(time.Millisecond)
	}
	return fmt.Errorf("unmounting: %w", err)
}
