package signature

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/binary"
	"maps"
	"math/big"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/sassoftware/relic/v8/lib/pkcs7"
	pkcs12 "software.sslmate.com/src/go-pkcs12"

	"portward/internal/bundle/sign"
)

const team = "TEAM123456"

// A signer is a chain like those of Developer ID, leaf first, and its key.
type chainOfTrust struct {
	key   *ecdsa.PrivateKey
	certs []*x509.Certificate
}

func (c *chainOfTrust) anchors() [][32]byte {
	return [][32]byte{sha256.Sum256(c.certs[len(c.certs)-1].Raw)}
}

// newChain makes one; change may spoil the leaf before it is issued.
func newChain(t testing.TB, change func(leaf *x509.Certificate)) *chainOfTrust {
	t.Helper()
	null := []byte{5, 0}
	marker := func(last ...int) pkix.Extension {
		return pkix.Extension{Id: append(asn1.ObjectIdentifier{1, 2, 840, 113635, 100, 6}, last...), Critical: true, Value: null}
	}
	leaf := &x509.Certificate{
		Subject:         pkix.Name{CommonName: "Developer ID Application: Test", OrganizationalUnit: []string{team}, Organization: []string{"Test"}},
		KeyUsage:        x509.KeyUsageDigitalSignature,
		ExtKeyUsage:     []x509.ExtKeyUsage{x509.ExtKeyUsageCodeSigning},
		ExtraExtensions: []pkix.Extension{marker(1, 13)},
	}
	if change != nil {
		change(leaf)
	}
	chain := &chainOfTrust{}
	var issuer *x509.Certificate
	for i, cert := range []*x509.Certificate{
		{Subject: pkix.Name{CommonName: "Test Root CA"}, IsCA: true, KeyUsage: x509.KeyUsageCertSign},
		{Subject: pkix.Name{CommonName: "Test Developer ID CA"}, IsCA: true, KeyUsage: x509.KeyUsageCertSign, ExtraExtensions: []pkix.Extension{marker(2, 6)}},
		leaf,
	} {
		key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		if err != nil {
			t.Fatal(err)
		}
		if issuer == nil {
			issuer, chain.key = cert, key
		}
		cert.SerialNumber, cert.BasicConstraintsValid = big.NewInt(int64(i+1)), true
		cert.NotBefore, cert.NotAfter = time.Now().Add(-time.Hour), time.Now().Add(24*time.Hour)
		der, err := x509.CreateCertificate(rand.Reader, cert, issuer, key.Public(), chain.key)
		if err != nil {
			t.Fatal(err)
		}
		made, err := x509.ParseCertificate(der)
		if err != nil {
			t.Fatal(err)
		}
		chain.certs = append([]*x509.Certificate{made}, chain.certs...)
		issuer, chain.key = made, key
	}
	return chain
}

func (c *chainOfTrust) identity(t testing.TB) *sign.Identity {
	t.Helper()
	p12, err := pkcs12.Modern2023.Encode(c.key, c.certs[0], c.certs[1:], "pw")
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "id.p12")
	write(t, path, p12)
	id, err := sign.LoadP12(path, "pw")
	if err != nil {
		t.Fatal(err)
	}
	return id
}

// thin makes the smallest Mach-O that has all that a signature needs.
func thin(cpu, subtype uint32) []byte {
	const text, linkedit = 0x4000, 0x40
	le := binary.LittleEndian
	words := func(n ...uint32) (out []byte) {
		for _, w := range n {
			out = le.AppendUint32(out, w)
		}
		return out
	}
	name := func(s string) []byte { return append([]byte(s), make([]byte, 16-len(s))...) }
	quads := func(n ...uint64) (out []byte) {
		for _, w := range n {
			out = le.AppendUint64(out, w)
		}
		return out
	}
	section := slices.Concat(name("__text"), name("__TEXT"), quads(0x100001000, 0x100), words(0x1000, 4, 0, 0, 0, 0, 0, 0))
	textSeg := slices.Concat(words(cmdSegment, 72+80), name("__TEXT"), quads(0x100000000, text, 0, text), words(5, 5, 1, 0), section)
	linkSeg := slices.Concat(words(cmdSegment, 72), name("__LINKEDIT"), quads(0x100000000+text, 0x4000, text, linkedit), words(1, 1, 0, 0))
	commands := slices.Concat(textSeg, linkSeg)
	file := make([]byte, text+linkedit)
	copy(file, slices.Concat(words(magicThin, cpu, subtype, typeExecute, 2, uint32(len(commands)), 0x85, 0), commands))
	for i := range 0x100 {
		file[0x1000+i] = byte(i) ^ byte(cpu>>24)
	}
	return file
}

