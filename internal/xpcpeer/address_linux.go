package xpcpeer

import (
	"crypto/rand"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"
)

// The address of a Unix socket has 108 bytes (unix(7)): every bind and connect
// goes by /proc/self/fd/N/name, N being a descriptor of the directory.

const maxName = 64

func checkName(name string) error {
	if name == "" || len(name) > maxName || name[0] == '.' || strings.ContainsAny(name, "/\x00") {
		return fmt.Errorf("not a service name: %q", name)
	}
	return nil
}

func procPath(fd int, name string) string {
	return filepath.Join(fmt.Sprintf("/proc/self/fd/%d", fd), name)
}

func socketPath(dir, name string) string { return filepath.Join(dir, name) }

func openDir(dir string) (*os.File, error) {
	fd, err := unix.Open(dir, unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, &os.PathError{Op: "open", Path: dir, Err: err}
	}
	return os.NewFile(uintptr(fd), dir), nil
}

func newSocket() (int, error) {
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	return fd, os.NewSyscallError("socket", err)
}

func bindUnix(dir, name string, mode os.FileMode) (*os.File, error) {
	if err := checkName(name); err != nil {
		return nil, err
	}
	d, err := openDir(dir)
	if err != nil {
		return nil, err
	}
	defer d.Close()
	s, err := newSocket()
	if err != nil {
		return nil, err
	}
	err = withFD(d, func(fd int) error { return bindListen(s, procPath(fd, name), mode) })
	if err != nil {
		unix.Close(s)
		return nil, err
	}
	return os.NewFile(uintptr(s), socketPath(dir, name)), nil
}

// bindListen sets the mode before listen(2), so that nobody connects earlier.
func bindListen(s int, path string, mode os.FileMode) error {
	if err := bindOrReplace(s, path); err != nil {
		return err
	}
	err := os.Chmod(path, mode)
	if err == nil {
		err = os.NewSyscallError("listen", unix.Listen(s, unix.SOMAXCONN))
	}
	if err != nil {
		os.Remove(path)
	}
	return err
}

func bindOrReplace(s int, path string) error {
	err := unix.Bind(s, &unix.SockaddrUnix{Name: path})
	if err == unix.EADDRINUSE && isDead(path) {
		if err := os.Remove(path); err != nil {
			return err
		}
		err = unix.Bind(s, &unix.SockaddrUnix{Name: path})
	}
	return os.NewSyscallError("bind", err)
}

// isDead reports whether path is a socket that nobody listens on. A socket of
// another type answers EPROTOTYPE, one with a full backlog EAGAIN.
func isDead(path string) bool {
	info, err := os.Lstat(path)
	if err != nil || info.Mode().Type() != os.ModeSocket {
		return false
	}
	s, err := newSocket()
	if err != nil {
		return false
	}
	defer unix.Close(s)
	return errors.Is(unix.Connect(s, &unix.SockaddrUnix{Name: path}), unix.ECONNREFUSED)
}

// bindNameless answers a listening socket without a name and the O_PATH
// descriptor by which it is reached. The order: bind under a random name, open
// the inode, remove the name, let everyone connect who holds the descriptor
// (connect(2) asks for write permission; the policy asks for the rest), listen.
func bindNameless(dir string) (_ *os.File, node *os.File, err error) {
	d, err := openDir(dir)
	if err != nil {
		return nil, nil, err
	}
	defer d.Close()
	s, err := newSocket()
	if err != nil {
		return nil, nil, err
	}
	err = withFD(d, func(fd int) (err error) {
		node, err = bindAndUnlink(s, procPath(fd, ".anonymous-"+rand.Text()))
		return err
	})
	if err == nil {
		err = openAndListen(s, node)
	}
	if err != nil {
		unix.Close(s)
		return nil, nil, err
	}
	return os.NewFile(uintptr(s), "anonymous"), node, nil
}

func bindAndUnlink(s int, path string) (*os.File, error) {
	if err := unix.Bind(s, &unix.SockaddrUnix{Name: path}); err != nil {
		return nil, os.NewSyscallError("bind", err)
	}
	fd, err := unix.Open(path, unix.O_PATH|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	if rerr := os.Remove(path); err == nil && rerr != nil {
		unix.Close(fd)
		return nil, rerr
	}
	if err != nil {
		return nil, os.NewSyscallError("open O_PATH", err)
	}
	return os.NewFile(uintptr(fd), "endpoint"), nil
}

func openAndListen(s int, node *os.File) error {
	err := withFD(node, func(fd int) error { return os.Chmod(procPath(fd, ""), 0o666) })
	if err == nil {
		err = os.NewSyscallError("listen", unix.Listen(s, unix.SOMAXCONN))
	}
	if err != nil {
		node.Close()
	}
	return err
}

// dupSocket answers a non-blocking duplicate of a connected or listening
// SOCK_SEQPACKET Unix socket. O_NONBLOCK is the open socket's: the original
// gets it too.
func dupSocket(f *os.File) (int, error) {
	fd, err := dupFD(f)
	if err != nil {
		return -1, err
	}
	domain, err1 := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_DOMAIN)
	typ, err2 := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_TYPE)
	err = errors.Join(err1, err2)
	if err == nil && (domain != unix.AF_UNIX || typ != unix.SOCK_SEQPACKET) {
		err = unix.EPROTOTYPE
	}
	if err == nil {
		err = unix.SetNonblock(fd, true)
	}
	if err != nil {
		unix.Close(fd)
		return -1, err
	}
	return fd, nil
}

func dupListening(f *os.File) (*os.File, error) {
	fd, err := dupSocket(f)
	if err != nil {
		return nil, err
	}
	listening, err := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_ACCEPTCONN)
	if err == nil && listening == 0 {
		err = unix.EINVAL
	}
	if err != nil {
		unix.Close(fd)
		return nil, err
	}
	return os.NewFile(uintptr(fd), f.Name()), nil
}
