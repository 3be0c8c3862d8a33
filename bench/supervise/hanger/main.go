// Command hanger knows how to stand still under Portward's dead-man's timer. It must
// never know who measures its death.
//
//	hanger BELL LIMIT GRACE [silent]
//
// It says "R" when it is armed. SIGUSR1 makes it beat once more, say "H" with the time
// of that beat, and do nothing from then on. Its stacks go to descriptor 3; silent
// leaves SIGQUIT unheard, so that SIGKILL at LIMIT and GRACE is the end.
package main

import (
	"encoding/binary"
	"fmt"
	"net"
	"os"
	"os/signal"
	"runtime/debug"
	"syscall"
	"time"

	"portward/internal/deadman"
)

// others is how many goroutines stand about: about as many as netchild has.
const others = 20

func main() {
	err := run(os.Args[1:]) // comes back only if something is wrong
	fmt.Fprintln(os.Stderr, "hanger:", err)
	os.Exit(70)
}

func run(args []string) error {
	if len(args) < 3 {
		return fmt.Errorf("usage: hanger BELL LIMIT GRACE [silent]")
	}
	limit, err := time.ParseDuration(args[1])
	if err != nil {
		return err
	}
	grace, err := time.ParseDuration(args[2])
	if err != nil {
		return err
	}
	if err := prepare(len(args) == 4); err != nil {
		return err
	}
	bell, err := net.Dial("unixgram", args[0])
	if err != nil {
		return err
	}
	timer, err := deadman.Arm(limit, grace, nil)
	if err != nil {
		return err
	}
	return hang(bell, timer, limit)
}

// prepare chooses between stacks and silence.
func prepare(silent bool) error {
	for range others {
		go func() { select {} }()
	}
	if silent {
		signal.Ignore(syscall.SIGQUIT)
		return nil
	}
	return debug.SetCrashOutput(os.NewFile(3, "stacks"), debug.CrashOptions{})
}

// hang beats until it is told to stop. The time it says is of just before the beat.
func hang(bell net.Conn, timer *deadman.Timer, limit time.Duration) error {
	stop := make(chan os.Signal, 1)
	signal.Notify(stop, syscall.SIGUSR1)
	if err := ring(bell, 'R', deadman.Now()); err != nil {
		return err
	}
	tick := time.NewTicker(limit / 4)
	for {
		select {
		case <-tick.C:
			timer.Beat()
			continue
		case <-stop:
		}
		last := deadman.Now()
		timer.Beat()
		if err := ring(bell, 'H', last); err != nil {
			return err
		}
		select {}
	}
}

func ring(bell net.Conn, kind byte, at time.Duration) error {
	_, err := bell.Write(binary.NativeEndian.AppendUint64([]byte{kind}, uint64(at)))
	return err
}