func write(t testing.TB, path string, data []byte) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	mode := os.FileMode(0o644)
	if strings.Contains(path, "/MacOS/") {
		mode = 0o755
	}
	if err := os.WriteFile(path, data, mode); err != nil {
		t.Fatal(err)
	}
}

func read(t testing.TB, path string) []byte {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// fatFile makes an unsigned one of two processors at path.
func fatFile(t testing.TB, path string) {
	t.Helper()
	dir := t.TempDir()
	arm, x86 := filepath.Join(dir, "arm"), filepath.Join(dir, "x86")
	write(t, arm, thin(cpuARM, 0))
	write(t, x86, thin(cpuX86, 3))
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := sign.Fat(path, arm, x86); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(path, 0o755); err != nil {
		t.Fatal(err)
	}
}

const infoPlist = `<?xml version="1.0" encoding="UTF-8"?>
<!DOCTYPE plist PUBLIC "-//Apple//DTD PLIST 1.0//EN" "http://www.apple.com/DTDs/PropertyList-1.0.dtd">
<plist version="1.0"><dict>
<key>CFBundleIdentifier</key><string>dev.portward</string>
<key>CFBundleExecutable</key><string>guiagent</string>
<key>CFBundlePackageType</key><string>APPL</string>
<key>CFBundleVersion</key><string>1.2.3</string>
</dict></plist>
`

const entitlementsPlist = `<?xml version="1.0" encoding="UTF-8"?>
<!DOCTYPE plist PUBLIC "-//Apple//DTD PLIST 1.0//EN" "http://www.apple.com/DTDs/PropertyList-1.0.dtd">
<plist version="1.0"><dict>
<key>com.example.flag</key><true/>
<key>com.example.groups</key><array><string>a</string><string>b</string></array>
<key>com.example.number</key><integer>5</integer>
</dict></plist>
`

// makeBundle makes and signs a bundle of three fat programs and some files.
func makeBundle(t testing.TB, dir string, id *sign.Identity) {
	t.Helper()
	in := func(p string) string { return filepath.Join(dir, "Contents", p) }
	for _, name := range []string{"guiagent", "netchild", "supervisor"} {
		fatFile(t, in("MacOS/"+name))
	}
	write(t, in("Info.plist"), []byte(infoPlist))
	write(t, in("Library/LaunchDaemons/dev.portward.plist"), []byte("daemon"))
	write(t, in("Resources/note.txt"), []byte("note"))
	write(t, in("Resources/en.lproj/words.strings"), []byte("words"))
	o := sign.Options{Identity: id, Runtime: true, Entitlements: map[string][]byte{"netchild": []byte(entitlementsPlist)}}
	if err := sign.Bundle(dir, o); err != nil {
		t.Fatal(err)
	}
}

// The one bundle that tests copy, and who signed it.
type world struct {
	chain *chainOfTrust
	id    *sign.Identity
	dir   string
}

var (
	theWorld     world
	makeTheWorld sync.Once
)

// signedWorld makes the bundle on first use; TestMain takes it away.
func signedWorld(t testing.TB) *world {
	t.Helper()
	makeTheWorld.Do(func() {
		dir, err := os.MkdirTemp("", "signature")
		if err != nil {
			t.Fatal(err)
		}
		theWorld.dir = filepath.Join(dir, "Portward.app")
		theWorld.chain = newChain(t, nil)
		theWorld.id = theWorld.chain.identity(t)
		makeBundle(t, theWorld.dir, theWorld.id)
	})
	if theWorld.id == nil {
		t.Fatal("no signed bundle")
	}
	return &theWorld
}

func TestMain(m *testing.M) {
	code := m.Run()
	if theWorld.dir != "" {
		_ = os.RemoveAll(filepath.Dir(theWorld.dir))
	}
	os.Exit(code)
}

func (w *world) options() Options {
	return Options{Anchors: w.chain.anchors()}
}

func (w *world) copy(t testing.TB) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "Portward.app")
	if err := os.CopyFS(dir, os.DirFS(w.dir)); err != nil {
		t.Fatal(err)
	}
	// CopyFS gives what the umask leaves.
	err := filepath.WalkDir(dir, func(p string, d os.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() || strings.Contains(p, "/MacOS/") {
			return os.Chmod(p, 0o755)
		}
		return os.Chmod(p, 0o644)
	})
	if err != nil {
		t.Fatal(err)
	}
	return dir
}

