package viewer

import (
	"bytes"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/json"
	"errors"
	"fmt"
	"io"
)

// maxHello bounds the only message a page may send, in bytes.
const maxHello = 1 << 10

var errHello = errors.New("malformed hello")

// parseHello answers the token of {"type":"hello","token":"..."}; anything more
// or less is refused. The error never repeats what was sent.
func parseHello(data []byte) (token string, err error) {
	if len(data) > maxHello {
		return "", fmt.Errorf("%w: %d bytes", errHello, len(data))
	}
	var m struct {
		Type  string `json:"type"`
		Token string `json:"token"`
	}
	d := json.NewDecoder(bytes.NewReader(data))
	d.DisallowUnknownFields()
	if d.Decode(&m) != nil {
		return "", errHello
	}
	if _, err := d.Token(); err != io.EOF {
		return "", fmt.Errorf("%w: something follows it", errHello)
	}
	if m.Type != "hello" || m.Token == "" {
		return "", errHello
	}
	return m.Token, nil
}

// admits compares in a time that depends on neither token.
func admits(want, got string) bool {
	w, g := sha256.Sum256([]byte(want)), sha256.Sum256([]byte(got))
	return want != "" && subtle.ConstantTimeCompare(w[:], g[:]) == 1
}
