package requirement

import (
	"crypto/sha1"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"errors"
	"fmt"
	"slices"
	"time"
)

// A Subject is the facts about one piece of code. Who makes it has verified
// them: above all, that every certificate of the chain signed the one before.
type Subject struct {
	Identifier string   // empty: unsigned
	CDHashes   [][]byte // of its code directories; 20 bytes each are looked at

	// Chain is leaf first and ends with the root; empty: signed by nobody.
	Chain []*x509.Certificate

	// Anchors are the SHA-256 digests of the roots that count as Apple's; nil:
	// AppleRoots.
	Anchors [][32]byte

	// Info and Entitlement answer values as a property list has them: string,
	// bool, time.Time, []any and others. May be nil.
	Info        func(key string) (any, bool)
	Entitlement func(key string) (any, bool)

	Platform  uint8
	Notarized bool // a notary is known to have seen it; false: that is not known
}

// AppleRoots answers the SHA-256 digests of Apple Root CA, Apple Root CA - G2
// and Apple Root CA - G3.
func AppleRoots() [][32]byte {
	return [][32]byte{
		{
			0xb0, 0xb1, 0x73, 0x0e, 0xcb, 0xc7, 0xff, 0x45, 0x05, 0x14, 0x2c, 0x49, 0xf1, 0x29, 0x5e, 0x6e,
			0xda, 0x6b, 0xca, 0xed, 0x7e, 0x2c, 0x68, 0xc5, 0xbe, 0x91, 0xb5, 0xa1, 0x10, 0x01, 0xf0, 0x24,
		}, {
			0xc2, 0xb9, 0xb0, 0x42, 0xdd, 0x57, 0x83, 0x0e, 0x7d, 0x11, 0x7d, 0xac, 0x55, 0xac, 0x8a, 0xe1,
			0x94, 0x07, 0xd3, 0x8e, 0x41, 0xd8, 0x8f, 0x32, 0x15, 0xbc, 0x3a, 0x89, 0x04, 0x44, 0xa0, 0x50,
		}, {
			0x63, 0x34, 0x3a, 0xbf, 0xb8, 0x9a, 0x6a, 0x03, 0xeb, 0xb5, 0x7e, 0x9b, 0x3f, 0x5f, 0xa7, 0xbe,
			0x7c, 0x4f, 0x5c, 0x75, 0x6f, 0x30, 0x17, 0xb3, 0xa8, 0xc4, 0x88, 0xc3, 0x65, 0x3e, 0x91, 0x79,
		},
	}
}

// A miss says which term does not hold. Other errors are no answer at all.
type miss struct{ text string }

func (m *miss) Error() string { return "not satisfied: " + m.text }

func (t *term) eval(s *Subject) error {
	switch t.op {
	case opAnd, opOr:
		return t.evalBoth(s)
	case opNot:
		err := t.left.eval(s)
		if err == nil {
			return t.miss()
		}
		return noAnswer(err)
	}
	holds, err := t.holds(s)
	if err != nil {
		return fmt.Errorf("%v: %w", t, err)
	}
	if !holds {
		return t.miss()
	}
	return nil
}

func (t *term) miss() error { return &miss{t.String()} }

// noAnswer answers err unless it is a plain no.
func noAnswer(err error) error {
	if _, no := errors.AsType[*miss](err); no {
		return nil
	}
	return err
}

func (t *term) evalBoth(s *Subject) error {
	left, right := t.left.eval(s), t.right.eval(s)
	if err := errors.Join(noAnswer(left), noAnswer(right)); err != nil {
		return err
	}
	switch {
	case t.op == opOr && (left == nil || right == nil):
		return nil
	case t.op == opOr:
		return t.miss()
	case left != nil:
		return left
	}
	return right
}

func (t *term) holds(s *Subject) (bool, error) {
	switch t.op {
	case opTrue, opFalse:
		return t.op == opTrue, nil
	case opIdent:
		return s.Identifier != "" && s.Identifier == t.data, nil
	case opCDHash:
		return slices.ContainsFunc(s.CDHashes, func(h []byte) bool {
			return len(h) >= sha1Size && string(h[:sha1Size]) == t.data
		}), nil
	case opPlatform:
		return s.Identifier != "" && int32(s.Platform) == t.slot, nil
	case opNotarized:
		if !s.Notarized {
			return false, ErrUndecided
		}
		return true, nil
	case opInfoKeyField, opInfoKeyValue:
		return t.match.holds(lookUp(s.Info, t.data)), nil
	case opEntitlementField:
		return t.match.holds(lookUp(s.Entitlement, t.data)), nil
	case opAppleGenericAnchor:
		return s.isAppleAnchored(), nil
	case opAppleAnchor:
		return s.isAppleSigned(), nil
	case opAnchorHash, opCertField, opCertGeneric, opCertPolicy, opCertFieldDate:
		return t.holdsCertificate(s.certificate(t.slot))
	}
	return false, ErrUndecided
}

