package sign

import (
	"bytes"
	"context"
	"crypto"
	"crypto/sha256"
	"encoding/asn1"
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"

	"github.com/sassoftware/relic/v8/lib/fruit/csblob"
	"github.com/sassoftware/relic/v8/lib/pkcs7"
	"github.com/sassoftware/relic/v8/lib/pkcs9"
	"howett.net/plist"
)

// Bounds of what a timestamp authority answers, and of its patience.
const (
	maxToken    = 16 << 10
	stampWithin = 30 * time.Second
)

// cms answers the signature over a code directory: detached, with Apple's two
// attributes, which repeat the directory's hash for readers that do not hash,
// and with every certificate up to the root.
func (id *Identity) cms(directory []byte, stamp string, now time.Time) ([]byte, error) {
	b := pkcs7.NewBuilder(id.key, id.chain, crypto.SHA256)
	if err := b.SetContentData(directory); err != nil {
		return nil, err
	}
	if err := addHashes(b, directory); err != nil {
		return nil, err
	}
	if err := b.AddAuthenticatedAttribute(pkcs7.OidAttributeSigningTime, now.UTC().Truncate(time.Second)); err != nil {
		return nil, err
	}
	signed, err := b.Sign()
	if err != nil {
		return nil, err
	}
	var stamper pkcs9.Timestamper // nil means none, a nil *authority would not
	if stamp != "" {
		stamper = authority{stamp}
	}
	if _, err := pkcs9.TimestampAndMarshal(context.Background(), signed, stamper, false); err != nil {
		return nil, err
	}
	if _, err := signed.Detach(); err != nil {
		return nil, err
	}
	return signed.Marshal()
}

func addHashes(b *pkcs7.SignatureBuilder, directory []byte) error {
	sum := sha256.Sum256(directory)
	list, err := plist.MarshalIndent(map[string]any{"cdhashes": [][]byte{sum[:cdHashSize]}}, plist.XMLFormat, "\t")
	if err != nil {
		return err
	}
	if err := b.AddAuthenticatedAttribute(csblob.AttrCodeDirHashPlist, bytes.TrimRight(list, "\n")); err != nil {
		return err
	}
	return b.AddAuthenticatedAttribute(csblob.AttrCodeDirHashes, struct {
		Algorithm asn1.ObjectIdentifier
		Digest    []byte
	}{asn1.ObjectIdentifier{2, 16, 840, 1, 101, 3, 4, 2, 1}, sum[:]})
}

// An authority answers timestamps at an URL (RFC 3161 over HTTP).
type authority struct{ url string }

// Timestamp asks for one over a signature. The answer is checked to be about
// that signature; that its chain is Apple's is for whoever verifies.
func (a authority) Timestamp(ctx context.Context, r *pkcs9.Request) (*pkcs7.ContentInfoSignedData, error) {
	token, err := a.timestamp(ctx, r)
	if err != nil {
		return nil, fmt.Errorf("timestamp of %s: %w\nhint: try again, or sign without a timestamp, which cannot be notarized", a.url, err)
	}
	return token, nil
}

func (a authority) timestamp(ctx context.Context, r *pkcs9.Request) (*pkcs7.ContentInfoSignedData, error) {
	sum := sha256.Sum256(r.EncryptedDigest)
	query, req, err := pkcs9.NewRequest(a.url, crypto.SHA256, sum[:])
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, stampWithin)
	defer cancel()
	resp, err := http.DefaultClient.Do(req.WithContext(ctx))
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return nil, errors.New(resp.Status)
	}
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxToken+1))
	if err != nil {
		return nil, err
	}
	if len(body) > maxToken {
		return nil, fmt.Errorf("an answer of more than %d bytes", maxToken)
	}
	return query.ParseResponse(body)
}
