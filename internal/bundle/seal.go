package bundle

import (
	"bytes"
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

// Type is what an entry of a seal is. There are no others: a bundle has no
// links and no devices.
type Type string

// The types.
const (
	File Type = "file"
	Dir  Type = "dir"
)

// An Entry is one file or directory of a bundle. The fields are in the order of
// their JSON names, which is the canonical one.
type Entry struct {
	Identifier string `json:"identifier,omitempty"` // of an executable: "dev.portward.netchild"
	Mode       string `json:"mode"`                 // "0644" or "0755"
	Path       string `json:"path"`                 // from the bundle, with slashes
	SHA256     string `json:"sha256,omitempty"`     // of a file, lower-case hex
	Size       int64  `json:"size"`                 // of a file, bytes
	Type       Type   `json:"type"`
}

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

// openRegular never blocks and never follows a link at the end of name.
func openRegular(root *os.Root, name string) (*os.File, error) {
	f, err := root.OpenFile(name, os.O_RDONLY|syscall.O_NONBLOCK|syscall.O_NOFOLLOW, 0)
	if err != nil {
		return nil, err
	}
	info, err := f.Stat()
	if err == nil && !info.Mode().IsRegular() {
		err = fmt.Errorf("%s: %s, not a regular file", name, kindOf(info.Mode()))
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
	folded := map[string]bool{strings.ToLower(sealFile): true}
	for _, e := range s.Entries {
		if err := e.check(); err != nil {
			return fmt.Errorf("%q: %w", e.Path, err)
		}
		if fold := strings.ToLower(e.Path); folded[fold] {
			return fmt.Errorf("%q: listed twice, or only its case differs", e.Path)
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

func comparePaths(a, b Entry) int { return strings.Compare(a.Path, b.Path) }

func parentOf(path string) string {
	if i := strings.LastIndexByte(path, '/'); i >= 0 {
		return path[:i]
	}
	return "."
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

func (e Entry) check() error {
	if err := checkPath(e.Path); err != nil {
		return err
	}
	switch {
	case e.Type == Dir:
		if e.Mode != "0755" || e.SHA256 != "" || e.Size != 0 || e.Identifier != "" {
			return errors.New("a directory has mode 0755 and nothing else")
		}
		return nil
	case e.Type != File:
		return fmt.Errorf("unknown type %q", e.Type)
	case e.Mode != "0644" && e.Mode != "0755":
		return fmt.Errorf("mode %q, not 0644 or 0755", e.Mode)
	case e.Size < 0 || e.Size > maxFileSize:
		return fmt.Errorf("size %d", e.Size)
	case e.Identifier != "" && e.Mode != "0755":
		return errors.New("an identifier, but not executable")
	}
	if sum, err := hex.DecodeString(e.SHA256); err != nil || len(sum) != 32 || strings.ToLower(e.SHA256) != e.SHA256 {
		return fmt.Errorf("sha256 %q", e.SHA256)
	}
	return checkIdentifier(e.Identifier)
}

// checkPath: printable ASCII only, so that no file system folds or composes two
// paths into one beyond the case of letters.
func checkPath(path string) error {
	if !fs.ValidPath(path) || path == "." || len(path) > maxPath {
		return errors.New("not a clean path inside the bundle")
	}
	for _, c := range path {
		if c < ' ' || c > '~' || c == '\\' {
			return fmt.Errorf("%q in a path", c)
		}
	}
	return nil
}

func checkIdentifier(id string) error {
	for _, c := range id {
		if !isAlphanumeric(c) && c != '.' && c != '-' {
			return fmt.Errorf("identifier %q", id)
		}
	}
	if len(id) > maxPath {
		return errors.New("an identifier too long")
	}
	return nil
}
