//go:build !linux && !darwin

package surface

import (
	"errors"
	"os"

	"portward/internal/wire"
)

func native() Platform { return Platform{nowhere{}, noChannel{}} }

type nowhere struct{}

func (nowhere) create(Geometry) (memory, error) { return nil, errors.ErrUnsupported }

func (nowhere) adopt(wire.Handle, Geometry) (memory, identity, error) {
	return nil, identity{}, errors.ErrUnsupported
}

type noChannel struct{}

func (noChannel) create() (channel, *os.File, error) { return nil, nil, errors.ErrUnsupported }

func (noChannel) adopt(*os.File) (channel, error) { return nil, errors.ErrUnsupported }
