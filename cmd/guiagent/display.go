package main

import (
	"context"
	"errors"
	"fmt"
	"os"

	"portward/internal/capture"
	"portward/internal/surface"
	"portward/internal/wire"
)

// A display is one picture with the surfaces that it is in, and its way to make
// a frame of them. It owns the surfaces; the picture stays its opener's.
type display struct {
	capture.Picture
	surfaces surfaces
	next     func(context.Context, *link) error // sends one frame, when there is something new and room for it
}

// surfaces are a chain, which the picture is drawn into, or a relay of those that
// it was drawn into already.
type surfaces interface {
	Geometry() surface.Geometry
	Connect() (*os.File, error)
	Surfaces() []wire.Handle
	Lost() <-chan struct{}
	Close() error
}

// newDisplay gives a picture its surfaces. released is called for each frame that
// netchild gave back.
func newDisplay(p capture.Picture, loop *loop, released func(seq uint32)) (*display, error) {
	switch p := p.(type) {
	case capture.Source:
		return newDrawn(p, loop, released)
	case capture.Lender:
		return newLent(p, loop, released)
	}
	return nil, fmt.Errorf("a %T is no picture that can be sent", p)
}

func newDrawn(src capture.Source, loop *loop, released func(uint32)) (*display, error) {
	chain, err := surface.NewChain(src.Geometry())
	if err != nil {
		return nil, err
	}
	chain.OnRelease = released
	if err := src.Bind(chain.Buffers()); err != nil {
		return nil, errors.Join(err, chain.Close())
	}
	d := drawn{src, chain, loop}
	return &display{src, chain, d.next}, nil
}

// A drawn display fills buffers of the chain's.
type drawn struct {
	src   capture.Source
	chain *surface.Chain
	loop  *loop
}

func (d drawn) next(ctx context.Context, _ *link) error {
	if err := d.src.Wait(ctx); err != nil {
		return err
	}
	b, err := d.chain.Acquire(ctx)
	if err != nil {
		return err
	}
	var ferr error
	err = d.loop.try(ctx, func() {
		dirty, err := d.src.Fill(b.Slot)
		switch {
		case err != nil:
			ferr = errors.Join(err, d.chain.Return(b))
		case dirty.Empty():
			ferr = d.chain.Return(b)
		default:
			ferr = d.chain.Submit(b, dirty)
		}
	})
	if err != nil {
		return errors.Join(err, d.chain.Return(b)) // else the slot would be lost for ever
	}
	return ferr
}

// newLent makes the surface known that there is from the start: a chain is
// attached with one at least.
func newLent(src capture.Lender, loop *loop, released func(uint32)) (*display, error) {
	relay, err := surface.NewRelay(src.Geometry())
	if err != nil {
		return nil, err
	}
	relay.OnRelease = released
	first, _, err := src.Lend()
	if err == nil {
		err = relay.Add(first)
		first.Release()
	}
	if err != nil {
		return nil, errors.Join(err, relay.Close())
	}
	d := lent{src, relay, loop}
	return &display{src, relay, d.next}, nil
}

// A lent display hands on surfaces of the system's.
type lent struct {
	src   capture.Lender
	relay *surface.Relay
	loop  *loop
}

func (d lent) next(ctx context.Context, l *link) error {
	if err := d.src.Wait(ctx); err != nil {
		return err
	}
	if err := d.relay.Room(ctx); err != nil {
		return err
	}
	var picture surface.Lent
	var dirty surface.Region
	var lerr error
	if err := d.loop.try(ctx, func() { picture, dirty, lerr = d.src.Lend() }); err != nil {
		return err
	}
	if lerr != nil {
		return lerr
	}
	// Beside the loop: netchild may take its time to answer.
	err := d.relay.Add(picture)
	if err == nil {
		err = d.relay.Tell(func(h wire.Handle) error { return l.add(ctx, h) })
	}
	if err != nil {
		picture.Release()
		return err
	}
	return d.relay.Submit(picture, dirty)
}
