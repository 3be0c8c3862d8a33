package bundle

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
)

const zeros = "0000000000000000000000000000000000000000000000000000000000000000"

func dirJSON(path string) string {
	return fmt.Sprintf(`{"mode":"0755","path":%q,"size":0,"type":"dir"}`, path)
}

func fileJSON(path string) string {
	return fmt.Sprintf(`{"mode":"0644","path":%q,"sha256":"%s","size":3,"type":"file"}`, path, zeros)
}

func sealJSONOf(entries ...string) string {
	return `{"files":[` + strings.Join(entries, ",") + `],"seal":1,"version":"1.0"}`
}

// programJSON is a seal of one program; more continues it after the identifier.
func programJSON(more string) string {
	return sealJSONOf(`{"identifier":"dev.portward.x",` + more + `"mode":"0755","path":"x","sha256":"` + zeros + `","size":3,"type":"file"}`)
}

// Rule: what an executable may have beyond a file is read as it was written.
func TestParseSealProgram(t *testing.T) {
	data := strings.Replace(programJSON(`"minimum":"1.2.0",`), "0755", "2755", 1)
	s, err := ParseSeal([]byte(data))
	if err != nil {
		t.Fatal(err)
	}
	if e := s.Entries[0]; e.Minimum != "1.2.0" || e.Mode != setGID {
		t.Fatalf("read %+v", e)
	}
	if again, err := s.Bytes(); err != nil || string(again) != data {
		t.Fatalf("%s became %s, %v", data, again, err)
	}
}

// Rule: the hash is that of the seal's file, and the same for ever: a seal of
// the first version, without a field that came later, keeps its identity.
func TestSealHash(t *testing.T) {
	const first = "135e41534ca060946b1b2dc9f0669d54607f487a8cb4ef8d04ef482bffe77435"
	s, err := ParseSeal([]byte(programJSON("")))
	if err != nil || s.Hash() != first {
		t.Errorf("the first seal's hash is %s, %v", s.Hash(), err)
	}
	dst := build(t)
	built, err := ReadSeal(dst)
	if err != nil {
		t.Fatal(err)
	}
	data, err := os.ReadFile(Layout(dst).Seal())
	if err != nil {
		t.Fatal(err)
	}
	if sum := sha256.Sum256(data); built.Hash() != hex.EncodeToString(sum[:]) {
		t.Errorf("its hash is %s", built.Hash())
	}
	reseal(t, dst, func(e *Entry) {
		if e.Identifier != "" {
			e.Minimum = "0.0.1"
		}
	})
	if changed, err := ReadSeal(dst); err != nil || changed.Hash() == built.Hash() {
		t.Errorf("another seal has the same hash, %v", err)
	}
}

// Rule: a bundle has a program if it lists a file in the programs' place.
func TestHas(t *testing.T) {
	s, err := ReadSeal(build(t))
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]bool{
		"netchild": true, "supervisor": true,
		"guiagent": false, "": false, "Netchild": false, "../Info.plist": false, "dev.portward.netchild": false,
	} {
		if got := s.Has(name); got != want {
			t.Errorf("%q: %v", name, got)
		}
	}
}

// Rule: a seal is read only in its one encoding, so that its digest is the
// digest of its meaning.
func TestParseSeal(t *testing.T) {
	data := sealJSONOf(dirJSON("a"), `{"identifier":"dev.portward.x","mode":"0755","path":"a/x","sha256":"`+zeros+`","size":3,"type":"file"}`)
	s, err := ParseSeal([]byte(data))
	if err != nil {
		t.Fatal(err)
	}
	if s.Version != "1.0" || len(s.Entries) != 2 || s.Entries[1].Identifier != "dev.portward.x" {
		t.Fatalf("read %+v", s)
	}
	if again, err := s.Bytes(); err != nil || string(again) != data {
		t.Fatalf("%s became %s, %v", data, again, err)
	}
}

