package capture

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"path/filepath"
	"strings"
	"testing"

	"github.com/jezek/xgb/xproto"
)

// wellMade answers the hello of a server whose screen can be captured.
func wellMade() *xproto.SetupInfo {
	const depth, visual = 24, 33
	return &xproto.SetupInfo{
		Status: 1, ProtocolMajorVersion: 11, ResourceIdMask: 1<<21 - 1, VendorLen: 4, Vendor: "Test",
		PixmapFormatsLen: 1, PixmapFormats: []xproto.Format{{Depth: depth, BitsPerPixel: 32, ScanlinePad: 32}},
		RootsLen: 1, Roots: []xproto.ScreenInfo{{
			Root: 77, RootDepth: depth, RootVisual: visual, WidthInPixels: 640, HeightInPixels: 480,
			AllowedDepthsLen: 1, AllowedDepths: []xproto.DepthInfo{{
				Depth: depth, VisualsLen: 1,
				Visuals: []xproto.VisualInfo{{VisualId: visual, RedMask: 0xff0000, GreenMask: 0xff00, BlueMask: 0xff}},
			}},
		}},
	}
}

func encodeHello(info *xproto.SetupInfo) []byte {
	b := info.Bytes()
	binary.LittleEndian.PutUint16(b[6:], uint16((len(b)-8)/4))
	return b
}

// Rule: a screen whose pixels cannot be shared as they are is refused by name
// of the reason, and so is nonsense.
func TestFindScreen(t *testing.T) {
	if root, err := findScreen(encodeHello(wellMade()), 0); err != nil || root != 77 {
		t.Fatalf("a good screen: %d, %v", root, err)
	}
	for want, spoil := range map[string]func(*xproto.SetupInfo) (screen int){
		"depth 16":   func(i *xproto.SetupInfo) int { i.Roots[0].RootDepth, i.PixmapFormats[0].Depth = 16, 16; return 0 },
		"24 bits":    func(i *xproto.SetupInfo) int { i.PixmapFormats[0].BitsPerPixel = 24; return 0 },
		"0 bits":     func(i *xproto.SetupInfo) int { i.PixmapFormats[0].Depth = 8; return 0 },
		"high byte":  func(i *xproto.SetupInfo) int { i.ImageByteOrder = xproto.ImageOrderMSBFirst; return 0 },
		"colours":    func(i *xproto.SetupInfo) int { i.Roots[0].AllowedDepths[0].Visuals[0].RedMask = 0xff; return 0 },
		"0x0":        func(i *xproto.SetupInfo) int { i.Roots[0].RootVisual = 1; return 0 },
		"number 1":   func(*xproto.SetupInfo) int { return 1 },
		"number 999": func(*xproto.SetupInfo) int { return 999 },
	} {
		info := wellMade()
		screen := spoil(info)
		_, err := findScreen(encodeHello(info), screen)
		if err == nil || !strings.Contains(err.Error(), want) || errors.Is(err, ErrNoScreen) != (screen > 0) {
			t.Errorf("%s: %v", want, err)
		}
	}
	for n := range 40 {
		if _, err := findScreen(encodeHello(wellMade())[:n], 0); err == nil {
			t.Errorf("%d bytes are a hello", n)
		}
	}
}

func FuzzFindScreen(f *testing.F) {
	good := encodeHello(wellMade())
	f.Add(good, 0)
	f.Add(good[:50], 0)
	f.Add(bytes.Repeat([]byte{0xff}, 200), 3)
	f.Fuzz(func(t *testing.T, hello []byte, screen int) {
		if screen < 0 {
			return
		}
		if _, err := findScreen(hello, screen); err == nil && len(hello) < 40 {
			t.Errorf("%d bytes are a hello", len(hello))
		}
	})
}

// play answers our hello with that of a server and hangs up; it answers what
// we sent, too.
func play(t *testing.T, secret cookie, answer []byte) (sent, hello []byte, err error) {
	t.Helper()
	ours, theirs := net.Pipe()
	defer ours.Close()
	request := make(chan []byte, 1)
	go func() {
		defer theirs.Close()
		b := make([]byte, len(helloRequest(secret)))
		io.ReadFull(theirs, b)
		request <- b
		theirs.Write(answer)
	}()
	hello, err = greet(ours, secret)
	return <-request, hello, err
}

func refusal(reason string) []byte {
	padded := reason + strings.Repeat("\x00", -len(reason)&3)
	b := []byte{0, byte(len(reason)), 11, 0, 0, 0, byte(len(padded) / 4), 0}
	return append(b, padded...)
}

// Rule: a refusal is told in the server's words and is not ErrGone; a hello
// that breaks off is.
func TestGreet(t *testing.T) {
	good := encodeHello(wellMade())
	if _, hello, err := play(t, nil, good); err != nil || !bytes.Equal(hello, good) {
		t.Errorf("good: %d bytes, %v", len(hello), err)
	}
	long := strings.Repeat("no", 127)
	for _, reason := range []string{"", "no protocol specified\n", long} {
		_, _, err := play(t, nil, refusal(reason))
		if err == nil || errors.Is(err, ErrGone) || !strings.Contains(err.Error(), strings.TrimSpace(reason)) {
			t.Errorf("refused with %q: %v", reason, err)
		}
	}
	lying := refusal("no")
	lying[1] = 255
	if _, _, err := play(t, nil, lying); err == nil || errors.Is(err, ErrGone) {
		t.Errorf("a refusal longer than itself: %v", err)
	}
	if _, _, err := play(t, nil, []byte{2, 0, 11, 0, 0, 0, 0, 0}); err == nil || errors.Is(err, ErrGone) {
		t.Errorf("authenticate: %v", err)
	}
	for _, n := range []int{0, 7, 8, len(good) - 1} {
		if _, _, err := play(t, nil, good[:n]); !errors.Is(err, ErrGone) {
			t.Errorf("%d bytes: %v", n, err)
		}
	}
}

