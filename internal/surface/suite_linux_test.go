package surface_test

import (
	"os"
	"testing"

	"golang.org/x/sys/unix"

	"portward/internal/surface"
	"portward/internal/surface/surfacetest"
	"portward/internal/wire"
)

// The suite, with handles that stay in the process.
func TestSurfaceDuplicated(t *testing.T) {
	surfacetest.Test(t, surfacetest.Way{Platform: surface.Native(), Pass: duplicated})
}

// The suite, with handles that travel as they do in a message.
func TestSurfaceSent(t *testing.T) {
	surfacetest.Test(t, surfacetest.Way{Platform: surface.Native(), Pass: sent})
}

func duplicated(t testing.TB, surfaces []wire.Handle, frames *os.File) ([]wire.Handle, wire.Handle) {
	all := make([]wire.Handle, len(surfaces))
	for i, h := range surfaces {
		f, _ := h.File()
		all[i] = wire.Surface(dup(t, f))
	}
	return all, wire.FD(dup(t, frames))
}

func dup(t testing.TB, f *os.File) *os.File {
	t.Helper()
	fd, err := unix.FcntlInt(f.Fd(), unix.F_DUPFD_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	return os.NewFile(uintptr(fd), f.Name())
}

func sent(t testing.TB, surfaces []wire.Handle, frames *os.File) ([]wire.Handle, wire.Handle) {
	t.Helper()
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(pair[0])
	defer unix.Close(pair[1])
	fds := []int{int(frames.Fd())}
	for _, h := range surfaces {
		f, _ := h.File()
		fds = append(fds, int(f.Fd()))
	}
	if err := unix.Sendmsg(pair[0], []byte("x"), unix.UnixRights(fds...), nil, 0); err != nil {
		t.Fatal(err)
	}
	files := receive(t, pair[1], len(fds))
	all := make([]wire.Handle, len(surfaces))
	for i, f := range files[1:] {
		all[i] = wire.Surface(f)
	}
	return all, wire.FD(files[0])
}

func receive(t testing.TB, socket, n int) []*os.File {
	t.Helper()
	oob := make([]byte, unix.CmsgSpace(4*n))
	_, got, _, _, err := unix.Recvmsg(socket, make([]byte, 1), oob, unix.MSG_CMSG_CLOEXEC)
	if err != nil {
		t.Fatal(err)
	}
	msgs, err := unix.ParseSocketControlMessage(oob[:got])
	if err != nil || len(msgs) != 1 {
		t.Fatal(msgs, err)
	}
	fds, err := unix.ParseUnixRights(&msgs[0])
	if err != nil || len(fds) != n {
		t.Fatal(fds, err)
	}
	files := make([]*os.File, n)
	for i, fd := range fds {
		files[i] = os.NewFile(uintptr(fd), "received")
	}
	return files
}
