package capture

import "context"

// OpenX11 answers a source that shows an X server's screen, with everything on
// it but the mouse pointer. The display is named as in DISPLAY, for this
// machine's Unix sockets only: ":1", ":1.0", "unix:1", or the socket's path;
// the cookie comes from XAUTHORITY. Nothing is copied on our side: the server
// writes into the very memory that the buffers share. The picture is
// surface.FormatBGRX.
//
// A server that does not answer is ErrGone, after ten seconds if it is only
// silent; ctx ends OpenX11 before that, and Close ends a Fill. One that cannot
// be captured (no MIT-SHM 1.2 or DAMAGE, not 32 bits per pixel with the low byte
// first, no permission) is another error: trying again alone does not help.
//
// A server that was silent may still write into its old buffers when it goes on:
// give the next source new ones. A server that was started without -noreset
// resets itself when its last client leaves, which Answers may be; that takes a
// part of a second, in which nobody is answered.
//
// Where there is no X11 it answers errors.ErrUnsupported.
func OpenX11(ctx context.Context, display string) (Source, error) { return openX11(ctx, display) }

// Answers says whether an X server answers at display and lets us in, within a
// second.
func Answers(display string) bool { return answers(display) }
