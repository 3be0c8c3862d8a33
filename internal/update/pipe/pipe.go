// Package pipe knows the words that the supervisor and its unprivileged fetcher
// exchange over two pipes: the supervisor asks, one thing at a time, and the
// fetcher answers with bytes. It must never know where bytes come from, or
// believe any of them: whoever asks checks what it got against what was signed.
//
// Each word is one line of JSON; where it says so, that many raw bytes follow.
//
//	-> {"op":"get","name":"metadata/timestamp.json","max":16384,"held":"9f86…"}
//	<- {"n":369}, 369 bytes, {"end":true}
//	<- {"error":"same"}       it still has the SHA-256 that is held
//	<- {"error":"not-found"}
//
//	-> {"op":"prepare","name":…,"sha256":…,"size":…,"want":[…],"have":[…]}
//	<- {"plan":{"download":83211,"scratch":120000}}
//
//	-> {"op":"file","sha256":…,"size":…,"whole":false}
//	<- {"done":4096,"total":83211} again and again, {"n":65536} and bytes, {"end":true}
package pipe

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"path"
)

// Bounds of what is read.
const (
	maxWord  = 2 << 20   // a question: prepare lists every file of two bundles
	maxReply = 4 << 10   // a word of an answer
	maxChunk = 1 << 20   // the bytes behind one word
	MaxGet   = 4_000_000 // the bytes of one get
	maxText  = 200       // of a text for people, as JSON
	// An answer has some words, and one in each so many bytes: there is progress ten
	// times in a second, in which the slowest network still brings a hundred bytes.
	someWords, eachBytes = 1 << 16, 16
	maxBytes             = 1 << 40 // of a plan or of progress: beyond is a lie, and would overflow what is made of it
)

// Errors that a caller branches on. They cross the pipe by name.
var (
	ErrSame     = errors.New("unchanged")                        // what is asked for is what the caller holds
	ErrNotFound = errors.New("not found")                        // the repository has no such file
	ErrOffline  = errors.New("the repository cannot be reached") // no answer, or none that makes sense; trying later may help
	ErrNoSpace  = errors.New("no space left for downloads")
	ErrCorrupt  = errors.New("the repository served wrong bytes")
)

var names = map[string]error{
	"same": ErrSame, "not-found": ErrNotFound, "offline": ErrOffline, "no-space": ErrNoSpace, "corrupt": ErrCorrupt,
}

func nameOf(err error) string {
	for name, e := range names {
		if errors.Is(err, e) {
			return name
		}
	}
	return "other"
}

// A File is content: lower-case hex SHA-256 and bytes.
type File struct {
	SHA256 string `json:"sha256"`
	Size   int64  `json:"size"`
}

// A Target is a signed file of the repository: what its signers say of it.
type Target struct {
	Name   string // as the signers call it, with slashes
	SHA256 string
	Size   int64
	Custom []byte // JSON, theirs; nil where they say nothing more
}

// File answers where the target's bytes lie in the repository, from its top: under
// their hash, as TUF's consistent snapshots want it.
func (t Target) File() string {
	dir, base := path.Split(t.Name)
	return "targets/" + dir + t.SHA256 + "." + base
}

// A Local is content that lies on this machine, where the fetcher may read it.
type Local struct {
	SHA256 string `json:"sha256"`
	Path   string `json:"path"`
}

// A Want names the signed file that tells how a release is delivered, which of
// its contents are wanted, and which old ones may help.
type Want struct {
	Name   string  `json:"name"` // from the repository's top, with slashes
	SHA256 string  `json:"sha256"`
	Size   int64   `json:"size"`
	Files  []File  `json:"want"`
	Have   []Local `json:"have,omitempty"`
}

// A Plan is what it will cost, in bytes.
type Plan struct {
	Download int64 `json:"download"` // to be transferred: what an earlier try left is not counted
	Scratch  int64 `json:"scratch"`  // the most that will lie in the fetcher's cache at one time
}

// A Server is the fetcher's side. It is called from one goroutine.
type Server interface {
	// Get answers a small file, at most max bytes. With have, the SHA-256 of
	// what the caller holds, ErrSame means that it is still that.
	Get(name string, max int64, have string) ([]byte, error)
	// Prepare fetches and checks what Want names, and says what its files cost.
	Prepare(w Want) (Plan, error)
	// File writes one prepared content to the caller. With whole it must not be
	// patched together from local content. told is called for progress.
	File(f File, whole bool, to io.Writer, told func(done, total int64)) error
}

type ask struct {
	Op    string `json:"op"`
	Max   int64  `json:"max,omitempty"`
	Held  string `json:"held,omitempty"`
	Whole bool   `json:"whole,omitempty"`
	Want
}

type answer struct {
	N     int64  `json:"n,omitempty"`
	End   bool   `json:"end,omitempty"`
	Error string `json:"error,omitempty"`
	Text  string `json:"text,omitempty"`
	Plan  *Plan  `json:"plan,omitempty"`
	Done  int64  `json:"done,omitempty"`
	Total int64  `json:"total,omitempty"`
}

// readWord reads one line into v. A line that is too long for r, or is not
// exactly one JSON value of known fields, is an error.
func readWord(r *bufio.Reader, v any) error {
	line, err := r.ReadSlice('\n')
	switch {
	case err == bufio.ErrBufferFull:
		return fmt.Errorf("a word of more than %d bytes", r.Size())
	case err == io.EOF && len(line) > 0:
		return io.ErrUnexpectedEOF
	case err != nil:
		return err
	}
	dec := json.NewDecoder(bytes.NewReader(line))
	dec.DisallowUnknownFields()
	if err := dec.Decode(v); err != nil {
		return fmt.Errorf("not a word of this pipe: %w", err)
	}
	if _, err := dec.Token(); err != io.EOF {
		return errors.New("two words in one line")
	}
	return nil
}

func writeWord(w io.Writer, v any) error {
	line, err := json.Marshal(v)
	if err != nil {
		return err
	}
	if len(line) >= maxWord {
		return fmt.Errorf("a word of more than %d bytes", maxWord)
	}
	_, err = w.Write(append(line, '\n'))
	return err
}
