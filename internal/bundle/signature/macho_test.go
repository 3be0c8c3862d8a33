package signature

import (
	"bytes"
	"encoding/binary"
	"slices"
	"strings"
	"testing"
)

// The places in a program that thin and then sign made.
const (
	textCommand = headerSize
	linkCommand = textCommand + 72 + 80
	signCommand = linkCommand + 72
)

func put32(data []byte, at int, value uint32) { binary.LittleEndian.PutUint32(data[at:], value) }
func put64(data []byte, at int, value uint64) { binary.LittleEndian.PutUint64(data[at:], value) }

// Rule: a Mach-O that lies about itself is refused when it is read, before
// anything is believed of it.
func TestLyingMachO(t *testing.T) {
	good := signedWorld(t).thinSigned(t, "")
	if _, err := Read(bytes.NewReader(good), int64(len(good))); err != nil {
		t.Fatal(err)
	}
	size := uint64(len(good))
	for name, lie := range map[string]func(d []byte) []byte{
		"32 bits":               func(d []byte) []byte { put32(d, 0, 0xfeedface); return d },
		"big-endian":            func(d []byte) []byte { slices.Reverse(d[:4]); return d },
		"no program":            func([]byte) []byte { return []byte("#!/bin/sh\necho hello, this is a script\n") },
		"nothing":               func([]byte) []byte { return nil },
		"many commands":         func(d []byte) []byte { put32(d, 16, 0xffffffff); return d },
		"one more command":      func(d []byte) []byte { put32(d, 16, 4); return d },
		"one command less":      func(d []byte) []byte { put32(d, 16, 2); return d },
		"commands outside":      func(d []byte) []byte { put32(d, 20, 0xfffffff0); return d },
		"commands too long":     func(d []byte) []byte { put32(d, 20, 0x5000); return d },
		"command of no size":    func(d []byte) []byte { put32(d, textCommand+4, 0); return d },
		"command of odd size":   func(d []byte) []byte { put32(d, textCommand+4, 73); return d },
		"command of huge size":  func(d []byte) []byte { put32(d, textCommand+4, 0xfffffff8); return d },
		"short segment":         func(d []byte) []byte { put32(d, signCommand, cmdSegment); return d },
		"more sections":         func(d []byte) []byte { put32(d, textCommand+64, 2); return d },
		"many sections":         func(d []byte) []byte { put32(d, textCommand+64, 0xffffffff); return d },
		"segment outside":       func(d []byte) []byte { put64(d, textCommand+40, size); return d },
		"segment wraps":         func(d []byte) []byte { put64(d, textCommand+40, ^uint64(0)-7); return d },
		"segment too long":      func(d []byte) []byte { put64(d, textCommand+48, ^uint64(0)); return d },
		"no text":               func(d []byte) []byte { copy(d[textCommand+8:], "__DATA"); return d },
		"two texts":             func(d []byte) []byte { copy(d[linkCommand+8:], "__TEXT\x00\x00\x00\x00"); return d },
		"linkedit ends before":  func(d []byte) []byte { put64(d, linkCommand+48, 0x40); return d },
		"signature unknown":     func(d []byte) []byte { put32(d, signCommand, 0x99); return d },
		"two signatures":        func(d []byte) []byte { return secondSignature(d) },
		"signature outside":     func(d []byte) []byte { put32(d, signCommand+8, uint32(size)); return d },
		"signature not the end": func(d []byte) []byte { put32(d, signCommand+12, 0x1000); return d },
		"no signature there":    func(d []byte) []byte { put32(d, signCommand+12, 0); return d },
		"bytes after it":        func(d []byte) []byte { return append(d, make([]byte, 16)...) },
		"Info.plist outside": func(d []byte) []byte {
			copy(d[textCommand+72:], "__info_plist")
			put32(d, textCommand+72+48, 0x4000)
			return d
		},
		"huge Info.plist": func(d []byte) []byte {
			copy(d[textCommand+72:], "__info_plist")
			put64(d, textCommand+72+40, 1<<63)
			return d
		},
	} {
		d := lie(bytes.Clone(good))
		if _, err := Read(bytes.NewReader(d), int64(len(d))); err == nil {
			t.Errorf("%s: read", name)
		}
	}
	for n := range good {
		if _, err := Read(bytes.NewReader(good[:n]), int64(n)); err == nil {
			t.Fatalf("cut to %d bytes: read", n)
		}
	}
}

// secondSignature makes a signature command of 16 bytes twice out of it.
func secondSignature(d []byte) []byte {
	copy(d[signCommand+16:], d[signCommand:signCommand+16])
	put32(d, 16, 4)
	put32(d, 20, binary.LittleEndian.Uint32(d[20:])+16)
	return d
}

// Rule: an Info.plist inside of a program is sealed like one beside it.
func TestEmbeddedInfo(t *testing.T) {
	d := signedWorld(t).thinSigned(t, "")
	copy(d[textCommand+72:], "__info_plist\x00\x00\x00\x00")
	codes, err := Read(bytes.NewReader(d), int64(len(d)))
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(codes[0].image.info, d[0x1000:0x1100]) {
		t.Errorf("%x", codes[0].image.info)
	}
	if err := codes[0].directory.checkSlot(slotInfo, infoName, codes[0].image.info); err == nil || !strings.Contains(err.Error(), "not signed") {
		t.Errorf("%v", err)
	}
}

