package publish

import (
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"portward/internal/bundle"
)

// LintAll is Lint for bundles, or for directories that have a bundle for each
// platform (DIR/linux-amd64). A platform that the old release has
// and the new one has not is found too. It answers which bundles are new.
func LintAll(oldDir, newDir string) (list []Finding, bundles []string, err error) {
	old, err := bundlesIn(oldDir)
	if err != nil {
		return nil, nil, err
	}
	next, err := bundlesIn(newDir)
	if err != nil {
		return nil, nil, err
	}
	var l findings
	for _, platform := range slices.Sorted(maps.Keys(old)) {
		dir, ok := next[platform]
		if !ok {
			l.refuse("platform missing: %s has %s, %s has not", oldDir, platform, newDir)
			continue
		}
		found, err := Lint(old[platform], dir)
		if err != nil {
			return nil, nil, err
		}
		for _, f := range found {
			if platform != "" {
				f.Text = platform + ": " + f.Text
			}
			l = append(l, f)
		}
	}
	return l, slices.Sorted(maps.Values(next)), nil
}

// bundlesIn answers one bundle by the name "", or several by their platforms. What
// begins with a dot is no platform: a sign that was killed leaves its work there.
func bundlesIn(dir string) (map[string]string, error) {
	if isBundle(dir) {
		return map[string]string{"": dir}, nil
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, err
	}
	all := map[string]string{}
	for _, e := range entries {
		if inner := filepath.Join(dir, e.Name()); !strings.HasPrefix(e.Name(), ".") && isBundle(inner) {
			all[e.Name()] = inner
		}
	}
	if len(all) == 0 {
		return nil, fmt.Errorf("%s is no bundle, and has none", dir)
	}
	return all, nil
}

func isBundle(dir string) bool {
	_, err := os.Lstat(bundle.Layout(dir).Seal())
	return err == nil
}
