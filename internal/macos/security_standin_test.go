//go:build standin && !darwin

package macos_test

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	. "portward/internal/macos"
)

func codeFile(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "Übung 1.app")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// Rule: code that is missing, unsigned, changed or somebody else's is refused
// with what the system says of it, and so is a requirement that does not parse.
func TestCheckStaticCode(t *testing.T) {
	checkLive(t)
	good := codeFile(t, "com.example.good\n")
	for _, c := range []struct{ path, requirement, want string }{
		{good, `identifier "com.example.good"`, ""},
		{good, `identifier "com.example.other"`, "com.example.good does not satisfy it"},
		{good, "!!syntax", "requirement: OSStatus -67049: unexpected token: !!"},
		{good, "\xff", "not UTF-8"},
		{codeFile(t, "broken\n"), `identifier "broken"`, "the seal of broken is broken"},
		{codeFile(t, ""), "always", "OSStatus -67062"},
		{good + "x", "always", "OSStatus 100002"},
		{"", "always", "no file name"},
	} {
		err := CheckStaticCode(c.path, c.requirement)
		if c.want == "" && err != nil || c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)) {
			t.Errorf("%q %q: %v", c.path, c.requirement, err)
		}
	}
}

// Rule: what a signature says is copied out, and nothing of it stays behind.
func TestReadStaticCode(t *testing.T) {
	checkLive(t)
	got, err := ReadStaticCode(codeFile(t, "com.example.good\n"))
	if err != nil || got.Identifier != "com.example.good" || got.TeamIdentifier != "TEAM123456" ||
		!bytes.Equal(got.CDHash, []byte{1, 2, 0, 4}) || got.DesignatedRequirement != `identifier "com.example.good"` {
		t.Errorf("%+v %v", got, err)
	}
	if _, err := ReadStaticCode(codeFile(t, "")); err == nil {
		t.Error("unsigned code has a designated requirement")
	}
	if _, err := ReadStaticCode("/no/such/code"); err == nil {
		t.Error("read what is not there")
	}
}

// Rule: sessions are told with their owner and state; entries without an owner,
// or that are no dictionaries, are none; nobody is no error.
func TestConsoleUsers(t *testing.T) {
	checkLive(t)
	if users, err := ConsoleUsers(); err != nil || len(users) != 0 {
		t.Error(users, err)
	}
	want := []ConsoleUser{
		{UID: 501, Name: "anna", LoginDone: true},
		{UID: 88, Name: "_windowserver"},
	}
	for _, u := range want {
		StandinConsole(u)
	}
	StandinConsoleRubbish()
	users, err := ConsoleUsers()
	if err != nil || len(users) != 2 || users[0] != want[0] || users[1] != want[1] {
		t.Errorf("%+v %v", users, err)
	}
	StandinConsole(ConsoleUser{})
}

// Rule: a job's sockets are handed over once, under their names, and only to a job.
func TestLaunchActivateSocket(t *testing.T) {
	checkLive(t)
	if _, err := LaunchActivateSocket("viewer"); err == nil || !strings.Contains(err.Error(), "no such process") {
		t.Error(err)
	}
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	o := XPCFDCreate(int(w.Fd()))
	fd, err := XPCFDDup(o)
	XPCRelease(o)
	if err != nil {
		t.Fatal(err)
	}
	w.Close()
	StandinSocket("viewer", fd)
	if _, err := LaunchActivateSocket("other"); err == nil || !strings.Contains(err.Error(), "no such file") {
		t.Error(err)
	}
	fds, err := LaunchActivateSocket("viewer")
	if err != nil || len(fds) != 2 || fds[0] != fd {
		t.Fatal(fds, err)
	}
	for _, fd := range fds {
		f := os.NewFile(uintptr(fd), "socket")
		if _, err := f.WriteString("x"); err != nil {
			t.Error(err)
		}
		f.Close()
	}
	if _, err := LaunchActivateSocket("viewer"); err == nil || !strings.Contains(err.Error(), "already") {
		t.Error(err)
	}
}

// Rule: only what the system says of the code itself condemns it: not a file that
// cannot be read, nor a requirement of ours that does not parse.
func TestCondemned(t *testing.T) {
	checkLive(t)
	good := codeFile(t, "com.example.good\n")
	for _, c := range []struct {
		path, requirement string
		condemned         bool
	}{
		{good, `identifier "com.example.other"`, true},
		{codeFile(t, "broken\n"), `identifier "broken"`, true},
		{codeFile(t, ""), "always", true},
		{good, "!!syntax", false},
		{good + "x", "always", false},
		{"", "always", false},
	} {
		if err := CheckStaticCode(c.path, c.requirement); err == nil || errors.Is(err, ErrCondemned) != c.condemned {
			t.Errorf("%q %q: %v", c.path, c.requirement, err)
		}
	}
	for status, want := range map[Status]bool{
		-67062: true, -67061: true, -67054: true, -67050: true, -67022: true, -66992: true, // unsigned to revoked
		-67060: false, -67048: false, -67032: false, -67006: false, // unreadable, internal, database, cancelled
		-67063: false, -67072: false, -67040: false, -66991: false, // calls, hosts, behind the row
		-108: false, 100005: false, -2147409652: false, 0: false, // memory, errno, certificate revoked
	} {
		if err := Verdict(status); errors.Is(err, ErrCondemned) != want {
			t.Errorf("%v: %v", status, err)
		}
	}
}
