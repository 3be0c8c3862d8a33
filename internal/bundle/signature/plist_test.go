package signature

import (
	"fmt"
	"reflect"
	"strings"
	"testing"
)

const plistHead = `<?xml version="1.0" encoding="UTF-8"?>
<!DOCTYPE plist PUBLIC "-//Apple//DTD PLIST 1.0//EN" "http://www.apple.com/DTDs/PropertyList-1.0.dtd">
`

func inPlist(body string) string {
	return plistHead + `<plist version="1.0"><dict>` + body + "</dict></plist>\n"
}

// Rule: a property list that two readers could take for two things, or that
// would lead a reader astray, is refused.
func TestHostilePlists(t *testing.T) {
	deep := func(n int) string {
		return inPlist("<key>a</key>" + strings.Repeat("<array>", n) + strings.Repeat("</array>", n))
	}
	for name, text := range map[string]string{
		"nothing":             "",
		"binary":              "bplist00\xd0\x08\x00\x00\x00\x00\x00\x00\x01\x01",
		"old form":            `{ a = "b"; }`,
		"JSON":                `{"a": "b"}`,
		"no end":              strings.TrimSuffix(inPlist(""), "</plist>\n"),
		"entity":              strings.Replace(inPlist("<key>a</key><string>&x;</string>"), ".dtd\">", ".dtd\" [<!ENTITY x \"y\">]>", 1),
		"entity unused":       strings.Replace(inPlist(""), ".dtd\">", ".dtd\" [<!ENTITY x SYSTEM \"file:///etc/passwd\">]>", 1),
		"unknown entity":      inPlist("<key>a</key><string>&nbsp;</string>"),
		"billion laughs":      `<!DOCTYPE plist [<!ENTITY a "ha"><!ENTITY b "&a;&a;">]><plist><dict><key>&b;</key><true/></dict></plist>`,
		"10,000 levels":       deep(10000),
		"10,000,000 levels":   inPlist("<key>a</key>" + strings.Repeat("<array>", 1000000)),
		"33 levels":           deep(maxPlistDepth),
		"key twice":           inPlist("<key>a</key><true/><key>a</key><false/>"),
		"key twice, spelled":  inPlist("<key>a</key><true/><key>&#97;</key><false/>"),
		"key without a value": inPlist("<key>a</key>"),
		"two keys":            inPlist("<key>a</key><key>b</key><true/>"),
		"value without a key": inPlist("<true/>"),
		"element in a string": inPlist("<key>a</key><string>x<b>y</b></string>"),
		"comment in a string": inPlist("<key>a</key><string>x<!-- y -->z</string>"),
		"comment in a key":    inPlist("<key>a<!-- y --></key><true/>"),
		"text in a dict":      inPlist("text"),
		"text in a truth":     inPlist("<key>a</key><true>false</true>"),
		"unknown element":     inPlist("<key>a</key><ustring/>"),
		"attribute":           inPlist(`<key>a</key><string id="x"/>`),
		"name space":          inPlist(`<key>a</key><x:string xmlns:x="y"/>`),
		"two values":          plistHead + "<plist><dict/><dict/></plist>",
		"two lists":           plistHead + "<plist><dict/></plist><plist><dict/></plist>",
		"array at the top":    plistHead + "<plist><array/></plist>",
		"empty":               plistHead + "<plist/>",
		"dict at the top":     plistHead + "<dict/>",
		"other encoding":      `<?xml version="1.0" encoding="UTF-16"?><plist><dict/></plist>`,
		"no UTF-8":            inPlist("<key>a</key><string>\xff</string>"),
		"no number":           inPlist("<key>a</key><integer>x</integer>"),
		"empty number":        inPlist("<key>a</key><integer/>"),
		"no base64":           inPlist("<key>a</key><data>!</data>"),
		"no date":             inPlist("<key>a</key><date>today</date>"),
		"instruction":         inPlist(`<?php x ?>`),
		"second declaration":  inPlist(`<!DOCTYPE plist PUBLIC "x">`),
		"huge":                inPlist(strings.Repeat(" ", maxPlist)),
	} {
		if v, err := parsePlist([]byte(text)); err == nil {
			t.Errorf("%s: read as %v", name, v)
		} else if len(err.Error()) > 500 {
			t.Errorf("%s: an error of %d bytes", name, len(err.Error()))
		}
	}
}

// Rule: what is honest is read.
func TestParsePlist(t *testing.T) {
	got, err := parsePlist([]byte(inPlist(`<!-- c --><key>a &amp; b</key><string>x &#60; y</string>
<key>t</key><true/><key>n</key><integer>5</integer><key>d</key><data>AAEC</data><key>l</key><array><dict/><string/></array>`)))
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]any{
		"a & b": "x < y", "t": true, "n": uint64(5), "d": []byte{0, 1, 2}, "l": []any{map[string]any{}, ""},
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got %#v", got)
	}
}

const hash32 = "<data>AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=</data>"

func inResources(rules, files string) string {
	return inPlist("<key>rules2</key><dict><key>^.*</key><true/>" + rules + "</dict><key>files2</key><dict>" + files + "</dict>")
}

