package xpcpeer

import (
	"encoding/binary"
	"io"
	"os"

	"golang.org/x/sys/unix"

	"portward/internal/wire"
)

// controlSpace is room for all that an honest packet brings. More is truncated
// by the kernel, which says so and closes what did not fit.
var controlSpace = unix.CmsgSpace(4*wire.MaxHandles) + unix.CmsgSpace(unix.SizeofUcred) + unix.CmsgSpace(4)

// control is what came beside a packet. Its descriptors are open until they
// are taken or closed.
type control struct {
	files  []int
	pidfd  int // negative: none
	sender *unix.Ucred
}

// parseControl finds every descriptor in b, whatever else is in it.
func parseControl(b []byte) *control {
	c := &control{pidfd: -1}
	for len(b) >= unix.SizeofCmsghdr {
		h, data, rest, err := unix.ParseOneSocketControlMessage(b)
		if err != nil {
			break
		}
		if h.Level == unix.SOL_SOCKET {
			c.add(unix.SocketControlMessage{Header: h, Data: data})
		}
		b = rest
	}
	return c
}

func (c *control) add(m unix.SocketControlMessage) {
	switch m.Header.Type {
	case unix.SCM_RIGHTS:
		for d := m.Data; len(d) >= 4; d = d[4:] {
			c.files = append(c.files, int(int32(binary.NativeEndian.Uint32(d))))
		}
	case unix.SCM_PIDFD:
		if len(m.Data) >= 4 { // negative if the kernel could not make one
			c.pidfd = int(int32(binary.NativeEndian.Uint32(m.Data)))
		}
	case unix.SCM_CREDENTIALS:
		if u, err := unix.ParseUnixCredentials(&m); err == nil {
			c.sender = u
		}
	}
}

func (c *control) takePidfd() int {
	fd := c.pidfd
	c.pidfd = -1
	return fd
}

// takeFiles answers the descriptors as files; a pidfd nobody took is closed.
func (c *control) takeFiles() []io.Closer {
	objects := make([]io.Closer, len(c.files))
	for i, fd := range c.files {
		objects[i] = os.NewFile(uintptr(fd), "handle")
	}
	c.files = nil
	c.close()
	return objects
}

func (c *control) close() {
	for _, fd := range c.files {
		unix.Close(fd)
	}
	c.files = nil
	if c.pidfd >= 0 {
		unix.Close(c.takePidfd())
	}
}

// rightsOf is the control message that carries a bundle's descriptors.
func rightsOf(b *bundle) []byte {
	if len(b.handles) == 0 {
		return nil
	}
	fds := make([]int, len(b.handles))
	for i, h := range b.handles {
		fds[i] = int(h.Object.(rawFD))
	}
	return unix.UnixRights(fds...)
}
