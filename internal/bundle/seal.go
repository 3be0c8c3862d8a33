package bundle

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"slices"
	"strings"
	"syscall"
)

// Bounds of a seal.
const (
	sealFormat  = 1
	maxSeal     = 1 << 20
	maxEntries  = 4096
	maxPath     = 512
	maxVersion  = 64
	maxFileSize = 1 << 32
)

// A Seal lists what is in a bundle, the seal's own file apart. Its encoding is
// canonical, so that a digest of the bytes is a digest of the meaning. A Seal
// is not changed after it was made, and may be used by several goroutines.
type Seal struct {
	Entries []Entry // sorted by Path
	Version string  // the product's

	digests digestCache
}

// sealJSON is the file: keys sorted, no space, format first of what is read.
type sealJSON struct {
	Files   []Entry `json:"files"`
	Seal    int     `json:"seal"`
	Version string  `json:"version"`
}

// Bytes answers the canonical encoding: UTF-8 JSON with sorted keys and entries,
// without insignificant space, HTML escapes or a final newline.
func (s *Seal) Bytes() ([]byte, error) {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(sealJSON{Files: s.Entries, Seal: sealFormat, Version: s.Version}); err != nil {
		return nil, err
	}
	return bytes.TrimSuffix(b.Bytes(), []byte("\n")), nil
}

// Hash answers the SHA-256 of the canonical bytes, in lower-case hex: the
// release's identity.
func (s *Seal) Hash() string {
	data, err := s.Bytes()
	if err != nil {
		panic(fmt.Sprintf("bundle: strings and numbers that are no JSON: %v", err))
	}
	sum := sha256.Sum256(data)
	return hex.EncodeToString(sum[:])
}

// Has says whether the bundle has the program of that name, "netchild".
func (s *Seal) Has(program string) bool {
	for _, e := range s.Entries {
		if e.Type == File && e.Path == programsDir+"/"+program {
			return true
		}
	}
	return false
}

// ParseSeal reads a seal. It refuses everything that is not the canonical
// encoding of a seal that Build could have made: other formats, unknown keys,
// unclean or doubled paths, modes that let others write.
func ParseSeal(data []byte) (*Seal, error) {
	s, err := parseSeal(data)
	if err != nil {
		return nil, fmt.Errorf("seal: %w", err)
	}
	return s, nil
}

// ReadSeal is ParseSeal of the seal in the bundle at dir. It believes the seal;
// Verify compares it with the files.
func ReadSeal(dir string) (*Seal, error) {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, err
	}
	defer root.Close()
	s, err := readSeal(root)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", dir, err)
	}
	return s, nil
}

func readSeal(root *os.Root) (*Seal, error) {
	f, err := openRegular(root, sealFile)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, maxSeal+1))
	if err != nil {
		return nil, err
	}
	return ParseSeal(data)
}

// openRegular never blocks, and refuses a link at the end of name.
func openRegular(root *os.Root, name string) (*os.File, error) {
	return openNamed(root, name, syscall.O_NONBLOCK, "a regular file", fs.FileMode.IsRegular)
}

func openDir(root *os.Root, name string) (*os.File, error) {
	return openNamed(root, name, syscall.O_DIRECTORY, "a directory", fs.FileMode.IsDir)
}

// openNamed opens what has that name itself: an os.Root follows a link that stays
// below it, O_NOFOLLOW or not.
func openNamed(root *os.Root, name string, flags int, what string, is func(fs.FileMode) bool) (*os.File, error) {
	f, err := root.OpenFile(name, os.O_RDONLY|flags, 0)
	if err != nil {
		return nil, err
	}
	named, err := root.Lstat(name)
	if err == nil && !is(named.Mode()) {
		err = fmt.Errorf("%s: %s, not %s", name, kindOf(named.Mode()), what)
	}
	opened, statErr := f.Stat()
	if err = errors.Join(err, statErr); err == nil && !os.SameFile(named, opened) {
		err = fmt.Errorf("%s: it changed meanwhile", name)
	}
	if err != nil {
		f.Close()
		return nil, err
	}
	return f, nil
}

func parseSeal(data []byte) (*Seal, error) {
	if len(data) > maxSeal {
		return nil, fmt.Errorf("more than %d bytes", maxSeal)
	}
	var head struct {
		Seal *int `json:"seal"`
	}
	if err := json.Unmarshal(data, &head); err != nil {
		return nil, err
	}
	if head.Seal == nil || *head.Seal != sealFormat {
		return nil, fmt.Errorf("not of format %d, the only one known", sealFormat)
	}
	var j sealJSON
	if err := json.Unmarshal(data, &j); err != nil {
		return nil, err
	}
	s := &Seal{Entries: j.Files, Version: j.Version}
	if err := s.check(); err != nil {
		return nil, err
	}
	canonical, err := s.Bytes()
	if err != nil {
		return nil, err
	}
	if !bytes.Equal(canonical, data) {
		return nil, errors.New("not in its canonical encoding")
	}
	return s, nil
}

func (s *Seal) check() error {
	if err := checkVersion(s.Version); err != nil {
		return err
	}
	if len(s.Entries) == 0 || len(s.Entries) > maxEntries {
		return fmt.Errorf("%d entries, not between 1 and %d", len(s.Entries), maxEntries)
	}
	if !slices.IsSortedFunc(s.Entries, comparePaths) {
		return errors.New("entries are not sorted by path")
	}
	types := map[string]Type{".": Dir}
	folded := map[string]bool{strings.ToLower(sealFile): true, strings.ToLower(tufDir): true}
	for _, e := range s.Entries {
		if err := e.check(); err != nil {
			return fmt.Errorf("%q: %w", e.Path, err)
		}
		if fold := strings.ToLower(e.Path); folded[fold] {
			return fmt.Errorf("%q: listed twice, or only its case differs, or never listed", e.Path)
		} else {
			folded[fold] = true
		}
		if types[parentOf(e.Path)] != Dir {
			return fmt.Errorf("%q: its directory is not listed", e.Path)
		}
		types[e.Path] = e.Type
	}
	return nil
}

func checkVersion(v string) error {
	if v == "" || len(v) > maxVersion {
		return fmt.Errorf("a version of %d bytes", len(v))
	}
	for _, c := range v {
		if !isAlphanumeric(c) && !strings.ContainsRune(".+-", c) {
			return fmt.Errorf("version %q", v)
		}
	}
	return nil
}

func isAlphanumeric(c rune) bool {
	return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9'
}
