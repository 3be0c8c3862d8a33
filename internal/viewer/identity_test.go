package viewer

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/x509"
	"encoding/base64"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// Rule: an identity is private, good for this machine's names, and the same in
// every life.
func TestIdentity(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "state", "netchild")
	cert, token, err := LoadOrCreateIdentity(dir)
	if err != nil {
		t.Fatal(err)
	}
	if b, err := base64.RawURLEncoding.DecodeString(token); err != nil || len(b) != 32 {
		t.Errorf("token of %d bytes: %v", len(b), err)
	}
	if _, ok := cert.PrivateKey.(*ecdsa.PrivateKey); !ok {
		t.Errorf("key %T", cert.PrivateKey)
	}
	roots := x509.NewCertPool()
	roots.AddCert(cert.Leaf)
	host, _ := os.Hostname()
	for _, name := range []string{"localhost", "127.0.0.1", "::1", host} {
		if _, err := cert.Leaf.Verify(x509.VerifyOptions{DNSName: name, Roots: roots}); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	modes(t, dir)
	again, same, err := LoadOrCreateIdentity(dir)
	if err != nil || same != token || !bytes.Equal(again.Certificate[0], cert.Certificate[0]) {
		t.Errorf("the second life has another identity: %v", err)
	}
}

func modes(t *testing.T, dir string) {
	t.Helper()
	for path, want := range map[string]os.FileMode{"": 0o700, certificateFile: 0o600, tokenFile: 0o600} {
		fi, err := os.Stat(filepath.Join(dir, path))
		if err != nil || fi.Mode().Perm() != want {
			t.Errorf("%q: %v, %v", path, fi.Mode(), err)
		}
	}
}

// Rule: a file that cannot be used is set aside and made anew; the other stays.
func TestIdentityIsMadeAnew(t *testing.T) {
	spoil := map[string]func(t *testing.T, path string){
		"empty":     func(t *testing.T, path string) { put(t, path, nil) },
		"garbage":   func(t *testing.T, path string) { put(t, path, []byte("\x00garbage")) },
		"truncated": func(t *testing.T, path string) { put(t, path, contents(t, path)[:20]) },
		"exposed": func(t *testing.T, path string) {
			if err := os.Chmod(path, 0o644); err != nil {
				t.Fatal(err)
			}
		},
		"a link": func(t *testing.T, path string) {
			if err := os.Rename(path, path+".away"); err != nil {
				t.Fatal(err)
			}
			if err := os.Symlink(path+".away", path); err != nil {
				t.Fatal(err)
			}
		},
	}
	for _, file := range []string{certificateFile, tokenFile} {
		for name, spoil := range spoil {
			t.Run(file+"/"+name, func(t *testing.T) {
				dir := t.TempDir()
				cert, token, err := LoadOrCreateIdentity(dir)
				if err != nil {
					t.Fatal(err)
				}
				spoil(t, filepath.Join(dir, file))
				after, afterToken, err := LoadOrCreateIdentity(dir)
				if err != nil {
					t.Fatal(err)
				}
				if _, err := os.Lstat(filepath.Join(dir, file+asideSuffix)); err != nil {
					t.Error(err)
				}
				kept := bytes.Equal(after.Certificate[0], cert.Certificate[0])
				if kept != (file == tokenFile) || (afterToken == token) != (file == certificateFile) {
					t.Errorf("certificate kept: %v, token kept: %v", kept, afterToken == token)
				}
				modes(t, dir)
			})
		}
	}
}

// Rule: an error names the matter and never the token.
func TestIdentityError(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	put(t, file, nil)
	_, _, err := LoadOrCreateIdentity(filepath.Join(file, "dir"))
	if err == nil || !strings.HasPrefix(err.Error(), "viewer identity: ") {
		t.Errorf("error %v", err)
	}
}

func put(t *testing.T, path string, data []byte) {
	t.Helper()
	if err := os.WriteFile(path, data, 0o600); err != nil {
		t.Fatal(err)
	}
}

func contents(t *testing.T, path string) []byte {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return data
}
