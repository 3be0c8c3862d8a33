package tufrepo

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"

	"portward/internal/durable"
)

// A store is the directory of what is trusted. It answers only what it could
// read whole; the rest is set aside, because a file that is damaged must cost
// one transfer and never a start. What is to be written waits in memory until
// it could be: an error of the disk is tried again with the next flush.
type store struct {
	dir   string
	dirty []change // in order
}

// A change is a file to write, or to remove when data is nil.
type change struct {
	file string
	data []byte
}

// read answers a file's bytes. A directory, a link, a file too large or one
// that cannot be read is set aside.
func (s *store) read(file string, max int64) ([]byte, bool) {
	data, err := readPlain(filepath.Join(s.dir, file), max)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		s.setAside(file)
	}
	return data, err == nil
}

func readPlain(path string, max int64) ([]byte, error) {
	info, err := os.Lstat(path)
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, errors.New("not a plain file")
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, max+1))
	if err == nil && int64(len(data)) > max {
		err = errors.New("too large")
	}
	return data, err
}

// setAside keeps a bad file for whoever wants to know, one of each name. Where
// even that is impossible the next write replaces it or says why not.
func (s *store) setAside(file string) {
	path := filepath.Join(s.dir, file)
	_ = durable.RemoveAll(path + ".bad")
	_ = durable.Rename(path, path+".bad")
}

// put has a file written by the next flush; nil removes it.
func (s *store) put(file string, data []byte) {
	s.dirty = slices.DeleteFunc(s.dirty, func(c change) bool { return c.file == file })
	s.dirty = append(s.dirty, change{file, data})
}

// flush writes in the order of the puts.
func (s *store) flush() error {
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
