// Package page knows a few 64-bit words that two processes share. It must never
// know what the words mean.
//
// Every access is atomic, so a word is never torn; nothing orders one word
// against another beyond what sync/atomic promises. On Linux the page is a
// memfd sealed against resizing, because a peer that could shrink it would kill
// its reader by SIGBUS (mmap(2)).
package page

import (
	"fmt"
	"os"
	"sync/atomic"
)

// MaxWords bounds a page: what a stranger says about its size is not believed.
const MaxWords = 1 << 16

// Error is how an operation on a page goes wrong.
type Error struct {
	Op  string // "make" or "open"
	Err error
}

func (e *Error) Error() string { return e.Op + " shared page: " + e.Err.Error() }
func (e *Error) Unwrap() error { return e.Err }

// A Page is safe for use by any number of goroutines until Close; a call after
// Close panics.
type Page struct {
	words []uint64
	mem   []byte
	file  *os.File
}

// New makes a page of that many words, all zero.
func New(words int) (*Page, error) {
	if err := checkWords(words); err != nil {
		return nil, &Error{"make", err}
	}
	p, err := newPage(words)
	if err != nil {
		return nil, &Error{"make", err}
	}
	return p, nil
}

// Open maps a page that another process made and f names. It believes nothing:
// a file that could still change its size, or has fewer words, is refused
// before it is mapped. f stays the caller's and may be closed at once.
func Open(f *os.File, words int) (*Page, error) {
	if err := checkWords(words); err != nil {
		return nil, &Error{"open", err}
	}
	p, err := openPage(f, words)
	if err != nil {
		return nil, &Error{"open", err}
	}
	return p, nil
}

func checkWords(n int) error {
	if n < 1 || n > MaxWords {
		return fmt.Errorf("%d words are not in 1..%d", n, MaxWords)
	}
	return nil
}

// File is the descriptor to hand to the other process. It is the page's own and
// closed with it. It is nil on a page made by Open.
func (p *Page) File() *os.File { return p.file }

// Load reads word i.
func (p *Page) Load(i int) uint64 { return atomic.LoadUint64(&p.words[i]) }

// Store writes word i.
func (p *Page) Store(i int, v uint64) { atomic.StoreUint64(&p.words[i], v) }

// Add adds v to word i and answers the sum.
func (p *Page) Add(i int, v uint64) uint64 { return atomic.AddUint64(&p.words[i], v) }

// Close unmaps the page and closes its descriptor. The memory lives on as long
// as another process holds it. A second Close does nothing.
func (p *Page) Close() error {
	if p.mem == nil {
		return nil
	}
	mem := p.mem
	p.words, p.mem = nil, nil
	err := unmap(mem)
	if p.file != nil {
		if e := p.file.Close(); err == nil {
			err = e
		}
	}
	return err
}
