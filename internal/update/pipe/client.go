package pipe

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"unicode"
)

// A Client is the supervisor's side. What it answers is hostile until it was
// compared with something signed. It is used from one goroutine; after an error
// that is none of this package's it is of no use any more. A question lasts until
// it is answered, or the caller closes the pipes.
type Client struct {
	r *bufio.Reader
	w io.Writer
}

// NewClient speaks to a fetcher whose output is r and whose input is w.
func NewClient(r io.Reader, w io.Writer) *Client {
	return &Client{bufio.NewReaderSize(r, maxReply), w}
}

// Get asks for a small file. See Server.
func (c *Client) Get(name string, max int64, have string) ([]byte, error) {
	most := bound(max)
	var b bytes.Buffer
	if _, err := c.read(ask{Op: "get", Max: most, Held: have, Want: Want{Name: name}}, &b, most, nil); err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	return b.Bytes(), nil
}

// Prepare says what is wanted. See Server.
func (c *Client) Prepare(w Want) (Plan, error) {
	if err := writeWord(c.w, ask{Op: "prepare", Want: w}); err != nil {
		return Plan{}, err
	}
	switch a, err := c.hear(); {
	case err != nil:
		return Plan{}, fmt.Errorf("%s: %w", w.Name, err)
	case a.Plan == nil || a.Plan.Download < 0 || a.Plan.Scratch < 0 || max(a.Plan.Download, a.Plan.Scratch) > maxBytes:
		return Plan{}, errors.New("the fetcher answered without a plan")
	default:
		return *a.Plan, nil
	}
}

// File writes exactly f.Size bytes to to, or answers an error; bytes may have
// been written then. told may be nil. See Server.
func (c *Client) File(f File, whole bool, to io.Writer, told func(done, total int64)) error {
	if told == nil {
		told = func(int64, int64) {}
	}
	n, err := c.read(ask{Op: "file", Whole: whole, Want: Want{SHA256: f.SHA256, Size: f.Size}}, to, f.Size, told)
	if err == nil && n != f.Size {
		err = fmt.Errorf("%w: %d bytes instead of %d", ErrCorrupt, n, f.Size)
	}
	return err
}

// read asks, copies what is answered, at most most bytes, and answers how many.
// Without told there is no progress in the answer.
func (c *Client) read(q ask, to io.Writer, most int64, told func(done, total int64)) (n int64, err error) {
	if err := writeWord(c.w, q); err != nil {
		return 0, err
	}
	for range someWords + most/eachBytes {
		switch a, err := c.hear(); {
		case err != nil:
			return n, err
		case a.End && a.N == 0:
			return n, nil
		case a.End, told == nil && a.N == 0, a.N < 0 || a.N > maxChunk || a.N > most-n:
			return n, fmt.Errorf("the fetcher announced %d bytes where at most %d may come, or what nobody asked for", a.N, min(most-n, maxChunk))
		case a.N > 0:
			if _, err := io.CopyN(to, c.r, a.N); err != nil {
				return n, err
			}
			n += a.N
		default:
			done := max(a.Done, 0)
			told(done, max(a.Total, done))
		}
	}
	return n, errors.New("the fetcher says too many words")
}

// hear answers the next word, or the error that it is.
func (c *Client) hear() (a answer, err error) {
	if err = readWord(c.r, &a); err != nil || a.Error == "" {
		return a, err
	}
	if err = names[a.Error]; err == nil {
		err = errors.New("the fetcher says")
	}
	return a, fmt.Errorf("%w: %s", err, Clip(a.Text))
}

// Clip makes one line of printable letters of a text, and ends it where it would
// be too long.
func Clip(text string) string {
	text = strings.Join(strings.FieldsFunc(text, func(r rune) bool { return !unicode.IsPrint(r) }), "; ")
	left := maxText
	return strings.Map(func(r rune) rune {
		written, _ := json.Marshal(string(r))
		if left -= len(written) - len(`""`); left < 0 {
			return -1
		}
		return r
	}, text)
}
