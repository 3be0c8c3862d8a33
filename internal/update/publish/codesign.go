package publish

import (
	"bytes"
	"errors"
	"slices"
	"strings"

	"portward/internal/bundle/signature"
)

// signaturesOf answers what Apple's code signatures of a program claim, one for each
// processor; none for what is not a Mac's, or not signed. Nothing is verified: lint
// compares two programs, and portward verify judges one.
func signaturesOf(program []byte) ([]*signature.Code, error) {
	if !strings.HasPrefix(PlatformOf(bytes.NewReader(program)), "darwin-") {
		return nil, nil
	}
	codes, err := signature.Read(bytes.NewReader(program), int64(len(program)))
	if errors.Is(err, signature.ErrUnsigned) {
		return nil, nil
	}
	return codes, err
}

// drift says in what two signatures of the same program differ. By all of this a Mac
// knows it again: another answer is another program to privacy settings and peers.
func drift(was, is *signature.Code) []string {
	var list []string
	if was.Identifier() != is.Identifier() {
		list = append(list, changed("signing identifier", was.Identifier(), is.Identifier()))
	}
	if was.Team() != is.Team() {
		list = append(list, changed("team", was.Team(), is.Team()))
	}
	if was.Flags()&^is.Flags()&signature.FlagRuntime != 0 {
		list = append(list, "the hardened runtime is gone")
	}
	if a, b := designated(was), designated(is); a != b {
		list = append(list, changed("designated requirement", a, b))
	}
	for _, key := range differing(was.Entitlements(), is.Entitlements()) {
		list = append(list, "entitlement "+key+" changed")
	}
	return list
}

func designated(c *signature.Code) string {
	if r := c.Designated(); r != nil {
		return r.String()
	}
	return ""
}

// differing answers the keys of two dictionaries whose values are not the same,
// sorted.
func differing(a, b map[string]any) []string {
	var list []string
	for key, value := range a {
		if other, ok := b[key]; !ok || !sameValue(value, other) {
			list = append(list, key)
		}
	}
	for key := range b {
		if _, ok := a[key]; !ok {
			list = append(list, key)
		}
	}
	slices.Sort(list)
	return list
}
