//go:build linux

package main

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/godbus/dbus/v5"
	"golang.org/x/sys/unix"

	"portward/bench/talk"
)

const (
	busName = "org.portward.Bench"
	busPath = dbus.ObjectPath("/org/portward/Bench")
)

// busConfig lets everyone who reaches the socket do everything.
const busConfig = `<!DOCTYPE busconfig PUBLIC "-//freedesktop//DTD D-BUS Bus Configuration 1.0//EN" "http://www.freedesktop.org/standards/dbus/1.0/busconfig.dtd">
<busconfig>
  <type>session</type>
  <listen>unix:path=%s</listen>
  <policy context="default"><allow send_destination="*" eavesdrop="true"/><allow eavesdrop="true"/><allow own="*"/></policy>
</busconfig>
`

// startDBus hands a frame over as a descriptor in a method call through a bus
// daemon of our own.
func startDBus(o options) (drill, *exec.Cmd, error) {
	if err := startDaemon(o.dir); err != nil {
		return drill{}, nil, err
	}
	peer, err := talk.Other()
	if err != nil {
		return drill{}, nil, err
	}
	f, pix, err := shared(o.geometry().Size())
	if err != nil {
		return drill{}, nil, err
	}
	c, err := dbus.Connect(busAddress(o.dir))
	if err != nil {
		return drill{}, nil, err
	}
	if err := awaitOwner(c); err != nil {
		return drill{}, nil, err
	}
	object := c.Object(busName, busPath)
	var seq uint32
	return drill{one: func() (time.Duration, error) {
		seq++
		binary.NativeEndian.PutUint32(pix, seq)
		began := time.Now()
		var got uint32
		err := object.Call(busName+".Frame", 0, dbus.UnixFD(f.Fd()), seq).Store(&got)
		return time.Since(began), err
	}}, peer, err
}

// startDaemon runs a bus that dies with this process, and waits until it listens.
func startDaemon(dir string) error {
	config := filepath.Join(dir, "bus.conf")
	if err := os.WriteFile(config, fmt.Appendf(nil, busConfig, filepath.Join(dir, "bus")), 0o600); err != nil {
		return err
	}
	cmd := exec.Command("dbus-daemon", "--config-file="+config, "--nofork", "--nosyslog", "--print-address")
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		return err
	}
	if err := talk.StartTied(cmd); err != nil {
		return err
	}
	if line, err := bufio.NewReader(out).ReadString('\n'); err != nil || !strings.HasPrefix(line, "unix:") {
		return fmt.Errorf("dbus-daemon said %q: %w", line, errors.Join(err, cmd.Process.Kill(), cmd.Wait()))
	}
	return nil
}

func busAddress(dir string) string { return "unix:path=" + filepath.Join(dir, "bus") }

// awaitOwner waits until the other half has its name.
func awaitOwner(c *dbus.Conn) error {
	for deadline := time.Now().Add(10 * time.Second); time.Now().Before(deadline); time.Sleep(time.Millisecond) {
		var owned bool
		if err := c.BusObject().Call("org.freedesktop.DBus.NameHasOwner", 0, busName).Store(&owned); err != nil || owned {
			return err
		}
	}
	return errors.New("nobody owns " + busName)
}

// frames is the object on the bus. It maps each memory once, known by its inode.
type frames struct {
	size   int
	mapped map[uint64][]byte
}

// Frame looks at a frame.
func (r *frames) Frame(fd dbus.UnixFD, seq uint32) (uint32, *dbus.Error) {
	defer unix.Close(int(fd))
	pix, err := r.open(int(fd))
	if err != nil {
		return 0, dbus.MakeFailedError(err)
	}
	if got := binary.NativeEndian.Uint32(pix); got != seq {
		return 0, dbus.MakeFailedError(fmt.Errorf("frame %d shows %d", seq, got))
	}
	return seq, nil
}

func (r *frames) open(fd int) ([]byte, error) {
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		return nil, err
	}
	if pix, ok := r.mapped[st.Ino]; ok {
		return pix, nil
	}
	if seals, err := unix.FcntlInt(uintptr(fd), unix.F_GET_SEALS, 0); err != nil || seals&unix.F_SEAL_SHRINK == 0 {
		return nil, errors.New("not sealed")
	}
	pix, err := unix.Mmap(fd, 0, r.size, unix.PROT_READ, unix.MAP_SHARED)
	r.mapped[st.Ino] = pix
	return pix, err
}

func serveDBus(o options) error {
	c, err := dbus.Connect(busAddress(o.dir))
	if err != nil {
		return err
	}
	if err := c.Export(&frames{o.geometry().Size(), map[uint64][]byte{}}, busPath, busName); err != nil {
		return err
	}
	if _, err := c.RequestName(busName, dbus.NameFlagDoNotQueue); err != nil {
		return err
	}
	<-c.Context().Done()
	return nil
}
