package signature

import (
	"bytes"
	"crypto/x509"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"time"

	"portward/internal/bundle/requirement"
)

const infoName = "Info.plist"

// ErrUnsigned says that a program has no signature at all.
var ErrUnsigned = errors.New("not signed")

// ErrMissing is in the error for something that a program was signed together with,
// and that is not there. Of a bundle's main program alone that is its Info.plist.
var ErrMissing = errors.New("signed, but missing")

// Code is the program for one processor, with its signature, as its file has
// them. Read believes nothing of it: only what VerifyFile or VerifyBundle passed
// is true.
type Code struct {
	file  io.ReaderAt // of the slice
	slice slice
	image *image
	blobs map[uint32][]byte

	directories  []*directory // by slot: the first is what the CMS signature is over
	directory    *directory   // the one that counts
	requirements map[requirement.Type]*requirement.Requirement
	entitlements map[string]any

	// From here on what verification found.
	info                   map[string]any
	chain                  []*x509.Certificate // leaf first
	signingTime, timestamp time.Time
	anchors                [][32]byte
}

// Read reads the signatures of a Mach-O, thin or fat, one per processor, in the
// file's order. All of it must be signed.
func Read(f io.ReaderAt, size int64) ([]*Code, error) {
	all, err := slicesOf(f, size)
	if err != nil {
		return nil, err
	}
	var codes []*Code
	for _, s := range all {
		c, err := readCode(io.NewSectionReader(f, s.offset, s.size), s)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", s.name(), err)
		}
		codes = append(codes, c)
	}
	for _, c := range codes[1:] {
		if c.Team() != codes[0].Team() {
			return nil, fmt.Errorf("%s: of team %q, %s is of %q", c.CPU(), c.Team(), codes[0].CPU(), codes[0].Team())
		}
	}
	return codes, nil
}

func readCode(f io.ReaderAt, s slice) (*Code, error) {
	img, err := readImage(f, s)
	if err != nil {
		return nil, err
	}
	data, err := readAt(f, s.size, img.sigOffset, img.sigLen)
	if err != nil {
		return nil, err
	}
	c := &Code{file: f, slice: s, image: img}
	if c.blobs, err = superBlob(data); err != nil {
		return nil, err
	}
	if err := c.readDirectories(); err != nil {
		return nil, fmt.Errorf("code directory: %w", err)
	}
	if blob := c.blobs[slotRequirements]; blob != nil {
		if c.requirements, err = requirement.ParseSet(blob); err != nil {
			return nil, err
		}
	}
	return c, c.readEntitlements()
}

// readDirectories takes the first and its alternates. They differ in their hashes
// only, and one has those of SHA-256.
func (c *Code) readDirectories() error {
	if c.blobs[slotDirectory] == nil {
		return errors.New("there is none")
	}
	kinds := map[uint8]bool{}
	for _, slot := range slices.Sorted(maps.Keys(c.blobs)) {
		if slot != slotDirectory && (slot < slotAlternate || slot > lastAlternate) {
			continue
		}
		d, err := parseDirectory(c.blobs[slot])
		if err != nil {
			return err
		}
		if kinds[d.hashType] {
			return errors.New("two with the same kind of hashes")
		}
		kinds[d.hashType] = true
		c.directories = append(c.directories, d)
		if d.hashType == hashSHA256 {
			c.directory = d
		}
	}
	if c.directory == nil {
		return errors.New("none with SHA-256")
	}
	for _, d := range c.directories {
		if err := c.checkDirectory(d); err != nil {
			return err
		}
	}
	return nil
}

// checkDirectory: it says what the others say, and covers all before the
// signature.
func (c *Code) checkDirectory(d *directory) error {
	best, img := c.directory, c.image
	switch {
	case d.identifier != best.identifier || d.team != best.team || d.flags != best.flags || d.platform != best.platform:
		return errors.New("two that say different things")
	case d.limit != img.sigOffset:
		return fmt.Errorf("it covers %d bytes, the signature is at %d", d.limit, img.sigOffset)
	case d.version < versionExec || d.execBase|d.execLimit|d.execFlags == 0:
		return nil
	case d.execBase != uint64(img.text.offset) || d.execLimit != uint64(img.text.size):
		return fmt.Errorf("its executable segment is %d bytes at %d, not %d at %d", d.execLimit, d.execBase, img.text.size, img.text.offset)
	case (d.execFlags&execMainBinary != 0) != (img.fileType == typeExecute):
		return errors.New("it takes a library for a program, or the reverse")
	}
	return nil
}

