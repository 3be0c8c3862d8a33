package requirement

import (
	"strings"
	"time"
)

// matchOp is how a value is compared, in Apple's order.
type matchOp uint32

const (
	matchExists matchOp = iota
	matchEqual
	matchContains
	matchBeginsWith
	matchEndsWith
	matchLess
	matchGreater
	matchLessEqual
	matchGreaterEqual
	matchOn
	matchBefore
	matchAfter
	matchOnOrBefore
	matchOnOrAfter
	matchAbsent
)

func (op matchOp) takesTime() bool  { return matchOn <= op && op <= matchOnOrAfter }
func (op matchOp) takesValue() bool { return matchEqual <= op && op <= matchGreaterEqual }

type match struct {
	op    matchOp
	value string
	when  int64 // seconds since the epoch of Core Foundation
}

const (
	appleEpoch    = 978307200 // 2001-01-01 00:00:00 UTC
	timestampForm = "20060102150405Z"
)

// The years that the form of a timestamp can hold.
var (
	firstSecond = time.Date(0, 1, 1, 0, 0, 0, 0, time.UTC).Unix() - appleEpoch
	lastSecond  = time.Date(9999, 12, 31, 23, 59, 59, 0, time.UTC).Unix() - appleEpoch
)

func appleTime(seconds int64) time.Time { return time.Unix(seconds+appleEpoch, 0).UTC() }

// String answers the suffix, with a space before it.
func (m match) String() string {
	if m.op.takesTime() {
		sign := map[matchOp]string{matchOn: "=", matchBefore: "<", matchAfter: ">", matchOnOrBefore: "<=", matchOnOrAfter: ">="}
		return " " + sign[m.op] + ` timestamp "` + appleTime(m.when).Format(timestampForm) + `"`
	}
	value := quoteValue(m.value)
	switch m.op {
	case matchExists:
		return " exists"
	case matchAbsent:
		return " absent"
	case matchContains:
		return " ~ " + value
	case matchBeginsWith:
		return " = " + value + "*"
	case matchEndsWith:
		return " = *" + value
	case matchLess:
		return " < " + value
	case matchGreater:
		return " > " + value
	case matchLessEqual:
		return " <= " + value
	case matchGreaterEqual:
		return " >= " + value
	}
	return " = " + value
}

// holds compares candidate, a value of a property list; nil: there is none. Of
// a list any element will do.
func (m match) holds(candidate any) bool {
	if candidate == nil {
		return m.op == matchAbsent
	}
	if list, ok := candidate.([]any); ok {
		for _, v := range list {
			if v != nil && m.holds(v) {
				return true
			}
		}
	}
	switch v := candidate.(type) {
	case string:
		return m.holdsText(v)
	case time.Time:
		return m.op == matchExists || m.holdsTime(v)
	case bool:
		return m.op == matchExists && v
	}
	return m.op == matchExists
}

func (m match) holdsText(s string) bool {
	switch m.op {
	case matchExists:
		return true
	case matchEqual:
		return s == m.value
	case matchContains: // nothing is not found anywhere
		return m.value != "" && strings.Contains(s, m.value)
	case matchBeginsWith:
		return m.value != "" && strings.HasPrefix(s, m.value)
	case matchEndsWith:
		return m.value != "" && strings.HasSuffix(s, m.value)
	case matchLess:
		return compareNumerically(s, m.value) < 0
	case matchGreater:
		return compareNumerically(s, m.value) > 0
	case matchLessEqual:
		return compareNumerically(s, m.value) <= 0
	case matchGreaterEqual:
		return compareNumerically(s, m.value) >= 0
	}
	return false
}

func (m match) holdsTime(t time.Time) bool {
	order := t.Compare(appleTime(m.when))
	switch m.op {
	case matchOn:
		return order == 0
	case matchBefore:
		return order < 0
	case matchAfter:
		return order > 0
	case matchOnOrBefore:
		return order <= 0
	case matchOnOrAfter:
		return order >= 0
	}
	return false
}

// compareNumerically orders as texts, but runs of digits as numbers: "9" is
// before "10".
func compareNumerically(a, b string) int {
	for a != "" && b != "" {
		na, nb := digits(a), digits(b)
		if na == 0 || nb == 0 {
			if a[0] != b[0] {
				return int(a[0]) - int(b[0])
			}
			a, b = a[1:], b[1:]
			continue
		}
		x, y := strings.TrimLeft(a[:na], "0"), strings.TrimLeft(b[:nb], "0")
		if len(x) != len(y) {
			return len(x) - len(y)
		}
		if c := strings.Compare(x, y); c != 0 {
			return c
		}
		a, b = a[na:], b[nb:]
	}
	return len(a) - len(b)
}

func digits(s string) int {
	n := 0
	for n < len(s) && isDigit(s[n]) {
		n++
	}
	return n
}
