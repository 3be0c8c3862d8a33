//go:build standin && !darwin

package surface_test

import (
	"context"
	"encoding/binary"
	"testing"

	"portward/internal/macos"
	"portward/internal/surface"
)

// Rule: a million frames over one channel arrive in order, each with its pixels,
// and leave no surface, object or use behind.
func TestIOSurfaceMillionFrames(t *testing.T) {
	checkLive(t)
	macos.StandinSurfaceGuard(false)
	defer macos.StandinSurfaceGuard(true)
	ctx := context.Background()
	g := surface.Geometry{Width: 16, Height: 4, Stride: 64, Format: surface.FormatBGRX}
	c, err := surface.IOSurfaces().NewChain(g)
	if err != nil {
		t.Fatal(err)
	}
	peer, err := c.Connect()
	if err != nil {
		t.Fatal(err)
	}
	handles, frames := retained(t, c.Surfaces(), peer)
	peer.Close()
	s, err := surface.IOSurfaces().Open(g, handles, frames, surface.NewAccount(surface.Limits{Chains: 1, Bytes: 1 << 20}))
	if err != nil {
		t.Fatal(err)
	}
	sent := make(chan error, 1)
	go func() { sent <- produce(ctx, c, million) }()
	for i := range uint32(million) {
		f, err := s.Next(ctx)
		if err != nil {
			t.Fatal(err)
		}
		if n := binary.LittleEndian.Uint32(f.Pix); n != i || f.Seq != i+1 {
			t.Fatalf("frame %d shows %d, want %d", f.Seq, n, i)
		}
		if err := f.Release(); err != nil {
			t.Fatal(err)
		}
	}
	if err := <-sent; err != nil {
		t.Fatal(err)
	}
	s.Close()
	c.Close()
	if n := c.Released(); n < million-surface.Slots {
		t.Errorf("%d frames released", n)
	}
}

// produce submits n frames, numbered from 0.
func produce(ctx context.Context, c *surface.Chain, n uint32) error {
	for i := range n {
		b, err := c.Acquire(ctx)
		if err != nil {
			return err
		}
		binary.LittleEndian.PutUint32(b.Pix, i)
		if err := c.Submit(b, surface.RegionOf(c.Geometry().Bounds())); err != nil {
			return err
		}
	}
	return nil
}
