package bundle

import (
	"fmt"
	"slices"
	"strings"
	"testing"
)

// xattrJSON is a file's entry that allows these names, which are JSON.
func xattrJSON(names string) string {
	return strings.Replace(fileJSON("a"), `"type":"file"`, `"type":"file","xattrs":`+names, 1)
}

// Rule: a seal allows few names, in order, and none that the system obeys.
func TestParseSealRefusesXAttrs(t *testing.T) {
	nine := make([]string, 9)
	for i := range nine {
		nine[i] = fmt.Sprintf("%q", fmt.Sprint("user.", i))
	}
	for names, says := range map[string]string{
		`[]`:                                   "canonical",
		`null`:                                 "canonical",
		`"user.a"`:                             "cannot unmarshal",
		`[""]`:                                 "extended attribute",
		`["user a"]`:                           "extended attribute",
		`["user.ä"]`:                           "extended attribute",
		`["user.a\u0000"]`:                     "extended attribute",
		`["user.b","user.a"]`:                  "not sorted",
		`["user.a","user.a"]`:                  "not sorted",
		`[` + strings.Join(nine, ",") + `]`:    "9 extended attributes",
		`["` + strings.Repeat("x", 128) + `"]`: "extended attribute",
		`["security.capability"]`:              "the system's",
		`["security.selinux"]`:                 "the system's",
		`["system.posix_acl_access"]`:          "the system's",
		`["trusted.x"]`:                        "the system's",
		`["com.apple.quarantine"]`:             "the system's",
		`["com.apple.ResourceFork"]`:           "the system's",
	} {
		if _, err := ParseSeal([]byte(sealJSONOf(xattrJSON(names)))); err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("%s: got %v, want it to name %q", names, err, says)
		}
	}
	s, err := ParseSeal([]byte(sealJSONOf(xattrJSON(`["com.apple.cs.CodeSignature","user.a"]`))))
	if err != nil || len(s.Entries[0].XAttrs) != 2 {
		t.Fatalf("%+v, %v", s, err)
	}
}

// Rule: a list without a name has none.
func TestSplitXAttrs(t *testing.T) {
	for list, want := range map[string][]string{"": nil, "a\x00": {"a"}, "a\x00b\x00": {"a", "b"}} {
		if got := splitXAttrs(list); !slices.Equal(got, want) {
			t.Errorf("%q: %q", list, got)
		}
	}
}
