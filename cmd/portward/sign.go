package main

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"net/url"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"portward/internal/bundle"
	"portward/internal/bundle/sign"
	"portward/internal/durable"
	"portward/internal/program"
)

const signUsage = `usage: portward sign --p12 FILE [flags] BUNDLE
       portward sign --ad-hoc [flags] BUNDLE
       portward sign --seal [--root PEM] BUNDLE

Signs the programs and the app of BUNDLE, which portward pack made for macOS, with
the hardened runtime, and makes its seal again. It needs no Mac. What is not as
its seal says is not signed. A copy beside BUNDLE is signed, verified, and put in
its place: one that was interrupted leaves BUNDLE as it was, or signed.

  --p12 FILE          the identity: key, certificate and those above it, up to the
                      root, as Keychain Access exports it
  --ad-hoc            by nobody: such programs are known by their bytes alone, and
                      do for a Mac of one's own
  --team ID           refuse an identity of another team
  --entitlements P    a directory with PROGRAM.plist for each program that asks
                      for something, or one property list for the agent (default:
                      nobody asks for anything)
  --timestamp URL     have an authority sign the time: Apple's is
                      http://timestamp.apple.com/ts01, without which nothing is
                      notarized (default: none)
  --seal              sign nothing: make the seal of an app that was signed
                      elsewhere, or into which a notary's ticket was stapled. It
                      has to be whole, and signed under the seal's identifiers, by
                      whom Apple vouches for or ad hoc; by whom is not asked
  --root PEM          with --seal: believe the roots in this file instead of Apple's
  --passphrase-file FILE

` + passphraseUsage

// A signing is the command line.
type signing struct {
	bundle, p12, team, entitlements, passFile string
	adHoc, seal                               bool
	stamp                                     string
	anchors                                   [][32]byte // believed by --seal; nil: Apple's

	swap func(a, b string) error // nil: durable.Exchange
}

func signBundle(args []string) (int, error) {
	s, err := parseSigning(args)
	if err != nil {
		return program.ExitUsage, err
	}
	return s.run()
}

func (s *signing) run() (int, error) {
	seal, code, err := s.do()
	if errors.Is(err, durable.ErrLocked) {
		code = program.ExitAgain
	}
	if err != nil {
		return code, err
	}
	fmt.Printf("%s: %s, %s\n", s.bundle, seal.Version, seal.Hash())
	return program.ExitOK, nil
}

// do answers the new seal, or the error and with which code that ends.
func (s *signing) do() (seal *bundle.Seal, code int, err error) {
	if err := checkBundle(s.bundle); err != nil {
		return nil, exitData, err
	}
	if s.seal {
		seal, err = s.sealAgain()
		return seal, exitData, hinted(err, rootHint(s.anchors), saysUnbelieved)
	}
	if err := checkForMacs(s.bundle); err != nil {
		return nil, exitData, err
	}
	o, err := s.options()
	if err != nil {
		return nil, program.ExitConfig, err
	}
	seal, err = s.replace(o)
	return seal, exitData, hinted(err, hintChanged, saysChanged...)
}

func parseSigning(args []string) (*signing, error) {
	s := &signing{}
	flags := toolFlags("sign")
	for name, to := range map[string]*string{
		"p12": &s.p12, "team": &s.team, "entitlements": &s.entitlements, "timestamp": &s.stamp, "passphrase-file": &s.passFile,
	} {
		flags.StringVar(to, name, "", "")
	}
	root := flags.String("root", "", "")
	flags.BoolVar(&s.adHoc, "ad-hoc", false, "")
	flags.BoolVar(&s.seal, "seal", false, "")
	rest, err := parseMixed(flags, args, signUsage)
	if err != nil {
		return nil, err
	}
	if err := s.check(rest); err != nil {
		return nil, fmt.Errorf("%w\nhint: portward sign --help", err)
	}
	s.bundle = rest[0]
	if *root == "" {
		return s, nil
	}
	if !s.seal {
		return nil, errors.New("--root is for --seal: what is signed here is believed\nhint: portward sign --help")
	}
	if s.anchors, err = readRoots(*root); err != nil {
		return nil, fmt.Errorf("--root: %w", err)
	}
	return s, nil
}

