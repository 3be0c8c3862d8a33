package evidence

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"sync"

	"portward/internal/durable"
)

// A Store is the one writer of a directory. Its methods may be called from
// several goroutines.
type Store struct {
	dir    string
	limits Limits

	mu      sync.Mutex
	records []Record // as in the index: Blob is a name
	dropped Dropped
	next    uint64   // the number of the next blob
	written Dropped  // what the file says was dropped
	stale   bool     // the file must be replaced before a line is added to it
	gone    []string // blobs to be removed once the file no longer names them
}

// Open makes the store in dir if there is none, counts and removes what a
// killed writer left, and applies the limits. What a full disk does not let it
// repair, the next Add repairs. There may be one Store on a directory at a
// time.
func Open(dir string, limits Limits) (*Store, error) {
	if err := makeDir(dir); err != nil {
		return nil, fmt.Errorf("evidence: %w", err)
	}
	x, err := readIndex(dir)
	if err != nil {
		return nil, fmt.Errorf("evidence: %w", err)
	}
	s := &Store{dir: dir, limits: limits.orDefault()}
	s.records, s.dropped, s.written = x.records, x.dropped, x.dropped
	if x.tail {
		x.torn++
	}
	s.dropped.Torn += x.torn
	s.countMissing()
	s.stale = s.trim() || !x.found || s.dropped != s.written
	if s.stale {
		_ = s.replace() // stale stays true
	}
	if err := s.sweep(); err != nil {
		return nil, fmt.Errorf("evidence: %w", err)
	}
	return s, nil
}

func makeDir(dir string) error {
	if err := durable.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	return os.Chmod(dir, 0o700)
}

// Add remembers a record, and blob with it if there is one, and answers the
// path of the blob's file or "". Older ones make room. When the blob cannot be
// written the record is kept without; when that cannot be written either, List
// of this Store still has it, and the next Add tries again. All these are
// errors.
func (s *Store) Add(r Record, blob []byte) (path string, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	r = r.bounded()
	if r.Job == "" {
		return "", errors.New("evidence: a record without a job")
	}
	blobErr := s.keepBlob(&r, blob)
	s.records = append(s.records, r)
	if err := errors.Join(blobErr, s.keepRecord(r)); err != nil {
		return s.path(r), fmt.Errorf("evidence of %s, life %d: %w", r.Job, r.Life, err)
	}
	return s.path(r), nil
}

// List is List of the store's directory, with what could not be written yet.
func (s *Store) List() ([]Record, Dropped) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return withPaths(s.dir, s.records), s.dropped
}

// What follows runs with the lock held, or before anybody else has the Store.

func (s *Store) path(r Record) string {
	if r.Blob == "" {
		return ""
	}
	return filepath.Join(s.dir, r.Blob)
}

func (s *Store) keepBlob(r *Record, blob []byte) error {
	if len(blob) == 0 {
		return nil
	}
	kept, lost := shorten(blob, min(s.limits.BlobBytes, s.limits.Bytes))
	s.dropped.Bytes += lost
	r.Blob, r.BlobBytes = blobName(*r, s.next), int64(len(kept))
	s.next++
	err := durable.Write(s.path(*r), kept, 0o600)
	if err != nil {
		s.lose(r)
	}
	return err
}

// lose makes r a record whose blob was dropped.
func (s *Store) lose(r *Record) {
	s.dropped.Blobs++
	s.dropped.Bytes += uint64(r.BlobBytes)
	r.Blob, r.BlobBytes, r.BlobLost = "", 0, true
}

// keepRecord adds a line where that is enough, and replaces the file where
// older lines of it must go. Where it cannot be replaced a line is added
// nevertheless: too many records are better than one too few.
func (s *Store) keepRecord(r Record) error {
	var replaceErr error
	if s.trim() || s.stale || len(s.gone) > 0 {
		replaceErr = s.replace()
		if replaceErr == nil || s.stale {
			return replaceErr
		}
	}
	return errors.Join(replaceErr, s.addLine(r))
}

func (s *Store) addLine(r Record) error {
	var h *header
	if s.dropped != s.written {
		h = &header{indexVersion, s.dropped}
	}
	data, err := lines(h, r)
	if err != nil {
		return err
	}
	if err := durable.Append(filepath.Join(s.dir, indexName), data, 0o600); err != nil {
		s.stale = true // a part of the line may be there
		return err
	}
	s.written = s.dropped
	return nil
}

// replace writes the whole index, then removes the blobs it no longer names:
// in the other order a power cut would leave names without files.
func (s *Store) replace() error {
	data, err := lines(&header{indexVersion, s.dropped}, s.records...)
	if err != nil {
		return err
	}
	if err := durable.Write(filepath.Join(s.dir, indexName), data, 0o600); err != nil {
		return err
	}
	s.stale, s.written = false, s.dropped
	var errs []error
	for _, name := range s.gone {
		errs = append(errs, durable.RemoveAll(filepath.Join(s.dir, name)))
	}
	s.gone = nil
	return errors.Join(errs...)
}

// trim applies the limits in memory, oldest first, and says whether anything
// had to go.
func (s *Store) trim() bool {
	before := s.dropped
	if n := len(s.records) - s.limits.Records; n > 0 {
		for i := range s.records[:n] {
			s.loseKept(&s.records[i])
		}
		s.records = slices.Delete(s.records, 0, n)
		s.dropped.Records += uint64(n)
	}
	blobs, bytes := 0, int64(0)
	for i := range slices.Backward(s.records) {
		r := &s.records[i]
		if r.Blob == "" {
			continue
		}
		blobs, bytes = blobs+1, bytes+r.BlobBytes
		if blobs > s.limits.Blobs || bytes > s.limits.Bytes {
			s.loseKept(r)
		}
	}
	return s.dropped != before
}

// loseKept is lose for a blob that has a file.
func (s *Store) loseKept(r *Record) {
	if r.Blob == "" {
		return
	}
	s.gone = append(s.gone, r.Blob)
	s.lose(r)
}

// countMissing drops blobs whose files are not there, or not what they were.
func (s *Store) countMissing() {
	for i := range s.records {
		r := &s.records[i]
		if r.Blob == "" {
			continue
		}
		info, err := os.Lstat(s.path(*r))
		if err != nil || !info.Mode().IsRegular() || info.Size() != r.BlobBytes {
			s.loseKept(r)
		}
	}
}

// sweep removes files that are the store's by their names and that no record
// names, and numbers new blobs above those that are left.
func (s *Store) sweep() error {
	if err := durable.Sweep(s.dir); err != nil {
		return err
	}
	named := map[string]bool{}
	for _, r := range s.records {
		named[r.Blob] = true
	}
	for _, name := range s.gone {
		named[name] = true
	}
	entries, err := os.ReadDir(s.dir)
	if err != nil {
		return err
	}
	var errs []error
	for _, e := range entries {
		if !isBlobName(e.Name()) {
			continue
		}
		if named[e.Name()] {
			s.next = max(s.next, blobNumber(e.Name())+1)
		} else {
			errs = append(errs, durable.RemoveAll(filepath.Join(s.dir, e.Name())))
		}
	}
	return errors.Join(errs...)
}

// shorten keeps the beginning, where a crash says what it was, and says at the
// end what is missing.
func shorten(blob []byte, limit int64) (kept []byte, lost uint64) {
	if int64(len(blob)) <= limit {
		return blob, 0
	}
	note := fmt.Sprintf("\n[cut here: %d bytes in all]\n", len(blob))
	n := max(0, limit-int64(len(note)))
	kept = append(slices.Clone(blob[:n]), note...)
	return kept, uint64(int64(len(blob)) - n)
}
