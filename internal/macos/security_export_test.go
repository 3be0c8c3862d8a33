//go:build darwin || standin

package macos

// Verdict is what CheckStaticCode makes of an error.
func Verdict(err error) error { return verdict(err) }
