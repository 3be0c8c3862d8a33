package jobs

import (
	"os"
	"sync"
	"syscall"

	"golang.org/x/sys/unix"
)

// poller watches listeners of jobs that are not running for a connection,
// without accepting it. It has an epoll of its own: Go's would have to own the
// descriptors and change their flags. That epoll is all that Go's watches of it,
// epoll(7), so no thread waits here, which would keep a processor of Go's from
// who is to start the job.
type poller struct {
	ready chan uint64
	file  *os.File // the epoll
	epoll int      // its descriptor
	stop  chan struct{}
	wg    sync.WaitGroup
}

func newPoller() (*poller, error) {
	epoll, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	if err != nil {
		return nil, err
	}
	if err := unix.SetNonblock(epoll, true); err != nil { // or Go does not watch it
		unix.Close(epoll)
		return nil, err
	}
	p := &poller{ready: make(chan uint64), file: os.NewFile(uintptr(epoll), "epoll"), epoll: epoll, stop: make(chan struct{})}
	raw, err := p.file.SyscallConn()
	if err != nil {
		p.file.Close()
		return nil, err
	}
	p.wg.Go(func() { p.run(raw) })
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

func (p *poller) run(raw syscall.RawConn) {
	events := make([]unix.EpollEvent, 16)
	for {
		n := 0
		err := raw.Read(func(uintptr) bool {
			n, _ = unix.EpollWait(p.epoll, events, 0)
			return n > 0
		})
		if err != nil {
			return // after close, which waits for us
		}
		for _, e := range events[:n] {
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
	p.file.Close()
	p.wg.Wait()
}
