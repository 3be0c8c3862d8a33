package viewer

import (
	"context"
	"crypto/tls"
	"net"
	"net/http"
	"os"
	"sync"
	"testing"
	"time"

	"portward/internal/hub"
	"portward/internal/surface"
	"portward/internal/wire"

	"golang.org/x/sys/unix"
)

// patience is how long a condition may take on a slow, busy machine.
const patience = 30 * time.Second

const testToken = "the-right-token"

// A stage is one life of a served hub: what netchild is made of, without netchild.
type stage struct {
	hub  *hub.Hub
	addr string
	stop func()

	mu    sync.Mutex
	boxes []*outbox // of its viewers, in the order of their coming
}

// Subscribe implements Hub.
func (st *stage) Subscribe(ctx context.Context, v hub.Viewer) (*hub.Subscription, error) {
	st.mu.Lock()
	st.boxes = append(st.boxes, v.(*outbox))
	st.mu.Unlock()
	return st.hub.Subscribe(ctx, v)
}

// play starts a stage on addr ("127.0.0.1:0": any port). It ends with the test
// or with stop, after which addr is free again. A change is made to the server
// before it serves.
func play(t *testing.T, addr string, life uint64, cert tls.Certificate, change ...func(*server)) *stage {
	t.Helper()
	l := listen(t, addr)
	ctx, cancel := context.WithCancel(context.Background())
	st := &stage{hub: hub.New(hub.Config{Log: t.Logf}), addr: l.Addr().String()}
	handler := newServer(Config{
		Hub: st, Token: testToken, Life: life, Started: time.Now(),
		Hosts: []string{st.addr},
	})
	for _, c := range change {
		c(handler)
	}
	srv := &http.Server{
		BaseContext: func(net.Listener) context.Context { return ctx },
		TLSConfig:   &tls.Config{Certificates: []tls.Certificate{cert}, NextProtos: []string{"http/1.1"}},
		Handler:     handler,
		ErrorLog:    nil,
	}
	ran, served := make(chan struct{}), make(chan struct{})
	go func() { defer close(ran); _ = st.hub.Run(ctx) }()
	go func() { defer close(served); _ = srv.ServeTLS(l, "", "") }()
	st.stop = func() {
		cancel()
		_ = srv.Close()
		<-ran
		<-served
	}
	t.Cleanup(st.stop)
	return st
}

func listen(t *testing.T, addr string) net.Listener {
	t.Helper()
	l, err := net.Listen("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// An agent shows pictures in a session.
type agent struct {
	t     *testing.T
	chain *surface.Chain

	mu   sync.Mutex // held while a frame is drawn
	last uint32     // number of the last one
}

// enter attaches an agent that shows pictures of this size to st. paint is what
// it draws for a refresh and with show.
func enter(t *testing.T, st *stage, session string, width, height int, paint func(pix []byte)) *agent {
	t.Helper()
	g := surface.Geometry{Width: width, Height: height, Stride: width * 4, Format: surface.FormatBGRX}
	chain, err := surface.NewChain(g)
	if err != nil {
		t.Skipf("needs surfaces: %v", err)
	}
	t.Cleanup(func() { chain.Close() })
	peer, err := chain.Connect()
	if err != nil {
		t.Fatal(err)
	}
	sink, err := surface.Open(g, dup(t, chain.Surfaces()), wire.FD(peer), nil)
	if err != nil {
		t.Fatal(err)
	}
	a := &agent{t: t, chain: chain}
	if _, err := st.hub.Attach(t.Context(), session, sink, func() { a.showAll(paint) }); err != nil {
		t.Fatal(err)
	}
	return a
}

// showAll submits one frame, of which everything has changed.
func (a *agent) showAll(paint func(pix []byte)) uint32 {
	return a.show(surface.RegionOf(a.chain.Geometry().Bounds()), paint)
}

// show submits one frame, of which dirty has changed, and answers its number.
func (a *agent) show(dirty surface.Region, paint func(pix []byte)) uint32 {
	a.mu.Lock()
	defer a.mu.Unlock()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	b, err := a.chain.Acquire(ctx)
	if err != nil {
		return a.last // the consumer has gone
	}
	paint(b.Pix)
	_ = a.chain.Submit(b, dirty)
	a.last++
	return a.last
}

// dup answers handles of our own for borrowed ones, as a transport does.
func dup(t *testing.T, borrowed []wire.Handle) []wire.Handle {
	t.Helper()
	own := make([]wire.Handle, len(borrowed))
	for i, h := range borrowed {
		f, ok := h.File()
		if !ok {
			t.Fatal("a surface without a descriptor")
		}
		fd, err := unix.FcntlInt(f.Fd(), unix.F_DUPFD_CLOEXEC, 3)
		if err != nil {
			t.Fatal(err)
		}
		own[i] = wire.Surface(os.NewFile(uintptr(fd), f.Name()))
	}
	return own
}
