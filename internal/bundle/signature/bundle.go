package signature

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path"
	"slices"
	"strings"

	"portward/internal/bundle/requirement"
)

// The places in a bundle.
const (
	contents      = "Contents"
	infoFile      = contents + "/Info.plist"
	signatureDir  = contents + "/_CodeSignature"
	resourcesFile = signatureDir + "/CodeResources"
	programsDir   = contents + "/MacOS"
	ticketFile    = "CodeResources"
	ticketMagic   = "s8ch"
	maxTicket     = 1 << 20
	maxNesting    = 8
)

// VerifyBundle verifies a bundle with all that is in it: the main program, its
// Info.plist, and every file, link and nested program as CodeResources has them.
// The error names the first fault's path, inside the bundle.
func VerifyBundle(dir string, o Options) (*Report, error) {
	report := &Report{}
	if err := verifyDir(dir, &o, report); err != nil {
		return nil, fmt.Errorf("bundle %s: %w", dir, err)
	}
	return report, nil
}

func verifyDir(dir string, o *Options, report *Report) error {
	info, err := os.Lstat(dir)
	if err != nil {
		return cause(err)
	}
	if !info.IsDir() {
		return errors.New("not a directory")
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		return err
	}
	defer root.Close()
	b := &bundle{root: root, options: o, report: report}
	codes, err := b.verify()
	if err != nil {
		return err
	}
	if err := satisfy(codes, o.Requirement); err != nil {
		return fmt.Errorf("%s: %w", b.main, err)
	}
	return nil
}

type bundle struct {
	root    *os.Root
	options *Options
	report  *Report
	prefix  string // of paths in the report and in errors
	depth   int

	main      string // path of the main program
	codes     []*Code
	resources *resources
	seen      map[string]bool
}

func (b *bundle) verify() ([]*Code, error) {
	info, err := readFile(b.root, infoFile, maxInfo)
	if err != nil {
		return nil, err
	}
	if b.main, err = mainProgram(info); err != nil {
		return nil, fmt.Errorf("%s: %w", infoFile, err)
	}
	seal, err := readFile(b.root, resourcesFile, maxPlist)
	if err != nil {
		return nil, err
	}
	if b.codes, err = verifyProgram(b.root, b.main, info, seal, b.options); err != nil {
		return nil, fmt.Errorf("%s: %w", b.main, err)
	}
	b.report.add(b.prefix+b.main, b.codes)
	if b.resources, err = parseResources(seal); err != nil {
		return nil, fmt.Errorf("%s: %w", resourcesFile, err)
	}
	if weak := b.resources.weak(); weak != "" {
		return nil, fmt.Errorf("%s: rule %q leaves files out", resourcesFile, weak)
	}
	b.seen = map[string]bool{}
	if err := fs.WalkDir(b.root.FS(), ".", b.visit); err != nil {
		return nil, err
	}
	return b.codes, b.checkMissing()
}

func mainProgram(info []byte) (string, error) {
	dict, err := parsePlist(info)
	if err != nil {
		return "", err
	}
	name, _ := dict["CFBundleExecutable"].(string)
	if !fs.ValidPath(name) || name == "." || strings.ContainsAny(name, "/\\\x00") {
		return "", fmt.Errorf("CFBundleExecutable %q", name)
	}
	return programsDir + "/" + name, nil
}

func (b *bundle) checkMissing() error {
	for _, name := range slices.Sorted(maps.Keys(b.resources.files)) {
		if !b.seen[name] && !b.resources.files[name].optional {
			return fmt.Errorf("%s/%s: sealed, but missing", contents, name)
		}
	}
	return nil
}

func (b *bundle) visit(p string, d fs.DirEntry, err error) error {
	if err != nil {
		return err
	}
	info, err := d.Info()
	if err != nil {
		return err
	}
	if d.Type()&fs.ModeSymlink == 0 {
		if err := checkMode(info.Mode()); err != nil {
			return fmt.Errorf("%s: %w", p, err)
		}
	}
	if p == "." || p == contents && d.IsDir() || p == signatureDir && d.IsDir() {
		return nil
	}
	name, below := strings.CutPrefix(p, contents+"/")
	if !below {
		return fmt.Errorf("%s: beside %s, where nothing is sealed", p, contents)
	}
	if p == b.main || p == infoFile || p == resourcesFile {
		return nil // verified
	}
	if err := b.entry(name, d); err != nil {
		if errors.Is(err, fs.SkipDir) {
			return err
		}
		return fmt.Errorf("%s: %w", p, err)
	}
	return nil
}

