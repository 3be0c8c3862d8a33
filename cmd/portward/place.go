package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"portward/internal/bundle"
	"portward/internal/update/publish"
)

// checkBundle says why what a person calls a bundle is none, where that can be seen
// at once.
func checkBundle(path string) error {
	if _, err := os.Stat(path); errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("%s does not exist\nhint: BUNDLE is a directory that portward pack made, with %s and seal.json in it", path, bundle.App)
	}
	if err := checkPlace(path); err != nil {
		return err
	}
	info, err := os.Stat(path)
	if err != nil || !info.IsDir() {
		return nil
	}
	if err := checkSeal(path); !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return fmt.Errorf("%s is no bundle: there is no seal.json in it\nhint: BUNDLE is a directory that portward pack made, with %s and seal.json in it", path, bundle.App)
}

// checkPlace refuses the app in a bundle, and what is inside: a bundle may have the
// app's name, but then its seal lies in it.
func checkPlace(path string) error {
	if _, err := os.Lstat(bundle.Layout(path).Seal()); err == nil {
		return nil
	}
	abs, err := filepath.Abs(path)
	if err != nil {
		return err
	}
	i := strings.LastIndex(abs+"/", "/"+bundle.App+"/")
	if i < 0 {
		return nil
	}
	what := "inside the app"
	if filepath.Base(abs) == bundle.App {
		what = "the app"
	}
	return fmt.Errorf("%s is %s, not the bundle\nhint: BUNDLE is the directory that holds %s and seal.json: %s", path, what, bundle.App, abs[:max(i, 1)])
}

// checkForMacs refuses a bundle of which a program is for another system. Of what is
// no program at all who signs it speaks.
func checkForMacs(dir string) error {
	seal, err := bundle.ReadSeal(dir)
	if err != nil {
		return err
	}
	for inside := range identifiersIn(seal) {
		f, err := os.Open(filepath.Join(bundle.Layout(dir).App(), filepath.FromSlash(inside)))
		if err != nil {
			continue // as its seal does not say
		}
		platform := publish.PlatformOf(f)
		f.Close()
		if platform != "" && !strings.HasPrefix(platform, "darwin-") {
			return fmt.Errorf("%s is for %s, and programs are signed for Macs only\nhint: portward pack --target %s", dir, platform, universal)
		}
	}
	return nil
}

// checkSeal tells a seal that is none from one that cannot be read.
func checkSeal(dir string) error {
	_, err := bundle.ReadSeal(dir)
	if _, ok := errors.AsType[*fs.PathError](err); ok || err == nil {
		return err
	}
	return fmt.Errorf("%s: its seal.json is damaged, or of a format that this portward does not know: %w\nhint: get the bundle again from where it came, or make it again: portward pack --help", dir, errors.Unwrap(err))
}
