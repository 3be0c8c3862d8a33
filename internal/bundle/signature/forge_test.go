package signature

import (
	"bytes"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/x509"
	"encoding/asn1"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/sassoftware/relic/v8/lib/fruit/csblob"

	"portward/internal/bundle/requirement"
	"portward/internal/bundle/sign"
)

func verifyBytes(t *testing.T, file []byte, o Options) error {
	t.Helper()
	path := filepath.Join(t.TempDir(), "netchild")
	write(t, path, file)
	_, err := VerifyFile(path, o)
	if err != nil && !strings.Contains(err.Error(), path) {
		t.Errorf("%v: does not name the file", err)
	}
	return err
}

// Rule: a key that is believed is no licence: what it signs must be consistent,
// and its certificates must be for that.
func TestForgeries(t *testing.T) {
	w := signedWorld(t)
	plain := w.thinSigned(t, entitlementsPlist)
	always := func(map[uint32][]byte) {}
	cd := func(change func(cd []byte)) func(map[uint32][]byte) {
		return func(b map[uint32][]byte) { change(b[slotDirectory]) }
	}
	other := func(change func(*x509.Certificate)) *chainOfTrust { return newChain(t, change) }
	for name, c := range map[string]struct {
		chain  *chainOfTrust // nil: the old CMS signature stays
		change func(map[uint32][]byte)
		want   string // empty: believed
	}{
		"nothing changed": {w.chain, always, ""},
		"old signature":   {nil, cd(func(d []byte) { d[13] ^= 1 }), "signs something else"},
		"other team": {w.chain, cd(func(d []byte) { copy(d[bytes.Index(d, []byte(team)):], "TEAM123457") }),
			"its certificate is for"},
		"certificate without a team": {other(func(c *x509.Certificate) { c.Subject.OrganizationalUnit = nil }), always, "its certificate is for"},
		"certificate not for code": {other(func(c *x509.Certificate) { c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth} }),
			always, "key usage"},
		"unknown critical extension": {other(func(c *x509.Certificate) { c.ExtraExtensions[0].Id = asn1.ObjectIdentifier{1, 2, 3, 4} }), always, "critical"},
		"not a Developer ID":         {other(func(c *x509.Certificate) { c.ExtraExtensions = nil }), always, "designated requirement"},
		"ad hoc with a signature":    {w.chain, cd(func(d []byte) { d[15] |= FlagAdHoc }), "ad hoc"},
		"no CMS signature":           {nil, func(b map[uint32][]byte) { delete(b, slotCMS) }, "neither signed nor ad hoc"},
		"empty CMS signature":        {nil, func(b map[uint32][]byte) { b[slotCMS] = blob(magicWrapper, nil) }, "neither signed nor ad hoc"},
		"no CMS at all":              {nil, func(b map[uint32][]byte) { b[slotCMS] = blob(magicWrapper, []byte("signed!")) }, "CMS signature"},
		"other executable segment":   {w.chain, cd(func(d []byte) { d[79] ^= 0x10 }), "executable segment"},
		"not a main program":         {w.chain, cd(func(d []byte) { d[87] ^= 1 }), "library for a program"},
		"scattered":                  {w.chain, cd(func(d []byte) { d[47] = 88 }), "scattered"},
		"covers less":                {w.chain, cd(func(d []byte) { binary.BigEndian.PutUint32(d[32:], 0x4000); d[31]-- }), "it covers"},
		"huge limit":                 {w.chain, cd(func(d []byte) { d[56] = 0xff }), "covers"},
		"too many pages":             {w.chain, cd(func(d []byte) { binary.BigEndian.PutUint32(d[28:], 0xffffffff) }), "hashes outside"},
		"identifier outside":         {w.chain, cd(func(d []byte) { binary.BigEndian.PutUint32(d[20:], 0xfffffff0) }), "identifier"},
		"a slot of nothing": {w.chain, func(b map[uint32][]byte) {
			d := b[slotDirectory]
			d[binary.BigEndian.Uint32(d[16:])-4*32] = 1
		}, "slot 4: signed, but missing"},
		"Info.plist from nowhere": {w.chain, func(b map[uint32][]byte) {
			d := b[slotDirectory]
			d[binary.BigEndian.Uint32(d[16:])-32] = 1
		}, "Info.plist: signed, but missing"},
		"other entitlements in DER": {w.chain, func(b map[uint32][]byte) {
			b[slotEntitleDER] = bytes.Replace(b[slotEntitleDER], []byte("com.example.flag"), []byte("com.example.flog"), 1)
		}, "two forms differ"},
		"other number in DER": {w.chain, func(b map[uint32][]byte) {
			b[slotEntitleDER] = bytes.Replace(b[slotEntitleDER], []byte{2, 1, 5}, []byte{2, 1, 6}, 1)
		}, "two forms differ"},
		"false for true in DER": {w.chain, func(b map[uint32][]byte) {
			b[slotEntitleDER] = bytes.Replace(b[slotEntitleDER], []byte{1, 1, 0xff}, []byte{1, 1, 0}, 1)
		}, "two forms differ"},
		"no entitlements in DER":       {w.chain, func(b map[uint32][]byte) { delete(b, slotEntitleDER) }, "one of their two forms"},
		"requirement of somebody else": {w.chain, designate(t, `identifier "dev.portward.other"`), "designated requirement"},
		"requirement only a Mac knows": {w.chain, designate(t, "legacy"), "without a Mac"},
		"requirement that holds":       {w.chain, designate(t, `identifier "dev.portward.netchild"`), ""},
		"unknown blob":                 {w.chain, func(b map[uint32][]byte) { b[0x20000] = blob(magicWrapper, []byte("hidden")) }, "slot 0x20000"},
		"blob of another kind":         {w.chain, func(b map[uint32][]byte) { binary.BigEndian.PutUint32(b[slotRequirements], magicEntitle) }, "slot 0x2"},
	} {
		t.Run(name, func(t *testing.T) {
			o := w.options()
			if c.chain != nil {
				o.Anchors = c.chain.anchors()
			}
			err := verifyBytes(t, c.chain.forge(t, plain, c.change), o)
			if (err == nil) != (c.want == "") || err != nil && !strings.Contains(err.Error(), c.want) {
				t.Errorf("%v, want %q", err, c.want)
			}
		})
	}
}

