package watchdog

import (
	"context"
	"time"
)

// Started: the engine started that life at that time, or found it running since.
func (d *Dog) Started(life Life, pid int, at time.Time) {
	d.send(note{kind: started, life: life, pid: pid, at: at})
}

// StartFailed: the engine could not start that life.
func (d *Dog) StartFailed(life Life, err error) {
	d.send(note{kind: startFail, life: life, text: err.Error()})
}

// Exited: the engine saw that life end.
func (d *Dog) Exited(life Life, exit Exit) { d.send(note{kind: exited, life: life, exit: exit}) }

// CheckedIn: that life is ready. It may come before Started, or before the exit
// of the life before; a life may check in more than once, to a new supervisor or
// over a new connection. After nil, one Lost is owed. ErrStranger: that life is
// over or is being ended.
func (d *Dog) CheckedIn(life Life) error {
	return d.ask(context.Background(), note{kind: checkedIn, life: life})
}

// Lost: a check-in connection of that life closed.
func (d *Dog) Lost(life Life) { d.send(note{kind: connLost, life: life}) }

// Goodbye: that life is about to exit with status 0, and why; "idle" means that
// nobody needs it.
func (d *Dog) Goodbye(life Life, reason string) {
	d.send(note{kind: goodbye, life: life, text: reason})
}

// Beat: that life got something done.
func (d *Dog) Beat(life Life) { d.send(note{kind: beaten, life: life}) }

// Restart ends the present life, if there is one, lifts a hold, and starts the
// next life. It answers nil when a later life has checked in, or why the first
// later one did not. When ctx ends, only the waiting ends.
func (d *Dog) Restart(ctx context.Context) error { return d.ask(ctx, note{kind: restart}) }

// Status says how the job is.
func (d *Dog) Status(ctx context.Context) (Status, error) {
	s := make(chan Status, 1)
	if err := d.ask(ctx, note{do: func() error { s <- d.status(); return nil }}); err != nil {
		return Status{}, err
	}
	return <-s, nil
}

func (d *Dog) send(n note) {
	select {
	case d.notes <- n:
	case <-d.done:
	}
}

// ask sends a note and waits for its answer.
func (d *Dog) ask(ctx context.Context, n note) error {
	reply := make(chan error, 1)
	n.reply = reply
	select {
	case d.notes <- n:
	case <-ctx.Done():
		return ctx.Err()
	case <-d.done:
		return ErrStopped
	}
	select {
	case err := <-reply:
		return err
	case <-ctx.Done():
		return ctx.Err()
	}
}
