package surface

import (
	"encoding/binary"
	"fmt"
	"sync/atomic"

	"portward/internal/linux"
)

// A lane is one direction of a ring, seen from one of its ends: a queue of
// descriptors for a single writer and a single reader, in memory that both can
// write at any time. Where an end is, it knows itself (at). What the other one
// says of itself is believed only as far as it makes sense, and an entry is
// copied before anybody looks at it.
//
//	writer   entry; head = at+1; if asleep: asleep = 0, wake asleep
//	reader   entry if head != at; tail = at+1
//	         asleep = 1; if head == at: sleep while asleep == 1; asleep = 0
//
// All of these but the entries are atomic, and so in one order for both: either
// the reader sees the new head before it sleeps, or the writer sees it asleep.
type lane struct {
	head, tail, asleep *uint32 // on lines of their own
	over               *uint32 // not zero: the writer has closed its end
	entries            []uint64
	at                 uint32 // how many we wrote, or read, modulo 2^32
}

// The layout of a ring: a page of two lanes' words, then their entries.
const (
	ringSize    = 4096
	laneEntries = 16 // a power of two; an honest peer needs Slots of them
	laneWords   = laneEntries * entryWords
	entryWords  = descriptorSize / 8
	line        = 64
)

func newLane(page []byte, i int) lane {
	words := linux.Words32(page)[3*i*line/4:]
	entries := linux.Words(page[1024*(1+i):])
	return lane{head: &words[0], over: &words[1], tail: &words[line/4], asleep: &words[2*line/4], entries: entries[:laneWords]}
}

func (l *lane) entry(i uint32) []uint64 {
	return l.entries[i%laneEntries*entryWords:][:entryWords]
}

// put is for one goroutine at a time and never waits.
func (l *lane) put(d descriptor) error {
	if unread := l.at - atomic.LoadUint32(l.tail); unread >= laneEntries {
		return fmt.Errorf("%w: does not read its messages", ErrHostile)
	}
	b, e := d.encode(), l.entry(l.at)
	for i := range e {
		e[i] = binary.LittleEndian.Uint64(b[8*i:])
	}
	l.at++
	atomic.StoreUint32(l.head, l.at)
	if atomic.LoadUint32(l.asleep) != 0 && atomic.SwapUint32(l.asleep, 0) != 0 {
		linux.FutexWake(l.asleep)
	}
	return nil
}

// finish says that the writer has closed its end. Nobody is woken for it.
func (l *lane) finish() { atomic.StoreUint32(l.over, 1) }

func (l *lane) isOver() bool { return atomic.LoadUint32(l.over) != 0 }

// take answers a copy of the next entry, if there is one. It is for one
// goroutine at a time, as sleep is.
func (l *lane) take() (b [descriptorSize]byte, ok bool, err error) {
	unread := atomic.LoadUint32(l.head) - l.at
	switch {
	case unread == 0:
		return b, false, nil
	case unread > laneEntries:
		return b, false, fmt.Errorf("%w: ring of %d entries says that it has %d", ErrHostile, laneEntries, unread)
	}
	e := l.entry(l.at)
	for i := range e {
		binary.LittleEndian.PutUint64(b[8*i:], atomic.LoadUint64(&e[i]))
	}
	l.at++
	atomic.StoreUint32(l.tail, l.at)
	return b, true, nil
}

// rouse wakes the reader, if the writer lets us.
func (l *lane) rouse() {
	atomic.StoreUint32(l.asleep, 0)
	linux.FutexWake(l.asleep)
}

// sleep ends when there may be an entry or somebody rouses us, if the writer lets
// him; or for no reason. It does not begin once stirred has another value.
func (l *lane) sleep(stirred *atomic.Uint64, n uint64, p *pace) {
	atomic.StoreUint32(l.asleep, 1)
	if atomic.LoadUint32(l.head) == l.at && stirred.Load() == n {
		p.wait(l.asleep, 1)
	}
	if atomic.LoadUint32(l.asleep) != 0 { // not woken by the writer
		atomic.StoreUint32(l.asleep, 0)
	}
}
