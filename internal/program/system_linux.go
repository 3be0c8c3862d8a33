package program

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"

	"portward/internal/jobs"
	"portward/internal/xpcpeer"
)

// Transport answers the namespace in which the product's services live.
func (p *Program) Transport() xpcpeer.Transport {
	return xpcpeer.UnixWith(xpcpeer.UnixOptions{Dir: RunDir(p.Root), Private: PrivateDir(p.Root, p.Target), Inherited: p.Files})
}

func (p *Program) systemEngine() (jobs.Engine, error) {
	return nil, errors.New("no job engine: the descriptor " + EngineName + " was not inherited\nhint: `portward up` runs the embedded engine")
}

// learnPeers: peers are known by their executables here, see Runs.
func (p *Program) learnPeers([]string) error { return nil }

// ownSession: the engine tells each job its own.
func ownSession() string { return "" }

// Socket answers the listening socket of that name in the job's Sockets, which
// the engine holds. It is nil where there is none.
func (p *Program) Socket(name string) (*os.File, error) { return p.Files[name], nil }

// Runs is nil where the process on the other side runs a program that has one of
// these identifiers among those. ErrHidden: that cannot be told.
func Runs(ev *xpcpeer.Evidence, those Identifier, identifiers ...string) error {
	exe, err := ev.Executable()
	if err != nil {
		return fmt.Errorf("%w: %w", ErrHidden, err)
	}
	defer exe.Close()
	id, err := those.Identify(exe)
	if err == nil && !slices.Contains(identifiers, id) {
		err = fmt.Errorf("it is %q, and not %s", id, strings.Join(identifiers, " or "))
	}
	if err != nil {
		return fmt.Errorf("pid %d: %w", ev.PID, err)
	}
	return nil
}

// BootID names this boot of the machine: random(4).
func BootID() string {
	b, _ := os.ReadFile("/proc/sys/kernel/random/boot_id")
	return strings.TrimSpace(string(b))
}
