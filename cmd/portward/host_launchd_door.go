package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"sync"
	"syscall"
	"time"

	"portward/internal/program"
	"portward/internal/xpcpeer"
)

// A plainDoor is the running `up`'s socket where sockets keep no messages apart: a
// stream, on which one request and one response are said. Who asks is known by the
// system's word on the other end, and the directory is the owner's alone besides.
type plainDoor struct {
	l     *net.UnixListener
	tasks sync.WaitGroup

	mu     sync.Mutex
	silent map[*net.UnixConn]bool // those who have not asked yet
	closed bool
}

// doorWithin bounds one request: none takes longer than the engine does.
const doorWithin = 15 * time.Second

// Bounds of a request, and of those who have not made theirs yet.
const (
	maxAsked  = 4 << 10
	maxSilent = 16
)

func doorPath(root string) string { return filepath.Join(program.RunDir(root), controlName) }

// openDoor serves requests by do until it is closed.
func openDoor(root string, do func(request, *response) error) (io.Closer, error) {
	path := doorPath(root)
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
	if err != nil {
		return nil, err
	}
	if err := os.Chmod(path, 0o600); err != nil {
		l.Close()
		return nil, err
	}
	d := &plainDoor{l: l, silent: map[*net.UnixConn]bool{}}
	d.tasks.Go(func() {
		for {
			c, err := l.AcceptUnix()
			if errors.Is(err, net.ErrClosed) {
				return
			}
			if err != nil {
				time.Sleep(100 * time.Millisecond) // out of descriptors, perhaps
				continue
			}
			d.tasks.Go(func() { d.serve(c, do) })
		}
	})
	return d, nil
}

// Close ends the door, and waits for what is being answered. Who has not asked yet is
// not waited for.
func (d *plainDoor) Close() error {
	err := d.l.Close()
	d.mu.Lock()
	d.closed = true
	for c := range d.silent {
		c.Close()
	}
	d.mu.Unlock()
	d.tasks.Wait()
	return err
}

// awaits notes that c has not asked yet, or that it has; false: there is no room, or
// the door was closed.
func (d *plainDoor) awaits(c *net.UnixConn, silent bool) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	switch {
	case !silent:
		delete(d.silent, c)
	case d.closed || len(d.silent) >= maxSilent:
		return false
	default:
		d.silent[c] = true
	}
	return true
}

func (d *plainDoor) serve(c *net.UnixConn, do func(request, *response) error) {
	defer c.Close()
	if !d.awaits(c, true) {
		return
	}
	defer d.awaits(c, false)
	c.SetDeadline(time.Now().Add(doorWithin))
	uid, err := peerUID(c)
	if err != nil || sameUser(&xpcpeer.Evidence{UID: uid}) != nil {
		return
	}
	var req request
	resp := response{}
	err = json.NewDecoder(io.LimitReader(c, maxAsked)).Decode(&req)
	d.awaits(c, false)
	if err == nil {
		err = do(req, &resp)
	}
	if err != nil {
		resp.Error = err.Error()
	}
	json.NewEncoder(c).Encode(resp)
}

// peerUID answers who is at the other end of c.
func peerUID(c *net.UnixConn) (uid uint32, err error) {
	raw, err := c.SyscallConn()
	if err != nil {
		return 0, err
	}
	var got error
	err = raw.Control(func(fd uintptr) { uid, got = uidBeyond(int(fd)) })
	return uid, errors.Join(err, got)
}

// askDoor is ask, at such a door.
func askDoor(root string, req request) (response, error) {
	ctx, cancel := context.WithTimeout(context.Background(), doorWithin)
	defer cancel()
	conn, err := (&net.Dialer{}).DialContext(ctx, "unix", doorPath(root))
	switch {
	case errors.Is(err, fs.ErrPermission):
		return response{}, somebodyElses(root, err)
	case errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ECONNREFUSED):
		return response{}, noUp(root)
	case err != nil:
		return response{}, err
	}
	defer conn.Close()
	conn.SetDeadline(time.Now().Add(doorWithin))
	uid, err := peerUID(conn.(*net.UnixConn))
	if err == nil {
		err = myOwn(&xpcpeer.Evidence{UID: uid})
	}
	if err != nil {
		return response{}, somebodyElses(root, err)
	}
	var resp response
	if err = json.NewEncoder(conn).Encode(req); err == nil {
		err = json.NewDecoder(conn).Decode(&resp)
	}
	switch {
	case errors.Is(err, io.EOF) || errors.Is(err, syscall.EPIPE) || errors.Is(err, syscall.ECONNRESET):
		return response{}, noUp(root) // it ended meanwhile
	case err != nil:
		return response{}, fmt.Errorf("the running up answers in an unknown form: %w", err)
	case resp.Error != "":
		return resp, errors.New(resp.Error)
	}
	return resp, nil
}
