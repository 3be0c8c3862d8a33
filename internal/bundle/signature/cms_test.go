package signature

import (
	"bytes"
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"math/big"
	"strings"
	"testing"
	"time"

	"github.com/sassoftware/relic/v8/lib/pkcs7"
)

// endless writes DER as Apple's signer writes BER: no lengths of containers, and
// strings of bytes in two pieces.
func endless(t testing.TB, der []byte) []byte {
	t.Helper()
	var out []byte
	for len(der) > 0 {
		h, err := readHead(der)
		if err != nil {
			t.Fatal(err)
		}
		content := der[h.size : h.size+h.length]
		switch {
		case h.constructed:
			out = append(append(append(out, h.tag, 0x80), endless(t, content)...), 0, 0)
		case h.tag == 0x04 && h.length > 1 && h.length < 0x80:
			out = append(out, 0x24, 0x80, 0x04, 1, content[0], 0x04, byte(h.length-1))
			out = append(append(out, content[1:]...), 0, 0)
		default:
			out = append(out, der[:h.size+h.length]...)
		}
		der = der[h.size+h.length:]
	}
	return out
}

// Rule: BER is read as the DER that it could have been, and DER as itself.
func TestBER(t *testing.T) {
	w := signedWorld(t)
	der := w.chain.cms(t, []byte("content"))
	for name, data := range map[string][]byte{"DER": der, "BER": endless(t, der)} {
		got, rest, err := toDER(append(bytes.Clone(data), 1, 2))
		if err != nil || !bytes.Equal(got, der) || !bytes.Equal(rest, []byte{1, 2}) {
			t.Errorf("%s: %v, %d bytes of %d, %d left", name, err, len(got), len(der), len(rest))
		}
		m, err := parseCMS(data)
		if err != nil {
			t.Fatal(err)
		}
		if err := m.verify(oidData, []byte("content")); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if err := m.verify(oidData, []byte("contents")); err == nil {
			t.Errorf("%s: believed for something else", name)
		}
	}
	for name, data := range map[string][]byte{
		"nothing": {}, "no length": {0x30}, "no end": {0x30, 0x80}, "longer than it is": {0x30, 0x05, 0x00}, "long tag": {0x3f, 0x80, 0, 0},
		"huge": {0x30, 0x84, 0xff, 0xff, 0xff, 0xff}, "length of lengths": {0x30, 0x89, 1, 1, 1, 1, 1, 1, 1, 1, 1},
		"string without end": {0x04, 0x80, 0, 0}, "odd piece": {0x24, 0x80, 0x02, 1, 1, 0, 0},
		"deep": bytes.Repeat([]byte{0x30, 0x80}, 100000),
	} {
		if _, _, err := toDER(data); err == nil {
			t.Errorf("%s: read", name)
		}
	}
}

// Rule: every byte of a signature counts: none can be changed so that it still
// holds for another content, and no cut one is read.
func TestCMSBytes(t *testing.T) {
	w := signedWorld(t)
	der := w.chain.cms(t, []byte("content"))
	for n := range der {
		if m, err := parseCMS(der[:n]); err == nil {
			t.Fatalf("cut to %d bytes: %v", n, m)
		}
	}
	for n := range der {
		bad := bytes.Clone(der)
		bad[n] ^= 0x01
		m, err := parseCMS(bad)
		if err != nil {
			continue
		}
		if err := m.verify(oidData, []byte("other")); err == nil {
			t.Fatalf("byte %d: believed for another content", n)
		}
	}
}

