package xpcpeer

import (
	"sync"
	"time"
)

// Who is turned away costs a line, but not without end.
const (
	linesPerSpell = 20
	spell         = 10 * time.Second
)

// lines logs so many of them in a spell, and then how many more there were.
type lines struct {
	name string // of what they are about
	log  func(string, ...any)

	mu    sync.Mutex
	since time.Time // of the present spell
	n     int       // in it
}

func (l *lines) printf(format string, args ...any) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if now := time.Now(); now.Sub(l.since) > spell {
		if more := l.n - linesPerSpell; more > 0 {
			l.log("%s: %d more were turned away", l.name, more)
		}
		l.since, l.n = now, 0
	}
	if l.n++; l.n <= linesPerSpell {
		l.log(format, args...)
	}
}
