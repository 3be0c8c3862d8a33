package jobs

import "errors"

// What a caller may want to tell apart. All of them survive [Handle] and
// [Client], as do context.Canceled, context.DeadlineExceeded and
// errors.ErrUnsupported.
var (
	ErrNotLoaded     = errors.New("job is not loaded")
	ErrAlreadyLoaded = errors.New("job is already loaded")
	ErrHeld          = errors.New("job is held")
	ErrStart         = errors.New("job did not start")
	ErrDisabled      = errors.New("job is disabled")
	ErrBusy          = errors.New("job is changing")
	ErrNoSession     = errors.New("no such session")
	ErrSessionExists = errors.New("session exists already")
	ErrSessionType   = errors.New("job is not for this type of session")
	ErrBadSpec       = errors.New("bad job description")
	ErrMalformed     = errors.New("malformed")
	ErrClosed        = errors.New("engine is closed")
)

// Error says which operation on what went wrong.
type Error struct {
	Op      string // "bootstrap", "kickstart", ...
	Subject string // the target, the session or the file
	Err     error
}

func (e *Error) Error() string { return e.Op + " " + e.Subject + ": " + e.Err.Error() }

func (e *Error) Unwrap() error { return e.Err }

// wrap puts an operation around an error, and leaves nil alone.
func wrap(op, subject string, err error) error {
	if err == nil {
		return nil
	}
	return &Error{Op: op, Subject: subject, Err: err}
}

// SpecError is a plist that cannot be taken, with the key that is to blame
// ("" when it is the file as a whole). It is ErrBadSpec.
type SpecError struct {
	File string
	Key  string // as it is spelled in the file, nested keys joined by a dot
	Err  error
}

func (e *SpecError) Error() string {
	if e.Key == "" {
		return e.File + ": " + e.Err.Error()
	}
	return e.File + ": " + e.Key + ": " + e.Err.Error()
}

func (e *SpecError) Unwrap() []error { return []error{ErrBadSpec, e.Err} }