// entry verifies what is at name, from Contents.
func (b *bundle) entry(name string, d fs.DirEntry) error {
	rule, err := b.resources.ruleFor(name)
	if err != nil {
		return err
	}
	if d.IsDir() && (!rule.nested || !strings.Contains(path.Base(name), ".")) {
		return nil // its files count
	}
	s, ok := b.resources.files[name]
	if !ok {
		return b.unsealed(name, d)
	}
	b.seen[name] = true
	switch {
	case rule.omit:
		return errors.New("sealed, though a rule leaves it out")
	case d.Type()&fs.ModeSymlink != 0:
		return b.link(name, s)
	case rule.nested != (s.requirement != ""):
		return errors.New("sealed as a program and is none, or the reverse")
	case d.IsDir():
		return b.nestedBundle(name, s)
	case !d.Type().IsRegular():
		return errors.New("neither a file nor a link")
	case s.requirement != "":
		return b.nestedProgram(name, s)
	}
	return b.file(name, s)
}

// unsealed lets pass the ticket that a notary gives for a bundle that is signed
// already.
func (b *bundle) unsealed(name string, d fs.DirEntry) error {
	if name != ticketFile || !d.Type().IsRegular() {
		return errors.New("not sealed")
	}
	data, err := readFile(b.root, contents+"/"+ticketFile, maxTicket)
	if err != nil || !bytes.HasPrefix(data, []byte(ticketMagic)) {
		return errors.New("not sealed, and not a notary's ticket")
	}
	return nil
}

func (b *bundle) file(name string, s sealed) error {
	if s.hash == nil {
		return errors.New("a file, sealed as a link")
	}
	f, _, err := openRegular(b.root, contents+"/"+name)
	if err != nil {
		return err
	}
	defer f.Close()
	h := sha256.New()
	if _, err := io.Copy(h, f); err != nil {
		return cause(err)
	}
	if !bytes.Equal(h.Sum(nil), s.hash) {
		return errors.New("not what was sealed")
	}
	b.report.Files++
	return nil
}

// link: as sealed, and to something in the bundle.
func (b *bundle) link(name string, s sealed) error {
	target, err := b.root.Readlink(contents + "/" + name)
	if err != nil {
		return cause(err)
	}
	if s.link != target {
		return fmt.Errorf("a link to %q, not what was sealed", target)
	}
	to, err := inside(name, target)
	if err != nil {
		return err
	}
	if _, err := b.root.Stat(contents + "/" + name); err != nil {
		return fmt.Errorf("a link to %q, out of the bundle or to nothing: %w", to, cause(err))
	}
	b.report.Files++
	return nil
}

func (b *bundle) nestedProgram(name string, s sealed) error {
	codes, err := verifyProgram(b.root, contents+"/"+name, nil, nil, b.options)
	if err != nil {
		return err
	}
	first := len(b.report.Programs)
	b.report.add(b.prefix+contents+"/"+name, codes)
	return b.checkNested(s, codes, b.report.Programs[first:])
}

func (b *bundle) nestedBundle(name string, s sealed) error {
	if b.depth >= maxNesting {
		return fmt.Errorf("more than %d bundles in each other", maxNesting)
	}
	root, err := b.root.OpenRoot(contents + "/" + name)
	if err != nil {
		return cause(err)
	}
	defer root.Close()
	nested := &bundle{root: root, options: b.options, report: b.report, prefix: b.prefix + contents + "/" + name + "/", depth: b.depth + 1}
	first := len(b.report.Programs)
	codes, err := nested.verify()
	if err != nil {
		return err
	}
	if err := b.checkNested(s, codes, b.report.Programs[first:][:len(codes)]); err != nil {
		return err
	}
	return fs.SkipDir
}

// checkNested: the code is the one that was there when the bundle was sealed, for
// every processor that the main program is for. A seal has one hash of one
// processor's code; the others are known by the requirement, in which a Mac's own
// tools put no hash. So an older program of the same signer's may stand there for
// a processor; the report says so.
func (b *bundle) checkNested(s sealed, codes []*Code, report []Program) error {
	r, err := requirement.Parse(s.requirement)
	if err != nil {
		return err
	}
	if err := satisfy(codes, r); err != nil {
		return err
	}
	for _, main := range b.codes {
		if !slices.ContainsFunc(codes, func(c *Code) bool { return c.CPU() == main.CPU() }) {
			return fmt.Errorf("nothing for %s, which the main program is for", main.CPU())
		}
	}
	hashed := func(c *Code) bool { return bytes.Equal(c.CDHash(), s.cdHash) }
	if s.cdHash != nil && !slices.ContainsFunc(codes, hashed) {
		return errors.New("another program than the one that was sealed")
	}
	for i, c := range codes {
		report[i].Unbound = !hashed(c) && !c.isBoundBy(r)
	}
	return nil
}

// isBoundBy says whether a requirement that the code satisfies asks for its hash.
func (c *Code) isBoundBy(r *requirement.Requirement) bool {
	s := c.Subject()
	s.CDHashes = nil
	return r.Eval(s) != nil
}
