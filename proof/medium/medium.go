package medium

import (
	"errors"
	"slices"
	"sync"
	"syscall"
)

// A Record is one thing that was asked of a Medium: a write, a flush, or
// (from its user) a mark between two of them.
type Record struct {
	Kind Kind
	Off  int64
	Data []byte
	Mark string
}

// Kind is what a Record is.
type Kind int

// The kinds.
const (
	Write Kind = iota
	Flush
	Mark
)

// A Medium is a disk in memory. Everything that was written before a Flush was
// asked for is on it for good; what came later may or may not be.
type Medium struct {
	mu     sync.Mutex
	base   *Image
	blocks map[int64][]byte // over base
	log    []Record
	fail   func(Record) bool
	failed int
	busy   int // requests that are being answered
	sound  error
}

// Load makes the medium hold im and forget what was asked of it.
func (m *Medium) Load(im *Image) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.base, m.blocks, m.log, m.fail, m.failed = im, map[int64][]byte{}, nil, nil, 0
	m.sound = nil
}

// Image answers what the medium holds now.
func (m *Medium) Image() *Image {
	m.mu.Lock()
	defer m.mu.Unlock()
	blocks := make(map[int64][]byte, len(m.blocks))
	for n, b := range m.blocks {
		blocks[n] = slices.Clone(b)
	}
	return m.base.With(blocks)
}

// Log answers everything asked since Load, in order.
func (m *Medium) Log() []Record {
	m.mu.Lock()
	defer m.mu.Unlock()
	return slices.Clone(m.log)
}

// Flushes counts the flushes since Load.
func (m *Medium) Flushes() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	n := 0
	for _, r := range m.log {
		if r.Kind == Flush {
			n++
		}
	}
	return n
}

// Sound is an error if the log does not tell which write was answered before
// which flush was asked for: the kernel asked for both at one time.
func (m *Medium) Sound() error {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.sound
}

// enter and leave surround every write and flush.
func (m *Medium) enter(flush bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.busy++; m.busy > 1 && flush {
		m.sound = errors.New("a flush was asked for while a write was under way")
	}
}

func (m *Medium) leave() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.busy--
}

// Mark notes that its user got here. Whatever it promises holds from the next
// instant on.
func (m *Medium) Mark(text string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.log = append(m.log, Record{Kind: Mark, Mark: text})
}

// Fail makes the medium answer EIO to each write and flush of which fail says
// so. nil: to none.
func (m *Medium) Fail(fail func(Record) bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.fail = fail
}

// Failed counts the requests that were answered EIO.
func (m *Medium) Failed() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.failed
}

func (m *Medium) size() int64 {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.base == nil {
		return 0
	}
	return m.base.Size
}

func (m *Medium) read(p []byte, off int64) int {
	m.mu.Lock()
	defer m.mu.Unlock()
	p = p[:max(0, min(int64(len(p)), m.base.Size-off))]
	for done := 0; done < len(p); {
		n, at := (off+int64(done))/BlockSize, int((off+int64(done))%BlockSize)
		part := p[done:min(len(p), done+BlockSize-at)]
		b, ok := m.blocks[n]
		if !ok {
			b = m.base.Block(n)
		}
		if b == nil {
			clear(part)
		} else {
			copy(part, b[at:])
		}
		done += len(part)
	}
	return len(p)
}

// write keeps a copy of data, which is the kernel's.
func (m *Medium) write(data []byte, off int64) syscall.Errno {
	m.enter(false)
	defer m.leave()
	r := Record{Kind: Write, Off: off, Data: slices.Clone(data)}
	m.mu.Lock()
	defer m.mu.Unlock()
	if off+int64(len(data)) > m.base.Size {
		return syscall.ENOSPC
	}
	if m.fail != nil && m.fail(r) {
		m.failed++
		return syscall.EIO
	}
	m.log = append(m.log, r)
	m.base.Patch(m.blocks, off, r.Data)
	return 0
}

func (m *Medium) flush() syscall.Errno {
	m.enter(true)
	defer m.leave()
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.fail != nil && m.fail(Record{Kind: Flush}) {
		m.failed++
		return syscall.EIO
	}
	m.log = append(m.log, Record{Kind: Flush})
	return 0
}
