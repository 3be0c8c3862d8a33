// Package status knows what the supervisor tells everybody: a file that it
// replaces as a whole, how to write it, read it and wait for the next one. It
// must never know users, tokens, addresses or evidence: anyone may read it.
package status

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"syscall"
	"time"

	"portward/internal/durable"
)

// Version is the version of the file that this package writes and the only one
// that it reads. Fields may be added to a version, and readers skip those they
// do not know; a field that changes its meaning makes a new version.
const Version = 1

// MaxSize is the largest file that is written or read, in bytes.
const MaxSize = 64 << 10

// ErrVersion is in the error of Read for a file of another version.
var ErrVersion = errors.New("unknown version of the status file")

// Status is what the supervisor knew at Time. The JSON names are a promise.
type Status struct {
	Version    int        `json:"version"`
	Time       time.Time  `json:"time"`
	Supervisor Supervisor `json:"supervisor"`
	NetChild   NetChild   `json:"netchild"`
	Payload    Payload    `json:"payload"`
}

// Supervisor is who wrote the file.
type Supervisor struct {
	PID   int    `json:"pid"`
	Build string `json:"build"`
}

// NetChild is the watched child.
type NetChild struct {
	State     State     `json:"state"`
	Life      uint64    `json:"life"`                // 0: it never lived
	PID       int       `json:"pid,omitempty"`       // while it lives
	Since     time.Time `json:"since,omitzero"`      // when it entered State
	Restarts  uint64    `json:"restarts"`            // lives that came after the first one this supervisor saw, whatever ended that
	Verdict   *Verdict  `json:"verdict,omitempty"`   // on the last death
	HeldUntil time.Time `json:"held_until,omitzero"` // while State is Held
	Reason    string    `json:"reason,omitempty"`    // why it is held, for people
	Next      time.Time `json:"next,omitzero"`       // the next attempt to start it, where one is planned
}

// Verdict is why a life ended: one of the watchdog's classes. What the process
// said of it is evidence, and not for everybody.
type Verdict struct {
	Class string    `json:"class"`
	Time  time.Time `json:"time"`
	Life  uint64    `json:"life"`
}

// Payload is the installed bundle and what is being done about the next one.
// Hashes are those of seals.
type Payload struct {
	State    PayloadState `json:"state"`
	Version  string       `json:"version,omitempty"` // what is installed
	Hash     string       `json:"hash,omitempty"`
	Channel  string       `json:"channel,omitempty"`
	Previous string       `json:"previous,omitempty"` // the version that is retained
	Phase    Phase        `json:"phase,omitempty"`    // empty: there is no updater
	Progress *Progress    `json:"progress,omitempty"` // of Phase, where that is long
	Trial    *Trial       `json:"trial,omitempty"`    // while Phase is OnTrial
	Deferred *Deferred    `json:"deferred,omitempty"` // a release that is known and waits
	Denied   []Denied     `json:"denied,omitempty"`   // releases that are not tried again
	Checked  time.Time    `json:"checked,omitzero"`   // when the repository last answered
	Next     time.Time    `json:"next,omitzero"`      // the next check
	Error    string       `json:"error,omitempty"`    // why the last attempt came to nothing
	Warnings []string     `json:"warnings,omitempty"` // what will go wrong if nobody acts, for people
	Answers  []Answer     `json:"answers,omitempty"`  // to the latest requests, oldest first
}

// Progress is how far a long step is, in Unit.
type Progress struct {
	Done  int64  `json:"done"`
	Total int64  `json:"total"`
	Unit  string `json:"unit"` // "bytes" or "ms"
}

// Trial is a release that has to prove itself.
type Trial struct {
	Version  string `json:"version"`
	Hash     string `json:"hash"`
	From     string `json:"from"`     // the version to go back to
	Attempts int    `json:"attempts"` // starts of its supervisor so far
	Cold     bool   `json:"cold"`     // after its cold start
}

// Deferred is a release that is not taken yet.
type Deferred struct {
	Version string    `json:"version"`
	Why     string    `json:"why"`            // for people
	Until   time.Time `json:"until,omitzero"` // the latest, where one is known
}

