package bundle

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// ErrUnknown is in the error of Identify for a file that is no program of the
// bundle.
var ErrUnknown = errors.New("not a program of this bundle")

// maxDigests bounds the cache: a few programs, old and new.
const maxDigests = 64

// settled is how old a change must be before a digest is remembered: two
// changes within the file system's clock tick look the same.
const settled = time.Second

// maxReadings bounds how often a file that changes is read.
const maxReadings = 3

// Identify answers the identifier of the program whose bytes f has, by digest,
// for a name proves nothing. Digests are remembered for as long as device,
// inode, size, mtime and ctime stay the same, the last of which only the kernel
// sets. f is read by pread: its offset stays, and it may be shared.
func (s *Seal) Identify(f *os.File) (string, error) {
	key, err := keyOf(f)
	if err != nil {
		return "", err
	}
	if !s.hasProgramOfSize(key.size) {
		return "", fmt.Errorf("%s: %w: no program has %d bytes", f.Name(), ErrUnknown, key.size)
	}
	sum, err := s.digests.of(f, key)
	if err != nil {
		return "", fmt.Errorf("%s: %w", f.Name(), err)
	}
	if id, ok := s.identifierOf(sum); ok {
		return id, nil
	}
	return "", fmt.Errorf("%s: %w: its SHA-256 is %s", f.Name(), ErrUnknown, sum)
}

// identifierOf answers the program of that digest; no seal has none.
func (s *Seal) identifierOf(sum string) (string, bool) {
	if s == nil {
		return "", false
	}
	for _, e := range s.Entries {
		if e.Identifier != "" && e.SHA256 == sum {
			return e.Identifier, true
		}
	}
	return "", false
}

// hasProgramOfSize spares the reading of most strangers; no seal has none.
func (s *Seal) hasProgramOfSize(size int64) bool {
	if s == nil {
		return false
	}
	for _, e := range s.Entries {
		if e.Identifier != "" && e.Size == size {
			return true
		}
	}
	return false
}

// A fileKey is equal for two looks at a file only if its bytes are.
type fileKey struct {
	dev, ino     uint64
	size         int64
	mtime, ctime int64 // nanoseconds since 1970
}

func keyOf(f *os.File) (fileKey, error) {
	conn, err := f.SyscallConn()
	if err != nil {
		return fileKey{}, err
	}
	var st unix.Stat_t
	var statErr error
	if err := conn.Control(func(fd uintptr) { statErr = unix.Fstat(int(fd), &st) }); err != nil {
		return fileKey{}, err
	}
	if statErr != nil {
		return fileKey{}, &os.PathError{Op: "fstat", Path: f.Name(), Err: statErr}
	}
	if st.Mode&unix.S_IFMT != unix.S_IFREG {
		return fileKey{}, fmt.Errorf("%s: %w: not a regular file", f.Name(), ErrUnknown)
	}
	return fileKey{
		dev: uint64(st.Dev), ino: uint64(st.Ino), size: st.Size,
		mtime: st.Mtim.Nano(), ctime: st.Ctim.Nano(),
	}, nil
}

type digestCache struct {
	mu   sync.Mutex
	sums map[fileKey]string
}

// of answers the digest of f, which has that key. Reading happens without the
// lock: one slow disk holds up nobody who is remembered. A file that changes
// while it is read is read again, for an update that links a running program
// changes its ctime; one that goes on changing has no digest.
func (c *digestCache) of(f *os.File, key fileKey) (string, error) {
	if sum, ok := c.get(key); ok {
		return sum, nil
	}
	key, sum, err := steady(key, func() (fileKey, error) { return keyOf(f) }, func(size int64) (string, error) { return digestOf(f, size) })
	if err == nil && time.Since(time.Unix(0, key.ctime)) > settled {
		c.put(key, sum)
	}
	return sum, err
}

// steady reads until a reading lies between two looks that are the same.
func steady(key fileKey, look func() (fileKey, error), read func(size int64) (string, error)) (fileKey, string, error) {
	for range maxReadings {
		sum, err := read(key.size)
		if err != nil {
			return key, "", err
		}
		now, err := look()
		if err != nil || now == key {
			return key, sum, err
		}
		key = now
	}
	return key, "", errors.New("changed while it was read")
}

// digestOf reads by pread.
func digestOf(f *os.File, size int64) (string, error) {
	h := sha256.New()
	if _, err := io.Copy(h, io.NewSectionReader(f, 0, size)); err != nil {
		return "", err
	}
	return hex.EncodeToString(h.Sum(nil)), nil
}

func (c *digestCache) get(key fileKey) (string, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	sum, ok := c.sums[key]
	return sum, ok
}

func (c *digestCache) put(key fileKey, sum string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.sums == nil || len(c.sums) >= maxDigests {
		c.sums = map[fileKey]string{}
	}
	c.sums[key] = sum
}
