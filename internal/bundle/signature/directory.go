package signature

import (
	"bytes"
	"crypto/sha1"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"unicode/utf8"
)

// Flags of a code directory that this package knows.
const (
	FlagAdHoc        = 0x2
	FlagRuntime      = 0x10000
	FlagLinkerSigned = 0x20000
)

const (
	hashSHA1   = 1
	hashSHA256 = 2

	oldest = 0x20001
	newest = 0x2f000
	// Versions from which on a directory has a field.
	versionScatter   = 0x20100
	versionTeam      = 0x20200
	versionLimit64   = 0x20300
	versionExec      = 0x20400
	versionRuntime   = 0x20500
	execMainBinary   = 1
	maxIdentifierLen = 1024
)

// A directory is a code directory: what is hashed, and the hashes.
type directory struct {
	raw        []byte
	version    uint32
	flags      uint32
	identifier string
	team       string
	platform   uint8
	hashType   uint8
	pageSize   int64
	limit      int64
	runtime    uint32

	execBase, execLimit, execFlags uint64

	special map[int][]byte // slots, positive; those of zeros are left out
	pages   []byte
}

// parseDirectory reads a blob. Of one that is not of SHA-256 only the head is
// believed to be of use.
func parseDirectory(raw []byte) (*directory, error) {
	const fixed = 44
	if len(raw) < fixed {
		return nil, io.ErrUnexpectedEOF
	}
	word := func(at int) uint32 { return binary.BigEndian.Uint32(raw[at:]) }
	d := &directory{
		raw: raw, version: word(8), flags: word(12), limit: int64(word(32)),
		hashType: raw[37], platform: raw[38], pageSize: 1 << (raw[39] & 31),
	}
	if d.version < oldest || d.version > newest {
		return nil, fmt.Errorf("version %#x", d.version)
	}
	if word(40) != 0 {
		return nil, errors.New("a field that must be zero is not")
	}
	if raw[39] < 12 || raw[39] > 16 {
		return nil, fmt.Errorf("pages of 2^%d bytes", raw[39])
	}
	if err := d.newerFields(); err != nil {
		return nil, err
	}
	var err error
	if d.identifier, err = d.text(word(20)); err != nil {
		return nil, fmt.Errorf("identifier: %w", err)
	}
	return d, d.slots(int64(word(16)), int64(word(24)), int64(word(28)), int64(raw[36]))
}

func (d *directory) newerFields() error {
	have := func(version uint32, end int) bool { return d.version >= version && len(d.raw) >= end }
	need := map[uint32]int{versionScatter: 48, versionTeam: 52, versionLimit64: 64, versionExec: 88, versionRuntime: 96}
	for version, end := range need {
		if d.version >= version && len(d.raw) < end {
			return io.ErrUnexpectedEOF
		}
	}
	if have(versionScatter, 48) && binary.BigEndian.Uint32(d.raw[44:]) != 0 {
		return errors.New("scattered pages")
	}
	if have(versionTeam, 52) {
		if offset := binary.BigEndian.Uint32(d.raw[48:]); offset != 0 {
			var err error
			if d.team, err = d.text(offset); err != nil {
				return fmt.Errorf("team: %w", err)
			}
		}
	}
	if have(versionLimit64, 64) {
		if limit := binary.BigEndian.Uint64(d.raw[56:]); limit > 1<<62 {
			return fmt.Errorf("covers %d bytes", limit)
		} else if limit != 0 {
			d.limit = int64(limit)
		}
	}
	if have(versionExec, 88) {
		d.execBase, d.execLimit = binary.BigEndian.Uint64(d.raw[64:]), binary.BigEndian.Uint64(d.raw[72:])
		d.execFlags = binary.BigEndian.Uint64(d.raw[80:])
	}
	if have(versionRuntime, 96) {
		d.runtime = binary.BigEndian.Uint32(d.raw[88:])
	}
	return nil
}

// text answers the words at offset, which a zero ends.
func (d *directory) text(offset uint32) (string, error) {
	if int64(offset) >= int64(len(d.raw)) || offset < 44 {
		return "", fmt.Errorf("at %d of %d", offset, len(d.raw))
	}
	text, _, ended := bytes.Cut(d.raw[offset:], []byte{0})
	if !ended || len(text) == 0 || len(text) > maxIdentifierLen || !utf8.Valid(text) {
		return "", errors.New("empty, too long, or not UTF-8")
	}
	for _, c := range text {
		if c < ' ' || c == 0x7f {
			return "", errors.New("a control character")
		}
	}
	return string(text), nil
}

func (d *directory) slots(offset, special, pages, hashSize int64) error {
	want := map[uint8]int64{hashSHA1: sha1.Size, hashSHA256: sha256.Size}[d.hashType]
	if want == 0 || want != hashSize {
		return fmt.Errorf("hashes of kind %d and %d bytes", d.hashType, hashSize)
	}
	if special > 2*lastSpecial || offset < 44+special*hashSize || offset > int64(len(d.raw)) ||
		pages > (int64(len(d.raw))-offset)/hashSize {
		return errors.New("hashes outside of it")
	}
	if pages != (d.limit+d.pageSize-1)/d.pageSize {
		return fmt.Errorf("%d pages of %d bytes for %d", pages, d.pageSize, d.limit)
	}
	d.special = map[int][]byte{}
	for i := int64(1); i <= special; i++ {
		if hash := d.raw[offset-i*hashSize:][:hashSize]; !isZero(hash) {
			d.special[int(i)] = hash
		}
	}
	d.pages = d.raw[offset:][:pages*hashSize]
	return nil
}

// hash is the directory's own, by which the code is known.
func (d *directory) hash() []byte { return d.sum(d.raw) }

func (d *directory) sum(data []byte) []byte {
	if d.hashType == hashSHA1 {
		sum := sha1.Sum(data)
		return sum[:]
	}
	sum := sha256.Sum256(data)
	return sum[:]
}

// checkPages reads all that is signed again.
func (d *directory) checkPages(f io.ReaderAt) error {
	r := io.NewSectionReader(f, 0, d.limit)
	page := make([]byte, d.pageSize)
	size := len(d.hash())
	for i := 0; i*size < len(d.pages); i++ {
		n, err := io.ReadFull(r, page)
		if err != nil && !errors.Is(err, io.ErrUnexpectedEOF) {
			return err
		}
		if !bytes.Equal(d.sum(page[:n]), d.pages[i*size:][:size]) {
			return fmt.Errorf("page %d, from byte %#x, is not what was signed", i, int64(i)*d.pageSize)
		}
	}
	return nil
}

// checkSlot compares a special slot with what belongs there; nil: nothing does.
func (d *directory) checkSlot(slot int, what string, data []byte) error {
	hash := d.special[slot]
	switch {
	case hash == nil && data == nil:
		return nil
	case hash == nil:
		return fmt.Errorf("%s: not signed", what)
	case data == nil:
		return fmt.Errorf("%s: %w", what, ErrMissing)
	case !bytes.Equal(hash, d.sum(data)):
		return fmt.Errorf("%s: not what was signed", what)
	}
	return nil
}
