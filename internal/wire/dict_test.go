package wire

import (
	"errors"
	"strings"
	"testing"
	"time"
)

func nest(n int) Dict {
	d := Dict{}
	for range n - 1 {
		d = Dict{"d": d}
	}
	return d
}

func nestArrays(n int) Dict {
	var v any = true
	for range n - 1 {
		v = []any{v}
	}
	return Dict{"a": v}
}

func fill(n int, v any) Dict {
	a := make([]any, n)
	for i := range a {
		a[i] = v
	}
	return Dict{"a": a}
}

// Check lets through XPC's types within the limits, and nothing else.
func TestCheck(t *testing.T) {
	for what, d := range map[string]Dict{
		"nothing":      nil,
		"all types":    {"a": true, "b": int64(1), "c": uint64(1), "d": 1.5, "e": "s", "f": []byte{1}, "g": time.Now(), "h": UUID{}, "i": []any{}, "j": Dict{}, "k": handle(HandleFD)},
		"deepest":      nest(MaxDepth),
		"deep arrays":  nestArrays(MaxDepth),
		"most entries": fill(MaxEntries-1, true),
		"most handles": fill(MaxHandles, handle(HandleSurface)),
		"longest key":  {strings.Repeat("k", MaxKey): true},
	} {
		if err := Check(d); err != nil {
			t.Errorf("%s: %v", what, err)
		}
	}
	for what, d := range map[string]Dict{
		"int":            {"a": 1},
		"nil":            {"a": nil},
		"a map":          {"a": map[string]any{}},
		"pointer":        {"a": &Dict{}},
		"empty key":      {"": true},
		"NUL":            {"a": "b\x00"},
		"NUL in a key":   {"a\x00": true},
		"long key":       {strings.Repeat("k", MaxKey+1): true},
		"too deep":       nest(MaxDepth + 1),
		"arrays":         nestArrays(MaxDepth + 1),
		"entries":        fill(MaxEntries, true),
		"handles":        fill(MaxHandles+1, handle(HandleFD)),
		"zero handle":    {"a": Handle{}},
		"empty handle":   {"a": Handle{Kind: HandleFD}},
		"unknown handle": {"a": handle(9)},
		"wrong inside":   {"a": []any{Dict{"b": uint8(1)}}},
	} {
		if err := Check(d); !errors.Is(err, ErrMalformed) {
			t.Errorf("%s: %v", what, err)
		}
	}
}

// What was taken is the taker's, Close closes the rest, at any depth.
func TestTakeAndClose(t *testing.T) {
	a, b, c, e := &object{}, &object{}, &object{}, &object{}
	d := Dict{"a": Handle{HandleFD, a}, "b": []any{Handle{HandleSurface, b}}, "c": Dict{"c": []any{Handle{HandleFD, c}}}, "e": Handle{HandleEndpoint, e}}
	if _, ok := d.Take("a", HandleSurface); ok {
		t.Error("took a descriptor for a surface")
	}
	if h, ok := d.Take("a", HandleFD); !ok || h.Object != a {
		t.Error("did not take the descriptor")
	}
	if _, ok := d.Take("a", HandleFD); ok {
		t.Error("took it twice")
	}
	if _, ok := d.TakeAll("b", HandleFD); ok {
		t.Error("took surfaces for descriptors")
	}
	if hs, ok := d.TakeAll("b", HandleSurface); !ok || len(hs) != 1 || hs[0].Object != b {
		t.Error("did not take the surface")
	}
	d.Close()
	if a.closed || b.closed || !c.closed || !e.closed {
		t.Errorf("closed: %v %v %v %v", a.closed, b.closed, c.closed, e.closed)
	}
	if (Handle{}).Close() != nil {
		t.Error("the zero handle did not close")
	}
}
