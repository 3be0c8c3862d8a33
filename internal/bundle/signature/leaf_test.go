package signature

import (
	"bytes"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"strings"
	"testing"
	"time"
)

// Key purposes, as certificates name them.
var (
	toSign  = asn1.ObjectIdentifier{1, 3, 6, 1, 5, 5, 7, 3, 3}
	toStamp = asn1.ObjectIdentifier{1, 3, 6, 1, 5, 5, 7, 3, 8}
	toAll   = asn1.ObjectIdentifier{2, 5, 29, 37, 0}
	toElse  = asn1.ObjectIdentifier{1, 2, 3, 4}
)

// usedFor gives a leaf an extended key usage of these purposes; of none, none.
func usedFor(critical bool, purposes ...asn1.ObjectIdentifier) func(*x509.Certificate) {
	return func(c *x509.Certificate) {
		c.ExtKeyUsage = nil
		if len(purposes) > 0 {
			value, _ := asn1.Marshal(purposes)
			c.ExtraExtensions = append(c.ExtraExtensions, pkix.Extension{Id: asn1.ObjectIdentifier{2, 5, 29, 37}, Critical: critical, Value: value})
		}
	}
}

func forNothingButAgreement(purpose asn1.ObjectIdentifier) func(*x509.Certificate) {
	return func(c *x509.Certificate) {
		usedFor(true, purpose)(c)
		c.KeyUsage = x509.KeyUsageKeyAgreement
	}
}

func authority(purpose asn1.ObjectIdentifier) func(*x509.Certificate) {
	return func(c *x509.Certificate) {
		usedFor(true, purpose)(c)
		c.IsCA, c.KeyUsage = true, x509.KeyUsageCertSign|x509.KeyUsageDigitalSignature
	}
}

// Rule: a certificate is for what it says in so many words that it is for; one
// that says nothing, or everything, is for nothing.
func TestWhatCertificatesAreFor(t *testing.T) {
	w := signedWorld(t)
	plain := w.thinSigned(t, "")
	for name, c := range map[string]struct {
		signer, stamper func(*x509.Certificate) // nil: as it should be
		want            string
	}{
		"as they should be":         {nil, nil, ""},
		"signer of no purpose":      {usedFor(true), nil, "extended key usage"},
		"signer of every purpose":   {usedFor(true, toAll), nil, "extended key usage"},
		"signer of another purpose": {usedFor(true, toStamp), nil, "extended key usage"},
		"signer of more purposes":   {usedFor(false, toElse, toSign), nil, ""},
		"signer of no signatures":   {forNothingButAgreement(toSign), nil, "no digital signatures"},
		"signer issues others":      {authority(toSign), nil, "issuing others"},
		"signer of any key usage":   {func(c *x509.Certificate) { c.KeyUsage = 0 }, nil, ""},
		"stamper of no purpose":     {nil, usedFor(true), "timestamp: certificate"},
		"stamper of every purpose":  {nil, usedFor(true, toAll), "timestamp: certificate"},
		"stamper of code":           {nil, usedFor(true, toSign), "timestamp: certificate"},
		"stamper of code, too":      {nil, usedFor(true, toStamp, toSign), "timestamps alone"},
		"stamper of more":           {nil, usedFor(true, toStamp, toElse), "timestamps alone"},
		"stamper that may be":       {nil, usedFor(false, toStamp), "critical"},
		"stamper of no signatures":  {nil, forNothingButAgreement(toStamp), "no digital signatures"},
		"stamper issues others":     {nil, authority(toStamp), "issuing others"},
	} {
		t.Run(name, func(t *testing.T) {
			signer, tsa := newChain(t, c.signer), newChain(t, usedFor(true, toStamp))
			if c.stamper != nil {
				tsa = newChain(t, c.stamper)
			}
			file := signer.forge(t, plain, designate(t, "always"))
			read, err := readCode(bytes.NewReader(file), slice{cpu: cpuARM, size: int64(len(file))})
			if err != nil {
				t.Fatal(err)
			}
			read.blobs[slotCMS] = blob(magicWrapper, stamp(t, tsa, read.blobs[slotCMS][8:], nil, time.Now()))
			o := Options{Anchors: append(signer.anchors(), tsa.anchors()...)}
			err = verifyBytes(t, resign(t, file, read.image, read.blobs), o)
			if (err == nil) != (c.want == "") || err != nil && !strings.Contains(err.Error(), c.want) {
				t.Errorf("%v, want %q", err, c.want)
			}
		})
	}
}
