package bundle

import (
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"strings"
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

	// Minimum, of an executable, is the oldest version of the same program that
	// may still be a peer beside this bundle; empty: any.
	Minimum string `json:"minimum,omitempty"`

	Mode   string `json:"mode"`             // "0644" or "0755"; "2755" of an executable with an identifier
	Path   string `json:"path"`             // from the bundle, with slashes
	SHA256 string `json:"sha256,omitempty"` // of a file, lower-case hex
	Size   int64  `json:"size"`             // of a file, bytes
	Type   Type   `json:"type"`

	// XAttrs are the names of extended attributes that may be there, sorted,
	// besides those that the system sets by itself. Their values are not sealed.
	XAttrs []string `json:"xattrs,omitempty"`
}

// setGID is the mode of a program that runs with its file's group. Which group
// that is, is the machine's business: whoever installs the bundle gives it.
const setGID = "2755"

func (e Entry) isExecutable() bool { return e.Mode == "0755" || e.Mode == setGID }

// FileMode is the entry's mode, a set-gid bit apart.
func (e Entry) FileMode() fs.FileMode {
	if e.isExecutable() || e.Type == Dir {
		return 0o755
	}
	return 0o644
}

func comparePaths(a, b Entry) int { return strings.Compare(a.Path, b.Path) }

func parentOf(path string) string {
	if i := strings.LastIndexByte(path, '/'); i >= 0 {
		return path[:i]
	}
	return "."
}

func (e Entry) check() error {
	if err := checkPath(e.Path); err != nil {
		return err
	}
	switch {
	case e.Type == Dir:
		if e.Mode != "0755" || e.SHA256 != "" || e.Size != 0 || e.Identifier != "" || e.Minimum != "" {
			return errors.New("a directory has mode 0755 and nothing else")
		}
		return checkXAttrs(e.XAttrs)
	case e.Type != File:
		return fmt.Errorf("unknown type %q", e.Type)
	case e.Mode != "0644" && !e.isExecutable():
		return fmt.Errorf("mode %q, not 0644, 0755 or 2755", e.Mode)
	case e.Size < 0 || e.Size > maxFileSize:
		return fmt.Errorf("size %d", e.Size)
	case e.Identifier != "" && !e.isExecutable():
		return errors.New("an identifier, but not executable")
	case e.Identifier == "" && e.Mode == setGID:
		return errors.New("set-gid without an identifier")
	}
	if err := e.checkMinimum(); err != nil {
		return err
	}
	if err := checkXAttrs(e.XAttrs); err != nil {
		return err
	}
	if sum, err := hex.DecodeString(e.SHA256); err != nil || len(sum) != 32 || strings.ToLower(e.SHA256) != e.SHA256 {
		return fmt.Errorf("sha256 %q", e.SHA256)
	}
	return checkIdentifier(e.Identifier)
}

func (e Entry) checkMinimum() error {
	if e.Minimum == "" {
		return nil
	}
	if e.Identifier == "" {
		return errors.New("a minimum without an identifier")
	}
	if err := checkVersion(e.Minimum); err != nil {
		return fmt.Errorf("minimum: %w", err)
	}
	return nil
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
