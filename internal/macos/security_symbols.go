//go:build darwin || standin

package macos

type securitySymbols struct {
	_ struct{} `lib:"/System/Library/Frameworks/Security.framework/Security"`

	kSecCodeInfoIdentifier     value
	kSecCodeInfoTeamIdentifier value
	kSecCodeInfoUnique         value

	SecStaticCodeCreateWithPath             func(Ref, uint32, *Ref) int32
	SecStaticCodeCheckValidityWithErrors    func(Ref, uint32, Ref, *Ref) int32
	SecRequirementCreateWithStringAndErrors func(Ref, uint32, *Ref, *Ref) int32
	SecRequirementCopyString                func(Ref, uint32, *Ref) int32
	SecCodeCopyDesignatedRequirement        func(Ref, uint32, *Ref) int32
	SecCodeCopySigningInformation           func(Ref, uint32, *Ref) int32
}
