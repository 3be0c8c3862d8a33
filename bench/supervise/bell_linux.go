package supervise

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"
)

// A ring is one message of a child.
type ring struct {
	kind byte          // 'R': ready, 'H': it hangs, at the time of its last beat
	at   time.Duration // CLOCK_MONOTONIC of the sender
	pid  int           // of the sender, in our namespace
}

// A bell is the socket where the children of one supervisor say what they do.
type bell struct {
	path string
	conn *net.UnixConn
}

func newBell(dir string) (*bell, error) {
	path := filepath.Join(dir, "bell")
	conn, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: path, Net: "unixgram"})
	if err != nil {
		return nil, err
	}
	raw, err := conn.SyscallConn()
	if err != nil {
		conn.Close()
		return nil, err
	}
	var set error
	err = raw.Control(func(fd uintptr) { set = unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_PASSCRED, 1) })
	if err != nil || set != nil {
		conn.Close()
		return nil, fmt.Errorf("SO_PASSCRED: %w", errors.Join(err, set))
	}
	return &bell{path: path, conn: conn}, nil
}

// await answers the next message of a kind; those of the other kind are dropped.
func (b *bell) await(ctx context.Context, kind byte) (ring, error) {
	stop := context.AfterFunc(ctx, func() { b.conn.SetReadDeadline(time.Unix(1, 0)) })
	defer func() {
		stop()
		b.conn.SetReadDeadline(time.Time{})
	}()
	for {
		r, err := b.read()
		if ctx.Err() != nil {
			return ring{}, fmt.Errorf("no %q from the child: %w", kind, ctx.Err())
		}
		if err != nil || r.kind == kind {
			return r, err
		}
	}
}

func (b *bell) read() (ring, error) {
	message, oob := make([]byte, 16), make([]byte, 64)
	n, oobn, _, _, err := b.conn.ReadMsgUnix(message, oob)
	if err != nil {
		return ring{}, err
	}
	pid, err := sender(oob[:oobn])
	if err != nil {
		return ring{}, err
	}
	if n != 9 {
		return ring{}, fmt.Errorf("a message of %d bytes from pid %d", n, pid)
	}
	return ring{message[0], time.Duration(binary.NativeEndian.Uint64(message[1:])), pid}, nil
}

// sender answers who the kernel says has sent a message.
func sender(oob []byte) (int, error) {
	parts, err := unix.ParseSocketControlMessage(oob)
	if err != nil {
		return 0, err
	}
	for i := range parts {
		if cred, err := unix.ParseUnixCredentials(&parts[i]); err == nil {
			return int(cred.Pid), nil
		}
	}
	return 0, fmt.Errorf("a message without credentials")
}

func (b *bell) close() error { return b.conn.Close() }

// now is CLOCK_MONOTONIC, the clock of every ring.
func now() time.Duration {
	var ts unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_MONOTONIC, &ts); err != nil {
		panic(err) // it is always there
	}
	return time.Duration(ts.Nano())
}
