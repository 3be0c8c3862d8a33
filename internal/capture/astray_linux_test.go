package capture

import (
	"context"
	"errors"
	"io"
	"net"
	"path/filepath"
	"testing"
	"time"

	"portward/internal/capture/capturetest"
)

// strayProxy stands before a server and changes the number of one of its answers,
// by as much as that.
func strayProxy(t *testing.T, x *capturetest.Server, answer int, by byte) (socket string) {
	t.Helper()
	socket = filepath.Join(t.TempDir(), "X1")
	l, err := net.Listen("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			s, err := net.Dial("unix", x.Socket())
			if err != nil {
				c.Close()
				return
			}
			go func() { io.Copy(s, c); s.Close() }()
			go func() { lead(c, s, answer, by); c.Close() }()
		}
	}()
	return socket
}

// lead copies what the server says; an answer alone comes in a read of its own here,
// since nobody asks two things at once while a display is opened.
func lead(c io.Writer, s io.Reader, answer int, by byte) {
	b := make([]byte, 1<<16)
	for seen := 0; ; {
		n, err := s.Read(b)
		if err != nil {
			return
		}
		if n == headSize && b[0] <= reply {
			if seen++; seen == answer {
				b[2] += by
			}
		}
		if _, err := c.Write(b[:n]); err != nil {
			return
		}
	}
}

// Rule: a server that answers what nobody asked, or answers twice, is gone, and does
// not keep us.
func TestX11AnswersAstray(t *testing.T) {
	x := capturetest.Xvfb(t)
	for name, by := range map[string]byte{"ahead": 7, "again": 255} {
		socket := strayProxy(t, x, 2, by)
		ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
		if s, err := OpenX11(ctx, socket); !errors.Is(err, ErrGone) || ctx.Err() != nil {
			t.Errorf("%s: %v, %v", name, err, ctx.Err())
			if s != nil {
				s.Close()
			}
		}
		cancel()
	}
}
