package xpcpeer

import (
	"errors"
	"os"

	"golang.org/x/sys/unix"

	"portward/internal/linux"
)

// A watch waits for a socket to have something to receive, and can be told to look
// away without being woken: epoll(7) does not, for events that are not asked for.
type watch struct {
	epoll *os.File // of the socket and the bell
	bell  *os.File // an eventfd, whose every ring is one event
}

// newWatch answers a watch of a socket that looks.
func newWatch(socket int) (*watch, error) {
	e, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	if err != nil {
		return nil, os.NewSyscallError("epoll_create1", err)
	}
	b, err := unix.Eventfd(0, unix.EFD_CLOEXEC)
	if err != nil {
		unix.Close(e)
		return nil, os.NewSyscallError("eventfd", err)
	}
	w := &watch{os.NewFile(uintptr(e), "epoll"), os.NewFile(uintptr(b), "eventfd")}
	err = errors.Join(w.control(unix.EPOLL_CTL_ADD, socket, unix.EPOLLIN), w.control(unix.EPOLL_CTL_ADD, b, unix.EPOLLIN|unix.EPOLLET))
	if err != nil {
		w.close()
		return nil, err
	}
	return w, nil
}

func (w *watch) control(op, fd int, events uint32) error {
	return withFD(w.epoll, func(e int) error {
		return os.NewSyscallError("epoll_ctl", unix.EpollCtl(e, op, fd, &unix.EpollEvent{Events: events}))
	})
}

// look says whether the socket is looked at. Its end always is.
func (w *watch) look(socket int, at bool) {
	var events uint32
	if at {
		events = unix.EPOLLIN
	}
	w.control(unix.EPOLL_CTL_MOD, socket, events)
}

// ring ends the present wait, or the next one.
func (w *watch) ring() { w.bell.Write([]byte{0: 1, 7: 0}) }

// wait must be called by one at a time, who keeps the socket open.
func (w *watch) wait() {
	withFD(w.epoll, func(e int) error {
		var events [2]unix.EpollEvent
		linux.PollLong(e, unix.POLLIN)
		_, err := unix.EpollWait(e, events[:], 0) // takes the ring away
		return err
	})
}

func (w *watch) close() {
	w.epoll.Close()
	w.bell.Close()
}
