package viewer

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/coder/websocket"
)

var errNotAuthorised = errors.New("not authorised")

// socket leads one connection from stranger to viewer. A page of another origin
// could open it with the user's browser, so Origin must be ours, always.
func (s *server) socket(w http.ResponseWriter, r *http.Request) {
	if !strings.EqualFold(r.Header.Get("Origin"), "https://"+r.Host) {
		http.Error(w, "this origin may not connect", http.StatusForbidden)
		return
	}
	c, err := s.meet(w, r)
	if err != nil {
		s.cfg.Log("viewer: %v", err)
		return
	}
	defer c.CloseNow()
	select {
	case s.seats <- struct{}{}:
		defer func() { <-s.seats }()
	default:
		_ = c.Close(websocket.StatusTryAgainLater, "too many viewers")
		return
	}
	if err := s.show(r.Context(), c); err != nil && websocket.CloseStatus(err) == -1 {
		s.cfg.Log("viewer: %v", err)
	}
}

// meet accepts the WebSocket and has the token proven.
func (s *server) meet(w http.ResponseWriter, r *http.Request) (*websocket.Conn, error) {
	select {
	case s.strangers <- struct{}{}:
		defer func() { <-s.strangers }()
	default:
		http.Error(w, "too many connections", http.StatusServiceUnavailable)
		return nil, errors.New("too many connections without a token")
	}
	c, err := websocket.Accept(w, r, &websocket.AcceptOptions{CompressionMode: websocket.CompressionDisabled})
	if err != nil {
		return nil, err
	}
	if err := s.authorise(r.Context(), c); err != nil {
		_ = c.Close(websocket.StatusPolicyViolation, errNotAuthorised.Error())
		return nil, err
	}
	return c, nil
}

func (s *server) authorise(ctx context.Context, c *websocket.Conn) error {
	c.SetReadLimit(maxHello)
	ctx, cancel := context.WithTimeout(ctx, s.patience.hello)
	defer cancel()
	kind, data, err := c.Read(ctx)
	if err != nil {
		return err
	}
	token, err := parseHello(data)
	if err != nil || kind != websocket.MessageText || !admits(s.cfg.Token, token) {
		return errors.Join(errNotAuthorised, err)
	}
	return nil
}

// show sends what the hub offers until one side goes.
func (s *server) show(ctx context.Context, c *websocket.Conn) error {
	ctx, cancel := context.WithCancel(c.CloseRead(ctx))
	var helpers sync.WaitGroup
	defer helpers.Wait()
	defer cancel()

	box := newOutbox()
	sub, err := s.cfg.Hub.Subscribe(ctx, box)
	if err != nil {
		return err
	}
	defer sub.Cancel()
	helpers.Go(func() {
		defer cancel()
		s.knock(ctx, c)
	})
	return s.send(ctx, c, box, sub.Drained)
}

// knock pings the viewer until it does not answer.
func (s *server) knock(ctx context.Context, c *websocket.Conn) {
	t := time.NewTicker(s.patience.ping)
	defer t.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-t.C:
		}
		wait, cancel := context.WithTimeout(ctx, s.patience.ping+s.patience.write)
		err := c.Ping(wait)
		cancel()
		if err != nil {
			return
		}
	}
}

// send empties box into c; drained is called for a session whose refused lane
// is empty again.
func (s *server) send(ctx context.Context, c *websocket.Conn, box *outbox, drained func(session string)) error {
	greeted := false
	for {
		states, u, ok := box.take()
		switch {
		case !ok:
			select {
			case <-box.wake:
				continue
			case <-ctx.Done():
				return nil
			}
		case states != nil:
			if err := s.write(ctx, c, websocket.MessageText, s.greet(states, !greeted)); err != nil {
				return err
			}
			greeted = true
		default:
			if err := s.write(ctx, c, websocket.MessageBinary, u.Message); err != nil {
				return err
			}
			if box.sent(u.Session) {
				drained(u.Session)
			}
		}
	}
}

func (s *server) write(ctx context.Context, c *websocket.Conn, kind websocket.MessageType, data []byte) error {
	ctx, cancel := context.WithTimeout(ctx, s.patience.write)
	defer cancel()
	return c.Write(ctx, kind, data)
}
