package main

import (
	"errors"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"portward/internal/program"
)

// plainRoot answers a root with the directory of sockets.
func plainRoot(t *testing.T) string {
	t.Helper()
	root := newRoot(t, os.Geteuid())
	check(t, os.MkdirAll(program.RunDir(root), 0o711))
	return root
}

// Rule: without sockets that keep messages apart, a running up is asked and answers
// all the same, one question after the other and many at once.
func TestPlainDoor(t *testing.T) {
	root := plainRoot(t)
	_, err := askDoor(root, request{Op: "snapshot"})
	wantRefusal(t, err, "no `portward up` runs on "+root)
	door := must(openDoor(root, func(req request, resp *response) error {
		if req.Op != "snapshot" {
			return errors.New("no operation " + req.Op)
		}
		resp.Snapshot = snapshot{Version: 7, Held: strings.Repeat("x", 1<<20)}
		return nil
	}))(t)
	answered := make(chan error)
	for range 8 {
		go func() {
			resp, err := askDoor(root, request{Op: "snapshot"})
			if err == nil && (resp.Snapshot.Version != 7 || len(resp.Snapshot.Held) != 1<<20) {
				err = errors.New("another answer")
			}
			answered <- err
		}()
	}
	for range 8 {
		check(t, <-answered)
	}
	_, err = askDoor(root, request{Op: "explode"})
	wantRefusal(t, err, "no operation explode")
	if fi := must(os.Stat(doorPath(root)))(t); fi.Mode().Perm() != 0o600 {
		t.Errorf("mode %v", fi.Mode())
	}
	check(t, door.Close())
	_, err = askDoor(root, request{Op: "snapshot"})
	wantRefusal(t, err, "no `portward up` runs on "+root)
}

// Rule: whatever is said at the door, it is answered or the line is cut, and the next
// one is served.
func TestPlainDoorHostile(t *testing.T) {
	root := plainRoot(t)
	door := must(openDoor(root, func(request, *response) error { return nil }))(t)
	defer door.Close()
	for name, said := range map[string]string{
		"nothing": "", "no JSON": "hello\n", "cut off": `{"op":"snap`, "another type": `[1,2]`, "too much": `{"op":"` + strings.Repeat("x", 2*maxAsked) + `"}`,
	} {
		c := must(net.Dial("unix", doorPath(root)))(t)
		io.WriteString(c, said)
		c.(*net.UnixConn).CloseWrite()
		answer, _ := io.ReadAll(c)
		if said != "" && !strings.Contains(string(answer), `"error":`) && len(answer) > 0 {
			t.Errorf("%s: answered %q", name, answer)
		}
		c.Close()
	}
	must(askDoor(root, request{Op: "snapshot"}))(t)
}

// Rule: what an up left that was killed is in nobody's way; a root whose name is too
// long for a socket is an error, not a silence.
func TestPlainDoorLeftAndLong(t *testing.T) {
	root := plainRoot(t)
	left := must(net.ListenUnix("unix", &net.UnixAddr{Name: doorPath(root), Net: "unix"}))(t)
	left.SetUnlinkOnClose(false)
	left.Close()
	_, err := askDoor(root, request{})
	wantRefusal(t, err, "no `portward up` runs on "+root)
	check(t, must(openDoor(root, func(request, *response) error { return nil }))(t).Close())
	long := filepath.Join(root, strings.Repeat("x", 120))
	check(t, os.MkdirAll(program.RunDir(long), 0o700))
	if door, err := openDoor(long, nil); err == nil {
		door.Close()
		t.Error("a socket with a name of more than a hundred letters")
	}
}

// Rule: who comes and says nothing is not waited for at the end, and cannot take all
// places.
func TestPlainDoorSilent(t *testing.T) {
	root := t.TempDir()
	if err := os.Mkdir(program.RunDir(root), 0o700); err != nil {
		t.Fatal(err)
	}
	door, err := openDoor(root, func(request, *response) error { return nil })
	if err != nil {
		t.Fatal(err)
	}
	var first net.Conn
	for n := range maxSilent + 4 {
		c, err := net.Dial("unix", doorPath(root))
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		if n == 0 {
			first = c
		}
	}
	d := door.(*plainDoor)
	for end := time.Now().Add(patience); ; time.Sleep(time.Millisecond) {
		d.mu.Lock()
		n := len(d.silent)
		d.mu.Unlock()
		if n == maxSilent {
			break
		}
		if n > maxSilent || time.Now().After(end) {
			t.Fatalf("%d wait", n)
		}
	}
	door.Close()
	if n, err := first.Read(make([]byte, 1)); n != 0 || err == nil {
		t.Error("who said nothing was left with an open connection")
	}
}
