package main

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"

	"portward/internal/bundle"
	"portward/internal/bundle/requirement"
	"portward/internal/bundle/sign"
	"portward/internal/bundle/signature"
	"portward/internal/durable"
)

// replace signs a copy of the bundle, and has it judged by the reader of signatures,
// who did not write them.
func (s *signing) replace(o sign.Options) (*bundle.Seal, error) {
	return s.trade(func(dir string, work *signing) (*bundle.Seal, error) {
		if _, err := bundle.Verify(dir); err != nil {
			return nil, err
		}
		return work.signCopy(dir, o)
	})
}

// sealAgain seals a copy of the bundle, as signed elsewhere, if it would pass for
// whoever believes that signer.
func (s *signing) sealAgain() (*bundle.Seal, error) {
	return s.trade(func(dir string, work *signing) (*bundle.Seal, error) {
		if err := copyBundle(dir, work.bundle); err != nil {
			return nil, err
		}
		seal, err := work.reseal()
		if err != nil {
			return nil, err
		}
		return seal, work.proveSealed()
	})
}

// trade has a copy of the bundle made, beside it, and lets the two trade places. So
// nobody ever sees a bundle that is signed in part: one that was killed leaves the
// old one or the new one, and something beside it that the next removes.
func (s *signing) trade(rework func(dir string, work *signing) (*bundle.Seal, error)) (*bundle.Seal, error) {
	dir, err := filepath.Abs(s.bundle)
	if err != nil {
		return nil, err
	}
	if info, err := os.Lstat(dir); err == nil && info.Mode()&fs.ModeSymlink != 0 {
		return nil, fmt.Errorf("%s: a symbolic link, not a bundle", s.bundle)
	}
	if _, err := bundle.ReadSeal(dir); err != nil {
		return nil, err
	}
	work := *s
	work.bundle = filepath.Join(filepath.Dir(dir), "."+filepath.Base(dir)+".signing")
	unlock, err := s.alone(work.bundle + ".lock")
	if err != nil {
		return nil, err
	}
	defer unlock()
	seal, err := s.tradeAlone(dir, &work, rework)
	if err != nil {
		return nil, &elsewhere{err, work.bundle, s.bundle}
	}
	return seal, nil
}

// alone keeps others from signing the bundle until unlock is called, or this process
// ends. A lock in the bundle would be listed in no seal, so it lies beside.
func (s *signing) alone(path string) (unlock func(), err error) {
	lock, err := durable.TryLock(path)
	switch {
	case errors.Is(err, durable.ErrLocked):
		return nil, fmt.Errorf("%s: another portward sign is at work on it: %w\nhint: wait for it", s.bundle, durable.ErrLocked)
	case err != nil:
		return nil, fmt.Errorf("%s: beside it there is no place for a copy: %w", s.bundle, causeOf(err))
	}
	return func() {
		os.Remove(path) // who waits for it notices
		lock.Close()
	}, nil
}

func (s *signing) tradeAlone(dir string, work *signing, rework func(string, *signing) (*bundle.Seal, error)) (*bundle.Seal, error) {
	if err := durable.RemoveAll(work.bundle); err != nil {
		return nil, err
	}
	if err := s.mayTrade(work.bundle); err != nil {
		return nil, err
	}
	seal, err := rework(dir, work)
	if err == nil {
		err = s.exchange(work.bundle, dir)
	}
	if err != nil {
		return nil, errors.Join(err, durable.RemoveAll(work.bundle))
	}
	_ = durable.RemoveAll(work.bundle) // it is signed; what is left the next one removes
	return seal, nil
}

// mayTrade finds out, before there is any work to lose, whether the file system can
// exchange two directories.
func (s *signing) mayTrade(work string) error {
	if err := os.Mkdir(work, 0o700); errors.Is(err, fs.ErrExist) {
		return fmt.Errorf("%s: somebody else makes files beside it at this moment: %w", s.bundle, causeOf(err))
	} else if err != nil {
		return err
	}
	a, b := filepath.Join(work, "a"), filepath.Join(work, "b")
	err := errors.Join(durable.MkdirAll(a, 0o700), durable.MkdirAll(b, 0o700))
	if err == nil {
		err = s.exchange(a, b)
	}
	return errors.Join(err, durable.RemoveAll(work))
}

// exchange is durable.Exchange. What it cannot exchange is a file system without
// that, a mount point, or, in a container, what its image brought.
func (s *signing) exchange(a, b string) error {
	swap := s.swap
	if swap == nil {
		swap = durable.Exchange
	}
	err := swap(a, b)
	if errors.Is(err, errors.ErrUnsupported) || errors.Is(err, syscall.EXDEV) || errors.Is(err, syscall.EBUSY) {
		return fmt.Errorf("%s: where it lies, two directories cannot trade places in one step, and so it cannot be replaced: %w\nhint: sign a copy of it, if need be on another file system", s.bundle, causeOf(err))
	}
	return err
}

// An elsewhere is an error about the copy, told as one about the bundle: the copy is
// gone when it is read.
type elsewhere struct {
	error
	copy, bundle string
}

func (e *elsewhere) Error() string { return strings.ReplaceAll(e.error.Error(), e.copy, e.bundle) }
func (e *elsewhere) Unwrap() error { return e.error }

// causeOf leaves out paths that mean nothing to people.
func causeOf(err error) error {
	if e, ok := errors.AsType[*os.LinkError](err); ok {
		return e.Err
	}
	if e, ok := errors.AsType[*fs.PathError](err); ok {
		return e.Err
	}
	return err
}

func (s *signing) signCopy(of string, o sign.Options) (*bundle.Seal, error) {
	if err := copyBundle(of, s.bundle); err != nil {
		return nil, err
	}
	if err := s.sign(o); err != nil {
		return nil, err
	}
	seal, err := s.reseal()
	if err != nil {
		return nil, err
	}
	if err := s.prove(o.Identity); err != nil {
		return nil, fmt.Errorf("what was signed does not hold: %w", err)
	}
	return seal, nil
}

// prove reads what was signed as whoever believes the signer's root. A timestamp
// may be below Apple's all the same.
func (s *signing) prove(id *sign.Identity) error {
	c := checking{Options: signature.Options{AllowAdHoc: id.Root() == nil}, team: id.Team()}
	if root := id.Root(); root != nil {
		c.Anchors = append(requirement.AppleRoots(), sha256.Sum256(root))
	}
	_, err := c.verify(s.bundle)
	return err
}

// proveSealed: a seal lends nobody a name who did not sign with it. Who signed does
// not matter here, if it was below roots that are believed, or nobody.
func (s *signing) proveSealed() error {
	c := checking{Options: signature.Options{AllowAdHoc: true, Anchors: s.anchors}}
	v, err := c.verify(s.bundle)
	switch {
	case err != nil:
		return fmt.Errorf("not sealed: %w", err)
	case !v.Signed:
		return fmt.Errorf("not sealed: %s is for %s, and --seal for an app that was signed for Macs", s.bundle, v.Platform)
	}
	return nil
}

// copyBundle links where it can: signing makes new files of those that it changes.
func copyBundle(from, to string) error {
	return filepath.WalkDir(from, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		inside, err := filepath.Rel(from, path)
		if err != nil {
			return err
		}
		if d.IsDir() {
			return durable.MkdirAll(filepath.Join(to, inside), 0o755)
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		return durable.Copy(path, filepath.Join(to, inside), info.Mode().Perm())
	})
}
