package capture

import (
	"io"
	"log"
	"net"
	"os"
	"sync"
	"sync/atomic"

	"github.com/jezek/xgb"
	"golang.org/x/sys/unix"
)

// A link is the connection beneath an xgb.Conn. It answers xgb's hello with the
// one that the server already sent to ours, and it sends the descriptor that
// belongs to MIT-SHM's AttachFd: xgb v1.1.1 sends the request alone. Closing it
// ends all of xgb's goroutines, whatever they wait for; xgb's own Close waits
// for an answer of the server.
type link struct {
	*net.UnixConn
	hello   []byte // what xgb has not read of it yet
	greeted bool   // xgb has sent its hello
	shm     atomic.Uint32
	passing atomic.Pointer[os.File] // goes with the next AttachFd
}

func (l *link) Read(b []byte) (int, error) {
	if len(l.hello) == 0 {
		return l.UnixConn.Read(b)
	}
	n := copy(b, l.hello)
	l.hello = l.hello[n:]
	return n, nil
}

func (l *link) Write(b []byte) (int, error) {
	if !l.greeted {
		l.greeted = true
		return len(b), nil
	}
	if !l.attaches(b) {
		return l.UnixConn.Write(b)
	}
	f := l.passing.Swap(nil)
	if f == nil {
		return 0, os.ErrInvalid
	}
	return l.writeWith(f, b)
}

// attaches says whether b is an AttachFd request (X11/extensions/shmproto.h):
// twelve bytes, MIT-SHM's opcode, minor opcode 6.
func (l *link) attaches(b []byte) bool {
	const attachFd = 6
	return len(b) == 12 && uint32(b[0]) == l.shm.Load() && b[1] == attachFd
}

func (l *link) writeWith(f *os.File, b []byte) (n int, err error) {
	raw, err := f.SyscallConn()
	if err != nil {
		return 0, err
	}
	if e := raw.Control(func(fd uintptr) {
		n, _, err = l.WriteMsgUnix(b, unix.UnixRights(int(fd)), nil)
	}); e != nil {
		return 0, e
	}
	if err == nil && n < len(b) {
		err = io.ErrShortWrite
	}
	return n, err
}

// readyXGB prepares xgb, once and before the first connection: what it logs is
// an error that its caller gets too, and its tables of constructors are global,
// without a lock, and keyed by codes that every server chooses for itself. So no
// extension's Init is ever called here; all codes of extensions become rawEvent
// and rawError, and each connection knows which are its own.
var readyXGB = sync.OnceFunc(func() {
	xgb.Logger = log.New(io.Discard, "", 0)
	for code := 64; code < 128; code++ {
		xgb.NewEventFuncs[code] = func(b []byte) xgb.Event { return rawEvent(b) }
	}
	for code := 128; code < 256; code++ {
		xgb.NewErrorFuncs[code] = func(b []byte) xgb.Error { return rawError(b) }
	}
})

// A rawEvent is an extension's event as it came: 32 bytes.
type rawEvent []byte

func (e rawEvent) Bytes() []byte  { return e }
func (e rawEvent) String() string { return xgb.Sprintf("event %d", e.code()) }
func (e rawEvent) code() byte     { return e[0] &^ 0x80 } // the bit says: by SendEvent

// A rawError is an extension's error as it came: 32 bytes.
type rawError []byte

func (e rawError) SequenceId() uint16 { return xgb.Get16(e[2:]) }
func (e rawError) BadId() uint32      { return xgb.Get32(e[4:]) }
func (e rawError) Error() string      { return xgb.Sprintf("extension error %d", e[1]) }