// Denied is a release that is not tried again before Until, or, where that is
// zero, unless a person says so.
type Denied struct {
	Hash    string    `json:"hash"`
	Version string    `json:"version"`
	Why     string    `json:"why"` // a class and a short text, no evidence
	Time    time.Time `json:"time"`
	Until   time.Time `json:"until,omitzero"`    // set where the machine may be at fault
	Strikes int       `json:"strikes,omitempty"` // failures of which one more is its own fault
}

// Answer is what became of a request. Error and Text are for people.
type Answer struct {
	ID    string     `json:"id"`
	Kind  AnswerKind `json:"kind,omitempty"`  // empty: the last word
	Error string     `json:"error,omitempty"` // empty: done
	Text  string     `json:"text,omitempty"`  // what was done
}

// AnswerKind says what is still to come. A reader must expect kinds it does not know.
type AnswerKind string

// The kinds of answers.
const (
	HandedOver AnswerKind = "handover" // another bundle takes the place, and its supervisor knows the rest
	AskAgain   AnswerKind = "again"    // it came too late: whoever is the supervisor then has to be asked
)

// Phase is what the updater is doing. A reader must expect phases it does not
// know.
type Phase string

// The phases of an update.
const (
	Idle        Phase = "idle"
	Checking    Phase = "checking"
	Downloading Phase = "downloading"
	Staging     Phase = "staging"
	Qualifying  Phase = "qualifying"
	Exchanging  Phase = "exchanging"
	OnTrial     Phase = "trial"
	Reverting   Phase = "reverting"
)

// State is what netchild is doing, as the supervisor sees it. A reader must
// expect states it does not know.
type State string

// The states of netchild.
const (
	Down     State = "down"     // not running; the next demand starts it
	Starting State = "starting" // started, not checked in
	Up       State = "up"       // checked in
	Lost     State = "lost"     // its check-in connection broke, its end is not yet confirmed
	Dying    State = "dying"    // told to stop, or killed, and not yet gone
	Held     State = "held"     // in quarantine: no demand starts it before HeldUntil
)

// PayloadState says whether there is a bundle to run. A reader must expect
// states it does not know.
type PayloadState string

// The states of the payload.
const (
	NoPayload PayloadState = "none"      // nothing that has a netchild is installed yet
	Installed PayloadState = "installed" // a verified bundle lies in its place
	Damaged   PayloadState = "damaged"   // what lies there is not what was installed
)

// Write replaces the file at path, mode 0644, by s, whose Version it sets.
// A reader sees the old status or the new one.
func Write(path string, s Status) error {
	s.Version = Version
	data, err := json.MarshalIndent(s, "", "  ")
	if err != nil {
		return fmt.Errorf("status: %w", err)
	}
	if len(data) >= MaxSize {
		return fmt.Errorf("status: %d bytes, at most %d are allowed", len(data)+1, MaxSize)
	}
	return durable.Write(path, append(data, '\n'), 0o644)
}

// Read answers the status in the file at path. It never blocks, whatever path
// is. A file of another version is ErrVersion.
func Read(path string) (Status, error) {
	data, err := readFile(path)
	if err != nil {
		return Status{}, err
	}
	s, err := parse(data)
	if err != nil {
		return Status{}, fmt.Errorf("%s: %w", path, err)
	}
	return s, nil
}

func readFile(path string) ([]byte, error) {
	f, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, fmt.Errorf("%s: not a regular file", path)
	}
	data, err := io.ReadAll(io.LimitReader(f, MaxSize+1))
	if err != nil {
		return nil, err
	}
	if len(data) > MaxSize {
		return nil, fmt.Errorf("%s: more than %d bytes", path, MaxSize)
	}
	return data, nil
}

// parse looks at the version first: the rest of another version may have any
// shape.
func parse(data []byte) (Status, error) {
	var head struct {
		Version *int `json:"version"`
	}
	if err := json.Unmarshal(data, &head); err != nil {
		return Status{}, err
	}
	if head.Version == nil {
		return Status{}, errors.New("not a status file: it has no version")
	}
	if *head.Version != Version {
		return Status{}, fmt.Errorf("%w: %d, this program reads %d", ErrVersion, *head.Version, Version)
	}
	var s Status
	if err := json.Unmarshal(data, &s); err != nil {
		return Status{}, err
	}
	return s, nil
}
