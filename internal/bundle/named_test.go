package bundle

import (
	"os"
	"path/filepath"
	"testing"
)

// Rule: what is opened has that name itself; a link to a neighbour does not count,
// of whichever kind.
func TestOpenNamed(t *testing.T) {
	dir := t.TempDir()
	at := func(name string) string { return filepath.Join(dir, name) }
	for _, err := range []error{
		os.WriteFile(at("file"), nil, 0o600), os.Mkdir(at("dir"), 0o700),
		os.Symlink("file", at("to-file")), os.Symlink("dir", at("to-dir")),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer root.Close()
	for name, want := range map[string][2]bool{
		"file": {true, false}, "dir": {false, true}, "to-file": {}, "to-dir": {}, "none": {},
	} {
		for i, open := range []func(*os.Root, string) (*os.File, error){openRegular, openDir} {
			f, err := open(root, name)
			if (err == nil) != want[i] {
				t.Errorf("%s as %d: %v", name, i, err)
			}
			f.Close()
		}
	}
}
