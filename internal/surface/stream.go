//go:build darwin || standin

package surface

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// streams are channels over SOCK_STREAM, for systems without SOCK_SEQPACKET: a
// descriptor is the next 64 bytes.
type streams struct{}

// A stream has one goroutine that receives at a time.
type stream struct {
	socket
	part [descriptorSize]byte // what came of the next descriptor
	have int
}

func (streams) create() (channel, *os.File, error) {
	s, peer, err := socketPair(unix.SOCK_STREAM)
	if err != nil {
		return nil, nil, err
	}
	return &stream{socket: s}, peer, nil
}

func (streams) adopt(f *os.File) (channel, error) {
	s, err := adoptSocket(f, unix.SOCK_STREAM)
	if err != nil {
		return nil, err
	}
	return &stream{socket: s}, nil
}

func (s *stream) sendFrame(d descriptor) error   { return s.send(d) }
func (s *stream) sendRelease(d descriptor) error { return s.send(d) }

func (s *stream) recvFrame(ctx context.Context) (descriptor, error) {
	return s.untilDone(ctx, func() (descriptor, error) { return s.recv(decode) })
}

func (s *stream) recvRelease() (descriptor, error) { return s.recv(decodeRelease) }

// recv keeps what came of a descriptor when it is ended in the middle of one.
func (s *stream) recv(read func([]byte) (descriptor, error)) (descriptor, error) {
	for s.have < descriptorSize {
		n, _, err := s.read(s.part[s.have:])
		switch {
		case err != nil:
			return descriptor{}, err
		case n == 0 && s.have > 0:
			return descriptor{}, fmt.Errorf("%w: descriptor of %d bytes", ErrHostile, s.have)
		case n == 0:
			return descriptor{}, ErrLost
		}
		s.have += n
	}
	s.have = 0
	return read(s.part[:])
}

// untilDone is recv, ended by ctx.
func (s *stream) untilDone(ctx context.Context, recv func() (descriptor, error)) (descriptor, error) {
	if err := ctx.Err(); err != nil {
		return descriptor{}, err
	}
	woken := make(chan struct{})
	stop := context.AfterFunc(ctx, func() {
		defer close(woken)
		s.file.SetReadDeadline(time.Unix(1, 0))
	})
	d, err := recv()
	if !stop() {
		<-woken
		s.file.SetReadDeadline(time.Time{})
	}
	if errors.Is(err, os.ErrDeadlineExceeded) {
		return descriptor{}, ctx.Err()
	}
	return d, err
}

// send never waits. Half a descriptor went out only where the queue was full.
func (s *stream) send(d descriptor) error {
	b := d.encode()
	n, sent := 0, error(nil)
	err := s.raw.Write(func(fd uintptr) bool {
		sent = ignoringEINTR(func() (err error) {
			n, err = unix.SendmsgN(int(fd), b[:], nil, nil, sendFlags)
			return err
		})
		return true
	})
	switch {
	case err != nil:
		return closedOr(err)
	case sent == nil && n == len(b):
		return nil
	case sent == nil, errors.Is(sent, unix.EAGAIN), errors.Is(sent, unix.ENOBUFS):
		return fmt.Errorf("%w: does not read its messages", ErrHostile)
	}
	return fmt.Errorf("%w: %w", ErrLost, os.NewSyscallError("sendmsg", sent))
}
