package sign

import (
	"bytes"
	"crypto/sha256"
	"crypto/x509"
	"debug/macho"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	gomacho "github.com/blacktop/go-macho"
	"github.com/blacktop/go-macho/pkg/codesign/types"
	"github.com/sassoftware/relic/v8/lib/fruit/csblob"
	"github.com/sassoftware/relic/v8/lib/fruit/machos"
)

// forms are the files that are signed in what follows.
func forms(t *testing.T) map[string][]byte {
	t.Helper()
	dir := t.TempDir()
	arm, x86 := sketch{cpu: cpuArm}.bytes(), sketch{cpu: cpuX86, content: 1}.bytes()
	fat := filepath.Join(dir, "fat")
	if err := Fat(fat, put(t, dir+"/arm", arm, 0o755), put(t, dir+"/x86", x86, 0o755)); err != nil {
		t.Fatal(err)
	}
	return map[string][]byte{"arm64": arm, "x86_64": x86, "fat": read(t, fat)}
}

// Rule: everything that is signed by an identity is accepted by a verifier that
// did not write it, with the chain, the names and the entitlements it was
// signed with.
func TestReadByRelic(t *testing.T) {
	p := theWorld()
	ent := propertyList("<key>com.apple.security.network.client</key><true/>")
	for name, data := range forms(t) {
		path := put(t, filepath.Join(t.TempDir(), "netchild"), data, 0o755)
		o := Options{Identity: p.identity(t), Team: team, Runtime: true, Entitlements: map[string][]byte{"netchild": ent}}
		if err := File(path, "dev.portward.netchild", o); err != nil {
			t.Fatal(name, err)
		}
		for _, part := range thinParts(t, read(t, path)) {
			v, err := machos.Verify(bytes.NewReader(part), nil, nil, false)
			if err != nil {
				t.Fatal(name, err)
			}
			if err := v.Signature.VerifyChain(p.pool(), nil, x509.ExtKeyUsageCodeSigning); err != nil {
				t.Fatal(name, err)
			}
			checkRelicBlob(t, v.Blob)
			if len(v.Signature.Intermediates) < 2 {
				t.Fatal("the chain is not whole")
			}
		}
	}
}

func checkRelicBlob(t *testing.T, b *csblob.SigBlob) {
	t.Helper()
	d := b.Directories[0]
	if len(b.Directories) != 1 || d.SigningIdentity != "dev.portward.netchild" || d.TeamIdentifier != team {
		t.Fatalf("%q of %q", d.SigningIdentity, d.TeamIdentifier)
	}
	if d.Header.Flags != csblob.FlagRuntime || d.Header.ExecSegmentFlags != 1 || d.Header.ExecSegmentLimit != 0x4000 {
		t.Fatalf("%+v", d.Header)
	}
	if d.EntitlementsHash == nil || d.EntitlementsDERHash == nil || d.RequirementsHash == nil || d.ManifestHash != nil {
		t.Fatal("slots")
	}
	want := propertyListOf(t, "com.apple.security.network.client")
	if !bytes.Equal(b.Entitlement[8:], want.xml) || !bytes.Equal(b.EntitlementDER[8:], want.der) {
		t.Fatal("entitlements")
	}
}

func propertyListOf(t *testing.T, key string) entitlements {
	t.Helper()
	e, err := parseEntitlements(propertyList("<key>" + key + "</key><true/>"))
	if err != nil {
		t.Fatal(err)
	}
	return e
}

func thinParts(t *testing.T, data []byte) [][]byte {
	t.Helper()
	f, err := macho.NewFatFile(bytes.NewReader(data))
	if errors.Is(err, macho.ErrNotFat) {
		return [][]byte{data}
	}
	if err != nil {
		t.Fatal(err)
	}
	var parts [][]byte
	for _, a := range f.Arches {
		parts = append(parts, data[a.Offset:a.Offset+a.Size])
	}
	return parts
}

// Rule: a byte that changes is found by a verifier that did not write it,
// wherever in the code it lies.
func TestTamperedCode(t *testing.T) {
	p := theWorld()
	path := put(t, filepath.Join(t.TempDir(), "p"), sketch{cpu: cpuArm}.bytes(), 0o755)
	if err := File(path, "a.b", Options{Identity: p.identity(t)}); err != nil {
		t.Fatal(err)
	}
	signed := read(t, path)
	for _, at := range []int{24, 0x1000, 0x3fff, 0x4067} {
		bad := bytes.Clone(signed)
		bad[at] ^= 1
		if _, err := machos.Verify(bytes.NewReader(bad), nil, nil, false); err == nil {
			t.Errorf("byte %#x may change", at)
		}
	}
}

// Rule: the hashes of all pages, the flags and the requirement are right by a
// second reading, for nobody's code too; bytes behind the code are the
// signature's alone.
func TestReadByGoMacho(t *testing.T) {
	p := theWorld()
	for name, id := range map[string]*Identity{"identity": p.identity(t), "ad hoc": AdHoc()} {
		for form, data := range forms(t) {
			path := put(t, filepath.Join(t.TempDir(), "p"), data, 0o755)
			o := Options{Identity: id, Runtime: true}
			if err := File(path, "a.b", o); err != nil {
				t.Fatal(name, form, err)
			}
			for _, part := range thinParts(t, read(t, path)) {
				checkGoMacho(t, part, name == "ad hoc")
			}
		}
	}
}

