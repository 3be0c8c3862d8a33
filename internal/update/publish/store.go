package publish

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/klauspost/compress/zstd"

	"portward/internal/durable"
	"portward/internal/update/fetch"
)

const (
	// window is what every zstd decoder must be able to hold (RFC 8878): a
	// machine needs no more memory for a larger file.
	window = 8 << 20
	// maxContent bounds one file; the publisher holds it, an old one and a
	// patch in memory.
	maxContent = 1 << 30
)

// A store is the repository's directory of blobs. A blob's name is the SHA-256
// of its bytes and it never changes.
type store struct {
	dir string
	enc *zstd.Encoder // nil until something is packed: its tables are large
}

func newStore(repo string) *store { return &store{dir: filepath.Join(repo, "b")} }

func (s *store) path(sha string) string { return filepath.Join(s.dir, sha) }

// put makes data a blob. What lies there already and is whole stays.
func (s *store) put(data []byte) (sha string, fresh bool, err error) {
	sha = digest(data)
	if _, err := s.get(sha, int64(len(data))); err == nil {
		return sha, false, nil
	}
	if err := durable.MkdirAll(s.dir, 0o755); err != nil {
		return "", false, err
	}
	return sha, true, durable.Write(s.path(sha), data, 0o644)
}

// get answers the blob of that name and size, or an error if it is another.
func (s *store) get(sha string, size int64) ([]byte, error) {
	data, err := readBounded(s.path(sha), size)
	if err != nil {
		return nil, err
	}
	if got := digest(data); got != sha || int64(len(data)) != size {
		return nil, fmt.Errorf("blob %s: damaged: %d bytes of %d, SHA-256 %s", sha, len(data), size, got)
	}
	return data, nil
}

// content answers the bytes that a delivery's item stands for.
func (s *store) content(it fetch.Item) ([]byte, error) {
	stored, err := s.get(it.Blob.SHA256, it.Blob.Size)
	if err != nil {
		return nil, err
	}
	data, err := unpack(stored, it.Blob.Codec, it.Size)
	if err != nil {
		return nil, fmt.Errorf("blob %s: %w", it.Blob.SHA256, err)
	}
	if got := digest(data); got != it.SHA256 {
		return nil, fmt.Errorf("blob %s: its content is %s, not %s", it.Blob.SHA256, got, it.SHA256)
	}
	return data, nil
}

// pack answers what is stored of a content.
func (s *store) pack(data []byte) (stored []byte, codec string, err error) {
	if s.enc == nil {
		s.enc, err = zstd.NewWriter(nil, zstd.WithEncoderLevel(zstd.SpeedBestCompression), zstd.WithWindowSize(window), zstd.WithEncoderConcurrency(1))
		if err != nil {
			return nil, "", err
		}
	}
	if stored = s.enc.EncodeAll(data, nil); len(stored) < len(data) {
		return stored, fetch.Zstd, nil
	}
	return data, fetch.None, nil
}

// unpack answers exactly size bytes.
func unpack(stored []byte, codec string, size int64) ([]byte, error) {
	if codec == fetch.None {
		return stored, nil
	}
	if codec != fetch.Zstd {
		return nil, fmt.Errorf("codec %q", codec)
	}
	if size > maxContent {
		return nil, fmt.Errorf("content of %d bytes, at most %d are handled", size, maxContent)
	}
	dec, err := zstd.NewReader(bytes.NewReader(stored), zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxWindow(window))
	if err != nil {
		return nil, err
	}
	defer dec.Close()
	data, err := io.ReadAll(io.LimitReader(dec, size+1))
	if err == nil && int64(len(data)) != size {
		err = fmt.Errorf("it unpacks to other than %d bytes", size)
	}
	return data, err
}

func digest(data []byte) string {
	sum := sha256.Sum256(data)
	return hex.EncodeToString(sum[:])
}

// readBounded reads a plain file that has at most max bytes.
func readBounded(path string, max int64) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() || info.Size() > max {
		return nil, &fs.PathError{Op: "read", Path: path, Err: errors.New("no plain file of the expected size")}
	}
	return io.ReadAll(io.LimitReader(f, max))
}
