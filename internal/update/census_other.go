//go:build !linux

package update

import "errors"

// users cannot be told here: what a process runs from is known by path only,
// which an exchange makes wrong.
//
// BUG(portward): outside Linux no retained bundle is ever removed, and so no
// second update happens.
func users(dir, live string) (pid string, err error) { return "", errors.ErrUnsupported }
