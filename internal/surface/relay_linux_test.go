package surface_test

import (
	"encoding/binary"
	"os"
	"testing"

	"portward/internal/surface"
	"portward/internal/surface/surfacetest"
	"portward/internal/wire"
)

// The suite for relays, with memory that somebody else made.
func TestRelayDuplicated(t *testing.T) {
	surfacetest.TestRelay(t, surfacetest.Way{Platform: surface.Native(), Pass: duplicated, Draw: drawMemory})
}

// The same, with handles that travel as they do in a message.
func TestRelaySent(t *testing.T) {
	surfacetest.TestRelay(t, surfacetest.Way{Platform: surface.Native(), Pass: sent, Draw: drawMemory})
}

// A memory is a sealed memfd.
type memory struct {
	t    testing.TB
	id   uint64
	file *os.File
}

func drawMemory(t testing.TB, g surface.Geometry) surfacetest.Drawing {
	t.Helper()
	f := surfacetest.Memory(t, g.Size())
	return memory{t, uint64(f.Fd()), f}
}

func (m memory) Paint(mark uint32) {
	if _, err := m.file.WriteAt(binary.LittleEndian.AppendUint32(nil, mark), 0); err != nil {
		m.t.Error(err)
	}
}

func (m memory) Lend(release func()) surface.Lent { return lentMemory{m, release} }

type lentMemory struct {
	memory
	release func()
}

func (l lentMemory) ID() uint64          { return l.id }
func (l lentMemory) Handle() wire.Handle { return wire.Surface(dup(l.t, l.file)) }
func (l lentMemory) Release()            { l.release() }
