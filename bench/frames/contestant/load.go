//go:build linux

package main

import (
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"sync/atomic"
	"time"

	"github.com/coder/websocket"

	"portward/bench/chain"
	"portward/bench/talk"
	"portward/internal/capture"
	"portward/internal/surface"
)

// Each agent shows a test card of this size, so often a second.
const (
	cardWidth, cardHeight = 640, 360
	cardFPS               = 30
)

// load samples what a frame costs the process that takes it from its agent and
// shows it to whoever watches. The other half is that process; this one is all the
// agents and all the viewers.
func (o options) load() error {
	if o.other {
		return o.loaded()
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	defer l.Close()
	port, err := l.(*net.TCPListener).File()
	if err != nil {
		return err
	}
	asks, asked, err := os.Pipe()
	if err != nil {
		return err
	}
	c := crowd{failed: make(chan error, o.agents+o.viewers+1)}
	chains, files, err := c.chains(o.agents)
	if err != nil {
		return err
	}
	peer, err := talk.Other(append([]*os.File{port, asked}, files...)...)
	if err != nil {
		return err
	}
	defer talk.End(peer)
	if err := c.stream(chains, asks); err != nil {
		return err
	}
	for range o.viewers {
		go func() { c.failed <- c.watch(l.Addr().String()) }()
	}
	return talk.Serve(func(n int) ([]float64, error) { return c.cost(n, peer.Process.Pid, o.viewers) })
}

// A crowd is all agents and viewers.
type crowd struct {
	released atomic.Int64 // frames, of all agents
	shown    atomic.Int64 // updates that came to viewers
	failed   chan error
}

// chains makes n chains, and the descriptors of all their consumers' ends.
func (c *crowd) chains(n int) (chains []*surface.Chain, files []*os.File, err error) {
	for range n {
		chain, own, err := chain.New(geometry(cardWidth, cardHeight), func(uint32) { c.released.Add(1) })
		if err != nil {
			return nil, nil, err
		}
		chains, files = append(chains, chain), append(files, own...)
	}
	return chains, files, nil
}

// stream shows a card on each chain, whole when its number is asked for.
func (c *crowd) stream(chains []*surface.Chain, asks io.Reader) error {
	var cards []capture.Source
	for i, chain := range chains {
		card, err := capture.OpenTestcard(capture.Options{Width: cardWidth, Height: cardHeight, FPS: cardFPS, Session: fmt.Sprint(i)})
		if err != nil {
			return err
		}
		cards = append(cards, card)
		go func() { c.failed <- stream(card, chain) }()
	}
	go func() { c.failed <- refresh(asks, cards) }()
	return nil
}

// stream shows a card for ever.
func stream(card capture.Source, chain *surface.Chain) error {
	ctx := context.Background()
	if err := card.Bind(chain.Buffers()); err != nil {
		return err
	}
	for {
		if err := card.Wait(ctx); err != nil {
			return err
		}
		if err := showOne(ctx, card, chain); err != nil {
			return err
		}
	}
}

// refresh has the cards shown whole whose numbers come.
func refresh(asks io.Reader, cards []capture.Source) error {
	var b [1]byte
	for {
		if _, err := io.ReadFull(asks, b[:]); err != nil {
			return err
		}
		cards[b[0]].Invalidate()
	}
}

// watch is a viewer that reads all it is sent.
func (c *crowd) watch(addr string) error {
	ctx := context.Background()
	client := &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}}}
	var conn *websocket.Conn
	var err error
	for range 500 { // until it is served
		conn, _, err = websocket.Dial(ctx, "wss://"+addr+"/ws", &websocket.DialOptions{
			HTTPClient: client, HTTPHeader: http.Header{"Origin": {"https://" + addr}},
		})
		if err == nil {
			break
		}
		time.Sleep(20 * time.Millisecond)
	}
	if err != nil {
		return err
	}
	conn.SetReadLimit(1 << 26)
	if err := conn.Write(ctx, websocket.MessageText, []byte(`{"type":"hello","token":"`+token+`"}`)); err != nil {
		return err
	}
	for {
		kind, _, err := conn.Read(ctx)
		if err != nil {
			return err
		}
		if kind == websocket.MessageBinary {
			c.shown.Add(1)
		}
	}
}

// cost answers the CPU time that a process took for each of at least n frames.
// With viewers it counts only what is shown to each.
func (c *crowd) cost(n, pid, viewers int) ([]float64, error) {
	if err := c.await(n / 4); err != nil { // all are there and warm
		return nil, err
	}
	first, shown := c.released.Load(), c.shown.Load()
	before, err := talk.CPUTime(pid)
	if err != nil {
		return nil, err
	}
	if err := c.await(n); err != nil {
		return nil, err
	}
	after, err := talk.CPUTime(pid)
	frames := c.released.Load() - first
	if got := c.shown.Load() - shown; err == nil && got < int64(viewers)*frames/2 {
		err = fmt.Errorf("%d viewers were shown %d updates of %d frames", viewers, got, frames)
	}
	return []float64{(after - before).Seconds() / float64(frames)}, err
}

// await waits for so many more frames.
func (c *crowd) await(n int) error {
	for end := c.released.Load() + int64(n); c.released.Load() < end; {
		select {
		case err := <-c.failed:
			return err
		case <-time.After(5 * time.Millisecond):
		}
	}
	return nil
}

// loaded is the half that is measured.
func (o options) loaded() error {
	ctx := context.Background()
	l, err := net.FileListener(talk.Inherited(0, "port"))
	if err != nil {
		return err
	}
	st, err := play(ctx, o.dir, l, func(h http.Handler) http.Handler { return h })
	if err != nil {
		return err
	}
	asked := talk.Inherited(1, "asked")
	for i := range o.agents {
		sink, err := chain.Inherited(geometry(cardWidth, cardHeight), 2+i*chain.Files)
		if err != nil {
			return err
		}
		if _, err := st.hub.Attach(ctx, fmt.Sprint(i+1), sink, func() { asked.Write([]byte{byte(i)}) }); err != nil {
			return err
		}
	}
	select {}
}
