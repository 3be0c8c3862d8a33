package publish

import (
	"bytes"
	"cmp"
	"debug/elf"
	"debug/macho"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"regexp"
	"strings"

	"portward/internal/bundle"
)

// platformOf answers the platform for which a bundle's programs were built. One
// whose format is not known, a script for example, says nothing; "" is the
// answer when none says anything.
func platformOf(s side) (string, error) {
	platform, of := "", ""
	for _, e := range s.files() {
		if e.Identifier == "" {
			continue
		}
		data, err := s.read(e)
		if err != nil {
			return "", fmt.Errorf("%s: %w", e.Path, err)
		}
		switch found := PlatformOf(bytes.NewReader(data)); {
		case found == "":
		case platform == "":
			platform, of = found, programName(e)
		case found != platform:
			return "", fmt.Errorf("%s is built for %s, %s for %s", of, platform, programName(e), found)
		}
	}
	return platform, nil
}

func programName(e bundle.Entry) string { return e.Path[strings.LastIndexByte(e.Path, '/')+1:] }

// PlatformOf answers the platform for which an executable was built, by the first
// bytes of its header: "linux-amd64", "darwin-arm64", of a Mac's program for both
// processors bundle.Universal, and "" of what is none. The rest of the file may be
// anything.
func PlatformOf(r io.ReaderAt) string {
	head := make([]byte, fatHeader+fatEntry*maxFat)
	n, _ := r.ReadAt(head, 0)
	head = head[:n]
	switch {
	case len(head) < 20:
		return ""
	case bytes.HasPrefix(head, []byte(elf.ELFMAG)):
		return named("linux", elfArch(head))
	case binary.LittleEndian.Uint32(head) == macho.Magic64:
		return named("darwin", machArch(macho.Cpu(binary.LittleEndian.Uint32(head[4:]))))
	case binary.BigEndian.Uint32(head) == macho.MagicFat:
		return fatPlatform(head[fatHeader:], binary.BigEndian.Uint32(head[4:]))
	}
	return ""
}

// A fat file begins with a table of its parts, in big-endian order (mach-o/fat.h).
const (
	fatHeader = 8
	fatEntry  = 20
	maxFat    = 8
)

func fatPlatform(table []byte, n uint32) string {
	if n == 0 || n > maxFat || len(table) < fatEntry*int(n) {
		return ""
	}
	first, found := "", map[string]bool{}
	for i := range int(n) {
		arch := machArch(macho.Cpu(binary.BigEndian.Uint32(table[fatEntry*i:])))
		first, found[arch] = cmp.Or(first, arch), true
	}
	if found["amd64"] && found["arm64"] {
		return bundle.Universal
	}
	return named("darwin", first)
}

func named(system, arch string) string {
	if arch == "" {
		return ""
	}
	return system + "-" + arch
}

// elfArch reads the machine of a header of 64 bits in little-endian order.
func elfArch(head []byte) string {
	if elf.Class(head[elf.EI_CLASS]) != elf.ELFCLASS64 || elf.Data(head[elf.EI_DATA]) != elf.ELFDATA2LSB {
		return ""
	}
	switch elf.Machine(binary.LittleEndian.Uint16(head[18:])) {
	case elf.EM_X86_64:
		return "amd64"
	case elf.EM_AARCH64:
		return "arm64"
	case elf.EM_RISCV:
		return "riscv64"
	}
	return ""
}

func machArch(c macho.Cpu) string {
	switch c {
	case macho.CpuAmd64:
		return "amd64"
	case macho.CpuArm64:
		return "arm64"
	}
	return ""
}

// A word is one part of a target's name.
var word = regexp.MustCompile(`^[a-z0-9][a-z0-9._-]{0,63}$`)

func checkWord(what, s string) error {
	if !word.MatchString(s) {
		return fmt.Errorf("%s %q: small letters, digits, and between them . _ -", what, s)
	}
	return nil
}

// choosePlatform settles what was asked for with what the programs are. No Mac
// looks for releases for one processor.
func choosePlatform(asked, found string) (string, error) {
	if asked == "" {
		asked = found
	}
	switch {
	case asked == "":
		return "", errors.New("the programs do not tell which platform they are for\nhint: --platform " + bundle.HostPlatform())
	case found != "" && asked != found:
		return "", fmt.Errorf("the programs are built for %s, not %s", found, asked)
	case strings.HasPrefix(asked, "darwin-") && asked != bundle.Universal:
		return "", fmt.Errorf("programs for %s, and a release for Macs holds those for both processors\nhint: portward pack --target darwin/universal", asked)
	}
	return asked, checkWord("platform", asked)
}
