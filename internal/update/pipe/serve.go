package pipe

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"slices"
)

// Serve answers what it is asked on r, in order, until r ends, which is no
// error.
func Serve(r io.Reader, w io.Writer, s Server) error {
	in := bufio.NewReaderSize(r, maxWord)
	for {
		var q ask
		if err := readWord(in, &q); errors.Is(err, io.EOF) {
			return nil
		} else if err != nil {
			return err
		}
		out, end := &chunks{w: w}, answer{End: true}
		var err error
		switch q.Op {
		case "get":
			var b []byte
			if b, err = s.Get(q.Name, bound(q.Max), q.Held); err == nil {
				_, err = out.Write(b)
			}
		case "prepare":
			var p Plan
			p, err = s.Prepare(q.Want)
			end = answer{Plan: &p}
		case "file":
			err = s.File(File{q.SHA256, q.Size}, q.Whole, out, out.told)
		default:
			err = fmt.Errorf("no operation %q", q.Op)
		}
		if err != nil {
			end = answer{Error: nameOf(err), Text: Clip(err.Error())}
		}
		if out.say(end); out.broken != nil {
			return out.broken
		}
	}
}

// bound is how much a get may bring.
func bound(most int64) int64 { return min(max(most, 0), MaxGet) }

// chunks writes bytes as words, and remembers that the other side is gone.
type chunks struct {
	w      io.Writer
	broken error
}

func (c *chunks) say(a answer) {
	if c.broken == nil {
		c.broken = writeWord(c.w, a)
	}
}

func (c *chunks) Write(p []byte) (int, error) {
	for part := range slices.Chunk(p, maxChunk) {
		if c.say(answer{N: int64(len(part))}); c.broken == nil {
			_, c.broken = c.w.Write(part)
		}
	}
	if c.broken != nil {
		return 0, c.broken
	}
	return len(p), nil
}

func (c *chunks) told(done, total int64) { c.say(answer{Done: max(done, 0), Total: max(total, 1)}) }
