package bundle

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"portward/internal/durable"
)

// Reseal makes the seal of the bundle at dir again, after its app was signed, or a
// notary's ticket was put into it. What an entry is for (its mode, identifier,
// minimum and extended attributes) it takes from the seal that is there, which
// believes nobody; what is new is a plain file. Where another seal was vouched
// for, where a program is gone, and where Verify would refuse what is there, it
// changes nothing but to sweep away what a killed one has left.
func Reseal(dir string, progress func(string)) (*Seal, error) {
	s, err := sealAgain(dir, progress)
	if err != nil {
		return nil, fmt.Errorf("reseal %s: %w", dir, err)
	}
	return s, nil
}

func sealAgain(dir string, progress func(string)) (*Seal, error) {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, err
	}
	defer root.Close()
	old, err := readSeal(root)
	if err != nil {
		return nil, err
	}
	if _, err := root.Lstat(tufDir + "/targets.json"); !errors.Is(err, fs.ErrNotExist) {
		return nil, errors.Join(errors.New("the seal that is there is vouched for already"), err)
	}
	if err := durable.Sweep(dir); err != nil {
		return nil, err
	}
	r := &resealer{verifier: verifier{root: root, unseen: map[string]Entry{}}, was: map[string]Entry{}, progress: progress, seal: &Seal{Version: old.Version}}
	for _, e := range old.Entries {
		r.was[e.Path] = e
	}
	if err := fs.WalkDir(root.FS(), ".", r.visit); err != nil {
		return nil, err
	}
	for _, e := range old.Entries {
		if _, gone := r.was[e.Path]; gone && e.Identifier != "" {
			return nil, fmt.Errorf("%s: a program of the seal that is gone", e.Path)
		}
	}
	return r.seal, r.write(dir)
}

type resealer struct {
	verifier
	was      map[string]Entry // of the old seal, and not seen yet
	progress func(string)
	seal     *Seal
}

func (r *resealer) visit(path string, d fs.DirEntry, err error) error {
	if err != nil {
		return err
	}
	info, err := d.Info()
	if err != nil {
		return err
	}
	if path == "." {
		return checkFile(path, info, "0755")
	}
	if path != App && !strings.HasPrefix(path, App+"/") {
		if err := checkFile(path, info, ""); err != nil {
			return err
		}
		return r.visitUnlisted(path, info)
	}
	return r.add(r.entry(path, info), info)
}

// entry answers what is known of the path before its bytes are read.
func (r *resealer) entry(path string, info fs.FileInfo) Entry {
	is := Entry{Path: path, Type: File, Mode: "0644"}
	if info.IsDir() {
		is.Type, is.Mode = Dir, "0755"
	}
	if was, known := r.was[path]; known && was.Type == is.Type {
		delete(r.was, path)
		is.Mode, is.Identifier, is.Minimum, is.XAttrs = was.Mode, was.Identifier, was.Minimum, was.XAttrs
	}
	return is
}

func (r *resealer) add(e Entry, info fs.FileInfo) error {
	if err := checkFile(e.Path, info, e.Mode); err != nil {
		return err
	}
	if e.Type == File && r.progress != nil {
		r.progress(e.Path)
	}
	f, err := r.open(e)
	if err != nil {
		return err
	}
	defer f.Close()
	if info, err = f.Stat(); err != nil {
		return err
	}
	if err := checkOpened(e, f, info); err != nil {
		return err
	}
	if e.Type == File {
		e.Size = info.Size()
		if e.SHA256, err = digestOf(f, e.Size); err != nil {
			return err
		}
	}
	r.seal.Entries = append(r.seal.Entries, e)
	return nil
}

// write replaces the seal, if it is one that ParseSeal reads, when all that it
// lists is on the disk.
func (r *resealer) write(dir string) error {
	slices.SortFunc(r.seal.Entries, comparePaths)
	data, err := r.seal.Bytes()
	if err != nil {
		return err
	}
	if _, err := ParseSeal(data); err != nil {
		return err
	}
	if err := durable.SyncTree(filepath.Join(dir, App)); err != nil {
		return err
	}
	return durable.Write(Layout(dir).Seal(), data, 0o644)
}
