//go:build linux

package main

import (
	"encoding/binary"
	"errors"
	"os"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"

	"portward/internal/linux"
)

// A ringByHand is the producer's end of a frame channel (package surface) as a liar
// has it: it writes what it likes. A lane's words are head, tail and whether its
// reader sleeps, each on its line; frames travel in the first, releases in the
// second.
type ringByHand struct {
	socket *os.File
	page   []byte
	words  []uint32
	sent   uint32 // frames
	got    uint32 // releases
}

const (
	ringPage    = 4096
	ringEntries = 16
	frameHead   = 0
	frameAsleep = 32
	releaseHead = 48
	releaseTail = 64
)

// newRingByHand answers the consumer's end too, which is to be attached.
func newRingByHand() (*ringByHand, *os.File, error) {
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, nil, err
	}
	ours, theirs := os.NewFile(uintptr(fds[0]), "ours"), os.NewFile(uintptr(fds[1]), "theirs")
	// A read that waits in vain shall fail, not hang.
	tv := unix.NsecToTimeval(int64(soon))
	if err := unix.SetsockoptTimeval(fds[0], unix.SOL_SOCKET, unix.SO_RCVTIMEO, &tv); err != nil {
		return nil, nil, err
	}
	f, err := memory(ringPage, true)(0)
	if err != nil {
		return nil, nil, err
	}
	defer f.Close()
	page, err := unix.Mmap(int(f.Fd()), 0, ringPage, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
	if err != nil {
		return nil, nil, err
	}
	r := &ringByHand{socket: ours, page: page, words: linux.Words32(page)}
	return r, theirs, unix.Sendmsg(fds[0], []byte{1}, unix.UnixRights(int(f.Fd())), nil, 0)
}

// write sends a descriptor through the ring, and all else beside it.
func (r *ringByHand) write(b []byte) error {
	if len(b) != 64 {
		return unix.Sendto(int(r.socket.Fd()), b, unix.MSG_NOSIGNAL, nil)
	}
	entry := linux.Words(r.page[1024:])[r.sent%ringEntries*8:][:8]
	for i := range entry {
		entry[i] = binary.LittleEndian.Uint64(b[8*i:])
	}
	r.sent++
	atomic.StoreUint32(&r.words[frameHead], r.sent)
	atomic.StoreUint32(&r.words[frameAsleep], 0)
	linux.FutexWake(&r.words[frameAsleep])
	return nil
}

// release waits for the next one.
func (r *ringByHand) release() error {
	for end := time.Now().Add(soon); atomic.LoadUint32(&r.words[releaseHead]) == r.got; time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			return errors.New("no release came")
		}
	}
	r.got++
	atomic.StoreUint32(&r.words[releaseTail], r.got)
	return nil
}

// end waits until the other side has closed its end.
func (r *ringByHand) end() error {
	n, err := unix.Read(int(r.socket.Fd()), make([]byte, 1))
	if errors.Is(err, unix.ECONNRESET) {
		return nil
	}
	if err == nil && n > 0 {
		return errors.New("a message beside the ring")
	}
	return err
}
