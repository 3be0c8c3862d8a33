package capture

import (
	"context"
	"errors"
	"fmt"
	"strings"
)

// ErrNoScreen says that the X server has fewer screens than that.
var ErrNoScreen = errors.New("there is no such screen")

// OpenX11 answers a source that shows one screen of an X server, all its monitors
// as one picture, with everything on it and the mouse pointer, if that is on it.
// The display is named as in DISPLAY, for this machine's Unix sockets only: ":1",
// ":1.0", "unix:1", or the socket's path, with or without a screen's number behind
// it as well ("/tmp/.X11-unix/X1.0"); the cookie comes from XAUTHORITY. Nothing is
// copied on our side: the server writes into the very memory that the buffers
// share, and only the rows that changed. The picture is surface.FormatBGRX.
//
// A server that does not answer is ErrGone, after ten seconds if it is only
// silent; ctx ends OpenX11 before that, and Close ends a Fill. A screen that it
// does not have, or not any more, is ErrNoScreen. One that cannot be captured (no
// MIT-SHM 1.2 or DAMAGE, not 32 bits per pixel with the low byte first, no
// permission) is another error: trying again alone does not help.
//
// A server that was silent may still write into its old buffers when it goes on:
// give the next source new ones. A server that was started without -noreset
// resets itself when its last client leaves, which Answers may be; that takes a
// part of a second, in which nobody is answered.
//
// Where there is no X11 it answers errors.ErrUnsupported.
func OpenX11(ctx context.Context, display string) (Source, error) { return openX11(ctx, display) }

// X11Screens answers how many screens the X server at display has, whichever of
// them the display names: OpenX11 shows each under the name that X11Screen has for
// it. Errors are as OpenX11's; a server may have another number when it comes
// back.
func X11Screens(ctx context.Context, display string) (int, error) { return x11Screens(ctx, display) }

// X11Screen names a screen, from 0, of the server at display: screen 2 of ":1" is
// ":1.2".
func X11Screen(display string, screen int) (string, error) {
	d, err := parseDisplay(display)
	if err != nil {
		return "", err
	}
	if !d.dotted {
		return fmt.Sprintf("%s.%d", display, screen), nil
	}
	return fmt.Sprintf("%s.%d", display[:strings.LastIndexByte(display, '.')], screen), nil
}

// Answers says whether an X server answers at display and lets us in, within a
// second.
func Answers(display string) bool { return answers(display) }
