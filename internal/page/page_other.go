//go:build !linux

package page

import (
	"errors"
	"os"
)

func newPage(int) (*Page, error)            { return nil, errors.ErrUnsupported }
func openPage(*os.File, int) (*Page, error) { return nil, errors.ErrUnsupported }
func unmap([]byte) error                    { return errors.ErrUnsupported }
