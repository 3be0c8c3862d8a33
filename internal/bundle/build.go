package bundle

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"syscall"

	"howett.net/plist"

	"portward/internal/durable"
)

// Options are what a bundle is made of.
type Options struct {
	Programs map[string]string // executables, name -> path
	Plists   fs.FS             // LaunchDaemons/*.plist, LaunchAgents/*.plist
	Version  string
	Minimum  map[string]string // of programs: see Entry; a program without one bears any
	Progress func(string)      // told of each file before it is copied; may be nil
}

// Build is BuildWith for programs without a minimum.
func Build(dst string, programs map[string]string, plists fs.FS, version string, progress func(string)) (*Seal, error) {
	return BuildWith(dst, Options{Programs: programs, Plists: plists, Version: version, Progress: progress})
}

// BuildWith makes a bundle at dst, where nothing may be yet, and seals it. Each
// file is copied to a new inode of mode 0755 or 0644 and synced; the seal is
// written last, so that what a killed BuildWith leaves is no bundle. After an
// error nothing is left at dst.
func BuildWith(dst string, o Options) (*Seal, error) {
	if err := o.check(); err != nil {
		return nil, fmt.Errorf("bundle: %w", err)
	}
	if _, err := os.Lstat(dst); err == nil {
		return nil, fmt.Errorf("bundle %s: %w", dst, fs.ErrExist)
	}
	b := &builder{Options: o, layout: Layout(dst), seal: &Seal{Version: o.Version}}
	if err := b.build(); err != nil {
		return nil, errors.Join(fmt.Errorf("bundle %s: %w", dst, err), durable.RemoveAll(dst))
	}
	return b.seal, nil
}

func (o Options) check() error {
	for name := range o.Minimum {
		if _, ok := o.Programs[name]; !ok {
			return fmt.Errorf("a minimum for %q, which is no program of it", name)
		}
	}
	return checkVersion(o.Version)
}

type builder struct {
	Options
	layout Layout
	seal   *Seal
}

func (b *builder) build() error {
	if err := b.makeDir("."); err != nil {
		return err
	}
	for _, dir := range []string{App, contentsDir, programsDir, resourcesDir, libraryDir} {
		if err := b.makeDir(dir); err != nil {
			return err
		}
	}
	if err := b.addInfo(); err != nil {
		return err
	}
	for _, name := range slices.Sorted(maps.Keys(b.Programs)) {
		if err := b.addProgram(name, b.Programs[name]); err != nil {
			return err
		}
	}
	if err := fs.WalkDir(b.Plists, ".", func(name string, d fs.DirEntry, err error) error {
		return b.addPlist(name, d, err)
	}); err != nil {
		return err
	}
	return b.close()
}

func (b *builder) makeDir(inside string) error {
	if inside != "." {
		b.seal.Entries = append(b.seal.Entries, Entry{Path: inside, Type: Dir, Mode: "0755"})
	}
	return durable.MkdirAll(b.layout.join(inside), 0o755)
}

// addInfo writes what macOS wants to know of a bundle before it believes that
// it is one. Screen recording has no key with which to ask for it.
func (b *builder) addInfo() error {
	number := dottedNumber(b.seal.Version)
	data, err := plist.MarshalIndent(map[string]any{
		"CFBundleIdentifier":            Identifier,
		"CFBundleInfoDictionaryVersion": "6.0",
		"CFBundleExecutable":            Main,
		"CFBundleName":                  strings.TrimSuffix(App, ".app"),
		"CFBundlePackageType":           "APPL",
		"CFBundleShortVersionString":    number,
		"CFBundleVersion":               number,
		"LSMinimumSystemVersion":        minimumSystem,
		"LSUIElement":                   true,
	}, plist.XMLFormat, "\t")
	if err != nil {
		return err
	}
	return b.add(infoFile, strings.NewReader(string(data)), Entry{Mode: "0644"})
}

// minimumSystem is the oldest macOS that the programs run on.
const minimumSystem = "13.0"

func (b *builder) addProgram(name, source string) error {
	if name == "" || strings.ContainsFunc(name, func(c rune) bool { return !isAlphanumeric(c) && c != '-' }) {
		return fmt.Errorf("program name %q", name)
	}
	f, err := os.OpenFile(source, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return err
	}
	defer f.Close()
	if info, err := f.Stat(); err != nil {
		return err
	} else if !info.Mode().IsRegular() {
		return fmt.Errorf("program %s: %s is %s", name, source, kindOf(info.Mode()))
	}
	return b.add(programsDir+"/"+name, f, Entry{Mode: "0755", Identifier: IdentifierOf(name), Minimum: b.Minimum[name]})
}

func (b *builder) addPlist(name string, d fs.DirEntry, err error) error {
	if err != nil || name == "." {
		return err
	}
	if d.IsDir() && isPlistDir(name) {
		return b.makeDir(libraryDir + "/" + name)
	}
	if !d.Type().IsRegular() || !isPlistDir(path.Dir(name)) || path.Ext(name) != ".plist" {
		return fmt.Errorf("%s is not a property list of a daemon or an agent", name)
	}
	f, err := b.Plists.Open(name)
	if err != nil {
		return err
	}
	defer f.Close()
	return b.add(libraryDir+"/"+name, f, Entry{Mode: "0644"})
}

func isPlistDir(name string) bool { return name == "LaunchDaemons" || name == "LaunchAgents" }

// add copies r to inside and completes e by what was copied.
func (b *builder) add(inside string, r io.Reader, e Entry) error {
	if b.Progress != nil {
		b.Progress(inside)
	}
	h := &hashCounter{sum: sha256.New()}
	if err := durable.WriteFrom(b.layout.join(inside), io.TeeReader(r, h), e.FileMode()); err != nil {
		return err
	}
	e.Path, e.Type, e.Size, e.SHA256 = inside, File, h.size, hex.EncodeToString(h.sum.Sum(nil))
	b.seal.Entries = append(b.seal.Entries, e)
	return nil
}

// close writes the seal, if it is one that ParseSeal reads.
func (b *builder) close() error {
	slices.SortFunc(b.seal.Entries, comparePaths)
	data, err := b.seal.Bytes()
	if err != nil {
		return err
	}
	if _, err := ParseSeal(data); err != nil {
		return err
	}
	return durable.Write(b.layout.Seal(), data, 0o644)
}

// Finish makes a bundle of what lies at dir, where all that the seal lists is: it
// adds the seal and the files that vouch for it, and puts everything on the disk.
// Whether it is one is for Verify to say.
func Finish(dir string, s *Seal, root, targets []byte) error {
	l := Layout(dir)
	data, err := s.Bytes()
	if err == nil {
		err = errors.Join(durable.MkdirAll(l.Tuf(), 0o755), durable.Sweep(l.Tuf()), durable.Sweep(dir))
	}
	for path, data := range map[string][]byte{
		filepath.Join(l.Tuf(), "root.json"):    root,
		filepath.Join(l.Tuf(), "targets.json"): targets,
		l.Seal():                               data,
	} {
		if err == nil {
			err = durable.Write(path, data, 0o644)
		}
	}
	if err != nil {
		return err
	}
	return durable.SyncTree(dir)
}

type hashCounter struct {
	sum interface {
		io.Writer
		Sum([]byte) []byte
	}
	size int64
}

func (h *hashCounter) Write(p []byte) (int, error) {
	h.size += int64(len(p))
	return h.sum.Write(p)
}
