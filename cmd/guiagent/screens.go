package main

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"portward/internal/capture"
	"portward/internal/wire"
)

// beside is the agents of further screens, by number.
type beside struct {
	running sync.WaitGroup

	mu    sync.Mutex
	there map[int]bool
}

// wait returns when all have ended, after their context has.
func (b *beside) wait() { b.running.Wait() }

// enter answers false for a screen that has its agent already.
func (b *beside) enter(n int) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.there[n] {
		return false
	}
	if b.there == nil {
		b.there = map[int]bool{}
	}
	b.there[n] = true
	return true
}

func (b *beside) leave(n int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	delete(b.there, n)
}

// chain is the number of the agent's swap chain, which tells netchild the screen.
func (a *agent) chain() uint64 { return uint64(a.screen) + 1 }

// openX11 opens the first screen of a display, and sees to it that all others have
// agents too. Each goes its own way from then on: a screen that changes its mode
// disturbs no other.
func (a *agent) openX11(ctx context.Context, display string) (capture.Picture, error) {
	count, err := capture.X11Screens(ctx, display)
	if err != nil {
		return nil, err
	}
	src, err := openScreen(ctx, display, 0)
	if err != nil {
		return nil, err
	}
	for n := 1; n < min(count, wire.MaxChains); n++ {
		a.accompany(ctx, display, n)
	}
	return src, nil
}

// accompany starts the agent of a further screen, unless there is one.
func (a *agent) accompany(ctx context.Context, display string, n int) {
	if !a.beside.enter(n) {
		return
	}
	other := &agent{
		p: a.p, bundle: a.bundle, transport: a.transport, loop: a.loop, screen: n,
		log: func(format string, args ...any) { a.log("screen %d: %s", n, fmt.Sprintf(format, args...)) },
	}
	a.beside.running.Go(func() {
		defer a.beside.leave(n)
		code, err := other.receive(ctx, func(ctx context.Context) (capture.Picture, error) { return openScreen(ctx, display, n) })
		if err != nil && !errors.Is(err, capture.ErrNoScreen) {
			other.log("ended with %d: %v", code, err)
		}
	})
}

func openScreen(ctx context.Context, display string, n int) (capture.Picture, error) {
	name, err := capture.X11Screen(display, n)
	if err != nil {
		return nil, err
	}
	return capture.OpenX11(ctx, name)
}
