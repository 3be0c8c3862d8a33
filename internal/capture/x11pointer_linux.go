package capture

import (
	"encoding/binary"
	"errors"
	"time"

	"github.com/jezek/xgb/xfixes"
)

// What is used of XInput 2 (X11/extensions/XI2proto.h), which xgb does not have.
const (
	xiSelectEvents = 46
	xiQueryVersion = 47
	xiRawMotion    = 17
	xiAllMasters   = 1
)

// usePointer asks the server to tell of its pointer. One without XFIXES is
// captured without a pointer.
func (s *screen) usePointer() error {
	s.pointer = &pointer{conn: s.conn, root: s.root, alarm: time.NewTimer(0)}
	fixes, err := s.extension("XFIXES")
	if errors.Is(err, errAbsent) {
		s.pointer.alarm.Stop()
		return nil
	}
	if err != nil {
		return err
	}
	if _, err := xfixes.QueryVersion(s.conn, 2, 0).Reply(); err != nil { // the server demands it first
		return reason(err)
	}
	err = xfixes.SelectCursorInputChecked(s.conn, s.root, xfixes.CursorNotifyMaskDisplayCursor).Check()
	if err != nil {
		return reason(err)
	}
	s.pointer.fixes = fixes.FirstEvent + xfixes.CursorNotify
	s.pointer.redrawn.Store(true)
	s.pointer.stirred.Store(true) // the first Fill has it
	return s.useMotion()
}

// useMotion asks to be told of each motion of a mouse, whoever grabbed it: raw
// events, since XInput 2.1. On a server that does not know them the pointer is
// asked for more often.
func (s *screen) useMotion() error {
	ext, err := s.extension("XInputExtension")
	if errors.Is(err, errAbsent) {
		return nil
	}
	if err != nil {
		return err
	}
	if told, err := s.tellsMotion(ext.MajorOpcode); err != nil || !told {
		return err
	}
	const masks, words = 1, 1
	selected := s.conn.NewCookie(true, false)
	s.conn.NewRequest(inputRequest(ext.MajorOpcode, xiSelectEvents,
		uint32(s.root), masks, xiAllMasters|words<<16, 1<<xiRawMotion), selected)
	if err := selected.Check(); err != nil {
		return reason(err)
	}
	s.pointer.motion = ext.MajorOpcode
	return nil
}

func (s *screen) tellsMotion(opcode byte) (bool, error) {
	const major, minor = 2, 1
	version := s.conn.NewCookie(true, true)
	s.conn.NewRequest(inputRequest(opcode, xiQueryVersion, major|minor<<16), version)
	r, err := version.Reply()
	if err != nil {
		return false, reason(err)
	}
	return binary.LittleEndian.Uint16(r[8:]) == major && binary.LittleEndian.Uint16(r[10:]) >= minor, nil
}

// inputRequest is a request of so many words, the low byte first.
func inputRequest(opcode, minor byte, words ...uint32) []byte {
	b := []byte{opcode, minor}
	b = binary.LittleEndian.AppendUint16(b, uint16(1+len(words)))
	for _, w := range words {
		b = binary.LittleEndian.AppendUint32(b, w)
	}
	return b
}

// movesPointer says whether an event is a raw motion of the extension with that
// opcode.
func (e rawEvent) movesPointer(opcode byte) bool {
	return e.code() == genericEvent && e[1] == opcode && binary.LittleEndian.Uint16(e[8:]) == xiRawMotion
}
