//go:build linux

package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"time"

	"github.com/jezek/xgb"
	"github.com/jezek/xgb/xproto"

	"portward/bench/chain"
	"portward/bench/talk"
	"portward/internal/capture"
	"portward/internal/surface"
)

// capture samples how long a whole picture of a 1080p screen takes to be in the
// consumer's memory and given back; or, plain, in ours.
func (o options) capture() error {
	if o.other {
		return consume(geometry(1920, 1080))
	}
	display, err := startXvfb()
	if err != nil {
		return err
	}
	if o.plain {
		return getImages(display)
	}
	return captures(display)
}

// startXvfb runs an X server of one 1080p screen that dies with this process.
func startXvfb() (display string, err error) {
	r, w, err := os.Pipe()
	if err != nil {
		return "", err
	}
	defer r.Close()
	cmd := exec.Command("Xvfb", "-displayfd", "3", "-screen", "0", "1920x1080x24", "-nolisten", "tcp", "-noreset")
	cmd.ExtraFiles = []*os.File{w}
	err = talk.StartTied(cmd)
	w.Close()
	if err != nil {
		return "", err
	}
	line, err := bufio.NewReader(r).ReadString('\n')
	if err != nil {
		return "", fmt.Errorf("no display of Xvfb: %w", errors.Join(err, cmd.Wait()))
	}
	return ":" + strings.TrimSpace(line), nil
}

// captures is our way: the server draws into the surfaces themselves.
func captures(display string) error {
	ctx := context.Background()
	src, err := capture.OpenX11(ctx, display)
	if err != nil {
		return err
	}
	released := make(chan struct{}, surface.Slots)
	chain, files, err := chain.New(src.Geometry(), func(uint32) { released <- struct{}{} })
	if err != nil {
		return err
	}
	if err := src.Bind(chain.Buffers()); err != nil {
		return err
	}
	peer, err := talk.Other(files...)
	if err != nil {
		return err
	}
	files[surface.Slots].Close()
	defer talk.End(peer)
	return serve(func() (time.Duration, error) {
		src.Invalidate()
		if err := src.Wait(ctx); err != nil { // which keeps to a pace that a display can show
			return 0, err
		}
		began := time.Now()
		if err := showOne(ctx, src, chain); err != nil {
			return 0, err
		}
		select {
		case <-released:
			return time.Since(began), nil
		case <-chain.Lost():
			return 0, surface.ErrLost
		}
	})
}

// showOne hands over what has changed.
func showOne(ctx context.Context, src capture.Source, chain *surface.Chain) error {
	b, err := chain.Acquire(ctx)
	if err != nil {
		return err
	}
	dirty, err := src.Fill(b.Slot)
	if err != nil {
		return errors.Join(err, chain.Return(b))
	}
	return chain.Submit(b, dirty)
}

// consume gives back what comes.
func consume(g surface.Geometry) error {
	sink, err := chain.Inherited(g, 0)
	if err != nil {
		return err
	}
	for {
		f, err := sink.Next(context.Background())
		if err != nil {
			return err
		}
		if err := f.Release(); err != nil {
			return err
		}
	}
}

// getImages is the core protocol's way: the picture comes through the socket.
func getImages(display string) error {
	c, err := xgb.NewConnDisplay(display)
	if err != nil {
		return err
	}
	screen := xproto.Setup(c).DefaultScreen(c)
	return serve(func() (time.Duration, error) {
		began := time.Now()
		_, err := xproto.GetImage(c, xproto.ImageFormatZPixmap, xproto.Drawable(screen.Root),
			0, 0, screen.WidthInPixels, screen.HeightInPixels, ^uint32(0)).Reply()
		return time.Since(began), err
	})
}
