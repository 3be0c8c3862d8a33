package jobs

import (
	"fmt"
	"time"
)

// EventKind says what happened.
type EventKind uint8

// The events of an engine.
const (
	Started       EventKind = iota + 1 // a life began: PID
	StartFailed                        // a life ended before it began: Err
	Exited                             // a life ended: PID, Exit
	SessionOpened                      // Session
	SessionClosed                      // Session
	Loaded                             // the target exists
	Unloaded                           // the target is gone
	Overflow                           // this reader was too slow; nothing follows
)

func eventNames() []string {
	return []string{"", "started", "start-failed", "exited", "session-opened", "session-closed", "loaded", "unloaded", "overflow"}
}

func (k EventKind) String() string { return enumName("EventKind", eventNames(), uint8(k)) }

// MarshalText answers the stable name.
func (k EventKind) MarshalText() ([]byte, error) { return []byte(k.String()), nil }

// UnmarshalText accepts the stable names only.
func (k *EventKind) UnmarshalText(b []byte) error {
	n, err := enumValue("event kind", eventNames(), string(b))
	*k = EventKind(n)
	return err
}

// An Event is one thing that happened to one target or session. Life counts a
// target's starts, failed ones too, from 1 and never backwards while the engine
// lives, whatever is unloaded and loaded again in between.
type Event struct {
	Target  Target    `json:"target,omitempty"`
	Life    uint64    `json:"life,omitempty"`
	Kind    EventKind `json:"kind"`
	Time    time.Time `json:"time"`
	PID     int       `json:"pid,omitempty"`
	Exit    Exit      `json:"exit,omitzero"`
	Session *Session  `json:"session,omitempty"`
	Err     string    `json:"err,omitempty"`
}

// Exit is how a process ended: by Code, or by Signal when that is not zero.
type Exit struct {
	Code   int           `json:"code"`
	Signal int           `json:"signal,omitempty"`
	CPU    time.Duration `json:"cpu_ns,omitempty"` // user and system time, of the main process
}

// Success is launchd's: the process ended by itself, with status 0.
func (x Exit) Success() bool { return x.Code == 0 && x.Signal == 0 }

func (x Exit) String() string {
	if x.Signal != 0 {
		return fmt.Sprintf("signal %d", x.Signal)
	}
	return fmt.Sprintf("exit %d", x.Code)
}

// Status is what a job is doing.
type Status uint8

// The states of a job.
const (
	Waiting   Status = iota + 1 // loaded; nothing wants it to run
	Running                     // or just being started
	Throttled                   // wanted, and waiting for its interval or the delay after failures
	Held                        // not to be started before HeldUntil
	Stopping                    // told to end, to be unloaded then
)

func statusNames() []string {
	return []string{"", "waiting", "running", "throttled", "held", "stopping"}
}

func (s Status) String() string { return enumName("Status", statusNames(), uint8(s)) }

// MarshalText answers the stable name.
func (s Status) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// UnmarshalText accepts the stable names only.
func (s *Status) UnmarshalText(b []byte) error {
	n, err := enumValue("status", statusNames(), string(b))
	*s = Status(n)
	return err
}

// State is one job as the engine sees it.
type State struct {
	Target    Target    `json:"target"`
	Status    Status    `json:"status"`
	Life      uint64    `json:"life"`          // the present one, or the last; 0 before the first
	PID       int       `json:"pid,omitempty"` // 0 when not running
	Since     time.Time `json:"since"`         // when the present status of running or not running began
	Restarts  uint64    `json:"restarts"`      // starts that followed a death: anything but exit 0
	Last      *Exit     `json:"last,omitempty"`
	HeldUntil time.Time `json:"held_until,omitzero"`
}

func enumName(typ string, names []string, v uint8) string {
	if v == 0 || int(v) >= len(names) {
		return fmt.Sprintf("%s(%d)", typ, v)
	}
	return names[v]
}

func enumValue(what string, names []string, s string) (uint8, error) {
	for i, n := range names {
		if i > 0 && n == s {
			return uint8(i), nil
		}
	}
	return 0, fmt.Errorf("%s %q: %w", what, s, ErrMalformed)
}
