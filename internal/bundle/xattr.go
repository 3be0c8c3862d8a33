package bundle

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"

	"golang.org/x/sys/unix"
)

// Bounds of the names of extended attributes in a seal.
const (
	maxXAttrs    = 8
	maxXAttrName = 127 // XATTR_MAXNAMELEN of macOS; Linux has 255
)

// neverSealed are beginnings of names that no seal may allow: the system acts
// on their values, and a seal speaks of names only. File capabilities and
// access lists are among them.
var neverSealed = []string{"security.", "system.", "trusted.", "com.apple.quarantine", "com.apple.ResourceFork", "com.apple.system."}

// checkXAttrs judges the names that a seal allows.
func checkXAttrs(names []string) error {
	if len(names) > maxXAttrs {
		return fmt.Errorf("%d extended attributes, at most %d are allowed", len(names), maxXAttrs)
	}
	for i, name := range names {
		if i > 0 && names[i-1] >= name {
			return errors.New("extended attributes are not sorted")
		}
		if name == "" || len(name) > maxXAttrName || strings.ContainsFunc(name, func(c rune) bool { return c <= ' ' || c > '~' }) {
			return fmt.Errorf("extended attribute %q", name)
		}
		if slices.ContainsFunc(neverSealed, func(p string) bool { return strings.HasPrefix(name, p) }) {
			return fmt.Errorf("extended attribute %q is the system's", name)
		}
	}
	return nil
}

// wantXAttrs refuses what f carries beyond the allowed names and those that the
// system puts on files by itself.
func wantXAttrs(path string, f *os.File, allowed []string) error {
	names, err := xattrsOf(f)
	if err != nil {
		return fmt.Errorf("%s: extended attributes: %w", path, err)
	}
	for _, name := range names {
		if !isSystemXAttr(name) && !slices.Contains(allowed, name) {
			return fmt.Errorf("%s: extended attribute %s, which the seal does not allow", path, name)
		}
	}
	return nil
}

// xattrsOf answers the names sorted; a file system that has none has none.
func xattrsOf(f *os.File) ([]string, error) {
	conn, err := f.SyscallConn()
	if err != nil {
		return nil, err
	}
	var names []string
	var listErr error
	if err := conn.Control(func(fd uintptr) { names, listErr = listXAttrs(int(fd)) }); err != nil {
		return nil, err
	}
	if errors.Is(listErr, unix.ENOTSUP) {
		return nil, nil
	}
	slices.Sort(names)
	return names, listErr
}

func listXAttrs(fd int) ([]string, error) {
	size, err := unix.Flistxattr(fd, nil)
	if err != nil || size == 0 {
		return nil, err
	}
	list := make([]byte, size)
	if size, err = unix.Flistxattr(fd, list); err != nil {
		return nil, err // ERANGE as well: somebody adds some right now
	}
	return splitXAttrs(string(list[:size])), nil
}

// splitXAttrs answers the names in a list. One that was not empty when its size was
// asked for may be: an overlay counts names that it hides.
func splitXAttrs(list string) []string {
	if list == "" {
		return nil
	}
	return strings.Split(strings.TrimSuffix(list, "\x00"), "\x00")
}
