// Package request knows how root lays a request before the supervisor: one file
// for each in a folder that only root may enter. It must never know what a
// request means, whether it is granted, or what became of it: whoever takes it
// answers elsewhere, under its ID.
//
// A request's life is its names in the folder:
//
//	.tmp-…         being written; nobody looks at it
//	ID.json        laid; Withdraw may still take it back
//	.claimed-ID    the watcher has it; it is handed over, then removed
//	.bad-NAME      set aside: it was no request, or it was interrupted
//
// Each step is one rename or removal and on the disk before the next, so a
// request is handed over at most once, whatever crashes. One that was claimed
// when the watcher died may have been handed over or not: it is refused, with
// ErrInterrupted, and whoever laid it decides.
package request

import (
	"bytes"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"
)

// MaxSize is the largest file that is taken, in bytes.
const MaxSize = 2 << 10

// The longest Op and Arg, in bytes.
const (
	maxOp  = 32
	maxArg = 256
)

// ErrMalformed is in the error of whatever is no request.
var ErrMalformed = errors.New("malformed request")

// ErrInterrupted is in the refusal of a request that an earlier watcher had
// claimed when it died.
var ErrInterrupted = errors.New("the supervisor ended while it took this request")

// A Request is what somebody asks for. ID is its file's name, not its content.
type Request struct {
	ID  string `json:"-"`
	Op  string `json:"op"`            // a word of lower-case letters
	Arg string `json:"arg,omitempty"` // one line that can be printed
}

// Parse takes one file: exactly the bytes that Submit writes, and nothing that
// only means the same.
func Parse(id string, data []byte) (Request, error) {
	r := Request{ID: id}
	if len(data) > MaxSize {
		return Request{}, fmt.Errorf("more than %d bytes: %w", MaxSize, ErrMalformed)
	}
	if err := json.Unmarshal(data, &r); err != nil {
		return Request{}, fmt.Errorf("%w: %w", ErrMalformed, err)
	}
	if err := r.check(); err != nil {
		return Request{}, err
	}
	if again, err := r.encode(); err != nil || !bytes.Equal(again, data) {
		return Request{}, fmt.Errorf("not as it is written here: %w", ErrMalformed)
	}
	return r, nil
}

func (r Request) encode() ([]byte, error) {
	data, err := json.Marshal(r)
	return append(data, '\n'), err
}

func (r Request) check() error {
	switch {
	case !isID(r.ID):
		return fmt.Errorf("id %q: %w", r.ID, ErrMalformed)
	case !isWord(r.Op):
		return fmt.Errorf("op %.40q: %w", r.Op, ErrMalformed)
	case !isLine(r.Arg):
		return fmt.Errorf("arg %.40q: %w", r.Arg, ErrMalformed)
	}
	return nil
}

func isWord(s string) bool {
	return s != "" && len(s) <= maxOp && strings.Trim(s, "abcdefghijklmnopqrstuvwxyz") == ""
}

func isLine(s string) bool {
	return len(s) <= maxArg && utf8.ValidString(s) &&
		!strings.ContainsFunc(s, func(r rune) bool { return !unicode.IsPrint(r) })
}

// An id is the time of its making, in which ids sort, and what tells it from
// others of that time.
const (
	idTime   = "20060102T150405.000000000Z"
	idRandom = 8
)

func newID(now time.Time) string {
	return now.UTC().Format(idTime) + "-" + strings.ToLower(rand.Text()[:idRandom])
}

func isID(s string) bool {
	when, rest, ok := strings.Cut(s, "-")
	if !ok || len(rest) != idRandom || strings.Trim(rest, "abcdefghijklmnopqrstuvwxyz234567") != "" {
		return false
	}
	t, err := time.Parse(idTime, when)
	return err == nil && t.Format(idTime) == when
}
