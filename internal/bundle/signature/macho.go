package signature

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
)

// Bounds of what is read of a file; those of Apple's tools are wider.
const (
	maxSlices     = 8
	maxAlign      = 15
	maxCommands   = 4096
	maxCommandLen = 1 << 20
	maxSignature  = 64 << 20
	maxInfo       = 1 << 20
)

// Numbers of the file formats.
const (
	magicFat   = 0xcafebabe
	magicThin  = 0xfeedfacf // 64 bits, little-endian
	headerSize = 32
	archSize   = 20

	cpuX86    = 0x01000007
	cpuARM    = 0x0100000c
	subARM64e = 2

	typeExecute = 2

	cmdSegment   = 0x19
	cmdSignature = 0x1d
)

// A slice is the program for one processor, inside a file.
type slice struct {
	cpu, subtype uint32
	offset, size int64
	align        uint32
}

func (s slice) end() int64 { return s.offset + s.size }

func (s slice) name() string {
	switch subtype := s.subtype & 0xffffff; {
	case s.cpu == cpuARM && subtype == subARM64e:
		return "arm64e"
	case s.cpu == cpuARM:
		return "arm64"
	case s.cpu == cpuX86:
		return "x86_64"
	}
	return fmt.Sprintf("processor %#x", s.cpu)
}

// slicesOf reads a file's head: the one slice of a thin file, or those of a fat
// one, in order.
func slicesOf(f io.ReaderAt, size int64) ([]slice, error) {
	head, err := readAt(f, size, 0, 12)
	if err != nil {
		return nil, err
	}
	if binary.BigEndian.Uint32(head) == magicFat {
		return fatSlices(f, size, binary.BigEndian.Uint32(head[4:]))
	}
	if binary.LittleEndian.Uint32(head) != magicThin {
		return nil, errors.New("not a 64-bit Mach-O")
	}
	return []slice{{cpu: binary.LittleEndian.Uint32(head[4:]), subtype: binary.LittleEndian.Uint32(head[8:]), size: size}}, nil
}

func fatSlices(f io.ReaderAt, size int64, count uint32) ([]slice, error) {
	if count == 0 || count > maxSlices {
		return nil, fmt.Errorf("a fat file of %d slices", count)
	}
	table, err := readAt(f, size, 8, int64(count)*archSize)
	if err != nil {
		return nil, err
	}
	var all []slice
	for row := range slices.Chunk(table, archSize) {
		word := func(i int) uint32 { return binary.BigEndian.Uint32(row[4*i:]) }
		all = append(all, slice{cpu: word(0), subtype: word(1), offset: int64(word(2)), size: int64(word(3)), align: word(4)})
	}
	slices.SortFunc(all, func(a, b slice) int { return cmp.Compare(a.offset, b.offset) })
	return all, checkLayout(f, size, all)
}

// checkLayout: the slices are apart, only zeros are between them, nothing is
// after them, and no processor has two.
func checkLayout(f io.ReaderAt, size int64, all []slice) error {
	end := 8 + int64(len(all))*archSize
	seen := map[string]bool{}
	for _, s := range all {
		switch {
		case s.align > maxAlign || s.offset&(1<<s.align-1) != 0:
			return fmt.Errorf("%s: at %#x, not aligned to 2^%d", s.name(), s.offset, s.align)
		case s.offset < end:
			return fmt.Errorf("%s: overlaps what is before it", s.name())
		case s.end() > size:
			return fmt.Errorf("%s: ends at byte %d of %d", s.name(), s.end(), size)
		case s.offset-end >= 1<<maxAlign:
			return fmt.Errorf("%s: %d bytes before it that belong to nobody", s.name(), s.offset-end)
		case seen[s.name()]:
			return fmt.Errorf("%s: there twice", s.name())
		}
		seen[s.name()] = true
		if gap, err := readAt(f, size, end, s.offset-end); err != nil {
			return err
		} else if !isZero(gap) {
			return fmt.Errorf("%s: the padding before it is not zero", s.name())
		}
		end = s.end()
	}
	if end != size {
		return fmt.Errorf("%d bytes after the last slice", size-end)
	}
	return nil
}

// An image is what matters here of a slice's load commands.
type image struct {
	fileType          uint32
	text              segment
	info              []byte // of the section __info_plist; nil: none
	sigOffset, sigLen int64  // inside the slice
}

type segment struct{ offset, size int64 }

