//go:build !linux

package bundle

// isSystemXAttr names what macOS 13 and later notes of who made a file.
//
// BUG(portward): access control lists of macOS are no extended attributes for
// listxattr(2), so that Verify does not see one.
func isSystemXAttr(name string) bool { return name == "com.apple.provenance" }
