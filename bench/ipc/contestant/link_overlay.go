//go:build linux && overlay

package main

import (
	"os"
	"os/exec"
	"time"

	"golang.org/x/sys/unix"

	"portward/internal/xpcpeer"

	"portward/bench/talk"
)

// startLink is the transport below our connections, with nothing above it: the
// same calls on the same socket, and 16 bytes that nobody decodes.
func startLink(o options) (drill, *exec.Cmd, error) {
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		return drill{}, nil, err
	}
	other := os.NewFile(uintptr(fds[1]), "link")
	defer other.Close()
	l, err := xpcpeer.BareLink(os.NewFile(uintptr(fds[0]), "link"))
	if err != nil {
		return drill{}, nil, err
	}
	peer, err := talk.Other(other)
	var b [packetSize]byte
	return drill{one: func() (time.Duration, error) {
		began := time.Now()
		if err := l.Send(b[:]); err != nil {
			return 0, err
		}
		_, err := l.Receive()
		return time.Since(began), err
	}}, peer, err
}

func serveLink(options) error {
	l, err := xpcpeer.BareLink(talk.Inherited(0, "link"))
	if err != nil {
		return err
	}
	for {
		b, err := l.Receive()
		if err != nil {
			return err
		}
		if err := l.Send(b); err != nil {
			return err
		}
	}
}