func (s *signing) check(rest []string) error {
	ways := 0
	for _, is := range []bool{s.p12 != "", s.adHoc, s.seal} {
		if is {
			ways++
		}
	}
	switch {
	case len(rest) != 1:
		return errors.New("sign takes one bundle")
	case ways != 1:
		return errors.New("who signs? One of --p12 FILE, --ad-hoc and --seal")
	case s.p12 == "" && (s.team != "" || s.stamp != "" || s.passFile != ""):
		return errors.New("--team, --timestamp and --passphrase-file are for --p12")
	case s.seal && s.entitlements != "":
		return errors.New("--seal signs nothing, so nobody gets --entitlements")
	}
	if u, err := url.Parse(s.stamp); s.stamp != "" && (err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https") {
		return fmt.Errorf("--timestamp %s: not an address", s.stamp)
	}
	return nil
}

func (s *signing) options() (sign.Options, error) {
	o := sign.Options{
		Identity: sign.AdHoc(), Team: s.team, Runtime: true, Timestamp: s.stamp,
		Progress: func(name string) { sayProgress("signing %s", name) },
	}
	var err error
	if o.Entitlements, err = s.asked(); err != nil || s.p12 == "" {
		return o, err
	}
	pass, err := askPass(s.passFile)
	if err != nil {
		return o, err
	}
	word, err := pass("signing", s.p12)
	if err != nil {
		return o, err
	}
	if o.Identity, err = sign.LoadP12(s.p12, string(word)); err != nil {
		err = wrongPassphrase(fmt.Errorf("--p12: %w", err), s.passFile)
	}
	return o, err
}

// asked answers the entitlements, if each can be signed into a program that is there.
func (s *signing) asked() (map[string][]byte, error) {
	all, err := readEntitlements(s.entitlements)
	if err != nil || all == nil {
		return all, wrap("--entitlements", err)
	}
	seal, err := bundle.ReadSeal(s.bundle)
	if err != nil {
		return nil, err
	}
	for _, name := range slices.Sorted(maps.Keys(all)) {
		if !seal.Has(name) {
			return nil, fmt.Errorf("--entitlements %s: %s.plist is for a program that the bundle does not have", s.entitlements, name)
		}
		if err := sign.CheckEntitlements(all[name]); err != nil {
			return nil, fmt.Errorf("--entitlements %s: %s: %w", s.entitlements, name, err)
		}
	}
	return all, nil
}

// wrap names the flag that an error is about.
func wrap(flag string, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("%s: %w", flag, err)
}

// sign signs what is as its seal says: nobody's changes get a signature.
func (s *signing) sign(o sign.Options) error {
	seal, err := bundle.Verify(s.bundle)
	if err != nil {
		return err
	}
	o.Identifiers = identifiersIn(seal)
	return sign.Bundle(bundle.Layout(s.bundle).App(), o)
}

// reseal makes the seal again and reads everything as machines will.
func (s *signing) reseal() (*bundle.Seal, error) {
	if _, err := bundle.Reseal(s.bundle, nil); err != nil {
		return nil, err
	}
	return bundle.Verify(s.bundle)
}

// identifiersIn answers those of the programs, by their paths from the app.
func identifiersIn(seal *bundle.Seal) map[string]string {
	ids := map[string]string{}
	for _, e := range seal.Entries {
		if inside, ok := strings.CutPrefix(e.Path, bundle.App+"/"); ok && e.Identifier != "" {
			ids[inside] = e.Identifier
		}
	}
	return ids
}

// readEntitlements answers the property lists in a directory, or the agent's.
func readEntitlements(from string) (map[string][]byte, error) {
	if from == "" {
		return nil, nil
	}
	if fi, err := os.Stat(from); err != nil {
		return nil, err
	} else if !fi.IsDir() {
		data, err := os.ReadFile(from)
		return map[string][]byte{bundle.Main: data}, err
	}
	all := map[string][]byte{}
	names, err := fs.Glob(os.DirFS(from), "*.plist")
	for _, name := range names {
		if err != nil {
			break
		}
		all[strings.TrimSuffix(path.Base(name), ".plist")], err = os.ReadFile(filepath.Join(from, name))
	}
	if err == nil && len(all) == 0 {
		err = fmt.Errorf("%s has no PROGRAM.plist", from)
	}
	return all, err
}
