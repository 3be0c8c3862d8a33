package status

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"syscall"
	"testing"
	"time"
)

func full() Status {
	at := time.Date(2026, 11, 28, 9, 0, 0, 5000, time.UTC)
	return Status{
		Version:    Version,
		Time:       at,
		Supervisor: Supervisor{PID: 10, Build: "0.1.0"},
		NetChild: NetChild{
			State: Held, Life: 7, PID: 11, Since: at, Restarts: 6,
			Verdict:   &Verdict{Class: "crash", Time: at, Life: 7},
			HeldUntil: at.Add(time.Minute), Reason: "5 fast deaths", Next: at.Add(time.Minute),
		},
		Payload: Payload{State: Installed, Answers: []Answer{{ID: "a", Kind: HandedOver, Text: "x"}, {ID: "b", Kind: AskAgain, Error: "y"}}},
	}
}

// Rule: the JSON names are a promise to other programs.
func TestNames(t *testing.T) {
	path := filepath.Join(t.TempDir(), "status.json")
	if err := Write(path, full()); err != nil {
		t.Fatal(err)
	}
	got, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	const want = `{
  "version": 1,
  "time": "2026-11-28T09:00:00.000005Z",
  "supervisor": {
    "pid": 10,
    "build": "0.1.0"
  },
  "netchild": {
    "state": "held",
    "life": 7,
    "pid": 11,
    "since": "2026-11-28T09:00:00.000005Z",
    "restarts": 6,
    "verdict": {
      "class": "crash",
      "time": "2026-11-28T09:00:00.000005Z",
      "life": 7
    },
    "held_until": "2026-11-28T09:01:00.000005Z",
    "reason": "5 fast deaths",
    "next": "2026-11-28T09:01:00.000005Z"
  },
  "payload": {
    "state": "installed",
    "answers": [
      {
        "id": "a",
        "kind": "handover",
        "text": "x"
      },
      {
        "id": "b",
        "kind": "again",
        "error": "y"
      }
    ]
  }
}
`
	if string(got) != want {
		t.Fatalf("got %s\nwant %s", got, want)
	}
}

// Rule: what is written is read, by everybody, and zero fields are left out.
func TestRoundTrip(t *testing.T) {
	defer syscall.Umask(syscall.Umask(0o077))
	path := filepath.Join(t.TempDir(), "status.json")
	for _, want := range []Status{full(), {NetChild: NetChild{State: Down}, Payload: Payload{State: NoPayload}}} {
		if err := Write(path, want); err != nil {
			t.Fatal(err)
		}
		got, err := Read(path)
		want.Version = Version
		if err != nil || !reflect.DeepEqual(got, want) {
			t.Fatalf("read %+v, %v; want %+v", got, err, want)
		}
	}
	info, err := os.Stat(path)
	if err != nil || info.Mode() != 0o644 {
		t.Fatalf("mode %v, %v", info.Mode(), err)
	}
	data, err := os.ReadFile(path)
	for _, absent := range []string{"verdict", "since", "held_until", "next", "reason"} {
		if err != nil || strings.Contains(string(data), absent) {
			t.Fatalf("a status without %s says %s, %v", absent, data, err)
		}
	}
}

// Rule: bad files are errors that say what is wrong with which file.
func TestReadRefuses(t *testing.T) {
	for name, bad := range map[string]struct {
		data, says string
	}{
		"empty":           {"", "unexpected end"},
		"torn":            {`{"version": 1, "time": "2026-`, "unexpected end"},
		"no version":      {`{}`, "no version"},
		"newer version":   {`{"version": 2, "netchild": "elsewhere"}`, "unknown version of the status file: 2, this program reads 1"},
		"wrong type":      {`{"version": 1, "netchild": []}`, "netchild"},
		"trailing":        {`{"version": 1} {}`, "after top-level value"},
		"too large":       {`{"version": 1, "x": "` + strings.Repeat("x", MaxSize) + `"}`, "more than 65536 bytes"},
		"negative life":   {`{"version": 1, "netchild": {"life": -1}}`, "life"},
		"not even JSON":   {"\x00\x01", "invalid character"},
		"version as text": {`{"version": "1"}`, "version"},
	} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "status.json")
			if err := os.WriteFile(path, []byte(bad.data), 0o644); err != nil {
				t.Fatal(err)
			}
			_, err := Read(path)
			if err == nil || !strings.Contains(err.Error(), bad.says) || !strings.Contains(err.Error(), path) {
				t.Fatalf("got %v, want it to name %q and the file", err, bad.says)
			}
			if isVersion := name == "newer version"; errors.Is(err, ErrVersion) != isVersion {
				t.Fatalf("ErrVersion in %v", err)
			}
		})
	}
	if _, err := Read(filepath.Join(t.TempDir(), "none")); !errors.Is(err, fs.ErrNotExist) {
		t.Fatal(err)
	}
}

// Rule: reading never blocks, whatever lies at the path.
func TestReadDoesNotBlock(t *testing.T) {
	path := filepath.Join(t.TempDir(), "status.json")
	if err := syscall.Mkfifo(path, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Read(path); err == nil || !strings.Contains(err.Error(), "not a regular file") {
		t.Fatal(err)
	}
}

// Rule: fields and states that a later supervisor adds do not disturb.
func TestReadIsTolerant(t *testing.T) {
	path := filepath.Join(t.TempDir(), "status.json")
	const data = `{"version": 1, "update": {"state": "trial"}, "netchild": {"state": "dreaming", "mood": 3, "life": 9}}`
	if err := os.WriteFile(path, []byte(data), 0o644); err != nil {
		t.Fatal(err)
	}
	s, err := Read(path)
	if err != nil || s.NetChild.Life != 9 || s.NetChild.State != "dreaming" {
		t.Fatalf("read %+v, %v", s, err)
	}
}

// Rule: nothing is written that readers would refuse.
func TestWriteRefusesTooMuch(t *testing.T) {
	path := filepath.Join(t.TempDir(), "status.json")
	if err := Write(path, Status{NetChild: NetChild{Reason: strings.Repeat("x", MaxSize)}}); err == nil {
		t.Fatal("it was written")
	}
	if _, err := os.Lstat(path); !errors.Is(err, fs.ErrNotExist) {
		t.Fatal(err)
	}
}

// Rule: no bytes make the reader panic, and what it accepts it can write.
func FuzzParse(f *testing.F) {
	for _, seed := range []string{
		`{"version":1}`, `{"version":2}`, `{`, `null`, `[]`, ``,
		`{"version":1,"time":"2026-11-28T09:00:00Z","netchild":{"state":"up","life":1,"since":"2026-11-28T09:00:00Z","verdict":{"class":"crash"}}}`,
	} {
		f.Add([]byte(seed))
	}
	path := filepath.Join(f.TempDir(), "status.json")
	f.Fuzz(func(t *testing.T, data []byte) {
		s, err := parse(data)
		if err != nil {
			return
		}
		if s.Version != Version {
			t.Fatalf("accepted version %d", s.Version)
		}
		if err := Write(path, s); err != nil {
			return // too large, or a year that RFC 3339 has no room for
		}
		if again, err := Read(path); err != nil || !sameTimes(s, again) {
			t.Fatalf("wrote %+v, read %+v, %v", s, again, err)
		}
	})
}

func sameTimes(a, b Status) bool {
	return a.Time.Equal(b.Time) && a.NetChild.Since.Equal(b.NetChild.Since) && a.NetChild.State == b.NetChild.State
}
