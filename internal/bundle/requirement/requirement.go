// Package requirement knows Apple's code requirement language: its text, its
// binary form, and whether the facts about a piece of code satisfy it. It must
// never know where those facts came from, or what is done to code that fails.
//
// The language is the one of Apple's Security framework, less what only a Mac
// can answer: "trusted", "legacy" and named requirements are read and written,
// but Eval answers ErrUndecided for them, and for "notarized" unless it is known. Certificates named by a file, and the
// lightweight form (kind 2), are not read at all.
package requirement

import (
	"errors"
	"fmt"
	"strings"
)

// Bounds of what is read. Apple's interpreter gives up 1000 levels deep.
const (
	maxText   = 1 << 16
	maxBinary = 1 << 16
	maxDepth  = 500
)

// ErrUndecided is wrapped by Eval's error when a term asks for what only a Mac
// knows. It comes up wherever the term stands: "not" turns it into nothing else.
var ErrUndecided = errors.New("cannot be decided without a Mac")

// A Requirement is one condition. It is not changed after it was made, and may
// be used by several goroutines.
type Requirement struct{ root *term }

// Parse reads the text of one requirement.
func Parse(text string) (*Requirement, error) {
	root, err := parse(text)
	if err != nil {
		return nil, fmt.Errorf("requirement %s: %w", shorten(text), err)
	}
	return &Requirement{root}, nil
}

// ParseBinary reads a requirement blob. It takes exactly what Binary writes:
// other blobs that Apple's interpreter would bear, with unknown operations or
// words that no text can hold, are refused.
func ParseBinary(blob []byte) (*Requirement, error) {
	root, err := decode(blob)
	if err != nil {
		return nil, fmt.Errorf("requirement blob: %w", err)
	}
	return &Requirement{root}, nil
}

// String answers a text that Parse reads back to the same requirement, with
// every word quoted that may be.
func (r *Requirement) String() string {
	var b strings.Builder
	r.root.write(&b)
	return b.String()
}

// Binary answers the blob, magic 0xfade0c00.
func (r *Requirement) Binary() []byte { return encode(r.root) }

// Eval answers nil if s satisfies r, and else an error that names the first
// term that does not hold. Both sides of an "or" are looked at.
func (r *Requirement) Eval(s Subject) error { return r.root.eval(&s) }

// ForPeers answers the text that peers signed by the team with a Developer ID,
// under one of the identifiers, satisfy and nobody else. Without a team or an
// identifier, or with one that no text can hold, nobody does.
func ForPeers(team string, identifiers ...string) string {
	var anyOf *term
	for _, id := range identifiers {
		anyOf = join(opOr, anyOf, &term{op: opIdent, data: id})
		if !isWord(id) || id == "" {
			return "never"
		}
	}
	if team == "" || anyOf == nil || !isWord(team) {
		return "never"
	}
	all := &term{op: opAppleGenericAnchor}
	for _, t := range []*term{
		anyOf,
		{op: opCertGeneric, slot: 1, data: oidDeveloperIDIssuer},
		{op: opCertGeneric, slot: leaf, data: oidDeveloperID},
		{op: opCertField, slot: leaf, data: "subject.OU", match: match{op: matchEqual, value: team}},
	} {
		all = join(opAnd, all, t)
	}
	return (&Requirement{all}).String()
}

// DER contents of 1.2.840.113635.100.6.2.6, which Apple's Developer ID
// intermediate certificates have, of …6.1.13, which their leaves have, and of
// …6.22, which the leaves of Apple's own software have.
const (
	oidDeveloperIDIssuer = "\x2a\x86\x48\x86\xf7\x63\x64\x06\x02\x06"
	oidDeveloperID       = "\x2a\x86\x48\x86\xf7\x63\x64\x06\x01\x0d"
	oidAppleSoftware     = "\x2a\x86\x48\x86\xf7\x63\x64\x06\x16"
)

func join(op opcode, left, right *term) *term {
	if left == nil {
		return right
	}
	return &term{op: op, left: left, right: right}
}

// shorten is for errors, which people read.
func shorten(text string) string {
	if len(text) > 80 {
		return fmt.Sprintf("%.80q…", text)
	}
	return fmt.Sprintf("%q", text)
}