func TestParseSealRefuses(t *testing.T) {
	good := sealJSONOf(fileJSON("a"))
	if _, err := ParseSeal([]byte(good)); err != nil {
		t.Fatal(err)
	}
	many := make([]string, 0, maxEntries+1)
	for i := range maxEntries + 1 {
		many = append(many, dirJSON(fmt.Sprintf("d%06d", i)))
	}
	for name, bad := range map[string]struct{ data, says string }{
		"empty":                {"", "unexpected end"},
		"no object":            {"[]", "cannot unmarshal"},
		"no format":            {strings.Replace(good, `"seal":1,`, "", 1), "format"},
		"unknown format":       {strings.Replace(good, `"seal":1`, `"seal":2,"files":"elsewhere"`, 1), "format"},
		"too large":            {good + strings.Repeat(" ", maxSeal), "bytes"},
		"too many entries":     {sealJSONOf(many...), "4097 entries"},
		"no entries":           {sealJSONOf(), "0 entries"},
		"space":                {strings.Replace(good, ":", ": ", 1), "canonical"},
		"a newline at the end": {good + "\n", "canonical"},
		"something after it":   {good + "{}", "after top-level value"},
		"keys in another order": {`{"seal":1,"files":[` + fileJSON("a") + `],"version":"1.0"}`,
			"canonical"},
		"an unknown key":          {strings.Replace(good, `"seal"`, `"more":1,"seal"`, 1), "canonical"},
		"a key twice":             {strings.Replace(good, `"seal":1`, `"seal":1,"seal":1`, 1), "canonical"},
		"a key in another case":   {strings.Replace(good, `"version"`, `"Version"`, 1), "canonical"},
		"an escape":               {strings.Replace(good, `"path":"a"`, `"path":"\u0061"`, 1), "canonical"},
		"a number in another way": {strings.Replace(good, `"size":3`, `"size":3.0`, 1), "cannot unmarshal"},
		"not sorted":              {sealJSONOf(fileJSON("b"), fileJSON("a")), "sorted"},
		"a path twice":            {sealJSONOf(fileJSON("a"), fileJSON("a")), "listed twice"},
		"only case differs":       {sealJSONOf(fileJSON("A"), fileJSON("a")), "case"},
		"no directory":            {sealJSONOf(fileJSON("a/b")), "directory is not listed"},
		"a file as directory":     {sealJSONOf(fileJSON("a"), fileJSON("a/b")), "directory is not listed"},
		"the seal itself":         {sealJSONOf(fileJSON(sealFile)), "listed twice"},
		"what vouches for it":     {sealJSONOf(dirJSON(tufDir)), "never listed"},
		"the same, in capitals":   {sealJSONOf(dirJSON("TUF")), "never listed"},
		"a file that vouches":     {sealJSONOf(fileJSON(tufDir + "/root.json")), "directory is not listed"},
		"a path up":               {sealJSONOf(fileJSON("../a")), "clean path"},
		"a path up within":        {sealJSONOf(dirJSON("a"), fileJSON("a/../b")), "clean path"},
		"an absolute path":        {sealJSONOf(fileJSON("/a")), "clean path"},
		"an empty path":           {sealJSONOf(fileJSON("")), "clean path"},
		"the bundle itself":       {sealJSONOf(dirJSON(".")), "clean path"},
		"a slash at the end":      {sealJSONOf(dirJSON("a/")), "clean path"},
		"two slashes":             {sealJSONOf(dirJSON("a"), fileJSON("a//b")), "clean path"},
		"a backslash":             {sealJSONOf(fileJSON(`a\b`)), "in a path"},
		"a NUL":                   {sealJSONOf(strings.Replace(fileJSON("a"), `"a"`, `"a\u0000"`, 1)), "in a path"},
		"a newline in a path":     {sealJSONOf(fileJSON("a\nb")), "in a path"},
		"more than ASCII":         {sealJSONOf(fileJSON("ä")), "in a path"},
		"a long path":             {sealJSONOf(fileJSON(strings.Repeat("x", maxPath+1))), "clean path"},
		"a link":                  {strings.Replace(good, `"file"`, `"link"`, 1), "unknown type"},
		"no type":                 {strings.Replace(good, `"file"`, `""`, 1), "unknown type"},
		"group may write":         {strings.Replace(good, `0644`, `0664`, 1), "mode"},
		"set-uid":                 {strings.Replace(good, `0644`, `4755`, 1), "mode"},
		"mode with five digits":   {strings.Replace(good, `0644`, `00644`, 1), "mode"},
		"a negative size":         {strings.Replace(good, `"size":3`, `"size":-3`, 1), "size"},
		"a huge size":             {strings.Replace(good, `"size":3`, `"size":9000000000`, 1), "size"},
		"a short digest":          {strings.Replace(good, zeros, zeros[2:], 1), "sha256"},
		"a digest in capitals":    {strings.Replace(good, zeros, "AB"+zeros[2:], 1), "sha256"},
		"no digest":               {strings.Replace(good, `"sha256":"`+zeros+`",`, "", 1), "sha256"},
		"a digest of a directory": {sealJSONOf(strings.Replace(dirJSON("a"), `"size"`, `"sha256":"`+zeros+`","size"`, 1)), "a directory"},
		"an identifier, no program": {strings.Replace(good, `{"mode"`, `{"identifier":"x","mode"`, 1),
			"not executable"},
		"set-gid, no program":     {strings.Replace(good, `0644`, `2755`, 1), "without an identifier"},
		"set-gid, not executable": {strings.Replace(programJSON(""), `0755`, `2644`, 1), "mode"},
		"set-uid and set-gid":     {strings.Replace(programJSON(""), `0755`, `6755`, 1), "mode"},
		"sticky":                  {strings.Replace(programJSON(""), `0755`, `1755`, 1), "mode"},
		"a set-gid directory":     {sealJSONOf(strings.Replace(dirJSON("a"), `0755`, `2755`, 1)), "a directory"},
		"a minimum, no program":   {strings.Replace(good, `{"mode"`, `{"minimum":"1.0.0","mode"`, 1), "without an identifier"},
		"an executable's minimum": {sealJSONOf(`{"minimum":"1.0.0","mode":"0755","path":"x","sha256":"` + zeros + `","size":3,"type":"file"}`), "without an identifier"},
		"a directory's minimum":   {sealJSONOf(strings.Replace(dirJSON("a"), `{`, `{"minimum":"1.0.0",`, 1)), "a directory"},
		"an empty minimum":        {programJSON(`"minimum":"",`), "canonical"},
		"a bad minimum":           {programJSON(`"minimum":"1/0",`), "minimum: version"},
		"a long minimum":          {programJSON(`"minimum":"` + strings.Repeat("1", maxVersion+1) + `",`), "minimum: a version"},
		"no version":              {strings.Replace(good, `"1.0"`, `""`, 1), "version"},
		"a long version":          {strings.Replace(good, `"1.0"`, `"`+strings.Repeat("1", maxVersion+1)+`"`, 1), "version"},
		"a bad version":           {strings.Replace(good, `"1.0"`, `"1/0"`, 1), "version"},
	} {
		t.Run(name, func(t *testing.T) {
			if _, err := ParseSeal([]byte(bad.data)); err == nil || !strings.Contains(err.Error(), bad.says) {
				t.Fatalf("got %v, want it to name %q", err, bad.says)
			}
		})
	}
}

