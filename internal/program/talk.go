package program

import (
	"context"
	"errors"
	"io"
	"os"
	"time"
)

// hangUpGrace is how long a child may take to end when nobody speaks to it any more.
const hangUpGrace = time.Second

// Talk starts c with pipes as its input and output, and answers their other ends.
// end hangs up and answers how c ended; it has to be called. The pipes end with ctx
// too: whom the child has started may hold the child's ends.
func (p *Program) Talk(ctx context.Context, c *Child) (hear io.Reader, say io.Writer, end func() error, err error) {
	in, inW, err := os.Pipe()
	outR, out, more := os.Pipe()
	defer in.Close()
	defer out.Close()
	hangUp := func() { inW.Close(); outR.Close() }
	ctx, cancel := context.WithCancel(ctx)
	c.In, c.Out = in, out
	if err = errors.Join(err, more); err == nil {
		err = p.StartChild(ctx, c)
	}
	if err != nil {
		cancel()
		hangUp()
		return nil, nil, nil, err
	}
	context.AfterFunc(ctx, hangUp)
	return outR, inW, func() error {
		hangUp()
		grace := time.AfterFunc(hangUpGrace, cancel)
		err := c.Wait(ctx)
		grace.Stop()
		cancel()
		return err
	}, nil
}
