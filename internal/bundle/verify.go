package bundle

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"io/fs"
	"os"
	"syscall"
)

// Verify reads everything in the bundle at dir again and answers its seal if
// every file is listed with its type, mode, size and SHA-256, every entry is
// there, and all of it belongs to root or to the caller. Links, devices, pipes,
// sockets, set-id bits and anything others may write are refused wherever they
// are. It believes nothing it read before.
//
// What was verified are the bytes that were read: whoever may write below dir
// may change them afterwards. The directories above dir are not looked at.
func Verify(dir string) (*Seal, error) {
	s, err := verify(dir)
	if err != nil {
		return nil, fmt.Errorf("bundle %s: %w", dir, err)
	}
	return s, nil
}

func verify(dir string) (*Seal, error) {
	if info, err := os.Lstat(dir); err != nil {
		return nil, err
	} else if !info.IsDir() {
		return nil, fmt.Errorf("%s, not a directory", kindOf(info.Mode()))
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, err
	}
	defer root.Close()
	seal, err := readSeal(root)
	if err != nil {
		return nil, err
	}
	v := verifier{root: root, unseen: map[string]Entry{}}
	for _, e := range seal.Entries {
		v.unseen[e.Path] = e
	}
	v.unseen["."] = Entry{Path: ".", Type: Dir, Mode: "0755"}
	if err := fs.WalkDir(root.FS(), ".", v.visit); err != nil {
		return nil, err
	}
	for _, e := range seal.Entries { // in order, so that the error is the same each time
		if _, missing := v.unseen[e.Path]; missing {
			return nil, fmt.Errorf("%s: listed in the seal, not there", e.Path)
		}
	}
	return seal, nil
}

type verifier struct {
	root   *os.Root
	unseen map[string]Entry
}

func (v *verifier) visit(path string, d fs.DirEntry, err error) error {
	if err != nil {
		return err
	}
	info, err := d.Info()
	if err != nil {
		return err
	}
	if err := checkFile(path, info); err != nil {
		return err
	}
	if path == sealFile {
		return wantMode(path, info, "0644")
	}
	e, listed := v.unseen[path]
	if !listed {
		return fmt.Errorf("%s: not listed in the seal", path)
	}
	delete(v.unseen, path)
	if info.IsDir() != (e.Type == Dir) {
		return fmt.Errorf("%s: %s, the seal says %s", path, kindOf(info.Mode()), e.Type)
	}
	if e.Type == Dir {
		return wantMode(path, info, e.Mode)
	}
	return v.compare(e)
}

// compare looks at the opened file, whatever was at its path before.
func (v *verifier) compare(e Entry) error {
	f, err := openRegular(v.root, e.Path)
	if err != nil {
		return err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return err
	}
	if err := checkFile(e.Path, info); err != nil {
		return err
	}
	if err := wantMode(e.Path, info, e.Mode); err != nil {
		return err
	}
	if info.Size() != e.Size {
		return fmt.Errorf("%s: %d bytes, the seal says %d", e.Path, info.Size(), e.Size)
	}
	h := sha256.New()
	if n, err := io.Copy(h, io.LimitReader(f, e.Size+1)); err != nil {
		return err
	} else if n != e.Size {
		return fmt.Errorf("%s: changed while it was read", e.Path)
	}
	if got := hex.EncodeToString(h.Sum(nil)); got != e.SHA256 {
		return fmt.Errorf("%s: its SHA-256 is %s, the seal says %s", e.Path, got, e.SHA256)
	}
	return nil
}

// checkFile is what no seal can allow.
func checkFile(path string, info fs.FileInfo) error {
	mode := info.Mode()
	switch {
	case !mode.IsRegular() && !mode.IsDir():
		return fmt.Errorf("%s: %s in a bundle", path, kindOf(mode))
	case mode&(fs.ModeSetuid|fs.ModeSetgid|fs.ModeSticky) != 0:
		return fmt.Errorf("%s: set-id or sticky bit in %v", path, mode)
	case mode.Perm()&0o022 != 0:
		return fmt.Errorf("%s: others may write: %v", path, mode)
	}
	if st, ok := info.Sys().(*syscall.Stat_t); ok && st.Uid != 0 && int(st.Uid) != os.Geteuid() {
		return fmt.Errorf("%s: belongs to uid %d", path, st.Uid)
	}
	return nil
}

func wantMode(path string, info fs.FileInfo, want string) error {
	if got := fmt.Sprintf("%04o", info.Mode().Perm()); got != want {
		return fmt.Errorf("%s: mode %s, the seal says %s", path, got, want)
	}
	return nil
}

func kindOf(mode fs.FileMode) string {
	switch mode.Type() {
	case 0:
		return "a file"
	case fs.ModeDir:
		return "a directory"
	case fs.ModeSymlink:
		return "a symbolic link"
	case fs.ModeNamedPipe:
		return "a pipe"
	case fs.ModeSocket:
		return "a socket"
	}
	return "a device"
}
