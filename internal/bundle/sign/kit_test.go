package sign

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"debug/macho"
	"encoding/asn1"
	"encoding/binary"
	"encoding/pem"
	"math/big"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	pkcs12 "software.sslmate.com/src/go-pkcs12"
)

const team = "TEAM123456"

// A sketch is a Mach-O program that no linker made: small, and with any fault.
type sketch struct {
	cpu      macho.Cpu
	filetype macho.Type
	commands [][]byte // besides those it needs
	noRoom   bool     // for a load command
	tail     int      // bytes behind __LINKEDIT
	content  byte     // what its code is full of
}

func (s sketch) bytes() []byte {
	const textSize, linkSize = 0x4000, 0x68
	if s.filetype == 0 {
		s.filetype = macho.TypeExec
	}
	section := uint32(0x1000)
	commands := [][]byte{
		segment("__PAGEZERO", 0, 1<<32, 0, 0),
		nil, // __TEXT
		segment("__LINKEDIT", 1<<32+textSize, 0x4000, textSize, linkSize),
		words(cmdBuildVersion, 24, 1, 0x000c0000, 0x000e0200, 0),
	}
	commands = append(commands, s.commands...)
	size := 72 + 80
	for _, c := range commands {
		size += len(c)
	}
	if s.noRoom {
		section = uint32(headerSize + size)
	}
	text := segment("__TEXT", 1<<32, textSize, 0, textSize)
	binary.LittleEndian.PutUint32(text[4:], 72+80)
	binary.LittleEndian.PutUint32(text[64:], 1)
	commands[1] = append(text, sectionOf("__TEXT", "__text", section, textSize-section)...)
	out := words(macho.Magic64, uint32(s.cpu), 0, uint32(s.filetype), uint32(len(commands)), uint32(size), 0, 0)
	out = append(out, bytes.Join(commands, nil)...)
	out = append(out, make([]byte, int(section)-len(out))...)
	out = append(out, bytes.Repeat([]byte{s.content + 1}, textSize+linkSize-len(out))...)
	return append(out, make([]byte, s.tail)...)
}

func words(w ...uint32) []byte {
	var out []byte
	for _, v := range w {
		out = binary.LittleEndian.AppendUint32(out, v)
	}
	return out
}

func segment(name string, addr, memsz, offset, filesz uint64) []byte {
	s := macho.Segment64{Cmd: macho.LoadCmdSegment64, Len: 72, Addr: addr, Memsz: memsz, Offset: offset, Filesz: filesz}
	copy(s.Name[:], name)
	var b bytes.Buffer
	binary.Write(&b, binary.LittleEndian, s)
	return b.Bytes()
}

func sectionOf(seg, name string, offset, size uint32) []byte {
	s := macho.Section64{Addr: 1<<32 + uint64(offset), Size: uint64(size), Offset: offset}
	copy(s.Seg[:], seg)
	copy(s.Name[:], name)
	var b bytes.Buffer
	binary.Write(&b, binary.LittleEndian, s)
	return b.Bytes()
}

func put(t testing.TB, path string, data []byte, mode os.FileMode) string {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, data, mode); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(path, mode); err != nil {
		t.Fatal(err)
	}
	return path
}

func read(t testing.TB, path string) []byte {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

func wantError(t *testing.T, err error, parts ...string) {
	t.Helper()
	if err == nil {
		t.Fatalf("no error, want one with %q", parts)
	}
	for _, part := range parts {
		if !strings.Contains(err.Error(), part) {
			t.Fatalf("error %q, want one with %q", err, part)
		}
	}
}

// A pki is a self-made chain with the marks of Apple's.
type pki struct {
	root, middle, leaf  *x509.Certificate
	rootKey, middleKey  crypto.Signer
	leafKey             crypto.Signer
	stamper             *x509.Certificate
	stamperKey          crypto.Signer
	notBefore, notAfter time.Time
}

var theWorld = sync.OnceValue(func() *pki {
	p := &pki{notBefore: time.Now().Add(-time.Hour), notAfter: time.Now().AddDate(1, 0, 0)}
	p.rootKey, p.middleKey, p.stamperKey = ecdsaKey(), ecdsaKey(), ecdsaKey()
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		panic(err)
	}
	p.leafKey = key
	p.root = p.issue(template{name: "Test Root CA", ca: true}, p.rootKey, nil, p.rootKey)
	p.middle = p.issue(template{name: "Test Developer ID CA", ca: true, mark: asn1.ObjectIdentifier{1, 2, 840, 113635, 100, 6, 2, 6}}, p.middleKey, p.root, p.rootKey)
	p.leaf = p.issue(developer, p.leafKey, p.middle, p.middleKey)
	p.stamper = p.issue(template{name: "Test Timestamps", usage: x509.ExtKeyUsageTimeStamping}, p.stamperKey, p.root, p.rootKey)
	return p
})

type template struct {
	name  string
	units []string
	ca    bool
	mark  asn1.ObjectIdentifier
	usage x509.ExtKeyUsage
}

var developer = template{
	name: "Developer ID Application: Test (" + team + ")", units: []string{team},
	mark: asn1.ObjectIdentifier{1, 2, 840, 113635, 100, 6, 1, 13}, usage: x509.ExtKeyUsageCodeSigning,
}

func ecdsaKey() crypto.Signer {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		panic(err)
	}
	return key
}

func (p *pki) issue(t template, key crypto.Signer, parent *x509.Certificate, parentKey crypto.Signer) *x509.Certificate {
	serial, _ := rand.Int(rand.Reader, big.NewInt(1<<62))
	c := &x509.Certificate{
		SerialNumber: serial, Subject: pkix.Name{CommonName: t.name, OrganizationalUnit: t.units},
		NotBefore: p.notBefore, NotAfter: p.notAfter,
		IsCA: t.ca, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageDigitalSignature,
	}
	if t.ca {
		c.KeyUsage = x509.KeyUsageCertSign
	} else {
		c.ExtKeyUsage = []x509.ExtKeyUsage{t.usage}
	}
	if t.mark != nil {
		c.ExtraExtensions = []pkix.Extension{{Id: t.mark, Critical: !t.ca, Value: []byte{5, 0}}}
	}
	if parent == nil {
		parent = c
	}
	der, err := x509.CreateCertificate(rand.Reader, c, parent, key.Public(), parentKey)
	if err != nil {
		panic(err)
	}
	out, err := x509.ParseCertificate(der)
	if err != nil {
		panic(err)
	}
	return out
}

func (p *pki) pool() *x509.CertPool {
	pool := x509.NewCertPool()
	pool.AddCert(p.root)
	return pool
}

func (p *pki) identity(t testing.TB) *Identity {
	t.Helper()
	id, err := newIdentity(p.leafKey, []*x509.Certificate{p.leaf, p.middle, p.root})
	if err != nil {
		t.Fatal(err)
	}
	return id
}

func (p *pki) rootPEM() []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: p.root.Raw})
}

func p12(t *testing.T, enc *pkcs12.Encoder, key crypto.Signer, password string, leaf *x509.Certificate, others ...*x509.Certificate) string {
	t.Helper()
	data, err := enc.Encode(key, leaf, others, password)
	if err != nil {
		t.Fatal(err)
	}
	return put(t, filepath.Join(t.TempDir(), "id.p12"), data, 0o600)
}
