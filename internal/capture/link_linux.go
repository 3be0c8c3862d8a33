package capture

import (
	"bufio"
	"encoding/binary"
	"fmt"
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
//
// An answer to a request that was not made, or was answered before, ends the
// connection: xgb would look for its caller for ever, whatever is closed.
//
// Generic events are longer than the 32 bytes that xgb v1.1.1 takes each event
// for; it would read the rest as messages. They are cut to their first 32.
type link struct {
	*net.UnixConn
	in      *bufio.Reader // of the connection
	hello   []byte        // what xgb has not read of it yet
	rest    int           // what it has not read of the message that it reads
	excess  int           // what it must not read behind that
	greeted bool          // xgb has sent its hello
	sent    atomic.Uint32 // requests, one to a Write
	told    uint16        // the number of the last one that was answered
	shm     atomic.Uint32
	passing atomic.Pointer[os.File] // goes with the next AttachFd
}

func (l *link) Read(b []byte) (int, error) {
	if len(l.hello) > 0 {
		n := copy(b, l.hello)
		l.hello = l.hello[n:]
		return n, nil
	}
	if l.rest == 0 {
		if err := l.next(); err != nil {
			return 0, err
		}
	}
	n, err := l.in.Read(b[:min(len(b), l.rest)])
	l.rest -= n
	return n, err
}

// What a message of the server is: the first byte of its 32, without the bit
// that says by SendEvent. The length of what follows is at four in these two.
const (
	reply        = 1
	genericEvent = 35
	headSize     = 32
)

// next awaits a message.
func (l *link) next() error {
	if _, err := l.in.Discard(l.excess); err != nil {
		return err
	}
	l.excess = 0
	head, err := l.in.Peek(headSize)
	if err != nil {
		return err
	}
	if err := l.expect(head); err != nil {
		return err
	}
	l.rest = headSize
	follows := 4 * int(binary.LittleEndian.Uint32(head[4:]))
	switch head[0] &^ 0x80 {
	case reply:
		l.rest += follows
	case genericEvent:
		l.excess = follows
	}
	return nil
}

// expect holds the number of an answer, a reply or an error, against those of the
// requests (X11 protocol, section 1): sixteen bits of a count that begins at one.
func (l *link) expect(head []byte) error {
	if head[0] > reply {
		return nil
	}
	seq := binary.LittleEndian.Uint16(head[2:])
	if int16(uint16(l.sent.Load())-seq) < 0 || int16(seq-l.told) <= 0 {
		return fmt.Errorf("%w: an answer to request %d, which awaits none", ErrGone, seq)
	}
	l.told = seq
	return nil
}

func (l *link) Write(b []byte) (int, error) {
	if !l.greeted {
		l.greeted = true
		return len(b), nil
	}
	l.sent.Add(1)
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
	xgb.NewEventFuncs[genericEvent] = func(b []byte) xgb.Event { return rawEvent(b) }
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