func designate(t *testing.T, text string) func(map[uint32][]byte) {
	t.Helper()
	r, err := requirement.Parse(text)
	if err != nil {
		t.Fatal(err)
	}
	return func(b map[uint32][]byte) { b[slotRequirements] = requirement.Set(r.Binary()) }
}

// Rule: a directory's numbers lead nowhere outside of it.
func TestLyingDirectory(t *testing.T) {
	file := signedWorld(t).thinSigned(t, "")
	img, err := readImage(bytes.NewReader(file), slice{cpu: cpuARM, size: int64(len(file))})
	if err != nil {
		t.Fatal(err)
	}
	blobs, err := superBlob(file[img.sigOffset:])
	if err != nil {
		t.Fatal(err)
	}
	good := blobs[slotDirectory]
	for at := 8; at < 64; at += 4 {
		for _, value := range []uint32{0, 1, 43, 0x7fffffff, 0x80000000, 0xffffffff, uint32(len(good)), uint32(len(good)) - 1} {
			bad := bytes.Clone(good)
			binary.BigEndian.PutUint32(bad[at:], value)
			_, _ = parseDirectory(bad) // no panic
		}
	}
	for n := range good {
		if _, err := parseDirectory(good[:n]); err == nil {
			t.Fatalf("cut to %d bytes: read", n)
		}
	}
	bad := bytes.Clone(good)
	binary.BigEndian.PutUint32(bad[24:], 0x7fffffff)
	if _, err := parseDirectory(bad); err == nil {
		t.Error("2^31 slots")
	}
}

