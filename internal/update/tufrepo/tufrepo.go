// Package tufrepo knows TUF: which metadata of a repository is to be believed,
// and how a publisher makes it. It must never know where bytes come from (a
// function passed in gets them), what a target means, or that a network exists.
//
// Two sides share it. Trust is the client's: rules that take bytes and a time,
// over a local store that heals itself. Repo, InitKeys and Rotate are the
// publisher's: static files below a directory, keys in directories of their own.
//
//	metadata/N.root.json N.targets.json N.snapshot.json timestamp.json
//	targets/DIR/SHA256.BASE     the target "DIR/BASE"
package tufrepo

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"

	"github.com/theupdateframework/go-tuf/v2/metadata"

	"portward/internal/update/pipe"
)

// A Kind says what a caller may do about an Error.
type Kind int

const (
	Untrusted Kind = iota + 1 // wrong signatures, hashes or shape, or a mix of two states: an attack, or a damaged mirror
	Stale                     // older than what is trusted already: a lagging mirror, until it lasts
	Expired                   // genuine, and its time is over: nothing may be installed, what runs runs on
)

func (k Kind) String() string {
	switch k {
	case Untrusted:
		return "not to be trusted"
	case Stale:
		return "older than what is known"
	case Expired:
		return "expired"
	}
	return fmt.Sprintf("kind %d", int(k))
}

// An Error is metadata that was not taken. Errors of the function that gets
// bytes and of the disk are passed on as they are.
type Error struct {
	Kind Kind
	Name string // the file, from the repository's top: "metadata/timestamp.json"
	Err  error
}

func (e *Error) Error() string { return fmt.Sprintf("%s is %s: %v", e.Name, e.Kind, e.Err) }

func (e *Error) Unwrap() error { return e.Err }

// refuse says what go-tuf's error means to a caller of ours.
func refuse(name string, err error) error {
	kind := Untrusted
	if errors.Is(err, &metadata.ErrExpiredMetadata{}) {
		kind = Expired
	}
	return &Error{kind, name, err}
}

// Bounds of what is read, in bytes.
const (
	maxRoot      = 512_000
	maxTimestamp = 16_384
	maxSnapshot  = 1_000_000
	maxTargets   = pipe.MaxGet
)

// The roles' files, as the repository and the local store call them.
const timestampFile = "timestamp.json"

func versioned(version int64, role string) string { return fmt.Sprintf("%d.%s.json", version, role) }

// inRepo is the name of a metadata file from the repository's top.
func inRepo(file string) string { return "metadata/" + file }

func sum(data []byte) []byte {
	s := sha256.Sum256(data)
	return s[:]
}

func hashOf(data []byte) string { return hex.EncodeToString(sum(data)) }
