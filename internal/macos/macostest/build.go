//go:build standin && !darwin

package macostest

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
)

// build makes dir/libstandin.so of all C files of the stand-in.
func build(dir string) (string, error) {
	root, err := moduleRoot()
	if err != nil {
		return "", err
	}
	sources, err := filepath.Glob(filepath.Join(root, "internal/macos/testdata/standin/*.c"))
	if err != nil {
		return "", err
	}
	so := filepath.Join(dir, "libstandin.so")
	args := append([]string{"-std=gnu11", "-D_GNU_SOURCE", "-O2", "-g", "-Wall", "-Wextra", "-Werror",
		"-shared", "-fPIC", "-pthread", "-o", so}, sanitize()...)
	out, err := exec.Command("gcc", append(args, sources...)...).CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("building the stand-in: %w\n%s", err, out)
	}
	return so, nil
}

// moduleRoot is found from a package's own directory, where tests run.
func moduleRoot() (string, error) {
	dir, err := os.Getwd()
	for err == nil {
		if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil {
			return dir, nil
		}
		up := filepath.Dir(dir)
		if up == dir {
			return "", os.ErrNotExist
		}
		dir = up
	}
	return "", err
}