// readImage reads the load commands of the Mach-O that f is, of that size.
func readImage(f io.ReaderAt, s slice) (*image, error) {
	head, err := readAt(f, s.size, 0, headerSize)
	if err != nil {
		return nil, err
	}
	word := func(i int) uint32 { return binary.LittleEndian.Uint32(head[4*i:]) }
	if word(0) != magicThin || word(1) != s.cpu || word(2) != s.subtype {
		return nil, errors.New("not the Mach-O that the fat header says")
	}
	count, length := word(4), int64(word(5))
	if count > maxCommands || length > maxCommandLen {
		return nil, fmt.Errorf("%d load commands of %d bytes", count, length)
	}
	commands, err := readAt(f, s.size, headerSize, length)
	if err != nil {
		return nil, err
	}
	w := &walker{f: f, size: s.size, image: image{fileType: word(3)}}
	for i := range count {
		if commands, err = w.command(commands); err != nil {
			return nil, fmt.Errorf("load command %d: %w", i, err)
		}
	}
	if len(commands) != 0 {
		return nil, fmt.Errorf("%d bytes after the last load command", len(commands))
	}
	return w.finish()
}

type walker struct {
	f    io.ReaderAt
	size int64
	image
	linkedit segment
	text     int // how many
}

// command takes one off the front.
func (w *walker) command(commands []byte) ([]byte, error) {
	if len(commands) < 8 {
		return nil, io.ErrUnexpectedEOF
	}
	kind, length := binary.LittleEndian.Uint32(commands), int64(binary.LittleEndian.Uint32(commands[4:]))
	if length < 8 || length%8 != 0 || length > int64(len(commands)) {
		return nil, fmt.Errorf("%d bytes of %d", length, len(commands))
	}
	body, rest := commands[:length], commands[length:]
	switch kind {
	case cmdSegment:
		return rest, w.segment(body)
	case cmdSignature:
		return rest, w.signature(body)
	}
	return rest, nil
}

func (w *walker) signature(body []byte) error {
	if w.sigLen != 0 {
		return errors.New("a second signature")
	}
	if len(body) != 16 {
		return fmt.Errorf("a signature command of %d bytes", len(body))
	}
	w.sigOffset, w.sigLen = int64(binary.LittleEndian.Uint32(body[8:])), int64(binary.LittleEndian.Uint32(body[12:]))
	if w.sigLen == 0 || w.sigLen > maxSignature || w.sigOffset+w.sigLen != w.size {
		return fmt.Errorf("a signature of %d bytes at %d, not at the end of %d", w.sigLen, w.sigOffset, w.size)
	}
	return nil
}

func (w *walker) segment(body []byte) error {
	const fixed, section = 72, 80
	if len(body) < fixed {
		return fmt.Errorf("a segment command of %d bytes", len(body))
	}
	name := cString(body[8:24])
	offset, size := binary.LittleEndian.Uint64(body[40:]), binary.LittleEndian.Uint64(body[48:])
	if offset > uint64(w.size) || size > uint64(w.size)-offset {
		return fmt.Errorf("segment %s: %d bytes at %d of %d", name, size, offset, w.size)
	}
	sections := body[fixed:]
	if int64(binary.LittleEndian.Uint32(body[64:]))*section != int64(len(sections)) {
		return fmt.Errorf("segment %s: its sections do not fill the command", name)
	}
	seg := segment{int64(offset), int64(size)}
	switch name {
	case "__LINKEDIT":
		w.linkedit = seg
	case "__TEXT":
		w.text++
		w.image.text = seg
		for s := range slices.Chunk(sections, section) {
			if err := w.section(seg, s); err != nil {
				return err
			}
		}
	}
	return nil
}

// section looks for an Info.plist inside the program.
func (w *walker) section(seg segment, s []byte) error {
	if cString(s[:16]) != "__info_plist" {
		return nil
	}
	size, offset := int64(binary.LittleEndian.Uint64(s[40:])), int64(binary.LittleEndian.Uint32(s[48:]))
	if w.info != nil || size <= 0 || size > maxInfo || offset < seg.offset || offset+size > seg.offset+seg.size {
		return errors.New("section __info_plist: twice, or not inside its segment")
	}
	var err error
	w.info, err = readAt(w.f, w.size, offset, size)
	return err
}

func (w *walker) finish() (*image, error) {
	switch {
	case w.sigLen == 0:
		return nil, ErrUnsigned
	case w.text != 1:
		return nil, fmt.Errorf("%d segments __TEXT", w.text)
	case w.linkedit.offset+w.linkedit.size != w.size:
		return nil, errors.New("segment __LINKEDIT does not end the slice")
	case w.linkedit.offset > w.sigOffset:
		return nil, errors.New("the signature is not in segment __LINKEDIT")
	}
	return &w.image, nil
}

// readAt answers n bytes of f, whose size is known, or says that it ends.
func readAt(f io.ReaderAt, size, offset, n int64) ([]byte, error) {
	if offset < 0 || n < 0 || n > size || offset > size-n {
		return nil, fmt.Errorf("%d bytes at %d of %d: %w", n, offset, size, io.ErrUnexpectedEOF)
	}
	data := make([]byte, n)
	if read, err := f.ReadAt(data, offset); int64(read) != n {
		return nil, err
	}
	return data, nil
}

func isZero(data []byte) bool { return len(bytes.TrimLeft(data, "\x00")) == 0 }

func cString(padded []byte) string { return strings.TrimRight(string(padded), "\x00") }
