package surface

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"portward/internal/wire"
)

// The tests of this file play a peer that lies, on the level of descriptors
// and bytes, and look at what the honest side does.

func TestOpenTakesAnHonestOffer(t *testing.T) {
	noLeaks(t)
	o, _ := honestOffer(t)
	o.swap(1, memfile(t, os.Getpagesize(), finalSize, unix.MFD_ALLOW_SEALING)) // whole pages are fine too
	s, err := Open(o.geometry, o.surfaces, o.frames, nil)
	if err != nil {
		t.Fatal(err)
	}
	s.Close()
}

func TestOpenRefusesLies(t *testing.T) {
	for _, c := range []struct {
		lie string
		do  func(*testing.T, *offer)
	}{
		{"geometry of nothing", func(t *testing.T, o *offer) { o.geometry.Width = 0 }},
		{"negative height", func(t *testing.T, o *offer) { o.geometry.Height = -16 }},
		{"stride shorter than a row", func(t *testing.T, o *offer) { o.geometry.Stride = 60 }},
		{"stride that makes the picture larger", func(t *testing.T, o *offer) { o.geometry.Stride = 4096 }},
		{"stride without end", func(t *testing.T, o *offer) { o.geometry.Stride = 1 << 62 }},
		{"unknown format", func(t *testing.T, o *offer) { o.geometry.Format = 7 }},
		{"no surfaces", func(t *testing.T, o *offer) { closeAll(o.surfaces); o.surfaces = nil }},
		{"nine surfaces", func(t *testing.T, o *offer) {
			for len(o.surfaces) <= MaxSlots {
				o.surfaces = append(o.surfaces, wire.Surface(honestMemory(t)))
			}
		}},
		{"a surface that says it is a descriptor", func(t *testing.T, o *offer) { o.surfaces[1].Kind = wire.HandleFD }},
		{"no surface in a handle", func(t *testing.T, o *offer) { o.swap(1, nil); o.surfaces[1].Object = nil }},
		{"one memory twice", func(t *testing.T, o *offer) {
			f, _ := o.surfaces[0].File()
			o.swap(2, reopen(t, dupFile(t, f), os.O_RDWR))
		}},
		{"one handle twice", func(t *testing.T, o *offer) { o.surfaces[1].Close(); o.surfaces[1] = o.surfaces[0] }},
		{"memory too small", func(t *testing.T, o *offer) {
			o.swap(1, memfile(t, square.Size()-1, finalSize, unix.MFD_ALLOW_SEALING))
		}},
		{"memory too large", func(t *testing.T, o *offer) {
			o.swap(1, memfile(t, 1<<20, finalSize, unix.MFD_ALLOW_SEALING))
		}},
		{"no seals", func(t *testing.T, o *offer) { o.swap(1, memfile(t, square.Size(), 0, unix.MFD_ALLOW_SEALING)) }},
		{"sealing not allowed", func(t *testing.T, o *offer) { o.swap(1, memfile(t, square.Size(), 0, 0)) }},
		{"may shrink", func(t *testing.T, o *offer) {
			o.swap(1, memfile(t, square.Size(), unix.F_SEAL_GROW|unix.F_SEAL_WRITE, unix.MFD_ALLOW_SEALING))
		}},
		{"may grow", func(t *testing.T, o *offer) {
			o.swap(1, memfile(t, square.Size(), unix.F_SEAL_SHRINK, unix.MFD_ALLOW_SEALING))
		}},
		{"huge pages", func(t *testing.T, o *offer) {
			o.geometry = Geometry{Width: 1024, Height: 512, Stride: 4096, Format: FormatBGRX}
			for i := range Slots {
				o.swap(i, memfile(t, o.geometry.Size(), finalSize, unix.MFD_ALLOW_SEALING|unix.MFD_HUGETLB))
			}
		}},
		{"write-only", func(t *testing.T, o *offer) { o.swap(1, reopen(t, honestMemory(t), os.O_WRONLY)) }},
		{"a path", func(t *testing.T, o *offer) { o.swap(1, reopen(t, honestMemory(t), unix.O_PATH)) }},
		{"a file on disk", func(t *testing.T, o *offer) {
			name := filepath.Join(t.TempDir(), "f")
			if err := os.WriteFile(name, make([]byte, square.Size()), 0o600); err != nil {
				t.Fatal(err)
			}
			o.swap(1, open(t, name, os.O_RDWR))
		}},
		{"a file on tmpfs", func(t *testing.T, o *offer) {
			f, err := os.CreateTemp("/dev/shm", "portward")
			if err != nil {
				t.Skipf("needs /dev/shm: %v", err)
			}
			os.Remove(f.Name())
			f.Truncate(int64(square.Size()))
			o.swap(1, f)
		}},
		{"a device", func(t *testing.T, o *offer) { o.swap(1, open(t, "/dev/zero", os.O_RDWR)) }},
		{"a directory", func(t *testing.T, o *offer) { o.swap(1, open(t, "/", os.O_RDONLY)) }},
		{"a pipe", func(t *testing.T, o *offer) {
			r, w, err := os.Pipe()
			if err != nil {
				t.Fatal(err)
			}
			w.Close()
			o.swap(1, r)
		}},
		{"frames over a stream", func(t *testing.T, o *offer) { socketOf(t, o, unix.SOCK_STREAM) }},
		{"frames over datagrams", func(t *testing.T, o *offer) { socketOf(t, o, unix.SOCK_DGRAM) }},
		{"frames from memory", func(t *testing.T, o *offer) { o.channel(honestMemory(t)) }},
		{"frames from a listener", func(t *testing.T, o *offer) {
			fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_CLOEXEC, 0)
			if err != nil {
				t.Fatal(err)
			}
			if err := errors.Join(unix.Bind(fd, &unix.SockaddrUnix{}), unix.Listen(fd, 1)); err != nil {
				t.Fatal(err)
			}
			o.channel(os.NewFile(uintptr(fd), "listener"))
		}},
		{"a surface as frame channel", func(t *testing.T, o *offer) { o.frames.Kind = wire.HandleSurface }},
		{"no frame channel", func(t *testing.T, o *offer) { o.frames.Close(); o.frames = wire.Handle{} }},
	} {
		t.Run(c.lie, func(t *testing.T) {
			noLeaks(t)
			o, producer := honestOffer(t)
			defer producer.Close()
			defer closeAll(o.surfaces) // for the skips
			c.do(t, &o)
			a := NewAccount(Limits{Chains: 1, Bytes: 8 << 20})
			if _, err := Open(o.geometry, o.surfaces, o.frames, a); !errors.Is(err, ErrHostile) {
				t.Errorf("got %v", err)
			}
			if n, b := a.Used(); n != 0 || b != 0 {
				t.Errorf("account left with %d chains, %d bytes", n, b)
			}
			for i, h := range append(o.surfaces, o.frames) {
				if f, ok := h.File(); ok && f.Close() == nil {
					t.Errorf("handle %d was left open", i)
				}
			}
		})
	}
}

