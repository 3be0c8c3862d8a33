package requirement

import (
	"encoding/hex"
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/sassoftware/relic/v8/lib/fruit/csblob"
)

const digest = `H"0123456789abcdef0123456789abcdef01234567"`

// Rule: what Apple's grammar does not say is refused, with the place.
func TestParseRefuses(t *testing.T) {
	for name, text := range map[string]string{
		"nothing":                 "",
		"space":                   " \t\n",
		"carriage return":         "always\r\n",
		"no UTF-8":                "identifier \"\xff\"",
		"two conditions":          "always never",
		"half an and":             "always and",
		"half an or":              "or always",
		"open parenthesis":        "(always",
		"closed parenthesis":      "always)",
		"empty parentheses":       "()",
		"not nothing":             "!",
		"identifier with digit":   "identifier 1a",
		"identifier with hyphen":  "identifier com.example.a-b",
		"keyword as identifier":   "identifier anchor",
		"open quotes":             `identifier "a`,
		"backslash":               `identifier "a\b"`,
		"escaped backslash":       `identifier "a\\"`,
		"newline in quotes":       "identifier \"a\nb\"",
		"short digest":            `cdhash H"0123"`,
		"odd digest":              `cdhash H"012"`,
		"open digest":             `cdhash H"0123`,
		"no hex digest":           `cdhash H"0g"`,
		"hex for a digest":        "cdhash 0x0123456789abcdef0123456789abcdef01234567",
		"platform without number": "platform = x",
		"platform too large":      "platform = 99999999999999999999",
		"negative platform":       "platform = -1",
		"unknown word":            "signed",
		"open bracket":            "info[a",
		"no key":                  "info[]",
		"info without brackets":   `info "a"`,
		"comparison with nothing": "info[a] =",
		"time without quotes":     "info[a] = timestamp 20200101000000Z",
		"no time":                 `info[a] = timestamp "20201301000000Z"`,
		"slot by name":            "certificate first[subject.CN]",
		"certificate file":        "certificate leaf = /etc/cert",
		"unknown field":           "certificate leaf[issuer.CN]",
		"bare subject":            "certificate leaf[subject]",
		"no OID":                  `certificate leaf["field.x"]`,
		"short OID":               "certificate leaf[field.1]",
		"impossible OID":          "certificate leaf[field.1.40.1]",
		"huge OID":                "certificate leaf[field.1.2.99999999999]",
		"open comment":            "always /* never",
		"set of requirements":     "designated => always",
		"too long":                strings.Repeat(" ", maxText) + "always",
		"too many parentheses":    strings.Repeat("(", 100000) + "always",
		"too many nots":           strings.Repeat("!", 10000) + "always",
		"too long a chain":        "always" + strings.Repeat(" or always", maxDepth),
	} {
		if r, err := Parse(text); err == nil {
			t.Errorf("%s: read as %v", name, r)
		} else if len(err.Error()) > 400 {
			t.Errorf("%s: an error of %d bytes", name, len(err.Error()))
		}
	}
}

