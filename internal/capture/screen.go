package capture

import (
	"context"
	"errors"
)

// ErrPermission says that the system lets nobody's programs, or not this one,
// record the screen until a person allows it. Its text has the next step; to try
// again soon helps nobody.
var ErrPermission = errors.New("not allowed to record the screen")

// OpenMainDisplay answers a picture of the main display of this login, with
// everything on it, the mouse pointer too, on systems that have one way to do it
// for all programs (macOS 12.3: ScreenCaptureKit). The picture is
// surface.FormatBGRX in the display's own pixels.
//
// The system draws into surfaces of its own, which are lent. A display that does not
// answer is ErrGone, after ten seconds if it is only silent; ErrPermission is a
// person's to mend.
//
// Elsewhere it answers errors.ErrUnsupported.
func OpenMainDisplay(ctx context.Context) (Lender, error) { return openMainDisplay(ctx) }