func lookUp(f func(string) (any, bool), key string) any {
	if f == nil {
		return nil
	}
	v, ok := f(key)
	if !ok {
		return nil
	}
	return v
}

// certificate answers the one in the slot, nil if there is none.
func (s *Subject) certificate(slot int32) *x509.Certificate {
	i := int(slot)
	if i < 0 {
		i += len(s.Chain)
	}
	if i < 0 || i >= len(s.Chain) {
		return nil
	}
	return s.Chain[i]
}

func (s *Subject) isAppleAnchored() bool {
	cert := s.certificate(root)
	if cert == nil {
		return false
	}
	anchors := s.Anchors
	if anchors == nil {
		anchors = AppleRoots()
	}
	return slices.Contains(anchors, sha256.Sum256(cert.Raw))
}

// isAppleSigned knows Apple's own software by its certificates; a Mac also
// believes the list of code in its system.
func (s *Subject) isAppleSigned() bool {
	issuer := s.certificate(-2)
	return s.isAppleAnchored() && issuer != nil &&
		issuer.Subject.CommonName == "Apple Code Signing Certification Authority" &&
		slices.Contains(issuer.Subject.Organization, "Apple Inc.") &&
		extension(s.certificate(leaf), oidAppleSoftware) != nil
}

// holdsCertificate: where there is no certificate nothing is true of it, but
// that it has no date.
func (t *term) holdsCertificate(cert *x509.Certificate) (bool, error) {
	if cert == nil {
		return t.op == opCertFieldDate && t.match.op == matchAbsent, nil
	}
	switch t.op {
	case opAnchorHash:
		sum := sha1.Sum(cert.Raw)
		return string(sum[:]) == t.data, nil
	case opCertGeneric:
		return t.match.holds(present(extension(cert, t.data) != nil)), nil
	case opCertPolicy:
		return t.match.holds(present(hasPolicy(cert, t.data))), nil
	case opCertFieldDate:
		return t.match.holds(dateOf(extension(cert, t.data))), nil
	}
	v, err := subjectValue(cert, t.data)
	return err == nil && v != nil && t.match.holds(v), err
}

// present makes a value of the language: true, or none.
func present(yes bool) any {
	if yes {
		return true
	}
	return nil
}

func extension(cert *x509.Certificate, der string) *pkix.Extension {
	for i, e := range cert.Extensions {
		if oidOf(e.Id) == der {
			return &cert.Extensions[i]
		}
	}
	return nil
}

func hasPolicy(cert *x509.Certificate, der string) bool {
	return slices.ContainsFunc(cert.PolicyIdentifiers, func(id asn1.ObjectIdentifier) bool { return oidOf(id) == der })
}

// oidOf answers the DER contents; an OID that encoding/asn1 does not write has none.
func oidOf(id asn1.ObjectIdentifier) string {
	der, err := asn1.Marshal(id)
	if err != nil || len(der) < 2 || der[1] >= 0x80 {
		return ""
	}
	return string(der[2:])
}

// dateOf reads a UTF-8 string with a generalized time in it.
func dateOf(e *pkix.Extension) any {
	if e == nil {
		return nil
	}
	var raw asn1.RawValue
	if rest, err := asn1.Unmarshal(e.Value, &raw); err != nil || len(rest) != 0 || raw.Tag != asn1.TagUTF8String {
		return nil
	}
	t, err := time.Parse(timestampForm, string(raw.Bytes))
	if err != nil {
		return nil
	}
	return t
}

// subjectValue answers a part of the subject's name, nil if there is none. Of
// several of a kind the last counts, as on a Mac.
func subjectValue(cert *x509.Certificate, key string) (any, error) {
	der := subjectOID(key)
	if der == nil {
		return nil, fmt.Errorf("%w: the field %s", ErrUndecided, key)
	}
	var found any
	for _, n := range cert.Subject.Names {
		if s, ok := n.Value.(string); ok && n.Type.Equal(der) {
			found = s
		}
	}
	return found, nil
}

func subjectOID(key string) asn1.ObjectIdentifier {
	switch key {
	case "subject.CN":
		return asn1.ObjectIdentifier{2, 5, 4, 3}
	case "subject.C":
		return asn1.ObjectIdentifier{2, 5, 4, 6}
	case "subject.L":
		return asn1.ObjectIdentifier{2, 5, 4, 7}
	case "subject.ST":
		return asn1.ObjectIdentifier{2, 5, 4, 8}
	case "subject.STREET":
		return asn1.ObjectIdentifier{2, 5, 4, 9}
	case "subject.O":
		return asn1.ObjectIdentifier{2, 5, 4, 10}
	case "subject.OU":
		return asn1.ObjectIdentifier{2, 5, 4, 11}
	case "subject.D":
		return asn1.ObjectIdentifier{2, 5, 4, 13}
	case "subject.UID":
		return asn1.ObjectIdentifier{0, 9, 2342, 19200300, 100, 1, 1}
	}
	return nil
}
