package capture

import (
	"errors"
	"fmt"
	"path/filepath"
	"strconv"
	"strings"
)

// A display is where an X server is to be found and which of its screens is
// meant.
type display struct {
	socket string // path of its Unix socket; the abstract one has the same name
	number string // as Xauthority spells it; empty if the path does not tell
	screen int
	dotted bool // the name has the screen
}

const socketPrefix = "/tmp/.X11-unix/X"

// parseDisplay reads a display's name (X(7), DISPLAY NAMES) as far as it names
// a Unix socket of this machine: ":1", ":1.0", "unix:1", or the path of the
// socket itself, with the screen's number behind a dot or without. A display
// elsewhere is refused: its server cannot map our memory.
func parseDisplay(name string) (display, error) {
	if strings.HasPrefix(name, "/") {
		return parseSocketPath(name)
	}
	host, rest, ok := strings.Cut(name, ":")
	if !ok {
		return display{}, fmt.Errorf("display %q: want the form :NUMBER or a socket's path", name)
	}
	if host != "" && host != "unix" {
		return display{}, fmt.Errorf("display %q: only local displays can be captured", name)
	}
	number, screen, dotted := strings.Cut(rest, ".")
	n, err := parseNumber(number)
	if err != nil {
		return display{}, fmt.Errorf("display %q: number %w", name, err)
	}
	d := display{socket: socketPrefix + strconv.Itoa(n), number: strconv.Itoa(n)}
	if !dotted {
		return d, nil
	}
	d.dotted = true
	if d.screen, err = parseNumber(screen); err != nil {
		return display{}, fmt.Errorf("display %q: screen %w", name, err)
	}
	return d, nil
}

// parseSocketPath takes a number behind a dot for the screen's: a socket whose
// own name ends so is named with its screen.
func parseSocketPath(name string) (display, error) {
	if strings.ContainsRune(name, 0) || strings.HasSuffix(name, "/") {
		return display{}, fmt.Errorf("display %q: not the path of a socket", name)
	}
	d := display{socket: name}
	if dot := strings.LastIndexByte(name, '.'); dot > strings.LastIndexByte(name, '/')+1 {
		if n, err := parseNumber(name[dot+1:]); err == nil {
			d.socket, d.screen, d.dotted = name[:dot], n, true
		}
	}
	if digits, ok := strings.CutPrefix(filepath.Base(d.socket), "X"); ok {
		if n, err := parseNumber(digits); err == nil {
			d.number = strconv.Itoa(n)
		}
	}
	return d, nil
}

// parseNumber reads a plain decimal of at most sixteen bits.
func parseNumber(s string) (int, error) {
	n, err := strconv.ParseUint(s, 10, 16)
	if ne := (*strconv.NumError)(nil); errors.As(err, &ne) {
		return 0, fmt.Errorf("%q: %w", s, ne.Err)
	}
	return int(n), err
}
