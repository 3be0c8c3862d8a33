package signature

import (
	"bytes"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"errors"
	"fmt"
	"math/big"
	"slices"
	"strings"
	"time"
)

// cdHashSize is how much of a directory's hash names the code.
const cdHashSize = 20

// appleMarkers begin the OIDs of extensions, often critical, by which Apple says
// what a certificate is for; requirements ask for them.
const appleMarkers = "1.2.840.113635.100.6."

// checkSigner says who signed: it verifies the CMS signature over the first
// directory, that it covers all of them, and the chain.
func (c *Code) checkSigner(o *Options) error {
	blob := c.blobs[slotCMS]
	if c.Flags()&FlagAdHoc != 0 {
		return c.checkAdHoc(blob, o)
	}
	if len(blob) <= 8 {
		return errors.New("neither signed nor ad hoc")
	}
	m, err := parseCMS(blob[8:])
	if err != nil {
		return fmt.Errorf("CMS signature: %w", err)
	}
	if m.content != nil {
		return errors.New("CMS signature: not detached")
	}
	if err := m.verify(oidData, c.directories[0].raw); err != nil {
		return fmt.Errorf("CMS signature: %w", err)
	}
	if err := c.checkHashes(m); err != nil {
		return fmt.Errorf("CMS signature: %w", err)
	}
	if err := c.checkTimes(m, o); err != nil {
		return err
	}
	if c.chain, err = m.chain(o.anchors(), c.validAt(o), x509.ExtKeyUsageCodeSigning); err != nil {
		return err
	}
	if team := c.Team(); team != "" && !slices.Contains(c.chain[0].Subject.OrganizationalUnit, team) {
		return fmt.Errorf("team %q, but its certificate is for %q", team, c.chain[0].Subject.OrganizationalUnit)
	}
	return nil
}

func (c *Code) checkAdHoc(blob []byte, o *Options) error {
	switch {
	case !o.AllowAdHoc:
		return errors.New("signed ad hoc: by nobody")
	case len(blob) > 8:
		return errors.New("ad hoc, but with a CMS signature")
	case c.Team() != "":
		return fmt.Errorf("ad hoc, but of team %q", c.Team())
	}
	return nil
}

func (c *Code) validAt(o *Options) time.Time {
	if !c.timestamp.IsZero() {
		return c.timestamp
	}
	return o.now()
}

type algorithmAndDigest struct {
	Algorithm asn1.ObjectIdentifier
	Digest    []byte
}

// checkHashes compares Apple's attributes, which list the hashes of all
// directories. Without them the signature is over the first directory only.
func (c *Code) checkHashes(m *message) error {
	list, listed := m.attributes[oidHashPlist]
	if listed {
		if err := c.checkHashPlist(list); err != nil {
			return fmt.Errorf("list of hashes: %w", err)
		}
	}
	set, isSet := m.attributes[oidHashSet]
	if isSet {
		if err := c.checkHashSet(set); err != nil {
			return fmt.Errorf("set of hashes: %w", err)
		}
	}
	if !listed && !isSet && len(c.directories) > 1 {
		return errors.New("only the first code directory is signed")
	}
	return nil
}

func (c *Code) checkHashPlist(der []byte) error {
	var text []byte
	if err := unmarshal(der, &text); err != nil {
		return err
	}
	list, err := parsePlist(text)
	if err != nil {
		return err
	}
	hashes, _ := list["cdhashes"].([]any)
	if len(hashes) != len(c.directories) {
		return fmt.Errorf("%d hashes for %d code directories", len(hashes), len(c.directories))
	}
	for i, d := range c.directories {
		if h, ok := hashes[i].([]byte); !ok || !bytes.Equal(h, d.hash()[:cdHashSize]) {
			return errors.New("of another code directory")
		}
	}
	return nil
}

func (c *Code) checkHashSet(der []byte) error {
	seen := map[string]bool{}
	for len(der) > 0 {
		var h algorithmAndDigest
		rest, err := asn1.Unmarshal(der, &h)
		if err != nil {
			return err
		}
		der = rest
		i := slices.IndexFunc(c.directories, func(d *directory) bool { return hashOID(d.hashType) == h.Algorithm.String() })
		if i < 0 || !bytes.Equal(c.directories[i].hash(), h.Digest) {
			return errors.New("of another code directory")
		}
		seen[h.Algorithm.String()] = true
	}
	if len(seen) != len(c.directories) {
		return fmt.Errorf("%d hashes for %d code directories", len(seen), len(c.directories))
	}
	return nil
}

func hashOID(hashType uint8) string {
	if hashType == hashSHA1 {
		return oidSHA1
	}
	return oidSHA256
}

