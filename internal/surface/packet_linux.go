package surface

import (
	"context"
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

// packets are channels over SOCK_SEQPACKET: one message to a descriptor.
type packets struct{}

type packet struct{ socket }

func (packets) create() (channel, *os.File, error) {
	s, peer, err := socketPair(unix.SOCK_SEQPACKET)
	if err != nil {
		return nil, nil, err
	}
	return packet{s}, peer, nil
}

func (packets) adopt(f *os.File) (channel, error) {
	s, err := adoptSocket(f, unix.SOCK_SEQPACKET)
	if err != nil {
		return nil, err
	}
	return packet{s}, nil
}

func (p packet) sendFrame(d descriptor) error   { return p.send(d) }
func (p packet) sendRelease(d descriptor) error { return p.send(d) }

func (p packet) recvFrame(ctx context.Context) (descriptor, error) {
	return p.untilDone(ctx, func() (descriptor, error) { return p.recv(decode) })
}

func (p packet) recvRelease() (descriptor, error) { return p.recv(decodeRelease) }

func (p packet) recv(read func([]byte) (descriptor, error)) (descriptor, error) {
	var b [descriptorSize]byte
	n, flags, err := p.read(b[:])
	switch {
	case err != nil:
		return descriptor{}, err
	case n == 0: // the end, or a message of no bytes, which is meant to look like it
		return descriptor{}, ErrLost
	case flags&unix.MSG_TRUNC != 0:
		return descriptor{}, fmt.Errorf("%w: descriptor of more than %d bytes", ErrHostile, descriptorSize)
	}
	return read(b[:n])
}
