package publish

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"debug/macho"
	"encoding/binary"
	"math/big"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	pkcs12 "software.sslmate.com/src/go-pkcs12"

	"portward/internal/bundle/sign"
)

func be32(v ...uint32) []byte {
	var b []byte
	for _, x := range v {
		b = binary.BigEndian.AppendUint32(b, x)
	}
	return b
}

// selfMade answers an identity of that team, which is its own root.
func selfMade(t *testing.T, team string) *sign.Identity {
	t.Helper()
	id, _ := ownRoot(t, team)
	return id
}

// ownRoot is selfMade, with the root's digest.
func ownRoot(t *testing.T, team string) (*sign.Identity, [32]byte) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	cert := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "Test", OrganizationalUnit: []string{team}},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		BasicConstraintsValid: true, KeyUsage: x509.KeyUsageDigitalSignature,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageCodeSigning},
	}
	der, err := x509.CreateCertificate(rand.Reader, cert, cert, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	if cert, err = x509.ParseCertificate(der); err != nil {
		t.Fatal(err)
	}
	data, err := pkcs12.Modern2023.Encode(key, cert, nil, "secret")
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
	return id, sha256.Sum256(der)
}

// claims are what a program's signature says.
type claims struct {
	identity     *sign.Identity // nil: it has none
	identifier   string
	runtime      bool
	entitlements string
}

// program answers a signed program.
func (c claims) program(t *testing.T, cpu macho.Cpu) []byte {
	t.Helper()
	path := filepath.Join(t.TempDir(), "program")
	if err := os.WriteFile(path, machO(cpu), 0o600); err != nil {
		t.Fatal(err)
	}
	o := sign.Options{Identity: c.identity, Runtime: c.runtime}
	if c.entitlements != "" {
		o.Entitlements = map[string][]byte{"program": []byte(`<plist version="1.0"><dict>` + c.entitlements + `</dict></plist>`)}
	}
	if c.identity != nil {
		if err := sign.File(path, c.identifier, o); err != nil {
			t.Fatal(err)
		}
	}
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// machO answers a program for one processor that does nothing, and has room for a
// signature.
func machO(cpu macho.Cpu) []byte {
	const text, link = 0x4000, 0x40
	var le []byte
	words := func(n ...uint32) []byte {
		le = nil
		for _, w := range n {
			le = binary.LittleEndian.AppendUint32(le, w)
		}
		return slices.Clone(le)
	}
	segment := func(name string, size uint32, address, offset, length uint32, more ...byte) []byte {
		head := slices.Concat(words(uint32(macho.LoadCmdSegment64), size), append([]byte(name), make([]byte, 16-len(name))...),
			words(address, 1, 0x4000, 0, offset, 0, length, 0, 5, 5, min(1, uint32(len(more))), 0))
		return append(head, more...)
	}
	name := func(s string) []byte { return append([]byte(s), make([]byte, 16-len(s))...) }
	section := slices.Concat(name("__text"), name("__TEXT"), words(0x1000, 1, 0x100, 0, 0x1000, 4, 0, 0, 0, 0, 0, 0))
	commands := slices.Concat(segment("__TEXT", 72+80, 0, 0, text, section...), segment("__LINKEDIT", 72, text, text, link))
	file := make([]byte, text+link)
	copy(file, slices.Concat(words(macho.Magic64, uint32(cpu), 0, uint32(macho.TypeExec), 2, uint32(len(commands)), 0x85, 0), commands))
	return file
}

// fatMachO answers such a program for arm64 and others.
func fatMachO(others ...macho.Cpu) []byte {
	const align = 14
	parts := append([]macho.Cpu{macho.CpuArm64}, others...)
	head, file := be32(macho.MagicFat, uint32(len(parts))), make([]byte, 1<<align)
	for _, c := range parts {
		file = append(file, make([]byte, -len(file)&(1<<align-1))...)
		part := machO(c)
		head = append(head, be32(uint32(c), 3, uint32(len(file)), uint32(len(part)), align)...)
		file = append(file, part...)
	}
	copy(file, head)
	return file
}

// Rule: what a signature claims is read for each processor; what is no Mac's, or not
// signed, claims nothing; and one that is cut is an error, never something else.
func TestSignatures(t *testing.T) {
	t.Parallel()
	c := claims{identity: selfMade(t, "TEAM123456"), identifier: "dev.portward.netchild", runtime: true}
	whole := c.program(t, macho.CpuArm64)
	var parts []string
	for _, cpu := range []macho.Cpu{macho.CpuArm64, macho.CpuAmd64} {
		path := filepath.Join(t.TempDir(), "part")
		if err := os.WriteFile(path, c.program(t, cpu), 0o600); err != nil {
			t.Fatal(err)
		}
		parts = append(parts, path)
	}
	path := filepath.Join(t.TempDir(), "fat")
	if err := sign.Fat(path, parts...); err != nil {
		t.Fatal(err)
	}
	fat, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for name, tc := range map[string]struct {
		data []byte
		want int
	}{
		"script": {[]byte("#!/bin/sh\n"), 0}, "linux": {elfFor(0x3e), 0}, "unsigned": {machO(macho.CpuArm64), 0},
		"one processor": {whole, 1}, "both": {fat, 2},
	} {
		codes, err := signaturesOf(tc.data)
		if err != nil || len(codes) != tc.want {
			t.Errorf("%s: %d signatures, %v, want %d", name, len(codes), err, tc.want)
		}
		for _, code := range codes {
			if code.Identifier() != "dev.portward.netchild" || code.Team() != "TEAM123456" {
				t.Errorf("%s (%s): %q of %q", name, code.CPU(), code.Identifier(), code.Team())
			}
		}
	}
	for _, n := range []int{len(whole) - 1, len(whole) - 100, 0x4100} {
		if codes, err := signaturesOf(whole[:n]); err == nil {
			t.Errorf("the first %d bytes of %d have %d signatures", n, len(whole), len(codes))
		}
	}
}
