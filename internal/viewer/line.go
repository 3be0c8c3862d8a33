package viewer

import (
	"context"
	"errors"
	"slices"
	"sync/atomic"
	"time"

	"github.com/coder/websocket"
)

// pieceBytes is how much a viewer must take within patiences.write.
const pieceBytes = 1 << 20

var errTakesNothing = errors.New("takes nothing of what it is sent")

// A line is the way to one viewer. What counts is that it takes something, not
// how long a message is: a large picture on a slow way is no reason to part.
type line struct {
	*websocket.Conn
	patience patiences
	writing  atomic.Bool  // a message is on its way
	taken    atomic.Int64 // bytes, in all
}

// write sends one message, piece after piece. Only one write may be under way.
func (l *line) write(ctx context.Context, kind websocket.MessageType, message [][]byte) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	limit := time.AfterFunc(l.patience.write, func() { cancel(errTakesNothing) })
	defer limit.Stop()
	l.writing.Store(true)
	defer l.writing.Store(false)
	if err := l.send(ctx, kind, message, limit); err != nil {
		if cause := context.Cause(ctx); cause != nil {
			return cause
		}
		return err
	}
	return nil
}

// send sets limit anew with each piece.
func (l *line) send(ctx context.Context, kind websocket.MessageType, message [][]byte, limit *time.Timer) error {
	if len(message) == 1 && len(message[0]) <= pieceBytes {
		defer l.taken.Add(int64(len(message[0])))
		return l.Write(ctx, kind, message[0])
	}
	w, err := l.Writer(ctx, kind)
	if err != nil {
		return err
	}
	for _, part := range message {
		for piece := range slices.Chunk(part, pieceBytes) {
			limit.Reset(l.patience.write)
			if _, err := w.Write(piece); err != nil {
				return err
			}
			l.taken.Add(int64(len(piece)))
		}
	}
	limit.Reset(l.patience.write)
	return w.Close()
}

// knock pings the viewer until it does not answer. Behind a message on its way,
// or much that was, the answer may be late; there write is the judge.
func (l *line) knock(ctx context.Context) {
	t := time.NewTicker(l.patience.ping)
	defer t.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-t.C:
		}
		if l.writing.Load() {
			continue
		}
		before := l.taken.Load()
		if l.ping(ctx) != nil && !l.writing.Load() && l.taken.Load() < before+pieceBytes {
			return
		}
	}
}

func (l *line) ping(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, l.patience.ping+l.patience.write)
	defer cancel()
	return l.Ping(ctx)
}
