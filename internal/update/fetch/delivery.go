package fetch

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
)

// What a publisher must keep to.
const (
	Format      = 1
	MaxWindow   = 128 << 20 // of a zstd blob
	PieceSize   = 1 << 20
	PiecedAbove = 8 << 20 // a blob of more bytes has a hash for each piece
)

// Bounds of a delivery.
const (
	maxDelivery = 4_000_000
	maxFiles    = 4096
	maxSize     = 1 << 32
	maxDeltas   = 32
	maxName     = 32
)

// Codecs of blobs.
const (
	Zstd = "zstd"
	None = "none"
)

// A Delivery tells how each content of a release can be had. It is signed, so
// it is the publisher who speaks. What is added later gets a new algorithm's
// name, or a new format under another target's name: both leave old readers at
// work.
type Delivery struct {
	Format int    `json:"format"`
	Files  []Item `json:"files"` // sorted by SHA256
}

// An Item is one content and the ways to it. Hashes are lower-case hex.
type Item struct {
	SHA256 string  `json:"sha256"`
	Size   int64   `json:"size"`
	Blob   Blob    `json:"blob"`
	Deltas []Delta `json:"deltas,omitempty"`
}

// A Blob is the whole content as it is stored, at b/SHA256.
type Blob struct {
	SHA256 string   `json:"sha256"` // of the stored bytes
	Size   int64    `json:"size"`
	Codec  string   `json:"codec"`            // Zstd or None
	Pieces []string `json:"pieces,omitempty"` // SHA-256 of each PieceSize stored bytes, where Size > PiecedAbove
}

// A Delta is a patch as it is stored, at b/SHA256.
type Delta struct {
	From      string `json:"from"`      // SHA-256 of the old content
	Algorithm string `json:"algorithm"` // one that is not known is passed over
	SHA256    string `json:"sha256"`    // of the patch
	Size      int64  `json:"size"`
}

// A stored file is immutable and named by its hash. It is checked by pieces of
// step bytes; a short one is one piece.
type stored struct {
	hash   string
	size   int64
	step   int64
	pieces []string
}

func (b Blob) stored() stored {
	if len(b.Pieces) > 0 {
		return stored{b.SHA256, b.Size, PieceSize, b.Pieces}
	}
	return stored{b.SHA256, b.Size, max(b.Size, 1), []string{b.SHA256}}
}

func (d Delta) stored() stored { return stored{d.SHA256, d.Size, max(d.Size, 1), []string{d.SHA256}} }

// ParseDelivery reads a delivery and refuses everything that is not exactly one.
func ParseDelivery(data []byte) (Delivery, error) {
	d, err := parseDelivery(data)
	if err != nil {
		return Delivery{}, fmt.Errorf("delivery: %w", err)
	}
	return d, nil
}

func parseDelivery(data []byte) (Delivery, error) {
	if len(data) > maxDelivery {
		return Delivery{}, fmt.Errorf("more than %d bytes", maxDelivery)
	}
	dec := json.NewDecoder(bytes.NewReader(data))
	dec.DisallowUnknownFields()
	var d Delivery
	if err := dec.Decode(&d); err != nil {
		return d, err
	}
	if _, err := dec.Token(); err != io.EOF {
		return d, errors.New("something follows it")
	}
	if d.Format != Format {
		return d, fmt.Errorf("not of format %d, the only one known", Format)
	}
	if len(d.Files) > maxFiles {
		return d, fmt.Errorf("more than %d files", maxFiles)
	}
	last := ""
	for i, item := range d.Files {
		if err := item.check(); err != nil {
			return d, fmt.Errorf("file %d: %w", i, err)
		}
		if item.SHA256 <= last {
			return d, fmt.Errorf("file %d is out of order", i)
		}
		last = item.SHA256
	}
	return d, nil
}

func (f Item) check() error {
	if err := checkContent(f.SHA256, f.Size); err != nil {
		return err
	}
	if err := f.Blob.check(f); err != nil {
		return fmt.Errorf("blob: %w", err)
	}
	if len(f.Deltas) > maxDeltas {
		return fmt.Errorf("more than %d deltas", maxDeltas)
	}
	for i, d := range f.Deltas {
		if err := d.check(); err != nil {
			return fmt.Errorf("delta %d: %w", i, err)
		}
	}
	return nil
}

func (b Blob) check(of Item) error {
	if err := checkContent(b.SHA256, b.Size); err != nil {
		return err
	}
	switch {
	case b.Codec != Zstd && b.Codec != None:
		return fmt.Errorf("codec %q", b.Codec)
	case b.Codec == None && (b.SHA256 != of.SHA256 || b.Size != of.Size):
		return errors.New("without a codec it must be the file")
	}
	want := int64(0)
	if b.Size > PiecedAbove {
		want = (b.Size + PieceSize - 1) / PieceSize
	}
	if int64(len(b.Pieces)) != want {
		return fmt.Errorf("%d pieces instead of %d", len(b.Pieces), want)
	}
	for _, p := range b.Pieces {
		if !isHash(p) {
			return fmt.Errorf("a piece's hash %q", clip(p))
		}
	}
	return nil
}

func (d Delta) check() error {
	if !isHash(d.From) {
		return fmt.Errorf("from %q", clip(d.From))
	}
	if d.Algorithm == "" || len(d.Algorithm) > maxName || strings.Trim(d.Algorithm, "abcdefghijklmnopqrstuvwxyz0123456789-") != "" {
		return fmt.Errorf("algorithm %q", clip(d.Algorithm))
	}
	return checkContent(d.SHA256, d.Size)
}

func checkContent(hash string, size int64) error {
	if !isHash(hash) {
		return fmt.Errorf("hash %q", clip(hash))
	}
	if size < 0 || size > maxSize {
		return fmt.Errorf("size %d", size)
	}
	return nil
}

func isHash(s string) bool {
	return len(s) == 2*sha256.Size && strings.Trim(s, "0123456789abcdef") == ""
}

func clip(s string) string { return s[:min(len(s), 80)] }

// Pieces answers what belongs into Blob.Pieces for these stored bytes.
func Pieces(stored []byte) []string {
	if len(stored) <= PiecedAbove {
		return nil
	}
	var list []string
	for piece := range slices.Chunk(stored, PieceSize) {
		list = append(list, hashOf(piece))
	}
	return list
}

func hashOf(b []byte) string {
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:])
}
