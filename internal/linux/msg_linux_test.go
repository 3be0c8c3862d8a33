package linux

import (
	"errors"
	"os"
	"testing"

	"golang.org/x/sys/unix"
)

func packets(t *testing.T) (int, int) {
	t.Helper()
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { unix.Close(fds[0]); unix.Close(fds[1]) })
	return fds[0], fds[1]
}

// Rule: a packet comes as it was sent, with its descriptors, which no program that is
// executed inherits.
func TestPacket(t *testing.T) {
	a, b := packets(t)
	if err := SendNow(a, []byte("packet"), unix.UnixRights(int(os.Stdin.Fd()))); err != nil {
		t.Fatal(err)
	}
	data, control := make([]byte, 64), make([]byte, 64)
	n, controlled, flags, err := Receive(b, data, control)
	if err != nil || string(data[:n]) != "packet" || flags&^unix.MSG_CMSG_CLOEXEC&^unix.MSG_EOR != 0 {
		t.Fatalf("%q, flags %#x, %v", data[:n], flags, err)
	}
	m, err := unix.ParseSocketControlMessage(control[:controlled])
	if err != nil || len(m) != 1 {
		t.Fatalf("%d control messages, %v", len(m), err)
	}
	fds, err := unix.ParseUnixRights(&m[0])
	if err != nil || len(fds) != 1 {
		t.Fatalf("%v, %v", fds, err)
	}
	defer unix.Close(fds[0])
	if f, err := unix.FcntlInt(uintptr(fds[0]), unix.F_GETFD, 0); err != nil || f&unix.FD_CLOEXEC == 0 {
		t.Errorf("flags %#x, %v", f, err)
	}
}

// Rule: the kernel says what did not fit.
func TestPacketTooLong(t *testing.T) {
	a, b := packets(t)
	if err := SendNow(a, make([]byte, 10), unix.UnixRights(0)); err != nil {
		t.Fatal(err)
	}
	n, controlled, flags, err := Receive(b, make([]byte, 4), nil)
	if n != 4 || controlled != 0 || flags&unix.MSG_TRUNC == 0 || flags&unix.MSG_CTRUNC == 0 || err != nil {
		t.Errorf("%d bytes, %d of control, flags %#x, %v", n, controlled, flags, err)
	}
}

// Rule: sending waits for nobody, and a peer that is gone is an error and no signal.
func TestSendNow(t *testing.T) {
	a, b := packets(t)
	var err error
	for range 10_000 {
		if err = SendNow(a, make([]byte, 4096), nil); err != nil {
			break
		}
	}
	if !errors.Is(err, unix.EAGAIN) {
		t.Errorf("full: %v", err)
	}
	unix.Shutdown(b, unix.SHUT_RDWR)
	if err := SendNow(a, []byte{1}, nil); !errors.Is(err, unix.EPIPE) {
		t.Errorf("gone: %v", err)
	}
}

// Rule: a poll ends with what it waits for, and with the other end's end.
func TestPollLong(t *testing.T) {
	a, b := packets(t)
	if has, err := PollLong(a, unix.POLLOUT); err != nil || has != unix.POLLOUT {
		t.Errorf("%#x, %v", has, err)
	}
	type answer struct {
		has int16
		err error
	}
	for _, wake := range []func(){
		func() { SendNow(b, []byte{1}, nil) },
		func() { Receive(a, make([]byte, 1), nil); unix.Shutdown(b, unix.SHUT_RDWR) },
	} {
		done := make(chan answer)
		go func() {
			has, err := PollLong(a, unix.POLLIN|unix.POLLRDHUP)
			done <- answer{has, err}
		}()
		wake()
		if got := <-done; got.err != nil || got.has == 0 {
			t.Error(got)
		}
	}
	if has, err := PollLong(1<<20, unix.POLLIN); err != nil || has != unix.POLLNVAL {
		t.Errorf("no descriptor: %#x, %v", has, err)
	}
}
