package sign

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"time"
)

// Magic numbers of blobs, and the slots where they are found (xnu,
// osfmk/kern/cs_blobs.h; Security, CodeDirectory).
const (
	magicSignature       = 0xfade0cc0
	magicDirectory       = 0xfade0c02
	magicEntitlements    = 0xfade7171
	magicEntitlementsDER = 0xfade7172
	magicCMS             = 0xfade0b01

	slotDirectory       = 0
	slotInfo            = 1
	slotRequirements    = 2
	slotResources       = 3
	slotEntitlements    = 5
	slotEntitlementsDER = 7
	slotCMS             = 0x10000
)

// Flags of a code directory.
const (
	flagAdHoc   = 0x2
	flagRuntime = 0x10000
)

const (
	pageBits      = 12 // of 4 KiB, on both processors, as codesign(1) has it
	hashSHA256    = 2
	segmentMain   = 1          // the executable segment is a program's, not a library's
	oldestRuntime = 0x000a0e00 // 10.14, the first system with a hardened runtime
	cdHashSize    = 20
)

// terms are what one program is signed with, for all its processors.
type terms struct {
	identity     *Identity
	identifier   string
	runtime      bool
	requirements []byte // a set blob
	entitlements entitlements
	info         []byte // Info.plist; nil: the one within the program, if any
	resources    []byte // CodeResources; nil: none
	stamp        string // URL of a timestamp authority; empty: no timestamp
	now          time.Time
}

// A blob is one part of a signature, in its place.
type blob struct {
	slot uint32
	data []byte // with its header
}

// sign answers the program with a signature in place of whatever it had, and
// the hash by which the system knows it.
func (m *image) sign(t *terms) (signed, cdhash []byte, err error) {
	parts := t.parts(m)
	room := superSize(parts) + t.identity.reserve(t.stamp != "") + m.directorySize(t, parts)
	out := m.place(int(alignUp(uint64(room), signatureSlot)))
	limit := m.codeLimit()
	directory := m.directory(t, parts, out[:limit])
	sum := sha256.Sum256(directory)
	parts = append([]blob{{slotDirectory, directory}}, parts...)
	if !t.identity.isAdHoc() {
		cms, err := t.identity.cms(directory, t.stamp, t.now)
		if err != nil {
			return nil, nil, err
		}
		parts = append(parts, blob{slotCMS, withHeader(magicCMS, cms)})
	}
	signature := superBlob(parts)
	if len(signature) > len(out[limit:]) {
		return nil, nil, fmt.Errorf("a signature of %d bytes, more than the %d that were kept free", len(signature), len(out[limit:]))
	}
	copy(out[limit:], signature)
	return out, sum[:cdHashSize], nil
}

// parts are the blobs that the directory holds hashes of.
func (t *terms) parts(m *image) []blob {
	parts := []blob{{slotRequirements, t.requirements}}
	if t.entitlements.xml == nil || !m.isExecutable() {
		return parts
	}
	return append(parts,
		blob{slotEntitlements, withHeader(magicEntitlements, t.entitlements.xml)},
		blob{slotEntitlementsDER, withHeader(magicEntitlementsDER, t.entitlements.der)})
}

// directoryHeader is Apple's, of version 0x20500: the last two words came with
// the hardened runtime, and an older version ends before them.
type directoryHeader struct {
	Magic, Length, Version, Flags           uint32
	HashOffset, IdentOffset                 uint32
	SpecialSlots, CodeSlots, CodeLimit      uint32
	HashSize, HashType, Platform, PageBits  uint8
	Spare2, ScatterOffset, TeamOffset       uint32
	Spare3                                  uint32
	CodeLimit64                             uint64
	SegmentBase, SegmentLimit, SegmentFlags uint64
	Runtime, PreEncryptOffset               uint32
}

const (
	versionRuntime = 0x20500
	versionSegment = 0x20400
	runtimeFields  = 8
)

func (t *terms) headerSize() int {
	size := binary.Size(directoryHeader{})
	if !t.runtime {
		size -= runtimeFields
	}
	return size
}

func (m *image) directorySize(t *terms, parts []blob) int {
	size := t.headerSize() + len(t.identifier) + 1
	if team := t.identity.Team(); team != "" {
		size += len(team) + 1
	}
	return size + sha256.Size*(len(t.specials(m, parts))+m.pages())
}

func (m *image) pages() int { return int((m.codeLimit() + 1<<pageBits - 1) >> pageBits) }

