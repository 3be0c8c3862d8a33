//go:build standin && !darwin

package xpcpeer

import (
	"errors"
	"os"
	"reflect"
	"testing"

	"portward/internal/macos"
	"portward/internal/macos/macostest"
	"portward/internal/wire"
)

// A grower makes any XPC object of a fuzzer's bytes.
type grower struct{ b []byte }

func (g *grower) next() byte {
	if len(g.b) == 0 {
		return 0
	}
	n := g.b[0]
	g.b = g.b[1:]
	return n
}

func (g *grower) text() string {
	n := min(int(g.next()), len(g.b))
	s := string(g.b[:n])
	g.b = g.b[n:]
	return s
}

func (g *grower) key() string {
	ours := []string{keyHello, keyWelcome, keyFailure, keySurface}
	if n := int(g.next()); n < len(ours) {
		return ours[n]
	}
	return g.text()
}

func (g *grower) dict(depth int) macos.Ref {
	d := macos.XPCDictionaryCreate()
	for range g.next() % 8 {
		v := g.value(depth)
		macos.XPCDictionarySetValue(d, g.key(), v)
		macos.XPCRelease(v)
	}
	return d
}

func (g *grower) array(depth int) macos.Ref {
	a := macos.XPCArrayCreate()
	for range g.next() {
		v := g.value(depth)
		macos.XPCArrayAppendValue(a, v)
		macos.XPCRelease(v)
	}
	return a
}

func (g *grower) value(depth int) macos.Ref {
	if len(g.b) == 0 || depth > 2*wire.MaxDepth {
		return macos.StandinNullCreate()
	}
	n := uint64(g.next())
	switch n % 13 {
	case 0:
		return macos.XPCBoolCreate(n > 100)
	case 1:
		return macos.XPCInt64Create(-int64(n) << 55)
	case 2:
		return macos.XPCUint64Create(n << 56)
	case 3:
		return macos.XPCDoubleCreate(float64(n))
	case 4:
		return macos.XPCDateCreate(int64(n) << 55)
	case 5:
		return macos.XPCDataCreate([]byte(g.text()))
	case 6:
		return macos.XPCStringCreate(g.text())
	case 7:
		return macos.XPCUUIDCreate([16]byte{g.next()})
	case 8:
		return macos.XPCFDCreate(int(os.Stdin.Fd()))
	case 9:
		return g.array(depth + 1)
	case 10:
		return g.dict(depth + 1)
	case 11:
		return macos.StandinOtherCreate()
	}
	return macos.StandinNullCreate()
}

// Rule: any dictionary is read within wire's limits or refused as malformed, and
// costs nothing; what was read and has no handles is what would be sent.
func FuzzUnpackXPC(f *testing.F) {
	f.Add([]byte{1, 1, 9, 1, 'n'})
	f.Add([]byte{7, 10, 1, 8, 3, 200, 1, 's', 9, 2, 8, 11, 200, 1, 'a', 6, 1, 'x', 200, 1, 'b'})
	f.Add([]byte{2, 8, 200, 1, 'f', 12, 200, 1, 'n'})
	f.Fuzz(func(t *testing.T, b []byte) {
		macostest.CheckLive(t)
		g := grower{b}
		x := g.dict(1)
		defer macos.XPCRelease(x)
		d, err := unpackXPC(x)
		if err != nil {
			if !errors.Is(err, wire.ErrMalformed) {
				t.Fatal(err)
			}
			return
		}
		defer d.Close()
		if err := wire.Check(d); err != nil {
			t.Fatal(err)
		}
		sent, err := packXPC(packet{kind: kindMessage, dict: d})
		if err != nil {
			t.Fatal(err)
		}
		defer sent.drop()
		again, err := unpackXPC(sent.(*xpcParcel).dict)
		defer func() { again.Close() }()
		if err != nil || !sent.(*xpcParcel).handles && !reflect.DeepEqual(again, d) {
			t.Fatalf("%v became %v, %v", d, again, err)
		}
	})
}
