package requirement

import (
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"
)

type kind int

const (
	tokEnd   kind = iota
	tokWord       // bare: letters and digits with dots
	tokText       // quoted
	tokHash       // H"…", decoded
	tokHex        // 0x…, decoded
	tokInt        // digits
	tokPunct      // operators and brackets
)

type token struct {
	kind kind
	text string
	at   int // byte of the text
}

func (t token) String() string {
	if t.kind == tokEnd {
		return "the end"
	}
	return shorten(t.text)
}

// tokenize splits a text. White space is blank, tab and newline only, as Apple
// has it.
func tokenize(text string) ([]token, error) {
	if len(text) > maxText {
		return nil, fmt.Errorf("more than %d bytes", maxText)
	}
	if !utf8.ValidString(text) {
		return nil, errors.New("not UTF-8")
	}
	var all []token
	for at := 0; ; {
		n, err := skipSpace(text[at:])
		if err != nil {
			return nil, fmt.Errorf("at byte %d: %w", at, err)
		}
		at += n
		t, n, err := next(text[at:])
		if err != nil {
			return nil, fmt.Errorf("at byte %d: %w", at, err)
		}
		t.at = at
		all = append(all, t)
		if t.kind == tokEnd {
			return all, nil
		}
		at += n
	}
}

// skipSpace answers how many bytes of s are space and comments.
func skipSpace(s string) (int, error) {
	rest := s
	for {
		rest = strings.TrimLeft(rest, " \t\n")
		switch {
		case strings.HasPrefix(rest, "#"), strings.HasPrefix(rest, "//"):
			_, rest, _ = strings.Cut(rest, "\n")
		case strings.HasPrefix(rest, "/*"):
			_, after, closed := strings.Cut(rest[2:], "*/")
			if !closed {
				return 0, errors.New("a comment without an end")
			}
			rest = after
		default:
			return len(s) - len(rest), nil
		}
	}
}

// next reads the token at the beginning of s and answers its length.
func next(s string) (token, int, error) {
	switch {
	case s == "":
		return token{kind: tokEnd}, 0, nil
	case s[0] == '"':
		return quoted(s)
	case strings.HasPrefix(s, `H"`):
		return hash(s)
	case strings.HasPrefix(s, "0x"):
		n := 2 + hexDigits(s[2:])
		return unhex(tokHex, s[2:n], n)
	case isDigit(s[0]):
		n := digits(s)
		return token{kind: tokInt, text: s[:n]}, n, nil
	case isLetter(s[0]):
		n := dotKey(s)
		return token{kind: tokWord, text: s[:n]}, n, nil
	}
	return punctuation(s)
}

func punctuation(s string) (token, int, error) {
	for _, p := range []string{"<=", ">=", "=="} {
		if strings.HasPrefix(s, p) {
			return token{kind: tokPunct, text: p}, 2, nil
		}
	}
	if strings.IndexByte(";()[]<>=~-!*", s[0]) < 0 {
		c, _ := utf8.DecodeRuneInString(s)
		return token{}, 0, fmt.Errorf("%q has no meaning", c)
	}
	return token{kind: tokPunct, text: s[:1]}, 1, nil
}

func quoted(s string) (token, int, error) {
	var b strings.Builder
	for n := 1; n < len(s); n++ {
		switch {
		case s[n] == '"':
			if !isWord(b.String()) {
				return token{}, 0, errors.New("a control character in quotes")
			}
			return token{kind: tokText, text: b.String()}, n + 1, nil
		case strings.HasPrefix(s[n:], `\"`):
			n++
		case s[n] == '\\':
			return token{}, 0, errors.New(`a backslash that is not \"`)
		}
		b.WriteByte(s[n])
	}
	return token{}, 0, errors.New("quotes without an end")
}

func hash(s string) (token, int, error) {
	n := 2 + hexDigits(s[2:])
	if n == len(s) || s[n] != '"' {
		return token{}, 0, errors.New("a digest that is not hex digits in quotes")
	}
	return unhex(tokHash, s[2:n], n+1)
}

func unhex(k kind, digits string, n int) (token, int, error) {
	data, err := hex.DecodeString(digits)
	if err != nil || len(data) == 0 {
		return token{}, 0, errors.New("hex digits are not in pairs")
	}
	return token{kind: k, text: string(data)}, n, nil
}

func hexDigits(s string) int {
	n := 0
	for n < len(s) && (isDigit(s[n]) || 'a' <= s[n] && s[n] <= 'f' || 'A' <= s[n] && s[n] <= 'F') {
		n++
	}
	return n
}

// dotKey answers the length of the bare word that s begins with: a letter, then
// letters and digits; after a dot a word of that kind, or digits.
func dotKey(s string) int {
	n := 0
	for {
		start := n
		if start < len(s) && isDigit(s[start]) {
			n += digits(s[start:])
		} else {
			for n < len(s) && (isLetter(s[n]) || isDigit(s[n])) {
				n++
			}
		}
		if n == start {
			return n - 1 // the dot was none of the word's
		}
		if n == len(s) || s[n] != '.' {
			return n
		}
		n++
	}
}

func isDotKey(s string) bool { return s != "" && isLetter(s[0]) && dotKey(s) == len(s) }

func isDigit(c byte) bool  { return '0' <= c && c <= '9' }
func isLetter(c byte) bool { return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' }

// isKeyword says whether a bare word means itself only in quotes.
func isKeyword(word string) bool {
	switch word {
	case "guest", "host", "designated", "library", "plugin", "or", "and", "always", "true", "never", "false",
		"identifier", "cdhash", "platform", "notarized", "legacy", "anchor", "apple", "generic", "certificate",
		"cert", "trusted", "info", "entitlement", "exists", "absent", "leaf", "root", "timestamp":
		return true
	}
	return false
}
