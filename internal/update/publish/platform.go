package publish

import (
	"bytes"
	"debug/elf"
	"debug/macho"
	"errors"
	"fmt"
	"io"
	"regexp"
	"runtime"
	"slices"
	"strings"

	"portward/internal/bundle"
)

// HostPlatform names the platform that this program was built for.
func HostPlatform() string { return runtime.GOOS + "-" + runtime.GOARCH }

// platformOf answers the platform for which a bundle's programs were built. One
// whose format is not known, a script for example, says nothing; "" is the
// answer when none says anything. A program for two platforms (a universal one)
// is for each of them.
func platformOf(s side) (string, error) {
	var common []string
	of := ""
	for _, e := range s.files() {
		if e.Identifier == "" {
			continue
		}
		data, err := s.read(e)
		if err != nil {
			return "", fmt.Errorf("%s: %w", e.Path, err)
		}
		list := platformsIn(bytes.NewReader(data))
		if len(list) == 0 {
			continue
		}
		if of == "" {
			common, of = list, programName(e)
			continue
		}
		both := intersect(common, list)
		if len(both) == 0 {
			return "", fmt.Errorf("%s is built for %s, %s for %s", of, strings.Join(common, " and "), programName(e), strings.Join(list, " and "))
		}
		common = both
	}
	switch {
	case len(common) == 0:
		return "", nil
	case slices.Contains(common, HostPlatform()):
		return HostPlatform(), nil
	}
	return common[0], nil
}

func programName(e bundle.Entry) string { return e.Path[strings.LastIndexByte(e.Path, '/')+1:] }

func intersect(a, b []string) []string {
	return slices.DeleteFunc(slices.Clone(a), func(s string) bool { return !slices.Contains(b, s) })
}

// platformsIn reads an executable's header.
func platformsIn(r io.ReaderAt) []string {
	if f, err := elf.NewFile(r); err == nil {
		if arch := elfArch(f.Machine); arch != "" {
			return []string{"linux-" + arch}
		}
		return nil
	}
	if f, err := macho.NewFile(r); err == nil {
		return darwin(f.Cpu)
	}
	var list []string
	if f, err := macho.NewFatFile(r); err == nil {
		for _, a := range f.Arches {
			list = append(list, darwin(a.Cpu)...)
		}
	}
	return list
}

func elfArch(m elf.Machine) string {
	switch m {
	case elf.EM_X86_64:
		return "amd64"
	case elf.EM_AARCH64:
		return "arm64"
	case elf.EM_RISCV:
		return "riscv64"
	}
	return ""
}

func darwin(c macho.Cpu) []string {
	switch c {
	case macho.CpuAmd64:
		return []string{"darwin-amd64"}
	case macho.CpuArm64:
		return []string{"darwin-arm64"}
	}
	return nil
}

// A word is one part of a target's name.
var word = regexp.MustCompile(`^[a-z0-9][a-z0-9._-]{0,63}$`)

func checkWord(what, s string) error {
	if !word.MatchString(s) {
		return fmt.Errorf("%s %q: small letters, digits, and between them . _ -", what, s)
	}
	return nil
}

// choosePlatform settles what was asked for with what the programs are.
func choosePlatform(asked, found string) (string, error) {
	if asked == "" {
		asked = found
	}
	if asked == "" {
		return "", errors.New("the programs do not tell which platform they are for\nhint: --platform " + HostPlatform())
	}
	if found != "" && asked != found {
		return "", fmt.Errorf("the programs are built for %s, not %s", found, asked)
	}
	return asked, checkWord("platform", asked)
}
