package surface

import (
	"encoding/binary"
	"errors"
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

const sendFlags = unix.MSG_DONTWAIT | unix.MSG_NOSIGNAL

func pairCloexec(kind int) ([2]int, error) {
	return unix.Socketpair(unix.AF_UNIX, kind|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
}

// shutdown is the end for both, whoever else holds a descriptor.
func (s socket) shutdown() {
	s.raw.Control(func(fd uintptr) { unix.Shutdown(int(fd), unix.SHUT_RDWR) })
}

// sendFile sends a byte and a descriptor, which is borrowed.
func (s socket) sendFile(b byte, file int) error {
	var sent error
	err := s.raw.Control(func(fd uintptr) {
		sent = ignoringEINTR(func() error {
			return unix.Sendmsg(int(fd), []byte{b}, unix.UnixRights(file), nil, sendFlags)
		})
	})
	return errors.Join(err, os.NewSyscallError("sendmsg", sent))
}

// receiveFile takes what sendFile sent, without waiting. It is ErrHostile when
// that is not there, or more is.
func (s socket) receiveFile() (b byte, file int, err error) {
	var data, oob [64]byte
	var n, rest, flags int
	var got error
	err = s.raw.Control(func(fd uintptr) {
		got = ignoringEINTR(func() (err error) {
			n, rest, flags, _, err = unix.Recvmsg(int(fd), data[:], oob[:], unix.MSG_DONTWAIT|unix.MSG_CMSG_CLOEXEC)
			return err
		})
	})
	if err != nil {
		return 0, -1, err
	}
	if got != nil {
		return 0, -1, fmt.Errorf("%w: nothing in the frame channel: %w", ErrHostile, got)
	}
	files := attached(oob[:rest])
	if n != 1 || flags&(unix.MSG_TRUNC|unix.MSG_CTRUNC) != 0 || len(files) != 1 {
		closeFDs(files)
		return 0, -1, fmt.Errorf("%w: no page in the frame channel", ErrHostile)
	}
	return data[0], files[0], nil
}

// attached are all descriptors in control data, those too that the kernel adds
// where the peer switched it on for this socket (SCM_PIDFD).
func attached(oob []byte) (all []int) {
	messages, _ := unix.ParseSocketControlMessage(oob)
	for _, m := range messages {
		if m.Header.Level != unix.SOL_SOCKET || m.Header.Type != unix.SCM_RIGHTS && m.Header.Type != unix.SCM_PIDFD {
			continue
		}
		for ; len(m.Data) >= 4; m.Data = m.Data[4:] {
			all = append(all, int(int32(binary.NativeEndian.Uint32(m.Data))))
		}
	}
	return all
}

func closeFDs(fds []int) {
	for _, fd := range fds {
		unix.Close(fd)
	}
}
