package tufrepo

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"

	"github.com/theupdateframework/go-tuf/v2/metadata"
)

// parse is the one door by which bytes become metadata. go-tuf dereferences
// what it did not find ("meta" without snapshot.json, "targets":{"x":null}),
// and crypto/ed25519 panics on a key of the wrong length: in a root process
// that is a way to stop it for ever, so the shape is checked first.
func parse[T metadata.Roles](data []byte) (*metadata.Metadata[T], error) {
	if err := noNulls(data); err != nil {
		return nil, err
	}
	var s shape
	if err := json.Unmarshal(data, &s); err != nil {
		return nil, err
	}
	if err := s.check(); err != nil {
		return nil, err
	}
	return new(metadata.Metadata[T]).FromBytes(data)
}

// noNulls refuses null at any depth. It looks at tokens: a decoded value would
// not show the first of two members of one name, which go-tuf's maps keep.
func noNulls(data []byte) error {
	for d := json.NewDecoder(bytes.NewReader(data)); ; {
		token, err := d.Token()
		switch {
		case errors.Is(err, io.EOF):
			return nil
		case err != nil:
			return err
		case token == nil:
			return errors.New("it contains null")
		}
	}
}

// A shape is what go-tuf takes for granted.
type shape struct {
	Signed struct {
		Type    string `json:"_type"`
		Version int64  `json:"version"`
		Keys    keySet `json:"keys"`
		Roles   map[string]struct {
			KeyIDs []string `json:"keyids"`
		} `json:"roles"`
		Meta map[string]struct {
			Version int64 `json:"version"`
			Length  int64 `json:"length"`
		} `json:"meta"`
		Targets map[string]struct {
			Length int64 `json:"length"`
		} `json:"targets"`
		Delegations struct {
			Keys keySet `json:"keys"`
		} `json:"delegations"`
	} `json:"signed"`
}

type keySet map[string]struct {
	Type  string `json:"keytype"`
	Value struct {
		Public string `json:"public"`
	} `json:"keyval"`
}

func (k keySet) check() error {
	for id, key := range k {
		raw, err := hex.DecodeString(key.Value.Public)
		if key.Type == metadata.KeyTypeEd25519 && (err != nil || len(raw) != 32) {
			return fmt.Errorf("key %.16q is no ed25519 key", id)
		}
	}
	return nil
}

func (s shape) check() error {
	if s.Signed.Version < 1 {
		return fmt.Errorf("version %d", s.Signed.Version)
	}
	for name, role := range s.Signed.Roles {
		slices.Sort(role.KeyIDs)
		if len(slices.Compact(role.KeyIDs)) != len(role.KeyIDs) {
			return fmt.Errorf("role %.40q names one key twice", name)
		}
	}
	for name, m := range s.Signed.Meta {
		if m.Version < 1 || m.Length < 0 {
			return fmt.Errorf("%.40q has version %d and length %d", name, m.Version, m.Length)
		}
	}
	for name, t := range s.Signed.Targets {
		if t.Length < 0 {
			return fmt.Errorf("target %.40q has length %d", name, t.Length)
		}
	}
	return errors.Join(s.mustList(metadata.TIMESTAMP, metadata.SNAPSHOT), s.mustList(metadata.SNAPSHOT, metadata.TARGETS),
		s.Signed.Keys.check(), s.Signed.Delegations.Keys.check())
}

// mustList says whether metadata of that type lists the role below it.
func (s shape) mustList(typ, below string) error {
	if _, ok := s.Signed.Meta[below+".json"]; s.Signed.Type == typ && !ok {
		return fmt.Errorf("%s metadata does not list %s.json", typ, below)
	}
	return nil
}