// check verifies the code against its own signature. Info and resources are the
// bundle's files that belong to its main program; nil: it is none's.
func (c *Code) check(info, resources []byte, o *Options) error {
	if err := c.directory.checkPages(c.file); err != nil {
		return err
	}
	if info == nil {
		info = c.image.info
	}
	components := map[int][]byte{slotInfo: info, slotResources: resources}
	names := map[int]string{slotInfo: infoName, slotResources: "CodeResources", slotRequirements: "requirements", slotEntitlements: "entitlements", slotEntitleDER: "entitlements in DER"}
	for slot := slotRequirements; slot <= lastSpecial; slot++ {
		if slot != slotResources {
			components[slot] = c.blobs[uint32(slot)]
		}
	}
	for slot := 1; slot <= 2*lastSpecial; slot++ {
		name := names[slot]
		if name == "" {
			name = fmt.Sprintf("slot %d", slot)
		}
		if err := c.directory.checkSlot(slot, name, components[slot]); err != nil {
			return err
		}
	}
	if err := c.checkSigner(o); err != nil {
		return err
	}
	return c.checkRequirements(info, o)
}

// checkRequirements: code satisfies what it designates itself by.
func (c *Code) checkRequirements(info []byte, o *Options) error {
	c.anchors = o.anchors()
	if info != nil {
		var err error
		if c.info, err = parsePlist(bytes.TrimRight(info, "\x00")); err != nil {
			return fmt.Errorf("%s: %w", infoName, err)
		}
	}
	if r := c.requirements[requirement.Designated]; r != nil {
		if err := r.Eval(c.Subject()); err != nil {
			return fmt.Errorf("designated requirement: %w", err)
		}
	}
	return nil
}

// CPU names the processor: "arm64", "x86_64".
func (c *Code) CPU() string { return c.slice.name() }

// Identifier is the one it was signed under.
func (c *Code) Identifier() string { return c.directory.identifier }

// Team is the signer's; empty: none.
func (c *Code) Team() string { return c.directory.team }

// Flags are the code directory's.
func (c *Code) Flags() uint32 { return c.directory.flags }

// CDHash is what a cdhash in a requirement says, 20 bytes.
func (c *Code) CDHash() []byte { return c.directory.hash()[:cdHashSize] }

// Designated is the requirement that it was signed with; nil: none.
func (c *Code) Designated() *requirement.Requirement {
	return c.requirements[requirement.Designated]
}

// Entitlements are a copy of those it was signed with.
func (c *Code) Entitlements() map[string]any { return maps.Clone(c.entitlements) }

// Subject answers what a requirement may ask about. Before verification there
// are no certificates and no Info.plist in it.
func (c *Code) Subject() requirement.Subject {
	find := func(dict map[string]any) func(string) (any, bool) {
		return func(key string) (any, bool) { v, ok := dict[key]; return v, ok }
	}
	return requirement.Subject{
		Identifier:  c.Identifier(),
		CDHashes:    [][]byte{c.CDHash()},
		Chain:       c.chain,
		Anchors:     c.anchors,
		Info:        find(c.info),
		Entitlement: find(c.entitlements),
		Platform:    c.directory.platform,
	}
}

func (c *Code) program(path string) Program {
	p := Program{
		Path: path, CPU: c.CPU(), Identifier: c.Identifier(), Team: c.Team(), Flags: c.Flags(), CDHash: hex.EncodeToString(c.CDHash()),
		Runtime: c.Flags()&FlagRuntime != 0, AdHoc: c.Flags()&FlagAdHoc != 0, Entitlements: slices.Sorted(maps.Keys(c.entitlements)),
		SigningTime: c.signingTime, Timestamp: c.timestamp,
	}
	for _, cert := range c.chain {
		p.Authority = append(p.Authority, cert.Subject.CommonName)
	}
	if r := c.Designated(); r != nil {
		p.Requirement = r.String()
	}
	return p
}