// Rule: a superblob's index does not lie, its blobs do not share bytes, and
// nothing is in it that no blob has.
func TestLyingSuperBlob(t *testing.T) {
	words := func(n ...uint32) (out []byte) {
		for _, w := range n {
			out = binary.BigEndian.AppendUint32(out, w)
		}
		return out
	}
	empty := func(magic uint32) []byte { return words(magic, 8) }
	set, cms := empty(magicSet), empty(magicWrapper)
	good := slices.Concat(words(magicSignature, 44, 2, slotRequirements, 28, slotCMS, 36), set, cms)
	if blobs, err := superBlob(append(bytes.Clone(good), 0, 0)); err != nil || len(blobs) != 2 {
		t.Fatalf("%v, %v", blobs, err)
	}
	for name, data := range map[string][]byte{
		"nothing":        nil,
		"short":          good[:11],
		"cut":            good[:43],
		"other magic":    append(words(magicSet), good[4:]...),
		"too long":       append(words(magicSignature, 45), good[8:]...),
		"more after it":  append(bytes.Clone(good), 1),
		"many blobs":     append(words(magicSignature, 44, 0xffffffff), good[12:]...),
		"three blobs":    append(words(magicSignature, 44, 3), good[12:]...),
		"one blob":       append(words(magicSignature, 44, 1), good[12:]...),
		"gap":            slices.Concat(words(magicSignature, 48, 2, slotRequirements, 28, slotCMS, 40), set, words(0), cms),
		"shared":         slices.Concat(words(magicSignature, 44, 2, slotRequirements, 28, 0x20, 28), set, cms),
		"same twice":     slices.Concat(words(magicSignature, 44, 2, slotRequirements, 28, slotRequirements, 36), set, set),
		"index as blob":  slices.Concat(words(magicSignature, 44, 2, slotRequirements, 12, slotCMS, 36), set, cms),
		"outside":        slices.Concat(words(magicSignature, 44, 2, slotRequirements, 28, slotCMS, 0xfffffff0), set, cms),
		"too long blob":  slices.Concat(words(magicSignature, 44, 2, slotRequirements, 28, slotCMS, 36), set, words(magicWrapper, 0xffffffff)),
		"too short blob": slices.Concat(words(magicSignature, 44, 2, slotRequirements, 28, slotCMS, 36), set, words(magicWrapper, 7)),
		"unknown slot":   slices.Concat(words(magicSignature, 44, 2, slotRequirements, 28, 4, 36), set, cms),
		"other's place":  slices.Concat(words(magicSignature, 44, 2, slotRequirements, 28, slotCMS, 36), cms, set),
	} {
		if blobs, err := superBlob(data); err == nil {
			t.Errorf("%s: read as %v", name, blobs)
		}
	}
}

// Rule: entitlements in DER are DER, sorted, and not deep.
func TestLyingEntitlements(t *testing.T) {
	good := []byte{0x70, 0x18, 2, 1, 1, 0xb0, 0x13, 0x30, 0x06, 0x0c, 1, 'a', 1, 1, 0xff, 0x30, 0x09, 0x0c, 1, 'b', 0x30, 4, 0x04, 2, 7, 8}
	m, err := parseEntitlements(good)
	if err != nil || m["a"] != true || len(m) != 2 {
		t.Fatalf("%v, %v", m, err)
	}
	for n := range good {
		if m, err := parseEntitlements(good[:n]); err == nil {
			t.Errorf("cut to %d bytes: %v", n, m)
		}
	}
	change := func(at int, value byte) []byte { d := bytes.Clone(good); d[at] = value; return d }
	for name, data := range map[string][]byte{
		"longer":        append(bytes.Clone(good), 0),
		"version 2":     change(4, 2),
		"no dictionary": change(5, 0x30),
		"keys unsorted": change(19, 'A'),
		"key twice":     change(19, 'a'),
		"key of a kind": change(9, 0x04),
		"no truth":      change(14, 1),
		"unknown kind":  change(12, 0x05),
		"long length":   slices.Concat([]byte{0x70, 0x81, 0x18}, good[2:]),
		"endless":       slices.Concat([]byte{0x70, 0x80}, good[2:], []byte{0, 0}),
		"no UTF-8":      change(11, 0xff),
		"deep":          nest(40),
	} {
		if m, err := parseEntitlements(data); err == nil {
			t.Errorf("%s: %v", name, m)
		}
	}
}

// nest makes lists in lists.
func nest(levels int) []byte {
	var list []byte
	for range levels {
		list = append(derHead(0x30, len(list)), list...)
	}
	pair := append([]byte{0x0c, 1, 'a'}, list...)
	dict := append(derHead(0x30, len(pair)), pair...)
	whole := slices.Concat([]byte{2, 1, 1}, derHead(tagDict, len(dict)), dict)
	return append(derHead(tagWhole, len(whole)), whole...)
}

// Rule: ad hoc code has nobody behind it, and says so.
func TestAdHoc(t *testing.T) {
	w := signedWorld(t)
	plain := w.thinSigned(t, "")
	flag := func(b map[uint32][]byte) { b[slotDirectory][15] |= FlagAdHoc; delete(b, slotCMS) }
	var nobody *chainOfTrust
	o := w.options()
	o.AllowAdHoc = true
	if err := verifyBytes(t, nobody.forge(t, plain, flag), o); err == nil || !strings.Contains(err.Error(), "of team") {
		t.Errorf("of a team: %v", err)
	}
	if err := verifyBytes(t, w.chain.forge(t, plain, flag), o); err == nil || !strings.Contains(err.Error(), "with a CMS signature") {
		t.Errorf("signed: %v", err)
	}
}
