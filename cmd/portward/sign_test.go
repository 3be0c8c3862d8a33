package main

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"math/big"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	pkcs12 "software.sslmate.com/src/go-pkcs12"

	"portward/internal/bundle"
	"portward/internal/bundle/requirement"
	"portward/internal/bundle/sign"
	"portward/internal/bundle/signature"
	"portward/launchd"
)

// A tiny program for both kinds of Mac stands for each of ours.
var tiny struct {
	sync.Once
	dir string // arm64/tiny, amd64/tiny, tiny
	err error
}

func tinyFat(t *testing.T) string {
	t.Helper()
	tiny.Do(func() {
		if tiny.dir, tiny.err = os.MkdirTemp("", "portward-tiny-"); tiny.err != nil {
			return
		}
		source := filepath.Join(tiny.dir, "tiny.go")
		if tiny.err = os.WriteFile(source, []byte("package main\n\nfunc main() {}\n"), 0o600); tiny.err != nil {
			return
		}
		var parts []string
		for _, k := range universal.parts() {
			part := filepath.Join(tiny.dir, k.processor(), "tiny")
			cmd := exec.Command("go", "build", "-trimpath", "-ldflags=-w", "-o", part, source)
			cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOOS="+k.system(), "GOARCH="+k.processor())
			if out, err := cmd.CombinedOutput(); err != nil {
				tiny.err = &exec.Error{Name: string(out), Err: err}
				return
			}
			parts = append(parts, part)
		}
		tiny.err = sign.Fat(filepath.Join(tiny.dir, "tiny"), parts...)
	})
	if tiny.err != nil {
		t.Fatal(tiny.err)
	}
	return filepath.Join(tiny.dir, "tiny")
}

const testTeam = "TEAM123456"

// selfMade answers an identity below a root of the test's own, and that root's
// digest.
func selfMade(t *testing.T) (*sign.Identity, [32]byte) {
	t.Helper()
	mark := func(last ...int) []pkix.Extension {
		return []pkix.Extension{{Id: append(asn1.ObjectIdentifier{1, 2, 840, 113635, 100, 6}, last...), Value: []byte{5, 0}}}
	}
	var chain []*x509.Certificate // leaf first
	var key *ecdsa.PrivateKey
	for i, c := range []*x509.Certificate{
		{Subject: pkix.Name{CommonName: "Root"}, IsCA: true, KeyUsage: x509.KeyUsageCertSign},
		{Subject: pkix.Name{CommonName: "Issuer"}, IsCA: true, KeyUsage: x509.KeyUsageCertSign, ExtraExtensions: mark(2, 6)},
		{
			Subject: pkix.Name{CommonName: "Leaf", OrganizationalUnit: []string{testTeam}}, KeyUsage: x509.KeyUsageDigitalSignature,
			ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageCodeSigning}, ExtraExtensions: mark(1, 13),
		},
	} {
		own, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		if err != nil {
			t.Fatal(err)
		}
		issuer := c
		if key == nil {
			key = own
		} else {
			issuer = chain[0]
		}
		c.SerialNumber, c.BasicConstraintsValid = big.NewInt(int64(i+1)), true
		c.NotBefore, c.NotAfter = time.Now().Add(-time.Hour), time.Now().Add(time.Hour)
		der, err := x509.CreateCertificate(rand.Reader, c, issuer, own.Public(), key)
		if err != nil {
			t.Fatal(err)
		}
		made, err := x509.ParseCertificate(der)
		if err != nil {
			t.Fatal(err)
		}
		chain, key = append([]*x509.Certificate{made}, chain...), own
	}
	data, err := pkcs12.Modern2023.Encode(key, chain[0], chain[1:], "secret")
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "id.p12")
	if err := os.WriteFile(path, data, 0o600); err != nil {
		t.Fatal(err)
	}
	id, err := sign.LoadP12(path, "secret")
	if err != nil {
		t.Fatal(err)
	}
	return id, sha256.Sum256(chain[2].Raw)
}

// signedBundle answers a bundle for Macs that was packed and signed by id.
func signedBundle(t *testing.T, id *sign.Identity, names ...string) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), bundle.Name)
	o := bundle.Options{Programs: map[string]string{}, Plists: launchd.Files(), Version: "1.0.0"}
	for _, name := range names {
		o.Programs[name] = tinyFat(t)
	}
	if _, err := bundle.BuildWith(dir, o); err != nil {
		t.Fatal(err)
	}
	s := signing{bundle: dir}
	if err := s.sign(sign.Options{Identity: id, Runtime: true}); err != nil {
		t.Fatal(err)
	}
	if _, err := bundle.Reseal(dir, nil); err != nil {
		t.Fatal(err)
	}
	return dir
}