// Rule: text and blob are two forms of one thing, and the canonical text is
// fixed.
func TestCanonicalText(t *testing.T) {
	for text, want := range map[string]string{
		"always":                              "always",
		"true; ;":                             "always",
		"false # no":                          "never",
		"identifier com.example.a":            `identifier "com.example.a"`,
		`identifier = "a \"b\""`:              `identifier "a \"b\""`,
		"identifier == /* x */ a // y":        `identifier "a"`,
		"a":                                   "",
		"(a)":                                 `("a")`,
		`("leaf")`:                            `("leaf")`,
		"(always)":                            "always",
		"cdhash " + digest:                    "cdhash " + digest,
		"cdhash = " + digest:                  "cdhash " + digest,
		"platform 7":                          "platform = 7",
		"notarized and legacy":                "notarized and legacy",
		"anchor apple":                        "anchor apple",
		"anchor apple generic":                "anchor apple generic",
		"anchor generic apple":                "anchor apple generic",
		"anchor apple thing":                  `anchor apple "thing"`,
		"anchor trusted":                      "anchor trusted",
		"cert trusted":                        "anchor trusted",
		"certificate 2 trusted":               "certificate 2 trusted",
		"certificate -1 = " + digest:          "certificate root = " + digest,
		"anchor " + digest:                    "certificate root = " + digest,
		"anchor[subject.CN] = x":              `certificate root[subject.CN] = "x"`,
		"certificate 0[subject.OU]":           "certificate leaf[subject.OU] exists",
		`cert -2["subject.O"] absent`:         "certificate -2[subject.O] absent",
		"certificate 1[field.1.2.840.113635]": "certificate 1[field.1.2.840.113635] exists",
		"certificate 1[extension.2.999.3]":    "certificate 1[field.2.999.3] exists",
		"certificate 1[policy.2.5.29.32.0]":   "certificate 1[policy.2.5.29.32.0] exists",
		`cert leaf[timestamp.1.2.3] > timestamp "20200101000000Z"`: `certificate leaf[timestamp.1.2.3] > timestamp "20200101000000Z"`,
		"info[a]":                         `info["a"] exists`,
		"info[a] = *b*":                   `info["a"] ~ "b"`,
		"info[a] = *b":                    `info["a"] = *"b"`,
		"info[a] == b*":                   `info["a"] = "b"*`,
		"info[a] ~ b":                     `info["a"] ~ "b"`,
		"info[a] < b":                     `info["a"] < "b"`,
		"info[a] > 0x00ff":                `info["a"] > 0x00ff`,
		"info[a] <= 0x6162":               `info["a"] <= "ab"`,
		`info[a] >= ""`:                   `info["a"] >= ""`,
		`entitlement["com.x.y-z"] exists`: `entitlement["com.x.y-z"] exists`,
		"!always":                         "! always",
		"!!always":                        "! ! always",
		"!(always and never)":             "! (always and never)",
		"!always and never":               "! always and never",
		"always or never and always":      "always or never and always",
		"(always or never) and always":    "(always or never) and always",
		"always and (never and always)":   "always and (never and always)",
		"(always and never) and always":   "always and never and always",
		"always or (never or always)":     "always or (never or always)",
	} {
		r, err := Parse(text)
		if want == "" {
			if err == nil {
				t.Errorf("%s: read as %v", text, r)
			}
			continue
		}
		if err != nil {
			t.Error(err)
			continue
		}
		if r.String() != want {
			t.Errorf("%s is %s, want %s", text, r, want)
		}
		same(t, r)
	}
}

// same says that both forms of r read back to r.
func same(t *testing.T, r *Requirement) {
	t.Helper()
	blob := r.Binary()
	again, err := ParseBinary(blob)
	if err != nil {
		t.Fatalf("%v: %v", r, err)
	}
	text, err := Parse(r.String())
	if err != nil {
		t.Fatal(err)
	}
	if again.String() != r.String() {
		t.Errorf("%v comes back from its blob as %v", r, again)
	}
	if !slices.Equal(again.Binary(), blob) {
		t.Errorf("%v: blob %x comes back as %x", r, blob, again.Binary())
	}
	if text.String() != r.String() {
		t.Errorf("%v comes back from its text as %v", r, text)
	}
}

// Rule: the blob is Apple's, byte for byte. The hex is the designated
// requirement that Apple's codesign writes for "identifier com.apple.ls and
// anchor apple".
func TestBinaryIsApples(t *testing.T) {
	r, err := Parse("identifier com.apple.ls and anchor apple")
	if err != nil {
		t.Fatal(err)
	}
	const want = "fade0c00" + "00000028" + "00000001" + "00000006" + "00000002" + "0000000c" + "636f6d2e6170706c652e6c73" + "00000003"
	if got := hex.EncodeToString(r.Binary()); got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	const set = "fade0c01" + "0000003c" + "00000001" + "00000003" + "00000014"
	if got := hex.EncodeToString(Set(r.Binary())); got != set+want {
		t.Errorf("set %s", got)
	}
}

