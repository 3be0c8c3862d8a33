package main

import (
	"encoding/json"
	"errors"
	"go/ast"
	"go/parser"
	"go/token"
	"go/types"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

const menuFile = "menu_darwin_cgo.go"

// Rule: the part that only a Mac with its SDK can build, the menu-bar item, has
// the types of darwinkit's functions, and so has the whole agent that is built
// with it. What cgo would make of C's names is not checked: there are none of
// ours. And the check finds what it is for.
func TestMenuHasTheTypesOfAppKit(t *testing.T) {
	im := listAgent(t, "arm64")
	for _, err := range im.check(t, "", "") {
		t.Errorf("darwin with cgo: %v", err)
	}
	for right, wrong := range menuFaults() {
		errs := im.check(t, right, wrong)
		if len(errs) != 1 || !strings.Contains(errs[0].Error(), menuFile) {
			t.Errorf("%s: %v, want one error in %s", wrong, errs, menuFile)
		}
	}
}

// menuFaults are what the check has to find: names that are not there, arguments
// of a wrong type, one too few, and an interface that is not satisfied.
func menuFaults() map[string]string {
	return map[string]string{
		"SetToolTip(f.tooltip)":                       "SetTooltip(f.tooltip)",
		"ActivationPolicyAccessory":                   "ActivationPolicyAccesory",
		"SetTitle(f.title)":                           "SetTitle(f.lines)",
		"WithLength(appkit.VariableStatusItemLength)": "WithLength()",
		"SetMenu(m.menu)":                             "SetMenu(m.item)",
		"DispatchAsync(func() { m.show(now) })":       "DispatchAsync(m.show)",
	}
}

// check type-checks this directory as a Mac with cgo would build it, with right
// replaced by wrong in the menu's file.
func (im *sourceImporter) check(t *testing.T, right, wrong string) (errs []error) {
	t.Helper()
	self := im.packages["portward/cmd/guiagent"]
	if self == nil || !slices.Contains(self.GoFiles, menuFile) {
		t.Fatalf("%s is in no build for darwin with cgo", menuFile)
	}
	im.text = func(name string, text []byte) string {
		if right == "" || filepath.Base(name) != menuFile {
			return string(text)
		}
		if strings.Count(string(text), right) != 1 {
			t.Fatalf("%s does not have %q once", name, right)
		}
		return strings.Replace(string(text), right, wrong, 1)
	}
	if _, err := im.load(self, func(err error) { errs = append(errs, err) }); err != nil && len(errs) == 0 {
		errs = append(errs, err)
	}
	return errs
}

// A goPackage is what `go list -json` says of one.
type goPackage struct {
	ImportPath, Dir   string
	GoFiles, CgoFiles []string
	ImportMap         map[string]string
	DepOnly           bool
}

// sourceImporter imports packages from their source, as built for darwin with
// cgo; the bodies of their functions do not matter, and neither do C's names.
type sourceImporter struct {
	fset     *token.FileSet
	sizes    types.Sizes
	packages map[string]*goPackage
	done     map[string]*types.Package
	text     func(name string, text []byte) string
}

// listAgent asks the go tool which files these are. No compiler is needed for
// that, for C or other.
func listAgent(t *testing.T, arch string) *sourceImporter {
	t.Helper()
	cmd := exec.Command("go", "list", "-deps", "-json=ImportPath,Dir,GoFiles,CgoFiles,ImportMap,DepOnly", ".")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=1", "GOOS=darwin", "GOARCH="+arch)
	var stderr strings.Builder
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%v: %s", err, stderr.String())
	}
	im := &sourceImporter{
		fset: token.NewFileSet(), sizes: types.SizesFor("gc", arch),
		packages: map[string]*goPackage{}, done: map[string]*types.Package{"unsafe": types.Unsafe},
	}
	for dec := json.NewDecoder(strings.NewReader(string(out))); ; {
		p := &goPackage{}
		if err := dec.Decode(p); errors.Is(err, io.EOF) {
			return im
		} else if err != nil {
			t.Fatal(err)
		}
		im.packages[p.ImportPath] = p
	}
}

// load type-checks one package and what it imports. Of the package that is meant,
// found gets every error.
func (im *sourceImporter) load(p *goPackage, found func(error)) (*types.Package, error) {
	var files []*ast.File
	for _, name := range append(slices.Clone(p.GoFiles), p.CgoFiles...) {
		name = filepath.Join(p.Dir, name)
		text, err := os.ReadFile(name)
		if err != nil {
			return nil, err
		}
		f, err := parser.ParseFile(im.fset, name, im.text(name, text), parser.SkipObjectResolution)
		if err != nil {
			return nil, err
		}
		files = append(files, f)
	}
	conf := types.Config{
		Importer: importerOf{im, p}, Sizes: im.sizes, Error: found,
		FakeImportC: len(p.CgoFiles) > 0, IgnoreFuncBodies: p.DepOnly,
	}
	return conf.Check(p.ImportPath, im.fset, files, nil)
}

// importerOf answers one package's imports.
type importerOf struct {
	*sourceImporter
	by *goPackage
}

func (im importerOf) Import(name string) (*types.Package, error) {
	if vendored := im.by.ImportMap[name]; vendored != "" {
		name = vendored
	}
	if p := im.done[name]; p != nil {
		return p, nil
	}
	p := im.packages[name]
	if p == nil {
		return nil, errors.New("go list does not know " + name)
	}
	done, err := im.load(p, nil)
	im.done[name] = done
	return done, err
}
