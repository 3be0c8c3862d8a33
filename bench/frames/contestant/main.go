//go:build linux

// Command contestant knows the ways a picture gets from a screen to netchild and
// from there to a browser: ours and those it is compared with. It must never know
// which of them wins.
//
// It is asked for samples as package talk says.
package main

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"time"

	"portward/bench/talk"
	"portward/internal/surface"
)

// Options are what a contestant is told; both halves of a pair have the same.
type options struct {
	dir     string
	agents  int
	viewers int
	plain   bool // the way we are compared with
	other   bool
}

var errUnknown = errors.New("want one of capture, draw, load")

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(args []string) error {
	if len(args) == 0 {
		return errUnknown
	}
	var o options
	fs := flag.NewFlagSet(args[0], flag.ContinueOnError)
	fs.StringVar(&o.dir, "dir", "", "an empty directory")
	fs.IntVar(&o.agents, "agents", 1, "how many stream")
	fs.IntVar(&o.viewers, "viewers", 0, "how many watch")
	fs.BoolVar(&o.plain, "plain", false, "the way we are compared with")
	fs.BoolVar(&o.other, "other", false, "be the other half")
	if err := fs.Parse(args[1:]); err != nil {
		return err
	}
	switch args[0] {
	case "capture":
		return o.capture()
	case "draw":
		return o.draw()
	case "load":
		return o.load()
	}
	return errUnknown
}

// serve answers one sample after another.
func serve(one func() (time.Duration, error)) error { return talk.Serve(talk.Each(one)) }

// geometry is a picture's of that size.
func geometry(width, height int) surface.Geometry {
	return surface.Geometry{Width: width, Height: height, Stride: width * surface.BytesPerPixel, Format: surface.FormatBGRX}
}
