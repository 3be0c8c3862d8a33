package jobs

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"time"
)

// request and reply are what Client and Handle say to each other, in JSON. How
// it travels is not known here.
type request struct {
	Op     string    `json:"op"`
	Target Target    `json:"target,omitempty"`
	Domain Domain    `json:"domain,omitempty"`
	Path   string    `json:"path,omitempty"`
	Kill   bool      `json:"kill,omitempty"`
	Until  time.Time `json:"until,omitzero"`
}

type reply struct {
	Error    *fault    `json:"error,omitempty"`
	State    *State    `json:"state,omitempty"`
	List     []State   `json:"list,omitempty"`
	Sessions []Session `json:"sessions,omitempty"`
}

// Handle answers one request of a Client with the help of e. It returns when
// the engine does, so requests want a goroutine each. Events do not come this
// way: whoever serves also watches and sends each MarshalEvent.
func Handle(ctx context.Context, e Engine, data []byte) []byte {
	r, err := dispatch(ctx, e, data)
	r.Error = toFault(err)
	out, err := json.Marshal(r)
	if err != nil { // a time of year 10000 or the like
		out, _ = json.Marshal(reply{Error: toFault(err)})
	}
	return out
}

func dispatch(ctx context.Context, e Engine, data []byte) (r reply, err error) {
	var q request
	if err := strictJSON(data, &q); err != nil {
		return r, wrap("handle", "request", err)
	}
	switch q.Op {
	case "bootstrap":
		err = e.Bootstrap(ctx, q.Domain, q.Path)
	case "bootout":
		err = e.Bootout(ctx, q.Target)
	case "kickstart":
		err = e.Kickstart(ctx, q.Target, q.Kill)
	case "hold":
		err = e.Hold(ctx, q.Target, q.Until)
	case "state":
		var s State
		if s, err = e.State(ctx, q.Target); err == nil {
			r.State = &s
		}
	case "list":
		r.List, err = e.List(ctx)
	case "sessions":
		r.Sessions, err = e.Sessions(ctx)
	default:
		err = wrap("handle", fmt.Sprintf("%q", q.Op), ErrMalformed)
	}
	return r, err
}

// MarshalEvent prepares an event for Client.Deliver.
func MarshalEvent(e Event) []byte {
	out, err := json.Marshal(e)
	if err != nil {
		panic("jobs: event that JSON cannot say: " + err.Error()) // its times are our own
	}
	return out
}

// Client is the Engine behind a Handle elsewhere. Its methods may be called
// from any goroutine.
type Client struct {
	do   func(context.Context, []byte) ([]byte, error)
	feed feed
}

var _ Engine = (*Client)(nil)

// NewClient makes a Client; do carries a request to Handle and its answer back.
func NewClient(do func(context.Context, []byte) ([]byte, error)) *Client {
	return &Client{do: do}
}

func (c *Client) call(ctx context.Context, q request) (r reply, err error) {
	out, err := json.Marshal(q)
	if err != nil {
		return r, wrap(q.Op, "request", err)
	}
	in, err := c.do(ctx, out)
	if err != nil {
		return r, wrap(q.Op, string(q.Target), err)
	}
	if err := json.Unmarshal(in, &r); err != nil {
		return r, wrap(q.Op, "reply", fmt.Errorf("%w: %w", ErrMalformed, err))
	}
	return r, r.Error.err()
}

// Bootstrap is Engine's. The path is the server's.
func (c *Client) Bootstrap(ctx context.Context, d Domain, path string) error {
	_, err := c.call(ctx, request{Op: "bootstrap", Domain: d, Path: path})
	return err
}

// Bootout is Engine's.
func (c *Client) Bootout(ctx context.Context, t Target) error {
	_, err := c.call(ctx, request{Op: "bootout", Target: t})
	return err
}

// Kickstart is Engine's.
func (c *Client) Kickstart(ctx context.Context, t Target, kill bool) error {
	_, err := c.call(ctx, request{Op: "kickstart", Target: t, Kill: kill})
	return err
}

// Hold is Engine's.
func (c *Client) Hold(ctx context.Context, t Target, until time.Time) error {
	_, err := c.call(ctx, request{Op: "hold", Target: t, Until: until})
	return err
}

// State is Engine's.
func (c *Client) State(ctx context.Context, t Target) (State, error) {
	r, err := c.call(ctx, request{Op: "state", Target: t})
	if err == nil && r.State == nil {
		err = wrap("state", "reply", ErrMalformed)
	}
	if err != nil {
		return State{}, err
	}
	return *r.State, nil
}

// List is Engine's.
func (c *Client) List(ctx context.Context) ([]State, error) {
	r, err := c.call(ctx, request{Op: "list"})
	return r.List, err
}

// Sessions is Engine's.
func (c *Client) Sessions(ctx context.Context) ([]Session, error) {
	r, err := c.call(ctx, request{Op: "sessions"})
	return r.Sessions, err
}

// Watch is Engine's; what it reports is what Deliver is given.
func (c *Client) Watch(ctx context.Context) (<-chan Event, error) {
	events, err := c.feed.watch(ctx)
	return events, wrap("watch", "jobs", err)
}

// Deliver hands one marshalled event to everyone who watches. It never waits
// for them. Fields that a later version added are ignored.
func (c *Client) Deliver(event []byte) error {
	var e Event
	if err := json.Unmarshal(event, &e); err != nil {
		return wrap("deliver", "event", fmt.Errorf("%w: %w", ErrMalformed, err))
	}
	c.feed.send(e)
	return nil
}

// strictJSON refuses fields it does not know, because an order half understood
// is another order, and anything after the value.
func strictJSON(data []byte, v any) error {
	d := json.NewDecoder(bytes.NewReader(data))
	d.DisallowUnknownFields()
	if err := d.Decode(v); err != nil {
		return fmt.Errorf("%w: %w", ErrMalformed, err)
	}
	if d.More() {
		return fmt.Errorf("%w: something after the value", ErrMalformed)
	}
	return nil
}