func dupFile(t *testing.T, f *os.File) *os.File {
	t.Helper()
	fd, err := duplicate(f)
	if err != nil {
		t.Fatal(err)
	}
	return os.NewFile(uintptr(fd), f.Name())
}

func socketOf(t *testing.T, o *offer, kind int) {
	ours, theirs := pair(t, kind)
	ours.Close()
	o.channel(theirs)
}

// The size that was checked is final: a producer that kept its descriptors
// cannot take the pages away from under the reader.
func TestSizeCannotChangeAfterTheCheck(t *testing.T) {
	noLeaks(t)
	o, _ := honestOffer(t)
	kept := make([]*os.File, Slots)
	for i, h := range o.surfaces {
		f, _ := h.File()
		kept[i] = dupFile(t, f)
		defer kept[i].Close()
	}
	s, err := Open(o.geometry, o.surfaces, o.frames, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	for i, f := range kept {
		if f.Truncate(0) == nil || f.Truncate(1<<20) == nil {
			t.Fatal("memory changed its size")
		}
		// A hole is allowed, and reads as zeros.
		if err := unix.Fallocate(int(f.Fd()), unix.FALLOC_FL_PUNCH_HOLE|unix.FALLOC_FL_KEEP_SIZE, 0, int64(square.Size())); err != nil {
			t.Fatal(err)
		}
		for _, b := range s.slots[i].memory.(*memfd).pix {
			if b != 0 {
				t.Fatal("a hole shows something")
			}
		}
	}
}

// Reading needs no right to write, and the consumer's mapping has none.
func TestSinkMapsReadOnly(t *testing.T) {
	o, _ := honestOffer(t)
	for i := range Slots {
		o.swap(i, reopen(t, honestMemory(t), os.O_RDONLY))
	}
	s, err := Open(o.geometry, o.surfaces, o.frames, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	maps, err := os.ReadFile("/proc/self/maps")
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(maps)) {
		if strings.Contains(line, "memfd:peer") && !strings.Contains(line, " r--s ") {
			t.Errorf("mapped %s", line)
		}
	}
}

// A producer that makes the socket a blocking one, through a descriptor it
// kept, cannot make Next stay longer than it should, nor Release, nor Close.
func TestProducerCannotMakeUsBlock(t *testing.T) {
	noLeaks(t)
	o, _ := honestOffer(t)
	f, _ := o.frames.File()
	kept := dupFile(t, f)
	defer kept.Close()
	s, err := Open(o.geometry, o.surfaces, o.frames, nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := unix.SetNonblock(int(kept.Fd()), false); err != nil {
		t.Fatal(err)
	}
	got := make(chan error, 2)
	go func() {
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Millisecond)
		defer cancel()
		_, err := s.Next(ctx)
		got <- err
		_, err = s.Next(context.Background())
		got <- err
	}()
	for _, want := range []error{context.DeadlineExceeded, ErrClosed} {
		select {
		case err := <-got:
			if !errors.Is(err, want) {
				t.Fatalf("got %v, want %v", err, want)
			}
		case <-deadline(t).Done():
			t.Fatal("blocked in the kernel")
		}
		s.Close()
	}
}
