package jobs

import (
	"context"
	"encoding/json"
	"errors"
	"os"
	"strings"
	"testing"
	"time"
)

// Every sentinel is what it was after it has crossed a process border, and the
// text is kept.
func TestErrorsCross(t *testing.T) {
	for _, c := range codes() {
		sent := wrap("bootstrap", "system/a", inFile("f.plist", atKey("Label", c.err)))
		data, err := json.Marshal(toFault(sent))
		if err != nil {
			t.Fatal(err)
		}
		var f fault
		if err := json.Unmarshal(data, &f); err != nil {
			t.Fatal(err)
		}
		got := f.err()
		if !errors.Is(got, c.err) || !errors.Is(got, ErrBadSpec) || got.Error() != sent.Error() {
			t.Errorf("%v became %v", sent, got)
		}
		for _, other := range codes() {
			if errors.Is(sent, other.err) != errors.Is(got, other.err) {
				t.Errorf("%v: %s differs", sent, other.name)
			}
		}
	}
}

// A reply that is none, and a transport that fails, are errors.
func TestClientDistrusts(t *testing.T) {
	broken := errors.New("broken")
	for in, want := range map[string]error{"": ErrMalformed, "[]": ErrMalformed, "{}": ErrMalformed, `{"state":{"status":"odd"}}`: ErrMalformed, "fail": broken} {
		c := NewClient(func(context.Context, []byte) ([]byte, error) {
			if in == "fail" {
				return nil, broken
			}
			return []byte(in), nil
		})
		if _, err := c.State(t.Context(), "system/a"); !errors.Is(err, want) {
			t.Errorf("%q: %v", in, err)
		}
	}
	c := NewClient(nil)
	if err := c.Deliver([]byte(`{"kind":"invented"}`)); !errors.Is(err, ErrMalformed) {
		t.Error(err)
	}
}

// An event arrives as it was.
func TestEventCrosses(t *testing.T) {
	c := NewClient(nil)
	ctx, cancel := context.WithCancel(t.Context())
	events, err := c.Watch(ctx)
	if err != nil {
		t.Fatal(err)
	}
	for k := Started; k <= Overflow; k++ {
		sent := Event{Target: "gui/1/a", Life: 3, Kind: k, Time: time.Now().Round(0), PID: 7, Exit: Exit{Signal: 9, CPU: time.Second}, Err: "x"}
		if err := c.Deliver(MarshalEvent(sent)); err != nil {
			t.Fatal(err)
		}
		got := <-events
		if !got.Time.Equal(sent.Time) {
			t.Errorf("time %v became %v", sent.Time, got.Time)
		}
		if got.Time = sent.Time; got != sent {
			t.Errorf("%+v became %+v", sent, got)
		}
	}
	cancel()
	if _, open := <-events; open {
		t.Error("an event after the end")
	}
	slow, err := c.Watch(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for range WatchQueue + 5 {
		if err := c.Deliver(MarshalEvent(Event{Kind: Loaded})); err != nil {
			t.Fatal(err)
		}
	}
	var last Event
	for last = range slow {
	}
	if last.Kind != Overflow {
		t.Errorf("a slow reader ends with %v", last.Kind)
	}
}

// Every value of the enums has a name of its own that comes back.
func TestEnumNames(t *testing.T) {
	seen := map[string]bool{}
	for k := EventKind(1); int(k) < len(eventNames()); k++ {
		var back EventKind
		if err := back.UnmarshalText([]byte(k.String())); err != nil || back != k || seen[k.String()] {
			t.Errorf("%v: %v, %v", k, back, err)
		}
		seen[k.String()] = true
	}
	for s := Status(1); int(s) < len(statusNames()); s++ {
		var back Status
		if err := back.UnmarshalText([]byte(s.String())); err != nil || back != s {
			t.Errorf("%v: %v, %v", s, back, err)
		}
	}
	if Overflow.String() != "overflow" || Stopping.String() != "stopping" || !strings.Contains(Status(99).String(), "99") {
		t.Error(Overflow, Stopping, Status(99))
	}
}

// deaf is an engine that knows nothing.
type deaf struct{}

func (deaf) Bootstrap(context.Context, Domain, string) error { return ErrBadSpec }
func (deaf) Bootout(context.Context, Target) error           { return ErrNotLoaded }
func (deaf) Kickstart(context.Context, Target, bool) error   { return ErrHeld }
func (deaf) Hold(context.Context, Target, time.Time) error   { return nil }
func (deaf) State(context.Context, Target) (State, error)    { return State{}, ErrNotLoaded }
func (deaf) List(context.Context) ([]State, error)           { return nil, os.ErrPermission }
func (deaf) Sessions(context.Context) ([]Session, error)     { return nil, nil }
func (deaf) Watch(context.Context) (<-chan Event, error)     { return nil, ErrClosed }

// Whatever is asked, the answer is a reply.
func FuzzHandle(f *testing.F) {
	for _, s := range []string{"", "{}", `{"op":"state","target":"system/a"}`, `{"op":"hold","until":"2026-01-01T00:00:00Z"}`,
		`{"op":"list"} {}`, `{"op":"kickstart","kill":true,"x":1}`} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		var r reply
		if err := json.Unmarshal(Handle(context.Background(), deaf{}, data), &r); err != nil {
			t.Fatal(err)
		}
	})
}

// The variables of sd_listen_fds(3) are believed only as a whole.
func FuzzListen(f *testing.F) {
	f.Add("2", "a:b")
	f.Add("1", "")
	f.Add("-1", "a")
	f.Add("2", "a:a")
	f.Fuzz(func(t *testing.T, count, names string) {
		list, err := parseListen(count, names)
		if err == nil && len(list) > 0 && strings.Join(list, ":") != names {
			t.Fatalf("%q of %q", list, names)
		}
	})
}

func TestParseListen(t *testing.T) {
	for _, c := range [][2]string{{"x", "a"}, {"-1", "a"}, {"2", "a"}, {"1", "a:b"}, {"2", "a:a"}, {"1", ""}, {"2", "a:"}, {"99999", "a"}} {
		if list, err := parseListen(c[0], c[1]); !errors.Is(err, ErrMalformed) {
			t.Errorf("%q %q: %q, %v", c[0], c[1], list, err)
		}
	}
	if list, err := parseListen("0", ""); err != nil || list != nil {
		t.Error(list, err)
	}
}

// Descriptors meant for another process are not ours.
func TestInheritedIsForOne(t *testing.T) {
	t.Setenv("LISTEN_FDS", "1")
	t.Setenv("LISTEN_FDNAMES", "a")
	t.Setenv("LISTEN_PID", "1")
	if files, err := Inherited(); err != nil || len(files) > 0 {
		t.Error(files, err)
	}
	if _, there := os.LookupEnv("LISTEN_FDS"); there {
		t.Error("the variables are still there")
	}
}
