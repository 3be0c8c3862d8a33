//go:build darwin || standin

package macos

type sessionSymbols struct {
	_ struct{} `lib:"/System/Library/Frameworks/SystemConfiguration.framework/SystemConfiguration"`

	SCDynamicStoreCreate    func(Ref, Ref, Ref, Ref) Ref
	SCDynamicStoreCopyValue func(Ref, Ref) Ref
}