// Rule: a chain stops at the root that is believed, whatever its name.
func TestNamesakes(t *testing.T) {
	w := signedWorld(t)
	stranger := newChain(t, nil) // the same names, other keys
	forged := stranger.forge(t, w.thinSigned(t, ""), func(map[uint32][]byte) {})
	if err := verifyBytes(t, forged, w.options()); err == nil || !strings.Contains(err.Error(), "none of the roots") {
		t.Errorf("%v", err)
	}
	mixed := &chainOfTrust{key: stranger.key, certs: append(stranger.certs[:2:2], w.chain.certs[2])}
	forged = mixed.forge(t, w.thinSigned(t, ""), func(map[uint32][]byte) {})
	if err := verifyBytes(t, forged, w.options()); err == nil || !strings.Contains(err.Error(), "certificate") {
		t.Errorf("%v", err)
	}
}

// olderHashes makes a directory of SHA-1 of one of SHA-256. Its hashes are of no
// use here and stay what they are.
func olderHashes(cd []byte) []byte {
	d := bytes.Clone(cd)
	offset, special, pages := binary.BigEndian.Uint32(d[16:]), binary.BigEndian.Uint32(d[24:]), binary.BigEndian.Uint32(d[28:])
	d[36], d[37] = 20, hashSHA1
	binary.BigEndian.PutUint32(d[16:], offset-12*special)
	d = d[:offset-12*special+20*pages]
	binary.BigEndian.PutUint32(d[4:], uint32(len(d)))
	return d
}

// Rule: a second directory is signed by Apple's attributes or not at all.
func TestAlternateDirectory(t *testing.T) {
	w := signedWorld(t)
	plain := w.thinSigned(t, "")
	code, err := readCode(bytes.NewReader(plain), slice{cpu: cpuARM, size: int64(len(plain))})
	if err != nil {
		t.Fatal(err)
	}
	newer := code.blobs[slotDirectory]
	older := olderHashes(newer)
	of := func(oid asn1.ObjectIdentifier, hash []byte) algorithmAndDigest { return algorithmAndDigest{oid, hash} }
	sum1, sum256 := sha1.Sum(older), sha256.Sum256(newer)
	first := of(asn1.ObjectIdentifier{1, 3, 14, 3, 2, 26}, sum1[:])
	second := of(asn1.ObjectIdentifier{2, 16, 840, 1, 101, 3, 4, 2, 1}, sum256[:])
	other := of(second.Algorithm, make([]byte, 32))
	set := asn1.ObjectIdentifier{1, 2, 840, 113635, 100, 9, 2}
	list := func(hashes ...[]byte) signedAttribute {
		var items strings.Builder
		for _, h := range hashes {
			items.WriteString("<data>" + base64.StdEncoding.EncodeToString(h[:20]) + "</data>")
		}
		return signedAttribute{asn1.ObjectIdentifier{1, 2, 840, 113635, 100, 9, 1}, []byte(inPlist("<key>cdhashes</key><array>" + items.String() + "</array>"))}
	}
	for name, c := range map[string]struct {
		attributes []signedAttribute
		want       string
	}{
		"not signed":         {nil, "only the first"},
		"signed by the set":  {[]signedAttribute{{set, first}, {set, second}}, ""},
		"by the list":        {[]signedAttribute{list(sum1[:], sum256[:])}, ""},
		"one in the set":     {[]signedAttribute{{set, first}}, "1 hashes for 2"},
		"one in the list":    {[]signedAttribute{list(sum256[:])}, "1 hashes for 2"},
		"other in the set":   {[]signedAttribute{{set, first}, {set, other}}, "another code directory"},
		"other in the list":  {[]signedAttribute{list(sum1[:], other.Digest)}, "another code directory"},
		"set good, list not": {[]signedAttribute{{set, first}, {set, second}, list(other.Digest, sum256[:])}, "another code directory"},
	} {
		code.blobs[slotDirectory], code.blobs[slotAlternate] = older, newer
		code.blobs[slotCMS] = blob(magicWrapper, w.chain.cms(t, older, c.attributes...))
		err := verifyBytes(t, resign(t, plain, code.image, code.blobs), w.options())
		if (err == nil) != (c.want == "") || err != nil && !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %q", name, err, c.want)
		}
	}
}

