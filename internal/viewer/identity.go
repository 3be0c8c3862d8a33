package viewer

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"time"

	"portward/internal/durable"
)

// The files of an identity.
const (
	certificateFile = "viewer.pem"   // certificate and key, so that they always fit
	tokenFile       = "viewer.token" // one line
	asideSuffix     = ".bad"         // what a file that cannot be used is renamed to
)

const (
	tokenBytes = 32
	// Apple's TLS refuses server certificates that are valid for longer
	// (support.apple.com/103769).
	validFor = 825 * 24 * time.Hour
	// A certificate with less than this left is made anew at the next start.
	renewBefore = 30 * 24 * time.Hour
)

// LoadOrCreateIdentity answers the certificate and the token kept in dir, which
// it makes 0700. What is missing is made; what cannot be used (corrupt, nearly
// expired, readable by others) is set aside under a name ending in ".bad" and
// made anew, so that whoever had the page open asks for the address again.
func LoadOrCreateIdentity(dir string) (tls.Certificate, string, error) {
	cert, token, err := identity(dir)
	if err != nil {
		return tls.Certificate{}, "", fmt.Errorf("viewer identity: %w", err)
	}
	return cert, token, nil
}

func identity(dir string) (cert tls.Certificate, token string, err error) {
	if err := private(dir); err != nil {
		return cert, "", err
	}
	pair, err := loadOrMake(filepath.Join(dir, certificateFile), checkCertificate, newCertificate)
	if err != nil {
		return cert, "", err
	}
	line, err := loadOrMake(filepath.Join(dir, tokenFile), checkToken, newToken)
	if err != nil {
		return cert, "", err
	}
	cert, err = tls.X509KeyPair(pair, pair)
	return cert, string(bytes.TrimSpace(line)), err
}

func private(dir string) error {
	if err := durable.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	fi, err := os.Stat(dir)
	if err != nil {
		return err
	}
	if fi.Mode().Perm() != 0o700 {
		return os.Chmod(dir, 0o700)
	}
	return nil
}

// loadOrMake answers the content of path, made anew if check refuses it.
func loadOrMake(path string, check func([]byte) error, make func() ([]byte, error)) ([]byte, error) {
	data, err := readPrivate(path)
	if err == nil && check(data) == nil {
		return data, nil
	}
	if err == nil || errors.Is(err, errExposed) {
		if err := durable.Rename(path, path+asideSuffix); err != nil {
			return nil, err
		}
	} else if !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	if data, err = make(); err != nil {
		return nil, err
	}
	return data, durable.Write(path, data, 0o600)
}

var errExposed = errors.New("others may have read or written it")

func readPrivate(path string) ([]byte, error) {
	fi, err := os.Lstat(path)
	if err != nil {
		return nil, err
	}
	if !fi.Mode().IsRegular() || fi.Mode().Perm()&0o077 != 0 {
		return nil, errExposed
	}
	return os.ReadFile(path)
}

func checkCertificate(pair []byte) error {
	cert, err := tls.X509KeyPair(pair, pair)
	if err != nil {
		return err
	}
	if now := time.Now(); now.Before(cert.Leaf.NotBefore) || now.Add(renewBefore).After(cert.Leaf.NotAfter) {
		return errors.New("not valid now")
	}
	return nil
}

func newCertificate() ([]byte, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 127))
	if err != nil {
		return nil, err
	}
	now := time.Now()
	template := &x509.Certificate{
		SerialNumber: serial,
		Subject:      pkix.Name{CommonName: "Portward viewer"},
		NotBefore:    now.Add(-time.Hour), // clocks differ a little
		NotAfter:     now.Add(validFor - time.Hour),
		KeyUsage:     x509.KeyUsageDigitalSignature,
		ExtKeyUsage:  []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
		DNSNames:     names(),
		IPAddresses:  []net.IP{net.IPv4(127, 0, 0, 1), net.IPv6loopback},

		BasicConstraintsValid: true,
	}
	cert, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		return nil, err
	}
	secret, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, err
	}
	return append(
		pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: cert}),
		pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: secret})...), nil
}

func names() []string {
	n := []string{"localhost"}
	if host, err := os.Hostname(); err == nil && host != "" && host != "localhost" {
		n = append(n, host)
	}
	return n
}

func checkToken(line []byte) error {
	b, err := base64.RawURLEncoding.DecodeString(string(bytes.TrimSpace(line)))
	if err == nil && len(b) != tokenBytes {
		err = fmt.Errorf("%d bytes", len(b))
	}
	return err
}

func newToken() ([]byte, error) {
	b := make([]byte, tokenBytes)
	if _, err := rand.Read(b); err != nil {
		return nil, err
	}
	return append(base64.RawURLEncoding.AppendEncode(nil, b), '\n'), nil
}
