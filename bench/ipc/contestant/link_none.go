//go:build linux && !overlay

package main

import (
	"errors"
	"os/exec"
)

var errNoOverlay = errors.New("not built with the overlay that shows the link; see package ipc")

func startLink(options) (drill, *exec.Cmd, error) {
	return drill{}, nil, errNoOverlay
}

func serveLink(options) error { return errNoOverlay }
