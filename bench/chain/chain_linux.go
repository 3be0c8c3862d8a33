// Package chain knows how the two ends of a swap chain come to be in two processes of
// a contestant. It must never know what is shown on it.
package chain

import (
	"fmt"
	"os"

	"portward/internal/surface"
	"portward/internal/wire"

	"portward/bench/talk"
)

// Files are the descriptors of one chain: its surfaces and its channel.
const Files = surface.Slots + 1

// New makes a chain and the descriptors of its consumer's end. The last one, the
// channel's, is the caller's, the surfaces' are the chain's.
func New(g surface.Geometry, onRelease func(uint32)) (*surface.Chain, []*os.File, error) {
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

// Open makes the consumer's end of such descriptors, which it owns.
func Open(g surface.Geometry, files []*os.File) (*surface.Sink, error) {
	surfaces := make([]wire.Handle, surface.Slots)
	for i := range surfaces {
		surfaces[i] = wire.Surface(files[i])
	}
	return surface.Open(g, surfaces, wire.FD(files[surface.Slots]), nil)
}

// Inherited is Open with what talk.Other passed on, from number first on.
func Inherited(g surface.Geometry, first int) (*surface.Sink, error) {
	var files []*os.File
	for i := range Files {
		files = append(files, talk.Inherited(first+i, "chain"))
	}
	return Open(g, files)
}