// Rule: a linker's signature is an ad hoc one, and a program without is said to
// be unsigned. These are real programs.
func TestGoPrograms(t *testing.T) {
	dir := t.TempDir()
	write(t, filepath.Join(dir, "main.go"), []byte("package main\n\nfunc main() {}\n"))
	write(t, filepath.Join(dir, "go.mod"), []byte("module hello\n"))
	for arch, want := range map[string]error{"arm64": nil, "amd64": ErrUnsigned} {
		out := filepath.Join(dir, arch)
		cmd := exec.Command("go", "build", "-o", out, ".")
		cmd.Dir = dir
		cmd.Env = append(os.Environ(), "GOOS=darwin", "GOARCH="+arch, "CGO_ENABLED=0", "GOFLAGS=-buildvcs=false")
		if msg, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("%v: %s", err, msg)
		}
		r, err := VerifyFile(out, Options{AllowAdHoc: true})
		if !errors.Is(err, want) {
			t.Errorf("%s: %v", arch, err)
		}
		if err == nil && (r.Programs[0].Flags != FlagAdHoc|FlagLinkerSigned || r.Programs[0].Identifier != "a.out" || r.Programs[0].CPU != "arm64") {
			t.Errorf("%+v", r.Programs[0])
		}
		if _, err := VerifyFile(out, Options{}); err == nil {
			t.Errorf("%s: believed without asking", arch)
		}
		for _, id := range []*sign.Identity{signedWorld(t).id, sign.AdHoc()} {
			if err := sign.File(out, "hello", sign.Options{Identity: id}); err != nil {
				t.Fatal(err)
			}
			o := signedWorld(t).options()
			o.AllowAdHoc = true
			if _, err := VerifyFile(out, o); err != nil {
				t.Errorf("%s: %v", arch, err)
			}
		}
	}
}

// Rule: before verification nothing is known of the signer.
func TestReadBelievesNothing(t *testing.T) {
	w := signedWorld(t)
	file := w.thinSigned(t, "")
	codes, err := Read(bytes.NewReader(file), int64(len(file)))
	if err != nil {
		t.Fatal(err)
	}
	s := codes[0].Subject()
	if len(s.Chain) != 0 || s.Identifier != "dev.portward.netchild" {
		t.Errorf("%+v", s)
	}
	want := sha256.Sum256(codes[0].blobs[slotDirectory])
	if !bytes.Equal(codes[0].CDHash(), want[:20]) {
		t.Errorf("cdhash %x", codes[0].CDHash())
	}
	if _, err := csblob.Verify(file[codes[0].image.sigOffset:], csblob.VerifyParams{}); err != nil {
		t.Errorf("relic thinks otherwise: %v", err)
	}
}

// Rule: a link at the end of a path is not followed.
func TestVerifyFileLink(t *testing.T) {
	w := signedWorld(t)
	link := filepath.Join(t.TempDir(), "link")
	if err := os.Symlink(filepath.Join(w.dir, "Contents/MacOS/netchild"), link); err != nil {
		t.Fatal(err)
	}
	if _, err := VerifyFile(link, w.options()); err == nil {
		t.Error("followed")
	}
	if _, err := VerifyFile(filepath.Join(w.dir, "Contents/MacOS/netchild"), w.options()); err != nil {
		t.Error(err)
	}
	if _, err := VerifyFile(filepath.Join(w.dir, "Contents/MacOS/guiagent"), w.options()); err == nil || !strings.Contains(err.Error(), "Info.plist") {
		t.Errorf("a bundle's main program without its bundle: %v", err)
	}
}
