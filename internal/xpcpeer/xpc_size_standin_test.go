//go:build standin && !darwin

package xpcpeer

import (
	"errors"
	"runtime"
	"strings"
	"testing"

	"portward/internal/macos"
	"portward/internal/macos/macostest"
	"portward/internal/wire"
)

// Rule: what is too large is refused before there is a copy of it, whatever its
// type, and however deep it lies.
func TestXPCNoCopyOfWhatIsTooLarge(t *testing.T) {
	macostest.CheckLive(t)
	const large = 16 << 20
	long := strings.Repeat("x", large)
	inArray := func(v macos.Ref) macos.Ref {
		a := macos.XPCArrayCreate()
		macos.XPCArrayAppendValue(a, v)
		macos.XPCRelease(v)
		return a
	}
	for what, m := range map[string]macos.Ref{
		"data":           single("v", macos.XPCDataCreate([]byte(long))),
		"text":           single("v", macos.XPCStringCreate(long)),
		"a key":          single(long, macos.XPCBoolCreate(true)),
		"data in arrays": single("v", inArray(inArray(macos.XPCDataCreate([]byte(long))))),
		"a key inside":   single("v", single(long, macos.XPCBoolCreate(true))),
		"a failure":      single(keyFailure, macos.XPCStringCreate(long)),
	} {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		_, err := unpackReply(m, 1)
		_, err2 := unpackWelcome(m)
		runtime.ReadMemStats(&after)
		macos.XPCRelease(m)
		if !errors.Is(err, wire.ErrMalformed) || !errors.Is(err2, wire.ErrMalformed) || len(err.Error()) > 1000 {
			t.Errorf("%s: %.100v, %.100v", what, err, err2)
		}
		if n := after.TotalAlloc - before.TotalAlloc; n > large/16 {
			t.Errorf("%s of %d bytes took %d to refuse", what, large, n)
		}
	}
}
