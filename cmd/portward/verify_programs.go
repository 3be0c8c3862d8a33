package main

import (
	"debug/macho"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"portward/internal/bundle"
	"portward/internal/update/publish"
)

// lookAtPrograms finds out what the bundle's programs are for, and whether Apple's
// signature is to be looked at. It asks the files, not the seal, which anybody can
// make again: every executable has to be a program that the seal calls one, and one
// file that a Mac would run makes the bundle a Mac's.
func (v *verified) lookAtPrograms(dir string, seal *bundle.Seal) (mac bool, err error) {
	if err := checkNames(seal); err != nil {
		return false, err
	}
	for _, e := range seal.Entries {
		inside, ok := strings.CutPrefix(e.Path, bundle.App+"/")
		mac = mac || strings.HasPrefix(inside, "Contents/_CodeSignature/")
		if !ok || e.Type != bundle.File {
			continue
		}
		machO, err := v.lookAt(filepath.Join(dir, filepath.FromSlash(e.Path)), e)
		if err != nil {
			return false, fmt.Errorf("%s: %w", inside, err)
		}
		mac = mac || machO
	}
	if isMac := strings.HasPrefix(v.Platform, "darwin-"); mac && !isMac {
		return false, fmt.Errorf("in part for a Mac, and its programs are built for %s", v.Platform)
	}
	return mac, nil
}

// checkNames wants the product's programs, each under its own identifier: without
// one, nobody is asked for its signature. A seed has no netchild yet.
func checkNames(seal *bundle.Seal) error {
	ids := identifiersIn(seal)
	for _, name := range programs {
		id, want := ids["Contents/MacOS/"+name], bundle.IdentifierOf(name)
		if id != want && (name != "netchild" || seal.Has(name)) {
			return fmt.Errorf("the seal says %q of %s, not %q", id, name, want)
		}
	}
	return nil
}

func (v *verified) lookAt(path string, e bundle.Entry) (machO bool, err error) {
	f, err := os.Open(path)
	if err != nil {
		return false, err
	}
	defer f.Close()
	if machO, err = beginsAsMachO(f); err != nil || e.Mode == "0644" {
		return machO, err
	}
	got := publish.PlatformOf(f)
	switch {
	case e.Identifier == "":
		return machO, errors.New("executable, and the seal has no identifier for it")
	case got == "":
		return machO, errors.New("not a program for any platform that is known")
	case v.Platform != "" && got != v.Platform:
		return machO, fmt.Errorf("built for %s, others for %s", got, v.Platform)
	}
	v.Platform = got
	return machO, nil
}

// beginsAsMachO knows all of them: of 32 bits and 64, thin and fat, in either order
// of bytes.
func beginsAsMachO(f io.ReaderAt) (bool, error) {
	var head [4]byte
	if n, err := f.ReadAt(head[:], 0); n < len(head) {
		if errors.Is(err, io.EOF) {
			err = nil
		}
		return false, err
	}
	const fat64 = 0xcafebabf
	known := []uint32{macho.Magic32, macho.Magic64, macho.MagicFat, fat64}
	return slices.Contains(known, binary.BigEndian.Uint32(head[:])) || slices.Contains(known, binary.LittleEndian.Uint32(head[:])), nil
}
