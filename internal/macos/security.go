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

// CheckStaticCode is SecStaticCodeCheckValidityWithErrors, SecStaticCode.h,
// macOS 10.6: nil if the program or bundle at path is whole, for every
// processor, with its nested code, and satisfies the requirement.
func CheckStaticCode(path, requirement string) error {
	l, err := openSecurity()
	if err != nil {
		return err
	}
	defer l.release()
	code, err := l.code(path)
	if err != nil {
		return err
	}
	rule, err := l.requirement(requirement)
	if err != nil {
		return err
	}
	const all = kSecCSCheckAllArchitectures | kSecCSCheckNestedCode | kSecCSStrictValidate
	var why Ref
	status := l.s.SecStaticCodeCheckValidityWithErrors(code, all, rule, &why)
	return l.fault(status, "checking "+path, why)
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
		return fmt.Errorf("%s: OSStatus %d", doing, status)
	}
	words := l.c.CFErrorCopyDescription(why)
	l.own(words)
	return fmt.Errorf("%s: OSStatus %d: %s", doing, status, l.c.text(words))
}
