package viewer

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"syscall"
)

// TokenPath is where LoadOrCreateIdentity(dir) keeps the token: one line.
func TokenPath(dir string) string { return filepath.Join(dir, tokenFile) }

// ReadToken answers the token kept in dir. Whoever owns dir may have put
// anything there: a link is not followed, what is no plain file is not waited
// for, and what is no token is not answered.
func ReadToken(dir string) (string, error) {
	path := TokenPath(dir)
	f, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NOFOLLOW|syscall.O_NONBLOCK, 0)
	if err != nil {
		return "", err
	}
	defer f.Close()
	if info, err := f.Stat(); err != nil || !info.Mode().IsRegular() {
		return "", fmt.Errorf("%s is no plain file", path)
	}
	line, err := io.ReadAll(io.LimitReader(f, 128))
	if err != nil {
		return "", err
	}
	if err := checkToken(line); err != nil {
		return "", fmt.Errorf("%s: %w", path, err)
	}
	return strings.TrimSpace(string(line)), nil
}

// IdentityFiles are the files of LoadOrCreateIdentity(dir).
func IdentityFiles(dir string) []string {
	return []string{filepath.Join(dir, certificateFile), TokenPath(dir)}
}
