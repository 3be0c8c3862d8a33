package sign

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"

	"howett.net/plist"

	"portward/internal/durable"
)

// Bundle signs all programs of the bundle at dir and seals its files: those in
// Contents/MacOS that are not the main executable first, then CodeResources,
// and last the main executable, whose signature covers that and Info.plist.
// Nothing is written before all is signed; a run that is killed leaves each file
// old or new, and another run puts the whole right.
//
// The seal of internal/bundle lists the signed files, so it is made after this.
func Bundle(dir string, o Options) error {
	s := &signer{Options: o, dir: dir, signed: map[string]*program{}, rules: newRulebook(rulesV2())}
	if err := s.sign(); err != nil {
		return fmt.Errorf("sign %s: %w", dir, err)
	}
	return nil
}

type signer struct {
	Options
	dir        string
	root       *os.Root // Contents
	rules      *rulebook
	info       []byte // Info.plist
	identifier string // the bundle's
	main       string // path of the main executable, from Contents, as are those below
	plain      []string
	programs   []string            // without main
	signed     map[string]*program // likewise
}

const (
	programsDir = "MacOS"
	metaDir     = "_CodeSignature"
	metaFile    = metaDir + "/CodeResources"
	infoFile    = "Info.plist"
)

func (s *signer) sign() (err error) {
	if err := s.check(); err != nil {
		return err
	}
	if s.root, err = os.OpenRoot(filepath.Join(s.dir, "Contents")); err != nil {
		return err
	}
	defer s.root.Close()
	if err := s.look(); err != nil {
		return err
	}
	for _, path := range s.programs {
		if s.signed[path], err = s.signOne(path, s.identifier+"."+filepath.Base(path), nil, nil); err != nil {
			return err
		}
	}
	resources, err := s.resources()
	if err != nil {
		return err
	}
	main, err := s.signOne(s.main, s.identifier, s.info, resources)
	if err != nil {
		return err
	}
	return s.write(main, resources)
}

// look finds out what there is, and whether it can all be signed.
func (s *signer) look() error {
	entries, err := os.ReadDir(s.dir)
	if err != nil {
		return err
	}
	for _, e := range entries {
		if e.Name() != "Contents" {
			return fmt.Errorf("%s: beside Contents, where nothing can be sealed", e.Name())
		}
	}
	if err := s.readInfo(); err != nil {
		return err
	}
	if err := durable.Sweep(s.path(programsDir)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if err := fs.WalkDir(s.root.FS(), ".", s.visit); err != nil {
		return err
	}
	if i := slices.Index(s.programs, s.main); i >= 0 {
		s.programs = slices.Delete(s.programs, i, i+1)
	} else {
		return fmt.Errorf("%s: the main executable, says Info.plist, but it is not there", fromBundle(s.main))
	}
	return s.checkNames()
}

func (s *signer) readInfo() error {
	var err error
	if s.info, err = readRegular(s.path(infoFile), maxPlist); err != nil {
		return fmt.Errorf("not a bundle: %w", err)
	}
	var info struct {
		Executable string `plist:"CFBundleExecutable"`
		Identifier string `plist:"CFBundleIdentifier"`
	}
	if _, err := plist.Unmarshal(s.info, &info); err != nil {
		return fmt.Errorf("%s: %w", infoFile, err)
	}
	if !isIdentifier(info.Identifier) {
		return fmt.Errorf("%s: CFBundleIdentifier %q", infoFile, info.Identifier)
	}
	if !isIdentifier(info.Executable) {
		return fmt.Errorf("%s: CFBundleExecutable %q", infoFile, info.Executable)
	}
	s.identifier, s.main = info.Identifier, programsDir+"/"+info.Executable
	return nil
}

func (s *signer) visit(path string, d fs.DirEntry, err error) error {
	if err != nil {
		return err
	}
	if d.IsDir() {
		if isExcluded(path + "/") {
			return fs.SkipDir
		}
		return nil
	}
	if !d.Type().IsRegular() {
		return fmt.Errorf("%s: neither a file nor a directory", fromBundle(path))
	}
	if len(s.plain)+len(s.programs) >= maxFiles {
		return fmt.Errorf("more than %d files", maxFiles)
	}
	switch is := s.rules.of(path); {
	case isExcluded(path) || is == omitted:
	case is == nested && filepath.ToSlash(filepath.Dir(path)) == programsDir:
		s.programs = append(s.programs, path)
	case is == nested:
		return fmt.Errorf("%s: lies where only code may, and not in MacOS", fromBundle(path))
	default:
		s.plain = append(s.plain, path)
	}
	return nil
}

// checkNames refuses options for programs that are not there.
func (s *signer) checkNames() error {
	known := map[string]bool{}
	for _, path := range append(slices.Clone(s.programs), s.main) {
		known[fromBundle(path)], known[filepath.Base(path)] = true, true
	}
	for _, name := range slices.Concat(slices.Sorted(maps.Keys(s.Identifiers)), slices.Sorted(maps.Keys(s.Entitlements))) {
		if !known[name] {
			return fmt.Errorf("%s: no program of this bundle, yet there are options for it", name)
		}
	}
	return nil
}

func (s *signer) signOne(path, identifier string, info, resources []byte) (*program, error) {
	if id, ok := s.Identifiers[fromBundle(path)]; ok {
		identifier = id
	}
	stat, err := s.root.Lstat(path)
	if err != nil {
		return nil, err
	}
	data, err := readProgram(s.path(path))
	if err != nil {
		return nil, err
	}
	p, err := s.program(data, filepath.Base(path), identifier, info, resources)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", fromBundle(path), err)
	}
	p.mode = stat.Mode().Perm()
	return p, nil
}

// write puts everything in its place, the main executable last, and removes
// what an older signature has left.
func (s *signer) write(main *program, resources []byte) error {
	for _, path := range s.programs {
		if err := durable.Write(s.path(path), s.signed[path].data, s.signed[path].mode); err != nil {
			return err
		}
	}
	if err := durable.MkdirAll(s.path(metaDir), 0o755); err != nil {
		return err
	}
	if err := durable.Write(s.path(metaFile), resources, 0o644); err != nil {
		return err
	}
	if err := durable.Write(s.path(s.main), main.data, main.mode); err != nil {
		return err
	}
	return s.purge()
}

func (s *signer) purge() error {
	entries, err := os.ReadDir(s.path(metaDir))
	if err != nil {
		return err
	}
	for _, e := range entries {
		if path := metaDir + "/" + e.Name(); path != metaFile {
			if err := durable.RemoveAll(s.path(path)); err != nil {
				return err
			}
		}
	}
	return nil
}

func (s *signer) path(inside string) string {
	return filepath.Join(s.dir, "Contents", filepath.FromSlash(inside))
}

// fromBundle is a path as people know it.
func fromBundle(inside string) string { return "Contents/" + inside }
