//go:build darwin || standin

package macos

import (
	"errors"
	"fmt"
	"sync"
	"unsafe"
)

var security = sync.OnceValues(need[securitySymbols])

// SecCSFlags, Security/SecStaticCode.h and SecCode.h.
const (
	kSecCSCheckAllArchitectures uint32 = 1 << 0
	kSecCSCheckNestedCode       uint32 = 1 << 3
	kSecCSStrictValidate        uint32 = 1 << 4
	kSecCSSigningInformation    uint32 = 1 << 1
)

// StaticCode is what the signature of code on disk says about it.
type StaticCode struct {
	Identifier            string
	TeamIdentifier        string // "" when ad hoc
	CDHash                []byte // of this system's processor
	DesignatedRequirement string
}

// ErrCondemned is in the error of CheckStaticCode where the system looked at the
// code and found fault with it, or with its signature.
var ErrCondemned = errors.New("condemned")

// A Status is an OSStatus other than 0.
type Status int32

func (s Status) Error() string { return fmt.Sprintf("OSStatus %d", int32(s)) }

// OSStatus, CSCommon.h. The errSecCS are a row, without holes but for one, from
// errSecCSUnimplemented, -67072; those before errSecCSUnsigned are about calls.
const (
	errSecCSUnsigned             Status = -67062
	errSecCSSignatureNotVerified Status = -67060 // "cannot be read"
	errSecCSInternalError        Status = -67048 // any exception that it does not know
	errSecCSHostReject           Status = -67047 // from here about hosts and guests
	errSecCSHostUnrelated        Status = -67039 // to here
	errSecCSDBDenied             Status = -67033
	errSecCSDBAccess             Status = -67032
	errSecCSDbCorrupt            Status = -67024
	errSecCSHelperFailed         Status = -67019
	errSecCSCancelled            Status = -67006
	errSecCSRevokedNotarization  Status = -66992 // the last of the row
)

// condemns says whether a status is a verdict on code. All others are the machine's:
// no memory (errSecAllocate), errno above 100000, a call of ours that was wrong, and
// what trust services say of a certificate at this hour (CSSMERR_TP).
func (s Status) condemns() bool {
	switch s {
	case errSecCSSignatureNotVerified, errSecCSInternalError, errSecCSDBDenied, errSecCSDBAccess,
		errSecCSDbCorrupt, errSecCSHelperFailed, errSecCSCancelled:
		return false
	}
	return s >= errSecCSUnsigned && s <= errSecCSRevokedNotarization && (s < errSecCSHostReject || s > errSecCSHostUnrelated)
}

// verdict puts ErrCondemned into an error whose status says so.
func verdict(err error) error {
	if status := Status(0); errors.As(err, &status) && status.condemns() {
		return fmt.Errorf("%w: %w", ErrCondemned, err)
	}
	return err
}

// CheckStaticCode is SecStaticCodeCheckValidityWithErrors, SecStaticCode.h,
// macOS 10.6: nil if the program or bundle at path is whole, for every
// processor, with its nested code, and satisfies the requirement. ErrCondemned: it is
// not; any other error says nothing of it.
func CheckStaticCode(path, requirement string) error {
	l, err := openSecurity()
	if err != nil {
		return err
	}
	defer l.release()
	rule, err := l.requirement(requirement)
	if err != nil {
		return err
	}
	code, err := l.code(path)
	if err != nil {
		return verdict(err)
	}
	const all = kSecCSCheckAllArchitectures | kSecCSCheckNestedCode | kSecCSStrictValidate
	var why Ref
	status := l.s.SecStaticCodeCheckValidityWithErrors(code, all, rule, &why)
	return verdict(l.fault(status, "checking "+path, why))
}

// ReadStaticCode is SecCodeCopySigningInformation and SecCodeCopyDesignated-
// Requirement, SecCode.h, macOS 10.6. It checks nothing.
func ReadStaticCode(path string) (StaticCode, error) {
	l, err := openSecurity()
	if err != nil {
		return StaticCode{}, err
	}
	defer l.release()
	code, err := l.code(path)
	if err != nil {
		return StaticCode{}, err
	}
	var info, rule, words Ref
	if err := l.fault(l.s.SecCodeCopySigningInformation(code, kSecCSSigningInformation, &info), "reading "+path, 0); err != nil {
		return StaticCode{}, err
	}
	l.own(info)
	if err := l.fault(l.s.SecCodeCopyDesignatedRequirement(code, 0, &rule), "designated requirement of "+path, 0); err != nil {
		return StaticCode{}, err
	}
	l.own(rule)
	if err := l.fault(l.s.SecRequirementCopyString(rule, 0, &words), "designated requirement of "+path, 0); err != nil {
		return StaticCode{}, err
	}
	l.own(words)
	return StaticCode{
		Identifier:            l.c.text(l.c.CFDictionaryGetValue(info, Ref(l.s.kSecCodeInfoIdentifier))),
		TeamIdentifier:        l.c.text(l.c.CFDictionaryGetValue(info, Ref(l.s.kSecCodeInfoTeamIdentifier))),
		CDHash:                l.c.data(l.c.CFDictionaryGetValue(info, Ref(l.s.kSecCodeInfoUnique))),
		DesignatedRequirement: l.c.text(words),
	}, nil
}

// A securityCall is one use of Security: what it owns is released together.
type securityCall struct {
	s     *securitySymbols
	c     *cfSymbols
	owned []Ref
}

func openSecurity() (*securityCall, error) {
	s, err := security()
	if err != nil {
		return nil, err
	}
	c, err := cf()
	return &securityCall{s: s, c: c}, err
}

func (l *securityCall) own(o Ref) { l.owned = append(l.owned, o) }

func (l *securityCall) release() {
	for _, o := range l.owned {
		CFRelease(o)
	}
}

func (l *securityCall) code(path string) (code Ref, err error) {
	url := l.c.CFURLCreateFromFileSystemRepresentation(0, unsafe.Pointer(unsafe.StringData(path)), int64(len(path)), false)
	if url == 0 {
		return 0, fmt.Errorf("opening %q: no file name", path)
	}
	l.own(url)
	status := l.s.SecStaticCodeCreateWithPath(url, 0, &code)
	l.own(code)
	return code, l.fault(status, "opening "+path, 0)
}

func (l *securityCall) requirement(words string) (rule Ref, err error) {
	s := l.c.cfString(words)
	if s == 0 {
		return 0, errors.New("requirement: not UTF-8")
	}
	l.own(s)
	var why Ref
	status := l.s.SecRequirementCreateWithStringAndErrors(s, 0, &why, &rule)
	l.own(rule)
	return rule, l.fault(status, "requirement", why)
}

// fault says what an OSStatus other than 0 and its CFError mean. It owns the error.
func (l *securityCall) fault(status int32, doing string, why Ref) error {
	l.own(why)
	if status == 0 {
		return nil
	}
	if why == 0 {
		return fmt.Errorf("%s: %w", doing, Status(status))
	}
	words := l.c.CFErrorCopyDescription(why)
	l.own(words)
	return fmt.Errorf("%s: %w: %s", doing, Status(status), l.c.text(words))
}
