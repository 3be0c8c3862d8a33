package signature

import (
	"bytes"
	"crypto"
	"crypto/rsa"
	"crypto/sha1"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"errors"
	"fmt"
	"math/big"
	"slices"
)

// dotted OIDs of what is read.
const (
	oidData          = "1.2.840.113549.1.7.1"
	oidSignedData    = "1.2.840.113549.1.7.2"
	oidContentType   = "1.2.840.113549.1.9.3"
	oidMessageDigest = "1.2.840.113549.1.9.4"
	oidSigningTime   = "1.2.840.113549.1.9.5"
	oidTimestamp     = "1.2.840.113549.1.9.16.2.14"
	oidTSTInfo       = "1.2.840.113549.1.9.16.1.4"
	oidHashPlist     = "1.2.840.113635.100.9.1"
	oidHashSet       = "1.2.840.113635.100.9.2"
	oidSHA1          = "1.3.14.3.2.26"
	oidSHA256        = "2.16.840.1.101.3.4.2.1"
	oidSHA384        = "2.16.840.1.101.3.4.2.2"
	oidSHA512        = "2.16.840.1.101.3.4.2.3"
	oidPSS           = "1.2.840.113549.1.1.10"
)

const maxCertificates = 32

// A message is signed data with one signer, as CMS (RFC 5652) has it.
type message struct {
	contentType string
	content     []byte // nil: detached
	certs       []*x509.Certificate
	signer      *x509.Certificate
	digest      crypto.Hash
	signature   []byte
	attributes  attributes // signed
	signed      []byte     // their encoding
	unsigned    attributes
}

type (
	contentInfo struct {
		Type    asn1.ObjectIdentifier
		Content asn1.RawValue `asn1:"explicit,tag:0"`
	}
	signedData struct {
		Version      int
		Digests      asn1.RawValue
		Content      encapsulated
		Certificates asn1.RawValue `asn1:"optional,tag:0"`
		CRLs         asn1.RawValue `asn1:"optional,tag:1"`
		Signers      []signerInfo  `asn1:"set"`
	}
	encapsulated struct {
		Type    asn1.ObjectIdentifier
		Content asn1.RawValue `asn1:"explicit,optional,tag:0"`
	}
	signerInfo struct {
		Version   int
		ID        asn1.RawValue
		Digest    pkix.AlgorithmIdentifier
		Signed    asn1.RawValue `asn1:"optional,tag:0"`
		Algorithm pkix.AlgorithmIdentifier
		Signature []byte
		Unsigned  asn1.RawValue `asn1:"optional,tag:1"`
	}
	issuerAndSerial struct {
		Issuer asn1.RawValue
		Serial *big.Int
	}
	attribute struct {
		Type   asn1.ObjectIdentifier
		Values asn1.RawValue
	}
)

// attributes have one set of values each, DER, under their OID.
type attributes map[string][]byte

func parseCMS(ber []byte) (*message, error) {
	der, rest, err := toDER(ber)
	if err != nil {
		return nil, err
	}
	if !isZero(rest) {
		return nil, fmt.Errorf("%d bytes after its end", len(rest))
	}
	var info contentInfo
	if err := unmarshal(der, &info); err != nil {
		return nil, err
	}
	if info.Type.String() != oidSignedData {
		return nil, fmt.Errorf("content of type %s, not signed data", info.Type)
	}
	var data signedData
	if err := unmarshal(info.Content.Bytes, &data); err != nil {
		return nil, err
	}
	if len(data.Signers) != 1 {
		return nil, fmt.Errorf("%d signers, not one", len(data.Signers))
	}
	m := &message{contentType: data.Content.Type.String()}
	if err := m.setContent(data.Content.Content); err != nil {
		return nil, err
	}
	if m.certs, err = certificates(data.Certificates.Bytes); err != nil {
		return nil, err
	}
	return m, m.setSigner(data.Signers[0])
}

// unmarshal reads one value and nothing after it.
func unmarshal(der []byte, into any) error {
	rest, err := asn1.Unmarshal(der, into)
	if err == nil && len(rest) != 0 {
		err = fmt.Errorf("%d bytes after a value", len(rest))
	}
	return err
}

func (m *message) setContent(raw asn1.RawValue) error {
	if len(raw.FullBytes) == 0 {
		return nil
	}
	return unmarshal(raw.Bytes, &m.content)
}

func certificates(der []byte) ([]*x509.Certificate, error) {
	var all []*x509.Certificate
	for len(der) > 0 {
		var raw asn1.RawValue
		rest, err := asn1.Unmarshal(der, &raw)
		if err != nil {
			return nil, err
		}
		der = rest
		cert, err := x509.ParseCertificate(raw.FullBytes)
		if err != nil {
			return nil, fmt.Errorf("certificate %d: %w", len(all), err)
		}
		if all = append(all, cert); len(all) > maxCertificates {
			return nil, fmt.Errorf("more than %d certificates", maxCertificates)
		}
	}
	return all, nil
}

