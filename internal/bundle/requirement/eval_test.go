package requirement

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/hex"
	"errors"
	"math/big"
	"strings"
	"testing"
	"time"
)

var (
	devIDIssuer = asn1.ObjectIdentifier{1, 2, 840, 113635, 100, 6, 2, 6}
	devID       = asn1.ObjectIdentifier{1, 2, 840, 113635, 100, 6, 1, 13}
	dated       = asn1.ObjectIdentifier{1, 2, 840, 113635, 100, 6, 99}
	policy      = asn1.ObjectIdentifier{1, 2, 840, 113635, 100, 5, 1}
)

// chain makes a leaf, its issuer and a root as Developer ID has them.
func chain(t *testing.T) []*x509.Certificate {
	t.Helper()
	date, err := asn1.MarshalWithParams("20240131120000Z", "utf8")
	if err != nil {
		t.Fatal(err)
	}
	null := []byte{5, 0}
	templates := []*x509.Certificate{
		{Subject: pkix.Name{CommonName: "Root"}, IsCA: true},
		{Subject: pkix.Name{CommonName: "Issuer"}, IsCA: true, ExtraExtensions: []pkix.Extension{{Id: devIDIssuer, Value: null}}},
		{
			Subject: pkix.Name{CommonName: "Developer ID Application: Test", Organization: []string{"Test"}, ExtraNames: []pkix.AttributeTypeAndValue{
				{Type: asn1.ObjectIdentifier{2, 5, 4, 11}, Value: "FIRST"}, {Type: asn1.ObjectIdentifier{2, 5, 4, 11}, Value: "TEAM123456"},
			}},
			Policies:        []x509.OID{mustOID(t, policy)},
			ExtraExtensions: []pkix.Extension{{Id: devID, Value: null}, {Id: dated, Value: date}},
		},
	}
	var made []*x509.Certificate
	var issuer *x509.Certificate
	var key *ecdsa.PrivateKey
	for i, c := range templates {
		own, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		if err != nil {
			t.Fatal(err)
		}
		if issuer == nil {
			issuer, key = c, own
		}
		c.SerialNumber, c.NotAfter = big.NewInt(int64(i+1)), time.Now().Add(time.Hour)
		der, err := x509.CreateCertificate(rand.Reader, c, issuer, own.Public(), key)
		if err != nil {
			t.Fatal(err)
		}
		cert, err := x509.ParseCertificate(der)
		if err != nil {
			t.Fatal(err)
		}
		made, issuer, key = append([]*x509.Certificate{cert}, made...), cert, own
	}
	return made
}

func mustOID(t *testing.T, id asn1.ObjectIdentifier) x509.OID {
	t.Helper()
	oid, err := x509.ParseOID(id.String())
	if err != nil {
		t.Fatal(err)
	}
	return oid
}

func signed(t *testing.T) Subject {
	t.Helper()
	certs := chain(t)
	info := map[string]any{"CFBundleVersion": "1.10.2", "LSUIElement": true, "Off": false, "List": []any{"a", "b"}, "Number": uint64(5)}
	entitlements := map[string]any{"com.apple.security.cs.debugger": true, "com.apple.security.get-task-allow": false, "groups": []any{"TEAM.a", []any{"deep"}}}
	return Subject{
		Identifier:  "dev.portward.netchild",
		CDHashes:    [][]byte{make([]byte, 32), []byte(strings.Repeat("\x11", 20) + "more of sha256")},
		Chain:       certs,
		Anchors:     [][32]byte{sha256.Sum256(certs[2].Raw)},
		Info:        func(k string) (any, bool) { v, ok := info[k]; return v, ok },
		Entitlement: func(k string) (any, bool) { v, ok := entitlements[k]; return v, ok },
		Platform:    3,
	}
}

