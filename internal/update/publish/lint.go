package publish

import (
	"fmt"
	"path"
	"reflect"
	"slices"
	"strings"

	"howett.net/plist"

	"portward/internal/bundle"
	"portward/internal/bundle/signature"
	"portward/internal/update/delta"
)

// A Finding is one thing that lint has to say of a release.
type Finding struct {
	Refuse bool // it would hurt users; otherwise somebody should know
	Text   string
}

func (f Finding) String() string {
	if f.Refuse {
		return "error: " + f.Text
	}
	return "warning: " + f.Text
}

// Refused says whether a release must not go out.
func Refused(list []Finding) bool {
	return slices.ContainsFunc(list, func(f Finding) bool { return f.Refuse })
}

// findings collects what is found.
type findings []Finding

func (l *findings) refuse(format string, args ...any) {
	*l = append(*l, Finding{true, fmt.Sprintf(format, args...)})
}

func (l *findings) warn(format string, args ...any) {
	*l = append(*l, Finding{false, fmt.Sprintf(format, args...)})
}

// Lint compares the bundle of a release with that of the release before it, and
// tries the patches that lead from one to the other. An error means that there
// is nothing to compare.
func Lint(oldDir, newDir string) ([]Finding, error) {
	return lint(oldDir, newDir, delta.All())
}

func lint(oldDir, newDir string, algorithms []delta.Algorithm) ([]Finding, error) {
	old, err := bundleAt(oldDir)
	if err != nil {
		return nil, err
	}
	var l findings
	next, err := bundleAt(newDir)
	if err != nil {
		l.refuse("%v", err)
		return l, nil
	}
	l.compare(old, next)
	l.patches(algorithms, old, next)
	return l, nil
}

// compare finds everything but what patches tell. Of what cannot be read any
// more of the old release it says so.
func (l *findings) compare(old, next side) {
	l.seals(old.seal, next.seal)
	for _, e := range old.files() {
		if other, ok := find(next.seal, e.Path); ok && other.Type == bundle.File && other.SHA256 != e.SHA256 {
			l.file(old, next, e, other)
		}
	}
	l.platform(old, next)
}

// seals finds what the seals alone tell.
func (l *findings) seals(old, next *bundle.Seal) {
	if err := checkVersion(next.Version); err != nil {
		l.refuse("version %q is none that can be published", next.Version)
	}
	if bundle.Compare(next.Version, old.Version) <= 0 {
		l.refuse("version %s is not newer than %s", next.Version, old.Version)
	}
	for _, name := range whole {
		if old.Has(name) && !next.Has(name) {
			l.refuse("%s is gone: a machine that takes this release could not update again", name)
		}
	}
	for _, e := range old.Entries {
		l.entry(old, next, e)
	}
	for _, e := range next.Entries {
		if _, had := find(old, e.Path); isJob(e.Path) && !had {
			l.refuse("%s is new: installed machines do not learn of it", e.Path)
		}
	}
}

// appSignature is where Apple's signature of the app lies.
const appSignature = bundle.App + "/Contents/_CodeSignature/CodeResources"

func (l *findings) entry(old, next *bundle.Seal, e bundle.Entry) {
	now, ok := find(next, e.Path)
	switch {
	case !ok && e.Path == appSignature:
		l.refuse("the app was signed and is not: portward sign --help")
		return
	case !ok && (isJob(e.Path) || e.Identifier != "" && !slices.Contains(whole, programName(e))):
		l.refuse("%s is gone", e.Path)
		return
	case !ok:
		return
	case e.Type != now.Type:
		l.refuse("%s was a %s and is a %s", e.Path, e.Type, now.Type)
		return
	}
	if e.Identifier != now.Identifier {
		l.refuse("%s: %s", e.Path, changed("identifier", e.Identifier, now.Identifier))
	}
	if e.Mode != now.Mode {
		l.refuse("%s: %s", e.Path, changed("mode", e.Mode, now.Mode))
	}
	for _, name := range now.XAttrs {
		if !slices.Contains(e.XAttrs, name) {
			l.warn("%s: extended attribute %s is allowed now", e.Path, name)
		}
	}
	l.minimum(old, next, e, now)
}