// Rule: the cookie travels as the protocol says, padded to four bytes.
func TestGreetSendsCookie(t *testing.T) {
	sent, _, err := play(t, secret, encodeHello(wellMade()))
	want := "l\x00\x0b\x00\x00\x00\x12\x00\x10\x00\x00\x00" + cookieName + "\x00\x00" + string(secret)
	if err != nil || string(sent) != want {
		t.Errorf("sent %q, %v", sent, err)
	}
}

// Rule: a server that listens on the abstract socket alone is found.
func TestDialAbstract(t *testing.T) {
	path := filepath.Join(t.TempDir(), "X1")
	listener, err := net.Listen("unix", "@"+path)
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	c, err := display{socket: path}.dial(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	c.Close()
	if _, err := (display{socket: path + "0"}).dial(t.Context()); !errors.Is(err, ErrGone) {
		t.Errorf("nobody there: %v", err)
	}
}

// Rule: xgb's request and the descriptor leave together; without a descriptor
// nothing leaves.
func TestLinkPassesDescriptor(t *testing.T) {
	l := &link{greeted: true}
	l.shm.Store(130)
	attach := []byte{130, 6, 3, 0, 1, 0, 0, 0, 0, 0, 0, 0}
	for _, c := range []struct {
		b    []byte
		want bool
	}{{attach, true}, {attach[:8], false}, {append([]byte{131}, attach[1:]...), false}, {append([]byte{130, 4}, attach[2:]...), false}} {
		if got := l.attaches(c.b); got != c.want {
			t.Errorf("%v: %v", c.b, got)
		}
	}
	if n, err := l.Write(attach); err == nil {
		t.Errorf("sent %d bytes and no descriptor", n)
	}
}

// message is one of the server's with so much behind its head.
func message(kind byte, words int) []byte {
	b := make([]byte, headSize+4*words)
	for i := range b {
		b[i] = byte(i)
	}
	b[0] = kind
	binary.LittleEndian.PutUint32(b[4:], uint32(words))
	return b
}

// Rule: all that a server says is read as it came but for generic events, of
// which their first 32 bytes are left, sent by SendEvent or not.
func TestLinkCutsEvents(t *testing.T) {
	const failure, damaged = 0, 91
	var sent, want []byte
	var answers uint16
	for _, m := range []struct {
		kind        byte
		words, left int
	}{
		{damaged, 0, 0}, {genericEvent, 9, 0}, {reply, 5, 5}, {genericEvent | 0x80, 3000, 0}, {genericEvent, 0, 0},
		{failure, 0, 0}, {reply, 2000, 2000}, {genericEvent, 1, 0}, {genericEvent, 2, 0}, {reply, 0, 0},
	} {
		b := message(m.kind, m.words)
		if m.kind <= reply {
			answers++
			binary.LittleEndian.PutUint16(b[2:], answers)
		}
		sent, want = append(sent, b...), append(want, b[:headSize+4*m.left]...)
	}
	for _, chunk := range []int{1, 7, 32, 4096, 1 << 20} {
		l := &link{hello: []byte("hello"), in: bufio.NewReaderSize(bytes.NewReader(sent), 64)}
		l.sent.Store(uint32(answers))
		var got []byte
		buf := make([]byte, chunk)
		for {
			n, err := l.Read(buf)
			got = append(got, buf[:n]...)
			if err == io.EOF {
				break
			}
			if err != nil {
				t.Fatal(err)
			}
		}
		if !bytes.Equal(got, append([]byte("hello"), want...)) {
			t.Errorf("%d at a time: %d bytes, want %d", chunk, len(got), 5+len(want))
		}
	}
}

// Rule: whatever a server says, reading ends when it does, and gives whole heads
// of messages in whole and nothing that was not said.
func FuzzLinkRead(f *testing.F) {
	f.Add(append(message(genericEvent, 3), message(reply, 1)...))
	endless := message(genericEvent, 2)
	binary.LittleEndian.PutUint32(endless[4:], 1<<32-1)
	f.Add(endless)
	f.Fuzz(func(t *testing.T, said []byte) {
		l := &link{in: bufio.NewReader(bytes.NewReader(said))}
		l.sent.Store(1 << 14)
		got, err := io.ReadAll(l)
		if err != nil && !errors.Is(err, ErrGone) || len(got) > len(said) || len(said) < headSize && len(got) > 0 {
			t.Errorf("%d bytes of %d: %v", len(got), len(said), err)
		}
	})
}

func ExampleAnswers() {
	fmt.Println(Answers("/nonexistent/X1"), Answers("example.org:0"))
	// Output: false false
}

// Rule: a server that resets itself hangs up once; one that does so again is gone.
func TestCallsOnceMore(t *testing.T) {
	for hangUps, want := range []bool{true, true, false} {
		path := filepath.Join(t.TempDir(), "X")
		listener, err := net.Listen("unix", path)
		if err != nil {
			t.Fatal(err)
		}
		served := make(chan struct{})
		go func() {
			defer close(served)
			for n := 0; ; n++ {
				c, err := listener.Accept()
				if err != nil {
					return
				}
				if n >= hangUps {
					io.ReadFull(c, make([]byte, len(helloRequest(nil))))
					c.Write(encodeHello(wellMade()))
				}
				c.Close()
			}
		}()
		t.Setenv("XAUTHORITY", filepath.Join(t.TempDir(), "none"))
		if got := Answers(path); got != want {
			t.Errorf("after %d hang-ups: %v", hangUps, got)
		}
		listener.Close()
		<-served
	}
}
