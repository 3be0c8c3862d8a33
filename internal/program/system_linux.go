package program

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"

	"portward/internal/jobs"
	"portward/internal/wire"
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

// CheckCode: Linux asks no signature of a program. The seal is all there is.
func (p *Program) CheckCode(app, identifier string) error { return nil }

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

// Keep answers a handle to the same endpoint that is the caller's own.
func Keep(endpoint wire.Handle) (wire.Handle, error) {
	f, ok := endpoint.File()
	if !ok {
		return wire.Handle{}, fmt.Errorf("%w: a %T is no endpoint", wire.ErrMalformed, endpoint.Object)
	}
	own, err := Dup(f)
	if err != nil {
		return wire.Handle{}, err
	}
	return wire.Handle{Kind: wire.HandleEndpoint, Object: own}, nil
}

// BootID names this boot of the machine: random(4).
func BootID() string {
	b, _ := os.ReadFile("/proc/sys/kernel/random/boot_id")
	return strings.TrimSpace(string(b))
}