func (l *findings) minimum(old, next *bundle.Seal, e, now bundle.Entry) {
	was, is := e.Minimum, now.Minimum
	switch {
	case was != "" && (is == "" || bundle.Compare(is, was) < 0):
		l.refuse("%s: the oldest peer accepted is older again: %s", e.Path, changed("minimum", was, is))
	case is != "" && bundle.Compare(is, next.Version) > 0:
		l.refuse("%s: minimum %s refuses this very release, %s", e.Path, is, next.Version)
	case is != "" && bundle.Compare(is, old.Version) > 0:
		l.warn("%s: minimum %s: peers of %s are told to relaunch at once", e.Path, is, old.Version)
	}
}

// file finds what only the bytes tell.
func (l *findings) file(old, next side, e, other bundle.Entry) {
	isPlist := path.Ext(e.Path) == ".plist"
	if !isPlist && e.Identifier == "" {
		return
	}
	was, err := old.read(e)
	if err != nil {
		l.warn("%s: it is not compared: %v", e.Path, err)
		return
	}
	is, err := next.read(other)
	switch {
	case err != nil:
		l.refuse("%s: %v", e.Path, err)
	case isPlist:
		l.plists(was, is, e.Path)
	default:
		l.program(was, is, e.Path)
	}
}

func (l *findings) program(oldData, newData []byte, name string) {
	was, err := signaturesOf(oldData)
	if err != nil {
		l.warn("%s: its signature is not compared: %v", name, err)
		return
	}
	is, err := signaturesOf(newData)
	if err != nil {
		l.refuse("%s: %v", name, err)
		return
	}
	l.signatures(name, was, is)
}

// signatures compares those for the same processor. That one is not there any more is
// a matter of the platform.
func (l *findings) signatures(name string, was, is []*signature.Code) {
	if len(was) > 0 && len(is) == 0 {
		l.refuse("%s: it was signed and is not", name)
	}
	told := map[string]bool{}
	for _, old := range was {
		i := slices.IndexFunc(is, func(c *signature.Code) bool { return c.CPU() == old.CPU() })
		if i < 0 {
			continue
		}
		for _, text := range drift(old, is[i]) {
			if !told[text] { // of the other processor
				l.refuse("%s: %s", name, text)
			}
			told[text] = true
		}
	}
}

// ownKeys change with each release and say nothing else.
var ownKeys = []string{"CFBundleShortVersionString", "CFBundleVersion"}

// plists names the keys that differ. A job's property list is what is loaded
// already on every machine: a changed one would be in force on some of them.
func (l *findings) plists(oldData, newData []byte, name string) {
	was, err := readPlist(oldData)
	if err != nil {
		l.warn("%s: it is not compared: %v", name, err)
		return
	}
	is, err := readPlist(newData)
	if err != nil {
		l.refuse("%s: %v", name, err)
		return
	}
	keys := differing(was, is)
	if !isJob(name) {
		keys = slices.DeleteFunc(keys, func(k string) bool { return slices.Contains(ownKeys, k) })
	}
	for _, key := range keys {
		l.refuse("%s: %s changed", name, key)
	}
	if len(keys) == 0 && isJob(name) {
		l.refuse("%s: it is written differently", name)
	}
}

func readPlist(data []byte) (m map[string]any, err error) {
	_, err = plist.Unmarshal(data, &m)
	return m, err
}

func (l *findings) platform(old, next side) {
	was, err := platformOf(old)
	if err != nil {
		l.warn("its platform is not compared: %v", err)
		return
	}
	is, err := platformOf(next)
	if err != nil {
		l.refuse("%v", err)
	} else if was != "" && was != is {
		l.refuse("%s", changed("platform", was, is))
	}
}

func find(s *bundle.Seal, path string) (bundle.Entry, bool) {
	for _, e := range s.Entries {
		if e.Path == path {
			return e, true
		}
	}
	return bundle.Entry{}, false
}

// isJob says whether a path is a property list that a job engine loads.
func isJob(inside string) bool {
	return strings.Contains(inside, "/Contents/Library/") && path.Ext(inside) == ".plist"
}

func changed(what, was, is string) string {
	return fmt.Sprintf("%s was %q and is %q", what, was, is)
}

func sameValue(a, b any) bool { return reflect.DeepEqual(a, b) }
