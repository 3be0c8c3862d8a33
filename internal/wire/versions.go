package wire

import (
	"errors"
	"fmt"
)

// The versions of the messages that this build speaks, both ends included.
const (
	VersionMin = 1
	VersionMax = 1
)

// ErrVersion means that two peers have no version in common. Whichever of the
// two is the older, the client is told CodeRelaunch: its engine starts what is
// installed now.
var ErrVersion = errors.New("no version in common")

// Negotiate answers the highest version that this build and a peer speaking
// min to max have in common. The error is ErrVersion, or ErrMalformed for a
// range that is none.
func Negotiate(min, max uint64) (uint64, error) {
	return negotiate(VersionMin, VersionMax, min, max)
}

func negotiate(ourMin, ourMax, min, max uint64) (uint64, error) {
	switch {
	case min < 1 || min > max:
		return 0, fmt.Errorf("%w: versions %d to %d", ErrMalformed, min, max)
	case max < ourMin:
		return 0, fmt.Errorf("%w: peer speaks up to %d, we from %d", ErrVersion, max, ourMin)
	case min > ourMax:
		return 0, fmt.Errorf("%w: peer speaks from %d, we up to %d", ErrVersion, min, ourMax)
	case max < ourMax:
		return max, nil
	}
	return ourMax, nil
}
