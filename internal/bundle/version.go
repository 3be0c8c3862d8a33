package bundle

import (
	"regexp"
	"strings"

	"golang.org/x/mod/semver"
)

// Compare orders two versions, -1, 0 or +1, as Semantic Versioning does: a
// pre-release comes before its release, and what follows a "+" does not count.
// What is no such version comes before all that are, in the order of its bytes:
// a build of somebody's own is never newer than a release.
func Compare(a, b string) int {
	va, vb := "v"+a, "v"+b
	switch okA, okB := semver.IsValid(va), semver.IsValid(vb); {
	case okA && okB:
		return semver.Compare(va, vb)
	case okA:
		return 1
	case okB:
		return -1
	}
	return strings.Compare(a, b)
}

var leadingNumber = regexp.MustCompile(`^[0-9]{1,9}(\.[0-9]{1,9}){0,2}`)

// dottedNumber is a version as macOS wants one, of up to three numbers: 1.2.3-rc.1
// is 1.2.3, as its release will be, and a build of somebody's own is 0. Nothing of
// ours compares these.
func dottedNumber(version string) string {
	if !semver.IsValid("v" + version) {
		return "0"
	}
	return leadingNumber.FindString(version)
}
