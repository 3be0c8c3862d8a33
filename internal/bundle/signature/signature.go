// Package signature knows Apple's code signatures: it reads those of Mach-O files
// and of bundles, and says whether everything they promise is so. It must never
// know how one is written, or what the code is for: it is the second reading of
// Apple's rules, by somebody who did not write the first.
//
// It is stricter than a Mac where that costs honest signers nothing: a signature
// fills its part of the file, a directory covers all before it, both forms of
// entitlements say the same, and a bundle has no file that is not sealed, not even
// those that Apple's rules let pass. What a Mac alone can know is not asked:
// revocation, notarization, the list of the system's own code.
//
// What was verified are the bytes that were read; whoever may write to the files
// may change them afterwards.
package signature

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"portward/internal/bundle/requirement"
)

// Options say what is asked of a signature besides being whole.
type Options struct {
	// Anchors are the SHA-256 digests of the root certificates that are believed,
	// and that count as Apple's; nil: requirement.AppleRoots. The root itself comes
	// with the signature.
	Anchors [][32]byte

	// Requirement is what the code satisfies, or a bundle's main program, for every
	// processor; nil: nothing.
	Requirement *requirement.Requirement

	AllowAdHoc bool      // code that nobody signed will do
	Now        time.Time // when certificates are valid, without a timestamp; zero: now
}

func (o *Options) anchors() [][32]byte {
	if o.Anchors == nil {
		return requirement.AppleRoots()
	}
	return o.Anchors
}

func (o *Options) now() time.Time {
	if o.Now.IsZero() {
		return time.Now()
	}
	return o.Now
}

// A Report is what was verified.
type Report struct {
	Programs []Program // a bundle's main program first
	Files    int       // of a bundle, sealed and not programs; links too
}

// A Program is one file for one processor.
type Program struct {
	Path         string // inside the bundle, with slashes; of a single file as it was given
	CPU          string
	Identifier   string
	Team         string
	Flags        uint32
	CDHash       string   // hex
	Authority    []string // names of the certificates, leaf first; none: ad hoc
	Runtime      bool     // the hardened one
	AdHoc        bool
	Entitlements []string // keys, sorted
	Requirement  string   // the designated one
	SigningTime  time.Time
	Timestamp    time.Time // zero: no authority's

	// Unbound says of nested code that its bundle knows its signer only, not its
	// hash: another program of the signer's under that identifier would do as well.
	Unbound bool
}

// VerifyFile verifies a Mach-O that is not a bundle's main program. The error
// names the file, the processor and what is wrong.
func VerifyFile(path string, o Options) (*Report, error) {
	root, err := os.OpenRoot(filepath.Dir(path))
	if err != nil {
		return nil, err
	}
	defer root.Close()
	codes, err := verifyProgram(root, filepath.Base(path), nil, nil, &o)
	if err == nil {
		err = satisfy(codes, o.Requirement)
	}
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return (&Report{}).add(path, codes), nil
}

func (r *Report) add(path string, codes []*Code) *Report {
	for _, c := range codes {
		r.Programs = append(r.Programs, c.program(path))
	}
	return r
}

func verifyProgram(root *os.Root, name string, info, resources []byte, o *Options) ([]*Code, error) {
	f, size, err := openRegular(root, name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	codes, err := Read(f, size)
	if err != nil {
		return nil, err
	}
	for _, c := range codes {
		if err := c.check(info, resources, o); err != nil {
			return nil, fmt.Errorf("%s: %w", c.CPU(), err)
		}
		c.file = nil // closed
	}
	return codes, nil
}

func satisfy(codes []*Code, r *requirement.Requirement) error {
	if r == nil {
		return nil
	}
	for _, c := range codes {
		if err := r.Eval(c.Subject()); err != nil {
			return fmt.Errorf("%s: requirement: %w", c.CPU(), err)
		}
	}
	return nil
}

// openRegular never blocks, and refuses a link at the end of name (which an os.Root
// follows, O_NOFOLLOW or not) and what others could change or run as somebody else.
func openRegular(root *os.Root, name string) (*os.File, int64, error) {
	f, err := root.OpenFile(name, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return nil, 0, cause(err)
	}
	info, err := f.Stat()
	if err == nil {
		err = checkMode(info.Mode())
	}
	named, nameErr := root.Lstat(name)
	if err = errors.Join(err, nameErr); err == nil && !(info.Mode().IsRegular() && os.SameFile(info, named)) {
		err = errors.New("not a regular file")
	}
	if err != nil {
		f.Close()
		return nil, 0, err
	}
	return f, info.Size(), nil
}

// cause leaves out the path, which is named already.
func cause(err error) error {
	if e, ok := errors.AsType[*fs.PathError](err); ok {
		return e.Err
	}
	return err
}

func checkMode(mode fs.FileMode) error {
	switch {
	case mode&(fs.ModeSetuid|fs.ModeSetgid|fs.ModeSticky) != 0:
		return fmt.Errorf("set-id or sticky bit in %v", mode)
	case mode.Perm()&0o022 != 0:
		return fmt.Errorf("others may write: %v", mode)
	}
	return nil
}

// readFile answers all of a small file.
func readFile(root *os.Root, name string, limit int64) ([]byte, error) {
	f, size, err := openRegular(root, name)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	defer f.Close()
	if size > limit {
		return nil, fmt.Errorf("%s: %d bytes, at most %d are read", name, size, limit)
	}
	data, err := io.ReadAll(io.LimitReader(f, limit+1))
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, cause(err))
	}
	if int64(len(data)) > limit {
		return nil, fmt.Errorf("%s: grows while it is read", name)
	}
	return data, nil
}
