package main

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"

	"portward/internal/bundle"
	"portward/internal/bundle/requirement"
	"portward/internal/bundle/sign"
	"portward/internal/bundle/signature"
	"portward/internal/durable"
)

// replace signs a copy of the bundle, beside it, has it judged by the reader of
// signatures, who did not write them, and lets the two trade places. So nobody ever
// sees a bundle that is signed in part: one that was killed leaves the old one or
// the new one, and something beside it that the next removes.
func (s *signing) replace(o sign.Options) (*bundle.Seal, error) {
	dir, err := filepath.Abs(s.bundle)
	if err != nil {
		return nil, err
	}
	if _, err := bundle.ReadSeal(dir); err != nil {
		return nil, err
	}
	if err := durable.Sweep(dir); err != nil { // of a killed --seal
		return nil, err
	}
	if _, err := bundle.Verify(dir); err != nil {
		return nil, err
	}
	work := *s
	work.bundle = filepath.Join(filepath.Dir(dir), "."+filepath.Base(dir)+".signing")
	if err := durable.RemoveAll(work.bundle); err != nil {
		return nil, err
	}
	seal, err := work.signCopy(dir, o)
	if err == nil {
		err = durable.Exchange(work.bundle, dir)
	}
	return seal, errors.Join(err, durable.RemoveAll(work.bundle))
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
