package jobs

import (
	"context"
	"errors"
	"os"
)

// code is the name under which a sentinel crosses a process border. Names are
// only ever added.
type code struct {
	name string
	err  error
}

func codes() []code {
	return []code{
		{"not-loaded", ErrNotLoaded},
		{"already-loaded", ErrAlreadyLoaded},
		{"held", ErrHeld},
		{"start", ErrStart},
		{"disabled", ErrDisabled},
		{"busy", ErrBusy},
		{"no-session", ErrNoSession},
		{"session-exists", ErrSessionExists},
		{"session-type", ErrSessionType},
		{"bad-spec", ErrBadSpec},
		{"malformed", ErrMalformed},
		{"closed", ErrClosed},
		{"canceled", context.Canceled},
		{"deadline", context.DeadlineExceeded},
		{"unsupported", errors.ErrUnsupported},
		{"not-exist", os.ErrNotExist},
		{"exist", os.ErrExist},
		{"permission", os.ErrPermission},
	}
}

// fault is an error on its way: its text, and the names of what it is.
type fault struct {
	Codes []string `json:"codes,omitempty"`
	Text  string   `json:"text"`
}

func toFault(err error) *fault {
	if err == nil {
		return nil
	}
	f := &fault{Text: err.Error()}
	for _, c := range codes() {
		if errors.Is(err, c.err) {
			f.Codes = append(f.Codes, c.name)
		}
	}
	return f
}

// remoteError is a fault that arrived. It is whatever its codes name; names
// that a later version added are only text.
type remoteError struct{ f fault }

func (e *remoteError) Error() string { return e.f.Text }

func (e *remoteError) Is(target error) bool {
	for _, c := range codes() {
		for _, name := range e.f.Codes {
			if c.name == name && c.err == target {
				return true
			}
		}
	}
	return false
}

func (f *fault) err() error {
	if f == nil {
		return nil
	}
	return &remoteError{*f}
}
