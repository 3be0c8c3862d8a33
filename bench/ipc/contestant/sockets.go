//go:build linux

package main

import (
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"time"

	"golang.org/x/sys/unix"

	"portward/bench/talk"
)

const packetSize = 16

// pairOf makes a pair of connected sockets: ours as net has it, the other half's
// as a file.
func pairOf(kind int) (net.Conn, *os.File, error) {
	fds, err := unix.Socketpair(unix.AF_UNIX, kind|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, nil, err
	}
	c, err := connOf(os.NewFile(uintptr(fds[0]), "socket"))
	return c, os.NewFile(uintptr(fds[1]), "socket"), err
}

func connOf(f *os.File) (net.Conn, error) {
	defer f.Close()
	return net.FileConn(f)
}

// startDatagram is net.UnixConn: 16 bytes there and back.
func startDatagram(o options) (drill, *exec.Cmd, error) {
	c, other, err := pairOf(unix.SOCK_SEQPACKET)
	if err != nil {
		return drill{}, nil, err
	}
	defer other.Close()
	peer, err := talk.Other(other)
	var b [packetSize]byte
	return drill{one: func() (time.Duration, error) {
		began := time.Now()
		err := bounce(c, b[:])
		return time.Since(began), err
	}}, peer, err
}

func bounce(c net.Conn, b []byte) error {
	if _, err := c.Write(b); err != nil {
		return err
	}
	_, err := c.Read(b)
	return err
}

func serveDatagram(options) error {
	c, err := connOf(talk.Inherited(0, "socket"))
	if err != nil {
		return err
	}
	var b [packetSize]byte
	for {
		n, err := c.Read(b[:])
		if err != nil {
			return err
		}
		if _, err := c.Write(b[:n]); err != nil {
			return err
		}
	}
}

// startSockets is a frame by net.UnixConn: shared pixels as ours are, and a
// descriptor of 16 bytes that comes back when the frame is released.
func startSockets(o options) (drill, *exec.Cmd, error) {
	f, pix, err := shared(o.geometry().Size())
	if err != nil {
		return drill{}, nil, err
	}
	c, other, err := pairOf(unix.SOCK_SEQPACKET)
	if err != nil {
		return drill{}, nil, err
	}
	defer other.Close()
	peer, err := talk.Other(other, f)
	var seq uint32
	var b [packetSize]byte
	return drill{one: func() (time.Duration, error) {
		seq++
		binary.NativeEndian.PutUint32(pix, seq)
		binary.NativeEndian.PutUint32(b[:], seq)
		began := time.Now()
		err := bounce(c, b[:])
		return time.Since(began), err
	}}, peer, err
}

func serveSockets(o options) error {
	c, err := connOf(talk.Inherited(0, "socket"))
	if err != nil {
		return err
	}
	pix, err := unix.Mmap(4, 0, o.geometry().Size(), unix.PROT_READ, unix.MAP_SHARED)
	if err != nil {
		return err
	}
	var b [packetSize]byte
	for {
		if _, err := c.Read(b[:]); err != nil {
			return err
		}
		if got, want := binary.NativeEndian.Uint32(pix), binary.NativeEndian.Uint32(b[:]); got != want {
			return fmt.Errorf("frame %d shows %d", want, got)
		}
		if _, err := c.Write(b[:]); err != nil {
			return err
		}
	}
}

// startCopy sends the pixels themselves through a stream socket.
func startCopy(o options) (drill, *exec.Cmd, error) {
	c, other, err := pairOf(unix.SOCK_STREAM)
	if err != nil {
		return drill{}, nil, err
	}
	defer other.Close()
	peer, err := talk.Other(other)
	pix, ack := touched(o.geometry().Size()), make([]byte, 1)
	return drill{one: func() (time.Duration, error) {
		began := time.Now()
		if _, err := c.Write(pix); err != nil {
			return 0, err
		}
		_, err := io.ReadFull(c, ack)
		return time.Since(began), err
	}}, peer, err
}

func serveCopy(o options) error {
	c, err := connOf(talk.Inherited(0, "socket"))
	if err != nil {
		return err
	}
	pix := make([]byte, o.geometry().Size())
	for {
		if _, err := io.ReadFull(c, pix); err != nil {
			return err
		}
		if _, err := c.Write(pix[:1]); err != nil {
			return err
		}
	}
}

// touched is memory that is there, not only promised.
func touched(n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(i)
	}
	return b
}

// shared is a sealed memory of that size, mapped.
func shared(size int) (*os.File, []byte, error) {
	fd, err := unix.MemfdCreate("frame", unix.MFD_CLOEXEC|unix.MFD_ALLOW_SEALING)
	if err != nil {
		return nil, nil, err
	}
	f := os.NewFile(uintptr(fd), "frame")
	if err := f.Truncate(int64(size)); err != nil {
		return nil, nil, err
	}
	if _, err := unix.FcntlInt(f.Fd(), unix.F_ADD_SEALS, unix.F_SEAL_SHRINK|unix.F_SEAL_GROW|unix.F_SEAL_SEAL); err != nil {
		return nil, nil, err
	}
	pix, err := unix.Mmap(int(f.Fd()), 0, size, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
	return f, pix, err
}
