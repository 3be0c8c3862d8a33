package bundle

import (
	"encoding/binary"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

func setXAttr(t *testing.T, path, name string, value []byte) {
	t.Helper()
	err := unix.Setxattr(path, name, value, 0)
	if errors.Is(err, unix.ENOTSUP) || errors.Is(err, unix.EPERM) {
		t.Skipf("needs a file system with %s, and the right to set it: %v", name, err)
	}
	if err != nil {
		t.Fatalf("%s: %s: %v", path, name, err)
	}
}

// Rule: an extended attribute is refused wherever it is, on what the seal cannot
// list as well.
func TestVerifyRefusesXAttrs(t *testing.T) {
	for _, inside := range []string{
		".", "Portward.app/Contents", "Portward.app/Contents/MacOS/netchild", "Portward.app/Contents/Info.plist",
		sealFile, tufDir, tufDir + "/root.json",
	} {
		dst := build(t)
		vouch(t, dst)
		setXAttr(t, filepath.Join(dst, inside), "user.portward", []byte("x"))
		if _, err := Verify(dst); err == nil || !strings.Contains(err.Error(), inside+": extended attribute user.portward") {
			t.Errorf("%s: %v", inside, err)
		}
	}
}

// Rule: rights that are given by an attribute are rights: capabilities of a
// file, access lists.
func TestVerifyRefusesRights(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("needs root to give a file capabilities")
	}
	capability := binary.LittleEndian.AppendUint32(nil, 0x02000001) // VFS_CAP_REVISION_2, effective
	capability = append(capability, make([]byte, 16)...)
	capability[5] = 0x04                            // CAP_NET_BIND_SERVICE
	acl := binary.LittleEndian.AppendUint32(nil, 2) // POSIX_ACL_XATTR_VERSION
	for _, e := range [][3]uint32{                  // tag, permissions, id
		{0x01, 7, 1<<32 - 1}, {0x02, 7, 4242}, {0x04, 5, 1<<32 - 1}, // owner, a user, group
		{0x10, 5, 1<<32 - 1}, {0x20, 5, 1<<32 - 1}, // mask, others
	} {
		acl = binary.LittleEndian.AppendUint16(acl, uint16(e[0]))
		acl = binary.LittleEndian.AppendUint16(acl, uint16(e[1]))
		acl = binary.LittleEndian.AppendUint32(acl, e[2])
	}
	for name, value := range map[string][]byte{
		"security.capability": capability, "system.posix_acl_access": acl, "trusted.portward": {1},
	} {
		dst := build(t)
		setXAttr(t, Layout(dst).Program("netchild"), name, value)
		if _, err := Verify(dst); err == nil || !strings.Contains(err.Error(), "netchild: extended attribute "+name) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// Rule: what the seal allows may be there, or not, with any value; nothing else,
// and on no other file.
func TestVerifyAllowsSealedXAttrs(t *testing.T) {
	dst := build(t)
	reseal(t, dst, func(e *Entry) {
		if e.Path == "Portward.app/Contents/MacOS/netchild" || e.Path == "Portward.app/Contents" {
			e.XAttrs = []string{"user.a", "user.b"}
		}
	})
	if _, err := Verify(dst); err != nil {
		t.Fatal(err)
	}
	setXAttr(t, Layout(dst).Program("netchild"), "user.b", []byte("any"))
	setXAttr(t, filepath.Join(dst, "Portward.app/Contents"), "user.a", nil)
	if _, err := Verify(dst); err != nil {
		t.Fatal(err)
	}
	setXAttr(t, Layout(dst).Program("netchild"), "user.c", nil)
	if _, err := Verify(dst); err == nil || !strings.Contains(err.Error(), "netchild: extended attribute user.c") {
		t.Fatal(err)
	}
	if err := unix.Removexattr(Layout(dst).Program("netchild"), "user.c"); err != nil {
		t.Fatal(err)
	}
	setXAttr(t, Layout(dst).Program("supervisor"), "user.a", nil)
	if _, err := Verify(dst); err == nil || !strings.Contains(err.Error(), "supervisor: extended attribute user.a") {
		t.Fatal(err)
	}
}

// Rule: the labels that the kernel gives every file are no reason to refuse one.
func TestSystemXAttrs(t *testing.T) {
	for name, want := range map[string]bool{
		"security.selinux": true, "security.ima": true, "security.evm": true,
		"security.capability": false, "security.selinux2": false, "user.security.ima": false, "com.apple.provenance": false,
	} {
		if got := isSystemXAttr(name); got != want {
			t.Errorf("%s: %v", name, got)
		}
	}
}
