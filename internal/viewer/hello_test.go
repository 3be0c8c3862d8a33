package viewer

import (
	"encoding/json"
	"testing"
)

// Rule: only one object with type hello and a token is a hello, and what is
// read is what was said.
func FuzzParseHello(f *testing.F) {
	for _, s := range []string{
		`{"type":"hello","token":"x"}`, `{"type":"hello"}`, `{}`, `[]`, `null`, ``, `"hello"`,
		`{"type":"hello","token":"x"} `, `{"type":"hello","token":"x"}1`, `{"type":"hello","token":1}`,
		`{"type":"hello","token":"\u0000\ud800"}`, `{"TYPE":"hello","token":"x","token":"y"}`, "{\"type\":\"hello\",\"token\":\"\xff\"}",
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		token, err := parseHello(data)
		if err != nil {
			if token != "" {
				t.Error("an error and a token")
			}
			return
		}
		if token == "" || len(data) > maxHello {
			t.Errorf("%d bytes, token %q", len(data), token)
		}
		again, err := json.Marshal(map[string]string{"type": "hello", "token": token})
		if err != nil {
			t.Fatal(err)
		}
		if len(again) > maxHello {
			return // escapes may be longer than what they stand for
		}
		if got, err := parseHello(again); err != nil || got != token {
			t.Errorf("%q became %q: %v", token, got, err)
		}
	})
}
