package pipe

import (
	"bufio"
	"errors"
	"fmt"
	"io"
)

// Serve answers what it is asked on r, in order, until r ends, which is no
// error.
func Serve(r io.Reader, w io.Writer, s Server) error {
	in := bufio.NewReader(r)
	for {
		var q ask
		if err := readWord(in, &q); errors.Is(err, io.EOF) {
			return nil
		} else if err != nil {
			return err
		}
		out := &chunks{w: w}
		var err error
		switch q.Op {
		case "get":
			var b []byte
			if b, err = s.Get(q.Name, bound(q.Max), q.Held); err == nil {
				_, err = out.Write(b)
			}
		case "prepare":
			var p Plan
			if p, err = s.Prepare(q.Want); err == nil {
				if err := writeWord(w, answer{Plan: &p}); err != nil {
					return err
				}
				continue
			}
		case "file":
			err = s.File(File{q.SHA256, q.Size}, q.Whole, out, out.told)
		default:
			err = fmt.Errorf("no operation %q", q.Op)
		}
		end := answer{End: true}
		if err != nil {
			end = answer{Error: nameOf(err), Text: Clip(err.Error())}
		}
		if out.broken != nil {
			return out.broken
		}
		if err := writeWord(w, end); err != nil {
			return err
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

func (c *chunks) Write(p []byte) (int, error) {
	for n := 0; n < len(p); {
		part := p[n:min(len(p), n+maxChunk)]
		if c.broken == nil {
			c.broken = writeWord(c.w, answer{N: int64(len(part))})
		}
		if c.broken == nil {
			_, c.broken = c.w.Write(part)
		}
		if c.broken != nil {
			return n, c.broken
		}
		n += len(part)
	}
	return len(p), nil
}

func (c *chunks) told(done, total int64) {
	if c.broken == nil {
		c.broken = writeWord(c.w, answer{Done: max(done, 0), Total: max(total, 1)})
	}
}
