package sign

import (
	"bytes"
	"crypto"
	"crypto/x509"
	"encoding/asn1"
	"io"
	"math/big"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"testing"
	"time"

	"github.com/sassoftware/relic/v8/lib/fruit/machos"
	"github.com/sassoftware/relic/v8/lib/pkcs7"
	"github.com/sassoftware/relic/v8/lib/pkcs9"
)

// authorityAt answers timestamps as RFC 3161 wants them, after spoil has
// changed what it says.
func authorityAt(t *testing.T, at time.Time, spoil func(*pkcs9.TSTInfo)) *httptest.Server {
	p := theWorld()
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		var query pkcs9.TimeStampReq
		if _, err := asn1.Unmarshal(body, &query); err != nil {
			t.Error(err)
			return
		}
		info := &pkcs9.TSTInfo{
			Version: 1, Policy: asn1.ObjectIdentifier{1, 2, 3}, MessageImprint: query.MessageImprint, SerialNumber: big.NewInt(1), Nonce: query.Nonce,
			GenTime: asn1.RawValue{Tag: asn1.TagGeneralizedTime, Bytes: []byte(at.UTC().Format("20060102150405Z"))},
		}
		spoil(info)
		w.Write(answer(t, p, info))
	}))
	t.Cleanup(s.Close)
	return s
}

func answer(t *testing.T, p *pki, info *pkcs9.TSTInfo) []byte {
	// Only what is in TSTInfo's fields; the library's type cannot omit its TSA.
	body, err := asn1.Marshal(struct {
		Version        int
		Policy         asn1.ObjectIdentifier
		MessageImprint pkcs9.MessageImprint
		SerialNumber   *big.Int
		GenTime        asn1.RawValue
		Nonce          *big.Int
	}{info.Version, info.Policy, info.MessageImprint, info.SerialNumber, info.GenTime, info.Nonce})
	if err != nil {
		t.Error(err)
	}
	b := pkcs7.NewBuilder(p.stamperKey, []*x509.Certificate{p.stamper, p.root}, crypto.SHA256)
	if err := b.SetContent(pkcs9.OidTSTInfo, body); err != nil {
		t.Error(err)
	}
	if err := b.AddAuthenticatedAttribute(pkcs7.OidAttributeSigningTime, p.notBefore.UTC()); err != nil {
		t.Error(err)
	}
	token, err := b.Sign()
	if err != nil {
		t.Error(err)
		return nil
	}
	out, err := asn1.Marshal(pkcs9.TimeStampResp{TimeStampToken: *token})
	if err != nil {
		t.Error(err)
	}
	return out
}

// Rule: a timestamp that is about something else, or that answers another
// question, is refused, and nothing is signed.
func TestForeignTimestamp(t *testing.T) {
	p := theWorld()
	path := put(t, filepath.Join(t.TempDir(), "p"), sketch{cpu: cpuArm}.bytes(), 0o755)
	before := read(t, path)
	for name, spoil := range map[string]func(*pkcs9.TSTInfo){
		"imprint": func(i *pkcs9.TSTInfo) { i.MessageImprint.HashedMessage[0] ^= 1 },
		"nonce":   func(i *pkcs9.TSTInfo) { i.Nonce = big.NewInt(7) },
	} {
		s := authorityAt(t, time.Now(), spoil)
		wantError(t, File(path, "a.b", Options{Identity: p.identity(t), Timestamp: s.URL}), "timestamp of "+s.URL, name)
	}
	for want, h := range map[string]http.HandlerFunc{
		"500":         func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(500) },
		"more than":   func(w http.ResponseWriter, _ *http.Request) { w.Write(make([]byte, maxToken+1)) },
		"unmarshalli": func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "<html>") },
	} {
		s := httptest.NewServer(h)
		defer s.Close()
		wantError(t, File(path, "a.b", Options{Identity: p.identity(t), Timestamp: s.URL}), "timestamp", want)
	}
	if !bytes.Equal(before, read(t, path)) {
		t.Fatal("the file was changed")
	}
}

// Rule: a timestamp is in the signature, over the signature, with its own
// chain.
func TestTimestamp(t *testing.T) {
	p := theWorld()
	at := p.notBefore.Add(time.Minute)
	s := authorityAt(t, at, func(*pkcs9.TSTInfo) {})
	path := put(t, filepath.Join(t.TempDir(), "p"), sketch{cpu: cpuArm}.bytes(), 0o755)
	if err := File(path, "a.b", Options{Identity: p.identity(t), Timestamp: s.URL}); err != nil {
		t.Fatal(err)
	}
	v, err := machos.Verify(bytes.NewReader(read(t, path)), nil, nil, false)
	if err != nil {
		t.Fatal(err)
	}
	if c := v.Signature.CounterSignature; c == nil || c.SigningTime.Unix() != at.Unix() {
		t.Fatalf("%+v", c)
	}
	if err := v.Signature.VerifyChain(p.pool(), nil, x509.ExtKeyUsageCodeSigning); err != nil {
		t.Fatal(err)
	}
}
