//go:build darwin || standin

package surface

import (
	"context"
	"fmt"
	"os"

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