// Rule: whatever is done to a signed bundle, verify refuses it; and who makes the
// seal again, which needs no key, does not get past Apple's signature.
func TestVerifyRefusesTampering(t *testing.T) {
	id, root := selfMade(t)
	good := signedBundle(t, id, programs...)
	ask := checking{Options: signature.Options{Anchors: [][32]byte{root}}}
	if v, err := ask.verify(good); err != nil || !v.Signed || v.Platform != bundle.Universal || len(v.Programs) != 2*len(programs) {
		t.Fatalf("%+v, %v", v, err)
	}
	other, _ := selfMade(t)
	stranger := signedBundle(t, other, programs...)
	nobody := signedBundle(t, sign.AdHoc(), programs...)

	const macos, contents = "Portward.app/Contents/MacOS/", "Portward.app/Contents/"
	edit := func(path string, change func([]byte) []byte) func(*testing.T, string) {
		return func(t *testing.T, dir string) {
			path := filepath.Join(dir, path)
			data, info := must(os.ReadFile(path))(t), must(os.Stat(path))(t)
			check(t, os.WriteFile(path, change(data), info.Mode()))
		}
	}
	flip := func(path string, at int) func(*testing.T, string) {
		return edit(path, func(b []byte) []byte { b[(at+len(b))%len(b)] ^= 1; return b })
	}
	swap := func(path, from string) func(*testing.T, string) {
		return edit(path, func([]byte) []byte { b, _ := os.ReadFile(filepath.Join(from, path)); return b })
	}
	replace := func(path, old, new string) func(*testing.T, string) {
		return edit(path, func(b []byte) []byte { return bytes.ReplaceAll(b, []byte(old), []byte(new)) })
	}
	put := func(path string, mode os.FileMode) func(*testing.T, string) {
		return func(t *testing.T, dir string) { check(t, os.WriteFile(filepath.Join(dir, path), []byte("new"), mode)) }
	}
	for name, harm := range map[string]func(*testing.T, string){
		"a byte of the first processor's code":  flip(macos+"netchild", 0x6000),
		"a byte of the second processor's code": flip(macos+"netchild", -0x30000),
		"a byte of the main program":            flip(macos+"guiagent", 0x6000),
		"a byte of the fat header":              flip(macos+"supervisor", 11),
		"a byte of a load command":              flip(macos+"supervisor", 0x4000+40),
		"a byte in the identifier":              replace(macos+"portward", "dev.portward.portward", "dev.portward.portwarc"),
		"the team":                              replace(macos+"portward", testTeam, "TEAM123457"),
		"bytes behind the signature":            edit(macos+"netchild", func(b []byte) []byte { return append(b, "more"...) }),
		"the end cut off":                       edit(macos+"netchild", func(b []byte) []byte { return b[:len(b)-16] }),
		"one processor only": edit(macos+"netchild", func([]byte) []byte {
			b, _ := os.ReadFile(filepath.Join(filepath.Dir(tinyFat(t)), "arm64", "tiny"))
			return b
		}),
		"a program without its signature":  edit(macos+"netchild", func([]byte) []byte { b, _ := os.ReadFile(tinyFat(t)); return b }),
		"another's program":                swap(macos+"netchild", stranger),
		"another's main program":           swap(macos+"guiagent", stranger),
		"nobody's program":                 swap(macos+"supervisor", nobody),
		"nobody's signature on everything": func(t *testing.T, dir string) { check(t, os.RemoveAll(dir)); copyTree(t, nobody, dir) },
		"two programs exchanged": func(t *testing.T, dir string) {
			a, b := filepath.Join(dir, macos, "netchild"), filepath.Join(dir, macos, "supervisor")
			x, y := must(os.ReadFile(a))(t), must(os.ReadFile(b))(t)
			check(t, os.WriteFile(a, y, 0o755))
			check(t, os.WriteFile(b, x, 0o755))
		},
		"Info.plist":                   replace(contents+"Info.plist", "13.0", "12.0"),
		"a job's property list":        replace(contents+"Library/LaunchDaemons/dev.portward.supervisor.plist", "<true/>", "<false/>"),
		"CodeResources":                replace(contents+"_CodeSignature/CodeResources", "hash2", "hash3"),
		"a rule of CodeResources":      replace(contents+"_CodeSignature/CodeResources", "<key>omit</key>", "<key>o</key>"),
		"no CodeResources":             remove(contents + "_CodeSignature/CodeResources"),
		"a file gone":                  remove(contents + "Library/LaunchAgents/dev.portward.guiagent.plist"),
		"a file more":                  put(contents+"Resources/more", 0o644),
		"a hidden file more":           put(contents+".DS_Store", 0o644),
		"a program more":               put(macos+"more", 0o755),
		"a file that others may write": func(t *testing.T, dir string) { check(t, os.Chmod(filepath.Join(dir, contents, "Info.plist"), 0o666)) },
		"a link": func(t *testing.T, dir string) {
			check(t, os.Symlink("/etc/passwd", filepath.Join(dir, contents, "Resources/more")))
		},
		"a link instead of a program": func(t *testing.T, dir string) {
			check(t, os.Remove(filepath.Join(dir, macos, "netchild")))
			check(t, os.Symlink("supervisor", filepath.Join(dir, macos, "netchild")))
		},
		"a bundle in the bundle": func(t *testing.T, dir string) {
			copyTree(t, filepath.Join(stranger, bundle.App), filepath.Join(dir, contents, "Resources/Other.app"))
		},
		"something beside the app": put("more", 0o644),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := filepath.Join(t.TempDir(), bundle.Name)
			copyTree(t, good, dir)
			harm(t, dir)
			if name != "nobody's signature on everything" {
				_, err := ask.verify(dir)
				wantRefusal(t, err, "")
			}
			if _, err := bundle.Reseal(dir, nil); err != nil {
				return // not even that
			}
			_, err := ask.verify(dir)
			wantRefusal(t, err, "")
		})
	}
}