// Rule: somebody who did not write our blobs reads the same out of them.
func TestBinaryReadByOthers(t *testing.T) {
	for text, want := range map[string]string{
		ForPeers("TEAM123456", "dev.portward.a", "dev.portward.b-c"): `anchor apple generic and (identifier "dev.portward.a" or identifier "dev.portward.b-c") and certificate 1[field.1.2.840.113635.100.6.2.6] /* exists */ and certificate leaf[field.1.2.840.113635.100.6.1.13] /* exists */ and certificate leaf[subject.OU] = TEAM123456`,
		`info["CFBundleVersion"] >= "1.2" and ! cdhash ` + digest:    `info[CFBundleVersion] >= "1.2" and ! cdhash ` + digest,
	} {
		r, err := Parse(text)
		if err != nil {
			t.Fatal(err)
		}
		got, err := (&csblob.Requirement{Raw: r.Binary()[8:]}).Format()
		if err != nil {
			t.Fatal(err)
		}
		if got != want {
			t.Errorf("relic reads\n%s, want\n%s", got, want)
		}
	}
}

// Rule: a blob that is anything but the one encoding of a text is refused.
func TestParseBinaryRefuses(t *testing.T) {
	r, err := Parse(`identifier "abc" and cdhash ` + digest)
	if err != nil {
		t.Fatal(err)
	}
	good := r.Binary()
	for n := range good {
		if _, err := ParseBinary(good[:n]); err == nil {
			t.Errorf("cut to %d bytes: read", n)
		}
	}
	for name, blob := range map[string]string{
		"longer":              hex.EncodeToString(append(slices.Clone(good), 0, 0, 0, 0)),
		"wrong magic":         "fade0c01" + "00000010" + "00000001" + "00000001",
		"lightweight":         "fade0c00" + "00000010" + "00000002" + "00000001",
		"kind 0":              "fade0c00" + "00000010" + "00000000" + "00000001",
		"no expression":       "fade0c00" + "0000000c" + "00000001",
		"unknown operation":   "fade0c00" + "00000010" + "00000001" + "00000018",
		"flagged operation":   "fade0c00" + "00000010" + "00000001" + "80000001",
		"skippable operation": "fade0c00" + "00000018" + "00000001" + "40000077" + "00000000" + "00000001",
		"trailing expression": "fade0c00" + "00000014" + "00000001" + "00000001" + "00000001",
		"padding":             "fade0c00" + "00000018" + "00000001" + "00000002" + "00000001" + "61000001",
		"huge word":           "fade0c00" + "00000018" + "00000001" + "00000002" + "ffffffff" + "61000000",
		"backslash":           "fade0c00" + "00000018" + "00000001" + "00000002" + "00000001" + "5c000000",
		"short digest":        "fade0c00" + "00000018" + "00000001" + "00000008" + "00000001" + "5c000000",
		"no OID":              "fade0c00" + "00000020" + "00000001" + "0000000e" + "00000000" + "00000001" + "80000000" + "00000000",
		"unknown match":       "fade0c00" + "0000001c" + "00000001" + "0000000a" + "00000001" + "61000000" + "0000000f",
	} {
		data, err := hex.DecodeString(blob)
		if err != nil {
			t.Fatal(err)
		}
		if r, err := ParseBinary(data); err == nil {
			t.Errorf("%s: read as %v", name, r)
		}
	}
	deep := &term{op: opTrue}
	for range maxDepth {
		deep = &term{op: opNot, left: deep}
	}
	if _, err := ParseBinary(encode(deep)); !errors.Is(err, errTooDeep) {
		t.Errorf("%d levels: %v", maxDepth+1, err)
	}
}

