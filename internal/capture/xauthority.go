package capture

import (
	"encoding/binary"
	"errors"
	"io"
	"os"
	"path/filepath"
)

// A cookie is the secret that MIT-MAGIC-COOKIE-1 sends with the hello
// (Xsecurity(7)); empty where the server is believed to ask for none.
type cookie []byte

const (
	cookieName = "MIT-MAGIC-COOKIE-1"
	cookieSize = 16 // bytes

	maxAuthority = 1 << 20 // bytes of an authority file that are looked at
)

// Families of addresses in an authority file (X11/Xauth.h).
const (
	familyLocal = 256
	familyWild  = 65535
)

// cookieFor looks the display's cookie up in the user's authority file:
// XAUTHORITY, or .Xauthority at home. No file and no entry mean no cookie; the
// server decides then.
func cookieFor(d display) cookie {
	name := os.Getenv("XAUTHORITY")
	if name == "" {
		home, err := os.UserHomeDir()
		if err != nil {
			return nil
		}
		name = filepath.Join(home, ".Xauthority")
	}
	host, err := os.Hostname()
	if err != nil {
		return nil
	}
	data, err := readSome(name, maxAuthority)
	if err != nil {
		return nil
	}
	return findCookie(data, host, d.number)
}

func readSome(name string, limit int64) ([]byte, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return io.ReadAll(io.LimitReader(f, limit))
}

// findCookie answers the first cookie for this host and display number in an
// authority file's bytes. An entry without number fits every display, and an
// unknown number only such entries. What follows a torn entry is not read.
func findCookie(data []byte, host, number string) cookie {
	for len(data) > 0 {
		e, rest, err := cutEntry(data)
		if err != nil {
			return nil
		}
		if e.fits(host, number) && string(e.name) == cookieName && len(e.data) == cookieSize {
			return cookie(e.data)
		}
		data = rest
	}
	return nil
}

// An authEntry is one record of an authority file (XauReadAuth(3)): a family
// and four counted strings, numbers with the high byte first.
type authEntry struct {
	family                      uint16
	address, number, name, data []byte
}

func (e *authEntry) fits(host, number string) bool {
	here := e.family == familyWild || e.family == familyLocal && string(e.address) == host
	return here && (len(e.number) == 0 || string(e.number) == number)
}

func cutEntry(data []byte) (e authEntry, rest []byte, err error) {
	if len(data) < 2 {
		return e, nil, errTornEntry
	}
	e.family, rest = binary.BigEndian.Uint16(data), data[2:]
	for _, field := range []*[]byte{&e.address, &e.number, &e.name, &e.data} {
		if *field, rest, err = cutCounted(rest); err != nil {
			return e, nil, err
		}
	}
	return e, rest, nil
}

func cutCounted(data []byte) (field, rest []byte, err error) {
	if len(data) < 2 {
		return nil, nil, errTornEntry
	}
	n, rest := int(binary.BigEndian.Uint16(data)), data[2:]
	if len(rest) < n {
		return nil, nil, errTornEntry
	}
	return rest[:n], rest[n:], nil
}

var errTornEntry = errors.New("torn entry")
