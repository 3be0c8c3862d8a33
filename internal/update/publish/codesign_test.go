package publish

import (
	"bytes"
	"debug/macho"
	"encoding/binary"
	"reflect"
	"slices"
	"testing"
)

func be32(v ...uint32) []byte {
	var b []byte
	for _, x := range v {
		b = binary.BigEndian.AppendUint32(b, x)
	}
	return b
}

// signed answers a code signature as codesign(1) lays it out.
func signed(s signature, entitlements string) []byte {
	flags := uint32(0)
	if s.Hardened {
		flags = flagRuntime
	}
	const head = 52
	team := uint32(0)
	if s.Team != "" {
		team = head + uint32(len(s.Identifier)) + 1
	}
	texts := s.Identifier + "\x00" + s.Team + "\x00"
	directory := be32(magicDirectory, head+uint32(len(texts)), directoryHasTeam, flags, 0, head, 0, 0, 0, 0, 0, 0, team)
	directory = append(directory, texts...)
	blobs := [][]byte{directory}
	if entitlements != "" {
		text := `<plist version="1.0"><dict>` + entitlements + `</dict></plist>`
		blobs = append(blobs, append(be32(magicEntitlements, 8+uint32(len(text))), text...))
	}
	blobs = append(blobs, be32(0xfade0b01, 8)) // the CMS blob, which nobody here reads
	head2 := uint32(12 + 8*len(blobs))
	all := []byte{}
	index := []byte{}
	for i, b := range blobs {
		index = append(index, be32(uint32(i), head2+uint32(len(all)))...)
		all = append(all, b...)
	}
	return slices.Concat(be32(magicSuperBlob, head2+uint32(len(all)), uint32(len(blobs))), index, all)
}

// machO answers a program for one architecture that is nothing but its
// signature.
func machO(cpu macho.Cpu, sig []byte) []byte {
	le := binary.LittleEndian
	var b []byte
	for _, v := range []uint32{macho.Magic64, uint32(cpu), 0, uint32(macho.TypeExec), 1, 16, 0, 0, loadCodeSignature, 16, 48, uint32(len(sig))} {
		b = le.AppendUint32(b, v)
	}
	return append(b, sig...)
}

var exampleSignature = signature{Identifier: "dev.portward.netchild", Team: "TEAM123456", Hardened: true}

// Rule: a signature that is cut or lies about its lengths is an error, never
// something else.
func TestBrokenSignatures(t *testing.T) {
	t.Parallel()
	whole := signed(exampleSignature, "<key>a</key><true/>")
	for n := range whole {
		if _, err := parseSignature(whole[:n]); err == nil {
			t.Fatalf("the first %d bytes of %d are a signature", n, len(whole))
		}
	}
	for _, at := range []int{0, 4, 8, 16} {
		broken := bytes.Clone(whole)
		copy(broken[at:], "\xff\xff\xff\xff")
		if _, err := parseSignature(broken); err == nil {
			t.Errorf("a wrong word at %d is borne", at)
		}
	}
	if _, err := signaturesOf(bytes.NewReader(machO(macho.CpuArm64, whole)[:100])); err == nil {
		t.Error("a program that ends before its signature")
	}
}

// Rule: what Apple's tools claim is read from each architecture.
func TestSignatures(t *testing.T) {
	t.Parallel()
	want := exampleSignature
	want.Entitlements = map[string]any{"com.apple.security.get-task-allow": true}
	program := machO(macho.CpuArm64, signed(want, "<key>com.apple.security.get-task-allow</key><true/>"))
	fat := slices.Concat(be32(macho.MagicFat, 2, uint32(macho.CpuArm64), 0, 48, uint32(len(program)), 0), be32(uint32(macho.CpuAmd64), 3, 4096, 0, 0))
	second := machO(macho.CpuAmd64, signed(exampleSignature, ""))
	binary.BigEndian.PutUint32(fat[8+20+12:], uint32(len(second)))
	fat = append(append(fat, program...), make([]byte, 4096-len(fat)-len(program))...)
	fat = append(fat, second...)

	for _, c := range []struct {
		name string
		data []byte
		want []signature
	}{
		{"script", []byte("#!/bin/sh\n"), nil},
		{"linux", elfFor(0x3e), nil},
		{"thin", program, []signature{want}},
		{"universal", fat, []signature{want, exampleSignature}},
	} {
		if got, err := signaturesOf(bytes.NewReader(c.data)); err != nil || !reflect.DeepEqual(got, c.want) {
			t.Errorf("%s: %+v, %v, want %+v", c.name, got, err, c.want)
		}
	}
	if got := platformsIn(bytes.NewReader(fat)); !slices.Equal(got, []string{"darwin-arm64", "darwin-amd64"}) {
		t.Errorf("built for %q", got)
	}
}

// FuzzSignature: whatever a program carries, reading it ends with an answer.
func FuzzSignature(f *testing.F) {
	f.Add(signed(exampleSignature, "<key>a</key><true/>"))
	f.Add(signed(signature{Identifier: "a.out"}, ""))
	f.Add(be32(magicSuperBlob, 12, 0))
	f.Fuzz(func(t *testing.T, data []byte) {
		if s, err := parseSignature(data); err == nil && s.Identifier == "" {
			t.Error("a signature without an identifier")
		}
	})
}
