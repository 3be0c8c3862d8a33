package fault

import (
	"os"
	"syscall"
)

// An Actor performs faults. Loop runs a function on the program's own loop,
// the one whose progress is watched.
type Actor struct {
	Loop func(func())
}

// Do performs f. It returns before the program has failed, if at all.
func (a Actor) Do(f Fault) {
	switch f {
	case Crash:
		go panic("told to crash")
	case Deadlock:
		go a.Loop(func() { <-make(chan struct{}) })
	case Livelock:
		go a.Loop(func() {
			//lint:ignore SA5002 spinning is the point
			for {
			}
		})
	case Stop:
		syscall.Kill(os.Getpid(), syscall.SIGSTOP)
	}
}
