package requirement

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
)

const sha1Size = 20

var errTooDeep = fmt.Errorf("more than %d levels", maxDepth)

func parse(text string) (*term, error) {
	tokens, err := tokenize(text)
	if err != nil {
		return nil, err
	}
	p := &parser{tokens: tokens}
	t, err := p.or()
	if err == nil {
		for p.take(";") {
		}
		if p.peek().kind != tokEnd {
			err = errors.New("not an operator")
		}
	}
	if err != nil {
		return nil, fmt.Errorf("at byte %d, %v: %w", p.peek().at, p.peek(), err)
	}
	if t.depth() > maxDepth {
		return nil, errTooDeep
	}
	return t, nil
}

type parser struct {
	tokens []token
	level  int // of primaries in primaries
}

func (p *parser) peek() token { return p.tokens[0] }

// after answers the token behind the next one.
func (p *parser) after() token {
	if len(p.tokens) < 2 {
		return p.tokens[0]
	}
	return p.tokens[1]
}

func (p *parser) advance() token {
	t := p.tokens[0]
	if t.kind != tokEnd {
		p.tokens = p.tokens[1:]
	}
	return t
}

// take goes past the next token if it is that operator or keyword.
func (p *parser) take(text string) bool {
	t := p.peek()
	if t.text != text || t.kind != tokPunct && t.kind != tokWord {
		return false
	}
	p.advance()
	return true
}

func (p *parser) takeEquals() bool { return p.take("=") || p.take("==") }

func (p *parser) or() (*term, error)  { return p.chain("or", opOr, p.and) }
func (p *parser) and() (*term, error) { return p.chain("and", opAnd, p.primary) }

// chain joins to the left: a or b or c is (a or b) or c.
func (p *parser) chain(word string, op opcode, operand func() (*term, error)) (*term, error) {
	left, err := operand()
	for err == nil && p.take(word) {
		var right *term
		right, err = operand()
		left = &term{op: op, left: left, right: right}
	}
	return left, err
}

func (p *parser) primary() (*term, error) {
	if p.level++; p.level > maxDepth {
		return nil, errTooDeep
	}
	defer func() { p.level-- }()
	switch {
	case p.take("("):
		return p.parenthesis()
	case p.take("!"):
		t, err := p.primary()
		return &term{op: opNot, left: t}, err
	case p.take("always"), p.take("true"):
		return &term{op: opTrue}, nil
	case p.take("never"), p.take("false"):
		return &term{op: opFalse}, nil
	case p.take("notarized"):
		return &term{op: opNotarized}, nil
	case p.take("legacy"):
		return &term{op: opLegacyDevID}, nil
	}
	return p.condition()
}

func (p *parser) condition() (*term, error) {
	switch {
	case p.take("identifier"):
		p.takeEquals()
		word, err := p.word()
		return &term{op: opIdent, data: word}, err
	case p.take("cdhash"):
		p.takeEquals()
		digest, err := p.digest()
		return &term{op: opCDHash, data: digest}, err
	case p.take("platform"):
		p.takeEquals()
		n, err := p.number()
		return &term{op: opPlatform, slot: n}, err
	case p.take("info"):
		return p.field(opInfoKeyField)
	case p.take("entitlement"):
		return p.field(opEntitlementField)
	case p.take("anchor"):
		return p.anchor()
	case p.take("certificate"), p.take("cert"):
		return p.certificate()
	}
	return nil, errors.New("not a condition")
}

// parenthesis is an expression, or the name of a requirement kept elsewhere.
func (p *parser) parenthesis() (*term, error) {
	if p.isWord() && p.after().kind == tokPunct && p.after().text == ")" {
		name := p.advance().text
		p.advance()
		return &term{op: opNamedCode, data: name}, nil
	}
	t, err := p.or()
	if err == nil && !p.take(")") {
		err = errors.New("not a closing parenthesis")
	}
	return t, err
}

