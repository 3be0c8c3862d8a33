package program

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"portward/internal/bundle/requirement"
)

const cdhash = `cdhash H"0123456789abcdef0123456789abcdef01234567"`

func peersJSON(pairs ...string) string {
	var list []string
	for i := 0; i < len(pairs); i += 2 {
		list = append(list, fmt.Sprintf("%q: %q", pairs[i], pairs[i+1]))
	}
	return "{" + strings.Join(list, ", ") + "}"
}

// Rule: a file of peers is one flat object of requirements, or it is refused.
func TestParsePeersRefuses(t *testing.T) {
	for name, text := range map[string]string{
		"nothing":             "",
		"a list":              `["a"]`,
		"a number":            `{"a": 1}`,
		"a nested one":        `{"a": {"b": "always"}}`,
		"null":                `null`,
		"cut off":             `{"a": "always"`,
		"two objects":         peersJSON("a", "always") + "{}",
		"something behind":    peersJSON("a", "always") + "x",
		"an identifier twice": peersJSON("a", "always", "a", "never"),
		"no identifier":       peersJSON("", "always"),
		"no requirement":      peersJSON("a", ""),
		"a broken one":        peersJSON("a", "identifier"),
		"more than one":       peersJSON("a", "always) or (always"),
	} {
		if peers, err := parsePeers(strings.NewReader(text)); err == nil {
			t.Errorf("%s: %v", name, peers)
		}
	}
	peers, err := parsePeers(strings.NewReader(peersJSON("a", cdhash, "b", `identifier b`)))
	if err != nil || len(peers) != 2 || peers["b"] != `identifier "b"` {
		t.Errorf("%v, %v", peers, err)
	}
}

// Rule: what others may write is not believed, nor what is no file.
func TestReadPeersRefuses(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "peers.json")
	if peers, err := readPeers(path); peers != nil || err != nil {
		t.Errorf("none is there: %v, %v", peers, err)
	}
	write := func(mode os.FileMode, text string) {
		t.Helper()
		os.Remove(path)
		if err := errors.Join(os.WriteFile(path, []byte(text), 0o600), os.Chmod(path, mode)); err != nil {
			t.Fatal(err)
		}
	}
	good := peersJSON("a", "always")
	write(0o644, good)
	if peers, err := readPeers(path); err != nil || peers["a"] != "always" {
		t.Errorf("a good one: %v, %v", peers, err)
	}
	for name, make := range map[string]func(){
		"the group may write it": func() { write(0o664, good) },
		"others may write it":    func() { write(0o646, good) },
		"too large":              func() { write(0o644, good+strings.Repeat(" ", maxPeers)) },
		"a directory":            func() { os.Remove(path); os.Mkdir(path, 0o755) },
		"a link": func() {
			write(0o644, good)
			os.Rename(path, path+".2")
			os.Symlink(path+".2", path)
		},
	} {
		make()
		if peers, err := readPeers(path); err == nil || !strings.Contains(err.Error(), path) {
			t.Errorf("%s: %v, %v", name, peers, err)
		}
	}
	if os.Geteuid() != 0 {
		t.Skip("needs root to give the file to somebody else")
	}
	write(0o644, good)
	if err := os.Chown(path, 61000, 0); err != nil {
		t.Fatal(err)
	}
	if peers, err := readPeers(path); err == nil {
		t.Errorf("somebody else's: %v", peers)
	}
}

// Rule: the file's word goes before the team's; whoever is in neither is
// satisfied by nobody, and is an error for who has to know it.
func TestRequirement(t *testing.T) {
	named := map[string]string{"a": cdhash}
	for _, c := range []struct {
		p    *Program
		ids  []string
		want string
	}{
		{&Program{peers: named}, []string{"a"}, cdhash},
		{&Program{peers: named}, []string{"b"}, ""},
		{&Program{peers: named}, []string{"a", "b"}, ""},
		{&Program{}, []string{"a"}, ""},
		{&Program{peers: named, team: "TEAM"}, []string{"a"}, cdhash},
		{&Program{peers: named, team: "TEAM"}, []string{"b"}, requirement.ForPeers("TEAM", "b")},
		{&Program{peers: named, team: "TEAM"}, []string{"a", "b"}, "(" + cdhash + ") or (" + requirement.ForPeers("TEAM", "b") + ")"},
	} {
		got := c.p.Requirement(c.ids...)
		if got != c.want {
			t.Errorf("%v: %s", c.ids, got)
		}
		if _, err := requirement.Parse(got); got != "" && err != nil {
			t.Error(err)
		}
		if err := c.p.checkPeers(c.ids); errors.Is(err, ErrNobody) != (c.want == "") {
			t.Errorf("%v: %v", c.ids, err)
		}
	}
}

// Rule: whatever the file of peers says, it is refused or its requirements can be
// read again.
func FuzzPeers(f *testing.F) {
	f.Add(peersJSON("a", "always", "b", cdhash))
	f.Add(`{"a": "identifier \"b\" and certificate leaf[subject.OU] = \"T\""}`)
	f.Add(`{"a": `)
	f.Fuzz(func(t *testing.T, text string) {
		peers, err := parsePeers(strings.NewReader(text))
		for id, words := range peers {
			if _, again := requirement.Parse(words); again != nil || err != nil || id == "" {
				t.Errorf("%q: %q: %v, %v", id, words, again, err)
			}
		}
	})
}
