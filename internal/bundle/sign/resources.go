package sign

import (
	"bytes"
	"crypto/sha1"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"os"
	"regexp"
	"strings"
	"syscall"

	"howett.net/plist"

	"portward/internal/bundle/requirement"
)

// A rule says what becomes of the files whose paths, from Contents, match. Of
// several the weightiest counts.
type rule struct {
	pattern string
	weight  float64
	is      ruling
}

type ruling int

const (
	sealed   ruling = iota // hashed
	optional               // hashed, and may be missing
	nested                 // code with a signature of its own
	omitted                // not looked at
)

// rulesV2 are those that codesign(1) writes for an application (Security,
// BundleDiskRep::defaultResourceRules). Strict validation refuses any other
// omission (SecStaticCode::hasWeakResourceRules).
func rulesV2() []rule {
	return []rule{
		{"^.*", 1, sealed},
		{"^[^/]+$", 10, nested},
		{"^(Frameworks|SharedFrameworks|PlugIns|Plug-ins|XPCServices|Helpers|MacOS|Library/(Automator|Spotlight|LoginItems))/", 10, nested},
		{`.*\.dSYM($|/)`, 11, sealed},
		{`^(.*/)?\.DS_Store$`, 2000, omitted},
		{`^Info\.plist$`, 20, omitted}, // it has a slot of its own
		{`^version\.plist$`, 20, sealed},
		{`^embedded\.provisionprofile$`, 20, sealed},
		{`^PkgInfo$`, 20, omitted},
		{"^Resources/", 20, sealed},
		{`^Resources/.*\.lproj/`, 1000, optional},
		{`^Resources/Base\.lproj/`, 1010, sealed},
		{`^Resources/.*\.lproj/locversion.plist$`, 1100, omitted},
	}
}

// rulesV1 are for what cannot read the others.
func rulesV1() []rule {
	return []rule{
		{"^version.plist$", 1, sealed},
		{"^Resources/", 1, sealed},
		{`^Resources/.*\.lproj/`, 1000, optional},
		{`^Resources/Base\.lproj/`, 1010, sealed},
		{`^Resources/.*\.lproj/locversion.plist$`, 1100, omitted},
	}
}

// isExcluded says whether Apple leaves a path out whatever the rules say: the
// signature's own directory, the store's receipts, a notary's ticket.
func isExcluded(path string) bool {
	return strings.HasPrefix(path, "_CodeSignature/") || strings.HasPrefix(path, "_MASReceipt/") || path == "CodeResources"
}

// A rulebook is rules ready to be asked.
type rulebook struct {
	rules    []rule
	patterns []*regexp.Regexp
}

func newRulebook(rules []rule) *rulebook {
	b := &rulebook{rules: rules}
	for _, r := range rules {
		b.patterns = append(b.patterns, regexp.MustCompile(r.pattern))
	}
	return b
}

// of answers what becomes of a path; without a rule it is not looked at.
func (b *rulebook) of(path string) ruling {
	is, weight := omitted, 0.0
	for i, r := range b.rules {
		if r.weight > weight && b.patterns[i].MatchString(path) {
			is, weight = r.is, r.weight
		}
	}
	return is
}

// plist answers the rules as CodeResources has them.
func (b *rulebook) plist() map[string]any {
	out := map[string]any{}
	for _, r := range b.rules {
		if r.weight == 1 && r.is == sealed {
			out[r.pattern] = true
			continue
		}
		entry := map[string]any{"weight": r.weight}
		if name := [...]string{optional: "optional", nested: "nested", omitted: "omit"}[r.is]; name != "" {
			entry[name] = true
		}
		out[r.pattern] = entry
	}
	return out
}

// resources answers the file CodeResources: a hash of every plain file, and of
// each nested program its own signature's hash and what it must satisfy.
func (b *signer) resources() ([]byte, error) {
	v1 := newRulebook(rulesV1())
	files1, files2 := map[string]any{}, map[string]any{}
	for _, path := range b.plain {
		old, sum, err := hashIn(b.root, path)
		if err != nil {
			return nil, err
		}
		files2[path] = sealEntry(b.rules.of(path), "hash2", sum)
		switch is := v1.of(path); is {
		case sealed:
			files1[path] = old
		case optional:
			files1[path] = sealEntry(is, "hash", old)
		}
	}
	for path, p := range b.signed {
		text, err := p.bound()
		if err != nil {
			return nil, fmt.Errorf("%s: %w", fromBundle(path), err)
		}
		files2[path] = map[string]any{"cdhash": p.cdhashes[0], "requirement": text}
	}
	data, err := plist.MarshalIndent(map[string]any{
		"files": files1, "files2": files2, "rules": v1.plist(), "rules2": b.rules.plist(),
	}, plist.XMLFormat, "\t")
	if err != nil {
		return nil, err
	}
	return append(bytes.TrimRight(data, "\n"), '\n'), nil
}

func sealEntry(is ruling, name string, sum []byte) map[string]any {
	entry := map[string]any{name: sum}
	if is == optional {
		entry["optional"] = true
	}
	return entry
}

// hashIn reads a file of the bundle, which is nothing but a file: visit has seen that
// by its entry, and so followed no link, as an os.Root would.
func hashIn(root *os.Root, path string) (old, sum []byte, err error) {
	f, err := root.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return nil, nil, err
	}
	defer f.Close()
	h1, h2 := sha1.New(), sha256.New()
	n, err := io.Copy(io.MultiWriter(h1, h2), io.LimitReader(f, maxFile+1))
	if err == nil && n > maxFile {
		err = fmt.Errorf("%s: more than %d bytes", path, int64(maxFile))
	}
	return h1.Sum(nil), h2.Sum(nil), err
}

// bound answers what a bundle asks of the program: that it is this one. There is
// room for one hash beside the requirement, so those of all processors are in it:
// Apple's tools write who signed only, and an older program of the same signer's
// may stand there for every processor but one.
func (p *program) bound() (string, error) {
	if p.requirement == ofHashes(p.cdhashes) {
		return p.requirement, nil
	}
	r, err := requirement.Parse("(" + p.requirement + ") and (" + ofHashes(p.cdhashes) + ")")
	if err != nil {
		return "", err
	}
	return r.String(), nil
}

// ofHashes is the requirement of one of these programs, whoever signed it.
func ofHashes(cdhashes [][]byte) string {
	var terms []string
	for _, h := range cdhashes {
		terms = append(terms, fmt.Sprintf("cdhash H\"%s\"", hex.EncodeToString(h)))
	}
	return strings.Join(terms, " or ")
}
