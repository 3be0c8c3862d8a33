package signature

import (
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"portward/internal/bundle/requirement"
	"portward/internal/bundle/sign"
)

// Rule: what nobody touched is believed, and the report says what it is.
func TestVerifyBundle(t *testing.T) {
	w := signedWorld(t)
	o := w.options()
	var err error
	if o.Requirement, err = requirement.Parse(requirement.ForPeers(team, "dev.portward", "dev.portward.guiagent")); err != nil {
		t.Fatal(err)
	}
	r, err := VerifyBundle(w.dir, o)
	if err != nil {
		t.Fatal(err)
	}
	if len(r.Programs) != 6 || r.Files != 3 {
		t.Fatalf("%d programs, %d files", len(r.Programs), r.Files)
	}
	for _, p := range r.Programs {
		if p.Team != team || !p.Runtime || p.AdHoc || !slices.Equal(p.Authority, []string{"Developer ID Application: Test", "Test Developer ID CA", "Test Root CA"}) {
			t.Errorf("%+v", p)
		}
		if want := p.Path == "Contents/MacOS/netchild"; want != slices.Contains(p.Entitlements, "com.example.groups") {
			t.Errorf("%s: entitlements %v", p.Path, p.Entitlements)
		}
	}
	if r.Programs[0].Path != "Contents/MacOS/guiagent" {
		t.Errorf("first %s", r.Programs[0].Path)
	}
}

// Rule: a requirement that the main program does not satisfy is an error, as is
// a root that nobody believes and a certificate whose time has passed.
func TestVerifyBundleDoubts(t *testing.T) {
	w := signedWorld(t)
	never, err := requirement.Parse(requirement.ForPeers("OTHERTEAM1", "dev.portward"))
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		change func(*Options)
		want   string
	}{
		"other team":     {func(o *Options) { o.Requirement = never }, "requirement"},
		"Apple's roots":  {func(o *Options) { o.Anchors = nil }, "none of the roots"},
		"no roots":       {func(o *Options) { o.Anchors = [][32]byte{} }, "none of the roots"},
		"leaf as a root": {func(o *Options) { o.Anchors = newChain(t, nil).anchors() }, "none of the roots"},
		"expired":        {func(o *Options) { o.Now = time.Now().Add(48 * time.Hour) }, "expired"},
		"not yet valid":  {func(o *Options) { o.Now = time.Now().Add(-48 * time.Hour) }, "not yet valid"},
	} {
		o := w.options()
		c.change(&o)
		_, err := VerifyBundle(w.dir, o)
		if err == nil || !strings.Contains(err.Error(), c.want) || !strings.Contains(err.Error(), "Contents/") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// Rule: code that nobody signed is believed on request only.
func TestVerifyBundleAdHoc(t *testing.T) {
	w := signedWorld(t)
	dir := w.copy(t)
	if err := sign.Bundle(dir, sign.Options{Identity: sign.AdHoc()}); err != nil {
		t.Fatal(err)
	}
	o := w.options()
	if _, err := VerifyBundle(dir, o); err == nil || !strings.Contains(err.Error(), "ad hoc") {
		t.Errorf("believed: %v", err)
	}
	o.AllowAdHoc = true
	r, err := VerifyBundle(dir, o)
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range r.Programs {
		if !p.AdHoc || p.Team != "" || len(p.Authority) != 0 {
			t.Errorf("%+v", p)
		}
	}
	// The same requirement of peers does not hold.
	if o.Requirement, err = requirement.Parse("anchor apple generic"); err != nil {
		t.Fatal(err)
	}
	if _, err := VerifyBundle(dir, o); err == nil {
		t.Error("ad hoc code is Apple's")
	}
}

// Rule: a notary's ticket comes after the seal, and is the one file that may.
func TestTicket(t *testing.T) {
	w := signedWorld(t)
	dir := w.copy(t)
	write(t, dir+"/Contents/CodeResources", []byte("s8ch and what a notary says"))
	if _, err := VerifyBundle(dir, w.options()); err != nil {
		t.Error(err)
	}
}

// Rule: what is optional may be missing, nothing else.
func TestOptional(t *testing.T) {
	w := signedWorld(t)
	dir := w.copy(t)
	if err := os.RemoveAll(dir + "/Contents/Resources/en.lproj"); err != nil {
		t.Fatal(err)
	}
	if _, err := VerifyBundle(dir, w.options()); err != nil {
		t.Error(err)
	}
}
