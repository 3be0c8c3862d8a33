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
// that is none of this package's it is of no use any more.
type Client struct {
	r *bufio.Reader
	w io.Writer
}

// NewClient speaks to a fetcher whose output is r and whose input is w.
func NewClient(r io.Reader, w io.Writer) *Client { return &Client{bufio.NewReader(r), w} }

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
	var a answer
	if err := readWord(c.r, &a); err != nil {
		return Plan{}, err
	}
	if a.Error != "" {
		return Plan{}, fmt.Errorf("%s: %w", w.Name, a.err())
	}
	if a.Plan == nil || a.Plan.Download < 0 || a.Plan.Scratch < 0 || max(a.Plan.Download, a.Plan.Scratch) > maxBytes {
		return Plan{}, errors.New("the fetcher answered without a plan")
	}
	return *a.Plan, nil
}

// File writes exactly f.Size bytes to to, or answers an error; bytes may have
// been written then. told may be nil. See Server.
func (c *Client) File(f File, whole bool, to io.Writer, told func(done, total int64)) error {
	n, err := c.read(ask{Op: "file", Whole: whole, Want: Want{SHA256: f.SHA256, Size: f.Size}}, to, f.Size, told)
	if err == nil && n != f.Size {
		err = fmt.Errorf("%w: %d bytes instead of %d", ErrCorrupt, n, f.Size)
	}
	return err
}

// read asks, copies what is answered, at most most bytes, and answers how many.
func (c *Client) read(q ask, to io.Writer, most int64, told func(done, total int64)) (n int64, err error) {
	if err := writeWord(c.w, q); err != nil {
		return 0, err
	}
	for {
		var a answer
		switch err := readWord(c.r, &a); {
		case err != nil:
			return n, err
		case a.Error != "":
			return n, a.err()
		case a.End && a.N == 0:
			return n, nil
		case a.End, a.N < 0 || a.N > maxChunk || a.N > most-n:
			return n, fmt.Errorf("the fetcher announced %d bytes where at most %d may come, or none after the end", a.N, min(most-n, maxChunk))
		case a.N > 0:
			if _, err := io.CopyN(to, c.r, a.N); err != nil {
				return n, err
			}
			n += a.N
		case told != nil:
			done := max(a.Done, 0)
			told(done, max(a.Total, done))
		}
	}
}

func (a answer) err() error {
	text := Clip(a.Text)
	if e := names[a.Error]; e != nil {
		if text == "" {
			return e
		}
		return fmt.Errorf("%w: %s", e, text)
	}
	return errors.New("the fetcher says: " + text)
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
