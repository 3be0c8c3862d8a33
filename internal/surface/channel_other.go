//go:build !linux

package surface

import (
	"errors"
	"os"
)

func makeChannel() (channel, *os.File, error) { return nil, nil, errors.ErrUnsupported }

func adoptChannel(*os.File) (channel, error) { return nil, errors.ErrUnsupported }
