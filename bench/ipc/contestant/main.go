//go:build linux

// Command contestant knows the ways a frame or a message goes from one process of
// a pair to the other and back: ours and those it is compared with. It must never
// know which of them wins.
//
// It is asked for samples as package talk says, and is half of the pair; it starts
// the other half from its own executable.
package main

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"time"

	"portward/bench/talk"
	"portward/internal/surface"
)

// Options are how a pair works; both halves have the same.
type options struct {
	width, height int
	pace          time.Duration // between two samples; 0: at once
	busy          bool          // every P of the consumer encodes meanwhile
	cpu           bool          // a sample is the CPU time of both halves for a frame
	dir           string        // for sockets
}

// A way makes one sample after another; its halves are made by start.
type way struct {
	start func(o options) (drill, *exec.Cmd, error)
	serve func(o options) error // the other half
}

// A drill is the asked half.
type drill struct {
	one  func() (time.Duration, error)
	many func(n int) ([]float64, error) // n of them without a pause, nil: one after the other
}

var errUnknown = errors.New("want a way: " + strings.Join(names, ", "))

var names = []string{"link", "call", "datagram", "blocking", "surfaces", "sockets", "dbus", "grpc", "copy"}

// wayOf answers the way of that name.
func wayOf(name string) (way, error) {
	switch name {
	case "link":
		return way{startLink, serveLink}, nil
	case "call":
		return way{startCall, serveCall}, nil
	case "datagram":
		return way{startDatagram, serveDatagram}, nil
	case "blocking":
		return way{startBlocking, serveBlocking}, nil
	case "surfaces":
		return way{startSurfaces, serveSurfaces}, nil
	case "sockets":
		return way{startSockets, serveSockets}, nil
	case "dbus":
		return way{startDBus, serveDBus}, nil
	case "grpc":
		return way{startGRPC, serveGRPC}, nil
	case "copy":
		return way{startCopy, serveCopy}, nil
	}
	return way{}, errUnknown
}

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
	w, err := wayOf(args[0])
	if err != nil {
		return err
	}
	var o options
	var other bool
	fs := flag.NewFlagSet(args[0], flag.ContinueOnError)
	fs.IntVar(&o.width, "width", 1920, "of a frame, in pixels")
	fs.IntVar(&o.height, "height", 1080, "of a frame, in pixels")
	fs.DurationVar(&o.pace, "pace", 0, "between two samples")
	fs.BoolVar(&o.busy, "busy", false, "every P of the consumer encodes meanwhile")
	fs.BoolVar(&o.cpu, "cpu", false, "sample CPU time of both halves")
	fs.StringVar(&o.dir, "dir", "", "an empty directory")
	fs.BoolVar(&other, "other", false, "be the other half")
	if err := fs.Parse(args[1:]); err != nil {
		return err
	}
	if err := talk.Settle(other); err != nil {
		return err
	}
	if other {
		if o.busy {
			keepBusy(runtime.GOMAXPROCS(0))
		}
		return w.serve(o)
	}
	return w.drive(o)
}

// drive is the half that is asked.
func (w way) drive(o options) error {
	d, peer, err := w.start(o)
	if err != nil {
		return err
	}
	defer talk.End(peer)
	switch {
	case o.cpu:
		return talk.Serve(func(n int) ([]float64, error) { return d.cost(peer.Process.Pid, n) })
	case d.many != nil && o.pace == 0:
		return talk.Serve(d.many)
	}
	return talk.Serve(talk.Each(func() (time.Duration, error) {
		time.Sleep(o.pace)
		return d.one()
	}))
}

func (o options) geometry() surface.Geometry {
	return surface.Geometry{Width: o.width, Height: o.height, Stride: o.width * surface.BytesPerPixel, Format: surface.FormatBGRX}
}
