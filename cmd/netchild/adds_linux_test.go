package main

import (
	"os"
	"testing"

	"portward/internal/surface"
	"portward/internal/surface/surfacetest"
	"portward/internal/wire"
)

// attachedAgent has a chain, number 1, of one surface.
func attachedAgent(t *testing.T, g surface.Geometry) *agent {
	t.Helper()
	chain, err := surface.NewChain(g)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { chain.Close() })
	frames, err := chain.Connect()
	if err != nil {
		t.Fatal(err)
	}
	a := &agent{account: surface.NewAccount(loginLimits), chains: map[uint64]attached{}}
	sink, err := surface.Open(g, []wire.Handle{wire.Surface(surfacetest.Memory(t, g.Size()))}, wire.FD(frames), a.account)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { sink.Close() })
	a.chains[1] = attached{sink, func() {}}
	return a
}

// Rule: a chain gets a surface more that is one, up to as many as there may be; a
// lie is malformed, and ends the connection; a chain that is gone is no fault.
// Nothing of what was refused stays open.
func TestAdd(t *testing.T) {
	g := surface.Geometry{Width: 16, Height: 16, Stride: 64, Format: surface.FormatBGRX}
	a := attachedAgent(t, g)
	add := func(chain uint64, f *os.File) wire.Code {
		t.Helper()
		_, err := a.act(wire.KindAdd, wire.Add{Chain: chain, Surface: wire.Surface(f)}.Dict())
		if f.Close() == nil {
			t.Error("the surface was left open")
		}
		if err == nil {
			return ""
		}
		return refusal(err).Code
	}
	for range wire.MaxSlots - 1 {
		if code := add(1, surfacetest.Memory(t, g.Size())); code != "" {
			t.Fatal(code)
		}
	}
	if code := add(1, surfacetest.Memory(t, g.Size())); code != wire.CodeMalformed {
		t.Errorf("the ninth: %q", code)
	}
	if code := add(2, surfacetest.Memory(t, g.Size())); code != wire.CodeUnknown {
		t.Errorf("to another chain: %q", code)
	}
	if n, bytes := a.account.Used(); n != 1 || bytes != int64(wire.MaxSlots*g.Size()) {
		t.Errorf("%d chains, %d bytes", n, bytes)
	}
	a = attachedAgent(t, g)
	if code := add(1, surfacetest.Memory(t, g.Size()+1)); code != wire.CodeMalformed {
		t.Errorf("another size: %q", code)
	}
	if _, err := a.act(wire.KindAdd, wire.Dict{"k": string(wire.KindAdd), "chain": uint64(1)}); refusal(err).Code != wire.CodeMalformed {
		t.Errorf("without a surface: %v", err)
	}
}
