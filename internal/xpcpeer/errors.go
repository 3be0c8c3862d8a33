package xpcpeer

import (
	"errors"
	"fmt"
)

// What a caller can branch on. Errors of form are wire.ErrMalformed; a context
// that ended is passed through.
var (
	ErrInterrupted = errors.New("connection interrupted")               // the peer died; the next message finds its successor
	ErrInvalid     = errors.New("connection invalid")                   // closed or dead for good
	ErrBusy        = errors.New("too many calls in flight")             // MaxOutstanding; nothing was sent
	ErrFlooded     = errors.New("peer does not read its messages")      // MaxQueue
	ErrRefused     = errors.New("peer refused")                         // by our policy or by its own
	ErrNoDeadline  = errors.New("call without a deadline")              // nothing was sent
	ErrUnanswered  = errors.New("peer left the call without an answer") // its handler returned and kept nothing
)

// An Error says which operation failed on which connection or listener.
type Error struct {
	Op      string // "dial", "send", "call", ...
	Subject string // service name, or what the peer is known by
	Err     error
}

func (e *Error) Error() string { return e.Op + " " + e.Subject + ": " + e.Err.Error() }

// Unwrap answers the cause.
func (e *Error) Unwrap() error { return e.Err }

// invalid says why a connection is dead, in a form that is ErrInvalid and the cause.
func invalid(cause error) error {
	if errors.Is(cause, ErrInvalid) {
		return cause
	}
	return fmt.Errorf("%w: %w", ErrInvalid, cause)
}
