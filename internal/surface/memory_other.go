//go:build !linux

package surface

import (
	"errors"
	"os"
)

func makeMemory(int) (memory, *os.File, error) { return memory{}, nil, errors.ErrUnsupported }

func adoptMemories([]*os.File, int) ([]memory, error) { return nil, errors.ErrUnsupported }

func unmapMemory([]byte) {}
