package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strings"
	"time"

	"portward/internal/fault"
	"portward/internal/jobs"
	"portward/internal/program"
	"portward/internal/status"
	"portward/internal/wire"
	"portward/internal/xpcpeer"
)

// controlName is the running `up`'s socket.
const controlName = "portward-up"

// A request to the running `up`; the answer is a response. Both are JSON in
// one message: only programs of one build talk here.
type request struct {
	Op     string `json:"op"` // "snapshot", "poke", "disarm" or "kickstart"
	Job    string `json:"job,omitempty"`
	Fault  string `json:"fault,omitempty"`
	Always bool   `json:"always,omitempty"`
}

type response struct {
	Error    string   `json:"error,omitempty"`
	Snapshot snapshot `json:"snapshot,omitzero"`
}

const (
	kindControl = "control"
	keyJSON     = "json"
)

// myOwn is the client's policy: root may ask anybody's.
func myOwn(ev *xpcpeer.Evidence) error {
	if os.Geteuid() == 0 {
		return nil
	}
	return sameUser(ev)
}

// sameUser is the policy of the control socket.
func sameUser(ev *xpcpeer.Evidence) error {
	if int(ev.UID) != os.Geteuid() && ev.UID != 0 {
		return fmt.Errorf("uid %d is not the one that runs this", ev.UID)
	}
	return nil
}

// openControl listens for status and poke. The socket is 0600.
func (w *world) openControl() (io.Closer, error) {
	dir := program.RunDir(w.o.root)
	f, err := xpcpeer.BindUnix(dir, controlName, 0o600)
	if err != nil {
		return nil, err
	}
	defer f.Close() // the listener has its own
	t := xpcpeer.Unix(dir, map[string]*os.File{controlName: f})
	return xpcpeer.Listen(t, controlName, xpcpeer.Config{
		Policy: sameUser,
		Log:    w.show.note,
		Accept: func(*xpcpeer.Conn) (xpcpeer.Events, error) {
			return xpcpeer.Events{Message: w.asked}, nil
		},
	})
}

func (w *world) asked(_ *xpcpeer.Conn, m *xpcpeer.Message) {
	var req request
	b, _ := wire.Get[[]byte](m.Dict(), keyJSON)
	resp := response{}
	if err := json.Unmarshal(b, &req); err != nil {
		resp.Error = err.Error()
	} else if err := w.do(req, &resp); err != nil {
		resp.Error = err.Error()
	}
	out, err := json.Marshal(resp)
	if err != nil {
		out = []byte(`{"error":"the answer cannot be written"}`)
	}
	m.Reply(wire.Dict{"k": kindControl, keyJSON: out})
}

// do carries one request out.
func (w *world) do(req request, resp *response) error {
	switch req.Op {
	case "snapshot":
		resp.Snapshot = w.snapshot()
		return nil
	case "poke":
		t, err := target(req.Job)
		if err != nil {
			return err
		}
		f, err := fault.Parse(req.Fault)
		if err != nil {
			return err
		}
		if t == supervisorTarget && f != fault.Crash && f != fault.Stop {
			return fmt.Errorf("the supervisor takes --crash and --stop, not --%v", f)
		}
		w.show.note("poke: %s shall %v%s", t, f, map[bool]string{true: ", and so shall its later lives"}[req.Always])
		return w.host.faults().poke(t, f, req.Always)
	case "disarm":
		t, err := target(req.Job)
		if err == nil {
			w.host.faults().disarm(t)
		}
		return err
	case "kickstart":
		t, err := target(req.Job)
		if err != nil {
			return err
		}
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		return w.untilWhen(w.engine.Kickstart(ctx, t, false))
	}
	return fmt.Errorf("no operation %q", req.Op)
}

// untilWhen adds to the error for a job that is held what is known of that.
func (w *world) untilWhen(err error) error {
	if !errors.Is(err, jobs.ErrHeld) {
		return err
	}
	st, unread := status.Read(program.StatusPath(w.o.root))
	if c := st.NetChild; unread == nil && c.State == status.Held { // nothing else is ever held
		return fmt.Errorf("%w: %s", err, heldInWords(c))
	}
	return err
}

// target answers the job that a person calls netchild, supervisor or guiagent/N.
func target(name string) (jobs.Target, error) {
	switch kind, session, _ := strings.Cut(name, "/"); {
	case name == "netchild":
		return netchildTarget, nil
	case name == "supervisor":
		return supervisorTarget, nil
	case kind == "guiagent" && session != "" && !strings.Contains(session, "/"):
		return agentTarget(session), nil
	}
	return "", fmt.Errorf("no job %q: netchild, supervisor or guiagent/SESSION", name)
}

// nickname is what target reads, and one for the job that is not poked.
func nickname(t jobs.Target) string {
	switch {
	case t == netchildTarget:
		return "netchild"
	case t == supervisorTarget:
		return "supervisor"
	case t == rescueTarget:
		return "rescue"
	case t.Session() != "" && t == agentTarget(t.Session()):
		return "guiagent/" + t.Session()
	}
	return string(t)
}

// somebodyElses is for who may not see what runs or ran on root.
func somebodyElses(root string, err error) error {
	return fmt.Errorf("the `portward up` on %s is somebody else's: %w", root, err)
}

// noUp is for who finds nobody to ask.
func noUp(root string) error {
	return fmt.Errorf("no `portward up` runs on %s\nhint: start one, or say where with --root DIR", root)
}

func askAs(policy xpcpeer.Policy, root string, req request) (response, error) {
	dir := program.RunDir(root)
	c := xpcpeer.Dial(xpcpeer.Unix(dir, nil), controlName, xpcpeer.Config{Policy: policy})
	defer c.Close()
	b, err := json.Marshal(req)
	if err != nil {
		return response{}, err
	}
	ctx, cancel := context.WithTimeout(context.Background(), 15*time.Second)
	defer cancel()
	d, err := c.Call(ctx, wire.Dict{"k": kindControl, keyJSON: b})
	if errors.Is(err, xpcpeer.ErrRefused) || errors.Is(err, fs.ErrPermission) {
		return response{}, somebodyElses(root, err)
	}
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, xpcpeer.ErrInvalid) {
		return response{}, noUp(root)
	}
	if err != nil {
		return response{}, err
	}
	out, _ := wire.Get[[]byte](d, keyJSON)
	var resp response
	if err := json.Unmarshal(out, &resp); err != nil {
		return response{}, fmt.Errorf("the running up answers in an unknown form: %w", err)
	}
	if resp.Error != "" {
		return resp, errors.New(resp.Error)
	}
	return resp, nil
}