// Rule: a set's index does not lie, overlap or leave anything out.
func TestParseSet(t *testing.T) {
	r, _ := Parse(`identifier "a"`)
	good := Set(r.Binary())
	set, err := ParseSet(good)
	if err != nil || len(set) != 1 || set[Designated].String() != r.String() {
		t.Fatalf("%v, %v", set, err)
	}
	if set, err := ParseSet(Set(nil)); err != nil || len(set) != 0 {
		t.Errorf("empty: %v, %v", set, err)
	}
	for i := range 20 { // of the head, each byte counts but the type's first three
		bad := slices.Clone(good)
		bad[i] ^= 0xff
		set, err := ParseSet(bad)
		if err == nil && (i < 12 || i > 15 || set[Designated] != nil) {
			t.Errorf("byte %d changed: %v", i, set)
		}
	}
	twice := "fade0c01" + "00000030" + "00000002" + "00000003" + "0000001c" + "00000003" + "0000001c" + "fade0c00" + "00000010" + "00000001" + "00000001"
	data, _ := hex.DecodeString(twice)
	data = append(data, make([]byte, 48-len(data))...)
	if set, err := ParseSet(data); err == nil {
		t.Errorf("two entries for one blob: %v", set)
	}
}

// Rule: what ForPeers says can be read, holds no more than it was given, and
// is "never" for words that would break out of it.
func TestForPeers(t *testing.T) {
	for _, text := range []string{
		ForPeers("", "a"), ForPeers("T"), ForPeers("T", ""), ForPeers("T", "a", ""), ForPeers("T\\", "a"), ForPeers("T", "a\n"),
	} {
		if text != "never" {
			t.Errorf("%s", text)
		}
	}
	for _, text := range []string{ForPeers("T", "a"), ForPeers(`" or always`, `" or always or "`), ForPeers("T", "a", "b", "c")} {
		r, err := Parse(text)
		if err != nil {
			t.Fatal(err)
		}
		if r.String() != text {
			t.Errorf("%s is %s", text, r)
		}
		if err := r.Eval(Subject{Identifier: "a"}); err == nil {
			t.Errorf("%s: an ad hoc signature will do", text)
		}
		same(t, r)
	}
	const want = `anchor apple generic and identifier "a" and certificate 1[field.1.2.840.113635.100.6.2.6] exists and certificate leaf[field.1.2.840.113635.100.6.1.13] exists and certificate leaf[subject.OU] = "T"`
	if got := ForPeers("T", "a"); got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

func FuzzParse(f *testing.F) {
	for _, s := range []string{"always", ForPeers("T", "a", "b"), `!info["a"] = *0x00* or cert -2[timestamp.1.2.3] <= timestamp "20200101000000Z"`, `("x") and cdhash ` + digest} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		r, err := Parse(text)
		if err != nil {
			return
		}
		same(t, r)
		_ = r.Eval(Subject{})
	})
}

func FuzzParseBinary(f *testing.F) {
	for _, s := range []string{"always", ForPeers("T", "a", "b"), `!info["a"] = *0x00* or cert -2[timestamp.1.2.3] <= timestamp "20200101000000Z"`, `("x") and cdhash ` + digest} {
		r, err := Parse(s)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(r.Binary())
		f.Add(Set(r.Binary()))
	}
	f.Fuzz(func(t *testing.T, blob []byte) {
		if set, err := ParseSet(blob); err == nil {
			for _, r := range set {
				same(t, r)
			}
		}
		r, err := ParseBinary(blob)
		if err != nil {
			return
		}
		if r.root.contains(opInfoKeyValue) { // an old operation, read but written anew
			return
		}
		if !slices.Equal(r.Binary(), blob) {
			t.Fatalf("%x comes back as %x", blob, r.Binary())
		}
		same(t, r)
		_ = r.Eval(Subject{Identifier: "x"})
	})
}

func (t *term) contains(op opcode) bool {
	return t != nil && (t.op == op || t.left.contains(op) || t.right.contains(op))
}
