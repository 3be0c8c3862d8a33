package sign

import (
	"bytes"
	"debug/macho"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
)

// Bounds of what is signed. An offset in Mach-O has 32 bits; a program of this
// size has gone wrong long before.
const (
	maxProgram  = 512 << 20
	maxCommands = 1 << 16 // bytes of them, more than two pages of Apple's largest
)

// Load commands that debug/macho has no name for.
const (
	cmdCodeSignature    = 0x1d
	cmdEncryptionInfo   = 0x21
	cmdEncryptionInfo64 = 0x2c
	cmdVersionMinMacOSX = 0x24
	cmdBuildVersion     = 0x32
	cmdFilesetEntry     = 0x80000035
)

const (
	headerSize    = 32 // of a 64-bit Mach-O
	signatureCmd  = 16 // bytes of LC_CODE_SIGNATURE
	signatureSlot = 16 // what a signature's offset and size are multiples of
	slack         = 16 // bytes that may lie between a signature and the file's end
)

// An image is one processor's Mach-O program, as far as signing it needs to be
// understood. It keeps the bytes that it was read from and does not change them.
type image struct {
	data     []byte
	cpu      macho.Cpu
	sub      uint32
	filetype macho.Type

	commands uint32 // bytes of load commands
	codeEnd  uint64 // where the signature is or will be, before rounding

	text         macho.Segment64
	linkedit     macho.Segment64
	linkeditAt   uint64 // of its load command
	firstContent uint64 // the lowest offset that a section's bytes have
	lastAddr     uint64 // the highest address where a segment begins

	signature uint64 // of its load command; 0: not signed
	sigOffset uint64
	sigSize   uint64

	sdk  uint32 // the SDK's version, or the lowest system's: 0x000c0000 is 12.0
	info []byte // an Info.plist in a section of its own; nil: none
}

// parseImage reads a thin 64-bit Mach-O for one of the two processors that Macs
// have had since macOS 11.
func parseImage(data []byte) (*image, error) {
	m := &image{data: data, firstContent: math.MaxUint64}
	if err := m.readHeader(); err != nil {
		return nil, err
	}
	rest := data[headerSize : headerSize+m.commands]
	at := uint64(headerSize)
	for range binary.LittleEndian.Uint32(data[16:]) {
		if len(rest) < 8 {
			return nil, errors.New("a load command that is cut off")
		}
		size := binary.LittleEndian.Uint32(rest[4:])
		if size < 8 || size%8 != 0 || uint64(size) > uint64(len(rest)) {
			return nil, fmt.Errorf("a load command of %d bytes", size)
		}
		if err := m.readCommand(at, binary.LittleEndian.Uint32(rest), rest[:size]); err != nil {
			return nil, err
		}
		rest, at = rest[size:], at+uint64(size)
	}
	if len(rest) > 0 {
		return nil, fmt.Errorf("%d bytes behind the last load command", len(rest))
	}
	return m, m.checkLayout()
}

func (m *image) readHeader() error {
	if len(m.data) < headerSize {
		return errNotMachO(m.data)
	}
	le := binary.LittleEndian
	switch le.Uint32(m.data) {
	case macho.Magic64:
	case macho.Magic32, be(macho.Magic32), be(macho.Magic64):
		return errors.New("a Mach-O of 32 bits or of the other byte order, which no Mac of today runs")
	default:
		return errNotMachO(m.data)
	}
	m.cpu, m.sub, m.filetype = macho.Cpu(le.Uint32(m.data[4:])), le.Uint32(m.data[8:]), macho.Type(le.Uint32(m.data[12:]))
	m.commands = le.Uint32(m.data[20:])
	switch {
	case m.cpu != macho.CpuArm64 && m.cpu != macho.CpuAmd64:
		return fmt.Errorf("made for processor %#x, which is neither arm64 nor x86_64", uint32(m.cpu))
	case m.filetype != macho.TypeExec && m.filetype != macho.TypeDylib && m.filetype != macho.TypeBundle:
		return fmt.Errorf("a Mach-O of type %d, neither a program nor a library", m.filetype)
	case m.commands > maxCommands || uint64(headerSize)+uint64(m.commands) > uint64(len(m.data)):
		return fmt.Errorf("%d bytes of load commands", m.commands)
	}
	return nil
}

func be(v uint32) uint32 { return binary.BigEndian.Uint32(binary.LittleEndian.AppendUint32(nil, v)) }

func errNotMachO(data []byte) error {
	if bytes.HasPrefix(data, []byte("\x7fELF")) {
		return errors.New("a program for Linux, not a Mach-O\nhint: build it with GOOS=darwin")
	}
	return errors.New("not a Mach-O")
}

func (m *image) readCommand(at uint64, cmd uint32, body []byte) error {
	le := binary.LittleEndian
	word := func(i int) uint32 { // of a command too short, 0
		if len(body) < i+4 {
			return 0
		}
		return le.Uint32(body[i:])
	}
	switch cmd {
	case uint32(macho.LoadCmdSegment):
		return errors.New("unsupported load command: a segment of 32 bits")
	case uint32(macho.LoadCmdSegment64):
		return m.readSegment(at, body)
	case cmdCodeSignature:
		if m.signature != 0 || len(body) != signatureCmd {
			return errors.New("unsupported load command: a second or odd signature")
		}
		m.signature, m.sigOffset, m.sigSize = at, uint64(word(8)), uint64(word(12))
	case cmdEncryptionInfo, cmdEncryptionInfo64:
		if word(16) != 0 {
			return errors.New("unsupported load command: its code is encrypted")
		}
	case cmdFilesetEntry:
		return errors.New("unsupported load command: a collection of kernel extensions")
	case cmdBuildVersion:
		m.sdk = max(word(12), word(16))
	case cmdVersionMinMacOSX:
		m.sdk = max(word(8), word(12))
	}
	return nil
}

