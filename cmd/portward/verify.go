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
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"portward/internal/bundle"
	"portward/internal/bundle/requirement"
	"portward/internal/bundle/signature"
	"portward/internal/program"
	"portward/internal/update/publish"
)

const verifyUsage = `usage: portward verify [flags] BUNDLE

Reads all of BUNDLE again and says what it is: that every file is as its seal says,
and, where the programs are a Mac's, that Apple's signature covers all of the app,
that the identifiers of both are the same, and who signed. Ends with 65 at the
first fault. It needs no Mac, and asks nobody: whether a certificate was revoked,
and whether a notary knows the app, it cannot tell.

  --requirement TEXT  what the app has to satisfy, in Apple's requirement language:
                      'identifier "dev.portward.guiagent" and anchor apple generic'
  --root PEM          believe the roots in this file instead of Apple's; it is
                      they who are "anchor apple" then
  --ad-hoc            be content with what nobody signed
  --json              one JSON object on stdout
`

// A checking is what is asked of a bundle.
type checking struct {
	signature.Options
	json bool
}

func verifyBundle(args []string) (int, error) {
	c, dir, err := parseChecking(args)
	if err != nil {
		return program.ExitUsage, err
	}
	v, err := c.verify(dir)
	if err != nil {
		return exitData, err
	}
	if c.json {
		e := json.NewEncoder(os.Stdout)
		e.SetIndent("", "  ")
		return program.ExitOK, e.Encode(v)
	}
	v.print()
	return program.ExitOK, nil
}

func parseChecking(args []string) (*checking, string, error) {
	c := &checking{}
	flags := toolFlags("verify")
	text := flags.String("requirement", "", "")
	root := flags.String("root", "", "")
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

// A verified bundle, and the form of --json. Its names are a promise.
type verified struct {
	Bundle   string            `json:"bundle"`
	Version  string            `json:"version"`
	Hash     string            `json:"hash"`               // the seal's: the release
	Platform string            `json:"platform,omitempty"` // of the programs, if they tell
	Signed   bool              `json:"signed"`             // by Apple's rules
	Programs []verifiedProgram `json:"programs,omitempty"`
}

type verifiedProgram struct {
	Path         string    `json:"path"` // from the app
	CPU          string    `json:"cpu"`
	Identifier   string    `json:"identifier"`
	Team         string    `json:"team,omitempty"`
	CDHash       string    `json:"cdhash"`
	Flags        []string  `json:"flags"`
	Authority    []string  `json:"authority,omitempty"` // leaf first
	Entitlements []string  `json:"entitlements,omitempty"`
	Requirement  string    `json:"requirement,omitempty"` // the designated one
	Signed       time.Time `json:"signed,omitzero"`
	Timestamp    time.Time `json:"timestamp,omitzero"`
}

func (c *checking) verify(dir string) (*verified, error) {
	seal, err := bundle.Verify(dir)
	if err != nil {
		return nil, err
	}
	v := &verified{Bundle: dir, Version: seal.Version, Hash: seal.Hash()}
	if v.Platform, err = platformOfAll(dir, seal); err != nil {
		return nil, err
	}
	if !strings.HasPrefix(v.Platform, "darwin-") {
		if c.Requirement != nil {
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
		v.Programs = append(v.Programs, verifiedProgram{
			Path: p.Path, CPU: p.CPU, Identifier: p.Identifier, Team: p.Team, CDHash: p.CDHash, Flags: flagsOf(p),
			Authority: p.Authority, Entitlements: p.Entitlements, Requirement: p.Requirement, Signed: p.SigningTime, Timestamp: p.Timestamp,
		})
	}
	return v, nil
}

// platformOfAll answers the platform of the programs. One that is for another than
// the others is a fault.
func platformOfAll(dir string, seal *bundle.Seal) (string, error) {
	platform := ""
	for _, inside := range slices.Sorted(maps.Keys(identifiersIn(seal))) {
		f, err := os.Open(filepath.Join(bundle.Layout(dir).App(), filepath.FromSlash(inside)))
		if err != nil {
			return "", err
		}
		got := publish.PlatformOf(f)
		f.Close()
		if platform != "" && got != "" && got != platform {
			return "", fmt.Errorf("%s: built for %s, others for %s", inside, got, platform)
		}
		platform = cmp.Or(got, platform)
	}
	return platform, nil
}

func flagsOf(p signature.Program) []string {
	flags := []string{}
	if p.AdHoc {
		flags = append(flags, "adhoc")
	}
	if p.Runtime {
		flags = append(flags, "runtime")
	}
	return append(flags, fmt.Sprintf("0x%x", p.Flags))
}

func (v *verified) print() {
	fmt.Printf("%s: %s, %s\n", v.Bundle, v.Version, v.Hash)
	if !v.Signed {
		return
	}
	for _, p := range v.Programs {
		fmt.Printf("\n%s (%s)\n", p.Path, p.CPU)
		line := func(name, value string) {
			if value != "" {
				fmt.Printf("  %-12s %s\n", name, value)
			}
		}
		line("identifier", p.Identifier)
		line("team", p.Team)
		line("cdhash", p.CDHash)
		line("flags", strings.Join(p.Flags, " "))
		line("authority", strings.Join(p.Authority, " < "))
		line("asks for", strings.Join(p.Entitlements, " "))
		if !p.Timestamp.IsZero() {
			line("timestamp", p.Timestamp.UTC().Format(time.RFC3339))
		}
		line("requirement", p.Requirement)
	}
}
