package capture

import (
	"bytes"
	"encoding/binary"
	"os"
	"path/filepath"
	"testing"
)

var secret = []byte("0123456789abcdef")

func authFile(family uint16, fields ...string) []byte {
	b := binary.BigEndian.AppendUint16(nil, family)
	for _, f := range fields {
		b = binary.BigEndian.AppendUint16(b, uint16(len(f)))
		b = append(b, f...)
	}
	return b
}

// Rule: the cookie is the one of this host and display, in the file's order.
func TestFindCookie(t *testing.T) {
	mine := authFile(familyLocal, "here", "1", cookieName, string(secret))
	other := authFile(familyLocal, "here", "2", cookieName, "another cookie..")
	for name, c := range map[string]struct {
		file   []byte
		number string
		want   string
	}{
		"own":              {mine, "1", string(secret)},
		"behind another":   {append(bytes.Clone(other), mine...), "1", string(secret)},
		"wild":             {authFile(familyWild, "", "", cookieName, string(secret)), "1", string(secret)},
		"any display":      {authFile(familyLocal, "here", "", cookieName, string(secret)), "", string(secret)},
		"unknown number":   {mine, "", ""},
		"other number":     {other, "1", ""},
		"other host":       {authFile(familyLocal, "there", "1", cookieName, string(secret)), "1", ""},
		"internet":         {authFile(0, "here", "1", cookieName, string(secret)), "1", ""},
		"other protocol":   {authFile(familyWild, "", "", "XDM-AUTHORIZATION-1", string(secret)), "1", ""},
		"short cookie":     {authFile(familyWild, "", "", cookieName, "short"), "1", ""},
		"empty":            {nil, "1", ""},
		"torn":             {mine[:len(mine)-1], "1", ""},
		"torn in a length": {mine[:3], "1", ""},
		"behind torn":      {append(bytes.Clone(mine[:9]), 0xff), "1", ""},
	} {
		if got := findCookie(c.file, "here", c.number); string(got) != c.want {
			t.Errorf("%s: %q, want %q", name, got, c.want)
		}
	}
}

// Rule: XAUTHORITY wins over the file at home; no file is no cookie.
func TestCookieForDisplay(t *testing.T) {
	home, named := t.TempDir(), filepath.Join(t.TempDir(), "authority")
	t.Setenv("HOME", home)
	t.Setenv("XAUTHORITY", "")
	if got := cookieFor(display{number: "1"}); got != nil {
		t.Errorf("without a file: %q", got)
	}
	atHome := authFile(familyWild, "", "1", cookieName, "the cookie, home")
	if err := os.WriteFile(filepath.Join(home, ".Xauthority"), atHome, 0o600); err != nil {
		t.Fatal(err)
	}
	if got := cookieFor(display{number: "1"}); string(got) != "the cookie, home" {
		t.Errorf("at home: %q", got)
	}
	if err := os.WriteFile(named, authFile(familyWild, "", "1", cookieName, string(secret)), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Setenv("XAUTHORITY", named)
	if got := cookieFor(display{number: "1"}); string(got) != string(secret) {
		t.Errorf("named: %q", got)
	}
}

func FuzzFindCookie(f *testing.F) {
	f.Add(authFile(familyLocal, "here", "1", cookieName, string(secret)), "here", "1")
	f.Add([]byte{1, 0, 0xff, 0xff}, "", "")
	f.Fuzz(func(t *testing.T, file []byte, host, number string) {
		got := findCookie(file, host, number)
		if len(got) != 0 && (len(got) != cookieSize || !bytes.Contains(file, got)) {
			t.Errorf("%q is not of the file", got)
		}
	})
}