func (p *parser) anchor() (*term, error) {
	switch {
	case p.take("apple"):
		if p.take("generic") {
			return &term{op: opAppleGenericAnchor}, nil
		}
		if p.isWord() {
			return &term{op: opNamedAnchor, data: p.advance().text}, nil
		}
		return &term{op: opAppleAnchor}, nil
	case p.take("generic"):
		if !p.take("apple") {
			return nil, errors.New(`not "apple"`)
		}
		return &term{op: opAppleGenericAnchor}, nil
	case p.take("trusted"):
		return &term{op: opTrustedCerts}, nil
	}
	return p.slotCondition(root)
}

func (p *parser) certificate() (*term, error) {
	if p.take("trusted") {
		return &term{op: opTrustedCerts}, nil
	}
	slot, err := p.slot()
	if err != nil {
		return nil, err
	}
	if p.take("trusted") {
		return &term{op: opTrustedCert, slot: slot}, nil
	}
	return p.slotCondition(slot)
}

func (p *parser) slot() (int32, error) {
	switch {
	case p.take("leaf"):
		return leaf, nil
	case p.take("root"):
		return root, nil
	case p.take("-"):
		n, err := p.number()
		return -n, err
	}
	return p.number()
}

func (p *parser) slotCondition(slot int32) (*term, error) {
	if p.peek().text != "[" || p.peek().kind != tokPunct {
		p.takeEquals()
		digest, err := p.digest()
		return &term{op: opAnchorHash, slot: slot, data: digest}, err
	}
	key, err := p.bracketKey()
	if err != nil {
		return nil, err
	}
	t, err := certificateField(key)
	if err != nil {
		return nil, err
	}
	t.slot = slot
	t.match, err = p.suffix()
	return t, err
}

func certificateField(key string) (*term, error) {
	if isSubjectKey(key) {
		return &term{op: opCertField, data: key}, nil
	}
	kind, oid, _ := strings.Cut(key, ".")
	der, err := oidDER(oid)
	switch {
	case err != nil:
		return nil, fmt.Errorf("certificate field %q: %w", key, err)
	case kind == "field", kind == "extension":
		return &term{op: opCertGeneric, data: der}, nil
	case kind == "policy":
		return &term{op: opCertPolicy, data: der}, nil
	case kind == "timestamp":
		return &term{op: opCertFieldDate, data: der}, nil
	}
	return nil, fmt.Errorf("no certificate field is called %q", key)
}

func (p *parser) field(op opcode) (*term, error) {
	key, err := p.bracketKey()
	if err != nil {
		return nil, err
	}
	m, err := p.suffix()
	return &term{op: op, data: key, match: m}, err
}

func (p *parser) bracketKey() (string, error) {
	if !p.take("[") {
		return "", errors.New("not a key in brackets")
	}
	key, err := p.word()
	if err == nil && !p.take("]") {
		err = errors.New("not a closing bracket")
	}
	return key, err
}

func (p *parser) isWord() bool {
	t := p.peek()
	return t.kind == tokText || t.kind == tokWord && !isKeyword(t.text)
}

func (p *parser) word() (string, error) {
	if !p.isWord() {
		return "", errors.New("not a word; one in quotes can be anything")
	}
	return p.advance().text, nil
}

func (p *parser) value() (string, error) {
	if p.peek().kind == tokHex {
		return p.advance().text, nil
	}
	return p.word()
}

func (p *parser) digest() (string, error) {
	if t := p.peek(); t.kind != tokHash || len(t.text) != sha1Size {
		return "", fmt.Errorf(`not a digest of %d bytes, H"…"`, sha1Size)
	}
	return p.advance().text, nil
}

func (p *parser) number() (int32, error) {
	n, err := strconv.ParseInt(p.peek().text, 10, 32)
	if p.peek().kind != tokInt || err != nil {
		return 0, errors.New("not a number of 31 bits")
	}
	p.advance()
	return int32(n), nil
}
