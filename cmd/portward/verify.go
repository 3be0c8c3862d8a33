package main

import (
	"cmp"
	"crypto/sha256"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"portward/internal/bundle"
	"portward/internal/bundle/requirement"
	"portward/internal/bundle/signature"
	"portward/internal/program"
	"portward/internal/update/tufrepo"
)

const verifyUsage = `usage: portward verify [flags] BUNDLE
       portward verify [flags] FILE

Reads all of BUNDLE again and says what it is: that every file is as its seal says,
and, where anything in it is a Mac's program, that Apple's signature covers all of
the app, that the identifiers of both are the same, and who signed. Ends with 65 at
the first fault. FILE is one program of a Mac, alone; not guiagent, whose signature
covers files of the app. It needs no Mac, and asks nobody: whether a certificate was
revoked, and whether a notary knows the app, it cannot tell.

Anybody can make a seal again. Who made this one is proved by Apple's signature
only, and by that only if it is said whose it has to be: by --team or --requirement.
Of a bundle for Linux nothing is proved without --trust.

  --team ID           whose all of the programs have to be
  --requirement TEXT  what the app has to satisfy, in Apple's requirement language:
                      'identifier "dev.portward.guiagent" and anchor apple generic'
  --trust FILE        a repository's metadata/1.root.json, got from whoever
                      publishes: it has to vouch for the seal, by what is in
                      BUNDLE/tuf
  --root PEM          believe the roots in this file instead of Apple's; it is
                      they who are "anchor apple" then
  --ad-hoc            be content with what nobody signed
  --json              one JSON object on stdout
`

// A checking is what is asked of a bundle.
type checking struct {
	signature.Options
	team  string // of all programs; empty: anybody's
	trust string // path of a root's metadata; empty: what is in the bundle
	json  bool
}

func verifyBundle(args []string) (int, error) {
	c, path, err := parseChecking(args)
	if err != nil {
		return program.ExitUsage, err
	}
	v, err := c.verifyAny(path)
	if err != nil {
		return exitData, c.wayOut(err)
	}
	if c.json {
		e := json.NewEncoder(os.Stdout)
		e.SetIndent("", "  ")
		return program.ExitOK, e.Encode(v)
	}
	v.print()
	c.printDoubts(v)
	return program.ExitOK, nil
}

func parseChecking(args []string) (*checking, string, error) {
	c := &checking{}
	flags := toolFlags("verify")
	text := flags.String("requirement", "", "")
	root := flags.String("root", "", "")
	flags.StringVar(&c.team, "team", "", "")
	flags.StringVar(&c.trust, "trust", "", "")
	flags.BoolVar(&c.AllowAdHoc, "ad-hoc", false, "")
	flags.BoolVar(&c.json, "json", false, "")
	rest, err := parseMixed(flags, args, verifyUsage)
	if err != nil {
		return nil, "", err
	}
	if len(rest) != 1 {
		return nil, "", errors.New("verify takes one bundle\nhint: portward verify --help")
	}
	if *text != "" {
		if c.Requirement, err = requirement.Parse(*text); err != nil {
			return nil, "", fmt.Errorf("--requirement: %w", err)
		}
	}
	if *root != "" {
		if c.Anchors, err = readRoots(*root); err != nil {
			return nil, "", fmt.Errorf("--root: %w", err)
		}
	}
	return c, rest[0], nil
}

// wayOut adds the flag that would have let it pass, where one would.
func (c *checking) wayOut(err error) error {
	if c.team == "" && c.Requirement == nil { // which nobody's signature satisfies
		err = hinted(err, hintAdHoc, saysByNobody)
	}
	return hinted(err, rootHint(c.Anchors), saysUnbelieved)
}

// rootHint is for who believes these; nil: Apple's.
func rootHint(anchors [][32]byte) string {
	if anchors != nil {
		return hintChain
	}
	return hintRoot
}

// readRoots answers the digests of the certificates in a PEM file.
func readRoots(path string) ([][32]byte, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	var digests [][32]byte
	for {
		block, rest := pem.Decode(data)
		if block == nil {
			break
		}
		data = rest
		if block.Type != "CERTIFICATE" {
			continue
		}
		if _, err := x509.ParseCertificate(block.Bytes); err != nil {
			return nil, fmt.Errorf("%s: %w", path, err)
		}
		digests = append(digests, sha256.Sum256(block.Bytes))
	}
	if len(digests) == 0 {
		return nil, fmt.Errorf("%s: no certificate in it", path)
	}
	return digests, nil
}