// Rule: each operation decides as Apple's interpreter does.
func TestEval(t *testing.T) {
	s := signed(t)
	thumb := sha1.Sum(s.Chain[1].Raw)
	for text, want := range map[string]bool{
		"always":                             true,
		"never":                              false,
		"! never":                            true,
		"always and never":                   false,
		"never or always":                    true,
		`identifier "dev.portward.netchild"`: true,
		`identifier "dev.portward.netchil"`:  false,
		`cdhash H"` + strings.Repeat("11", 20) + `"`: true,
		`cdhash H"` + strings.Repeat("12", 20) + `"`: false,
		"platform = 3":         true,
		"platform = 259":       false,
		"anchor apple generic": true,
		"anchor apple":         false,
		`certificate 1 = H"` + hex.EncodeToString(thumb[:]) + `"`:                     true,
		`certificate leaf = H"` + hex.EncodeToString(thumb[:]) + `"`:                  false,
		`certificate -2 = H"` + hex.EncodeToString(thumb[:]) + `"`:                    true,
		`certificate 7 = H"` + hex.EncodeToString(thumb[:]) + `"`:                     false,
		`certificate leaf[subject.OU] = "TEAM123456"`:                                 true,
		`certificate leaf[subject.OU] = "FIRST"`:                                      false,
		`certificate leaf[subject.OU] = TEAM*`:                                        true,
		`certificate leaf[subject.O] = "Test"`:                                        true,
		`certificate leaf[subject.L] exists`:                                          false,
		`certificate leaf[subject.L] absent`:                                          false,
		`certificate root[subject.CN] = "Root"`:                                       true,
		`certificate 1[subject.CN] = "Issuer"`:                                        true,
		`certificate 5[subject.CN] exists`:                                            false,
		"certificate 1[field.1.2.840.113635.100.6.2.6]":                               true,
		"certificate leaf[field.1.2.840.113635.100.6.2.6]":                            false,
		"certificate leaf[field.1.2.840.113635.100.6.2.6] absent":                     true,
		"certificate 9[field.1.2.840.113635.100.6.2.6] absent":                        false,
		"certificate leaf[field.1.2.840.113635.100.6.1.13] exists":                    true,
		"certificate leaf[policy.1.2.840.113635.100.5.1] exists":                      true,
		"certificate leaf[policy.1.2.840.113635.100.5.2] exists":                      false,
		`certificate leaf[timestamp.1.2.840.113635.100.6.99]`:                         true,
		`cert leaf[timestamp.1.2.840.113635.100.6.99] = timestamp "20240131120000Z"`:  true,
		`cert leaf[timestamp.1.2.840.113635.100.6.99] < timestamp "20240131120001Z"`:  true,
		`cert leaf[timestamp.1.2.840.113635.100.6.99] > timestamp "20240131120000Z"`:  false,
		`cert leaf[timestamp.1.2.840.113635.100.6.99] >= timestamp "20240131120000Z"`: true,
		`cert leaf[timestamp.1.2.840.113635.100.6.99] <= timestamp "20240131115959Z"`: false,
		`cert leaf[timestamp.1.2.840.113635.100.6.1.13] exists`:                       false,
		`cert 9[timestamp.1.2.3] absent`:                                              true,
		`info["CFBundleVersion"] >= "1.9"`:                                            true,
		`info["CFBundleVersion"] < "1.10.10"`:                                         true,
		`info["CFBundleVersion"] > "1.10.2"`:                                          false,
		`info["CFBundleVersion"] <= "1.010.02"`:                                       true,
		`info["CFBundleVersion"] = "1.1"*`:                                            true,
		`info["CFBundleVersion"] = *"0.2"`:                                            true,
		`info["CFBundleVersion"] ~ "10"`:                                              true,
		`info["CFBundleVersion"] ~ ""`:                                                false,
		`info["CFBundleVersion"] = ""*`:                                               false,
		`info["CFBundleVersion"] absent`:                                              false,
		`info["None"] absent`:                                                         true,
		`info["None"]`:                                                                false,
		`info["LSUIElement"]`:                                                         true,
		`info["Off"] exists`:                                                          false,
		`info["Off"] absent`:                                                          false,
		`info["Number"] exists`:                                                       true,
		`info["Number"] = "5"`:                                                        false,
		`info["List"] = "b"`:                                                          true,
		`info["List"] = "c"`:                                                          false,
		`info["List"]`:                                                                true,
		`entitlement["groups"] = "deep"`:                                              true,
		`entitlement["com.apple.security.cs.debugger"] exists`:                        true,
		`entitlement["com.apple.security.get-task-allow"]`:                            false,
		`! entitlement["com.apple.security.get-task-allow"]`:                          true,
		ForPeers("TEAM123456", "x", "dev.portward.netchild"):                          true,
		ForPeers("TEAM123456", "x"):                                                   false,
		ForPeers("TEAM12345", "dev.portward.netchild"):                                false,
	} {
		r, err := Parse(text)
		if err != nil {
			t.Error(err)
			continue
		}
		err = r.Eval(s)
		if errors.Is(err, ErrUndecided) {
			t.Errorf("%s: %v", text, err)
		}
		if (err == nil) != want {
			t.Errorf("%s: %v, want %v", text, err, want)
		}
	}
}

