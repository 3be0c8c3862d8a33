package sign

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/rsa"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/sassoftware/relic/v8/lib/fruit/csblob"
	pkcs12 "software.sslmate.com/src/go-pkcs12"

	"portward/internal/bundle/requirement"
)

const (
	maxP12   = 1 << 20
	maxChain = 8
)

// An Identity is who signs: a key and the certificates that vouch for it, or
// nobody. It is not changed after it was made.
type Identity struct {
	key   crypto.Signer
	chain []*x509.Certificate // leaf first, root last; none: ad hoc
}

// ErrPassphrase is in the error for an identity that a passphrase did not open.
var ErrPassphrase = errors.New("wrong passphrase")

// AdHoc is nobody: what it signs is known by its hash alone.
func AdHoc() *Identity { return &Identity{} }

func (id *Identity) isAdHoc() bool { return len(id.chain) == 0 }

// Team answers the identifier of the team, which Apple writes into the
// organizational unit; of nobody, the empty string.
func (id *Identity) Team() string {
	if id.isAdHoc() {
		return ""
	}
	return id.chain[0].Subject.OrganizationalUnit[0]
}

// Root answers the certificate that its chain ends with, as DER; of nobody, nil.
func (id *Identity) Root() []byte {
	if id.isAdHoc() {
		return nil
	}
	return id.chain[len(id.chain)-1].Raw
}

// LoadP12 reads a key and its certificates, all of them up to the root: macOS
// kills a program whose signature holds fewer. Apple's oldest root it knows by
// itself. Certificates that are not valid yet, or no longer, are refused when
// something is to be signed.
func LoadP12(path, passphrase string) (*Identity, error) {
	id, err := loadP12(path, passphrase)
	if err != nil {
		return nil, fmt.Errorf("identity %s: %w", path, err)
	}
	return id, nil
}

func loadP12(path, passphrase string) (*Identity, error) {
	data, err := readRegular(path, maxP12)
	if err != nil {
		return nil, err
	}
	key, first, others, err := pkcs12.DecodeChain(data, passphrase)
	switch {
	case errors.Is(err, pkcs12.ErrIncorrectPassword), errors.Is(err, pkcs12.ErrDecryption):
		return nil, ErrPassphrase
	case err != nil:
		return nil, fmt.Errorf("not a PKCS#12 file with one key and its certificates: %w", err)
	}
	signer, ok := key.(crypto.Signer)
	if !ok || !isUsable(signer.Public()) {
		return nil, fmt.Errorf("a key of type %T, neither RSA nor ECDSA", key)
	}
	return newIdentity(signer, append([]*x509.Certificate{first}, others...))
}

func isUsable(key crypto.PublicKey) bool {
	switch key.(type) {
	case *rsa.PublicKey, *ecdsa.PublicKey:
		return true
	}
	return false
}

func newIdentity(key crypto.Signer, certs []*x509.Certificate) (*Identity, error) {
	i := slices.IndexFunc(certs, func(c *x509.Certificate) bool {
		public, ok := c.PublicKey.(interface{ Equal(crypto.PublicKey) bool })
		return ok && public.Equal(key.Public())
	})
	if i < 0 {
		return nil, errors.New("no certificate is the key's")
	}
	leaf := certs[i]
	if !slices.Contains(leaf.ExtKeyUsage, x509.ExtKeyUsageCodeSigning) {
		return nil, fmt.Errorf("%q is not for signing code\nhint: take the certificate \"Developer ID Application\", not \"Installer\"", nameOfCert(leaf))
	}
	if ou := leaf.Subject.OrganizationalUnit; len(ou) != 1 || !isTeam(ou[0]) {
		return nil, fmt.Errorf("%q names no team: its organizational unit is %q\nhint: Apple's certificates have the team's identifier there, ABCDE12345", nameOfCert(leaf), ou)
	}
	chain, err := chainOf(leaf, certs)
	if err != nil {
		return nil, err
	}
	return &Identity{key, chain}, nil
}

// isTeam: what no requirement could hold is no team.
func isTeam(s string) bool { return isIdentifier(s) && len(s) <= 32 && !strings.ContainsAny(s, ".-") }

// chainOf answers the certificates from leaf to its root.
func chainOf(leaf *x509.Certificate, known []*x509.Certificate) ([]*x509.Certificate, error) {
	if block, _ := pem.Decode([]byte(csblob.RootCA)); block != nil {
		if root, err := x509.ParseCertificate(block.Bytes); err == nil {
			known = append(slices.Clone(known), root)
		}
	}
	chain := []*x509.Certificate{leaf}
	for last := leaf; !bytes.Equal(last.RawIssuer, last.RawSubject); last = chain[len(chain)-1] {
		i := slices.IndexFunc(known, func(c *x509.Certificate) bool {
			return bytes.Equal(c.RawSubject, last.RawIssuer) && last.CheckSignatureFrom(c) == nil
		})
		if i < 0 {
			return nil, fmt.Errorf("no certificate of %q, which issued %q\nhint: export the certificate together with those above it, up to the root", last.Issuer.CommonName, nameOfCert(last))
		}
		if chain = append(chain, known[i]); len(chain) > maxChain {
			return nil, errors.New("certificates that never reach a root")
		}
	}
	return chain, nil
}

func nameOfCert(c *x509.Certificate) string { return c.Subject.CommonName }

// check says whether signing may begin at that time, for that team if it is not
// empty.
func (id *Identity) check(team string, now time.Time) error {
	if id == nil {
		return errors.New("no identity")
	}
	if team != "" && id.Team() != team {
		return fmt.Errorf("the identity is of team %q, not %q", id.Team(), team)
	}
	for _, c := range id.chain {
		if now.After(c.NotAfter) {
			return fmt.Errorf("certificate %q expired on %s\nhint: renew it, and export it anew", nameOfCert(c), c.NotAfter.Format(time.DateOnly))
		}
		if now.Before(c.NotBefore) {
			return fmt.Errorf("certificate %q is not valid before %s", nameOfCert(c), c.NotBefore.Format(time.RFC3339))
		}
	}
	return nil
}

// requirement answers what code of that identifier is known by from now on. Below
// a root that is not Apple's it is that root; nobody's code is known by its hash, which needs no words.
func (id *Identity) requirement(identifier string) string {
	if id.isAdHoc() {
		return ""
	}
	root := id.Root()
	if slices.Contains(requirement.AppleRoots(), sha256.Sum256(root)) {
		return requirement.ForPeers(id.Team(), identifier)
	}
	return fmt.Sprintf("identifier %q and anchor = H\"%x\" and certificate leaf[subject.OU] = %q", identifier, sha1.Sum(root), id.Team())
}

// reserve is how many bytes a CMS blob may take, certificates and all.
func (id *Identity) reserve(stamped bool) int {
	if id.isAdHoc() {
		return 0
	}
	size := 4 << 10
	for _, c := range id.chain {
		size += len(c.Raw)
	}
	if stamped {
		size += maxToken
	}
	return size
}

// readRegular reads a file of at most limit bytes; it does not wait for a pipe.
func readRegular(path string, limit int64) ([]byte, error) {
	f, err := openRegular(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, limit+1))
	if err == nil && int64(len(data)) > limit {
		err = fmt.Errorf("%s: more than %d bytes", path, limit)
	}
	return data, err
}

func openRegular(path string) (*os.File, error) {
	f, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return nil, err
	}
	info, err := f.Stat()
	if err == nil && !info.Mode().IsRegular() {
		err = fmt.Errorf("%s: not a regular file", path)
	}
	if err != nil {
		f.Close()
		return nil, err
	}
	return f, nil
}
