package jobs

import (
	"context"
	"time"

	"golang.org/x/sys/unix"
)

// awaitEnd waits for the end of a process, another's too, or for ctx's. Where nothing
// tells of it the process is looked for.
func awaitEnd(ctx context.Context, pid int) {
	if awaitExit(ctx, pid) == nil {
		return
	}
	for alive(pid) && sleep(ctx, 250*time.Millisecond) {
	}
}

// awaitExit is awaitEnd by kqueue(2), EVFILT_PROC with NOTE_EXIT. A process that is no
// more, or only waits for its parent, has ended: ESRCH. Another error says nothing of
// the process.
func awaitExit(ctx context.Context, pid int) error {
	queue, err := unix.Kqueue()
	if err != nil {
		return err
	}
	defer unix.Close(queue)
	unix.CloseOnExec(queue)
	var exit, call unix.Kevent_t
	unix.SetKevent(&exit, pid, unix.EVFILT_PROC, unix.EV_ADD|unix.EV_ONESHOT)
	exit.Fflags = unix.NOTE_EXIT
	unix.SetKevent(&call, 0, unix.EVFILT_USER, unix.EV_ADD|unix.EV_CLEAR)
	if _, err := unix.Kevent(queue, []unix.Kevent_t{call, exit}, nil, nil); err == unix.ESRCH {
		return nil
	} else if err != nil {
		return err
	}
	called := make(chan struct{})
	stop := context.AfterFunc(ctx, func() {
		defer close(called)
		call.Flags, call.Fflags = 0, unix.NOTE_TRIGGER
		unix.Kevent(queue, []unix.Kevent_t{call}, nil, nil)
	})
	for {
		if _, err = unix.Kevent(queue, nil, make([]unix.Kevent_t, 1), nil); err != unix.EINTR {
			break
		}
	}
	if !stop() {
		<-called // it uses the queue
	}
	return err
}
