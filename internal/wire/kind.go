package wire

import (
	"fmt"
	"strings"
)

// A Kind names what a message is; it travels under the key "k" of every Dict.
// Kinds are append-only: one that was ever shipped keeps its meaning.
type Kind string

// Every kind there is. Who may send which is in permit.go.
const (
	KindHello       Kind = "hello"
	KindWelcome     Kind = "welcome"
	KindRefusal     Kind = "refusal"
	KindOK          Kind = "ok"
	KindAttach      Kind = "attach"
	KindDetach      Kind = "detach"
	KindGoodbye     Kind = "goodbye"
	KindPing        Kind = "ping"
	KindPong        Kind = "pong"
	KindRefresh     Kind = "refresh"
	KindDescribe    Kind = "describe"
	KindDescription Kind = "description"
	KindRelay       Kind = "relay"
	KindRelayed     Kind = "relayed"
	KindCheckIn     Kind = "check-in"
	KindTerms       Kind = "terms"
	KindBeat        Kind = "beat"
	KindSessions    Kind = "sessions"
	KindLease       Kind = "lease"
	KindAdd         Kind = "add"
)

// MaxKind is the longest name of a kind, in bytes.
const MaxKind = 32

// optional starts the names of kinds that a receiver may ignore.
const optional = "x-"

// Optional says whether a receiver that does not know k ignores it.
func (k Kind) Optional() bool { return strings.HasPrefix(string(k), optional) }

// KindOf answers the kind of a message, or ErrMalformed.
func KindOf(d Dict) (Kind, error) {
	s, ok := Get[string](d, "k")
	if !ok || s == "" || len(s) > MaxKind {
		return "", fmt.Errorf("%w: no kind", ErrMalformed)
	}
	for i := 0; i < len(s); i++ {
		if c := s[i]; (c < 'a' || c > 'z') && (c < '0' || c > '9') && c != '-' {
			return "", fmt.Errorf("%w: kind %q", ErrMalformed, s)
		}
	}
	return Kind(s), nil
}