// Rule: what a seal calls a program, its signature calls it too.
func TestVerifyComparesIdentifiers(t *testing.T) {
	id, root := selfMade(t)
	dir := signedBundle(t, id, programs...)
	ids := map[string]string{"Contents/MacOS/netchild": "dev.portward.supervisor"}
	check(t, sign.Bundle(bundle.Layout(dir).App(), sign.Options{Identity: id, Identifiers: ids}))
	must(bundle.Reseal(dir, nil))(t)
	ask := checking{Options: signature.Options{Anchors: [][32]byte{root}}}
	_, err := ask.verify(dir)
	wantRefusal(t, err, `netchild: its signature says "dev.portward.supervisor", the seal "dev.portward.netchild"`)
}

// Rule: one requirement for both processors, and words that fit no signature, or
// nobody's, are refused.
func TestVerifyRequirement(t *testing.T) {
	id, root := selfMade(t)
	dir := signedBundle(t, id, programs...)
	for text, says := range map[string]string{
		requirement.ForPeers(testTeam, bundle.Identifier):       "",
		requirement.ForPeers("OTHERTEAM1", bundle.Identifier):   "OTHERTEAM1",
		requirement.ForPeers(testTeam, "dev.portward.netchild"): "dev.portward.netchild",
		"never":        "never",
		"notarized":    "cannot be decided",
		"anchor apple": "anchor apple",
	} {
		r := must(requirement.Parse(text))(t)
		ask := checking{Options: signature.Options{Anchors: [][32]byte{root}, Requirement: r}}
		_, err := ask.verify(dir)
		if says == "" {
			check(t, err)
			continue
		}
		wantRefusal(t, err, says)
	}
}

func wantRefusal(t *testing.T, err error, says string) {
	t.Helper()
	if err == nil || !strings.Contains(err.Error(), says) {
		t.Errorf("got %v, want a refusal that names %q", err, says)
	}
}

func check(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// must is for calls that cannot fail unless the test is wrong.
func must[T any](v T, err error) func(*testing.T) T {
	return func(t *testing.T) T { t.Helper(); check(t, err); return v }
}

func copyTree(t *testing.T, from, to string) {
	t.Helper()
	check(t, os.MkdirAll(filepath.Dir(to), 0o755))
	if out, err := exec.Command("cp", "-R", from, to).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
}

func remove(path string) func(*testing.T, string) {
	return func(t *testing.T, dir string) { check(t, os.Remove(filepath.Join(dir, path))) }
}