// Rule: CodeResources lists files inside, each once and as one thing, by rules
// that leave none out.
func TestHostileResources(t *testing.T) {
	file := func(name string) string { return "<key>" + name + "</key><dict><key>hash2</key>" + hash32 + "</dict>" }
	entry := func(body string) string { return inResources("", "<key>a</key>"+body) }
	rule := func(pattern, body string) string { return inResources("<key>"+pattern+"</key>"+body, "") }
	if _, err := parseResources([]byte(inResources("", file("a")+file("b/c")))); err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string]string{
		"empty":               inPlist(""),
		"old only":            inPlist("<key>rules</key><dict/><key>files</key><dict/>"),
		"of the wrong kinds":  inPlist("<key>rules2</key><array/><key>files2</key><string/>"),
		"outside":             inResources("", file("../a")),
		"outside, later":      inResources("", file("a/../../b")),
		"absolute":            inResources("", file("/etc/passwd")),
		"nothing":             inResources("", file("")),
		"itself":              inResources("", file(".")),
		"unclean":             inResources("", file("a//b")),
		"a directory":         inResources("", file("a/")),
		"backslash":           inResources("", file(`a\b`)),
		"long":                inResources("", file(strings.Repeat("a", maxName+1))),
		"only case differs":   inResources("", file("a")+file("A")),
		"a hash of SHA-1":     entry("<data>AAAAAAAAAAAAAAAAAAAAAAAAAAA=</data>"),
		"no hash":             entry("<dict/>"),
		"short hash":          entry("<dict><key>hash2</key><data>AAAA</data></dict>"),
		"SHA-1 only":          entry("<dict><key>hash</key><data>AAAA</data></dict>"),
		"hash and link":       entry("<dict><key>hash2</key>" + hash32 + "<key>symlink</key><string>b</string></dict>"),
		"hash and program":    entry("<dict><key>hash2</key>" + hash32 + "<key>requirement</key><string>always</string></dict>"),
		"cdhash of a file":    entry("<dict><key>hash2</key>" + hash32 + "<key>cdhash</key><data>AAAAAAAAAAAAAAAAAAAAAAAAAAA=</data></dict>"),
		"unknown word":        entry("<dict><key>hash2</key>" + hash32 + "<key>skip</key><true/></dict>"),
		"optional as a text":  entry("<dict><key>hash2</key>" + hash32 + "<key>optional</key><string>no</string></dict>"),
		"no rule for all":     inPlist("<key>rules2</key><dict/><key>files2</key><dict/>"),
		"no file at all":      inPlist("<key>rules2</key><dict><key>^.*</key><false/></dict><key>files2</key><dict/>"),
		"not a pattern":       rule("(", "<true/>"),
		"pattern of 1000s":    rule("(a{1000}){1000}", "<true/>"),
		"long pattern":        rule(strings.Repeat("a", maxPattern+1), "<true/>"),
		"rule of a text":      rule("^a", "<string>x</string>"),
		"unknown instruction": rule("^a", "<dict><key>ignore</key><true/></dict>"),
		"weight as a text":    rule("^a", "<dict><key>weight</key><string>5</string></dict>"),
		"negative weight":     rule("^a", "<dict><key>weight</key><integer>-5</integer></dict>"),
		"10,000 levels":       inResources("", "<key>a</key>"+strings.Repeat("<dict><key>a</key>", 10000)),
	} {
		if r, err := parseResources([]byte(text)); err == nil {
			t.Errorf("%s: read as %v", name, r)
		}
	}
}

// Rule: of the rules that match the heaviest counts; a tie is nobody's.
func TestRules(t *testing.T) {
	r, err := parseResources([]byte(inResources(
		`<key>^MacOS/</key><dict><key>nested</key><true/><key>weight</key><integer>10</integer></dict>`+
			`<key>^Resources/</key><dict><key>weight</key><real>20</real></dict>`+
			`<key>^tie</key><dict><key>nested</key><true/></dict>`+
			`<key>^Info\.plist$</key><dict><key>omit</key><true/><key>weight</key><integer>20</integer></dict>`, "")))
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]string{
		"MacOS/a": "nested", "Resources/MacOS/a": "file", "Info.plist": "omit", "Info.plist2": "file", "tie": "error", "x": "file",
	} {
		rule, err := r.ruleFor(name)
		got := "file"
		switch {
		case err != nil:
			got = "error"
		case rule.omit:
			got = "omit"
		case rule.nested:
			got = "nested"
		}
		if got != want {
			t.Errorf("%s: %s, want %s", name, got, want)
		}
	}
	if weak := r.weak(); weak != "" {
		t.Errorf("weak: %s", weak)
	}
	for pattern, want := range map[string]bool{`^Resources/tuf/`: true, `^PkgInfo$`: false, `^(.*/)?\.DS_Store$`: false} {
		r, err := parseResources([]byte(inResources(fmt.Sprintf("<key>%s</key><dict><key>omit</key><true/></dict>", pattern), "")))
		if err != nil || (r.weak() != "") != want {
			t.Errorf("%s: weak %q, %v", pattern, r.weak(), err)
		}
	}
}

func FuzzResources(f *testing.F) {
	f.Add([]byte(inResources(`<key>^MacOS/</key><dict><key>nested</key><true/><key>weight</key><integer>10</integer></dict>`,
		"<key>a</key><dict><key>hash2</key>"+hash32+"</dict><key>l</key><dict><key>symlink</key><string>a</string><key>optional</key><true/></dict>")))
	f.Add([]byte(infoPlist))
	f.Add([]byte(inPlist("<key>a</key><real>1e5</real><key>b</key><date>2020-01-01T00:00:00Z</date>")))
	f.Fuzz(func(t *testing.T, data []byte) {
		_, _ = parsePlist(data)
		_, _ = mainProgram(data)
		r, err := parseResources(data)
		if err != nil {
			return
		}
		for name := range r.files {
			_, _ = r.ruleFor(name)
			if strings.HasPrefix(name, "/") || strings.Contains(name, "..//") {
				t.Errorf("%q", name)
			}
		}
	})
}
