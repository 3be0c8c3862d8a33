package requirement

import (
	"errors"
	"time"
)

// suffix is how the operand before it is compared; none: it exists.
func (p *parser) suffix() (match, error) {
	switch {
	case p.take("exists"):
		return match{op: matchExists}, nil
	case p.take("absent"):
		return match{op: matchAbsent}, nil
	case p.takeEquals():
		return p.equals()
	case p.take("~"):
		v, err := p.value()
		return match{op: matchContains, value: v}, err
	case p.take("<"):
		return p.ordered(matchLess, matchBefore)
	case p.take(">"):
		return p.ordered(matchGreater, matchAfter)
	case p.take("<="):
		return p.ordered(matchLessEqual, matchOnOrBefore)
	case p.take(">="):
		return p.ordered(matchGreaterEqual, matchOnOrAfter)
	}
	return match{op: matchExists}, nil
}

func (p *parser) equals() (match, error) {
	if p.take("timestamp") {
		return p.timestamp(matchOn)
	}
	ends := p.take("*")
	v, err := p.value()
	begins := p.take("*")
	switch {
	case ends && begins:
		return match{op: matchContains, value: v}, err
	case ends:
		return match{op: matchEndsWith, value: v}, err
	case begins:
		return match{op: matchBeginsWith, value: v}, err
	}
	return match{op: matchEqual, value: v}, err
}

func (p *parser) ordered(text, date matchOp) (match, error) {
	if p.take("timestamp") {
		return p.timestamp(date)
	}
	v, err := p.value()
	return match{op: text, value: v}, err
}

func (p *parser) timestamp(op matchOp) (match, error) {
	if p.peek().kind != tokText {
		return match{}, errors.New("not a time in quotes")
	}
	t, err := time.Parse(timestampForm, p.peek().text)
	if err != nil || t.Format(timestampForm) != p.peek().text {
		return match{}, errors.New("not a time like 20060102150405Z")
	}
	p.advance()
	return match{op: op, when: t.Unix() - appleEpoch}, nil
}
