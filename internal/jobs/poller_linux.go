package jobs

import (
	"sync"

	"golang.org/x/sys/unix"
)

// poller watches listeners of jobs that are not running for a connection,
// without accepting it. It has an epoll of its own on a thread of its own:
// Go's would have to own the descriptors and change their flags.
type poller struct {
	ready chan uint64
	epoll int
	wake  int // an eventfd that ends run
	stop  chan struct{}
	wg    sync.WaitGroup
}

func newPoller() (*poller, error) {
	epoll, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	if err != nil {
		return nil, err
	}
	wake, err := unix.Eventfd(0, unix.EFD_CLOEXEC|unix.EFD_NONBLOCK)
	if err == nil {
		err = unix.EpollCtl(epoll, unix.EPOLL_CTL_ADD, wake, &unix.EpollEvent{Events: unix.EPOLLIN})
	}
	if err != nil {
		unix.Close(wake)
		unix.Close(epoll)
		return nil, err
	}
	p := &poller{ready: make(chan uint64), epoll: epoll, wake: wake, stop: make(chan struct{})}
	p.wg.Go(p.run)
	return p, nil
}

// add reports token, never 0, when one of the listeners is readable. Level
// triggered: a connection that was there before counts.
func (p *poller) add(token uint64, held []listener) {
	for _, l := range held {
		unix.EpollCtl(p.epoll, unix.EPOLL_CTL_ADD, l.fd, &unix.EpollEvent{
			Events: unix.EPOLLIN | unix.EPOLLONESHOT,
			Fd:     int32(token), Pad: int32(token >> 32), // together epoll_data_t.u64
		})
	}
}

func (p *poller) remove(held []listener) {
	for _, l := range held {
		unix.EpollCtl(p.epoll, unix.EPOLL_CTL_DEL, l.fd, nil)
	}
}

func (p *poller) run() {
	events := make([]unix.EpollEvent, 16)
	for {
		n, err := unix.EpollWait(p.epoll, events, -1)
		if err != nil && err != unix.EINTR {
			return // only after close, which waits for us
		}
		for _, e := range events[:max(n, 0)] {
			select {
			case p.ready <- uint64(uint32(e.Fd)) | uint64(uint32(e.Pad))<<32:
			case <-p.stop:
				return
			}
		}
	}
}

func (p *poller) close() {
	close(p.stop)
	unix.Write(p.wake, []byte{1, 0, 0, 0, 0, 0, 0, 0})
	p.wg.Wait()
	unix.Close(p.wake)
	unix.Close(p.epoll)
}