// stamp puts a timestamp by tsa over a signature's CMS.
func stamp(t *testing.T, tsa *chainOfTrust, der, over []byte, at time.Time) []byte {
	t.Helper()
	psd, err := pkcs7.Unmarshal(der)
	if err != nil {
		t.Fatal(err)
	}
	if over == nil {
		over = psd.Content.SignerInfos[0].EncryptedDigest
	}
	sum := sha256.Sum256(over)
	type imprint struct {
		Algorithm pkix.AlgorithmIdentifier
		Digest    []byte
	}
	info := struct {
		Version int
		Policy  asn1.ObjectIdentifier
		Imprint imprint
		Serial  *big.Int
		Time    time.Time `asn1:"generalized"`
	}{1, asn1.ObjectIdentifier{1, 2, 3}, imprint{pkix.AlgorithmIdentifier{Algorithm: asn1.ObjectIdentifier{2, 16, 840, 1, 101, 3, 4, 2, 1}}, sum[:]}, big.NewInt(7), at.UTC().Truncate(time.Second)}
	content, err := asn1.Marshal(info)
	if err != nil {
		t.Fatal(err)
	}
	b := pkcs7.NewBuilder(tsa.key, tsa.certs, crypto.SHA256)
	if err := b.SetContent(asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 9, 16, 1, 4}, content); err != nil {
		t.Fatal(err)
	}
	if err := b.AddAuthenticatedAttribute(asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 9, 5}, at.UTC()); err != nil {
		t.Fatal(err)
	}
	token, err := b.Sign()
	if err != nil {
		t.Fatal(err)
	}
	if err := psd.Content.SignerInfos[0].UnauthenticatedAttributes.Add(asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 9, 16, 2, 14}, *token); err != nil {
		t.Fatal(err)
	}
	psd.Content.SignerInfos[0].RawContent = nil
	out, err := psd.Marshal()
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// Rule: a timestamp by an authority that is believed says when certificates had
// to be valid; any other is an error, not a missing one.
func TestTimestamps(t *testing.T) {
	w := signedWorld(t)
	tsa, stranger, coder := newChain(t, usedFor(true, toStamp)), newChain(t, usedFor(true, toStamp)), newChain(t, nil)
	plain := w.thinSigned(t, "")
	for name, c := range map[string]struct {
		tsa  *chainOfTrust
		over []byte
		at   time.Time
		want string
	}{
		"good":                   {tsa, nil, time.Now(), ""},
		"of another signature":   {tsa, []byte("x"), time.Now(), "of another signature"},
		"of a stranger":          {stranger, nil, time.Now(), "timestamp"},
		"of a signer of code":    {coder, nil, time.Now(), "timestamp"},
		"before the certificate": {tsa, nil, time.Now().Add(-48 * time.Hour), "timestamp"},
		"after the certificate":  {tsa, nil, time.Now().Add(48 * time.Hour), "timestamp"},
	} {
		file := w.chain.forge(t, plain, func(map[uint32][]byte) {})
		code, err := readCode(bytes.NewReader(file), slice{cpu: cpuARM, size: int64(len(file))})
		if err != nil {
			t.Fatal(err)
		}
		code.blobs[slotCMS] = blob(magicWrapper, stamp(t, c.tsa, code.blobs[slotCMS][8:], c.over, c.at))
		o := w.options()
		o.Anchors = append(o.Anchors, tsa.anchors()[0], coder.anchors()[0])
		o.Now = time.Now().Add(48 * time.Hour) // expired by then
		err = verifyBytes(t, resign(t, file, code.image, code.blobs), o)
		if (err == nil) != (c.want == "") || err != nil && !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %q", name, err, c.want)
		}
	}
}

// Rule: SHA-1 is good for timestamps, of RSA, and for nothing else.
func TestSHA1(t *testing.T) {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	digest := sha1.Sum([]byte("signed"))
	signature, err := rsa.SignPKCS1v15(nil, key, crypto.SHA1, digest[:])
	if err != nil {
		t.Fatal(err)
	}
	m := &message{contentType: oidTSTInfo, signer: cert, signed: []byte("signed"), signature: signature}
	if err := m.checkSHA1(); err != nil {
		t.Error(err)
	}
	m.contentType = oidData
	if err := m.checkSHA1(); err == nil {
		t.Error("good for code")
	}
	m.contentType, m.signed = oidTSTInfo, []byte("something else")
	if err := m.checkSHA1(); err == nil {
		t.Error("good for something else")
	}
	m.signer = newChain(t, nil).certs[0]
	if err := m.checkSHA1(); err == nil {
		t.Error("good for ECDSA")
	}
}

func FuzzCMS(f *testing.F) {
	chain := newChain(f, nil)
	der := chain.cms(f, []byte("content"))
	f.Add(der)
	f.Add(endless(f, der))
	f.Fuzz(func(t *testing.T, data []byte) {
		m, err := parseCMS(data)
		if err != nil {
			return
		}
		if err := m.verify(oidData, []byte("another content")); err == nil {
			t.Error("believed")
		}
		_, _ = m.chain(chain.anchors(), time.Now(), x509.ExtKeyUsageCodeSigning)
		_, _ = parseTST(m.content)
	})
}

func FuzzEntitlements(f *testing.F) {
	f.Add([]byte{0x70, 0x11, 2, 1, 1, 0xb0, 0x0c, 0x30, 0x0a, 0x0c, 1, 'a', 0x30, 5, 1, 1, 0xff, 4, 0})
	f.Fuzz(func(t *testing.T, data []byte) { _, _ = parseEntitlements(data) })
}

func FuzzRead(f *testing.F) {
	w := signedWorld(f)
	thin := w.thinSigned(f, entitlementsPlist)
	f.Add(thin)
	f.Add(read(f, w.dir+"/Contents/MacOS/netchild"))
	o := w.options()
	f.Fuzz(func(t *testing.T, data []byte) {
		codes, err := Read(bytes.NewReader(data), int64(len(data)))
		if err != nil {
			return
		}
		for _, c := range codes {
			_ = c.check(nil, nil, &o)
			_ = c.Subject()
			_ = c.program("x")
		}
	})
}
