package bundle

import (
	"fmt"
	"io/fs"
	"os"
	"syscall"
)

// maxVouching bounds each of the files in Tuf: the most that is fetched of one.
const maxVouching = 4_000_000

// unlisted is what belongs to a bundle though no seal lists it; a size is the
// most that is allowed.
var unlisted = map[string]Entry{
	sealFile:                 {Path: sealFile, Type: File, Mode: "0644", Size: maxSeal},
	tufDir:                   {Path: tufDir, Type: Dir, Mode: "0755"},
	tufDir + "/root.json":    {Path: tufDir + "/root.json", Type: File, Mode: "0644", Size: maxVouching},
	tufDir + "/targets.json": {Path: tufDir + "/targets.json", Type: File, Mode: "0644", Size: maxVouching},
}

// Verify reads everything in the bundle at dir again and answers its seal if
// every file is listed with its type, mode, size and SHA-256, every entry is
// there, and all of it belongs to root or to the caller. Links, devices, pipes,
// sockets, set-id bits other than the sealed set-gid of a program, extended
// attributes that neither the seal allows nor the system sets by itself, and
// anything others may write are refused wherever they are. The files that vouch
// for the seal may lie in Tuf, and nothing else there. It believes nothing it
// read before.
//
// What was verified are the bytes that were read: whoever may write below dir
// may change them afterwards. The directories above dir are not looked at, nor
// is the group of a set-gid program.
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
	e, listed := v.unseen[path]
	if err := checkFile(path, info, e.Mode); err != nil {
		return err
	}
	if !listed {
		return v.visitUnlisted(path, info)
	}
	delete(v.unseen, path)
	if info.IsDir() != (e.Type == Dir) {
		return fmt.Errorf("%s: %s, the seal says %s", path, kindOf(info.Mode()), e.Type)
	}
	f, err := v.open(e)
	if err != nil {
		return err
	}
	defer f.Close()
	return e.Matches(f)
}

// visitUnlisted lets pass what belongs to a bundle though no seal can list it.
func (v *verifier) visitUnlisted(path string, info fs.FileInfo) error {
	e, known := unlisted[path]
	if !known {
		return fmt.Errorf("%s: not listed in the seal", path)
	}
	if info.IsDir() != (e.Type == Dir) {
		return fmt.Errorf("%s: %s, not a %s", path, kindOf(info.Mode()), e.Type)
	}
	f, err := v.open(e)
	if err != nil {
		return err
	}
	defer f.Close()
	if info, err = f.Stat(); err != nil {
		return err
	}
	if e.Type == File && info.Size() > e.Size {
		return fmt.Errorf("%s: %d bytes, at most %d are allowed", path, info.Size(), e.Size)
	}
	return checkOpened(e, f, info)
}

// open answers what is opened, whatever was at its path before.
func (v *verifier) open(e Entry) (*os.File, error) {
	if e.Type == Dir {
		return openDir(v.root, e.Path)
	}
	return openRegular(v.root, e.Path)
}

func checkOpened(e Entry, f *os.File, info fs.FileInfo) error {
	if err := checkFile(e.Path, info, e.Mode); err != nil {
		return err
	}
	if err := wantMode(e.Path, info, e.Mode); err != nil {
		return err
	}
	return wantXAttrs(e.Path, f, e.XAttrs)
}

func compare(e Entry, f *os.File, info fs.FileInfo) error {
	if info.Size() != e.Size {
		return fmt.Errorf("%s: %d bytes, the seal says %d", e.Path, info.Size(), e.Size)
	}
	got, err := digestOf(f, e.Size)
	if err != nil {
		return err
	}
	if got != e.SHA256 {
		return fmt.Errorf("%s: its SHA-256 is %s, the seal says %s", e.Path, got, e.SHA256)
	}
	return nil
}

// Matches reads the opened file f and answers nil if it is what Verify wants to
// find at the entry's path: kind, owner, mode, extended attributes, size and
// bytes. Only then may it be linked into another bundle.
func (e Entry) Matches(f *os.File) error {
	info, err := f.Stat()
	if err != nil {
		return err
	}
	if info.IsDir() != (e.Type == Dir) {
		return fmt.Errorf("%s: %s, the seal says %s", e.Path, kindOf(info.Mode()), e.Type)
	}
	if err := checkOpened(e, f, info); err != nil || e.Type == Dir {
		return err
	}
	return compare(e, f, info)
}

// LiesAt says whether what lies at path Matches.
func (e Entry) LiesAt(path string) bool {
	f, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NOFOLLOW|syscall.O_NONBLOCK, 0)
	if err != nil {
		return false
	}
	defer f.Close()
	return e.Matches(f) == nil
}

// checkFile is what no seal can allow, but for the one set-id bit.
func checkFile(path string, info fs.FileInfo, sealed string) error {
	mode := info.Mode()
	special := mode & (fs.ModeSetuid | fs.ModeSetgid | fs.ModeSticky)
	if sealed == setGID {
		special &^= fs.ModeSetgid
	}
	switch {
	case !mode.IsRegular() && !mode.IsDir():
		return fmt.Errorf("%s: %s in a bundle", path, kindOf(mode))
	case special != 0:
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
	bits := info.Mode().Perm()
	if info.Mode()&fs.ModeSetgid != 0 {
		bits |= 0o2000
	}
	if got := fmt.Sprintf("%04o", bits); got != want {
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