// Rule: the anchor is a pinned digest, not a name: the same chain without the
// pin is nobody's, and nothing signed is Apple's.
func TestEvalPinsTheRoot(t *testing.T) {
	r, err := Parse("anchor apple generic")
	if err != nil {
		t.Fatal(err)
	}
	s := signed(t)
	s.Anchors = nil
	if err := r.Eval(s); err == nil {
		t.Error("a self-made root is one of Apple's")
	}
	s.Anchors = [][32]byte{sha256.Sum256(s.Chain[0].Raw)}
	if err := r.Eval(s); err == nil {
		t.Error("a pinned leaf is a root")
	}
	s.Chain = nil
	if err := r.Eval(s); err == nil {
		t.Error("no chain, but Apple's")
	}
}

// Rule: what only a Mac knows is an error wherever it stands; "not" and "or" do
// not make a yes of it.
func TestEvalUndecided(t *testing.T) {
	for _, text := range []string{
		"notarized", "! notarized", "legacy", "! legacy", "legacy or always", "always or legacy", "never and legacy", "legacy and never", "! (legacy and never)",
		"anchor trusted", "certificate 1 trusted", `anchor apple "x"`, `("x")`, `certificate leaf[subject.DC] = "x"`,
	} {
		r, err := Parse(text)
		if err != nil {
			t.Error(err)
			continue
		}
		if err := r.Eval(signed(t)); !errors.Is(err, ErrUndecided) {
			t.Errorf("%s: %v", text, err)
		}
	}
	r, err := Parse("notarized")
	if err != nil {
		t.Fatal(err)
	}
	s := signed(t)
	if s.Notarized = true; r.Eval(s) != nil {
		t.Errorf("known to be notarized: %v", r.Eval(s))
	}
}

// Rule: nothing is true of nothing.
func TestEvalOfNothing(t *testing.T) {
	for _, text := range []string{
		`identifier ""`, "platform = 0", "anchor apple", "anchor apple generic", "notarized", `info["a"]`, `entitlement["a"]`,
		`certificate leaf[subject.CN] absent`, `cdhash H"` + strings.Repeat("00", 20) + `"`,
	} {
		r, err := Parse(text)
		if err != nil {
			t.Error(err)
			continue
		}
		if err := r.Eval(Subject{}); err == nil {
			t.Errorf("%s holds", text)
		}
	}
}

// Rule: the error says which term failed.
func TestEvalSaysWhich(t *testing.T) {
	r, err := Parse(ForPeers("OTHER", "dev.portward.netchild"))
	if err != nil {
		t.Fatal(err)
	}
	err = r.Eval(signed(t))
	if err == nil || !strings.Contains(err.Error(), `certificate leaf[subject.OU] = "OTHER"`) || strings.Contains(err.Error(), "anchor") {
		t.Errorf("%v", err)
	}
}
