//go:build standin && !darwin

package surface

import (
	"os"
	"testing"

	"golang.org/x/sys/unix"
)

// send writes into a channel that is a socket.
func send(t *testing.T, f *os.File, b []byte) error {
	t.Helper()
	return unix.Sendto(int(f.Fd()), b, unix.MSG_DONTWAIT|unix.MSG_NOSIGNAL, nil)
}
