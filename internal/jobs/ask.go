package jobs

import "context"

// tell has the loop run f, unless it has ended.
func (e *Embedded) tell(f func(*loop)) {
	select {
	case e.requests <- f:
	case <-e.done:
	}
}

// wait has the loop run f, which sees to it that reply gets one answer, now or
// later. It has room for it: the loop never waits for the one who asked.
func (e *Embedded) wait(ctx context.Context, f func(l *loop, reply chan<- error)) error {
	reply := make(chan error, 1)
	select {
	case e.requests <- func(l *loop) { f(l, reply) }:
	case <-ctx.Done():
		return ctx.Err()
	case <-e.done:
		return ErrClosed
	}
	select {
	case err := <-reply:
		return err
	case <-ctx.Done():
		return ctx.Err()
	}
}

// order is wait for what concerns one target.
func (e *Embedded) order(ctx context.Context, op string, t Target, f func(*loop, chan<- error)) error {
	err := t.Check()
	if err == nil {
		err = e.wait(ctx, f)
	}
	return wrap(op, string(t), err)
}

// query is wait for what the loop can answer at once.
func query[T any](ctx context.Context, e *Embedded, f func(*loop) (T, error)) (T, error) {
	var v T
	err := e.wait(ctx, func(l *loop, reply chan<- error) {
		var err error
		v, err = f(l)
		reply <- err
	})
	if err != nil { // v may still be written to
		var zero T
		return zero, err
	}
	return v, nil
}