// verifyAny looks at a bundle and at who vouches for it, or at one program.
func (c *checking) verifyAny(path string) (*verified, error) {
	if info, err := os.Lstat(path); err == nil && info.Mode().IsRegular() {
		return c.verifyFile(path)
	}
	if err := checkBundle(path); err != nil {
		return nil, err
	}
	v, err := c.verify(path)
	if err != nil {
		return nil, err
	}
	return v, c.vouch(path, v)
}

func (c *checking) verifyFile(path string) (*verified, error) {
	if c.trust != "" {
		return nil, fmt.Errorf("%s: a repository vouches for bundles, not for files", path)
	}
	report, err := signature.VerifyFile(path, c.Options)
	if errors.Is(err, signature.ErrMissing) {
		err = fmt.Errorf("%w: it was signed together with files of its app, which are looked at with it only\nhint: portward verify BUNDLE, the directory that holds %s and seal.json", err, bundle.App)
	}
	if err != nil {
		return nil, err
	}
	v := &verified{File: path, Signed: true}
	return v, c.take(v, report)
}

// verify reads a bundle; its seal's authority is not asked for.
func (c *checking) verify(dir string) (*verified, error) {
	seal, err := bundle.Verify(dir)
	if err != nil {
		return nil, err
	}
	v := &verified{Bundle: dir, Version: seal.Version, Hash: seal.Hash()}
	mac, err := v.lookAtPrograms(dir, seal)
	if err != nil {
		return nil, fmt.Errorf("bundle %s: %w", dir, err)
	}
	if !mac {
		if c.Requirement != nil || c.team != "" {
			return nil, fmt.Errorf("bundle %s: a requirement is for programs of a Mac", dir)
		}
		return v, nil
	}
	app := bundle.Layout(dir).App()
	if _, err := os.Lstat(filepath.Join(app, "Contents/_CodeSignature/CodeResources")); errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("%s: not signed as an app\nhint: portward sign --help", app)
	}
	report, err := signature.VerifyBundle(app, c.Options)
	if err != nil {
		return nil, err
	}
	v.Signed = true
	ids := identifiersIn(seal)
	for _, p := range report.Programs {
		if id := ids[p.Path]; id != p.Identifier {
			return nil, fmt.Errorf("%s: its signature says %q, the seal %q", p.Path, p.Identifier, id)
		}
	}
	return v, c.take(v, report)
}

// take copies what was verified, and wants all of it to be the team's.
func (c *checking) take(v *verified, report *signature.Report) error {
	for _, p := range report.Programs {
		if c.team != "" && p.Team != c.team {
			return fmt.Errorf("%s (%s): of team %q, not %q", p.Path, p.CPU, p.Team, c.team)
		}
		v.Programs = append(v.Programs, verifiedProgram{
			Path: p.Path, CPU: p.CPU, Identifier: p.Identifier, Team: p.Team, CDHash: p.CDHash, Flags: flagsOf(p), Unbound: p.Unbound,
			Authority: p.Authority, Entitlements: p.Entitlements, Requirement: p.Requirement, Signed: p.SigningTime, Timestamp: p.Timestamp,
		})
	}
	return nil
}

// vouch asks whether the metadata in the bundle stand behind its seal: those of the
// repository that --trust names, or else those that came with it, of which this
// only proves that they fit.
func (c *checking) vouch(dir string, v *verified) error {
	tuf := bundle.Layout(dir).Tuf()
	targets, err := os.ReadFile(filepath.Join(tuf, "targets.json"))
	if errors.Is(err, fs.ErrNotExist) {
		if c.trust != "" {
			err = fmt.Errorf("bundle %s: nobody of that repository vouches for it: it has no tuf/targets.json", dir)
		} else {
			err = nil
		}
	}
	if err != nil || targets == nil {
		return err
	}
	root, err := os.ReadFile(cmp.Or(c.trust, filepath.Join(tuf, "root.json")))
	if err != nil {
		return err
	}
	if err := standsBehind(root, targets, dir); err != nil {
		return fmt.Errorf("bundle %s: %w", dir, err)
	}
	sum := sha256.Sum256(root)
	v.Root = fmt.Sprintf("%x", sum)
	return nil
}

func standsBehind(root, targets []byte, dir string) error {
	scratch, err := os.MkdirTemp("", "portward-trust-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(scratch)
	trust, err := tufrepo.Open(filepath.Join(scratch, "trust"), root, program.Built())
	if err != nil {
		return err
	}
	seal, err := os.ReadFile(bundle.Layout(dir).Seal())
	if err != nil {
		return err
	}
	return trust.Vouches(targets, seal)
}