func checkGoMacho(t *testing.T, part []byte, adHoc bool) {
	t.Helper()
	f, err := gomacho.NewFile(bytes.NewReader(part))
	if err != nil {
		t.Fatal(err)
	}
	cs := f.CodeSignature()
	if cs == nil || len(cs.CodeDirectories) != 1 || len(cs.Errors) > 0 {
		t.Fatalf("%+v", cs)
	}
	d := cs.CodeDirectories[0]
	flags, signers := types.RUNTIME, team
	if adHoc {
		flags, signers = types.RUNTIME|types.ADHOC, ""
	}
	if d.ID != "a.b" || d.TeamID != signers || d.Header.Flags != flags || d.RuntimeVersion != "14.2.0" && d.RuntimeVersion != "14.2" {
		t.Fatalf("%q of %q, %v, runtime %s", d.ID, d.TeamID, d.Header.Flags, d.RuntimeVersion)
	}
	if adHoc != (len(cs.CMSSignature) == 0) {
		t.Fatalf("%d bytes of CMS", len(cs.CMSSignature))
	}
	if adHoc != (len(cs.Requirements) == 0) {
		t.Fatalf("%+v", cs.Requirements)
	}
	for _, r := range cs.Requirements {
		if detail := strings.Join(strings.Fields(r.Detail), " "); !strings.HasPrefix(detail, `identifier "a.b" and `) || !strings.HasSuffix(detail, ` and certificate leaf[subject.OU] = "`+team+`"`) {
			t.Fatalf("%+v", r)
		}
	}
	code := part[:d.CodeLimit]
	for i, slot := range d.CodeSlots {
		page := code[i*4096 : min(len(code), (i+1)*4096)]
		if sum := sha256.Sum256(page); !bytes.Equal(sum[:], slot.Hash) {
			t.Fatalf("page %d", i)
		}
	}
	if len(d.CodeSlots) != (len(code)+4095)/4096 || uint64(cs.Offset) != d.CodeLimit || int(cs.Offset+cs.Size) != len(part) || cs.Offset%16 != 0 {
		t.Fatalf("%d pages, signature %d+%d of %d", len(d.CodeSlots), cs.Offset, cs.Size, len(part))
	}
	checkLinkedit(t, part)
}

// checkLinkedit is what the kernel wants of the segment that grew.
func checkLinkedit(t *testing.T, part []byte) {
	t.Helper()
	f, err := macho.NewFile(bytes.NewReader(part))
	if err != nil {
		t.Fatal(err)
	}
	s := f.Segment("__LINKEDIT")
	page := map[macho.Cpu]uint64{cpuArm: 0x4000, cpuX86: 0x1000}[f.Cpu]
	if s.Offset+s.Filesz != uint64(len(part)) || s.Memsz%page != 0 || s.Memsz < s.Filesz {
		t.Fatalf("%+v", s.SegmentHeader)
	}
}

// Rule: OpenSSL, which knows nothing of Apple, verifies the signature over the
// code directory up to the root.
func TestReadByOpenSSL(t *testing.T) {
	p := theWorld()
	dir := t.TempDir()
	path := put(t, dir+"/p", sketch{cpu: cpuArm}.bytes(), 0o755)
	if err := File(path, "a.b", Options{Identity: p.identity(t)}); err != nil {
		t.Fatal(err)
	}
	f, err := gomacho.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	m, _ := parseImage(read(t, path))
	directory := put(t, dir+"/directory", blobAt(t, m, slotDirectory), 0o600)
	cms := put(t, dir+"/cms", f.CodeSignature().CMSSignature, 0o600)
	root := put(t, dir+"/root", p.rootPEM(), 0o600)
	verify := []string{"cms", "-verify", "-inform", "DER", "-in", cms, "-content", directory, "-binary", "-CAfile", root, "-purpose", "any", "-ignore_critical", "-out", os.DevNull}
	if out, err := exec.Command("openssl", verify...).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	bad := blobAt(t, m, slotDirectory)
	bad[50] ^= 1
	put(t, directory, bad, 0o600)
	if out, err := exec.Command("openssl", verify...).CombinedOutput(); err == nil {
		t.Fatalf("another directory is accepted: %s", out)
	}
}

// blobAt reads one blob of a signature by its index.
func blobAt(t *testing.T, m *image, slot uint32) []byte {
	t.Helper()
	be := func(b []byte) uint32 { return uint32(b[0])<<24 | uint32(b[1])<<16 | uint32(b[2])<<8 | uint32(b[3]) }
	sig := m.data[m.sigOffset:]
	for i := range be(sig[8:]) {
		if entry := sig[12+8*i:]; be(entry) == slot {
			b := sig[be(entry[4:]):]
			return bytes.Clone(b[:be(b[4:])])
		}
	}
	t.Fatalf("no slot %#x", slot)
	return nil
}
