package tufrepo

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"

	"github.com/theupdateframework/go-tuf/v2/metadata"

	"portward/internal/durable"
)

// A store is the directory of what is trusted. It answers only what it could
// read whole; a damaged file is set aside, because it must cost one transfer and
// never a start. What is to be written waits in memory until it could be: an
// error of the disk is tried again with the next flush.
type store struct {
	dir       string
	readPlain func(path string, max int64) ([]byte, error)

	dirty []change // in order
	made  bool     // the directory is there
	sick  error    // from readPlain: a file could not be read, which says nothing about it; none is set aside then
}

var (
	errDamaged = errors.New("not a plain file of that size") // and so not what was written
	errNoRoot  = errors.New("none is kept")
)

// A change is a file to write, or to remove when data is nil.
type change struct {
	file string
	data []byte
}

// read answers a file's bytes. A directory, a link or a file too large is set
// aside.
func (s *store) read(file string, max int64) ([]byte, bool) {
	data, err := s.readPlain(filepath.Join(s.dir, file), max)
	switch {
	case errors.Is(err, errDamaged):
		s.setAside(file)
	case err != nil && !errors.Is(err, fs.ErrNotExist):
		s.sick = err
	}
	return data, err == nil
}

// newestRoot answers the newest root that is kept and signed itself.
func (s *store) newestRoot() (held[metadata.RootType], error) {
	list, err := os.ReadDir(s.dir)
	var versions []int64
	for _, e := range list {
		var v int64
		if _, err := fmt.Sscanf(e.Name(), "%d.", &v); err == nil && e.Name() == versioned(v, metadata.ROOT) {
			versions = append(versions, v)
		}
	}
	slices.Sort(versions)
	for _, v := range slices.Backward(versions) {
		raw, ok := s.read(versioned(v, metadata.ROOT), maxRoot)
		if !ok {
			continue
		}
		r, err := selfSigned(raw)
		if err == nil && r.md.Signed.Version == v {
			return r, nil
		}
		s.setAside(versioned(v, metadata.ROOT))
	}
	return held[metadata.RootType]{}, errors.Join(errNoRoot, err, s.sick)
}

func readPlain(path string, max int64) ([]byte, error) {
	info, err := os.Lstat(path)
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, errDamaged
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, max+1))
	if err == nil && int64(len(data)) > max {
		err = errDamaged
	}
	return data, err
}

// setAside keeps a bad file for whoever wants to know, one of each name. Where
// even that is impossible the next write replaces it or says why not. Once
// something could not be read nothing is known to be bad: what it does not go
// with may be what is missing.
func (s *store) setAside(file string) {
	if s.sick != nil {
		return
	}
	path := filepath.Join(s.dir, file)
	_ = durable.RemoveAll(path + ".bad")
	_ = durable.Rename(path, path+".bad")
}

// put has a file written by the next flush; nil removes it.
func (s *store) put(file string, data []byte) {
	s.dirty = slices.DeleteFunc(s.dirty, func(c change) bool { return c.file == file })
	s.dirty = append(s.dirty, change{file, data})
}

// make makes the directory, once.
func (s *store) make() error {
	if s.made {
		return nil
	}
	err := durable.MkdirAll(s.dir, 0o700)
	s.made = err == nil
	return err
}

// flush writes in the order of the puts.
func (s *store) flush() error {
	if err := s.make(); err != nil {
		return err
	}
	for len(s.dirty) > 0 {
		if err := s.write(s.dirty[0]); err != nil {
			return err
		}
		s.dirty = s.dirty[1:]
	}
	return nil
}

func (s *store) write(c change) error {
	path := filepath.Join(s.dir, c.file)
	if c.data != nil {
		return durable.Write(path, c.data, 0o600)
	}
	if err := durable.Remove(path); !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}
