package program

import (
	"context"
	"fmt"
	"os"
	"time"

	"portward/internal/jobs"
	"portward/internal/wire"
	"portward/internal/xpcpeer"
)

// EngineName is the descriptor on which the embedded engine serves one job.
const EngineName = "portward-engine"

// The two messages on that descriptor; what is inside belongs to jobs.
const (
	kindEngine = "engine"
	kindEvent  = "event"
	keyData    = "data"
)

// engineAnswers bounds one request to the engine: a job may take its exit
// time-out to stop.
const engineAnswers = time.Minute

// anyone is the policy for an inherited connection: who holds its other end
// was decided by whoever started this process.
func anyone(*xpcpeer.Evidence) error { return nil }

// Engine answers the job engine that started this program: the embedded one,
// where its descriptor was inherited, and else this system's own. Its targets
// have the product's plain names. gone is called when the embedded engine's
// descriptor closes.
func (p *Program) Engine(gone func()) (jobs.Engine, error) {
	f := p.Files[EngineName]
	if f == nil {
		e, err := p.systemEngine()
		return p.plain(e), err
	}
	e, err := inheritedEngine(f, gone)
	return p.plain(e), err
}

func inheritedEngine(f *os.File, gone func()) (jobs.Engine, error) {
	var conn *xpcpeer.Conn // set before client is used
	client := jobs.NewClient(func(ctx context.Context, req []byte) ([]byte, error) {
		ctx, cancel := context.WithTimeout(ctx, engineAnswers)
		defer cancel()
		d, err := conn.Call(ctx, wire.Dict{"k": kindEngine, keyData: req})
		if err != nil {
			return nil, err
		}
		b, ok := wire.Get[[]byte](d, keyData)
		if !ok {
			return nil, fmt.Errorf("%w: the engine's answer has no data", wire.ErrMalformed)
		}
		return b, nil
	})
	var err error
	conn, err = xpcpeer.FromFile(f, xpcpeer.Config{
		Policy: anyone,
		Events: xpcpeer.Events{
			Message: func(_ *xpcpeer.Conn, m *xpcpeer.Message) {
				if b, ok := wire.Get[[]byte](m.Dict(), keyData); ok {
					client.Deliver(b)
				}
			},
			Invalid: func(*xpcpeer.Conn, error) { gone() },
		},
	})
	if err != nil {
		return nil, err
	}
	return client, nil
}

// ServeEngine lets the holder of f's other end use e until that end closes or
// ctx ends. It takes f.
func ServeEngine(ctx context.Context, f *os.File, e jobs.Engine) error {
	ctx, cancel := context.WithCancel(ctx)
	events, err := e.Watch(ctx)
	if err != nil {
		cancel()
		f.Close()
		return err
	}
	conn, err := xpcpeer.FromFile(f, xpcpeer.Config{
		Policy: anyone,
		Events: xpcpeer.Events{
			// Requests may take long (Bootout), so each has its own goroutine.
			Message: func(_ *xpcpeer.Conn, m *xpcpeer.Message) {
				b, ok := wire.Get[[]byte](m.Dict(), keyData)
				if !ok {
					return
				}
				m.Keep()
				go m.Reply(wire.Dict{keyData: jobs.Handle(ctx, e, b)})
			},
			Invalid: func(*xpcpeer.Conn, error) { cancel() },
		},
	})
	if err != nil {
		cancel()
		return err
	}
	go func() {
		defer conn.Close()
		for ev := range events {
			if conn.Send(ctx, wire.Dict{"k": kindEvent, keyData: jobs.MarshalEvent(ev)}) != nil {
				return
			}
		}
	}()
	return nil
}
