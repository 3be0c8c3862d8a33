package jobs

import (
	"os"
	"syscall"
)

// host is the operating system as the loop sees it.
type host struct {
	// pin prepares the calling goroutine, which then makes every start.
	pin func()
	// start makes the launch and answers a process in a group of its own.
	start func(*launch) (process, error)
	// poll reports token on ready once one of the listeners has a connection
	// to be accepted; unpoll takes them back, a report may still come.
	poll   func(token uint64, l []listener)
	unpoll func(l []listener)
	ready  <-chan uint64
	// close ends what belongs to poll and returns when it has ended.
	close func()
}

// process is one started life.
type process interface {
	pid() int
	// signal reaches the whole process group, or with AbandonProcessGroup the
	// main process, and nobody once the process was waited for.
	signal(syscall.Signal)
	// wait returns when the process has ended and, unless the group is to be
	// abandoned, what was left of its group is killed and gone.
	wait() Exit
}

// launch is all that the kernel needs to know for one start.
type launch struct {
	program string
	argv    []string
	env     []string
	dir     string
	files   []*os.File // what becomes descriptor 0, 1, ...
	user    *account   // nil: as the engine itself
	umask   *int
	abandon bool // AbandonProcessGroup
}

// account is whom a job runs as, without supplementary groups.
type account struct{ uid, gid uint32 }