func (m *message) setSigner(s signerInfo) error {
	var err error
	if m.digest = digestOf(s.Digest.Algorithm); m.digest == 0 {
		return fmt.Errorf("digest algorithm %s", s.Digest.Algorithm)
	}
	if s.Algorithm.Algorithm.String() == oidPSS {
		return errors.New("an RSA-PSS signature")
	}
	if m.signer = find(m.certs, s.ID); m.signer == nil {
		return errors.New("the signer's certificate is not in it")
	}
	if len(s.Signed.FullBytes) == 0 {
		return errors.New("no signed attributes")
	}
	if m.attributes, err = parseAttributes(s.Signed.Bytes); err != nil {
		return fmt.Errorf("signed attributes: %w", err)
	}
	if m.unsigned, err = parseAttributes(s.Unsigned.Bytes); err != nil {
		return fmt.Errorf("unsigned attributes: %w", err)
	}
	m.signature = s.Signature
	m.signed = append(derHead(0x31, len(s.Signed.Bytes)), s.Signed.Bytes...)
	return nil
}

func digestOf(id asn1.ObjectIdentifier) crypto.Hash {
	switch id.String() {
	case oidSHA256:
		return crypto.SHA256
	case oidSHA384:
		return crypto.SHA384
	case oidSHA512:
		return crypto.SHA512
	case oidSHA1:
		return crypto.SHA1
	}
	return 0
}

// find answers the certificate with that issuer and serial number, or with that
// key identifier.
func find(certs []*x509.Certificate, id asn1.RawValue) *x509.Certificate {
	i := -1
	var by issuerAndSerial
	if id.Class == asn1.ClassContextSpecific && id.Tag == 0 {
		i = slices.IndexFunc(certs, func(c *x509.Certificate) bool { return bytes.Equal(c.SubjectKeyId, id.Bytes) })
	} else if unmarshal(id.FullBytes, &by) == nil {
		i = slices.IndexFunc(certs, func(c *x509.Certificate) bool {
			return bytes.Equal(c.RawIssuer, by.Issuer.FullBytes) && c.SerialNumber.Cmp(by.Serial) == 0
		})
	}
	if i < 0 {
		return nil
	}
	return certs[i]
}

func parseAttributes(der []byte) (attributes, error) {
	all := attributes{}
	for len(der) > 0 {
		var a attribute
		rest, err := asn1.Unmarshal(der, &a)
		if err != nil {
			return nil, err
		}
		der = rest
		if a.Values.Class != asn1.ClassUniversal || a.Values.Tag != asn1.TagSet {
			return nil, fmt.Errorf("%s: not a set", a.Type)
		}
		if _, twice := all[a.Type.String()]; twice {
			return nil, fmt.Errorf("%s: there twice", a.Type)
		}
		all[a.Type.String()] = a.Values.Bytes
	}
	return all, nil
}

// verify: the signature is over the attributes, and these are over content. Whose
// certificate it was is not asked.
func (m *message) verify(contentType string, content []byte) error {
	var kind asn1.ObjectIdentifier
	if err := unmarshal(m.attributes[oidContentType], &kind); err != nil {
		return fmt.Errorf("content type: %w", err)
	}
	if kind.String() != contentType || m.contentType != contentType {
		return fmt.Errorf("content of type %s", kind)
	}
	var digest []byte
	if err := unmarshal(m.attributes[oidMessageDigest], &digest); err != nil {
		return fmt.Errorf("message digest: %w", err)
	}
	h := m.digest.New()
	h.Write(content)
	if !bytes.Equal(digest, h.Sum(nil)) {
		return errors.New("it signs something else")
	}
	if m.digest == crypto.SHA1 {
		return m.checkSHA1()
	}
	return m.signer.CheckSignature(m.algorithm(), m.signed, m.signature)
}

// checkSHA1: Apple's authority signs its timestamps so, which crypto/x509 refuses
// to look at. Nothing else may.
func (m *message) checkSHA1() error {
	key, isRSA := m.signer.PublicKey.(*rsa.PublicKey)
	if m.contentType != oidTSTInfo || !isRSA {
		return errors.New("a signature with SHA-1")
	}
	digest := sha1.Sum(m.signed)
	return rsa.VerifyPKCS1v15(key, crypto.SHA1, digest[:], m.signature)
}

func (m *message) algorithm() x509.SignatureAlgorithm {
	isRSA := m.signer.PublicKeyAlgorithm == x509.RSA
	switch {
	case m.digest == crypto.SHA256 && isRSA:
		return x509.SHA256WithRSA
	case m.digest == crypto.SHA384 && isRSA:
		return x509.SHA384WithRSA
	case m.digest == crypto.SHA512 && isRSA:
		return x509.SHA512WithRSA
	case m.digest == crypto.SHA256:
		return x509.ECDSAWithSHA256
	case m.digest == crypto.SHA384:
		return x509.ECDSAWithSHA384
	}
	return x509.ECDSAWithSHA512
}
