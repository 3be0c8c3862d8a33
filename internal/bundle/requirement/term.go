package requirement

import (
	"encoding/hex"
	"fmt"
	"strconv"
	"strings"
	"unicode/utf8"
)

// opcode is an operation of the binary form, in Apple's order.
type opcode uint32

const (
	opFalse opcode = iota
	opTrue
	opIdent
	opAppleAnchor
	opAnchorHash
	opInfoKeyValue // old: info[k] = v
	opAnd
	opOr
	opCDHash
	opNot
	opInfoKeyField
	opCertField
	opTrustedCert
	opTrustedCerts
	opCertGeneric
	opAppleGenericAnchor
	opEntitlementField
	opCertPolicy
	opNamedAnchor
	opNamedCode
	opPlatform
	opNotarized
	opCertFieldDate
	opLegacyDevID
)

// operands lists what follows an operation in the binary form, in order:
// e an expression, s a certificate's slot, w a word, h a SHA-1 digest, o an OID,
// v a value, m a match, n a number. Not ok: there is no such operation.
func (op opcode) operands() (list string, ok bool) {
	switch op {
	case opFalse, opTrue, opAppleAnchor, opTrustedCerts, opAppleGenericAnchor, opNotarized, opLegacyDevID:
		return "", true
	case opIdent, opNamedAnchor, opNamedCode:
		return "w", true
	case opAnchorHash:
		return "sh", true
	case opInfoKeyValue:
		return "wv", true
	case opAnd, opOr:
		return "ee", true
	case opNot:
		return "e", true
	case opCDHash:
		return "h", true
	case opInfoKeyField, opEntitlementField:
		return "wm", true
	case opCertField:
		return "swm", true
	case opTrustedCert:
		return "s", true
	case opCertGeneric, opCertPolicy, opCertFieldDate:
		return "som", true
	case opPlatform:
		return "n", true
	}
	return "", false
}

// Slots of the chain count up from the leaf, and down from the root.
const (
	leaf = 0
	root = -1
)

// A term is one operation with its operands.
type term struct {
	op          opcode
	left, right *term  // of and, or; left of not
	slot        int32  // of a certificate, or a platform's number
	data        string // word, digest, or an OID's DER contents
	match       match
}

// depth is how deep Apple's interpreter goes.
func (t *term) depth() int {
	if t == nil {
		return 0
	}
	return 1 + max(t.left.depth(), t.right.depth())
}

func (t *term) write(b *strings.Builder) {
	switch t.op {
	case opFalse:
		b.WriteString("never")
	case opTrue:
		b.WriteString("always")
	case opIdent:
		b.WriteString("identifier " + quote(t.data))
	case opAppleAnchor:
		b.WriteString("anchor apple")
	case opAppleGenericAnchor:
		b.WriteString("anchor apple generic")
	case opNamedAnchor:
		b.WriteString("anchor apple " + quote(t.data))
	case opNamedCode:
		b.WriteString("(" + quote(t.data) + ")")
	case opAnd, opOr:
		t.writeBoth(b)
	case opNot:
		b.WriteString("! ")
		t.left.writeInside(b, t.left.op == opAnd || t.left.op == opOr)
	case opCDHash:
		b.WriteString("cdhash " + quoteDigest(t.data))
	case opPlatform:
		fmt.Fprintf(b, "platform = %d", t.slot)
	case opNotarized:
		b.WriteString("notarized")
	case opLegacyDevID:
		b.WriteString("legacy")
	case opTrustedCerts:
		b.WriteString("anchor trusted")
	case opInfoKeyValue, opInfoKeyField:
		b.WriteString("info[" + quote(t.data) + "]" + t.match.String())
	case opEntitlementField:
		b.WriteString("entitlement[" + quote(t.data) + "]" + t.match.String())
	default:
		t.writeCertificate(b)
	}
}

// writeBoth keeps the shape: the same operation on the right side was in
// parentheses, or it would have been on the left.
func (t *term) writeBoth(b *strings.Builder) {
	word := " and "
	if t.op == opOr {
		word = " or "
	}
	t.left.writeInside(b, t.op == opAnd && t.left.op == opOr)
	b.WriteString(word)
	t.right.writeInside(b, t.right.op == opOr || t.right.op == t.op)
}

func (t *term) writeInside(b *strings.Builder, parentheses bool) {
	if parentheses {
		b.WriteByte('(')
	}
	t.write(b)
	if parentheses {
		b.WriteByte(')')
	}
}

func (t *term) writeCertificate(b *strings.Builder) {
	b.WriteString("certificate " + slotName(t.slot))
	switch t.op {
	case opTrustedCert:
		b.WriteString(" trusted")
	case opAnchorHash:
		b.WriteString(" = " + quoteDigest(t.data))
	case opCertField:
		b.WriteString("[" + t.data + "]" + t.match.String())
	case opCertGeneric:
		b.WriteString("[field." + oidText(t.data) + "]" + t.match.String())
	case opCertPolicy:
		b.WriteString("[policy." + oidText(t.data) + "]" + t.match.String())
	case opCertFieldDate:
		b.WriteString("[timestamp." + oidText(t.data) + "]" + t.match.String())
	}
}

func (t *term) String() string {
	var b strings.Builder
	t.write(&b)
	return b.String()
}

func slotName(slot int32) string {
	switch slot {
	case leaf:
		return "leaf"
	case root:
		return "root"
	}
	return strconv.Itoa(int(slot))
}

func quoteDigest(digest string) string { return `H"` + hex.EncodeToString([]byte(digest)) + `"` }

// quote writes a word: quoting knows one escape only.
func quote(word string) string { return `"` + strings.ReplaceAll(word, `"`, `\"`) + `"` }

// quoteValue writes a value, in hex if quoting cannot.
func quoteValue(value string) string {
	if isWord(value) {
		return quote(value)
	}
	return "0x" + hex.EncodeToString([]byte(value))
}

// isWord says whether text can hold s: a backslash has no escape, and a control
// character has no place in what people read.
func isWord(s string) bool {
	return utf8.ValidString(s) && !strings.ContainsFunc(s, func(c rune) bool {
		return c < ' ' || c == '\\' || c == 0x7f
	})
}

// isSubjectKey says whether s can stand in brackets as it is.
func isSubjectKey(s string) bool {
	rest, ok := strings.CutPrefix(s, "subject.")
	return ok && isDotKey(s) && rest != ""
}
