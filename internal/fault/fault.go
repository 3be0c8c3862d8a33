// Package fault knows how a program is told to fail, for demonstrations and
// tests. It must never know of a way to be told but this: a process knows a fault
// only from the file that it is given; one without it cannot be told to fail.
package fault

import (
	"fmt"
	"io"
	"os"
)

// Name is the file's name among jobs.Inherited's.
const Name = "portward-fault"

// A Fault is one way to fail. It travels as one byte.
type Fault byte

// The four ways to fail.
const (
	Crash    Fault = 'c' // panic
	Deadlock Fault = 'd' // the program's own loop waits for ever
	Livelock Fault = 'l' // the program's own loop spins for ever
	Stop     Fault = 's' // SIGSTOP
)

func (f Fault) String() string {
	switch f {
	case Crash:
		return "crash"
	case Deadlock:
		return "deadlock"
	case Livelock:
		return "livelock"
	case Stop:
		return "stop"
	}
	return fmt.Sprintf("Fault(%d)", byte(f))
}

// Parse answers the fault of that name.
func Parse(name string) (Fault, error) {
	for _, f := range []Fault{Crash, Deadlock, Livelock, Stop} {
		if f.String() == name {
			return f, nil
		}
	}
	return 0, fmt.Errorf("%q is no fault: crash, deadlock, livelock or stop", name)
}

// Send tells the process at the other end of w to fail.
func (f Fault) Send(w io.Writer) error {
	_, err := w.Write([]byte{byte(f)})
	return err
}

// Watch calls do for each fault that arrives on f, until its other end closes;
// a nil f never fails. Bytes that are no fault are passed over.
func Watch(f *os.File, do func(Fault)) {
	if f == nil {
		return
	}
	b := make([]byte, 1)
	for {
		if _, err := io.ReadFull(f, b); err != nil {
			return
		}
		if _, err := Parse(Fault(b[0]).String()); err == nil {
			do(Fault(b[0]))
		}
	}
}
