//go:build linux

package main

import (
	"fmt"
	"os"

	"golang.org/x/sys/unix"

	"portward/internal/surface"
	"portward/internal/wire"
)

// chainFiles are the descriptors of one chain: its surfaces and its channel.
const chainFiles = surface.Slots + 1

// newChain makes a chain and the descriptors of its consumer's end. The channel's
// is the caller's, the surfaces' are the chain's.
func newChain(g surface.Geometry, onRelease func(uint32)) (*surface.Chain, []*os.File, error) {
	chain, err := surface.NewChain(g)
	if err != nil {
		return nil, nil, err
	}
	chain.OnRelease = onRelease
	frames, err := chain.Connect()
	if err != nil {
		return nil, nil, err
	}
	var files []*os.File
	for _, h := range chain.Surfaces() {
		f, ok := h.File()
		if !ok {
			return nil, nil, fmt.Errorf("surface is a %T", h.Object)
		}
		files = append(files, f)
	}
	return chain, append(files, frames), nil
}

// openSink makes the consumer's end of such descriptors, which it owns.
func openSink(g surface.Geometry, files []*os.File) (*surface.Sink, error) {
	surfaces := make([]wire.Handle, surface.Slots)
	for i := range surfaces {
		surfaces[i] = wire.Surface(files[i])
	}
	return surface.Open(g, surfaces, wire.FD(files[surface.Slots]), nil)
}

// duplicates are descriptors that a sink may own.
func duplicates(files []*os.File) ([]*os.File, error) {
	var own []*os.File
	for _, f := range files {
		fd, err := unix.FcntlInt(f.Fd(), unix.F_DUPFD_CLOEXEC, 3)
		if err != nil {
			return nil, err
		}
		own = append(own, os.NewFile(uintptr(fd), f.Name()))
	}
	return own, nil
}
