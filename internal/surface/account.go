package surface

import (
	"fmt"
	"sync"
)

// Limits on what one peer may make its consumer map.
type Limits struct {
	Chains int
	Bytes  int64
}

// An Account keeps the sum of one peer's chains under its Limits. What a Sink
// took is given back when its memory is unmapped.
type Account struct {
	limits Limits

	mu     sync.Mutex
	chains int
	bytes  int64
}

// NewAccount opens the account of one peer.
func NewAccount(l Limits) *Account { return &Account{limits: l} }

// Used answers what the peer's chains take now.
func (a *Account) Used() (chains int, bytes int64) {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.chains, a.bytes
}

// take counts memory, and a chain if this is a new one, or answers ErrLimit. A
// nil Account counts nothing.
func (a *Account) take(chains int, bytes int64) error {
	if a == nil {
		return nil
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.chains+chains > a.limits.Chains {
		return fmt.Errorf("%w: more than %d chains", ErrLimit, a.limits.Chains)
	}
	if a.bytes+bytes > a.limits.Bytes {
		return fmt.Errorf("%w: %d bytes of surfaces and %d more", ErrLimit, a.bytes, bytes)
	}
	a.chains += chains
	a.bytes += bytes
	return nil
}

func (a *Account) giveBack(chains int, bytes int64) {
	if a == nil {
		return
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	a.chains -= chains
	a.bytes -= bytes
}