// thinSigned answers a thin program signed by w.
func (w *world) thinSigned(t testing.TB, entitlements string) []byte {
	t.Helper()
	path := filepath.Join(t.TempDir(), "netchild")
	write(t, path, thin(cpuARM, 0))
	o := sign.Options{Identity: w.id, Runtime: true}
	if entitlements != "" {
		o.Entitlements = map[string][]byte{"netchild": []byte(entitlements)}
	}
	if err := sign.File(path, "dev.portward.netchild", o); err != nil {
		t.Fatal(err)
	}
	return read(t, path)
}

// A forger has a key and may put anything under it: forge changes the blobs of a
// thin program and makes the slots, the hashes and the CMS signature fit again.
func (c *chainOfTrust) forge(t testing.TB, file []byte, change func(blobs map[uint32][]byte)) []byte {
	t.Helper()
	code, err := readCode(bytes.NewReader(file), slice{cpu: binary.LittleEndian.Uint32(file[4:]), subtype: binary.LittleEndian.Uint32(file[8:]), size: int64(len(file))})
	if err != nil {
		t.Fatal(err)
	}
	blobs := map[uint32][]byte{}
	for slot, b := range code.blobs {
		blobs[slot] = slices.Clone(b)
	}
	change(blobs)
	cd := blobs[slotDirectory]
	hashes, count := binary.BigEndian.Uint32(cd[16:]), binary.BigEndian.Uint32(cd[24:])
	for slot := uint32(1); slot <= count; slot++ {
		if b := blobs[slot]; b != nil {
			sum := sha256.Sum256(b)
			copy(cd[hashes-32*slot:], sum[:])
		}
	}
	if c != nil {
		blobs[slotCMS] = blob(magicWrapper, c.cms(t, cd))
	}
	return resign(t, file, code.image, blobs)
}

func blob(magic uint32, data []byte) []byte {
	head := binary.BigEndian.AppendUint32(nil, magic)
	return append(binary.BigEndian.AppendUint32(head, uint32(8+len(data))), data...)
}

// signedAttribute is one more than the usual.
type signedAttribute struct {
	id    asn1.ObjectIdentifier
	value any
}

func (c *chainOfTrust) cms(t testing.TB, cd []byte, more ...signedAttribute) []byte {
	t.Helper()
	b := pkcs7.NewBuilder(c.key, c.certs, crypto.SHA256)
	if err := b.SetContentData(cd); err != nil {
		t.Fatal(err)
	}
	if err := b.AddAuthenticatedAttribute(asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 9, 5}, time.Now().UTC()); err != nil {
		t.Fatal(err)
	}
	for _, a := range more {
		if err := b.AddAuthenticatedAttribute(a.id, a.value); err != nil {
			t.Fatal(err)
		}
	}
	psd, err := b.Sign()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := psd.Detach(); err != nil {
		t.Fatal(err)
	}
	der, err := psd.Marshal()
	if err != nil {
		t.Fatal(err)
	}
	return der
}

// resign puts blobs in the place of the signature, which they have to fit.
func resign(t testing.TB, file []byte, img *image, blobs map[uint32][]byte) []byte {
	t.Helper()
	be := binary.BigEndian
	body, index := []byte{}, []byte{}
	for _, slot := range slices.Sorted(maps.Keys(blobs)) {
		index = be.AppendUint32(be.AppendUint32(index, slot), uint32(12+8*len(blobs)+len(body)))
		body = append(body, blobs[slot]...)
	}
	head := be.AppendUint32(nil, magicSignature)
	head = be.AppendUint32(head, uint32(12+len(index)+len(body)))
	head = be.AppendUint32(head, uint32(len(blobs)))
	super := slices.Concat(head, index, body)
	if int64(len(super)) > img.sigLen {
		t.Fatalf("a forged signature of %d bytes, room for %d", len(super), img.sigLen)
	}
	out := slices.Clone(file)
	clear(out[img.sigOffset:])
	copy(out[img.sigOffset:], super)
	return out
}
