package publish

import (
	"bytes"
	"debug/macho"
	"encoding/binary"
	"errors"
	"io"
	"slices"

	"howett.net/plist"
)

// A signature is what Apple's code signature of a program claims. Nothing here
// is verified: lint compares two of them, macOS verifies.
type signature struct {
	Identifier   string
	Team         string
	Hardened     bool
	Entitlements map[string]any
}

// Of <kern/cs_blobs.h>.
const (
	loadCodeSignature = 0x1d
	magicSuperBlob    = 0xfade0cc0
	magicDirectory    = 0xfade0c02
	magicEntitlements = 0xfade7171
	directoryHasTeam  = 0x20200
	flagRuntime       = 0x10000 // the hardened runtime
	maxSignature      = 32 << 20
	maxBlobs          = 64
)

var errSignature = errors.New("malformed code signature")

// signaturesOf answers those of a program's architectures; none for what is no
// Mach-O, or not signed.
func signaturesOf(program io.ReaderAt) ([]signature, error) {
	var list []signature
	for _, image := range images(program) {
		raw, err := rawSignature(image)
		if err != nil {
			return nil, err
		}
		if raw == nil {
			continue
		}
		s, err := parseSignature(raw)
		if err != nil {
			return nil, err
		}
		list = append(list, s)
	}
	return list, nil
}

// An image is the program for one architecture.
type image struct {
	file *macho.File
	at   io.ReaderAt
}

func images(r io.ReaderAt) []image {
	if f, err := macho.NewFile(r); err == nil {
		return []image{{f, r}}
	}
	fat, err := macho.NewFatFile(r)
	if err != nil {
		return nil
	}
	var list []image
	for _, a := range fat.Arches {
		list = append(list, image{a.File, io.NewSectionReader(r, int64(a.Offset), int64(a.Size))})
	}
	return list
}

func rawSignature(m image) ([]byte, error) {
	for _, load := range m.file.Loads {
		raw, order := load.Raw(), m.file.ByteOrder
		if len(raw) < 16 || order.Uint32(raw) != loadCodeSignature {
			continue
		}
		offset, size := order.Uint32(raw[8:]), order.Uint32(raw[12:])
		if size > maxSignature {
			return nil, errSignature
		}
		data := make([]byte, size)
		if _, err := m.at.ReadAt(data, int64(offset)); err != nil {
			return nil, errSignature
		}
		return data, nil
	}
	return nil, nil
}

// parseSignature reads the blobs that matter; the others are passed over.
func parseSignature(data []byte) (signature, error) {
	var s signature
	blob, ok := blobAt(data, 0)
	if !ok || magicOf(blob) != magicSuperBlob || len(blob) < 12 {
		return s, errSignature
	}
	n := binary.BigEndian.Uint32(blob[8:])
	if n > maxBlobs || len(blob) < 12+8*int(n) {
		return s, errSignature
	}
	for i := range int(n) {
		part, ok := blobAt(blob, binary.BigEndian.Uint32(blob[12+8*i+4:]))
		if !ok {
			return s, errSignature
		}
		if err := s.take(part); err != nil {
			return s, err
		}
	}
	if s.Identifier == "" {
		return s, errSignature
	}
	return s, nil
}

// blobAt answers the blob at an offset, cut to the length that it states.
func blobAt(data []byte, offset uint32) ([]byte, bool) {
	if uint64(offset)+8 > uint64(len(data)) {
		return nil, false
	}
	data = data[offset:]
	size := binary.BigEndian.Uint32(data[4:])
	if size < 8 || uint64(size) > uint64(len(data)) {
		return nil, false
	}
	return data[:size], true
}

func magicOf(blob []byte) uint32 { return binary.BigEndian.Uint32(blob) }

func (s *signature) take(blob []byte) error {
	switch magicOf(blob) {
	case magicDirectory:
		return s.directory(blob)
	case magicEntitlements:
		if _, err := plist.Unmarshal(blob[8:], &s.Entitlements); err != nil {
			return errSignature
		}
	}
	return nil
}

// directory reads a CodeDirectory. A program has one for each kind of hash;
// they say the same.
func (s *signature) directory(blob []byte) error {
	if len(blob) < 44 {
		return errSignature
	}
	field := func(at int) uint32 { return binary.BigEndian.Uint32(blob[at:]) }
	s.Hardened = field(12)&flagRuntime != 0
	var ok bool
	if s.Identifier, ok = textAt(blob, field(20)); !ok {
		return errSignature
	}
	if field(8) < directoryHasTeam {
		return nil
	}
	if len(blob) < 52 {
		return errSignature
	}
	if at := field(48); at != 0 {
		if s.Team, ok = textAt(blob, at); !ok {
			return errSignature
		}
	}
	return nil
}

// textAt answers the C string at an offset.
func textAt(blob []byte, at uint32) (string, bool) {
	if uint64(at) >= uint64(len(blob)) {
		return "", false
	}
	text, _, ok := bytes.Cut(blob[at:], []byte{0})
	return string(text), ok
}

// drift says in what two signatures of the same program differ.
func (s signature) drift(next signature) []string {
	var list []string
	if s.Identifier != next.Identifier {
		list = append(list, changed("signing identifier", s.Identifier, next.Identifier))
	}
	if s.Team != next.Team {
		list = append(list, changed("team", s.Team, next.Team))
	}
	if s.Hardened && !next.Hardened {
		list = append(list, "the hardened runtime is gone")
	}
	for _, key := range differing(s.Entitlements, next.Entitlements) {
		list = append(list, "entitlement "+key+" changed")
	}
	return list
}

// differing answers the keys of two dictionaries whose values are not the same,
// sorted.
func differing(a, b map[string]any) []string {
	var list []string
	for key, value := range a {
		if other, ok := b[key]; !ok || !sameValue(value, other) {
			list = append(list, key)
		}
	}
	for key := range b {
		if _, ok := a[key]; !ok {
			list = append(list, key)
		}
	}
	slices.Sort(list)
	return list
}