// Rule: ReadSeal reads what Build wrote, without a look at the files.
func TestReadSeal(t *testing.T) {
	dst := build(t)
	if err := os.Remove(Layout(dst).Program("netchild")); err != nil {
		t.Fatal(err)
	}
	if s, err := ReadSeal(dst); err != nil || s.Version != "0.1.0-test" {
		t.Fatalf("read %+v, %v", s, err)
	}
	if _, err := ReadSeal(t.TempDir()); err == nil {
		t.Fatal("a seal was read in an empty directory")
	}
}

// Rule: no bytes make the reader panic, and what it accepts is canonical and
// keeps every rule.
func FuzzParseSeal(f *testing.F) {
	f.Add([]byte(sealJSONOf(fileJSON("a"))))
	f.Add([]byte(sealJSONOf(dirJSON("a"), fileJSON("a/b"))))
	f.Add([]byte(`{"files":null,"seal":1,"version":"1"}`))
	f.Add([]byte(sealJSONOf(fileJSON("../a"))))
	f.Add([]byte(programJSON(`"minimum":"1.2.0-rc.1",`)))
	f.Add([]byte(strings.Replace(programJSON(""), "0755", "2755", 1)))
	f.Add([]byte(sealJSONOf(xattrJSON(`["com.apple.cs.CodeSignature","user.a"]`))))
	f.Add([]byte(sealJSONOf(xattrJSON(`["security.capability"]`))))
	f.Add([]byte(sealJSONOf(dirJSON(tufDir))))
	f.Fuzz(func(t *testing.T, data []byte) {
		s, err := ParseSeal(data)
		if err != nil {
			return
		}
		again, err := s.Bytes()
		if err != nil || !bytes.Equal(again, data) {
			t.Fatalf("%s became %s, %v", data, again, err)
		}
		for _, e := range s.Entries {
			if strings.Contains(e.Path, "..") && strings.Contains("/"+e.Path+"/", "/../") ||
				e.Mode != "0644" && e.Mode != "0755" && e.Mode != "2755" ||
				(e.Mode == "2755" || e.Minimum != "") && e.Identifier == "" ||
				strings.HasPrefix(strings.ToLower(e.Path)+"/", strings.ToLower(tufDir)+"/") ||
				slices.ContainsFunc(e.XAttrs, func(name string) bool { return strings.HasPrefix(name, "security.") }) {
				t.Fatalf("accepted %+v", e)
			}
		}
	})
}
