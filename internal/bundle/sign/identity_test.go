package sign

import (
	"crypto/x509"
	"path/filepath"
	"syscall"
	"testing"

	pkcs12 "software.sslmate.com/src/go-pkcs12"
)

// Rule: a passphrase that does not fit is told from a file that is no PKCS#12.
func TestWrongPassphrase(t *testing.T) {
	p := theWorld()
	for _, enc := range []*pkcs12.Encoder{pkcs12.Modern, pkcs12.LegacyDES} {
		path := p12(t, enc, p.leafKey, "right", p.leaf, p.middle, p.root)
		for _, passphrase := range []string{"wrong", "", "Right"} {
			_, err := LoadP12(path, passphrase)
			wantError(t, err, path, "wrong passphrase")
		}
	}
	_, err := LoadP12(put(t, filepath.Join(t.TempDir(), "x"), []byte("text"), 0o600), "")
	wantError(t, err, "not a PKCS#12 file")
	_, err = LoadP12(filepath.Join(t.TempDir(), "none"), "")
	wantError(t, err, "no such file")
}

// Rule: a chain that does not reach its root is refused, for macOS would kill
// what it signed.
func TestChainWithGaps(t *testing.T) {
	p := theWorld()
	for name, others := range map[string][]*x509.Certificate{
		"leaf alone": nil, "no root": {p.middle}, "no middle": {p.root},
	} {
		_, err := LoadP12(p12(t, pkcs12.Modern, p.leafKey, "pw", p.leaf, others...), "pw")
		if wantError(t, err, "no certificate of", "hint: export the certificate together with those above"); t.Failed() {
			t.Fatal(name)
		}
	}
}

// Rule: a certificate that says nothing of a team, or is for something else
// than signing code, signs nothing.
func TestUnfitCertificates(t *testing.T) {
	p := theWorld()
	for want, change := range map[string]func(*template){
		"names no team":           func(c *template) { c.units = nil },
		"names no team: ":         func(c *template) { c.units = []string{"one", "two"} },
		`unit is ["a b\""]`:       func(c *template) { c.units = []string{`a b"`} },
		"is not for signing code": func(c *template) { c.usage = x509.ExtKeyUsageServerAuth },
	} {
		unfit := developer
		change(&unfit)
		leaf := p.issue(unfit, p.leafKey, p.middle, p.middleKey)
		_, err := LoadP12(p12(t, pkcs12.Modern, p.leafKey, "pw", leaf, p.middle, p.root), "pw")
		wantError(t, err, want, "hint:")
	}
}

// Rule: certificates without the key's own are no identity.
func TestForeignKey(t *testing.T) {
	p := theWorld()
	_, err := newIdentity(ecdsaKey(), []*x509.Certificate{p.leaf, p.middle, p.root})
	wantError(t, err, "no certificate is the key's")
}

// Rule: nothing is signed outside a certificate's time, nor for another team.
func TestTimeAndTeam(t *testing.T) {
	p := theWorld()
	path := put(t, filepath.Join(t.TempDir(), "p"), sketch{cpu: cpuArm}.bytes(), 0o755)
	before := read(t, path)
	err := File(path, "a.b", Options{Identity: p.identity(t), Now: p.notAfter.AddDate(0, 0, 1)})
	wantError(t, err, "expired on", "hint: renew")
	err = File(path, "a.b", Options{Identity: p.identity(t), Now: p.notBefore.AddDate(0, 0, -1)})
	wantError(t, err, "not valid before")
	err = File(path, "a.b", Options{Identity: p.identity(t), Team: "OTHER12345"})
	wantError(t, err, team, "OTHER12345")
	err = File(path, "a.b", Options{})
	wantError(t, err, "no identity")
	if string(read(t, path)) != string(before) {
		t.Fatal("the file was changed")
	}
}

// Rule: modern and legacy files are read, in whatever order they hold the
// certificates.
func TestLoadP12(t *testing.T) {
	p := theWorld()
	for _, enc := range []*pkcs12.Encoder{pkcs12.Modern, pkcs12.LegacyDES, pkcs12.LegacyRC2} {
		id, err := LoadP12(p12(t, enc, p.leafKey, "pw", p.root, p.leaf, p.middle), "pw")
		if err != nil {
			t.Fatal(err)
		}
		if id.Team() != team || len(id.chain) != 3 || !id.chain[0].Equal(p.leaf) || !id.chain[2].Equal(p.root) {
			t.Fatalf("team %q, %d certificates", id.Team(), len(id.chain))
		}
	}
	if AdHoc().Team() != "" {
		t.Fatal("nobody has a team")
	}
}

// Rule: a pipe in the place of a file holds nobody up.
func TestPipe(t *testing.T) {
	path := filepath.Join(t.TempDir(), "pipe")
	if err := syscall.Mkfifo(path, 0o600); err != nil {
		t.Fatal(err)
	}
	_, err := LoadP12(path, "")
	wantError(t, err, "not a regular file")
	wantError(t, File(path, "a", Options{Identity: AdHoc()}), "not a regular file")
}
