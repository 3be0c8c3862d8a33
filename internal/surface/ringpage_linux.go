package surface

import (
	"errors"
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

// pageMessage is what the page travels with: the version of its layout.
const pageMessage = 1

// sendPage makes the page of a ring and leaves it in the socket for the peer.
// No descriptor of it stays here.
func sendPage(s socket) ([]byte, error) {
	fd, err := memfdCreate("portward-ring")
	if err != nil {
		return nil, os.NewSyscallError("memfd_create", err)
	}
	defer unix.Close(fd)
	m, err := prepare(fd, ringSize)
	if err != nil {
		return nil, err
	}
	if err := s.sendFile(pageMessage, fd); err != nil {
		m.close()
		return nil, err
	}
	return m.pix, nil
}

// receivePage takes the page out of the socket, where it is by now, and maps it
// after the proof that memfds promises.
func receivePage(s socket) ([]byte, error) {
	version, fd, err := s.receiveFile()
	if err != nil {
		return nil, err
	}
	defer unix.Close(fd)
	if version != pageMessage {
		return nil, fmt.Errorf("%w: ring of version %d", ErrHostile, version)
	}
	if _, err := checkMemory(fd, ringSize); err != nil {
		return nil, fmt.Errorf("ring: %w", err)
	}
	m, err := mapMemory(fd, ringSize, unix.PROT_READ|unix.PROT_WRITE)
	if errors.Is(err, unix.EACCES) || errors.Is(err, unix.EPERM) {
		return nil, fmt.Errorf("%w: ring that cannot be written: %w", ErrHostile, err)
	}
	if err != nil {
		return nil, err
	}
	return m.pix, nil
}