// chain answers the certificates from the signer's, which is for that usage, to a
// root among anchors.
func (m *message) chain(anchors [][32]byte, at time.Time, usage x509.ExtKeyUsage) ([]*x509.Certificate, error) {
	roots, others := x509.NewCertPool(), x509.NewCertPool()
	anchored := false
	for _, cert := range m.certs {
		cert.UnhandledCriticalExtensions = slices.DeleteFunc(cert.UnhandledCriticalExtensions, func(id asn1.ObjectIdentifier) bool {
			return strings.HasPrefix(id.String(), appleMarkers)
		})
		if slices.Contains(anchors, sha256.Sum256(cert.Raw)) {
			roots.AddCert(cert)
			anchored = true
		} else {
			others.AddCert(cert)
		}
	}
	if !anchored {
		return nil, fmt.Errorf("certificate %q: none of the roots that are believed is in the signature", m.signer.Subject.CommonName)
	}
	if err := checkLeaf(m.signer, usage); err != nil {
		return nil, fmt.Errorf("certificate %q: %w", m.signer.Subject.CommonName, err)
	}
	chains, err := m.signer.Verify(x509.VerifyOptions{
		Roots: roots, Intermediates: others, CurrentTime: at, KeyUsages: []x509.ExtKeyUsage{usage},
	})
	if err != nil {
		return nil, fmt.Errorf("certificate %q: %w", m.signer.Subject.CommonName, err)
	}
	return chains[0], nil
}

// dotted OIDs of extensions that say what a certificate's key may do.
const (
	oidKeyUsage    = "2.5.29.15"
	oidExtKeyUsage = "2.5.29.37"
)

// checkLeaf wants a certificate to be for that usage in so many words: crypto/x509
// takes one that says nothing for one that may do everything. An authority's is
// for timestamps only, and critically so (RFC 3161, 2.3).
func checkLeaf(cert *x509.Certificate, usage x509.ExtKeyUsage) error {
	use, says := extension(cert, oidExtKeyUsage)
	_, limited := extension(cert, oidKeyUsage)
	stamps := usage == x509.ExtKeyUsageTimeStamping
	switch {
	case cert.IsCA:
		return errors.New("it is for issuing others")
	case limited && cert.KeyUsage&x509.KeyUsageDigitalSignature == 0:
		return errors.New("its key usage has no digital signatures")
	case !says || !slices.Contains(cert.ExtKeyUsage, usage):
		return errors.New("its extended key usage does not say that it is for this")
	case stamps && (!use.Critical || len(cert.ExtKeyUsage)+len(cert.UnknownExtKeyUsage) != 1):
		return errors.New("its extended key usage is not timestamps alone, and critical")
	}
	return nil
}

func extension(cert *x509.Certificate, oid string) (pkix.Extension, bool) {
	i := slices.IndexFunc(cert.Extensions, func(e pkix.Extension) bool { return e.Id.String() == oid })
	if i < 0 {
		return pkix.Extension{}, false
	}
	return cert.Extensions[i], true
}

// checkTimes takes the time of signing: what the signer says, for people, and
// what an authority says, which decides when the certificates had to be valid.
func (c *Code) checkTimes(m *message, o *Options) error {
	if der, ok := m.attributes[oidSigningTime]; ok {
		if err := unmarshal(der, &c.signingTime); err != nil {
			return fmt.Errorf("signing time: %w", err)
		}
	}
	der, ok := m.unsigned[oidTimestamp]
	if !ok {
		return nil
	}
	var err error
	if c.timestamp, err = checkTimestamp(der, m.signature, o); err != nil {
		return fmt.Errorf("timestamp: %w", err)
	}
	return nil
}

// tstInfo is RFC 3161's, as far as it is of use.
type tstInfo struct {
	version int
	policy  asn1.ObjectIdentifier
	imprint struct {
		Algorithm pkix.AlgorithmIdentifier
		Digest    []byte
	}
	serial *big.Int
	time   time.Time
}

func checkTimestamp(token, signature []byte, o *Options) (time.Time, error) {
	m, err := parseCMS(token)
	if err != nil {
		return time.Time{}, err
	}
	if err := m.verify(oidTSTInfo, m.content); err != nil {
		return time.Time{}, err
	}
	info, err := parseTST(m.content)
	if err != nil {
		return time.Time{}, err
	}
	if !info.isOf(signature) {
		return time.Time{}, errors.New("of another signature")
	}
	if _, err := m.chain(o.anchors(), info.time, x509.ExtKeyUsageTimeStamping); err != nil {
		return time.Time{}, err
	}
	return info.time, nil
}

// parseTST reads field by field: what comes after the time is of no use here.
func parseTST(der []byte) (tstInfo, error) {
	var seq asn1.RawValue
	var info tstInfo
	if err := unmarshal(der, &seq); err != nil {
		return info, err
	}
	rest := seq.Bytes
	for _, field := range []any{&info.version, &info.policy, &info.imprint, &info.serial, &info.time} {
		var err error
		if rest, err = asn1.Unmarshal(rest, field); err != nil {
			return info, err
		}
	}
	return info, nil
}

// isOf: Apple's signer has the authority stamp a SHA-1 digest, which will do for
// a time: that takes a second signature with the digest of the first.
func (t tstInfo) isOf(signature []byte) bool {
	h := digestOf(t.imprint.Algorithm.Algorithm)
	if h == 0 {
		return false
	}
	w := h.New()
	w.Write(signature)
	return bytes.Equal(w.Sum(nil), t.imprint.Digest)
}
