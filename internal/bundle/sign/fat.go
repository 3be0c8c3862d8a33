package sign

import (
	"debug/macho"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"

	"portward/internal/durable"
)

// A fat file begins with a table in big-endian order, and each processor's
// program lies on a boundary that suits both (Apple's mach-o/fat.h).
const (
	fatHeader  = 8
	fatEntry   = 20
	fatAlign   = 14 // 2^14 is a page of arm64
	maxAlign   = 15 // what lipo(1) bears
	maxFatArch = 8
	fatMagic64 = 0xcafebabf
)

// A slice is one processor's part of a file.
type slice struct {
	*image
	align uint32 // exponent of 2
}

// Fat writes one file of thin Mach-O programs, each for another processor, to
// dst, mode 0755. The order of the arguments does not matter.
func Fat(dst string, slices ...string) error {
	var parts []slice
	for _, path := range slices {
		data, err := readProgram(path)
		if err != nil {
			return fmt.Errorf("fat %s: %w", dst, err)
		}
		m, err := parseImage(data)
		if err != nil {
			return fmt.Errorf("fat %s: %s: %w", dst, path, err)
		}
		parts = append(parts, slice{m, fatAlign})
	}
	data, err := join(parts)
	if err != nil {
		return fmt.Errorf("fat %s: %w", dst, err)
	}
	return durable.Write(dst, data, 0o755)
}

// split answers the programs in a thin or fat file, and whether it is fat.
func split(data []byte) ([]slice, bool, error) {
	if len(data) < fatHeader || binary.BigEndian.Uint32(data) != macho.MagicFat {
		if len(data) >= 4 && binary.BigEndian.Uint32(data) == fatMagic64 {
			return nil, false, errors.New("a fat file of 64 bits, which dyld does not run")
		}
		m, err := parseImage(data)
		return []slice{{image: m}}, false, err
	}
	n := binary.BigEndian.Uint32(data[4:])
	if n == 0 || n > maxFatArch || uint64(len(data)) < fatHeader+fatEntry*uint64(n) {
		return nil, true, fmt.Errorf("a fat file of %d processors", n)
	}
	var parts []slice
	end := fatHeader + fatEntry*uint64(n)
	for i := range n {
		part, partEnd, err := splitOne(data, data[fatHeader+fatEntry*i:], end)
		if err != nil {
			return nil, true, fmt.Errorf("part %d of the fat file: %w", i+1, err)
		}
		parts, end = append(parts, part), partEnd
	}
	if end != uint64(len(data)) {
		return nil, true, fmt.Errorf("%d bytes behind the last part of the fat file", uint64(len(data))-end)
	}
	return parts, true, checkProcessors(parts)
}

// splitOne reads one entry of the table, whose part may not begin before from.
// Between parts there is nothing but zeros, so that no signature misses a byte.
func splitOne(data, entry []byte, from uint64) (slice, uint64, error) {
	be := binary.BigEndian
	offset, size, align := uint64(be.Uint32(entry[8:])), uint64(be.Uint32(entry[12:])), be.Uint32(entry[16:])
	if align > maxAlign || offset%(1<<align) != 0 {
		return slice{}, 0, fmt.Errorf("offset %d, alignment 2^%d", offset, align)
	}
	if offset < from || offset+size > uint64(len(data)) || !isZero(data[from:offset]) {
		return slice{}, 0, errors.New("it overlaps another one, or lies outside, or something lies before it")
	}
	m, err := parseImage(data[offset : offset+size])
	if err != nil {
		return slice{}, 0, err
	}
	if m.cpu != macho.Cpu(be.Uint32(entry)) {
		return slice{}, 0, errors.New("it is for another processor than the table says")
	}
	return slice{m, align}, offset + size, nil
}

func checkProcessors(parts []slice) error {
	if len(parts) == 0 {
		return errors.New("no program for any processor")
	}
	seen := map[[2]uint32]bool{}
	for _, p := range parts {
		kind := [2]uint32{uint32(p.cpu), p.sub}
		if seen[kind] {
			return fmt.Errorf("two programs for %s", cpuName(p.cpu))
		}
		seen[kind] = true
	}
	return nil
}

// join answers a fat file, x86_64 first as lipo(1) does.
func join(parts []slice) ([]byte, error) {
	if err := checkProcessors(parts); err != nil {
		return nil, err
	}
	parts = slices.Clone(parts)
	slices.SortStableFunc(parts, func(a, b slice) int { return int(int64(a.cpu) - int64(b.cpu)) })
	out := binary.BigEndian.AppendUint32(nil, macho.MagicFat)
	out = binary.BigEndian.AppendUint32(out, uint32(len(parts)))
	end := uint64(fatHeader + fatEntry*len(parts))
	for _, p := range parts {
		offset := alignUp(end, 1<<p.align)
		end = offset + uint64(len(p.data))
		for _, v := range []uint32{uint32(p.cpu), p.sub, uint32(offset), uint32(len(p.data)), p.align} {
			out = binary.BigEndian.AppendUint32(out, v)
		}
	}
	if end > maxProgram {
		return nil, errTooLarge(int64(end))
	}
	for _, p := range parts {
		out = append(out, make([]byte, alignUp(uint64(len(out)), 1<<p.align)-uint64(len(out)))...)
		out = append(out, p.data...)
	}
	return out, nil
}

func errTooLarge(size int64) error {
	return fmt.Errorf("%d bytes, more than the %d that are signed", size, int64(maxProgram))
}

func cpuName(c macho.Cpu) string {
	if c == macho.CpuArm64 {
		return "arm64"
	}
	return "x86_64"
}