func (m *image) readSegment(at uint64, body []byte) error {
	var s macho.Segment64
	r := bytes.NewReader(body)
	if err := binary.Read(r, binary.LittleEndian, &s); err != nil {
		return errors.New("a segment that is cut off")
	}
	if s.Offset > uint64(len(m.data)) || s.Filesz > uint64(len(m.data))-s.Offset {
		return fmt.Errorf("segment %s lies outside the file", nameOf(s.Name))
	}
	m.lastAddr = max(m.lastAddr, s.Addr)
	switch nameOf(s.Name) {
	case "__TEXT":
		if m.text.Filesz != 0 {
			return errors.New("two segments __TEXT")
		}
		m.text = s
	case "__LINKEDIT":
		if m.linkeditAt != 0 {
			return errors.New("two segments __LINKEDIT")
		}
		m.linkedit, m.linkeditAt = s, at
	}
	for range s.Nsect {
		var sect macho.Section64
		if err := binary.Read(r, binary.LittleEndian, &sect); err != nil {
			return fmt.Errorf("segment %s has fewer sections than it says", nameOf(s.Name))
		}
		if err := m.readSection(s, sect); err != nil {
			return err
		}
	}
	return nil
}

func (m *image) readSection(s macho.Segment64, sect macho.Section64) error {
	if s.Filesz == 0 || sect.Size == 0 || sect.Offset == 0 {
		return nil // of zeros, made at start
	}
	m.firstContent = min(m.firstContent, uint64(sect.Offset))
	if nameOf(sect.Seg) != "__TEXT" || nameOf(sect.Name) != "__info_plist" {
		return nil
	}
	end := uint64(sect.Offset) + sect.Size
	if end < sect.Size || end > uint64(len(m.data)) || sect.Size > maxPlist {
		return errors.New("section __info_plist lies outside the file")
	}
	m.info = m.data[sect.Offset:end]
	return nil
}

func nameOf(b [16]byte) string { s, _, _ := bytes.Cut(b[:], []byte{0}); return string(s) }

// checkLayout holds what place relies on: the signature is the end of
// __LINKEDIT, which is the end of the file and of the address space.
func (m *image) checkLayout() error {
	size := uint64(len(m.data))
	end := m.linkedit.Offset + m.linkedit.Filesz
	switch {
	case m.linkeditAt == 0 || m.linkedit.Filesz == 0:
		return errors.New("no segment __LINKEDIT, where a signature would lie")
	case m.text.Filesz == 0:
		return errors.New("no segment __TEXT")
	case m.lastAddr != m.linkedit.Addr:
		return errors.New("__LINKEDIT is not the last segment in memory, so that it cannot grow")
	case end != size:
		return fmt.Errorf("%d bytes behind __LINKEDIT, which no signature could cover", size-end)
	case m.signature == 0:
		m.codeEnd = size
		return m.checkRoom()
	case m.sigOffset < m.linkedit.Offset || m.sigOffset+m.sigSize > size || size-m.sigOffset-m.sigSize >= slack:
		return errors.New("its present signature is not the end of __LINKEDIT")
	}
	m.codeEnd = m.sigOffset
	if m.codeEnd < uint64(headerSize+m.commands) {
		return errors.New("its present signature lies in its header")
	}
	return nil
}

// checkRoom wants unused bytes for one more load command.
func (m *image) checkRoom() error {
	from := uint64(headerSize + m.commands)
	if from+signatureCmd > min(m.firstContent, m.codeEnd) || !isZero(m.data[from:from+signatureCmd]) {
		return errors.New("no room for the load command of a signature\nhint: link it with -headerpad 0x1000")
	}
	return nil
}

func isZero(b []byte) bool { return len(bytes.Trim(b, "\x00")) == 0 }

func (m *image) isExecutable() bool { return m.filetype == macho.TypeExec }

// codeLimit is how many bytes a signature covers: all before itself.
func (m *image) codeLimit() uint64 { return alignUp(m.codeEnd, signatureSlot) }

// place answers the program without any old signature and with size bytes of
// zeros for a new one, which begin at codeLimit.
func (m *image) place(size int) []byte {
	limit := m.codeLimit()
	end := limit + uint64(size)
	out := make([]byte, end)
	copy(out, m.data[:m.codeEnd])
	le := binary.LittleEndian
	at := m.signature
	if at == 0 {
		at = uint64(headerSize + m.commands)
		le.PutUint32(out[16:], le.Uint32(out[16:])+1)
		le.PutUint32(out[20:], m.commands+signatureCmd)
	}
	for i, v := range []uint32{cmdCodeSignature, signatureCmd, uint32(limit), uint32(size)} {
		le.PutUint32(out[at+uint64(i)*4:], v)
	}
	filesz := end - m.linkedit.Offset
	le.PutUint64(out[m.linkeditAt+32:], alignUp(filesz, m.pageSize()))
	le.PutUint64(out[m.linkeditAt+48:], filesz)
	return out
}

// pageSize is the processor's, to which segments are rounded in memory.
func (m *image) pageSize() uint64 {
	if m.cpu == macho.CpuArm64 {
		return 16 << 10
	}
	return 4 << 10
}

func alignUp(v, to uint64) uint64 { return (v + to - 1) &^ (to - 1) }
