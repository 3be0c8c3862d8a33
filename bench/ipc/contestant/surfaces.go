//go:build linux

package main

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"os/exec"
	"time"

	"portward/internal/surface"

	"portward/bench/chain"
	"portward/bench/talk"
)

// startSurfaces is our swap chain: a sample is the time from Submit to the moment
// at which the chain tells that the frame was released.
func startSurfaces(o options) (drill, *exec.Cmd, error) {
	p := &producer{whole: surface.RegionOf(o.geometry().Bounds()), done: make(chan error, 1)}
	c, files, err := chain.New(o.geometry(), p.released)
	if err != nil {
		return drill{}, nil, err
	}
	defer files[surface.Slots].Close()
	p.chain = c
	peer, err := talk.Other(files...)
	return drill{one: p.one, many: p.many}, peer, err
}

// A producer has one frame out at a time.
type producer struct {
	chain *surface.Chain
	whole surface.Region
	done  chan error // of one, when all of a row came back

	// Of who submits: the asked goroutine for the first frame of a row, and the
	// chain's own, which learns of releases, for all others.
	seq   uint32
	began time.Time
	left  int
	took  []time.Duration
}

// submit sends the next frame. The consumer compares the pixels with its number.
func (p *producer) submit() error {
	b, ok := p.chain.TryAcquire()
	if !ok {
		return errors.New("no slot is free")
	}
	p.seq++
	binary.NativeEndian.PutUint32(b.Pix, p.seq)
	p.began = time.Now()
	return p.chain.Submit(b, p.whole)
}

// released is the chain's callback: the next frame of a row is sent from here, so
// that no other thread of ours has a part in the samples.
func (p *producer) released(uint32) {
	p.took = append(p.took, time.Since(p.began))
	p.left--
	if p.left == 0 {
		p.done <- nil
	} else if err := p.submit(); err != nil {
		p.done <- err
	}
}

// row has n frames handed over, one after the other.
func (p *producer) row(n int) error {
	p.left, p.took = n, p.took[:0]
	if err := p.submit(); err != nil {
		return err
	}
	select {
	case err := <-p.done:
		return err
	case <-p.chain.Lost():
		return surface.ErrLost
	}
}

func (p *producer) one() (time.Duration, error) {
	if err := p.row(1); err != nil {
		return 0, err
	}
	return p.took[0], nil
}

func (p *producer) many(n int) ([]float64, error) {
	if err := p.row(n + n/10); err != nil {
		return nil, err
	}
	samples := make([]float64, 0, n)
	for _, d := range p.took[n/10:] {
		samples = append(samples, d.Seconds())
	}
	return samples, nil
}

// serveSurfaces is what a session of the hub does with each frame: looks at it and
// gives it back.
func serveSurfaces(o options) error {
	sink, err := chain.Inherited(o.geometry(), 0)
	if err != nil {
		return err
	}
	for {
		f, err := sink.Next(context.Background())
		if err != nil {
			return err
		}
		if got := binary.NativeEndian.Uint32(f.Pix); got != f.Seq {
			return fmt.Errorf("frame %d shows %d", f.Seq, got)
		}
		if err := f.Release(); err != nil {
			return err
		}
	}
}
