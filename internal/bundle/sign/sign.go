// Package sign knows how Apple's code signatures are made: in Mach-O programs
// of one or several processors, and around a bundle. It must never know whether
// a signature is to be believed, and nothing that runs as root imports it.
//
// It is written for Portward's bundles: no links, no libraries, no bundles in
// the bundle; every file in Contents/MacOS is a program. One that holds more is
// refused, not signed in part. Certificates, PKCS#12, CMS and timestamps are
// libraries'; of Mach-O, fat files, the code directory, entitlements and
// CodeResources it makes the bytes itself, because no library makes them all,
// and so that those libraries can judge the result.
//
// The same input and time give the same bytes, but for a timestamp and the
// signature of an ECDSA key. Signing again replaces a signature.
package sign

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"portward/internal/bundle/requirement"
	"portward/internal/durable"
)

// Bounds of a bundle.
const (
	maxFile       = 1 << 32
	maxFiles      = 4096
	maxIdentifier = 256
)

// Options are how things are signed. Programs are named by their files' names.
type Options struct {
	Identity *Identity
	Team     string // if not empty, the one that the identity must be of

	Entitlements map[string][]byte // program -> property list; none: nothing is asked for

	// Identifiers are those of programs, by their paths from the app:
	// "Contents/MacOS/netchild". The default is the bundle's, followed by the
	// program's name; of the main executable it is the bundle's.
	Identifiers map[string]string

	Runtime bool // harden the runtime, without which nothing is notarized

	Timestamp string       // URL of a timestamp authority; empty: no timestamp
	Progress  func(string) // told of each program before it is signed; may be nil
	Now       time.Time    // zero: the clock's
}

// File signs one program, thin or fat, in place of any signature that it had.
// What is at path is a new file from then on, for macOS remembers signatures by
// inode; a run that is killed leaves the old one or the new one.
func File(path, identifier string, o Options) error {
	if err := file(path, identifier, o); err != nil {
		return fmt.Errorf("sign %s: %w", path, err)
	}
	return nil
}

func file(path, identifier string, o Options) error {
	if err := o.check(); err != nil {
		return err
	}
	info, err := os.Lstat(path)
	if err != nil {
		return err
	}
	if !info.Mode().IsRegular() {
		return errors.New("not a regular file")
	}
	data, err := readProgram(path)
	if err != nil {
		return err
	}
	p, err := o.program(data, filepath.Base(path), identifier, nil, nil)
	if err != nil {
		return err
	}
	return durable.Write(path, p.data, info.Mode().Perm())
}

func (o *Options) check() error {
	if o.Now.IsZero() {
		o.Now = time.Now()
	}
	if o.Identity == nil {
		return errors.New("no identity")
	}
	return o.Identity.check(o.Team, o.Now)
}

// A program that was signed, and how its bundle refers to it.
type program struct {
	data        []byte
	mode        fs.FileMode
	cdhashes    [][]byte // of each processor
	requirement string
}

func (o *Options) program(data []byte, name, identifier string, info, resources []byte) (*program, error) {
	if !isIdentifier(identifier) {
		return nil, fmt.Errorf("identifier %q", identifier)
	}
	if o.Progress != nil {
		o.Progress(name)
	}
	ent, err := parseEntitlements(o.Entitlements[name])
	if err != nil {
		return nil, err
	}
	text, blob, err := o.designated(identifier)
	if err != nil {
		return nil, err
	}
	p := &program{requirement: text}
	p.data, p.cdhashes, err = signFile(data, &terms{
		identity: o.Identity, identifier: identifier, runtime: o.Runtime,
		requirements: blob, entitlements: ent, info: info, resources: resources,
		stamp: o.Timestamp, now: o.Now,
	})
	if p.requirement == "" {
		p.requirement = ofHashes(p.cdhashes)
	}
	return p, err
}

// designated answers a requirement's text, and the set that holds it.
func (o *Options) designated(identifier string) (string, []byte, error) {
	text := o.Identity.requirement(identifier)
	if text == "" {
		return "", requirement.Set(nil), nil
	}
	r, err := requirement.Parse(text)
	if err != nil {
		return "", nil, fmt.Errorf("%s: %w", identifier, err)
	}
	return r.String(), requirement.Set(r.Binary()), nil
}

func readProgram(path string) ([]byte, error) { return readRegular(path, maxProgram) }

// isIdentifier: what can be said in a requirement, a seal and a file's name.
func isIdentifier(s string) bool {
	outside := func(c rune) bool {
		return !('a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || c == '.' || c == '-')
	}
	return s != "" && len(s) <= maxIdentifier && !strings.ContainsFunc(s, outside) && strings.Trim(s, ".") != ""
}
