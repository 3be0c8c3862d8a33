package sign

import (
	"bytes"
	"encoding/asn1"
	"fmt"
	"strings"
	"testing"

	"howett.net/plist"
)

// Rule: the DER form is byte for byte what codesign(1) makes of the same list
// (as others have recorded it).
func TestEntitlementsDER(t *testing.T) {
	for body, want := range map[string][]byte{
		"<key>key</key><false/>":               {112, 15, 2, 1, 1, 176, 10, 48, 8, 12, 3, 'k', 'e', 'y', 1, 1, 0},
		"<key>key</key><true/>":                {112, 15, 2, 1, 1, 176, 10, 48, 8, 12, 3, 'k', 'e', 'y', 1, 1, 255},
		"<key>key</key><integer>-1</integer>":  {112, 15, 2, 1, 1, 176, 10, 48, 8, 12, 3, 'k', 'e', 'y', 2, 1, 255},
		"<key>key</key><integer>42</integer>":  {112, 15, 2, 1, 1, 176, 10, 48, 8, 12, 3, 'k', 'e', 'y', 2, 1, 42},
		"<key>key</key><string/>":              {112, 14, 2, 1, 1, 176, 9, 48, 7, 12, 3, 'k', 'e', 'y', 12, 0},
		"<key>key</key><string>value</string>": {112, 19, 2, 1, 1, 176, 14, 48, 12, 12, 3, 'k', 'e', 'y', 12, 5, 'v', 'a', 'l', 'u', 'e'},
		"<key>key</key><array/>":               {112, 14, 2, 1, 1, 176, 9, 48, 7, 12, 3, 'k', 'e', 'y', 48, 0},
		"<key>key</key><dict/>":                {112, 14, 2, 1, 1, 176, 9, 48, 7, 12, 3, 'k', 'e', 'y', 176, 0},
		"<key>key</key><dict><key>inner</key><false/></dict>": {
			112, 26, 2, 1, 1, 176, 21, 48, 19, 12, 3, 'k', 'e', 'y', 176, 12, 48, 10, 12, 5, 'i', 'n', 'n', 'e', 'r', 1, 1, 0,
		},
		"<key>key</key><array><true/><string>foo</string></array>": {
			112, 22, 2, 1, 1, 176, 17, 48, 15, 12, 3, 'k', 'e', 'y', 48, 8, 1, 1, 255, 12, 3, 'f', 'o', 'o',
		},
		"<key>key3</key><integer>42</integer><key>key</key><false/><key>key2</key><true/>": {
			112, 37, 2, 1, 1, 176, 32, 48, 8, 12, 3, 'k', 'e', 'y', 1, 1, 0, 48, 9, 12, 4, 'k', 'e', 'y', '2', 1, 1, 255, 48, 9, 12, 4, 'k', 'e', 'y', '3', 2, 1, 42,
		},
	} {
		e, err := parseEntitlements(propertyList(body))
		if err != nil || !bytes.Equal(e.der, want) {
			t.Errorf("%s: %v, %v; want %v", body, e.der, err, want)
		}
	}
}

// Rule: long values have lengths of more than one byte.
func TestLongEntitlements(t *testing.T) {
	for _, n := range []int{127, 128, 255, 256, 60000} {
		e, err := parseEntitlements(propertyList("<key>k</key><string>" + strings.Repeat("x", n) + "</string>"))
		if err != nil {
			t.Fatal(err)
		}
		var outer, dict asn1.RawValue
		var version int
		var pair struct {
			Key, Value string `asn1:"utf8"`
		}
		rest, err := asn1.Unmarshal(e.der, &outer)
		if err != nil || len(rest) > 0 {
			t.Fatal(n, err)
		}
		if rest, err = asn1.Unmarshal(outer.Bytes, &version); err == nil {
			rest, err = asn1.Unmarshal(rest, &dict)
		}
		if err == nil && len(rest) == 0 {
			_, err = asn1.Unmarshal(dict.Bytes, &pair)
		}
		if err != nil || version != 1 || pair.Key != "k" || len(pair.Value) != n {
			t.Fatalf("%d: version %d, %q of %d bytes, %v", n, version, pair.Key, len(pair.Value), err)
		}
	}
}

// Rule: what is signed as XML is the same list, without what the kernel's
// reader does not bear.
func TestEntitlementsXML(t *testing.T) {
	e, err := parseEntitlements(propertyList("<!-- why --><key>b</key><true/>\n\n<key>a</key><true/>"))
	if err != nil {
		t.Fatal(err)
	}
	var got map[string]bool
	if _, err := plist.Unmarshal(e.xml, &got); err != nil || !got["a"] || !got["b"] || len(got) != 2 {
		t.Fatalf("%v, %v", got, err)
	}
	if bytes.Contains(e.xml, []byte("why")) || bytes.Contains(e.xml, []byte("\n\n")) {
		t.Fatalf("%s", e.xml)
	}
}

// Rule: what no form of entitlements can hold is refused by its name.
func TestUnfitEntitlements(t *testing.T) {
	for body, want := range map[string]string{
		"<key>k</key><real>1.5</real>":                                                                "float64",
		"<key>k</key><data>AA==</data>":                                                               "[]uint8",
		"<key>k</key><date>2020-01-01T00:00:00Z</date>":                                               "time.Time",
		"<key>k</key><integer>18446744073709551615</integer>":                                         "the number",
		"<key>k</key>" + strings.Repeat("<array>", 100) + strings.Repeat("</array>", 100):             "nested",
		"<key>k</key><string>" + strings.Repeat("x", maxEntitlements) + "</string>":                   "bytes of entitlements",
		"<key>k</key><string>unclosed":                                                                "entitlements:",
		"<key>k</key>" + strings.Repeat("<dict><key>k</key>", 2000) + strings.Repeat("</dict>", 2000): "entitlements:",
	} {
		_, err := parseEntitlements(propertyList(body))
		wantError(t, err, want)
	}
	_, err := parseEntitlements([]byte(`<plist version="1.0"><array/></plist>`))
	wantError(t, err, "not a dictionary")
	if e, err := parseEntitlements(propertyList("")); err != nil || e.xml != nil {
		t.Fatal("an empty list asks for nothing")
	}
}

func propertyList(body string) []byte {
	return fmt.Appendf(nil, `<?xml version="1.0" encoding="UTF-8"?><plist version="1.0"><dict>%s</dict></plist>`, body)
}

func FuzzEntitlements(f *testing.F) {
	f.Add(propertyList("<key>key</key><array><true/><string>foo</string><integer>300</integer></array>"))
	f.Fuzz(func(t *testing.T, text []byte) { parseEntitlements(text) })
}
