package xpcpeer

import (
	"io"
	"sync"
)

// A memLink is one end of two pipes.
type memLink struct {
	in, out *memPipe
	self    *Evidence // what this end knows of the other: the same process
}

func memPair() (*memLink, *memLink) {
	a, b := newMemPipe(), newMemPipe()
	return &memLink{a, b, ownEvidence()}, &memLink{b, a, ownEvidence()}
}

func (l *memLink) receive() (packet, error)   { return l.in.pop() }
func (l *memLink) send(p parcel) error        { return l.out.push(p.(*bundle)) }
func (l *memLink) try(p parcel) (bool, error) { return l.out.tryPush(p.(*bundle)) }
func (l *memLink) hurry()                     { l.out.hurry() }
func (l *memLink) evidence() *Evidence        { return l.self }

func (l *memLink) close() {
	l.out.finish()
	l.in.abandon()
	l.self.close()
}

// A memPipe carries bundles one way. What was pushed before finish can still
// be popped; abandon drops it.
type memPipe struct {
	mu        sync.Mutex
	change    *sync.Cond
	bundles   []*bundle
	hurried   bool // push does not wait
	finished  bool // by the writer
	abandoned bool // by the reader
}

func newMemPipe() *memPipe {
	p := &memPipe{}
	p.change = sync.NewCond(&p.mu)
	return p
}

func (p *memPipe) push(b *bundle) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	for p.fullLocked() && !p.hurried {
		p.change.Wait()
	}
	return p.pushLocked(b)
}

func (p *memPipe) tryPush(b *bundle) (bool, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.fullLocked() {
		return false, nil
	}
	return true, p.pushLocked(b)
}

func (p *memPipe) fullLocked() bool {
	return len(p.bundles) >= memDepth && !p.finished && !p.abandoned
}

func (p *memPipe) pushLocked(b *bundle) error {
	if p.finished || p.abandoned || len(p.bundles) >= memDepth {
		b.drop()
		return errPeerGone
	}
	p.bundles = append(p.bundles, b)
	p.change.Broadcast()
	return nil
}

func (p *memPipe) pop() (packet, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for len(p.bundles) == 0 && !p.finished && !p.abandoned {
		p.change.Wait()
	}
	if len(p.bundles) == 0 {
		return packet{}, errPeerGone
	}
	b := p.bundles[0]
	p.bundles = p.bundles[1:]
	p.change.Broadcast()
	objects := make([]io.Closer, len(b.handles))
	for i, h := range b.handles {
		objects[i] = h.Object
	}
	got, err := decode(b.data, objects)
	if err != nil {
		closeAll(objects)
	}
	return got, err
}

func (p *memPipe) hurry() {
	p.set(func() { p.hurried = true })
}

func (p *memPipe) finish() {
	p.set(func() { p.finished = true })
}

func (p *memPipe) abandon() {
	p.set(func() {
		p.abandoned = true
		for _, b := range p.bundles {
			b.drop()
		}
		p.bundles = nil
	})
}

func (p *memPipe) set(f func()) {
	p.mu.Lock()
	defer p.mu.Unlock()
	f()
	p.change.Broadcast()
}