// specials are the hashes of what is not code, by slot, up to the highest that
// is used; a slot that is not holds zeros.
func (t *terms) specials(m *image, parts []blob) [][sha256.Size]byte {
	var sums [slotEntitlementsDER + 1][sha256.Size]byte
	highest := uint32(0)
	set := func(slot uint32, data []byte) {
		if data != nil {
			sums[slot], highest = sha256.Sum256(data), max(highest, slot)
		}
	}
	info := t.info
	if info == nil {
		info = m.info
	}
	set(slotInfo, info)
	set(slotResources, t.resources)
	for _, p := range parts {
		set(p.slot, p.data)
	}
	return sums[1 : highest+1]
}

// directory answers the list of hashes that is what gets signed.
func (m *image) directory(t *terms, parts []blob, code []byte) []byte {
	specials := t.specials(m, parts)
	names := t.identifier + "\x00"
	h := m.directoryHeader(t)
	if team := t.identity.Team(); team != "" {
		h.TeamOffset = h.IdentOffset + uint32(len(names))
		names += team + "\x00"
	}
	h.SpecialSlots, h.HashOffset = uint32(len(specials)), h.IdentOffset+uint32(len(names)+sha256.Size*len(specials))
	h.Length = uint32(m.directorySize(t, parts))
	var b bytes.Buffer
	binary.Write(&b, binary.BigEndian, h) // to memory, which does not fail
	b.Truncate(t.headerSize())
	b.WriteString(names)
	for i := len(specials) - 1; i >= 0; i-- { // slot 1 lies right before the code's
		b.Write(specials[i][:])
	}
	for page := range slices.Chunk(code, 1<<pageBits) {
		sum := sha256.Sum256(page)
		b.Write(sum[:])
	}
	return b.Bytes()
}

// directoryHeader answers what does not depend on names and parts.
func (m *image) directoryHeader(t *terms) directoryHeader {
	h := directoryHeader{
		Magic: magicDirectory, Version: versionSegment, IdentOffset: uint32(t.headerSize()),
		CodeSlots: uint32(m.pages()), CodeLimit: uint32(m.codeLimit()),
		HashSize: sha256.Size, HashType: hashSHA256, PageBits: pageBits,
		SegmentBase: m.text.Offset, SegmentLimit: m.text.Filesz,
	}
	if m.isExecutable() {
		h.SegmentFlags = segmentMain
	}
	if t.identity.isAdHoc() {
		h.Flags |= flagAdHoc
	}
	if t.runtime {
		h.Flags |= flagRuntime
		h.Version, h.Runtime = versionRuntime, max(m.sdk, oldestRuntime)
	}
	return h
}

func withHeader(magic uint32, content []byte) []byte {
	out := binary.BigEndian.AppendUint32(nil, magic)
	out = binary.BigEndian.AppendUint32(out, uint32(8+len(content)))
	return append(out, content...)
}

// superSize is how much parts take in a signature, with a directory and a CMS
// blob that are not among them yet, but for the contents of these.
func superSize(parts []blob) int {
	size := 12 + 8*(len(parts)+2) + 8
	for _, p := range parts {
		size += len(p.data)
	}
	return size
}

func superBlob(parts []blob) []byte {
	offset := 12 + 8*len(parts)
	index := binary.BigEndian.AppendUint32(nil, uint32(len(parts)))
	var contents []byte
	for _, p := range parts {
		index = binary.BigEndian.AppendUint32(index, p.slot)
		index = binary.BigEndian.AppendUint32(index, uint32(offset+len(contents)))
		contents = append(contents, p.data...)
	}
	return withHeader(magicSignature, append(index, contents...))
}

// signFile answers a thin or fat file, signed, and its hash for each processor.
func signFile(data []byte, t *terms) (signed []byte, cdhashes [][]byte, err error) {
	parts, fat, err := split(data)
	if err != nil {
		return nil, nil, err
	}
	for i, p := range parts {
		out, cdhash, err := p.sign(t)
		if err != nil {
			return nil, nil, fmt.Errorf("%s: %w", cpuName(p.cpu), err)
		}
		if parts[i].image, err = parseImage(out); err != nil {
			return nil, nil, errors.Join(errors.New("what was signed is no Mach-O any more"), err)
		}
		cdhashes = append(cdhashes, cdhash)
	}
	if !fat {
		return parts[0].data, cdhashes, nil
	}
	signed, err = join(parts)
	return signed, cdhashes, err
}
