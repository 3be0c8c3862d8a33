package viewer

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"sync"

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

	box, l := newOutbox(), &line{Conn: c, patience: s.patience}
	sub, err := s.cfg.Hub.Subscribe(ctx, box)
	if err != nil {
		return err
	}
	defer sub.Cancel()
	helpers.Go(func() {
		defer cancel()
		l.knock(ctx)
	})
	return s.send(ctx, l, box, sub.Drained)
}

// send empties box into l; drained is called for a session whose refused lane
// is empty again.
func (s *server) send(ctx context.Context, l *line, box *outbox, drained func(session string)) error {
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
			if err := l.write(ctx, websocket.MessageText, [][]byte{s.greet(states, !greeted)}); err != nil {
				return err
			}
			greeted = true
		default:
			if err := l.write(ctx, websocket.MessageBinary, u.Message); err != nil {
				return err
			}
			if box.sent(u.Session) {
				drained(u.Session)
			}
		}
	}
}
